"""Refuses what is no plan: each operation by itself, and all of them together."""
