"""krunc init: every starter box compiles as it is, without a warning."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.verbs.init import KINDS

BOXES = [kind for kind in KINDS if kind != "policy"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("target", ["1", "2"])
@pytest.mark.parametrize("kind", BOXES)
def test_a_starter_compiles(kind: str, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "mine", "--kind", kind]) == 0
    assert capsys.readouterr() == ("", "krunc: wrote mine.yaml; next: krunc compile mine.yaml\n")
    text = Path("mine.yaml").read_text()
    assert "NAME" not in text
    assert text.count("# ") > 4
    assert main(["compile", "mine.yaml", "--target", target, "--warnings-as-errors"]) == 0
    assert capsys.readouterr().err == "krunc: wrote mine.plan.json\n"


def test_names_files_and_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    assert main(["init", "sub.yml", "--kind", "disk"]) == 0
    assert sorted(path.name for path in Path().iterdir()) == ["hello.yaml", "sub.yml"]
    assert "\nname: sub\n" in Path("sub.yml").read_text()
    capsys.readouterr()
    assert main(["init", "-", "--kind", "build"]) == 0
    assert "\nname: build\n" in capsys.readouterr().out


def test_what_is_there_stays(capsys: pytest.CaptureFixture[str]) -> None:
    Path("hello.yaml").write_text("mine")
    assert main(["init", "hello"]) == 1
    assert capsys.readouterr().err.startswith("hello.yaml: error[KR302]: the file exists")
    assert Path("hello.yaml").read_text() == "mine"
    assert main(["init", "no/such/directory"]) == 1
    assert main(["init", "Not a name"]) == 2


@pytest.mark.parametrize("home", ["", "boxes/"])
def test_a_policy_that_all_starters_keep(home: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--kind", "policy"]) == 0
    assert capsys.readouterr().err == "krunc: wrote .krunc/policy.yaml; next: krunc check\n"
    Path(home).mkdir(exist_ok=True)
    for kind in BOXES:
        assert main(["init", f"{home}{kind}", "--kind", kind]) == 0
        assert main(["compile", "-q", f"{home}{kind}.yaml"]) == 0
    capsys.readouterr()
    assert main(["check"]) == 0
    assert (
        capsys.readouterr().out == "krunc: checked 5 boxes, 5 plans, 1 policy: no problems found\n"
    )
    hello = Path(f"{home}hello.yaml")
    hello.write_text(hello.read_text().replace("mode: none", "mode: tsi"))
    assert main(["compile", "-q", str(hello)]) == 0
    assert main(["check"]) == 1
    assert main(["init", "strict", "--kind", "policy"]) == 0
    assert Path(".krunc/policy-strict.yaml").exists()
    assert main(["init", "--kind", "policy"]) == 1


@pytest.mark.parametrize("target", ["1", "2"])
def test_starters_are_closed(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """None has TSI; the guest writes to nothing of the host that the box is not about."""
    written = {
        "hello": [], "agent": ["./work"], "build": ["./out"], "web": [],
        "disk": ["./root.img", "runtime:console.log"],
    }  # fmt: skip
    for kind in BOXES:
        assert main(["init", "--kind", kind]) == 0
        assert main(["compile", "-q", f"{kind}.yaml", "--target", target]) == 0
        Path("p.yaml").write_text(
            f"krunc_policy: 1\nallow: {{writes: {json.dumps(written[kind])}, networks: [passt]}}\n"
        )
        capsys.readouterr()
        assert main(["check", f"{kind}.plan.json", "--policy", "p.yaml"]) == 0, kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_is_a_kind_is_that_kind(kind: str) -> None:
    assert main(["init", "--kind", kind]) == 0
    path = Path(".krunc/policy.yaml" if kind == "policy" else f"{kind}.yaml")
    whole = path.read_text()
    path.unlink()
    assert main(["init", kind]) == 0
    assert path.read_text() == whole
    path.unlink()
    if kind != "policy":
        assert main(["init", kind, "--kind", "hello"]) == 0
        assert "greeting" in path.read_text()


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (["boxes/"], "boxes/hello.yaml"),
        (["a/b/c/", "--kind", "agent"], "a/b/c/agent.yaml"),
        (["a//b/", "--kind", "web"], "a/b/web.yaml"),
        (["here/", "--kind", "policy"], "here/.krunc/policy.yaml"),
    ],
)
def test_a_directory_is_made_as_for_other_outputs(
    words: list[str], made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", *words]) == 0
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.yaml")] == [made]
    assert main(["init", *words]) == 1  # it exists now


def test_a_directory_that_was_made_for_nothing_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(["init", "file/"]) == 1
    assert "file is a regular file" in capsys.readouterr().err
    assert main(["init", "a/b/x"]) == 1
    assert "mkdir -p a/b" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
