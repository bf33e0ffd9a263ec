"""A sheet as one HTML file: no network, no script, light and dark."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from krunc_compiler.review.change_sheet import change_sheet
from krunc_compiler.review.difference import Difference
from krunc_compiler.review.picture import Picture, picture
from krunc_compiler.review.plan_sheet import plan_sheet
from krunc_compiler.review.sheet import Sheet
from krunc_compiler.review.summary import Review


@cache
def _template() -> Template:
    text = files("krunc_compiler.review").joinpath("page.html.j2").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text)


def plan_page(review: Review) -> str:
    """The page of one plan."""
    return _page(plan_sheet(review), picture(review), None)


def difference_page(difference: Difference) -> str:
    """The page of a difference, with a picture of both sides."""
    old, new = (picture(side) if side else None for side in (difference.old, difference.new))
    return _page(change_sheet(difference), new or old, old if new else None)


def _page(sheet: Sheet, shown: Picture | None, before: Picture | None) -> str:
    return _template().render(sheet=sheet, pictures=_titled(shown, before)) + "\n"


def _titled(shown: Picture | None, before: Picture | None) -> list[tuple[str, Picture]]:
    if shown is None:
        return []
    return [("After", shown), ("Before", before)] if before else [("The box", shown)]
