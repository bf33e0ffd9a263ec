"""A plan for its reviewer: what it reaches, and what a change changes."""
