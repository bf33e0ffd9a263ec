"""The launcher's own module for the system's calls: it does what Python's do, and no more is in it
than is used."""

from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from krunc_launcher import system
from places import ROOT

PACKAGE = ROOT / "launcher/krunc_launcher"
PATHS = st.lists(st.sampled_from(["/", "//", ".", "..", "a", "b.c", " ", "é", "\udcff"])).map(
    "".join
)


@given(PATHS)
def test_a_path_is_taken_apart_as_python_does(path: str) -> None:
    assert system.basename(path) == os.path.basename(path)
    assert system.dirname(path) == os.path.dirname(path)
    assert system.normpath(path) == os.path.normpath(path)
    assert system.abspath(path) == os.path.abspath(path)


@given(PATHS, PATHS)
def test_paths_are_put_together_as_python_does(path: str, name: str) -> None:
    assert system.join(path, name) == os.path.join(path, name)


@given(st.binary())
def test_bytes_of_the_system_come_back(data: bytes) -> None:
    assert system.fsdecode(data) == os.fsdecode(data)
    assert system.fsencode(system.fsdecode(data)) == data


@given(st.integers(0, 0o177777))
def test_a_kind_of_file_is_told_as_python_does(mode: int) -> None:
    for name in ("S_ISDIR", "S_ISREG", "S_ISLNK", "S_ISSOCK", "S_ISCHR", "S_ISBLK"):
        assert getattr(system, name)(mode) == bool(getattr(stat, name)(mode))
    assert system.S_ISVTX == stat.S_ISVTX


@pytest.mark.parametrize(
    "name", ["file", "directory", "link", "dangling", "loop", "absent", "no\0"]
)
def test_what_is_there_is_told_as_python_does(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("directory")
    (tmp_path / "dangling").symlink_to("absent")
    (tmp_path / "loop").symlink_to("loop")
    path = f"{tmp_path}/{name}"
    for ask in ("exists", "isdir", "isfile", "lexists"):
        assert getattr(system, ask)(path) == getattr(os.path, ask)(path)


@pytest.mark.parametrize("path", ["a", "a/b/c", "a/b/c/", "there", "there/d", "there//e///"])
def test_directories_are_made_as_python_does(path: str, tmp_path: Path) -> None:
    for make, directory in ((system.makedirs, "own"), (os.makedirs, "python")):
        (tmp_path / directory / "there").mkdir(parents=True)
        if make is os.makedirs:
            os.makedirs(f"{tmp_path}/{directory}/{path}", 0o700, exist_ok=True)
        else:
            system.makedirs(f"{tmp_path}/{directory}/{path}", 0o700)
    made, wanted = (
        {
            str(each.relative_to(tmp_path / directory)): each.stat().st_mode
            for each in (tmp_path / directory).rglob("*")
        }
        for directory in ("own", "python")
    )
    assert made == wanted


@pytest.mark.parametrize(("umask", "above"), [(0, 0o755), (0o002, 0o755), (0o077, 0o700)])
def test_what_is_made_above_a_directory_is_the_owners(
    umask: int, above: int, tmp_path: Path
) -> None:
    before = os.umask(umask)
    try:
        system.makedirs(f"{tmp_path}/a/b/c", 0o700)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b", "a/b/c")]
    assert modes == [above, above, 0o700]


def test_a_file_is_no_directory_to_make(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in ("file", "file/below"):
        with pytest.raises(OSError, match="file"):
            system.makedirs(f"{tmp_path}/{path}", 0o700)


def test_a_variable_is_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRUNC_TEST", "\udcff")
    assert system.variable("KRUNC_TEST") == "\udcff"
    system.set_variable("KRUNC_TEST", "a=é")
    assert os.environ["KRUNC_TEST"] == "a=é"
    done = subprocess.run(["printenv", "KRUNC_TEST"], capture_output=True, check=True)
    assert done.stdout == os.fsencode("a=é\n")
    monkeypatch.delenv("KRUNC_TEST")
    assert system.variable("KRUNC_TEST") is None


def test_a_file_of_memory_is_a_file() -> None:
    if sys.platform == "linux":
        handle = system.memfd("x")
        assert os.write(handle, b"x") == 1
        os.close(handle)


def test_no_name_that_nothing_uses() -> None:
    own = ast.parse((PACKAGE / "system.py").read_text("utf-8"))
    here = {node.id for node in ast.walk(own) if isinstance(node, ast.Name)}
    used = {
        node.attr
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "system"
    }
    imported = {
        row.name
        for node in ast.walk(own)
        if isinstance(node, ast.ImportFrom) and node.module == "posix"
        for row in node.names
    }
    made = {node.name for node in own.body if isinstance(node, ast.FunctionDef)}
    assert (imported | made) - here - used == set()
