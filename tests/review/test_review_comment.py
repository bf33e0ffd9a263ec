"""The comment on a pull request: it always fits, and no opening is ever missing in it."""

from __future__ import annotations

import re

import pytest
from hostile import HOSTILE
from hostile import MARK as EVIL
from krunc_compiler.review.comment import MARK, Around, Changed, comment, failed
from krunc_compiler.review.difference import Difference, compare
from krunc_compiler.review.markdown import MOST
from markdown_it import MarkdownIt
from reviews import BOX, call, in_markdown, reviewed, reviewed_box

SHARE = {"tag": "src", "path": "./src"}


def opened(i: int, of_its_own: bool) -> Difference:
    """A box that gets a writable share and the network."""
    old = {**BOX, "name": f"box-{i}", "shares": [SHARE]}
    path, ports = (f"./src-{i}", [f"{8000 + i}:80"]) if of_its_own else ("./src", [])
    share = {**SHARE, "path": path, "read_only": False}
    new = {**old, "shares": [share], "network": {"mode": "tsi", "ports": ports}}
    return compare(reviewed_box(old), reviewed_box(new))


def fleet(count: int, of_its_own: bool) -> Changed:
    return [(f"boxes/team-{i % 7}/box-{i}.plan.json", opened(i, of_its_own)) for i in range(count)]


def folds(text: str) -> bool:
    """Whether TEXT is lists and folded lists and nothing else."""
    lines = text.split("\n")
    assert sum(line.startswith("<details>") for line in lines) == lines.count("</details>")
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        inline = [child.type for child in token.children or ()]
        assert not {"link_open", "image", "html_inline"} & set(inline)
        if token.type == "html_block":
            block = token.content.strip()
            ours = r"<details><summary>[A-Za-z ,:]+ \(\d+\)</summary>|</details>|" + MARK
            assert re.fullmatch(ours, block.removeprefix(f"{MARK}\n")), block
    return True


def test_all_of_few_plans_is_told() -> None:
    text = comment(fleet(3, True))
    assert "mitted" not in text
    assert text.count("To merge is to approve the new digests:") == 1
    for path, one in fleet(3, True):
        assert f"`{path}`: 5 changes: 3 widen host access" in text
        assert all(in_markdown(change.sentence) in text for change in one.changes)
        assert one.new is not None
        assert one.new.digest in text


def test_of_500_boxes_that_change_alike_every_opening_and_digest_stays() -> None:
    boxes = fleet(500, False)
    text = comment(boxes)
    assert MOST - 4000 < len(text.encode()) <= MOST, "the room is used"
    assert "500 plans changed, 1,000 changes widen host access" in text
    opens, _, plans = text.partition("<details>")
    for change in boxes[0][1].of("widens"):
        assert f"- **{change.kind}** {in_markdown(change.sentence)}" in opens
    assert opens.count(" and 497 more\n") == 2
    assert "widens 1 write, 1 network:\n" in plans
    for path, one in boxes:
        assert one.new is not None
        assert f"- `{path}` `{one.new.digest}`\n" in plans
    assert re.search(r"\n\*\*Omitted: the details of 4\d\d plans, [^\n]*\n\Z", text)
    assert folds(text)


def test_of_500_boxes_that_change_each_as_its_name_does_every_opening_is_told_once() -> None:
    boxes = fleet(500, True)
    text = comment(boxes)
    assert len(text.encode()) <= MOST
    opens, _, plans = text.partition("<details>")
    assert "- **network** any address that the host user can reach" in opens, (
        "what is common is told"
    )
    for kind, text_ in (("write", "directory `src-{n2}`"), ("listen", "host port `{n2+8000}`")):
        rows = re.findall(rf"^- \*\*{kind}\*\* .*$", opens, re.MULTILINE)
        assert len(rows) == 1, "what differs as the names do is told once"
        assert text_ in rows[0]
        assert rows[0].endswith(" and 497 more")
    assert "widens 1 write, 1 network, 1 listen:\n" in plans
    assert all(f"- `{path}`" in plans for path, _ in boxes)
    assert folds(text)


def test_thousands_of_boxes_are_counted() -> None:
    one = opened(1, True)
    text = comment([(f"boxes/{'long' * 20}/{i}.plan.json", one) for i in range(2000)])
    assert len(text.encode()) <= MOST
    assert (
        "- **write** read directory `src` (share `src`) -> write directory `src-1` (share `src`)"
        in text
    )
    shown = len(re.findall(r"^- `", text, re.MULTILINE))
    assert f"**{2000 - shown:,} plans omitted:" in text
    assert folds(text)


@pytest.mark.parametrize("count", [1, 2, 30, 500])
def test_plans_with_many_changes_fit(count: int) -> None:
    many = [call("krun_add_virtiofs", tag=f"t{i}", path="p" * 100 + str(i)) for i in range(300)]
    wide = compare(None, reviewed(*many))
    text = comment([(f"boxes/{i}.plan.json", wide) for i in range(count)])
    assert len(text.encode()) <= MOST
    assert f"{count} plan" in text
    assert "mitted" in text
    assert folds(text)


def plans_in(row: str) -> int:
    """How many plans the end of a row names and counts."""
    more = re.search(r" and (\d+) more$", row)
    return row.count("`boxes/") + (int(more[1]) if more else 0)


def wide(i: int, path: str, noise: int, read_only: bool = True) -> Difference:
    """A plan whose root moves to PATH and that gets NOISE shares."""
    more = [
        call(
            "krun_add_virtiofs3",
            tag=f"t{k}",
            path=f"src-{i}-{k}-{'x' * 100}",
            shm_size=0,
            read_only=read_only,
        )
        for k in range(noise)
    ]
    old, new = (call("krun_set_root", root_path=root) for root in ("rootfs", path))
    return compare(reviewed(old), reviewed(*more, new))


