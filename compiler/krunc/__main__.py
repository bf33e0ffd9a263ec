"""python -m krunc."""

from __future__ import annotations

from krunc import run

run()
