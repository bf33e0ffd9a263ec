"""Options that krunc launch does not have: refused, with the key of the box that has it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from krunc_launcher._box_options import BOX_OPTIONS
from krunc_launcher.options import OF_A_BOX, UsageError, options
from krunc_schema import load

# What people write who come from docker run, krunvm, Lima and the like.
HABITS = [
    (["--memory", "2G"], "machine.memory"),
    (["--memory=2G"], "machine.memory"),
    (["-m2G"], "machine.memory"),
    (["--mem", "2048"], "machine.memory"),
    (["--cpus", "2"], "machine.cpus"),
    (["-v", "./src:/src"], "shares"),
    (["-v./src:/src"], "shares"),
    (["--volume", "./src:/src"], "shares"),
    (["--mount", "type=bind"], "shares"),
    (["-p", "80:80"], "network.ports"),
    (["-p8080:80"], "network.ports"),
    (["--publish=80:80"], "network.ports"),
    (["--network", "none"], "network"),
    (["--net=host"], "network"),
    (["-e", "A=b"], "entrypoint.env"),
    (["--env", "A=b"], "entrypoint.env"),
    (["-w", "/src"], "entrypoint.workdir"),
    (["--workdir", "/src"], "entrypoint.workdir"),
    (["-u1000"], "entrypoint.user"),
    (["--user", "1000"], "entrypoint.user"),
    (["--read-only"], "rootfs.read_only"),
    (["--hostname", "a"], "hostname"),
    (["--name", "a"], "name"),
    (["--timeout", "30m"], "timeout"),
    (["--ulimit", "nofile=1"], "limits"),
    (["--tmpfs", "/tmp"], "tmpfs"),
    (["--rm"], "rootfs: {changes: discard}"),
    (["-it"], "the terminal of krunc launch"),
    (["-i"], "the terminal of krunc launch"),
    (["--detach"], "systemd"),
    (["--restart", "always"], "systemd"),
]


def refusal(argv: list[str]) -> str:
    """What is said of a command line."""
    with pytest.raises(UsageError) as caught:
        options(argv)
    return str(caught.value)


@pytest.mark.parametrize(("argv", "told"), HABITS, ids=[" ".join(argv) for argv, _ in HABITS])
@pytest.mark.parametrize("is_first", [True, False])
def test_an_option_of_another_tool_is_told_as_a_key(
    argv: list[str], told: str, is_first: bool
) -> None:
    said = refusal([*argv, "a.plan.json"] if is_first else ["a.plan.json", *argv])
    assert said.startswith(f"there is no option {argv[0]}: ")
    assert re.search(rf"(?<![\w.]){re.escape(told)}(?![\w.])", said)


@pytest.mark.parametrize("word", ["--bogus", "-V", "-version", "-x80:80", "--", "---", "-=", "-é"])
def test_any_other_is_refused_alone(word: str) -> None:
    if word == "--":
        assert refusal([word]) == "expected a plan"
        return
    assert refusal([word, "a.plan.json"]) == f"there is no option {word}"


@pytest.mark.parametrize("option", OF_A_BOX, ids=lambda option: option.name)
def test_an_option_for_boxes_is_told_as_one(option: object) -> None:
    name = getattr(option, "name", "")
    assert "BOX.yaml" in refusal([name, "2", "a.plan.json"])


def test_every_key_of_the_table_is_one_of_the_box() -> None:
    top = load("box.schema")["properties"]
    told = [re.match("its box has it, as ([^;]+)", said) for said in BOX_OPTIONS.values()]
    keys = {key for found in told if found for key in found[1].split(" or ")}
    assert len(keys) > 60
    assert {key.partition(".")[0] for key in keys} <= set(top)
    assert {"machine.memory", "shares", "network.ports", "rootfs.changes"} <= keys


def test_the_command_says_it_in_one_line() -> None:
    command = [sys.executable, "-m", "krunc", "launch", "--memory", "2G", "a.plan.json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "krunc launch: there is no option --memory: its box has it, as machine.memory; "
        "write machine: {memory: 512MiB}; see krunc launch --help\n"
    )
