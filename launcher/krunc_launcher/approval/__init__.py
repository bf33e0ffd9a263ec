"""Compares the digest of a plan with those that were approved."""
