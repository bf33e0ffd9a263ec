"""No text of a plan can fake or hide anything, in any format of show and diff."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from hostile import HOSTILE, MARK, ROWS, hostile, is_seen, leaves
from hypothesis import given
from hypothesis import strategies as st
from krunc_compiler.review.change_sheet import change_sheet, difference_document
from krunc_compiler.review.difference import compare
from krunc_compiler.review.document import review_document
from krunc_compiler.review.markdown import MOST, to_markdown
from krunc_compiler.review.page import difference_page, plan_page
from krunc_compiler.review.plan_sheet import plan_sheet
from krunc_compiler.review.sheet import Sheet
from krunc_compiler.review.summary import Review, review
from krunc_compiler.review.text import to_text
from krunc_compiler.review.words import bare, columns, folded, quoted, visible
from krunc_compiler.shape.checking import check
from krunc_schema import load
from markdown_it import MarkdownIt
from reviews import in_markdown, plan, reviewed

PLAIN = review(hostile("plain"))


class Shape(HTMLParser):
    """The elements of a page, and its texts by element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.texts: list[str] = []
        self.attributes: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += [f"{name}={value}" for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def changes(text: str, both: Callable[[Review, Review], Any]) -> Any:
    """What BOTH makes of a plan that changes from plain to hostile."""
    return both(reviewed(*ROWS[:20]), review(hostile(text)))


SHEETS: dict[str, Callable[[str], Sheet]] = {
    "show": lambda text: plan_sheet(review(hostile(text))),
    "diff": lambda text: changes(text, lambda a, b: change_sheet(compare(a, b))),
    "reverse": lambda text: changes(text, lambda a, b: change_sheet(compare(b, a))),
}
PAGES: dict[str, Callable[[str], str]] = {
    "show": lambda text: plan_page(review(hostile(text))),
    "diff": lambda text: changes(text, lambda a, b: difference_page(compare(a, b))),
}


def rows(sheet: Sheet) -> int:
    return len(sheet.head) + sum(len(section.lines) for section in sheet.sections)


@pytest.mark.parametrize("name", SHEETS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_text(kind: str, name: str) -> None:
    sheet = SHEETS[name](HOSTILE[kind])
    for width in (80, 133):
        shown = to_text(sheet, width)
        lines = shown.splitlines()
        assert lines == shown.split("\n")[:-1], "nothing else breaks a line"
        assert all(map(is_seen, lines))
        assert max(map(columns, lines)) <= width
        # What is at the left is krunc's: titles, and the labels of rows.
        starts = {line.strip() for line in lines if line[:1].strip() and MARK not in line}
        titles = {title.strip() for s in sheet.sections for title in (s.title, s.title.upper())}
        heads = ("digest ", "host access ", "old ", "new ", "one: ")
        assert all(start in titles or start.startswith(heads) for start in starts), starts
        labels = {row.label.strip() for section in sheet.sections for row in section.lines}
        for line in lines:
            if re.match(r"  \S", line) and MARK in line:
                assert any(line.strip().startswith(label) for label in labels)


@pytest.mark.parametrize("kind", HOSTILE)
def test_each_string_stands_whole_in_the_operations(kind: str) -> None:
    found = review(hostile(HOSTILE[kind]))
    lines = plan_sheet(found).sections[-2].lines
    assert len(lines) == len(found.operations)
    seen = 0
    for row, line in zip(found.operations, lines, strict=True):
        for text in leaves(row.get("args", {})):
            assert quoted(text)[1:-1] in line.text
            seen += MARK in text
    assert seen > 130


@given(st.text(), st.integers(1, 40))
def test_folding_loses_nothing(text: str, room: int) -> None:
    seen = visible(text)
    assert "".join(folded(seen, room)) == seen
    assert all(columns(piece.rstrip(" ")) <= max(room, 2) for piece in folded(seen, room))


@pytest.mark.parametrize("name", SHEETS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_markdown(kind: str, name: str) -> None:
    sheet = SHEETS[name](HOSTILE[kind])
    text = to_markdown(sheet, 10_000_000)
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    inline = [child for token in tokens if token.type == "inline" for child in token.children or ()]
    for token in [*tokens, *inline]:
        assert token.type not in ("link_open", "image", "html_inline", "table_open")
        if token.type == "fence":  # lines of values: all have a sign and a number before them
            assert token.info == "diff"
            assert all(
                re.match(r"[-+ ] *(\d+  |\.\.\.$)", one) for one in token.content.splitlines()
            )
            continue
        assert token.type != "heading_open" or token.tag == "h3"
        assert token.type == "code_inline" or not token.content or token.type == "inline" or (
            MARK not in token.content
        ), token  # fmt: skip
        if token.type == "html_block":
            assert re.fullmatch(r"<details><summary>[A-Za-z ,:]+ \(\d+\)</summary>\n|</details>\n?", token.content)  # fmt: skip
    items = sum(token.type == "list_item_open" for token in tokens)
    assert items == rows(sheet)
    assert all(map(is_seen, text.split("\n")))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("kind", HOSTILE)
def test_html(kind: str, name: str) -> None:
    page = PAGES[name](HOSTILE[kind])
    shape, plain = Shape(page), Shape(PAGES[name]("plain"))
    assert set(shape.elements) <= set(plain.elements)
    if name == "show":
        if kind == "long":  # what is cut from a word stands between two of them
            assert shape.elements["code"] > plain.elements["code"]
            del shape.elements["code"], plain.elements["code"]
        assert shape.elements == plain.elements
    assert not any(MARK in attribute for attribute in shape.attributes)
    assert kind != "template" or any("{{ 7 * 7 }}" in text for text in shape.texts)
    assert any(MARK in text for text in shape.texts)
    assert all(map(is_seen, page.split("\n")))


@pytest.mark.parametrize("kind", HOSTILE)
def test_json(kind: str) -> None:
    found = review(hostile(HOSTILE[kind]))
    document = review_document(found)
    assert not check(document, load("review.schema"))
    text = json.dumps(document)
    assert json.loads(text) == document
    assert text.isascii()
    assert document["plan"]["operations"] == list(hostile(HOSTILE[kind]).operations)
    changed = changes(HOSTILE[kind], lambda a, b: difference_document(compare(a, b)))
    assert not check(changed, load("diff.schema"))


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_arrow_outside_of_quotes_is_a_change(kind: str) -> None:
    """What a plan says is within quotes, so nothing in it can be read as an old and a new value."""
    plain, other = review(hostile("plain")), review(hostile(HOSTILE[kind]))
    arrows = 0
    for old, new in ((plain, other), (other, plain), (other, None), (None, other)):
        for change in compare(old, new).changes:
            bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", change.text)
            assert MARK not in bare
            arrows += bare.count("->")
            assert bare.count("->") <= 1 + bare.count("; ") if old and new else "->" not in bare
            assert "removed:" not in bare or bare.startswith("removed: ")
    assert arrows


# A program whose name is a label of krunc's own.
@pytest.mark.parametrize("name", ["removed:", "added:", "isolated:", "->", "-> removed:"])
def test_no_word_of_a_plan_is_a_label(name: str) -> None:
    rows = [
        {"call": "krun_set_exec", "args": {"exec_path": name, "argv": ["/bin/a"], "envp": {}}},
    ]
    (change,) = (one for one in compare(None, reviewed(*rows)).changes if one.kind == "program")
    assert change.text == f'"{name}" /bin/a'


@pytest.mark.parametrize("kind", HOSTILE)
def test_names_of_operations(kind: str) -> None:
    text = HOSTILE[kind]
    found = review(plan({"call": text}, {"step": text}, {"implicit": text}))
    shown = to_text(plan_sheet(found), 133)
    assert "\nhost access 3 other\n" in shown
    assert shown.count("other ") == 1  # the row's label
    assert all(map(is_seen, shown.split("\n")))
    assert MARK in plan_page(found)


def test_a_comment_never_grows_too_long() -> None:
    many = [{"call": "krun_add_virtiofs", "args": {"tag": f"t{i}", "path": "p" * 50 + str(i)}} for i in range(4000)]  # fmt: skip
    long = [{"call": "krun_set_exec", "args": {"exec_path": "/" + "a" * 200_000, "argv": [], "envp": {}}}]  # fmt: skip
    for old, new in ([], many), (many, []), (long, many[:20]), (many[:20], long), ([], many[:50] + long):  # fmt: skip
        difference = compare(reviewed(*old), reviewed(*new))
        sheet = change_sheet(difference)
        text = to_markdown(sheet)
        assert len(text.encode()) <= MOST
        assert text.count("<details>") == text.count("</details>")
        opens = difference.of("widens")
        fit = sum(in_markdown(change.sentence) in text for change in opens)
        numbers = re.findall(r"and ([\d,]+) more of this kind", text)
        counted = sum(int(number.replace(",", "")) for number in numbers)
        if opens:
            others = len(difference.changes) - len(opens)
            assert len(opens) <= fit + counted <= len(opens) + others, "each is told or counted"
        assert not opens or f": {len(opens):,} widen" in text
        if len(opens) < 200:
            assert fit == len(opens), "the openings stay; the rest is cut"
        assert ("are omitted" in text) == (to_markdown(sheet, 10_000_000) != text)


# A text, and how it stands in a sentence.
WORDS = {
    "plain/path_1.img": "plain/path_1.img",
    "": '""',
    "a b": '"a b"',
    "a,b": '"a,b"',
    "->": '"->"',
    "a -> b": '"a -> b"',
    "a->b": '"a->b"',
    "removed:": '"removed:"',
    "removed:a": "removed:a",
    'a"b\\': '"a\\"b\\\\"',
    "a" + " " * 17: '"a' + "\\u0020" * 17 + '"',
    "\\u202e": '"\\\\u202e"',
    "\u202e": '"\\u202e"',
    "a\tb\n": '"a\\tb\\n"',
    "\U000e0041": '"\\U000e0041"',
    "caf\u00e9": '"caf\u00e9"',
    "cafe\u0301": '"cafe\\u0301"',
    "\u6f22": '"\u6f22"',
    "\u05d0\u0627": '"\\u05d0\\u0627"',
    "\u3164\u00a0": '"\\u3164\\u00a0"',
}


@pytest.mark.parametrize("text", WORDS)
def test_word(text: str) -> None:
    assert bare(text) == WORDS[text]


def test_a_long_word_shows_its_ends_and_its_hash() -> None:
    one, other = ("a" * 150 + middle + "b" * 150 for middle in "xy")
    assert bare(one).startswith('"aaa')
    assert "(301 characters, sha256 " in bare(one)
    assert bare(one) != bare(other)