@pytest.mark.parametrize("path", ["/", "/etc", "../../..", "/home/ci/.ssh"])
@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("noise", [1, 12])
def test_no_noise_hides_the_worst(path: str, read_only: bool, noise: int) -> None:
    """Whatever else a request changes: the widest of the worst kind is told first."""
    boxes = [(f"boxes/a{i}.plan.json", wide(i, "./rootfs", noise, read_only)) for i in range(150)]
    boxes.append(("boxes/zz.plan.json", wide(999, path, 0)))
    text = comment(boxes)
    assert len(text.encode()) <= MOST
    first = next(line for line in text.splitlines() if line.startswith("- "))
    assert f" -> directory `{path}` " in first
    assert first.endswith("in `boxes/zz.plan.json`") or "`boxes/zz.plan.json`:" in first
    opens, _, plans = text.partition("<details>")
    listed = re.findall(r"^- `(boxes/[^`]*)`", plans or opens, re.MULTILINE)
    assert listed[0] == "boxes/zz.plan.json", "plans stand by their worst"
    if noise > 1:
        total = sum(len(one.of("widens")) for _, one in boxes)
        rows = re.findall(r"^- \*\*\w+\*\* .* in (`.*)$", opens, re.MULTILINE)
        told = [row for row in rows for _ in range(plans_in(row))]
        counted = re.findall(r"^- \*\*\w+\*\* and (\d+) more of this kind", opens, re.MULTILINE)
        assert len(told) + sum(map(int, counted)) == total, "none is lost"
    assert folds(text)


def test_within_one_plan_the_widest_stands_first() -> None:
    text = comment([("a.plan.json", wide(1, "/", 2000, False))])
    assert "directory `rootfs` (the guest's root) -> directory `/` " in next(
        line for line in text.splitlines() if line.startswith("- **")
    )
    assert folds(text)


@pytest.mark.parametrize("name", ["x" * 4000, "\u202e" * 1300, "`" * 4000, "\U000e0001" * 1000])
def test_no_name_is_so_long_that_its_opening_is_lost(name: str) -> None:
    boxes = [(f"boxes/a{i}.plan.json", wide(i, "./rootfs", 12)) for i in range(150)]
    boxes += [(f"{name}/{k}.plan.json", wide(k, f"/{k}", 0)) for k in range(5)]
    text = comment(boxes)
    assert len(text.encode()) <= MOST
    for k in range(5):
        assert f" -> directory `/{k}` " in text
    assert folds(text)


@pytest.mark.parametrize("most", [MOST, 4000])
@pytest.mark.parametrize("count", [1, 3, 2000])
@pytest.mark.parametrize("boxes", [[], fleet(2, True), fleet(500, True)])
def test_what_cannot_be_compared_is_told_first(boxes: Changed, count: int, most: int) -> None:
    strange = [(f"boxes/`{i}`.plan.json", "a submodule [x](y) <b>@me") for i in range(count)]
    text = comment(boxes, most, Around(strange))
    assert len(text.encode()) <= most
    title = text.splitlines()[1]
    assert title.endswith(f"{count:,} file{'s' if count > 1 else ''} cannot be compared")
    assert re.search(r'^- `"boxes/\\u00600\\u0060.plan.json"`: `a submodule ', text, re.MULTILINE)
    shown = len(re.findall("a submodule", text))
    assert shown == count or f"- and {count - shown:,} more\n" in text
    assert folds(text)


def test_a_failure_takes_the_place_of_the_comment() -> None:
    text = failed("git merge-base: `x` <img src=y> @somebody")
    assert text.startswith(MARK)
    assert "the plans cannot be compared" in text
    assert folds(text)


def test_more_room_is_used() -> None:
    text = comment(fleet(300, True), 1_000_000)
    assert "mitted" not in text
    assert text.count("- **write** ") == 300


def test_no_change_is_said() -> None:
    assert comment([]) == f"{MARK}\n### krunc: no changes to plans\n"
    same = compare(reviewed_box(BOX), reviewed_box(BOX))
    assert comment([("a", same)]) == comment([])


@pytest.mark.parametrize("most", [MOST, 4000])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_path_or_value_stays_text(kind: str, most: int) -> None:
    rows = [call("krun_add_virtiofs", tag=HOSTILE[kind], path=HOSTILE[kind])]
    difference = compare(None, reviewed(*rows))
    text = comment([(HOSTILE[kind], difference), ("b", difference)], most)
    assert len(text.encode()) <= most
    assert folds(text)
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        for child in token.children or ():
            assert EVIL not in child.content or child.type == "code_inline"


@pytest.mark.parametrize("count", [0, 3, 60])
def test_no_word_is_behind_the_name_of_a_plan(count: int) -> None:
    """Names that are not told could hide what they stand for."""
    many = [f"{a}{b}z" for a in "abcdefgh" for b in "abcdefgh"]
    words = [*many[:count], "etc", "root"]
    boxes = [
        (f"boxes/{word}.plan.json", compare(reviewed_box(BOX), reviewed_box({**BOX, "shares": [
            {**SHARE, "path": f"/{word}", "read_only": False}]})))
        for word in words
    ]  # fmt: skip
    told = "\n".join(
        line for line in comment(boxes).split("\n") if line.startswith("- **write**")
    ) or comment(boxes)
    assert all(re.search(rf"\b{word}\b", told) for word in words)
