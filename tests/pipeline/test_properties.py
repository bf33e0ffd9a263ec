"""Whatever is given, the compiler answers with a plan or with findings."""

from __future__ import annotations

import json

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.findings.report import report
from krunc_compiler.pipeline.compiling import compile_box
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.review.plan_sheet import plan_sheet
from krunc_compiler.review.summary import review
from krunc_compiler.review.text import to_text as shown
from krunc_compiler.values.inputs import Inputs
from krunc_schema import load

_KEYS = sorted(
    set(load("box.schema")["properties"])
    | {"path", "disk", "tag", "id", "format", "read_only", "mode", "ports", "socket", "mac"}
    | {"cpus", "memory", "port", "listen", "executable", "args", "env", "from_env", "level"}
)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["tsi", "none", "all", "./x", "/x", "runtime:x", "raw", "1:1", "{{ x }}", "4GiB"]
    )
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=12,
)
_GOOD = {
    "krunc": 1,
    "name": "good",
    "rootfs": {"path": "./rootfs"},
    "network": {"mode": "tsi"},
    "entrypoint": {"executable": "/bin/true"},
}


def compiled(text: str, target: str = "1") -> str | None:
    """The plan of a box, or None when it is refused with findings that can be shown."""
    chosen = api.target(target)
    assert chosen is not None
    try:
        return to_text(compile_box("box.yaml", text, Inputs(chosen)))
    except Rejected as rejected:
        assert rejected.findings
        assert " error" in report(rejected.findings).splitlines()[-1]
        return None


@given(st.text())
def test_any_text(text: str) -> None:
    compiled(text)


@settings(max_examples=300)
@given(
    st.dictionaries(st.sampled_from(_KEYS), _VALUES, max_size=6),
    st.sampled_from(["1", "1.16", "2"]),
)
def test_any_values_in_a_good_box(values: dict[str, object], target: str) -> None:
    compiled(yaml.safe_dump({**_GOOD, **values}, allow_unicode=True), target)


@given(
    st.lists(st.text(max_size=30), max_size=5),
    st.dictionaries(st.text(max_size=8), st.text(max_size=20), max_size=4),
)
def test_what_reaches_a_plan_reaches_the_guest_unchanged(
    args: list[str], env: dict[str, str]
) -> None:
    program = {"executable": "/bin/echo", "args": args, "env": env}
    plan = compiled(json.dumps({**_GOOD, "entrypoint": program}))
    if plan is None:
        return
    rows = json.loads(plan)["operations"]
    calls = {row["call"]: row.get("args", {}) for row in rows if "call" in row}
    if "krun_set_exec" not in calls:
        (process,) = calls["krun_fs_add_overlay_file"]["data"].values()
        assert process == {"cwd": "/", "env": env, "args": ["/bin/echo", *args]}
        for text in [*args, *env.values()]:
            assert not any(c < " " and c not in "\b\t\n\f\r" for c in text)
        return
    call = calls["krun_set_exec"]
    order = next((row["args"] for row in rows if row.get("order") == "program"), None)
    if order is not None:
        # What neither can carry, the stage starts.
        assert (order["exec_path"], order["argv"], order["envp"]) == ("/bin/echo", args, env)
        return
    assert call["argv"] == args
    assert call["envp"] == env
    for text in [*args, *env.values()]:
        assert text.isascii()
        assert '"' not in text
        assert text.isprintable() or not text


@given(st.text())
def test_any_text_as_a_plan(text: str) -> None:
    try:
        shown(plan_sheet(review(read_plan("x.plan.json", text))))
    except Rejected as rejected:
        report(rejected.findings)


@given(st.data())
def test_a_changed_plan_is_shown_or_refused(data: st.DataObject) -> None:
    plan = json.loads(compiled(json.dumps(_GOOD)) or "")
    row = data.draw(st.sampled_from(plan["operations"]))
    row[data.draw(st.sampled_from([*row, "args", "extra"]))] = data.draw(_VALUES)
    try:
        shown(plan_sheet(review(read_plan("x.plan.json", json.dumps(plan)))))
    except Rejected as rejected:
        report(rejected.findings)
