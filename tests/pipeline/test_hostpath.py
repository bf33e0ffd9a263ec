"""Paths of the host as they are written from another place."""

from __future__ import annotations

import pytest
from krunc_compiler.files.hostpath import seen_from
from reviews import BOX, compiled

# The way to a directory, a path seen from there, and the same path seen from here.
SEEN = [
    (".", "a", "a"),
    ("..", "./a//b/", "../a/b"),
    ("boxes", "../a", "a"),
    ("..", "/a", "/a"),
    ("..", "runtime:a", "runtime:a"),
    (".", "./runtime:a", "./runtime:a"),
    ("boxes", "../runtime:a", "./runtime:a"),
    ("..", "./runtime:a", "../runtime:a"),
]


@pytest.mark.parametrize(("directory", "path", "seen"), SEEN)
def test_seen_from(directory: str, path: str, seen: str) -> None:
    assert seen_from(directory, path) == seen


def test_a_directory_that_is_only_called_runtime_is_not_that_of_the_run() -> None:
    share = {"tag": "t", "path": "./runtime:a"}
    assert '"path": "./runtime:a"' in compiled({**BOX, "shares": [share]})
