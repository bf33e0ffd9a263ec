"""Fills in what a plan leaves open: absolute paths, numbers, secrets, contents."""
