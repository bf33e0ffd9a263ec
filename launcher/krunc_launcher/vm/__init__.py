"""Acts on a plan, in the process that becomes the VM's."""
