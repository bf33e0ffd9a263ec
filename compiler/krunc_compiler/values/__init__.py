"""What a text leaves open: variables, expressions, extends, matrix."""
