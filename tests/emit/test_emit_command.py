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
    assert emit(ROOT / "boxes") == 0
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
