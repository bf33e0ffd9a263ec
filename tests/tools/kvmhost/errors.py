"""What can go wrong here, as opposed to in the command."""


class HostError(Exception):
    """The emulated machine could not be had, or was lost; the text says why and what to do."""
