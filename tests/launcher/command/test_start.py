"""start.py of a wheel: all modules of a launch in one file, and what runs is what the modules say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from generate_start import called, modules, start
from places import ROOT

PACKAGE = ROOT / "launcher/krunc_launcher"
MADE = start(PACKAGE)
FUNCTIONS = {
    statement.name: statement
    for statement in ast.parse(MADE).body
    if isinstance(statement, ast.FunctionDef)
}


class Unannotated(ast.NodeTransformer):
    """A syntax tree without notes on types."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if node.value is None:
            return node
        return ast.Assign(targets=[node.target], value=self.visit(node.value))

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.returns = None
        return node


@pytest.mark.parametrize("name", modules(PACKAGE))
def test_a_function_says_what_its_module_says(name: str) -> None:
    own = [
        ast.dump(Unannotated().visit(statement))
        for statement in ast.parse(
            (PACKAGE / f"{name.replace('.', '/')}.py").read_text("utf-8")
        ).body
        if not isinstance(statement, ast.ImportFrom) or statement.module != "__future__"
    ]
    names, *made = FUNCTIONS[called(name)].body
    assert isinstance(names, ast.Global)
    assert [ast.dump(statement) for statement in made] == own


COMPARISON = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
import krunc_launcher

folder, package, *names = sys.argv[1:]
krunc_launcher.__path__.insert(0, folder)
from krunc_launcher.start import main

def told(value):
    return repr(value).split(" at 0x")[0] if isinstance(value, (int, str, bytes, tuple)) else ""

for name in names:
    made = vars(sys.modules["krunc_launcher." + name])
    folder, _, last = ("krunc_launcher." + name).rpartition(".")
    assert getattr(sys.modules[folder], last) is sys.modules["krunc_launcher." + name]
    assert made["__builtins__"] is vars(krunc_launcher)["__builtins__"]
    spec = spec_from_file_location("krunc_launcher." + name, f"{package}/{name.replace('.', '/')}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    own = {key: value for key, value in vars(module).items() if not key.startswith("__")}
    own.pop("annotations")
    assert set(own) == {key for key in made if not key.startswith("__")}, name
    for key, value in own.items():
        kinds = type(made[key]), type(value)
        same = kinds[0].__qualname__ == kinds[1].__qualname__
        assert same or isinstance(value, type), (name, key)
        assert told(made[key]) == told(value), (name, key)
        for part in ("__module__", "__qualname__", "__doc__", "__annotations__", "__defaults__"):
            assert told(getattr(made[key], part, None)) == told(getattr(value, part, None))
assert main is sys.modules["krunc_launcher.__main__"].main
print("the same")
"""


def test_each_module_has_the_names_of_its_module(tmp_path: Path) -> None:
    """In a process of its own, for this one has imported the modules already."""
    (tmp_path / "start.py").write_text(MADE, "utf-8")
    listed = [name for name in modules(PACKAGE) if name != "_krun"]  # it is no text of ours
    command = [sys.executable, "-c", COMPARISON, str(tmp_path), str(PACKAGE), *listed]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "the same\n", done.stderr


def test_a_launch_is_in_it_and_no_more() -> None:
    assert {
        "__main__",
        "accept",
        "plan.verify",
        "host.preflight",
        "vm.confine",
        "vm.replay",
    } <= set(modules(PACKAGE))
    assert set(modules(PACKAGE)).isdisjoint(
        {"command.doctor", "command.dry_run", "command.fleet", "start"}
    )
