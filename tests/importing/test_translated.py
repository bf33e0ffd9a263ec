"""What the importers make of originals that a person has translated, too: the same VM and program;
and the imported examples are what the importers make of them."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.__main__ import main
from krunc_compiler.pipeline.compiling import compile_box
from krunc_compiler.plan.plan import Plan
from krunc_compiler.values.inputs import Inputs
from locks import image, text
from places import ROOT

TRANSLATED = ROOT / "examples" / "translated"
IMPORTED = ROOT / "examples" / "imported"
# How each is imported, and what its image says that the translation has to say itself.
ORIGINALS: dict[str, tuple[list[str], str, dict[str, Any]]] = {
    "nginx": (
        ["docker-run", "-"],
        "nginx:1.27",
        {
            "entrypoint": ("/docker-entrypoint.sh",),
            "cmd": ("nginx", "-g", "daemon off;"),
            "stop_signal": "SIGQUIT",
        },
    ),
    "postgres": (
        ["compose", "-"],
        "postgres:16",
        {"entrypoint": ("docker-entrypoint.sh",), "cmd": ("postgres",)},
    ),
    "worker": (["compose", "-"], "registry.example/shop/worker:4", {}),
    "thumbnail": (["docker-run", "-"], "registry.example/tools/thumbnail:2", {}),
}
# What the translation does beyond its original: a tmpfs is given to the user.
BEYOND = {"postgres": (" /run/postgresql", "")}
# The root, and what a disk and a share as the root need.
OF_ROOT = ("root_share", "root_disk")


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Import a text, given by standard input, into a box of tmp_path with its lock."""

    def imports(name: str, words: list[str], reference: str, run: dict[str, Any]) -> Path:
        original = (TRANSLATED / f"{name}.from.txt").read_bytes()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(original)))
        box = tmp_path / f"{name}.yaml"
        assert main(["import", *words, "-o", str(box)]) == 0
        box.with_name(f"{name}.lock.json").write_text(text(image(reference, **run)))
        return box

    return imports


def plan_of(box: Path) -> Plan:
    """The plan of a box."""
    target = api.target("1")
    assert target is not None
    return compile_box(str(box), box.read_text("utf-8"), Inputs(target))


def meaning(plan: Plan, name: str) -> list[str]:
    """What the rows of PLAN say that are not about its root, one a line, without their places."""
    said = []
    for row in plan.operations:
        args = json.dumps(row.get("args", {}))
        what = row.get("order") or row.get("call") or row.get("step")
        is_root = what in OF_ROOT or "krunc-root" in args or "/dev/root" in args or "sha256" in args
        is_root = is_root or f"{name}/rootfs" in args or "launch:stage" in args
        if what is None or is_root:
            continue
        args = re.sub(rf'"{name}/(?!rootfs)', '"', args).replace(*BEYOND.get(name, ("", "")))
        if what == "program":
            # An image's program is looked up in PATH.
            args = re.sub(r'("exec_path": ")[^"]*/', r"\1", args)
        said.append(f"{what} {args}")
    return sorted(said)


@pytest.mark.parametrize("name", ORIGINALS)
def test_the_importer_and_the_translation_mean_the_same(name: str, imported: Any) -> None:
    ours = meaning(plan_of(imported(name, *ORIGINALS[name])), name)
    theirs = meaning(plan_of(TRANSLATED / f"{name}.yaml"), name)
    assert ours == theirs


def test_every_original_of_a_container_is_compared() -> None:
    rows = (TRANSLATED / "README.md").read_text("utf-8").splitlines()
    kinds = ("[docker run]", "[Compose]", "[podman run]")
    found = {
        row.split("[", 1)[1].split("]")[0] for row in rows if any(kind in row for kind in kinds)
    }
    assert found == set(ORIGINALS)


EXAMPLES = {
    "forge": (["docker-run", "-"], "registry.example/forge/forge:11"),
    "shop": (["compose", "shop.from.txt", "web"], "registry.example/shop/app:4.2"),
    "report": (["oci", "report"], ""),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_imported_example_is_what_the_importer_makes(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    update_golden: bool,
) -> None:
    monkeypatch.chdir(IMPORTED)
    words, _ = EXAMPLES[name]
    if words[-1] == "-":
        original = Path(f"{name}.from.txt").read_bytes()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(original)))
    assert main(["import", *words]) == 0
    made = capsys.readouterr().out
    box = Path(f"{name}.yaml")
    if update_golden:
        box.write_text(made, "utf-8")
    assert box.read_text("utf-8") == made


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_imported_example_compiles(name: str, tmp_path: Path) -> None:
    _, reference = EXAMPLES[name]
    box = tmp_path / f"{name}.yaml"
    box.write_bytes((IMPORTED / f"{name}.yaml").read_bytes())
    if reference:
        lock = text(image(reference, entrypoint=("/entry",), env=("PATH=/bin",)))
        box.with_name(f"{name}.lock.json").write_text(lock)
    assert main(["compile", str(box)]) == 0
    assert box.with_name(f"{name}.plan.json").exists()


def test_the_page_of_imported_examples_has_them_all() -> None:
    page = (IMPORTED / "README.md").read_text("utf-8")
    boxes = {path.name for path in IMPORTED.glob("*.yaml")}
    assert boxes == {f"{name}.yaml" for name in EXAMPLES}
    assert all(f"({box})" in page for box in boxes)
