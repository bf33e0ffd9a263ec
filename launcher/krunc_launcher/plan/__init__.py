"""Refuses what is no plan: reading, verifying, the digest."""
