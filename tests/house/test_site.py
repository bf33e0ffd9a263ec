"""The site that mkdocs makes of the pages: nothing in it is broken, and it shows what the pages have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from markdown_it import MarkdownIt
from places import ROOT

REPOSITORY = "https://git.example/a/krunc"
BESIDE = {"index": "README", "security": "SECURITY", "changelog": "CHANGELOG", "contributing": "CONTRIBUTING"}  # fmt: skip


class Seen(HTMLParser):
    """What a page of the site has: its anchors, its links, and of its article the counts of some
    elements, with the texts of code in lines."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.counts = dict.fromkeys(("li", "tr", "pre", "h2", "h3"), 0)
        self.code: list[str] = []
        self._open: list[str] = []
        self._article = self._pre = self._code = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.anchors.add(str(given["id"]))
        for name in ("href", "src"):
            if given.get(name):
                self.links.append(str(given[name]))
        self._article = self._article or tag == "article"
        if self._article and tag in self.counts:
            self.counts[tag] += 1
        self._pre = self._pre or tag == "pre"
        if self._article and tag == "code" and not self._pre:
            self._code = True
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "article":
            self._article = False
        elif tag == "pre":
            self._pre = False
        elif tag == "code":
            self._code = False

    def handle_data(self, data: str) -> None:
        if self._code:
            self.code[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built so that what mkdocs warns of is an error."""
    made = tmp_path_factory.mktemp("site")
    variables = {"KRUNC_REPOSITORY": REPOSITORY, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(made)],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Seen]:
    """What each page of the site has."""
    return {path: Seen(path.read_text("utf-8")) for path in sorted(site.rglob("index.html"))}


def test_no_link_and_no_anchor_is_broken(site: Path, pages: dict[Path, Seen]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                rest = link.removeprefix(REPOSITORY)
                if rest != link and rest.strip("/"):
                    _, kind, head, name = rest.partition("#")[0].split("/", 3)
                    there = ROOT / unquote(name)
                    right = there.is_dir() if kind == "tree" else there.is_file()
                    broken += [] if right and head == "HEAD" else [(path, link)]
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                broken.append((path, link))
            elif parts.fragment and target in pages:
                wanted = unquote(parts.fragment)
                broken += [] if wanted in pages[target].anchors else [(path, link)]
    assert broken == []


def source_of(site: Path, page: Path) -> Path:
    name = page.parent.relative_to(site).as_posix()
    name = "index" if name == "." else name
    return ROOT / (f"{BESIDE[name]}.md" if name in BESIDE else f"docs/{name}.md")


def test_each_page_has_a_place_in_the_navigation(site: Path, pages: dict[Path, Seen]) -> None:
    of_docs = set((ROOT / "docs").rglob("*.md"))
    assert {source_of(site, page) for page in pages} >= of_docs
    config = re.sub(r"!ENV", "", (ROOT / "mkdocs.yml").read_text("utf-8"))
    named = str(yaml.safe_load(config)["nav"])
    for path in of_docs:
        assert f"'{path.relative_to(ROOT / 'docs').as_posix()}'" in named


def test_the_site_shows_lists_tables_and_code_as_the_repository_does(
    site: Path, pages: dict[Path, Seen]
) -> None:
    kinds = {"list_item_open": "li", "tr_open": "tr", "fence": "pre", "code_block": "pre"}
    for page, seen in pages.items():
        text = source_of(site, page).read_text("utf-8")
        counts = dict.fromkeys(seen.counts, 0)
        code = []
        for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
            name = token.tag if token.type == "heading_open" else kinds.get(token.type, "")
            if name in counts:
                counts[name] += 1
            code += [one.content for one in token.children or () if one.type == "code_inline"]
        assert seen.counts == counts, page
        assert [" ".join(one.split()) for one in seen.code] == [
            " ".join(one.split()) for one in code
        ], page


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in site.rglob("index.html"):
        text = path.read_text("utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*src=\"?(https?:[^\" >]*)", text)
        loaded += re.findall(
            r"<link[^>]*rel=\"?(?:stylesheet|preconnect)\"?[^>]*href=\"?(https?:[^\" >]*)", text
        )
        assert loaded == [], path
