"""The HTML of a review in a real Chromium: it fits, loads nothing, and is accessible."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.review.difference import compare
from krunc_compiler.review.page import difference_page, plan_page
from krunc_compiler.review.summary import review
from playwright.sync_api import Browser, sync_playwright
from reviews import BOX, reviewed_box
from test_review_hostile import HOSTILE, hostile

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "krunc-tests"
_AXE = "axe-core@4.11.0"


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script; npm only unpacks it."""
    folder = _CACHE / _AXE
    _CACHE.mkdir(parents=True, exist_ok=True)
    with open(_CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            subprocess.run(["npm", "pack", "--silent", _AXE], cwd=_CACHE, check=True)
            (archive,) = _CACHE.glob("axe-core-*.tgz")
            with tarfile.open(archive) as tar:
                tar.extractall(_CACHE / "axe", filter="data")
            archive.unlink()
            (_CACHE / "axe" / "package").rename(folder)
    return (folder / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or another that is installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, "install chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


FREE = {
    **BOX,
    "shares": [{"tag": f"s{i}", "path": f"./{'long' * 9}/{i}", "read_only": i == 1} for i in (1, 2)],
    "network": {"mode": "tsi", "ports": ["8080:80"]},
    "entrypoint": {"executable": "/a", "env": {"A": {"from_env": "TOKEN"}}},
}  # fmt: skip
PAGES: dict[str, Callable[[], str]] = {
    "plan": lambda: plan_page(reviewed_box(FREE)),
    "difference": lambda: difference_page(compare(reviewed_box(BOX), reviewed_box(FREE))),
    "new": lambda: difference_page(compare(None, reviewed_box(BOX))),
    "nothing": lambda: difference_page(compare(None, None)),
    "html": lambda: plan_page(review(hostile(HOSTILE["html"]))),
    "lines": lambda: plan_page(review(hostile(HOSTILE["lines"]))),
    "wide": lambda: plan_page(review(hostile(HOSTILE["wide"]))),
}
CASES = [
    *((name, width, scheme) for name in ("plan", "difference") for width in (360, 1280) for scheme in ("light", "dark")),
    *((name, 360, "light") for name in ("new", "nothing", "html", "lines", "wide")),
]  # fmt: skip


@pytest.mark.parametrize(("name", "width", "scheme"), CASES)
def test_page(
    name: str, width: int, scheme: Any, chromium: Browser, axe: str, tmp_path: Path
) -> None:
    file = tmp_path / "review.html"
    file.write_text(PAGES[name](), "utf-8")
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert asked == [file.as_uri()], "one file and nothing else"
    assert page.evaluate("document.scripts.length") == 0
    page.screenshot(path=tmp_path / "page.png", full_page=name == "plan")
    assert (tmp_path / "page.png").stat().st_size > 5000
    page.evaluate(axe)
    result = page.evaluate("axe.run()")
    assert result["passes"]
    assert json.dumps([(one["id"], one["nodes"][0]["html"]) for one in result["violations"]]) == "[]"  # fmt: skip
    assert said == []
    context.close()


def test_the_keyboard_reaches_what_folds_and_scrolls(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "review.html"
    file.write_text(PAGES["plan"](), "utf-8")
    page = chromium.new_page(viewport={"width": 360, "height": 800})
    page.goto(file.as_uri())
    reached = []
    for _ in range(3):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName"))
    assert reached[:2] == ["DIV", "SUMMARY"]
    page.keyboard.press("Shift+Tab")
    assert not page.evaluate("document.querySelector('details').open")
    page.evaluate("document.querySelector('summary').focus()")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")
    page.close()


def test_nothing_overlaps_in_the_picture(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "review.html"
    file.write_text(PAGES["plan"](), "utf-8")
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.goto(file.as_uri())
    outside = page.evaluate(
        """() => [...document.querySelectorAll('svg g')].flatMap(g => {
            const rects = [...g.querySelectorAll('rect')].map(one => one.getBoundingClientRect());
            const texts = [...g.querySelectorAll('text.mono')].map(one => one.getBoundingClientRect());
            return texts.filter((text, i) => text.right > rects[i].right).map(text => text.right);
        })"""
    )
    assert outside == []
    assert page.evaluate("document.querySelectorAll('svg g').length") == 7
    page.close()
