"""Looks at the host, and may only refuse."""
