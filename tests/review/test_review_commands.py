"""krunc show and krunc diff as a user runs them, with a real git."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.shape.checking import check
from krunc_compiler.shape.misfits import validator
from krunc_schema import load
from places import ROOT
from reviews import BOX, compiled
from terminals import on_terminal

BOXES = sorted((ROOT / "boxes").glob("*.plan.json"))
OPEN = {**BOX, "network": {"mode": "tsi"}}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with a plan in two revisions, and a third in the working tree."""
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@b.example")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git("init", "-q", "-b", "main")
    directory = tmp_path / "boxes"
    directory.mkdir()
    (directory / "one.plan.json").write_text(compiled(BOX))
    (directory / "one.yaml").write_text(json.dumps(BOX))
    git("add", ".")
    git("commit", "-qm", "one")
    (directory / "one.plan.json").write_text(compiled(OPEN))
    git("commit", "-qam", "two")
    return tmp_path


def git(*args: str) -> str:
    return subprocess.run(["git", *args], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("plan", BOXES, ids=lambda path: path.stem)
def test_json_fits_its_schema(plan: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(plan), "--format", "json"]) == 0
    review = json.loads(capsys.readouterr().out)
    assert check(review, load("review.schema")) == []
    assert review["plan"] == json.loads(plan.read_text("utf-8"))
    assert main(["diff", str(BOXES[0]), str(plan), "--format", "json"]) == (plan != BOXES[0])
    assert check(json.loads(capsys.readouterr().out), load("diff.schema")) == []


@pytest.mark.parametrize("name", ["box", "plan", "review", "diff", "policy", "check"])
def test_a_schema_is_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0
    schema = json.loads(capsys.readouterr().out)
    validator(schema).check_schema(schema)


