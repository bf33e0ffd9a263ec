"""The HTML of a review in a real Chromium: it fits, loads nothing, and is accessible."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hostile import HOSTILE, hostile
from krunc_compiler.review.difference import compare
from krunc_compiler.review.page import difference_page, plan_page
from krunc_compiler.review.picture import pictures
from krunc_compiler.review.summary import review
from playwright.sync_api import Browser, Page, sync_playwright
from processes import PATIENCE
from reviews import BOX, call, reviewed, reviewed_box

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "krunc-tests"
_AXE = "axe-core@4.11.0"


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script; npm only unpacks it."""
    directory = _CACHE / _AXE
    _CACHE.mkdir(parents=True, exist_ok=True)
    with open(_CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            subprocess.run(["npm", "pack", "--silent", _AXE], cwd=_CACHE, check=True)
            (archive,) = _CACHE.glob("axe-core-*.tgz")
            with tarfile.open(archive) as tar:
                tar.extractall(_CACHE / "axe", filter="data")
            archive.unlink()
            (_CACHE / "axe" / "package").rename(directory)
    return (directory / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, or another that is installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, "install chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"], timeout=PATIENCE * 1000
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page_of(chromium: Browser, width: int, **more: Any) -> Iterator[Page]:
    """A page in the browser that is WIDTH pixels wide."""
    context = chromium.new_context(viewport={"width": width, "height": 800}, **more)
    context.set_default_timeout(PATIENCE * 1000)
    try:
        yield context.new_page()
    finally:
        context.close()


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
    with page_of(chromium, width, color_scheme=scheme, bypass_csp=True) as page:
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


def test_the_keyboard_reaches_what_folds(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "review.html"
    file.write_text(PAGES["plan"](), "utf-8")
    with page_of(chromium, 360) as page:
        page.goto(file.as_uri())
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        assert not page.evaluate("document.querySelector('details').open")
        page.keyboard.press("Enter")
        assert page.evaluate("document.querySelector('details').open")


# For each visible row of the picture: how far its texts stick out of their boxes, in pixels, and
# the height of a letter.
_TEXTS = """() => [...document.querySelectorAll('svg')].filter(svg => svg.checkVisibility()).flatMap(
    svg => [...svg.querySelectorAll('g')].map(g => {
        const boxes = [...g.querySelectorAll('rect')].map(one => one.getBoundingClientRect());
        const texts = [...g.querySelectorAll('text.mono')].map(one => one.getBoundingClientRect());
        const size = parseFloat(getComputedStyle(g.querySelector('text')).fontSize);
        const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
        return {
            letters: size * scale,
            outside: texts.filter(text => !boxes.some(box => text.left >= box.left
                && text.right <= box.right && text.top >= box.top && text.bottom <= box.bottom)).length,
        };
    }))"""


@pytest.mark.parametrize("width", [320, 360, 640, 641, 1280])
@pytest.mark.parametrize("name", ["plan", "html", "lines", "wide"])
def test_the_texts_of_the_picture_stay_in_their_boxes(
    name: str, width: int, chromium: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "review.html"
    file.write_text(PAGES[name](), "utf-8")
    with page_of(chromium, width) as page:
        page.goto(file.as_uri())
        assert page.evaluate("[...document.querySelectorAll('svg')].filter(s => s.checkVisibility()).length") == 1  # fmt: skip
        rows = page.evaluate(_TEXTS)
        assert len(rows) == (7 if name == "plan" else 24)
        assert sum(row["outside"] for row in rows) == 0
        assert min(row["letters"] for row in rows) >= 9


# The text of a fact, and the two sides of its arrow.
SIDES = [
    (call("krun_add_virtiofs", tag="t", path="a (share b"), ('directory "a (share b"', "share t")),
    (call("krun_add_virtiofs", tag="t", path='a" (b'), ('directory "a\\" (b"', "share t")),
    (call("krun_set_root", root_path="r as s"), ('directory "r as s"', "root")),
    (call("krun_set_port_map", port_map=["8080:80"]), ("host port 8080", "guest port 80")),
    (call("krun_add_vsock_port2", port=5, filepath="s", listen=True), ("host socket s", "guest vsock port 5")),
    (call("krun_add_vsock_port", port=5, filepath="s from guest vsock port 6"), ('host socket "s from guest vsock port 6"', "guest vsock port 5")),
    (call("krun_set_env", envp={"A": {"from_env": "B"}}), ("variable B", "variable A")),
    ({"implicit": "vsock_with_tsi"}, ("any address that the host user can reach, including localhost", "TSI")),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "sides"), SIDES, ids=range(len(SIDES)))
def test_both_sides_of_an_arrow(operation: dict[str, Any], sides: tuple[str, str]) -> None:
    """What is quoted is never taken apart."""
    (arrow,) = pictures(reviewed(operation))[0].arrows
    assert (" ".join(arrow.host), " ".join(arrow.guest)) == sides
