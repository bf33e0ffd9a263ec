"""The commands, as a terminal sees them."""
