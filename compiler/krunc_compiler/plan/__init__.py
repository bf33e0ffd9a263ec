"""A plan: its operations, its text, its schema, its digest."""
