"""start.py of a wheel and its companions: all modules of a launch in one file, and what runs is
what the modules say."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from generate_rest import rare_functions
from generate_start import (
    called,
    imported,
    made,
    modules,
    other_modules,
)
from generate_untyped import is_for_types
from places import ROOT

PACKAGE = ROOT / "launcher/krunc_launcher"
FILES = made(PACKAGE)
LAUNCH, PARTS = modules(PACKAGE), other_modules(PACKAGE)
STARTS = ["start.py", *(f"{file}.py" for file in PARTS)]
TREES = {name: ast.parse(FILES[name]) for name in (*STARTS, "start_rest.py")}
STAGE = [name for names in PARTS.values() for name in names]
ORDER = [*LAUNCH, *STAGE]


def functions(*files: str) -> dict[str, ast.FunctionDef]:
    return {
        statement.name: statement
        for file in files
        for statement in TREES[file].body
        if isinstance(statement, ast.FunctionDef)
    }


FUNCTIONS, REST = functions(*STARTS), functions("start_rest.py")


def left_out(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "__future__"
    return is_for_types(statement)


class Unannotated(ast.NodeTransformer):
    """A syntax tree without notes on types."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        assert node.value is not None, "without __future__ it would be looked at"
        return ast.Assign(targets=[node.target], value=self.visit(node.value))

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.returns = None
        return node


class Made(Unannotated):
    """With the imports as they are made."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | list[ast.stmt]:
        return ast.parse(imported(PACKAGE, node, ORDER)).body or node

    def visit_Import(self, node: ast.Import) -> ast.stmt | list[ast.stmt]:
        return ast.parse(imported(PACKAGE, node, ORDER)).body or node


@pytest.mark.parametrize("name", ORDER)
def test_a_function_says_what_its_module_says(name: str) -> None:
    tree = ast.parse((PACKAGE / f"{name.replace('.', '/')}.py").read_text("utf-8"))
    assert not [node for node in ast.walk(tree) if getattr(node, "id", "") in ("_other", "_of")]
    tree.body = [statement for statement in tree.body if not left_out(statement)]
    rare = rare_functions(PACKAGE, name)
    own: dict[bool, list[str]] = {False: [], True: []}
    for statement in Made().visit(tree).body:
        own[getattr(statement, "name", "") in rare].append(ast.dump(statement))
    names, *body = FUNCTIONS[called(name)].body
    assert isinstance(names, ast.Global)
    assert list(map(ast.dump, body)) == own[False]
    if not rare:
        assert called(name) not in REST
        return
    names, *body = REST[called(name)].body
    assert isinstance(names, ast.Global)
    assert list(map(ast.dump, body)) == own[True]


def test_what_is_listed_is_there() -> None:
    for line in (ROOT / "launcher/launch_functions.txt").read_text().splitlines():
        module, names = line.split(": ")
        tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text("utf-8"))
        there = {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
        assert set(names.split()) <= there, module


def test_no_import_for_a_checker_of_types() -> None:
    """It would be one for each launch."""
    for tree in TREES.values():
        found = {
            node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
        }
        assert found.isdisjoint({"__future__", "typing", "collections.abc"})
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert "TYPE_CHECKING" not in names
        arguments = [node for node in ast.walk(tree) if isinstance(node, ast.arg)]
        assert not [node for node in arguments if node.annotation is not None]


@pytest.mark.parametrize("name", [name for name in FILES if name not in TREES])
def test_a_file_says_what_its_module_says(name: str) -> None:
    tree = ast.parse((PACKAGE / name).read_text("utf-8"))
    tree.body = [statement for statement in tree.body if not left_out(statement)]
    own = Unannotated().visit(tree)
    assert ast.dump(ast.parse(FILES[name])) == ast.dump(own)


def test_every_module_is_made() -> None:
    paths = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")}
    listed = {f"{name.replace('.', '/')}.py" for name in ORDER} | set(FILES)
    assert {path for path in paths - listed if not path.endswith("__init__.py")} == set()


COMPARISON = """
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
import krunc_launcher

directory, package, *names = sys.argv[1:]
krunc_launcher.__path__.insert(0, directory)
from krunc_launcher import start

def told(value):
    return repr(value).split(" at 0x")[0] if isinstance(value, (int, str, bytes, tuple)) else ""

for name in names:
    made = vars(import_module("krunc_launcher." + name))
    start._complete("krunc_launcher." + name)
    directory, _, last = ("krunc_launcher." + name).rpartition(".")
    assert getattr(sys.modules[directory], last) is sys.modules["krunc_launcher." + name]
    assert made["__builtins__"] is vars(krunc_launcher)["__builtins__"]
    spec = spec_from_file_location("krunc_launcher." + name, f"{package}/{name.replace('.', '/')}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    own = {key: value for key, value in vars(module).items() if not key.startswith("__")}
    own.pop("annotations")
    own.pop("TYPE_CHECKING", None)
    assert set(own) == {key for key in made if not key.startswith("__")}, name
    for key, value in own.items():
        if getattr(made[key], "__qualname__", "") == "_later.<locals>.first":
            assert value.__module__ != module.__name__  # and is compared there
            continue
        kinds = type(made[key]), type(value)
        same = kinds[0].__qualname__ == kinds[1].__qualname__
        assert same or isinstance(value, type), (name, key)
        assert told(made[key]) == told(value), (name, key)
        for part in ("__module__", "__qualname__", "__doc__", "__annotations__", "__defaults__"):
            assert told(getattr(made[key], part, None)) == told(getattr(value, part, None))
assert start.main is sys.modules["krunc_launcher.__main__"].main
print("the same")
"""


def test_each_module_has_the_names_of_its_module(tmp_path: Path) -> None:
    """In a process of its own, for this one has imported the modules already."""
    for name in TREES:
        (tmp_path / name).write_text(FILES[name], "utf-8")
    listed = [name for name in ORDER if name != "_krun"]  # it is no text of ours
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
        # The stage's, which a launch with it would read more slowly in a file of their own.
        "plan.orders",
        "vm.stage",
        "_stage_rules",
    } <= set(LAUNCH)
    # Only the process above the VM's has a use for these.
    assert {"supervise.report", "supervise.staged_end"} <= set(PARTS["start_report"])
    assert {"host.image_root", "host.store", "vm.store"} <= set(PARTS["start_image"])
    assert set(ORDER).isdisjoint({"command.doctor", "command.dry_run", "command.fleet", "start"})


def test_an_archive_has_all_of_them(tmp_path: Path) -> None:
    """Python imports from there by another way, a refusal and a plan with the stage too."""
    package = tmp_path / "krunc_launcher"
    package.mkdir()
    for path in PACKAGE.glob("_*.py"):
        (package / path.name).write_bytes(path.read_bytes())
    for name, text in FILES.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text, "utf-8")
    archive = shutil.make_archive(str(tmp_path / "all"), "zip", tmp_path, "krunc_launcher")
    (tmp_path / "no.json").write_text('{"krunc_plan": 1}')
    code = (
        f"import sys; sys.path[:0] = [{archive!r}]; from krunc_launcher import start; "
        "[start._of('krunc_launcher.' + name) for name in sys.argv[2:]]; del sys.argv[2:]; start.run()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "no.json"), *STAGE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 125, done.stderr
    assert "the key box is missing" in done.stderr
