"""The README and the pages: every block is held by a rule, every link leads somewhere."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from krunc_compiler.__main__ import main
from krunc_compiler.shape.checking import check
from krunc_schema import load
from pages import HELD, NOT_RUN, PAGES, Block, blocks, commands, environment, fits, run
from places import ROOT

BLOCKS = [block for page in PAGES for block in blocks(page)]


def at(value: Path | Block) -> str:
    """The name of a test."""
    if isinstance(value, Block):
        return f"{value.page.relative_to(ROOT)}:{value.line}"
    return str(value.relative_to(ROOT))


@pytest.mark.parametrize("block", BLOCKS, ids=at)
def test_a_block_has_a_rule(block: Block) -> None:
    if block.language == "console" and block.marker in NOT_RUN:
        return
    named = block.marker.removeprefix("held by ")
    if named != block.marker:
        assert block.page.name in (ROOT / named).read_text("utf-8")
        return
    assert block.kind in HELD


@pytest.mark.parametrize("page", PAGES, ids=at)
def test_a_page_has_fenced_blocks_alone(page: Path) -> None:
    """An indented block has no language, so no rule."""
    bare = re.sub(r"^(```+).*?^\1$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert not re.findall(r"\n\n    \S.*", bare)
    assert len(re.findall("^```", page.read_text("utf-8"), re.MULTILINE)) == 2 * len(blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=at)
def test_commands_print_what_the_page_shows(
    page: Path, tmp_path: Path, update_golden: bool
) -> None:
    """What boots is run by tests/boot/test_pages.py."""
    directory = tmp_path / "page"
    directory.mkdir()
    env = environment(tmp_path / "home")

    def shell(script: str) -> str:
        command = ["bash", "-c", script]
        done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True)
        return done.stdout + done.stderr

    run(page, directory, {"": shell}, update_golden)


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "console"], ids=at
)
def test_options_of_krunc_are_known(block: Block) -> None:
    """Also of what is not run: each command exists, and its help has each option."""
    for one in commands(block):
        for words in said(one.text.partition("<<'")[0].replace("\\\n", " ")):
            while words and (words[0] in ("sudo", "!", "env") or "=" in words[0]):
                del words[0]
            if words[:1] != ["krunc"] or words[1:2] == ["--version"]:
                continue
            verb, *rest = words[1:]
            shown = help_of(verb)
            for word in rest[: rest.index("--")] if "--" in rest else rest:
                if re.match("--?[a-z]", word):
                    name = word.partition("=")[0]
                    assert re.search(rf"(?<![\w-]){re.escape(name)}\b", shown), one.text


def said(text: str) -> list[list[str]]:
    """The words of each simple command of a line of shell."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("();|&"):
            found.append([])
        else:
            found[-1].append(word)
    return found


@cache
def help_of(verb: str) -> str:
    """What `krunc VERB --help` prints."""
    command = [sys.executable, "-m", "krunc", verb, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.language == "yaml"], ids=at)
def test_yaml_is_what_it_says(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = yaml.safe_load(block.text)
    assert value is not None
    if block.marker == "part":
        assert set(value) <= set(load("box.schema")["properties"]) | {"extends", "matrix"}
    elif "krunc_policy" in value:
        assert check(value, load("policy.schema")) == []
    elif "krunc" in value and "extends" not in value:
        monkeypatch.chdir(tmp_path)
        Path("box.yaml").write_text(block.text)
        if "image:" in block.text:
            lock = json.loads((ROOT / "boxes/image.lock.json").read_text("utf-8"))
            (row,) = lock["images"]
            lock["images"] = [{**row, "reference": value["rootfs"]["image"]}]
            Path("box.lock.json").write_text(json.dumps(lock))
        target = [] if "target" in value else ["--target", "2"]
        assert main(["compile", "box.yaml", *target]) == 0


@pytest.mark.parametrize(
    "block", [one for one in BLOCKS if one.language in ("json", "python")], ids=at
)
def test_data_and_code_are_such(block: Block) -> None:
    if block.language == "json":
        json.loads(block.text)
    else:
        compile(block.text, at(block), "exec")


# Links: of every page, generated ones too.
LINKING = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of PAGE."""
    text = re.sub(r"^(```+).*?^\1$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    found: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", bare).replace(" ", "-")
        found.append(f"{name}-{found.count(name)}" if name in found else name)
    return {*found, *re.findall(r'<a (?:id|name)="([^"]+)"', text)}


@pytest.mark.parametrize("page", LINKING, ids=at)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^(```+).*?^\1$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        led = page.parent / name if name else page
        assert led.exists(), target
        if anchor and led.suffix == ".md":
            assert anchor in anchors(led), target


def test_every_page_is_reached_from_the_readme() -> None:
    seen, left = set(), [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text("utf-8")):
            if not re.match(r"[a-z]+:", target) and (page.parent / target).is_file():
                left.append((page.parent / target).resolve())
    assert {path.resolve() for path in (ROOT / "docs").rglob("*.md")} <= seen


def test_the_table_of_recipes_counts_their_commands() -> None:
    """All of them, and those that start the recipe: up to its launch, which compiles on the way."""
    page = ROOT / "docs/recipes.md"
    lines = page.read_text("utf-8").splitlines()
    titles = {number: line[3:] for number, line in enumerate(lines) if line.startswith("## ")}
    typed: dict[str, list[str]] = {}
    for block in (block for block in blocks(page) if block.language == "console"):
        above = [title for number, title in titles.items() if number < block.line]
        if above:
            typed.setdefault(above[-1], []).extend(one.text for one in commands(block))
    rows = re.findall(r"(?m)^\| (\w[^|]*\w) \| (\d+) \| (\d+) \| (\d+ s|-) \|", "\n".join(lines))
    assert [row[0] for row in rows] == [*typed]
    for title, counted, to_start, _ in rows:
        launches = [n for n, text in enumerate(typed[title]) if "krunc launch" in text]
        before = typed[title][: launches[0]]
        needed = [text for text in before if not re.match("krunc (compile|show) ", text)]
        assert (int(counted), int(to_start)) == (len(typed[title]), len(needed) + 1)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_dots_stand_for_what_varies() -> None:
    assert fits("a ... c\n...\nd\n", "a b c\nx\ny\nd\n")
    assert fits("...\nd\n", "d\n")
    assert not fits("a ... c\n", "a b\n")
    assert not fits("a\n", "a\nb\n")
