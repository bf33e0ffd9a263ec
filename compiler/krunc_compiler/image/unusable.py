"""Why an image, a registry or the store is refused."""

from __future__ import annotations


class Unusable(Exception):
    """Something that came from outside cannot be used: the CODE of the finding, what is wrong, and
    what to do about it."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
