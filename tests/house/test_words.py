"""Everything that a reader of krunc sees is in plain English: tests/tools/words.py has the rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from help_lines import lines
from krunc_schema import load
from places import ROOT
from words import Text, files, found_in, hits, is_fix, of_json, of_markdown, of_python, of_yaml

FILES = list(files())


def test_no_text_has_words_of_its_own() -> None:
    found = [str(hit) for path, read in FILES for hit in hits(path, read)]
    assert not found, "\n".join(["", *found, "tests/tools/words.yaml has the rules"])


def test_every_kind_of_file_is_looked_at() -> None:
    seen = {str(path.relative_to(ROOT)) for path, _ in FILES}
    for name in (
        "README.md",
        "SECURITY.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/launch.md",
        "docs/reference/box.md",
        "schema/krunc_schema/findings.json",
        "compiler/krunc_compiler/shape/checking.py",
        "launcher/krunc_launcher/host/preflight.py",
        "integrations/review_comment.py",
        "boxes/build.yaml",
        "action.yml",
    ):
        assert name in seen
    # Made from the schemas, which are looked at.
    assert not any("/_rules.py" in name for name in seen)


LONG = " ".join(["word"] * 31)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("Every folder is read.", ["folder"]),
        ("It waits until\nsomebody answers.", ["somebody"]),
        ("| a key | told at once |", ["told", "at once"]),
        ("The `folder` key, and ``a text `told` ``.", []),
        ("[a page](../folder/told.md) and <a href='told'>", []),
        ("```console\n$ krunc show folder\nnobody\n```", []),
        ("A directory of the host.", ["of the host"]),
        ("Files of the host's user, limits of the host user.", []),
        ("A descriptor.", ["descriptor"]),
        ("A file descriptor; `--allow-loss`, descriptor=...", []),
        ("Nested virtualisation is off, nested virtualization too.", ["virtualisation"]),
        ("Coloured behaviour: a promise to advise four hours.", ["Coloured", "behaviour"]),
        ("There is no longer a limit; there is no box.", []),
        (f"{LONG}.", [f"{LONG[:60]}..."]),
        (f"{LONG[:-5]}. Another sentence.", []),
        (f"**A title.** {LONG[:-5]}.", []),
        (f"| {LONG} |", []),
    ],
)
def test_a_page(source: str, found: list[str]) -> None:
    texts = list(of_markdown(source))
    assert [hit.found for text in texts for hit in found_in(text, "a.md")] == found


def test_the_line_and_the_way_to_write_it() -> None:
    page = "# Title\n\n```sh\nfolder\n```\n\nA folder\nis here.\n"
    (hit,) = [hit for text in of_markdown(page) for hit in found_in(text, "docs/a.md")]
    assert str(hit) == "docs/a.md:7: found 'folder'; write instead: directory"


def test_what_is_read_of_other_files() -> None:
    python = '"""A docstring, told."""\nX = f"a {1} text {2}"\nY = "told"\nZ = ("a b "\n  "c")\n'
    assert list(of_python(python)) == [Text(2, "a {} text {}"), Text(4, "a b c")]
    schema = '{"title": "a b",\n "name": "c d",\n "way_out": "e f", "x-kind": "told"}'
    assert list(of_json(schema)) == [Text(1, "a b"), Text(3, "e f", is_fix=True)]
    assert list(of_yaml("a: 1  # a note\n# more of it\nb: told\n")) == [
        Text(1, "a note"),
        Text(2, "more of it"),
    ]


@pytest.mark.parametrize(
    ("fix", "is_one"),
    [
        ("Remove the key.", True),
        ("`run` it.", True),
        ("The key is removed.", False),
        ("To keep it, write it.", False),
    ],
)
def test_a_fix_starts_with_a_verb(fix: str, is_one: bool) -> None:
    assert (not list(found_in(Text(1, fix, is_fix=True), "findings.json"))) == is_one


def _starts_of_tables() -> Iterator[str]:
    """The texts of the schemas that are help lines as they are."""
    for rows in load("habits")["keys"].values():
        yield from (row["say"] for row in rows if "say" in row and "to" not in row)
    for rows in load("habits")["values"].values():
        yield from (row["say"] for row in rows)

    def of_schema(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            yield from (text for key, text in value.items() if key == "x-not")
            value = list(value.values())
        if isinstance(value, list):
            for item in value:
                yield from of_schema(item)

    yield from of_schema(load("box.schema"))


def test_every_help_line_that_the_compiler_can_make_is_a_fix() -> None:
    """Followed from each Finding to the texts that its hint can start with."""
    found = lines()
    assert len(found) > 250
    assert len({line.place.partition(":")[0] for line in found}) > 50
    # Of a policy's rules, what is said follows `keep to POLICY` (policy/files.py).
    said = [line for line in found if "/policy/rules.py:" not in line.place]
    wrong = [f"{line.place}: {line.text}" for line in said if not is_fix(line.text)]
    assert not wrong, "\n".join(["", *wrong])


def test_every_help_line_of_the_tables_is_a_fix() -> None:
    starts = list(_starts_of_tables())
    assert len(starts) > 50
    assert not [text for text in starts if not is_fix(text)]


def test_every_help_line_of_the_bad_boxes_is_a_fix() -> None:
    texts = [path.read_text("utf-8") for path in (ROOT / "tests" / "bad").glob("*.stderr")]
    found = [line for text in texts for line in re.findall("^ +(?:= )?help: (.+)$", text, re.M)]
    assert len(found) > 150
    assert not sorted({line for line in found if not is_fix(line)})


@pytest.mark.parametrize(
    ("hint", "found"),
    [
        ('"the key"', ["the key"]),
        ('f"the {key}"', ["the "]),
        ('key and "the key" or "remove it"', ["the key", "remove it"]),
        ('"remove it" if key else _WORDS[key]', ["remove it", "the words", "more words"]),
        ("_made(key)", ["made"]),
        ("local", ["of the function", "or this"]),
        ("given", ["by a call"]),
    ],
)
def test_where_help_lines_are_looked_for(hint: str, found: list[str], tmp_path: Path) -> None:
    """The follower sees what it is to see, whichever way a hint is written."""
    (tmp_path / "a.py").write_text(
        '_WORDS = {1: "the words", 2: "more words"}\n'
        'def _made(key):\n    return f"made {key}"\n'
        "def find(key, given):\n"
        '    local = "of the function"\n    if key:\n        local = "or this"\n'
        f"    return Finding(1, 2, 3, hint={hint})\n"
        'find(1, given="by a call")\n'
    )
    assert [line.text.strip() for line in lines(tmp_path)] == [text.strip() for text in found]
