"""Where the programs of the launcher start. In a wheel this module is another one: all modules of a
launch in one file (launcher/generate_start.py), which takes a launch a tenth less time."""

from __future__ import annotations

from krunc_launcher.__main__ import main, run

__all__ = ["main", "run"]
