"""Whatever can be launched or compiled is seen by krunc check, however it is written or called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
from krunc_compiler.shape.fast_checking import Acceptor
from krunc_compiler.values.kind import kind_of_file, kind_of_text
from krunc_schema import load
from places import ROOT
from reviews import BOX, compiled

KEYS = {
    "name": "evil",
    "rootfs": "{path: /}",
    "network": "{mode: tsi}",
    "entrypoint": "{executable: /bin/sh}",
}
REST = "\n".join(f"{key}: {value}" for key, value in KEYS.items())
FLOW = ", ".join(f"{key}: {value}" for key, value in KEYS.items())
POLICY = "krunc_policy: 1\nallow: {networks: [], writes: [./rootfs]}\n"

# Ways to write one box.
BOXES = {
    "plain": f"krunc: 1\n{REST}\n",
    "single quotes": f"'krunc': 1\n{REST}\n",
    "double quotes": f'"krunc": 1\n{REST}\n',
    "an escape": f'"kr\\x75nc": 1\n{REST}\n',
    "an escape of four": f'"\\u006brunc": 1\n{REST}\n',
    "an escape of eight": f'"\\U0000006brunc": 1\n{REST}\n',
    "an explicit key": f"? krunc\n: 1\n{REST}\n",
    "an explicit key over lines": f'? "kru\\\n  nc"\n: 1\n{REST}\n',
    "a key in a block": f"? |-\n  krunc\n: 1\n{REST}\n",
    "flow": f"{{krunc: 1, {FLOW}}}\n",
    "flow over lines": f"{{\n  krunc: 1,\n  {FLOW}\n}}\n",
    "flow, not at the left": f" {{{FLOW}, 'krunc': 1}}\n",
    "JSON": json.dumps({"krunc": 1, "name": "evil", "rootfs": {"path": "/"}, "network": {"mode": "tsi"}, "entrypoint": {"executable": "/bin/sh"}}),
    "JSON with escapes": f'{{"\\u006b\\u0072unc":1,{FLOW}}}',
    "document start": f"--- {{krunc: 1, {FLOW}}}\n",
    "document end": f"krunc: 1\n{REST}\n...\n",
    "a mark in front": f"\ufeffkrunc: 1\n{REST}\n",
    "a mark and a comment": f"\ufeff# a\nkrunc: 1\n{REST}\n",
    "a directive": f"%YAML 1.2\n---\nkrunc: 1\n{REST}\n",
    "indented": "  krunc: 1\n" + "".join(f"  {line}\n" for line in REST.split("\n")),
    "last": f"{REST}\nkrunc: 1",
    "hexadecimal": f"krunc: 0x1\n{REST}\n",
    "octal": f"krunc: 0o1\n{REST}\n",
    "a variable": f'vars: {{v: 1}}\nkrunc: "{{{{ v }}}}"\n{REST}\n',
    "blanks": f"krunc   :   1   # 1\n{REST}\n",
    "a tab": f"krunc:\t1\n{REST}\n",
    "on the next line": f"krunc:\n  1\n{REST}\n",
    "an anchor": f"&a krunc: &b 1\n{REST}\n",
    "aliases": f"vars: {{v: &a krunc, w: &b 1}}\n*a : *b\n{REST}\n",
    "a merge key": f"<<: {{krunc: 1}}\n{REST}\n",
    "a merged list": f"<<: [{{}}, {{krunc: 1}}]\n{REST}\n",
    "a tag that means nothing": f"! krunc: 1\n{REST}\n",
    "carriage returns": f"krunc: 1\n{REST}\n".replace("\n", "\r"),
    "Windows": f"krunc: 1\n{REST}\n".replace("\n", "\r\n"),
    "a new key of the base": f"extends: base.txt\n{REST}\n",
    "a list of bases": f"extends: [other.txt, base.txt]\n{REST}\n",
    "a base of a base": f"extends: upper.txt\n{REST}\n",
    "extends with an escape": f'"ext\\x65nds": base.txt\n{REST}\n',
    "all in the base": "extends: whole.txt\n",
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("base.txt").write_text("krunc: 1\n")
    Path("other.txt").write_text("labels: {a: b}\n")
    Path("upper.txt").write_text("extends: base.txt\nlabels: {a: b}\n")
    Path("whole.txt").write_text(f"krunc: 1\n{REST}\n")
    Path(".krunc").mkdir()
    Path(".krunc/policy.yaml").write_text(POLICY)
    return tmp_path


def checked(
    capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, Any], set[tuple[str, str]]]:
    """The exit code, the JSON document, and (code, file) of its findings."""
    capsys.readouterr()
    status = main(["check", *arguments, "--format", "json"], refusals)
    document = json.loads(capsys.readouterr().out)
    assert Acceptor(load("check.schema")["properties"]["skipped"]).accepts(document["skipped"])
    return status, document, {(one["code"], one["file"]) for one in document["findings"]}


@pytest.mark.parametrize("way", BOXES)
@pytest.mark.parametrize("name", ["evil.yaml", "EVIL.YML", "boxes/.hidden/evil.Yaml"])
def test_a_box_is_seen(
    way: str, name: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    depth = "../" * name.count("/")
    text = (
        BOXES[way].replace("base.txt", f"{depth}base.txt").replace("upper.txt", f"{depth}upper.txt")
    )
    text = text.replace("other.txt", f"{depth}other.txt").replace("whole.txt", f"{depth}whole.txt")
    path.write_bytes(text.encode())
    Path("rootfs").mkdir()
    assert main(["compile", name, "-o", "-"]) == 0, "else the way is none"
    status, document, found = checked(capsys)
    assert status == 1
    said = " ".join(one["message"] for one in document["findings"] if one["code"] == "KR501")
    assert "write: directory /" in said
    assert "network: any address that the host user can reach" in said
    assert document["boxes"] == 1
    assert ("KR301", os.path.splitext(name)[0] + ".plan.json") in found


# What would be a box if it could be read.
BROKEN = {
    "a tag": f"!!map\nkrunc: 1\n{REST}\n",
    "a tag at the key": f"!!str krunc: 1\n{REST}\n",
    "not YAML": f"krunc: 1\n{REST}\nx: [\n",
    "not YAML, flow": f"{{krunc: 1, {FLOW}\n",
    "a second document": f"krunc: 1\n{REST}\n---\na: 1\n",
    "in the second document": f"a: 1\n---\nkrunc: 1\n{REST}\n",
    "an expression of nothing": f'krunc: "{{{{ 1 }}}}"\n{REST}\n',
    "another version": f"krunc: 2\n{REST}\n",
    "no number": f"krunc: one\n{REST}\n",
    "null": f"krunc:\n{REST}\n",
    "twice": f"krunc: 1\nkrunc: 1\n{REST}\n",
    "no base": f"extends: nowhere.yaml\n{REST}\n",
    "itself": f"extends: evil.yaml\n{REST}\n",
    "not UTF-8": f"krunc: 1\n# \udcff\n{REST}\n",
    "long": f"krunc: 1\n{REST}\n#" + "x" * (1 << 20),
    "a plan in YAML": f"krunc_plan: 1\n{REST}\n",
}


@pytest.mark.parametrize("way", BROKEN)
def test_what_might_be_a_box_is_not_skipped(
    way: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("evil.yaml").write_bytes(BROKEN[way].encode("utf-8", "surrogateescape"))
    status, document, found = checked(capsys)
    assert status == 1
    assert "evil.yaml" in {file for _, file in found}
    assert document["boxes"] + document["plans"] == 1


OTHERS = {
    "a job of that name": "krunc:\n  stage: test\n  script: [krunc check]\n",
    "a workflow": "on: push\njobs: {krunc: {runs-on: x, steps: [{run: krunc check}]}}\n",
    "a configuration that extends": "extends: default\nrules: {a: b}\n",
    "only extends": "extends: default\n",
    "tags of another tool": "a: !Ref b\n",
    "documents": "a: 1\n---\nb: 2\n",
    "a list": "- krunc\n",
    "empty": "",
    "a template": "{{ if .Values.a }}\na: 1\n{{ end }}\n",
    "a part of boxes": "machine: {cpus: 2}\n",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_counted_and_named(
    kind: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.yaml").write_text(OTHERS[kind])
    Path("box.yaml").write_text(json.dumps({**BOX, "rootfs": {"path": "./rootfs"}}))
    main(["compile", "box.yaml"])
    status, document, _ = checked(capsys)
    assert (status, document["boxes"], document["plans"], document["policies"]) == (0, 1, 1, 1)
    ((skipped,), why) = zip(*(row.values() for row in document["skipped"]), strict=True)
    assert skipped == "other.yaml"
    assert why[0]
    assert main(["check"]) == 0
    assert capsys.readouterr().out == (
        "krunc: checked 1 box, 1 plan, 1 policy; skipped 1 file (other.yaml): no problems found\n"
    )
    assert main(["check", "--verbose"]) == 0
    assert f"krunc: skipped other.yaml: {why[0]}\n" in capsys.readouterr().out
    assert main(["check", "--format", "sarif"]) == 0
    assert "skipped 1 file (other.yaml)" in capsys.readouterr().err
    assert main(["compile", "."]) == 0
    assert "krunc: skipped other.yaml" in capsys.readouterr().err


def test_large_files_of_others_are_not_parsed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("krunc_compiler.text.parsing.parse_on", None)
    Path("values.yaml").write_text("a: 'b'\n" * 100_000)
    Path("box.yaml").write_text(BOXES["plain"] + "#" * 900_000)
    assert kind_of_file("values.yaml").kind == "neither"
    assert kind_of_file("box.yaml").kind == "box"


def test_a_box_that_is_not_called_one_is_not_compiled(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("evil.txt", "evil", "evil.json", "evil.yaml~"):
        Path(name).write_text(BOXES["plain"])
        assert main(["compile", name]) == 2
        assert "a box is called NAME.yaml" in capsys.readouterr().err


# Names of a plan's file.
NAMES = ("net.json", "net", "net.plan.json", "NET.PLAN.JSON", "net.plan.json~", "net.yaml", "a.b/.c/net.txt", "Makefile")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", ["plain", "escaped", "blanks in front", "a mark in front"])
def test_a_plan_is_seen_by_its_text(
    name: str, way: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = compiled({**BOX, "network": {"mode": "tsi"}})
    text = {
        "plain": text,
        "escaped": text.replace("krunc_plan", "\\u006brunc_plan"),
        "blanks in front": " \t\r\n" * 3000 + text,
        "a mark in front": "\ufeff" + text,
    }[way]
    path.write_bytes(text.encode())
    status, document, found = checked(capsys)
    assert (status, document["plans"], document["boxes"]) == (1, 1, 0)
    if way == "a mark in front":  # the launcher refuses it, and so does the review
        assert ("KR401", name) in found
        assert main(["show", name]) == 1
        return
    assert {("KR501", name), ("KR303", name)} <= found
    assert ("KR404", name) not in found
    assert main(["show", name]) == 0
    assert "network" in capsys.readouterr().out
    assert checked(capsys, name)[2] == found - {("KR303", name)}


def swapped(rows: list[dict[str, Any]]) -> None:
    rows.insert(0, rows.pop())


def twice(rows: list[dict[str, Any]]) -> None:
    (at,) = (i for i, row in enumerate(rows) if row.get("call") == "krun_set_vm_config")
    rows.insert(at, rows[at])


def endless(rows: list[dict[str, Any]]) -> None:
    rows[:] = [row for row in rows if row.get("call") != "krun_start_enter"]


def quoted(rows: list[dict[str, Any]]) -> None:
    (row,) = (row for row in rows if row.get("call") == "krun_set_exec")
    row["args"]["argv"] = ['say "no"']


def multicast(rows: list[dict[str, Any]]) -> None:
    (row,) = (row for row in rows if row.get("call") == "krun_add_net_unixstream")
    row["args"]["mac"] = "01:00:5e:00:00:01"


@pytest.mark.parametrize("change", [swapped, twice, endless, quoted, multicast])
@pytest.mark.parametrize("name", ["evil.plan.json", "evil.json"])
def test_the_launcher_is_asked(change: Any, name: str, place: Path) -> None:
    """As a user starts it: the dispatcher knows both halves."""
    (place / ".krunc/policy.yaml").unlink()
    network = {"mode": "unixstream", "socket": "/run/net"}
    plan = json.loads(compiled({**BOX, "network": network}, "1.16"))
    change(plan["operations"])
    Path(name).write_text(json.dumps(plan, indent=1))
    run = [sys.executable, "-m", "krunc"]
    launched = subprocess.run([*run, "launch", "--dry-run", name], capture_output=True, text=True)
    assert launched.returncode == 1, "else the plan is one that runs"
    done = subprocess.run([*run, "check", name], capture_output=True, text=True)
    assert done.returncode == 1
    shown = subprocess.run([*run, "show", name], capture_output=True, text=True)
    assert (shown.returncode, shown.stdout) == (1, "")
    # The place is the launcher's too.
    place_said = launched.stderr.split(": ")[0]
    if "KR404" in done.stdout:
        assert f"{place_said}: error[KR404]" in done.stdout + shown.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "boxes").glob("*.plan.json")))
def test_the_launcher_takes_the_plans_of_this_repository(path: Path) -> None:
    assert refusals(path.read_bytes()) == []


def test_what_a_text_is_does_not_depend_on_its_name() -> None:
    for text in BOXES.values():
        if "extends" not in text and "ext\\" not in text:
            assert kind_of_text("<stdin>", text).kind == "box"
    assert kind_of_text("x.yaml", compiled(BOX)).kind == "plan"


def test_a_plan_that_is_called_a_box_is_launched_as_a_plan(place: Path) -> None:
    Path("a.YAML").write_text(compiled(BOX))
    run = [sys.executable, "-m", "krunc", "launch", "--dry-run"]
    done = subprocess.run([*run, "a.YAML"], capture_output=True, text=True)
    assert "krun_start_enter" in done.stdout, done
    Path("b.YML").write_text(json.dumps(BOX))
    done = subprocess.run([*run, "b.YML"], capture_output=True, text=True)
    assert "krun_start_enter" in done.stdout, done


def test_what_is_not_entered_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("box.yaml").write_text(json.dumps(BOX))
    Path("elsewhere").symlink_to("..")
    os.mkfifo("pipe.yaml")
    Path("pipe.plan.json").symlink_to("pipe.yaml")
    Path("gone.yaml").symlink_to("nowhere")
    Path("gone.plan.json").symlink_to("nowhere")
    status, document, found = checked(capsys)
    assert status == 1
    names = {row["file"] for row in document["skipped"]}
    assert names == {"elsewhere"}
    odd = {"gone.yaml", "gone.plan.json", "pipe.yaml", "pipe.plan.json"}
    assert {("KR001", name) for name in odd} <= found


def test_a_directory_that_cannot_be_listed(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("box.yaml").write_text(json.dumps(BOX))
    Path("closed").mkdir()
    scandir = os.scandir

    def refused(path: str) -> Any:
        if path == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refused)
    status, _, found = checked(capsys)
    assert status == 1
    assert ("KR001", "closed") in found
    assert main(["compile", "."]) == 1
    assert (
        "closed: error[KR001]: the directory cannot be read: permission denied"
        in capsys.readouterr().err
    )


def test_many_levels_of_directories(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = os.getcwd()
    for _ in range(2500):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(home)
    Path("box.yaml").write_text(json.dumps(BOX))
    status, _, found = checked(capsys)
    assert status == 1
    assert {code for code, file in found if file.startswith("d/")} == {"KR001"}
    subprocess.run(["rm", "-rf", "d"], check=True)