def test_diff_of_revisions(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "boxes/one.plan.json"
    assert main(["diff", f"HEAD~1:{path}", f"HEAD:{path}"]) == 1
    there = capsys.readouterr().out
    assert "any address that the host user can reach" in there
    assert main(["diff", f"HEAD~1:{path}", path]) == 1
    assert capsys.readouterr().out == there
    assert main(["diff", f"HEAD~1:{path}", "HEAD~1:boxes/one.yaml"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["diff", f"HEAD:{path}", path]) == 0
    monkeypatch.chdir(repository / "boxes")
    assert main(["diff", "HEAD:./one.plan.json", "one.plan.json"]) == 0


@pytest.mark.parametrize("directory", ["", "boxes", "boxes/deep"])
def test_a_box_at_a_revision_extends_what_is_there(
    directory: str,
    repository: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base, web = Path(directory, "base.yaml"), Path(directory, "web.yaml")
    base.parent.mkdir(exist_ok=True)
    base.write_text(json.dumps(BOX))
    web.write_text(json.dumps({"extends": "base.yaml", "name": "web"}))
    git("add", ".")
    git("commit", "-qm", "three")
    base.write_text(json.dumps(OPEN))
    assert main(["diff", f"HEAD:{web}", str(web)]) == 1
    assert "any address that the host user can reach" in capsys.readouterr().out
    monkeypatch.chdir(base.parent)
    assert main(["diff", "HEAD:./web.yaml", "web.yaml"]) == 1
    assert "any address that the host user can reach" in capsys.readouterr().out
    Path("web.yaml").write_text(json.dumps({"extends": "../../../x.yaml"}))
    git("commit", "-qam", "four")
    assert main(["show", "HEAD:./web.yaml"]) == 1
    assert "error[KR023]" in capsys.readouterr().err


def test_the_markdown_of_a_plan_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env = {f"V{i}": "x" * 200 for i in range(1000)}
    # Only the guest's configuration file has room for so many.
    program = {"executable": "/bin/a", "env": {"V": "a\nb"}}
    value = json.loads(compiled({**BOX, "entrypoint": program}, "2"))
    (row,) = [
        row for row in value["operations"] if "process" in row.get("args", {}).get("data", ())
    ]
    row["args"]["data"]["process"]["env"] = env
    path = tmp_path / "a.plan.json"
    path.write_text(json.dumps(value))
    assert main(["show", str(path), "--format", "markdown"]) == 0
    said = capsys.readouterr().out
    assert all(f"- **env** `{name}={text}`" in said for name, text in env.items())
    assert "omitted" not in said
    assert main(["diff", "/dev/null", str(path), "--format", "markdown"]) == 1
    assert len(capsys.readouterr().out.encode()) <= 65536


# A revision that is there, two that are not in a clone without its history, and none.
REVISIONS = ["HEAD~1", "HEAD", "origin/main", "v9", "a b", "HEAD^{tree}"]


@pytest.mark.parametrize("revision", REVISIONS)
def test_no_file_stands_for_a_revision(
    revision: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A branch could bring a file with such a name, and hide what it changes."""
    directory = f"{revision}:boxes"
    path = f"{directory}/one.plan.json"
    Path(directory).mkdir(parents=True)
    Path(path).write_text(compiled(OPEN))
    Path(f"{revision}:link.plan.json").symlink_to("nowhere")
    Path(f"{revision}:").mkdir(exist_ok=True)
    for words in (
        ["diff", path, "boxes/one.plan.json"],
        ["diff", "boxes/one.plan.json", path],
        ["diff", directory, "boxes"],
        ["diff", "boxes", directory],
        ["diff", f"{directory}/", "boxes"],
        ["diff", f"{revision}:", "."],
        ["diff", f"{revision}:link.plan.json", "boxes/one.plan.json"],
        ["diff", directory],
        ["diff", path],
        ["show", path],
        ["show", "--effective", path],
    ):
        assert main(words) == 2, words
        said = capsys.readouterr()
        assert said.out == "", words
        asked = next(word for word in words if word.startswith(revision))
        assert f"{asked} has the form REV:PATH" in said.err, words
        assert f"write ./{asked} for the file" in said.err, words
    names = ["--names", "one.plan.json", "one.plan.json"]
    assert main(["diff", *names, f"./{path}", "boxes/one.plan.json"]) == 0
    assert (
        main(["diff", f"./{directory}", "boxes", "--format", "json"]) == 1
    )  # its root is elsewhere


@pytest.mark.parametrize("revision", ["origin/main", "v9"])
def test_a_revision_that_is_not_in_the_clone_is_told(
    revision: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (
        [f"{revision}:boxes", "boxes"],
        ["boxes", f"{revision}:boxes"],
        [f"{revision}:boxes"],
        [f"{revision}:boxes/one.plan.json", "boxes/one.plan.json"],
    ):
        assert main(["diff", *words]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert "neither a file nor in git: " in said.err
        assert f"{revision}" in said.err


def test_a_name_with_a_colon_is_a_file_s_where_it_says_so(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a:b.yaml").write_text(json.dumps(BOX))
    assert main(["show", "a:b.yaml"]) == 2
    assert "write ./a:b.yaml for the file" in capsys.readouterr().err
    assert main(["show", "./a:b.yaml"]) == 0
    assert main(["show", str(repository / "a:b.yaml")]) == 0
    assert main(["compile", "a:b.yaml", "-o", "-"]) == 0  # which takes no revision
    capsys.readouterr()
    assert main(["diff", "./a:c.yaml", "./a:b.yaml"]) == 2
    assert "./a:c.yaml: error[KR001]: the file cannot be read" in capsys.readouterr().err


def test_a_revision_s_whole_tree_is_a_directory(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", "HEAD:", "."]) == 0
    assert main(["diff", "HEAD:"]) == 0
    Path("boxes/one.plan.json").write_text(
        compiled(OPEN | {"network": {"mode": "tsi", "ports": ["80:80"]}})
    )
    for words in (["HEAD:", "."], ["HEAD:"], ["HEAD:boxes/"], ["HEAD:./boxes", "boxes"]):
        assert main(["diff", *words]) == 1
        assert "WIDENS HOST ACCESS" in capsys.readouterr().out


def test_a_box_is_compiled_for_the_plan_beside_it(repository: Path) -> None:
    Path("boxes/two.plan.json").write_text(compiled(BOX, "2"))
    assert main(["diff", "boxes/two.plan.json", "HEAD~1:boxes/one.yaml"]) == 0
    assert main(["diff", "boxes/one.yaml", "boxes/two.plan.json"]) == 0
    assert main(["diff", "boxes/one.yaml", "boxes/two.plan.json", "--target", "1"]) == 1
    assert main(["diff", "boxes/one.yaml", "HEAD:boxes/one.yaml"]) == 0


def test_diff_with_standard_input(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stdin:
        buffer = io.BytesIO(compiled(BOX).encode())

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert main(["diff", "-", "boxes/one.yaml"]) == 0
    assert main(["diff", "-", "-"]) == 2
    assert "only one side" in capsys.readouterr().err


def test_both_sides_are_found_wrong(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.yaml").write_text("krunc: 1\n")
    assert main(["diff", "HEAD:nothing", "bad.yaml"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "HEAD:nothing: error[KR001]: neither a file nor in git" in said.err
    assert "bad.yaml:1:1: error[KR102]" in said.err


@pytest.mark.parametrize("argument", ["--output=x:y", "-x:y"])
def test_no_option_reaches_git(argument: str, repository: Path) -> None:
    assert main(["diff", "--", argument, "/dev/null"]) == 2
    assert not Path("x:y").exists()


def told(*args: str, **more: str) -> str:
    """What a command writes on a terminal of 120 columns."""
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm", **more}
    environment.pop("NO_COLOR", None) if "NO_COLOR" not in more else None
    return on_terminal([sys.executable, "-m", "krunc", *args], environment)[1].decode()


def test_a_terminal_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    plan = str(ROOT / "boxes" / "boxlite-agent.plan.json")
    wide = told("show", plan)
    assert "\x1b[31m" in wide
    assert max(len(line) for line in told("show", plan, NO_COLOR="1").splitlines()) > 80
    assert "\x1b" not in told("show", plan, NO_COLOR="1")
    assert main(["show", plan]) == 0
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= 80


def test_the_wheel_holds_what_is_no_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert "krunc_compiler/review/page.html.j2" in names
    assert {f"krunc_schema/{name}.schema.json" for name in ("review", "diff", "policy")} <= names
