"""An image in a review: which code it is, as whom it runs, and what another one changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.review.change_sheet import counted, difference_document
from krunc_compiler.review.comment import comment
from krunc_compiler.review.difference import Difference, compare
from krunc_compiler.review.page import difference_page, plan_page
from krunc_compiler.review.plan_sheet import plan_sheet
from krunc_compiler.review.summary import Review, review
from krunc_compiler.shape.checking import check
from krunc_schema import load
from locks import digest
from whole_boxes import IMAGE, IMAGE_KEPT, compiled

PLAN: dict[str, Any] = json.loads(to_text(compiled(IMAGE, "1")))


def changed(*changes: tuple[str, str], plan: dict[str, Any] = PLAN) -> Review:
    """The review of the plan in which texts are CHANGED."""
    text = json.dumps(plan)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return review(read_plan("a.plan.json", text))


OLD = changed()
ROOT = next(row["args"]["path"] for row in PLAN["operations"] if row.get("step") == "require_image")


def told(difference: Difference) -> list[tuple[str, str]]:
    return [(change.effect, change.kind) for change in difference.changes]


def test_show_says_which_image_and_as_whom() -> None:
    lines = [f"{row.label} {row.text}" for row in plan_sheet(OLD).sections[0].lines]
    assert (
        "image app:1.4 sha256:aaaaaaaaaaaa... (3 layers, 15 bytes), linux/amd64, "
        "the disk /dev/vda, runs as 1000:1000"
    ) in lines
    assert "root disk /dev/vda (the image), erofs, read-only" in lines
    kept = changed(plan=json.loads(to_text(compiled(IMAGE_KEPT, "1"))))
    (line,) = (row.text for row in plan_sheet(kept).sections[0].lines if row.label == "image")
    assert line.endswith("the disk /dev/vdc, runs as root")


def test_an_image_reaches_nothing_of_the_host() -> None:
    assert {fact.kind for fact in OLD.exposure} <= {"stdio", "launcher"}


@pytest.mark.parametrize(
    "changes",
    [
        [(digest("a"), digest("7"))],
        [(digest("b"), digest("7"))],
        [(ROOT, f"store:{digest('7')}")],
        [(digest("a"), "sha256:" + "a" * 63 + "b")],
    ],
    ids=["manifest", "config", "root", "one letter"],
)
def test_another_image_is_other_code(changes: list[tuple[str, str]]) -> None:
    difference = compare(OLD, changed(*changes))
    assert told(difference) == [("other_code", "image")]
    assert counted(difference) == ("1 change: 1 runs other code; changed: image")
    document = difference_document(difference)
    assert document["summary"]["other_code"] == 1
    assert check(document, load("diff.schema")) == []
    assert "Runs other code" in difference_page(difference)
    said = comment([("a.plan.json", difference)])
    assert "1 plan with other code" in said
    assert "What the guest runs changes" in comment([("a.plan.json", difference)], 1500) or said


def test_what_the_same_words_tell_is_told_once() -> None:
    root = compare(OLD, changed((ROOT, f"store:{digest('7')}"))).changes[0]
    assert root.text.count("app:1.4") == 1
    assert root.text.endswith("the disk /dev/vda; another root")
    assert [one.place for one in root.texts] == ["path"]
    letter = compare(OLD, changed((digest("a"), "sha256:" + "a" * 63 + "b"))).changes[0]
    assert letter.text.endswith("the disk /dev/vda; another manifest")


def test_the_same_image_by_another_name_is_no_other_code() -> None:
    difference = compare(OLD, changed(('"app:1.4"', '"app:latest"')))
    assert told(difference) == [("alters", "image")]


def test_what_the_image_asks_for_is_judged_as_ever() -> None:
    new = changed((digest("a"), digest("7")), ('"user": "1000:1000"', '"user": "0"'))
    assert told(compare(OLD, new))[:2] == [("widens", "guest user"), ("other_code", "image")]
    back = compare(new, OLD)
    assert ("narrows", "guest user") in told(back)
    assert ("other_code", "image") in told(back)


def test_an_image_that_comes_or_goes() -> None:
    directory = IMAGE.replace('image: "app:1.4"', "path: ./rootfs").replace("arch: x86_64\n", "")
    directory = directory.replace("args: [a]", "executable: /bin/a")
    other = review(read_plan("a", to_text(compiled(directory, "1"))))
    for pair in ((OLD, other), (other, OLD)):
        assert ("other_code", "image") in told(compare(*pair))


def doubled(**args: Any) -> Review:
    value = json.loads(json.dumps(PLAN))
    rows = value["operations"]
    i, disk = next((i, row) for i, row in enumerate(rows) if row.get("call") == "krun_add_disk2")
    rows.insert(i + 1, {**disk, "args": {**disk["args"], "block_id": "more", **args}})
    return review(read_plan("a", json.dumps(value)))


@pytest.mark.parametrize("args", [{}, {"read_only": False}, {"disk_format": "qcow2"}])
def test_a_second_disk_of_the_image_is_not_hidden(args: dict[str, Any]) -> None:
    """The launcher refuses the last two, and the review shows them."""
    assert compare(OLD, doubled(**args)).of("widens")


def test_the_page_of_a_plan_shows_it() -> None:
    assert "runs as <code>1000:1000</code>" in plan_page(OLD)
