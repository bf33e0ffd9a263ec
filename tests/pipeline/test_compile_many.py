"""krunc compile of many boxes: over all processors, whole or not at all, and not twice."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.pipeline import parallel as spreading
from krunc_compiler.verbs import compile as verb
from terminals import on_terminal

MANY = 230
BOX = """\
krunc: 1
name: box-{n}
rootfs: {{path: ./rootfs}}
network: {{mode: tsi, ports: ["{port}:80"]}}
entrypoint: {{executable: /bin/true}}
"""


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of many boxes, one for plans beside it, and a cache of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "boxes").mkdir()
    (tmp_path / "plans").mkdir()
    for n in range(MANY):
        (tmp_path / f"boxes/{n}.yaml").write_text(BOX.format(n=n, port=1000 + n))
    return tmp_path


COMPILE = ["compile", "boxes", "-o", "plans"]


def compiled(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, bool]:
    """The exit status of a run, and whether it compiled anything."""
    ran = []

    def counted(work: Callable[..., object], items: list[object]) -> object:
        ran.append(len(items))
        return spreading.spread(work, items)

    monkeypatch.setattr(verb, "spread", counted)
    status = main([*COMPILE, *words])
    return status, bool(ran)


def plans(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (directory / "plans").iterdir()}


def test_however_many_processors(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(COMPILE) == 0
    together = plans(many)
    assert len(together) == MANY
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    for path in (many / "plans").iterdir():
        path.unlink()
    assert main(COMPILE) == 0
    assert plans(many) == together


def test_one_wrong_box_and_nothing_is_written(
    many: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (many / "boxes/7.yaml").write_text("krunc: 1\n")
    assert main(COMPILE) == 1
    assert "boxes/7.yaml:1:1: error[KR102]" in capsys.readouterr().err
    assert plans(many) == {}


def test_a_plan_that_cannot_be_written(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (many / "plans/9.plan.json").mkdir()
    assert main(COMPILE) == 1
    said = capsys.readouterr().err
    assert "plans/9.plan.json: error[KR302]: the plan cannot be written: is a directory" in said
    assert [path.name for path in (many / "plans").iterdir()] == ["9.plan.json"]


def test_unchanged_boxes_are_not_compiled_again(
    many: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compiled(monkeypatch) == (0, True)
    capsys.readouterr()
    before = plans(many)
    assert compiled(monkeypatch) == (0, False)
    assert capsys.readouterr().err.count("krunc: unchanged: plans/") == MANY
    assert plans(many) == before


def box_changes(directory: Path) -> None:
    (directory / "boxes/5.yaml").write_text(BOX.format(n=5, port=2005))


def box_comes(directory: Path) -> None:
    (directory / "boxes/new.yaml").write_text(BOX.format(n="new", port=3000))


def box_goes(directory: Path) -> None:
    (directory / "boxes/5.yaml").unlink()


def plan_goes(directory: Path) -> None:
    (directory / "plans/5.plan.json").unlink()


def plan_changes_and_looks_the_same(directory: Path) -> None:
    plan = directory / "plans/5.plan.json"
    before = plan.stat()
    plan.write_text(plan.read_text().replace("1005:80", "1006:80"))
    os.utime(plan, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert plan.stat().st_size == before.st_size


def memory_is_spoiled(directory: Path) -> None:
    for path in (directory / "cache/krunc/compiled").iterdir():
        path.write_text("[]")


CHANGES = [box_changes, box_comes, box_goes, plan_goes, plan_changes_and_looks_the_same, memory_is_spoiled]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changes_is_compiled_again(
    change: Callable[[Path], None], many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compiled(monkeypatch) == (0, True)
    change(many)
    assert compiled(monkeypatch) == (0, True)
    made = plans(many)
    for path in (many / "plans").iterdir():
        path.unlink()
    monkeypatch.setenv("XDG_CACHE_HOME", str(many / "another"))
    assert compiled(monkeypatch) == (0, True)
    # What went has no box any more; its plan is the user's to remove.
    assert {**made, **plans(many)} == made


@pytest.mark.parametrize(
    "words", [["--target", "2"], ["--check"], ["--format", "json"], ["--this-host"]], ids=" ".join
)
def test_other_words_are_another_run(
    words: list[str], many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compiled(monkeypatch) == (0, True)
    assert compiled(monkeypatch, *words) == (0, True)


def warns(directory: Path) -> None:
    (directory / "boxes/5.yaml").write_text(BOX.format(n=5, port=1006))


def extends(directory: Path) -> None:
    (directory / "base.yaml").write_text(BOX.format(n=5, port=4000))
    (directory / "boxes/5.yaml").write_text("krunc: 1\nextends: ../base.yaml\n")


def is_no_box(directory: Path) -> None:
    (directory / "boxes/other.yaml").write_text("services: {}\n")


@pytest.mark.parametrize("kind", [warns, extends, is_no_box], ids=lambda kind: kind.__name__)
def test_what_depends_on_more_is_always_compiled(
    kind: Callable[[Path], None], many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind(many)
    assert compiled(monkeypatch) == (0, True)
    assert compiled(monkeypatch) == (0, True)


def test_what_is_no_box_is_told_of_in_each_run(
    many: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (many / "boxes/ci.yaml").write_text("jobs: {}\n")
    for _ in range(2):
        assert compiled(monkeypatch) == (0, True)
        assert "krunc: skipped boxes/ci.yaml: no `krunc:` key" in capsys.readouterr().err
    assert len(plans(many)) == MANY
    (many / "boxes/ci.yaml").unlink()
    (many / "boxes/ci.yaml").symlink_to("nowhere")
    assert compiled(monkeypatch) == (1, True)
    assert "the file cannot be read" in capsys.readouterr().err


def test_no_cache_directory(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (many / "cache").write_text("a file")
    assert compiled(monkeypatch) == (0, True)
    assert compiled(monkeypatch) == (0, True)
    assert len(plans(many)) == MANY


def test_progress_on_a_terminal(many: Path) -> None:
    command = [sys.executable, "-m", "krunc", *COMPILE]
    status, seen = on_terminal(command, os.environ, ["stderr"])
    assert status == 0
    done = MANY // 20 * 20
    bar = f"{'#' * (done * 40 // MANY):40}"
    assert f"\r[{bar}] {done} of {MANY}".encode() in seen
    assert b"\r\x1b[K" in seen
