"""A file that says it is a policy, and is not read as one, is told of: it would hold nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from reviews import BOX

CLOSED = "krunc_policy: 1\nallow: {writes: []}\n"
# Where such a file is, what it is, and where it would be applied.
STRAYS = {
    "policy.yaml": (CLOSED, ".krunc/policy.yaml", "this directory and below"),
    "policy.yml": (f"# ours\n{CLOSED}", ".krunc/policy.yml", "this directory and below"),
    "boxes/policy.yaml": (CLOSED, "boxes/.krunc/policy.yaml", "boxes/ and below"),
    "strict.yaml": (CLOSED, ".krunc/policy-strict.yaml", "this directory and below"),
    "quoted.yaml": ('"krunc_policy": 1\n', ".krunc/policy-quoted.yaml", "this directory and below"),
    "flow.yaml": ("{krunc_policy: 1}\n", ".krunc/policy-flow.yaml", "this directory and below"),
    "newer.yaml": ("krunc_policy: 2\n", ".krunc/policy-newer.yaml", "this directory and below"),
    "policy.json": ('{"krunc_policy": 1}', ".krunc/policy.json", "this directory and below"),
    ".github/policy.yaml": (CLOSED, ".github/.krunc/policy.yaml", ".github/ and below"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a box and its plan."""
    monkeypatch.chdir(tmp_path)
    for directory in (".git", "boxes", ".github"):
        Path(directory).mkdir()
    Path("boxes/a.yaml").write_text(json.dumps(BOX))
    assert main(["compile", "boxes/a.yaml"]) == 0
    return tmp_path


@pytest.mark.parametrize("path", STRAYS)
def test_it_is_a_warning_that_says_where_policies_are_read(
    path: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, there, files = STRAYS[path]
    Path(path).write_text(text)
    capsys.readouterr()
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert (
        f"{path}: warning[KR861]: this policy is not applied: policies are read from .krunc\n"
        in said
    )
    assert (
        f"move it to {there}, for the files in {files}, or give it with --policy {path}\n" in said
    )
    assert main(["check", "--policy", path]) == (1 if "writes" in text or "2" in text else 0)
    assert "KR861" not in capsys.readouterr().out
    Path(there).parent.mkdir()
    Path(path).rename(there)
    main(["check"])
    assert "KR861" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".krunc/policy.yaml", "krunc_policy: 1\n"),
        ("other/.krunc/policy.yaml", CLOSED),
        ("values.yaml", "a: {krunc_policy: 1}\n"),
        ("notes.yaml", "text: |\n  krunc_policy: 1\n"),
        ("data.json", '{"a": {"krunc_policy": 1}}'),
        ("broken.json", '{"krunc_policy": 1'),
        ("notes.md", "krunc_policy: 1\n"),
    ],
)
def test_what_is_applied_or_no_policy_is_not_told(
    path: str, text: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    assert main(["check"]) == 0
    assert "KR861" not in capsys.readouterr().out


def test_a_policy_that_is_given_by_its_name_is_no_box(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("policy.yaml").write_text(CLOSED)
    capsys.readouterr()
    assert main(["check", "policy.yaml"]) == 2
    assert capsys.readouterr().err == (
        "krunc check: no box and no plan in policy.yaml; skipped 1 file (policy.yaml): this policy is "
        "not applied: policies are read from .krunc; move it to .krunc/policy.yaml, for the files in "
        "this directory and below, or give it with --policy policy.yaml\n"
    )
    assert main(["check", "policy.yaml", "boxes/a.yaml"]) == 0
    assert "policy.yaml: warning[KR861]" in capsys.readouterr().out
    Path(".krunc").mkdir()
    Path("policy.yaml").rename(".krunc/policy.yaml")
    assert main(["check", ".krunc/policy.yaml"]) == 0
    assert capsys.readouterr().out == "krunc: checked 1 policy: no problems found\n"
    Path(".krunc/policy.yaml").write_text("krunc_policy: 2\n")
    assert main(["check", ".krunc/policy.yaml"]) == 1
    assert ".krunc/policy.yaml:1:15: error[KR105]" in capsys.readouterr().out
