"""What each operation of a plan tells of the VM and of what it reaches on the host, by subject."""
