"""A sheet as one HTML file: no network, no script, light and dark."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from krunc_compiler.review.change_sheet import change_sheet
from krunc_compiler.review.difference import Difference
from krunc_compiler.review.picture import Picture, pictures
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
    """Return the page of one plan."""
    return _page(plan_sheet(review), [("The box", pictures(review))], last=False)


def difference_page(difference: Difference) -> str:
    """Return the page of a difference: the changes, then a picture of each side."""
    sides = (("After", difference.new), ("Before", difference.old))
    drawn = [(title, pictures(side)) for title, side in sides if side]
    return _page(change_sheet(difference), drawn, last=True)


def sheet_page(sheet: Sheet) -> str:
    """Return the page of a sheet alone."""
    return _page(sheet, [], last=True)


def _page(sheet: Sheet, drawn: list[tuple[str, tuple[Picture, ...]]], last: bool) -> str:
    return _template().render(sheet=sheet, pictures=drawn, last=last) + "\n"
