"""A sheet as one HTML file: no network, no script, light and dark."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape

from krunc_compiler.review.change_sheet import change_sheet
from krunc_compiler.review.difference import Difference
from krunc_compiler.review.picture import Picture, changed_picture, picture
from krunc_compiler.review.plan_sheet import plan_sheet
from krunc_compiler.review.sheet import Sheet
from krunc_compiler.review.summary import Review
from krunc_compiler.review.words import pieces

_CODE = Markup("<code>{}</code>")
# Between what was and what is. A browser would end a line behind its dash.
_ARROW = Markup('<span class="whole">-&gt;</span>')


@cache
def _template() -> Template:
    text = files("krunc_compiler.review").joinpath("page.html.j2").read_text("utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["prose"] = _prose
    return environment.from_string(text)


def _prose(sentence: str) -> Markup:
    """Return SENTENCE as HTML, its values as code."""
    return Markup("").join(
        _CODE.format(text) if is_value else _ARROW.join(escape(part) for part in text.split("->"))
        for is_value, text in pieces(sentence)
    )


def plan_page(review: Review) -> str:
    """Return the page of one plan."""
    return _page(plan_sheet(review), picture(review), is_change=False)


def difference_page(difference: Difference) -> str:
    """Return the page of a difference; what changes is marked in its one picture."""
    return _page(change_sheet(difference), changed_picture(difference), is_change=True)


def sheet_page(sheet: Sheet) -> str:
    """Return the page of a sheet alone."""
    return _page(sheet, None, is_change=True)


def _page(sheet: Sheet, drawn: Picture | None, is_change: bool) -> str:
    return _template().render(sheet=sheet, picture=drawn, is_change=is_change) + "\n"
