"""The page of images tells the bounds as they are."""

from __future__ import annotations

import re
from dataclasses import astuple

from krunc_compiler.image.limits import LIMITS
from places import ROOT

_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def test_the_page_tells_the_bounds() -> None:
    page = (ROOT / "docs" / "images.md").read_text("utf-8")
    table = page.partition("| of | at most |\n| --- | --- |\n")[2].partition("\n\n")[0]
    told = re.findall(r"\| ([\d,]+) ?(\w*) \|$", table, re.MULTILINE)
    assert [int(number.replace(",", "")) * _UNITS[unit] for number, unit in told] == list(
        astuple(LIMITS)
    )
