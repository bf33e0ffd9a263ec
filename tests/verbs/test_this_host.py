"""What this host lacks of a plan is told where somebody asks for this host's view: files and
directories, and programs in a root directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BOX = """\
krunc: 1
name: NAME
target: "TARGET"
machine: {cpus: 1, memory: 64MiB}
rootfs: {path: ./rootfs}
network: {mode: none}
"""
# What starts, the key that is marked, and what is said.
MISSING = [
    ("entrypoint: {executable: /bin/none}", "entrypoint", "/bin/none is not there"),
    ("entrypoint: {executable: /bin/script}", "entrypoint", "/bin/zsh is not there"),
    ("entrypoint: {executable: /bin/plain}", "entrypoint", "cannot be executed by anybody"),
    ("entrypoint: {executable: /bin}", "entrypoint", "/bin is a directory"),
    ("entrypoint: {script: echo}", "entrypoint", "/bin/sh is not there"),
    ("entrypoint: {executable: /bin/none}\nhostname: x", "entrypoint", "/bin/none is not there"),
    (
        "entrypoint: {executable: /bin/good, workdir: /nowhere}",
        "entrypoint.workdir",
        "/nowhere is not a directory in the guest's root",
    ),
]


@pytest.fixture
def boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a root that has little."""
    monkeypatch.chdir(tmp_path)
    for name in ("bin", "dev", "proc", "sys", "tmp"):
        (tmp_path / "rootfs" / name).mkdir(parents=True)
    programs = {"good": "text", "plain": "text", "script": "#!/bin/zsh\n"}
    for name, text in programs.items():
        path = tmp_path / "rootfs" / "bin" / name
        path.write_text(text)
        path.chmod(0o644 if name == "plain" else 0o755)
    return tmp_path


def krunc(*words: str, directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "krunc", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=directory, check=False)


def put(keys: str, target: str = "2", name: str = "a.yaml") -> None:
    Path(name).parent.mkdir(exist_ok=True)
    text = BOX.replace("TARGET", target).replace("NAME", Path(name).stem)
    Path(name).write_text(text + keys + "\n")


@pytest.mark.parametrize("target", ["1.19", "2"])
@pytest.mark.parametrize(("keys", "key", "said"), MISSING)
def test_it_is_told_where_it_is_asked_for(
    keys: str, key: str, said: str, target: str, boxes: Path
) -> None:
    put(keys, target)
    plain = krunc("compile", "a.yaml")
    assert (plain.returncode, plain.stderr) == (0, "krunc: wrote a.plan.json\n"), "a pure function"
    made = Path("a.plan.json").read_bytes()
    asked = krunc("compile", "--this-host", "a.yaml")
    assert asked.returncode == 0
    assert f"warning[KR530]: {key}: " in asked.stderr
    assert said in asked.stderr
    assert "= help: " in asked.stderr
    assert Path("a.plan.json").read_bytes() == made, "a plan never depends on the host"
    assert krunc("compile", "--this-host", "--warnings-as-errors", "a.yaml").returncode == 1
    told = krunc("launch", "--dry-run", "a.plan.json")
    assert told.returncode == 0
    assert said in told.stderr
    assert told.stderr.startswith("krunc: warning: ")
    assert f"({key})\n" in told.stderr
    assert said not in told.stdout
    # Both have it of the same parts.
    as_data = krunc("compile", "--this-host", "--format", "json", "a.yaml")
    (finding,) = json.loads(as_data.stdout)["findings"]
    parts = f"{finding['message']}; {finding['help']} ({key})"
    assert told.stderr == f"krunc: warning: {parts}\n"


# Keys that name what is not there, the key that is marked, and what is said.
ABSENT = [
    ("shares: [{tag: a, path: ./none}]", "shares[0].path", "/none: no such file or directory; expected a directory"),
    ("shares: [{tag: a, path: ./file}]", "shares[0].path", "/file is not a directory"),
    ("disks: [{id: a, format: raw, path: ./none.img}]", "disks[0].path", "/none.img: no such file or directory; expected a file or"),
    ("disks: [{id: a, format: raw, path: ./rootfs}]", "disks[0].path", "/rootfs is not a file or block device"),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "key", "said"), ABSENT)
def test_what_a_box_names_is_looked_for(keys: str, key: str, said: str, boxes: Path) -> None:
    Path("file").touch()
    put(f"entrypoint: {{executable: /bin/good}}\n{keys}")
    assert "KR531" not in krunc("compile", "a.yaml").stderr, "a pure function"
    asked = krunc("compile", "--this-host", "a.yaml")
    assert asked.returncode == 0
    assert f"warning[KR531]: {key}: {boxes}" in asked.stderr
    assert said in asked.stderr
    assert asked.stderr.count("KR53") == 1


def test_every_missing_path_is_told_at_once(boxes: Path) -> None:
    keys = "entrypoint: {executable: /bin/none}\nshares: [{tag: a, path: a}, {tag: b, path: b}]"
    put(f"{keys}\ndisks: [{{id: c, format: raw, path: c}}]", name="elsewhere/d.yaml")
    asked = krunc("compile", "--this-host", "elsewhere/d.yaml")
    assert asked.stderr.count("KR531") == 4  # the root, too, of which nothing can be said then
    assert "KR530" not in asked.stderr


def test_nothing_is_said_of_what_cannot_be_seen(boxes: Path) -> None:
    put("entrypoint: {executable: /bin/good}")
    put("entrypoint: {executable: /bin/none}\nallow: [{code: KR530, reason: x}]", name="b.yaml")
    Path("rootfs/bin/sh").touch(0o755)  # of the script before, which may make the program
    put("entrypoint: {executable: /bin/none, before: a}", name="c.yaml")
    for name in ("a", "b", "c"):
        asked = krunc("compile", "--this-host", "--warnings-as-errors", f"{name}.yaml")
        assert (asked.returncode, "KR530" in asked.stderr) == (0, False), asked.stderr
    assert krunc("launch", "--dry-run", "a.plan.json").stderr == ""


def test_a_root_is_looked_for_where_its_plan_is(boxes: Path) -> None:
    put("entrypoint: {executable: /bin/none}")
    for words in (["-o", "plans/"], ["-o", "-"]):
        asked = krunc("compile", "--this-host", "a.yaml", *words)
        assert "error" not in asked.stderr
        assert "warning[KR530]" in asked.stderr, words
    from_elsewhere = krunc("compile", "--this-host", str(boxes / "a.yaml"), directory=boxes.parent)
    assert "warning[KR530]" in from_elsewhere.stderr


def test_of_many_boxes_each_is_told(boxes: Path) -> None:
    for i in range(250):
        put("entrypoint: {executable: /bin/none}", name=f"many/b{i}.yaml")
    os.symlink("../rootfs", "many/rootfs")
    asked = krunc("compile", "--this-host", "many")
    assert asked.stderr.count("KR530") == 1, "what is the same is shown once"
    assert "and 241 more\n" in asked.stderr
    assert "250 warnings" in asked.stderr
