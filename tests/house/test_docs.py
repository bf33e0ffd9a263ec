"""Generated pages are what their tables say, and the tables are true."""

from __future__ import annotations

import re
from typing import Any

import pytest
from boots import COLUMNS
from krunc_compiler.findings.finding import Rejected
from krunc_schema import load
from places import ROOT
from whole_boxes import DIRECTORY, STREAM, WHOLE, compiled, keys

FUNCTIONS = load("krun")["functions"]
TARGETS = ("1", "2", "1.17", "1.12", "1.9")
# What old libkruns are asked with: they have no disk formats, no log target, one vsock direction.
OLD = (
    DIRECTORY.replace("agent: {listen: runtime:l, notify", "agent: {notify")
    .replace("listen: true", "listen: false")
    .replace("B: {from_env: C}", "B: x")
)
SHARED = DIRECTORY.replace("false}]", "false, overlay: [{path: d, directory: true}]}]", 1)
# A vsock device that the agent alone asks for.
PORTS = re.sub(r"vsock: .*\n", "", STREAM)
# The launcher asks these itself, for the key that the table names.
ASKED = {
    "krun_free_ctx",
    "krun_get_shutdown_eventfd",
    "krun_check_nested_virt",
    "krun_get_max_vcpus",
}


def test_the_page_of_functions_is_current() -> None:
    from generate_libkrun import PAGE, page

    assert PAGE.read_text("utf-8") == page(), "run python docs/generate_libkrun.py"
    assert "|  |" not in page(), "a row has an empty cell"


def test_the_page_of_keys_is_current() -> None:
    from generate_box import PAGE, page

    assert PAGE.read_text("utf-8") == page(), "run python docs/generate_box.py"
    for key in load("box.schema")["properties"]:
        assert f"| `{key}` |" in page()


def test_the_page_of_commands_is_current() -> None:
    from generate_cli import COMMANDS, PAGE, help_of, page

    found = page()
    assert PAGE.read_text("utf-8") == found, "run python docs/generate_cli.py"
    cells = re.findall(r"(?m)^\| `(.*?)` \|", found)
    named = {word.replace("\\|", "|") for cell in cells for word in re.split(r",? ", cell)}
    for command in COMMANDS:
        assert f"# krunc {command}\n" in found
        options = re.findall(r"(?m)^  (?:-\w, )?(--[\w-]+)", help_of(command))
        assert options
        assert set(options) <= named
    assert "|  |" not in found, "a row has an empty cell"


def test_the_page_of_plans_is_current() -> None:
    from generate_plan import PAGE, page

    found = page()
    assert PAGE.read_text("utf-8") == found, "run python docs/generate_plan.py"
    assert "|  |" not in found, "a row has an empty cell"
    for name in (
        *load("steps")["steps"],
        *load("orders")["orders"],
        *load("plan.schema")["properties"],
    ):
        assert f"| `{name}` |" in found
    for name, row in FUNCTIONS.items():
        assert (f"| `{name}` |" in found) == (
            row["role"] in ("log", "create", "configure", "enter")
        )


# What the page calls the tests that run on the other architecture.
_CALLED = {
    "tests/boot/test_boot.py": "`test_boot.py`",
    "tests/boot/test_pulled.py": "a box with an image",
    "tests/boot/test_stage.py": "a box with the stage",
    "tests/launcher/host/test_architecture.py": "host checks",
    "tests/launcher/host/test_launch_host.py": "host checks",
    "tests/launcher/host/test_launch_program.py": "what starts the guest's program",
    "tests/launcher/supervise/test_launch_process.py": "processes",
    "tests/launcher/supervise/test_launch_watch.py": "signals",
    "tests/launcher/vm/test_launch_confinement.py": "confinement",
    "tests/stage/test_native.py": "the stage without a VM",
}


def test_the_page_says_what_is_tried_on_the_other_architecture() -> None:
    script = (ROOT / "tests/run").read_text("utf-8")
    boots, there = (
        re.search(pattern, script, re.DOTALL) for pattern in (r"boots\(\) .*?\n}", r"there=\(.*?\)")
    )
    assert boots is not None
    assert there is not None
    run = set(re.findall(r"tests/[a-z_/]+\.py", boots[0] + there[0]))
    assert run == set(_CALLED)
    page = (ROOT / "docs/launch.md").read_text("utf-8")
    table = re.search(r"\n\| what is tried by CI.*?\n\n", page, re.DOTALL)
    assert table is not None
    for name in sorted(run):
        assert _CALLED[name] in table[0], name
    # The matrix has a column for each architecture that boots are tried on.
    assert {column[0] for column in COLUMNS} == {"x86_64", "arm64"}
    for column in COLUMNS:
        assert f" {column[0]} " in table[0]


def made() -> dict[str, set[str]]:
    """The calls of every box above for every target, with the keys that ask for them."""
    found: dict[str, set[str]] = {}
    for box in [*WHOLE.values(), OLD, DIRECTORY + "gpu: {flags: [venus]}\n", SHARED, PORTS]:
        for target in TARGETS:
            try:
                plan = compiled(box, target)
            except Rejected:
                continue
            for row in plan.operations:
                if "call" in row:
                    found.setdefault(row["call"], set()).add(re.sub(r"\[\d+\]", "", row["from"]))
    return found


MADE = made()


@pytest.mark.parametrize(("name", "row"), FUNCTIONS.items())
def test_a_function_is_reached_by_its_keys(name: str, row: dict[str, Any]) -> None:
    assert ("keys" in row) != ("unreached" in row)
    if "unreached" in row:
        assert name not in MADE
        return
    schema = load("box.schema")
    known = {".".join(map(str, path)) for path in keys(schema, (), schema)}
    assert set(row["keys"]) <= known
    if name in ASKED:
        assert name not in MADE
        return
    # A call's key may be above the one that asks for just this function.
    asked = MADE[name] - {"default"}
    if row["keys"] != ["krunc"]:
        for key in row["keys"]:
            near = any(key.startswith(one) or one.startswith(key) for one in asked)
            assert near, (key, asked)
