"""OCI images as root file systems."""
