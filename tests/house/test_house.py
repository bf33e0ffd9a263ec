"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
from krunc_schema import load
from places import GENERATED, ROOT

MODULES = sorted(
    path
    for directory in ("schema", "compiler", "launcher")
    for path in (ROOT / directory).rglob("*.py")
    if path.name not in GENERATED
)
REFUSED = {"utils", "helpers", "common", "core", "base", "misc", "types", "constants", "manager"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_a_small_room(module: Path) -> None:
    assert len(module.read_text("utf-8").splitlines()) <= 300
    assert module.stem not in REFUSED


# What the launcher asks libkrun beside a plan's calls, for the answer.
ASKED = {
    "krun_free_ctx", "krun_has_feature", "krun_get_last_error", "krun_get_max_vcpus",
    "krun_check_nested_virt", "krun_get_shutdown_eventfd",
}  # fmt: skip


@pytest.mark.parametrize(
    "module",
    [path for path in MODULES if "krunc_launcher" in path.parts],
    ids=lambda path: path.stem,
)
def test_the_launcher_knows_functions_by_the_table_alone(module: Path) -> None:
    """What a function means stands in its row; an argument is taken by its name."""
    tree = ast.parse(module.read_text("utf-8"))
    functions = load("krun")["functions"]
    said = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert said & set(functions) <= ASKED
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            taken = ast.unparse(node.value)
            assert type(node.slice.value) is str or not taken.endswith("values"), taken


def test_an_error_of_the_system_is_worded_once_in_each_half() -> None:
    found = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if ".strerror or " in path.read_text("utf-8")
    ]
    assert found == [
        "compiler/krunc_compiler/findings/wording.py",
        "launcher/krunc_launcher/errors.py",
    ]


# A quick yes, its slow why, and the test that holds them equal.
PAIRS = [
    ("compiler/krunc_compiler/text/fast_parsing.py", "parsing", "test_composing.py"),
    ("compiler/krunc_compiler/text/parsing.py", "fast_parsing", "test_composing.py"),
    ("compiler/krunc_compiler/shape/fast_checking.py", "misfits", "test_accepting.py"),
    ("compiler/krunc_compiler/shape/misfits.py", "fast_checking", "test_accepting.py"),
    ("compiler/krunc_compiler/shape/checking.py", "fast_checking", "test_accepting.py"),
    ("launcher/krunc_launcher/text/reading.py", "json_errors", "test_plan_text.py"),
    ("launcher/krunc_launcher/text/json_errors.py", "reading", "test_plan_text.py"),
]


@pytest.mark.parametrize(("module", "partner", "test"), PAIRS)
def test_a_quick_yes_and_its_slow_why_name_each_other(module: str, partner: str, test: str) -> None:
    told = (ROOT / module).read_text("utf-8").split('"""')[1]
    assert re.search(rf"\b{partner}\b", told)
    assert test in told
    assert (ROOT / module).with_name(f"{partner}.py").exists()
    assert list((ROOT / "tests").rglob(test))


def test_the_wheel_has_the_directories_of_the_project() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    (listed,) = re.findall(r"^packages = \[(.*?)\]", text, re.DOTALL | re.MULTILINE)
    packages = re.findall(r'"(.*?)"', listed)
    found = {str(path.parent.relative_to(ROOT)) for path in MODULES if path.name == "__init__.py"}
    assert set(packages) == {path for path in found if path.count("/") == 1}


def test_commands_in_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for command in ("boxes/try", "tests/run"):
        assert command in text
        assert (ROOT / command).stat().st_mode & 0o111


def test_no_path_of_one_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split():
        data = (ROOT / name).read_bytes()
        assert str(ROOT).encode() not in data, name


def test_files_of_the_tests_that_are_named_exist() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.json", "*.toml", "*.yml"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.split():
        for named in re.findall(r"\btests/[\w./-]*\w", (ROOT / name).read_text("utf-8")):
            assert (ROOT / named).exists() or "NAME" in named, f"{name}: {named}"
