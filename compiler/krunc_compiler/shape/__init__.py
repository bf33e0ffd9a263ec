"""A value against a JSON Schema."""
