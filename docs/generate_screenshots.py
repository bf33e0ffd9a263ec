"""Writes the screenshots of docs/ and README.md: the HTML of the box in README.md, and of the
change in docs/review-demo.md; and screenshots.json, which has the digest of the HTML of each. A
test compares those with the HTML of today. Needs chromium."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from krunc_compiler.pipeline.compiling import compile_box
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.review.difference import compare
from krunc_compiler.review.page import difference_page, plan_page
from krunc_compiler.review.summary import Review, review
from krunc_compiler.values.inputs import Inputs
from playwright.sync_api import sync_playwright

DOCS = Path(__file__).parent
# The file, the page, width and height of the window, the reader's colours.
SHOTS = (
    ("review.png", "plan", 900, 900, "light"),
    ("review-phone.png", "plan", 400, 900, "dark"),
    ("review-demo.png", "demo", 900, 860, "light"),
)


def reviewed(box: str) -> Review:
    """The review of a box's plan."""
    return review(read_plan("plan", to_text(compile_box("box.yaml", box, Inputs(None)))))


def first_box(text: str) -> str:
    """The first box in a page of the documentation."""
    blocks: list[str] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    return next(block for block in blocks if "krunc: 1" in block.splitlines())


def pages() -> dict[str, str]:
    """The pages that are shown."""
    box = first_box((DOCS.parent / "README.md").read_text("utf-8"))
    old = first_box((DOCS / "review-demo.md").read_text("utf-8"))
    new = old.replace("read_only: true", "read_only: false").replace("mode: none", "mode: tsi")
    return {
        "plan": plan_page(reviewed(box)),
        "demo": difference_page(compare(reviewed(old), reviewed(new))),
    }


def digests(made: dict[str, str]) -> dict[str, str]:
    """The digest of the HTML that each screenshot shows."""
    return {
        name: hashlib.sha256(made[page].encode("utf-8")).hexdigest() for name, page, *_ in SHOTS
    }


def main() -> None:
    """Take every screenshot."""
    made = pages()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, page, width, height, scheme in SHOTS:
            tab = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            tab.set_content(made[page])
            tab.screenshot(path=DOCS / name)
            tab.close()
        browser.close()
    (DOCS / "screenshots.json").write_text(json.dumps(digests(made), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
