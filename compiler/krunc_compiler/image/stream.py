"""Tar bytes that come in pieces, taken in the portions that a reader wants."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.image.refusal import Refusal

BLOCK = 512


class Stream:
    """Takes tar bytes from PIECES, which may be of any length."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece, self._at = b"", 0

    def block(self) -> bytes:
        """Return the next block, or nothing at the end."""
        if self._at == len(self._piece) and not self._next():
            return b""
        return self.take(BLOCK)

    def take(self, length: int) -> bytes:
        """Return the next LENGTH bytes."""
        end = self._at + length
        if end <= len(self._piece):
            data = self._piece[self._at : end]
            self._at = end
            return data
        return b"".join(self.portions(length))

    def portions(self, length: int) -> Iterator[bytes]:
        """Yield the next LENGTH bytes as they come."""
        while length:
            if self._at == len(self._piece) and not self._next():
                raise Refusal("the tar is cut off", f"{length} more bytes")
            data = self._piece[self._at : self._at + length]
            self._at += len(data)
            length -= len(data)
            yield data

    def skip(self, length: int) -> None:
        """Pass the next LENGTH bytes."""
        for _ in self.portions(length):
            pass

    def rest(self) -> Iterator[bytes]:
        """Yield all that is left, as it comes."""
        yield self._piece[self._at :]
        self._at = len(self._piece)
        yield from self._pieces

    def _next(self) -> bool:
        """Go on to the next piece that has bytes."""
        for piece in self._pieces:
            if piece:
                self._piece, self._at = piece, 0
                return True
        return False
