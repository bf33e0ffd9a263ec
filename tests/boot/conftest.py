"""What boots share beside the fixtures of tests/tools/boots.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory with a short name. The path of a socket has at most 107 bytes (unix(7)), and
    pytest's own directories have the names of tests and the number of runs in theirs."""
    with TemporaryDirectory(prefix="boot-", ignore_cleanup_errors=True) as made:
        yield Path(made).resolve()
