"""What is wrong with a layer, and where."""

from __future__ import annotations

_SHOWN = 120


class Refusal(Exception):
    """What was FOUND in a layer, and what is ALLOWED instead; the name of the ENTRY, where one is
    read. write_root adds the layer."""

    def __init__(self, found: str, allowed: str, entry: bytes | None = None) -> None:
        super().__init__(f"{found}; expected {allowed}")
        self.found, self.allowed, self.entry = found, allowed, entry


class LayerError(Exception):
    """A layer that cannot become part of a root: NUMBER counts from 1."""

    def __init__(self, number: int, digest: str, refusal: Refusal) -> None:
        self.number, self.digest = number, digest
        self.entry = None if refusal.entry is None else shown(refusal.entry)
        self.found, self.allowed = refusal.found, refusal.allowed
        place = "" if self.entry is None else f", entry {self.entry}"
        super().__init__(f"layer {number} ({digest}){place}: {refusal}")


def shown(name: bytes) -> str:
    """Return NAME in quotes, shortened, without characters that a terminal obeys."""
    text = name[: _SHOWN + 1].decode("utf-8", "backslashreplace")
    if len(text) > _SHOWN:
        text = text[:_SHOWN] + "..."
    safe = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return '"' + "".join(safe).replace('"', '\\"') + '"'
