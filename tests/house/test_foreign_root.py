"""The root of an emulated host of another architecture has what krunc and its tests need."""

from __future__ import annotations

import ast

from kvmhost import foreign
from places import ROOT


def listed(name: str) -> list[str]:
    """The packages in pyproject.toml's list NAME, without markers of Python's version."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    # Strings, commas and comments are Python's, too; Python 3.10 has no tomllib.
    _, begin, rest = text.partition(f"\n{name} = [")
    assert begin, name
    depth = end = 1
    while depth:
        depth += {"[": 1, "]": -1}.get(rest[end], 0)
        end += 1
    packages: list[str] = ast.literal_eval(f"[{rest[:end]}")
    return [one.partition(";")[0].strip() for one in packages]


def test_its_wheels_are_those_of_pyproject() -> None:
    needed = {*listed("dependencies"), *listed("libkrun")}
    assert needed, "pyproject.toml lists none"
    assert needed <= set(foreign._WHEELS)
    more = set(foreign._WHEELS) - needed
    assert more <= set(listed("dev")), "in another version than the tests here, or not at all"
    assert len(foreign._WHEELS) == len(set(foreign._WHEELS))
