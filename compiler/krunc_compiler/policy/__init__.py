"""Rules over plans that a repository keeps for itself."""
