"""Which policies a file is held to: those of its repository, and none is left out silently."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from reviews import BOX

CLOSED = "krunc_policy: 1\nallow: {networks: []}\n"
SMALL = "krunc_policy: 1\nallow: {memory: 1MiB}\n"
TSI = {**BOX, "network": {"mode": "tsi"}}


def repository(home: Path, policy: str, name: str = "policy.yaml", git: bool = True) -> Path:
    """A repository with a POLICY and a box with a network, compiled."""
    (home / ".krunc").mkdir(parents=True)
    (home / ".krunc" / name).write_text(policy)
    if git:
        (home / ".git").mkdir()
    (home / "boxes").mkdir()
    (home / "boxes/net.yaml").write_text(json.dumps(TSI))
    assert main(["compile", str(home / "boxes/net.yaml")]) == 0
    return home


def checked(capsys: pytest.CaptureFixture[str], *paths: str) -> tuple[set[tuple[str, str]], Any]:
    capsys.readouterr()
    main(["check", *paths, "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    return {(row["code"], row["file"]) for row in document["findings"]}, document


# Where check is started, and what it is given.
STARTS = [
    (".", ["repo"]),
    (".", ["repo/boxes"]),
    (".", ["repo/boxes/net.yaml"]),
    (".", ["repo/boxes/net.plan.json"]),
    (".", ["./repo/../repo"]),
    (".", ["link"]),
    (".", ["."]),
    ("repo", ["."]),
    ("repo", []),
    ("repo/boxes", ["."]),
    ("repo/boxes", ["net.yaml"]),
    ("other", ["../repo"]),
    ("/", ["REPO"]),
]


@pytest.mark.parametrize("git", [True, False])
@pytest.mark.parametrize(("start", "given"), STARTS)
def test_policies_are_those_of_the_repository(
    start: str,
    given: list[str],
    git: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    repository(tmp_path / "repo", CLOSED, git=git)
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("repo/boxes")
    monkeypatch.chdir(tmp_path / start)
    paths = [path.replace("REPO", str(tmp_path / "repo")) for path in given]
    found, document = checked(capsys, *paths)
    assert [code for code, _ in found if code == "KR501"] == ["KR501"]
    assert document["policies"] == 1


def test_each_of_several_repositories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    repository(tmp_path / "a", CLOSED)
    repository(tmp_path / "b", SMALL)
    found, document = checked(capsys, "a", "b")
    assert {file for code, file in found if code == "KR501"} == {
        "a/boxes/net.yaml",
        "b/boxes/net.yaml",
    }
    said = {
        row["message"].split(":")[0] + row["file"][0]
        for row in document["findings"]
        if row["code"] == "KR501"
    }
    assert said == {"networka", "memoryb"}
    assert document["policies"] == 2


def test_a_repository_within_another_has_those_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A submodule, say. Given by itself it has its own."""
    monkeypatch.chdir(tmp_path)
    repository(tmp_path / "a", CLOSED)
    repository(tmp_path / "a/sub", SMALL)
    _, document = checked(capsys, "a")
    of_sub = [
        row["message"][:6]
        for row in document["findings"]
        if row["code"] == "KR501" and "sub" in row["file"]
    ]
    assert sorted(of_sub) == ["memory", "networ"]
    _, document = checked(capsys, "a/sub")
    assert document["policies"] == 1


def test_a_deeper_one_holds_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    repository(tmp_path, CLOSED)
    Path("boxes/.krunc").mkdir()
    Path("boxes/.krunc/policy.json").write_text('{"krunc_policy": 1, "allow": {"memory": "1MiB"}}')
    _, document = checked(capsys)
    assert document["policies"] == 2
    assert len([row for row in document["findings"] if row["code"] == "KR501"]) == 2


def test_a_given_policy_stands_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    repository(tmp_path / "a", CLOSED)
    Path("lax.yaml").write_text("krunc_policy: 1\n")
    found, document = checked(capsys, "a", "--policy", "lax.yaml")
    assert (found, document["policies"]) == (set(), 1)


NAMES = (
    "network.yaml", "policies.yaml", "Policy.yaml", "policy.YAML", "policy.txt", "policy", "policy.yaml~",
    "policy.yaml.bak", "rules.json", ".policy.yaml", "policy.yml.d/", "sub/", "notes.md",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_applied_is_an_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    repository(tmp_path / "repo", "krunc_policy: 1\n")
    path = tmp_path / "repo/.krunc" / name
    if name.endswith("/"):
        path.mkdir()
    else:
        path.write_text(CLOSED)
    for given in ("repo", "repo/boxes/net.plan.json"):
        found, _ = checked(capsys, given)
        assert found == {("KR505", f"repo/.krunc/{name.rstrip('/')}")}
        assert main(["check", given]) == 1


def a_file(home: Path) -> None:
    home.write_text(CLOSED)


def dangling(home: Path) -> None:
    home.symlink_to("nowhere")


def a_circle(home: Path) -> None:
    home.symlink_to(home.name)


def a_pipe(home: Path) -> None:
    os.mkfifo(home)


@pytest.mark.parametrize("make", [a_file, dangling, a_circle, a_pipe])
def test_what_is_no_directory_is_an_error(
    make: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    repository(tmp_path / "repo", CLOSED)
    (tmp_path / "repo/.krunc/policy.yaml").unlink()
    (tmp_path / "repo/.krunc").rmdir()
    make(tmp_path / "repo/.krunc")
    found, _ = checked(capsys, "repo")
    assert found == {("KR505", "repo/.krunc")}


def test_what_tells_people_about_policies_may_lie_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    repository(tmp_path, "krunc_policy: 1\n")
    Path(".krunc/README.md").write_text("# why\n")
    assert checked(capsys)[0] == set()


def test_policies_are_checked_where_there_is_no_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".krunc").mkdir()
    Path(".krunc/policy.yaml").write_text("krunc_policy: 1\n")
    assert main(["check"]) == 0
    assert "checked 1 policy: no problems found" in capsys.readouterr().out
    Path(".krunc/policy.yaml").write_text("krunc_policy: 2\n")
    assert main(["check"]) == 1
