"""Golden files: the whole output, compared with a committed file."""

from __future__ import annotations

from pathlib import Path


def agree(golden: Path, text: str, update: bool) -> None:
    """Hold TEXT against the file GOLDEN; with UPDATE write it there instead."""
    if update:
        golden.write_text(text, "utf-8")
    assert golden.exists(), f"{golden} is missing: run pytest --update-golden and review it"
    assert text == golden.read_text("utf-8")
