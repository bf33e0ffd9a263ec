"""What was approved is what runs: krunc launch --require-digest."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_launcher.approval.digest import digest
from places import ROOT, TESTS
from recorder.fixtures import LAUNCHER, Launch
from roots import runnable

VECTORS = json.loads((TESTS / "digest_vectors.json").read_text())["vectors"]
HELLO = ROOT / "boxes" / "hello.yaml"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["about"])
def test_the_digest_is_that_of_the_compiler(vector: dict[str, str]) -> None:
    assert digest(json.loads(vector["plan"])) == vector["digest"]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """The plan of a box whose conditions hold."""
    (tmp_path / "hello.yaml").write_text(HELLO.read_text())
    runnable(tmp_path / "rootfs")
    main(["compile", str(tmp_path / "hello.yaml")])
    return tmp_path / "hello.plan.json"


def of(plan: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What krunc digest prints for PLAN."""
    capsys.readouterr()
    main(["digest", str(plan)])
    return capsys.readouterr().out


def test_an_approved_plan_is_launched(
    plan: Path, launch: Callable[..., Launch], capsys: pytest.CaptureFixture[str]
) -> None:
    line = of(plan, capsys)
    env = {"KRUN_RECORDER_EXIT": "7"}
    assert launch(plan, f"--require-digest={line.split()[0]}", **env).returncode == 7
    approved = plan.with_name("approved.txt")
    approved.write_text("# by two people\n\n" + line)
    # The layout of the file does not count.
    plan.write_text(json.dumps(json.loads(plan.read_text()), indent=2))
    done = launch(plan, "--require-digest", str(approved), **env)
    assert (done.returncode, done.stderr) == (7, "")


def test_another_plan_is_refused_before_the_first_call(
    plan: Path, launch: Callable[..., Launch], capsys: pytest.CaptureFixture[str]
) -> None:
    approved = of(plan, capsys).split()[0]
    changed = json.loads(plan.read_text())
    (row,) = (row for row in changed["operations"] if row.get("call") == "krun_set_vm_config")
    row["args"]["ram_mib"] += 1
    plan.write_text(json.dumps(changed))
    done = launch(plan, "--require-digest", approved)
    assert (done.returncode, done.calls) == (125, [])
    assert f"the plan's digest is {digest(changed)}, which is not approved" in done.stderr


@pytest.mark.parametrize(
    ("approved", "sentence"),
    [
        ("sha256:12", "is not a digest; krunc digest PLAN prints one"),
        ("sha256:" + "G" * 64, "is not a digest"),
        ("missing.txt", "missing.txt cannot be read: no such file or directory"),
    ],
)
def test_what_is_no_digest(plan: Path, approved: str, sentence: str) -> None:
    command = [*LAUNCHER, "--dry-run", "--require-digest", approved, str(plan)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr


ENDS = ["\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
HIDDEN = ["\0", "\x1b", "\x7f", "\u202e", "\u200b", "\ufeff"]


@pytest.mark.parametrize("sign", ENDS + HIDDEN, ids=lambda sign: f"{ord(sign):04x}")
@pytest.mark.parametrize("line", ["# approved, do not use{}{}", "{}{}", "\t# a\r\n#{} {}\r\n"])
def test_a_line_of_the_list_ends_where_a_reader_sees_it_end(
    line: str, sign: str, plan: Path, launch: Callable[..., Launch]
) -> None:
    approved = plan.with_name("approved.txt")
    before = line.partition("{")[0].rpartition("\n")[2]
    own = digest(json.loads(plan.read_text()))
    approved.write_bytes(line.format(sign, own).encode())
    done = launch(plan, "--require-digest", str(approved))
    assert (done.returncode, done.calls) == (125, [])
    place = f"{approved}:{line.count(chr(10), 0, line.index('{')) + 1}:{len(before) + 1}: "
    assert place in done.stderr
    assert "cannot be in a list of digests, whose lines end with a newline alone" in done.stderr


def test_lines_that_end_as_on_windows(plan: Path, launch: Callable[..., Launch]) -> None:
    approved = plan.with_name("approved.txt")
    own = digest(json.loads(plan.read_text()))
    approved.write_bytes(f"# gepr\u00fcft\r\n\r\n\t{own}\thello # by two\r\n".encode())
    done = launch(plan, "--require-digest", str(approved), KRUN_RECORDER_EXIT="7")
    assert (done.returncode, done.stderr) == (7, "")


def test_an_empty_list_approves_nothing(plan: Path, launch: Callable[..., Launch]) -> None:
    empty = plan.with_name("empty.txt")
    empty.write_text("")
    done = launch(plan, "--require-digest", str(empty))
    assert (done.returncode, done.calls) == (125, [])
