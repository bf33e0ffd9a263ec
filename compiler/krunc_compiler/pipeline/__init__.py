"""A text to its plan, for one box and for many."""
