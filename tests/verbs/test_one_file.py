"""Plans that one file would hold, here or on a file system that does not tell upper from lower
case: refused with both places, and nothing is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from krunc_compiler.files.one_file import one_file
from krunc_compiler.findings.report import printable

BOX = """\
krunc: 1
name: NAME
rootfs: {path: /srv/rootfs}
network: {mode: none}
entrypoint: {executable: /bin/true}
"""


def put(path: str, name: str) -> None:
    Path(path).parent.mkdir(exist_ok=True, parents=True)
    Path(path).write_text(BOX.replace("NAME", name), "utf-8")


def krunc(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "krunc", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# Two boxes' files, where the plans go, and whether the two are one file here already.
ALIKE = [
    ("web.yaml", "Web.yaml", None, False),
    ("web.yaml", "WEB.YML", None, False),
    ("web.yaml", "web.yml", None, True),
    ("a/web.yaml", "A/web.yaml", None, False),
    ("a/web.yaml", "b/web.yaml", "plans/", True),
    ("a/web.yaml", "b/WEB.yaml", "plans/", False),
    ("stra\u00dfe.yaml", "STRASSE.yaml", None, False),
    ("caf\u00e9.yaml", "cafe\u0301.yaml", None, False),  # one letter, or two that are seen as it
]


@pytest.mark.parametrize(("first", "second", "output", "is_one"), ALIKE)
def test_both_places_are_told(
    first: str,
    second: str,
    output: str | None,
    is_one: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    put(first, "one")
    put(second, "two")
    words = [] if output is None else ["-o", output]
    done = krunc("compile", first, second, *words)
    assert done.returncode == 1
    (told,) = [line for line in done.stderr.splitlines() if "error" in line and "KR871" in line]
    assert told.startswith(f"{printable(second)}:2:7: error[KR871]: name: the plan ")
    assert printable(first) in told
    assert ("upper and lower case" in told) != is_one
    assert list(tmp_path.rglob("*.plan.json")) == []
    assert not Path("plans").exists()
    if output is None:
        checked = krunc("check", ".")
        assert checked.returncode == 1
        assert checked.stdout.count("error[KR871]") == 1, checked.stdout + checked.stderr


def test_boxes_that_a_directory_holds_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("a/web.yaml", "b/Web.yaml", "web.yaml", "web2.yaml"):
        put(path, Path(path).with_suffix("").as_posix().replace("/", "-").lower())
    done = krunc("compile", ".")
    assert (done.returncode, done.stderr.count("wrote")) == (0, 4), done.stderr


def test_many_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for i in range(210):  # spread over all processors
        put(f"a/web{i}.yaml", f"a{i}")
    put("b/WEB7.yaml", "b")
    done = krunc("compile", ".", "-o", "plans/")
    assert (done.returncode, done.stderr.count("KR871")) == (1, 1)
    assert "a/web7.yaml" in done.stderr


def test_a_fleet_has_each_name_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("a/web.yaml", "b/Web.yaml"):
        put(path, "web")
    assert krunc("compile", "a", "b").returncode == 0
    done = krunc("digest", "--fleet", "a", "b")
    assert done.returncode == 1
    assert "b/Web.plan.json: error[KR870]: a/web.plan.json is called Web, too, where" in done.stderr


def test_several_plans_never_share_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put("a.yaml", '"{{ n }}"\nmatrix: {n: [x, y]}')
    for words in (["a.yaml", "-o", "-"], ["a.yaml", "-o", "one.json"], ["-"]):
        done = subprocess.run(
            [sys.executable, "-m", "krunc", "compile", *words],
            input=Path("a.yaml").read_text(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, ""), done
        assert "2 boxes of a matrix and one output: " in done.stderr


def test_what_one_name_is() -> None:
    assert one_file("a//./B.json") == one_file("A/b.json")
    assert one_file("\u017f") == one_file("s") == one_file("S")
    assert one_file("a/../b") == "b"
    assert one_file("web-1") != one_file("web_1")
