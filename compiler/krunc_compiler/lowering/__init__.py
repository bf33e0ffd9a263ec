"""A box to operations, step by step."""
