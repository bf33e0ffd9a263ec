"""The HTML of a review in a real Chromium: it fits, loads nothing, and is accessible."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from generate_screenshots import digests, pages
from hostile import HOSTILE, hostile
from krunc_compiler.review.difference import compare
from krunc_compiler.review.page import difference_page, plan_page
from krunc_compiler.review.picture import changed_picture, picture
from krunc_compiler.review.summary import review
from krunc_compiler.review.words import plain
from places import ROOT
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
WIDTHS = (360, 400, 900, 1400)
CASES = [
    *((name, width, scheme) for name in ("plan", "difference") for width in WIDTHS for scheme in ("light", "dark")),
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


# For each row of the picture: the texts that stick out of its boxes, the boxes that stick out of the
# picture or reach into another, and the height of a letter.
_ROWS = """() => [...document.querySelectorAll('.arrows li')].map(row => {
    const all = document.querySelector('.picture').getBoundingClientRect();
    const ends = [...row.querySelectorAll('.end, .verb')];
    const boxes = ends.map(one => one.getBoundingClientRect());
    const outside = ends.filter((one, i) => [...one.childNodes].some(text => {
        const range = document.createRange();
        range.selectNodeContents(text);
        return [...range.getClientRects()].some(rect => rect.left < boxes[i].left - 0.5
            || rect.right > boxes[i].right + 0.5 || rect.top < boxes[i].top - 0.5
            || rect.bottom > boxes[i].bottom + 0.5);
    }));
    const [host, verb, guest] = boxes;
    return {
        letters: Math.min(...[...row.querySelectorAll('*')].map(
            one => parseFloat(getComputedStyle(one).fontSize))),
        outside: outside.length,
        apart: host.left >= all.left && host.right <= verb.left + 0.5
            && verb.right <= guest.left + 0.5 && guest.right <= all.right,
    };
})"""


@pytest.mark.parametrize("width", [320, 360, 640, 641, 900, 1400])
@pytest.mark.parametrize("name", ["plan", "difference", "html", "lines", "wide"])
def test_the_texts_of_the_picture_stay_in_their_boxes(
    name: str, width: int, chromium: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "review.html"
    file.write_text(PAGES[name](), "utf-8")
    with page_of(chromium, width) as page:
        page.goto(file.as_uri())
        assert page.evaluate("[...document.querySelectorAll('.picture')].filter(s => s.checkVisibility()).length") == 1  # fmt: skip
        rows = page.evaluate(_ROWS)
        assert len(rows) == (7 if name in ("plan", "difference") else 24)
        assert sum(row["outside"] for row in rows) == 0
        assert all(row["apart"] for row in rows)
        assert min(row["letters"] for row in rows) >= 9


def test_a_link_to_an_operation_opens_what_folds(chromium: Browser, tmp_path: Path) -> None:
    file = tmp_path / "review.html"
    file.write_text(PAGES["plan"](), "utf-8")
    with page_of(chromium, 900) as page:
        page.goto(file.as_uri())
        link = page.locator(".origin a").first
        target = link.get_attribute("href") or ""
        assert not page.locator(target).is_visible()
        link.click()
        assert page.locator(target).is_visible()
        lost = "[...document.querySelectorAll('a')].filter(a => !document.querySelector(a.hash))"
        assert page.evaluate(f"{lost}.length") == 0


def colours(page: Page, selector: str) -> set[str]:
    """The texts of the labels that are shown in red."""
    return set(
        page.evaluate(
            """selector => [...document.querySelectorAll(selector)].filter(one => {
                const [r, g, b] = getComputedStyle(one).color.match(/\\d+/g).map(Number);
                return r > 2 * g && r > 2 * b;
            }).map(one => one.textContent)""",
            selector,
        )
    )


# What a box asks for beyond what it must say, and the labels that are red for it.
RED: list[tuple[dict[str, Any], set[str]]] = [
    ({}, set()),
    ({"machine": {"cpus": 4}}, set()),
    ({"shares": [{"tag": "a", "path": "./a"}]}, set()),
    ({"shares": [{"tag": "a", "path": "./a", "read_only": False}]}, {"host access", "write"}),
    ({"rootfs": {"path": "/"}}, {"host access", "write", "replace", "exposed"}),
    ({"rootfs": {"path": "../other"}}, {"host access", "write"}),
    ({"rootfs": {"path": "."}}, {"host access", "write", "replace"}),
    ({"network": {"mode": "tsi"}}, {"host access", "network", "exposed"}),
    ({"confine": "off"}, {"exposed"}),
    ({"machine": {"nested": True}}, {"exposed"}),
]  # fmt: skip


@pytest.mark.parametrize(("more", "red"), RED, ids=range(len(RED)))
def test_red_is_what_is_unusual(
    more: dict[str, Any], red: set[str], chromium: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "review.html"
    file.write_text(plan_page(reviewed_box({**BOX, **more})), "utf-8")
    with page_of(chromium, 900, color_scheme="light") as page:
        page.goto(file.as_uri())
        assert colours(page, ".label") == red
        assert bool(colours(page, ".arrows .verb")) == bool(red & {"write", "network"})


def test_text_is_in_a_text_face_and_values_in_that_of_code(
    chromium: Browser, tmp_path: Path
) -> None:
    file = tmp_path / "review.html"
    file.write_text(PAGES["plan"](), "utf-8")
    with page_of(chromium, 900) as page:
        page.goto(file.as_uri())
        row = page.locator(".rows .text", has_text="share s2").first
        assert row.locator("code").all_inner_texts() == [f"{'long' * 9}/2", "s2"]
        face = "one => getComputedStyle(one).fontFamily"
        assert "monospace" not in row.evaluate(face)
        assert "monospace" in row.locator("code").first.evaluate(face)


def test_an_address_of_a_port_is_one_value() -> None:
    """Also in markdown, where a * outside of code has to be escaped."""
    shown = plan_page(reviewed(call("krun_set_port_map", port_map=["8080:80"])))
    assert "(<code>0.0.0.0</code>: <code>*:8080</code>)" in shown


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
    (arrow,) = picture(reviewed(operation)).arrows
    assert (plain(arrow.host), plain(arrow.guest)) == sides


def test_the_picture_of_a_difference_marks_what_is_new() -> None:
    """One picture has both plans: what changes stands first, and what is gone last of it."""
    gone = {**BOX, "shares": [{"tag": "old", "path": "./old"}, {"tag": "s1", "path": "./a"}]}
    drawn = changed_picture(compare(reviewed_box(gone), reviewed_box(FREE)))
    assert drawn is not None
    told = [(plain(arrow.host), arrow.mark, arrow.loud) for arrow in drawn.arrows]
    long = "long" * 9
    assert told == [
        (f"directory {long}/2", "new", True),
        ("any address that the host user can reach, including localhost", "new", True),
        ("host port 8080", "new", True),
        ("variable TOKEN", "new", True),
        (f"directory {long}/1", "changed", True),
        ("directory old", "gone", False),
        ("directory rootfs", "", False),
        ("the launcher's stdin, stdout and stderr", "", False),
    ]
    assert drawn.changed == "program"
    assert drawn.marks == ("new", "changed", "gone")


# What both plans of a pair have, red in the picture of either plan alone.
BOTH: list[dict[str, Any]] = [
    {"network": {"mode": "tsi"}},
    {"shares": [{"tag": "a", "path": "/srv", "read_only": False}]},
    {"rootfs": {"path": "/"}},
    {"vsock": [{"port": 5, "socket": "./s", "listen": True}]},
]


@pytest.mark.parametrize("both", BOTH, ids=range(len(BOTH)))
@pytest.mark.parametrize("more", [{}, {"machine": {"cpus": 4}}, {"hostname": "other"}])
def test_of_two_plans_what_stays_is_not_red(both: dict[str, Any], more: dict[str, Any]) -> None:
    """The legend says so: red is what the VM can access more than before."""
    old, new = reviewed_box({**BOX, **both}), reviewed_box({**BOX, **both, **more})
    assert any(arrow.loud for arrow in picture(new).arrows)
    drawn = changed_picture(compare(old, new))
    assert drawn is not None
    assert not drawn.is_loud
    widened = changed_picture(compare(reviewed_box(BOX), new))
    assert widened is not None
    assert widened.is_loud


@pytest.mark.parametrize("width", [320, 390, 900])
def test_no_line_ends_within_an_arrow(width: int, chromium: Browser, tmp_path: Path) -> None:
    """Neither where the line is full; a value that holds one is told as it is."""
    env = [{f"V{n}": f"{'x' * n} -> {old}" for n in range(40)} for old in ("a", "b")]
    old, new = ({**BOX, "entrypoint": {"executable": "/a", "env": one}} for one in env)
    file = tmp_path / "review.html"
    file.write_text(difference_page(compare(reviewed_box(old), reviewed_box(new))), "utf-8")
    with page_of(chromium, width) as page:
        page.goto(file.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        split, seen = page.evaluate(
            """() => {
                const arrows = [...document.querySelectorAll('.whole')];
                return [arrows.filter(s => s.getClientRects().length > 1).length, arrows.length];
            }"""
        )
        assert (split, seen) == (0, 40)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("sides", [(None, BOX), (BOX, None)])
def test_a_plan_that_comes_or_goes_has_a_picture_without_marks(sides: tuple[Any, Any]) -> None:
    drawn = changed_picture(compare(*(reviewed_box(one) if one else None for one in sides)))
    assert drawn is not None
    assert {arrow.mark for arrow in drawn.arrows} == {""}


def test_the_screenshots_show_the_html_of_today() -> None:
    """python docs/generate_screenshots.py takes them again."""
    taken = json.loads((ROOT / "docs" / "screenshots.json").read_text("utf-8"))
    assert taken == digests(pages())
    assert all((ROOT / "docs" / name).stat().st_size > 5000 for name in taken)


def test_the_html_of_a_large_plan_is_quick() -> None:
    """A plan of 1 MiB, in a process that has made one already."""
    many = [call("krun_add_virtiofs", tag=f"t{i}", path=f"{'p' * 150}/{i}") for i in range(4500)]
    both = reviewed(*many[:2000]), reviewed(*many)
    assert len(json.dumps(both[1].value)) > 2**20
    plan_page(both[0])
    made: list[Callable[[], str]] = [
        lambda: plan_page(both[1]),
        lambda: difference_page(compare(*both)),
    ]
    for make in made:
        start = time.process_time()
        assert len(make()) > 2**20
        assert time.process_time() - start < 2
