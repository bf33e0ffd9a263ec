"""krunc emit writes everything or nothing, and replaces nothing of another's."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
from places import ROOT

HELLO, BUILD = (ROOT / f"boxes/{name}.plan.json" for name in ("hello", "build"))
DROP_IN = "krunc@hello.service.d/10-plan.conf"


def emit(*words: object) -> int:
    """The exit status of krunc emit systemd, with a base."""
    return main(["emit", "systemd", "--base", "/srv", *map(str, words)], refusals)


def files(directory: Path) -> set[str]:
    """What lies below DIRECTORY."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_a_directory_is_made_and_then_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a/units"
    assert emit(HELLO, "-o", out) == 0
    assert DROP_IN in files(out)
    assert not [name for name in files(out) if "/." in name or name.startswith(".")]
    capsys.readouterr()
    assert emit(HELLO, "-o", out) == 0
    assert "0 of 3 files changed" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["systemd", "nomad", "slurm", "kubernetes"])
@pytest.mark.parametrize("where", ["units", "units/", "a/b/units"])
def test_files_of_many_plans_lie_where_standard_output_says(
    engine: str, where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = []
    for name in ("one", "two", "two.three", "zero"):
        value = {**json.loads(HELLO.read_text()), "box": name}
        plans.append(tmp_path / f"{name}.plan.json")
        plans[-1].write_text(json.dumps(value))
    words = ["emit", engine, "--base", "/srv", *map(str, plans)]
    for loss in ("shared_port", "shared_writable_path"):
        words += ["--allow-loss", f"{loss}=each on a host of its own"]
    assert main(words, refusals) == 0
    shown = {
        line[2:]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("# krunc") and " " not in line[2:]
    }
    out = tmp_path / where
    for changed in (f"{len(shown)} of", "0 of"):
        assert main([*words, "-o", f"{tmp_path}/{where}"], refusals) == 0
        assert f"{changed} {len(shown)} files changed" in capsys.readouterr().err
        assert {name for name in files(out) if (out / name).is_file()} == shown
    assert len(shown) >= (4 if engine in ("systemd", "nomad") else 1)


def test_directories_that_were_made_go_with_a_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = BUILD.read_text().replace("krun_create_ctx", "krun_create_ctx2")
    (wrong := tmp_path / "wrong.plan.json").write_text(text)
    before = files(tmp_path)
    assert emit(HELLO, BUILD, wrong, "-o", tmp_path / "a/units") == 1
    assert "error[" in capsys.readouterr().err
    assert files(tmp_path) == before


def test_one_wrong_plan_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = json.loads(BUILD.read_text())
    value["operations"].insert(0, value["operations"].pop())
    wrong = tmp_path / "wrong.plan.json"
    wrong.write_text(json.dumps(value))
    out = tmp_path / "units"
    assert emit(HELLO, wrong, "-o", out) == 1
    assert "error[KR404]" in capsys.readouterr().err
    assert not out.exists()
    assert emit(HELLO, wrong) == 1
    assert capsys.readouterr().out == ""


def test_a_file_of_another_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "krunc@.service"
    mine.write_text("[Service]\nExecStart=/bin/mine\n")
    assert emit(HELLO, "-o", tmp_path) == 1
    assert "error[KR810]" in capsys.readouterr().err
    assert files(tmp_path) == {"krunc@.service"}
    assert "mine" in mine.read_text()


def test_a_directory_and_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert emit(ROOT / "boxes") == 1  # three of them write to one root
    assert capsys.readouterr().err.count("error[KR845]") == 2
    assert emit(ROOT / "boxes", "--allow-loss", "shared_writable_path=one at a time") == 0
    assert capsys.readouterr().out.count("/10-plan.conf\n") == 6
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(HELLO.read_bytes())))
    assert emit("-") == 0
    assert DROP_IN in capsys.readouterr().out


def test_findings_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emit", "nomad", "--format", "json", str(HELLO)], refusals) == 1
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["code"], found["level"]) == ("KR804", "error")
    assert found["line"] > 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("missing-directory-of-plans/",), "KR001"),
        ((ROOT / "boxes/hello.yaml",), "is a box"),
        ((ROOT / "launcher/stage",), "has no plan"),
    ],
)
def test_what_is_no_plan(
    words: tuple[object, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert emit(*words) in (1, 2)
    assert said in capsys.readouterr().err
