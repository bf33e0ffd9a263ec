"""For which libkrun a box is compiled: the command line, the box, the plan that is there, or 1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.libkrun import Installed

BOX = (
    "krunc: 1\nname: web\nrootfs: {path: ./rootfs}\nnetwork: {mode: tsi}\n"
    "entrypoint: {executable: /bin/true}\n"
)
NEWER = Installed("2", "libkrun 2.0-dev")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def box(more: str = "", name: str = "web.yaml") -> str:
    Path(name).write_text(BOX + more)
    return name


def target(plan: str = "web.plan.json") -> str:
    found: str = json.loads(Path(plan).read_text())["target"]
    return found


@pytest.mark.parametrize(
    ("option", "key", "there", "made"),
    [
        (None, None, None, "1"),
        (None, None, "2", "2"),
        (None, None, "1.16", "1.16"),
        (None, "target: 2\n", None, "2"),
        (None, 'target: "1.17"\n', None, "1.17"),
        (None, "target: 1\n", "2", "1"),
        ("1.18", "target: 2\n", "2", "1.18"),
        ("2", None, "1", "2"),
    ],
)
def test_the_first_that_names_one(
    option: str | None, key: str | None, there: str | None, made: str
) -> None:
    if there is not None:
        assert main(["compile", box(), "--target", there]) == 0
    assert main(["compile", box(key or ""), *(["--target", option] if option else [])]) == 0
    assert target() == made
    if option is None:
        assert main(["compile", "--check", "web.yaml"]) == 0
        assert main(["check", "web.yaml"]) == 0


def test_the_key_leaves_no_trace_in_the_plan() -> None:
    main(["compile", box(), "--target", "2"])
    by_option = Path("web.plan.json").read_bytes()
    main(["compile", box("target: 2\n")])
    assert Path("web.plan.json").read_bytes() == by_option


def test_each_plan_of_a_matrix_keeps_its_own() -> None:
    text = BOX.replace("name: web", 'name: "web-{{ n }}"') + "matrix: {n: [1, 2]}\n"
    Path("web.yaml").write_text(text)
    assert main(["compile", "web.yaml", "--box", "web-2", "--target", "2"]) == 0
    assert main(["compile", "web.yaml"]) == 0
    assert [target(f"web-{n}.plan.json") for n in (1, 2)] == ["1", "2"]
    assert main(["check", "."]) == 0


def test_a_matrix_may_name_them() -> None:
    text = BOX.replace("name: web", 'name: "web-{{ n }}"') + "matrix: {n: [1, 2]}\n"
    Path("web.yaml").write_text(text + 'target: "{{ n }}"\n')
    assert main(["compile", "web.yaml"]) == 0
    assert [target(f"web-{n}.plan.json") for n in (1, 2)] == ["1", "2"]


@pytest.mark.parametrize(
    "value", ["3", "1.16", "0", "[1]", "{a: 1}", "true", '"2.1"', '"1.x"', '"01"', "null"]
)
def test_what_names_no_libkrun(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", box(f"target: {value}\n")]) == 1
    said = capsys.readouterr().err
    assert "web.yaml:6:" in said
    assert "target" in said


def test_a_change_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    main(["compile", box(), "--target", "2"])
    capsys.readouterr()
    main(["compile", box("target: 1\n")])
    assert "web.plan.json for libkrun 1; the plan before it was for 2" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["compile", "--check"], ["check"]])
def test_a_check_names_the_other_target(
    verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["compile", box(), "--target", "2"])
    assert main([*verb, box("target: 1\n")]) == 1
    told = capsys.readouterr()
    words = " ".join((told.out + told.err).split())
    assert "it is for libkrun 2, and the box is compiled for 1" in words


def test_a_host_with_another_libkrun_is_told_where_nobody_named_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["compile", box()], installed=lambda: NEWER) == 0
    assert (
        "this host has libkrun 2.0-dev; for that one write `target: 2`" in capsys.readouterr().err
    )
    assert main(["compile", box()], installed=lambda: pytest.fail("the plan names one")) == 0
    assert main(["compile", box("target: 1\n", "b.yaml")], installed=lambda: NEWER) == 0
    assert (
        main(["compile", box(name="c.yaml")], installed=lambda: Installed("1", "libkrun 1.x")) == 0
    )
    assert main(["compile", box(name="d.yaml")], installed=lambda: None) == 0
    assert "note" not in capsys.readouterr().err


@pytest.mark.parametrize("plan", ["", "{}", '{\n"krunc_plan": 1,\n"target": "9",\n', "\0" * 9000])
def test_what_is_no_plan_says_nothing(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("web.plan.json").write_text(plan)
    main(["compile", box(), "-o", "-"])
    assert '"target": "1"' in capsys.readouterr().out


def test_a_starter_names_the_libkrun_of_this_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "hello"], installed=lambda: NEWER) == 0
    assert "\ntarget: 2\n" in Path("hello.yaml").read_text()
    assert main(["compile", "hello.yaml"]) == 0
    assert target("hello.plan.json") == "2"
    assert main(["init", "other"]) == 0
    assert "\n# target: 2\n" in Path("other.yaml").read_text()
