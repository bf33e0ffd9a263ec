"""What is read and written: boxes, files that they name, git's revisions, and outputs."""
