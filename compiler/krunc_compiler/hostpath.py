"""Paths of the host, as far as their texts tell."""

from __future__ import annotations

import posixpath


def normal(path: str) -> str:
    """PATH in one form: no `..` or `//` that can go, /run for /var/run."""
    path = posixpath.normpath(path)
    path = "/" + path.lstrip("/") if path.startswith("/") else path
    # /var/run is a link to /run wherever there is a /run.
    return "/run" + path[8:] if path == "/var/run" or path[:9] == "/var/run/" else path
