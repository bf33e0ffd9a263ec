"""The process above the VM's: waits, passes signals on, tells the end."""
