"""Plans to microVMs. Imports next to nothing: it stays in memory for the VM's whole life."""
