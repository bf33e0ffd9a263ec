"""The config of an image: what is read of it, and podman's rules for what a box leaves out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from krunc_compiler.image.run_config import BadConfig, Run, read_config


def config(**fields: Any) -> str:
    """A config whose `config` has FIELDS."""
    whole = {"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": ["sha256:a"]}}
    return json.dumps({**whole, "config": fields, "history": [{"created_by": "x"}]})


def test_all_that_is_used() -> None:
    read = read_config(
        config(
            User="app:staff", ExposedPorts={"443/TCP": {}, "80": {}, "53/udp": {}},
            Env=["A=b", "C=d=e", "EMPTY"], Entrypoint=["/e"], Cmd=["c", ""], WorkingDir="srv/../app/",
            Volumes={"/data": {}, "cache": {}}, StopSignal="quit",
            Healthcheck={"Test": ["CMD", "/check"], "Interval": 3}, Labels={"a": "b"},
        )
    )  # fmt: skip
    assert read.platform == "linux/amd64"
    assert read.diff_ids == ("sha256:a",)
    assert read.user == "app:staff"
    assert read.run == Run(
        entrypoint=("/e",), cmd=("c", ""), env=("A=b", "C=d=e", "EMPTY="), working_dir="/app",
        exposed_ports=("443/tcp", "53/udp", "80/tcp"), volumes=("/cache", "/data"),
        stop_signal="SIGQUIT", healthcheck=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["{}", '{"config": null}', config(), config(Env=None, Cmd=None, User="")]
)
def test_nothing_is_enough(text: str) -> None:
    assert read_config(text).run == Run()


@pytest.mark.parametrize(
    ("given", "name"),
    [("SIGTERM", "SIGTERM"), ("15", "SIGTERM"), ("int", "SIGINT"), ("sigint", "SIGINT"),
     ("SIGRTMIN+3", "SIGRTMIN+3"), ("RTMAX-1", "SIGRTMAX-1"), ("", None), (" 3 ", "SIGQUIT")],
)  # fmt: skip
def test_a_signal_has_one_name(given: str, name: str | None) -> None:
    assert read_config(config(StopSignal=given)).run.stop_signal == name


@pytest.mark.parametrize("test", [[], ["NONE"], None])
def test_no_check(test: Any) -> None:
    assert not read_config(config(Healthcheck={"Test": test})).run.healthcheck


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"), ("[]", "not an object"), ("nul", "not JSON"), ("[" * 100_000, "nested too deeply"),
        ('{"a": 1, "a": 2}', "duplicate key"), ('{"config": []}', "config is not an object"),
        ('{"rootfs": {"diff_ids": [1]}}', "rootfs.diff_ids[0] is not a string"),
        (config(Env="A=b"), "config.Env is not a list"), (config(Env=["=x"]), "without a name"),
        (config(Cmd=["a\0"]), "config.Cmd[0] holds"), (config(Cmd=["\ud800"]), "config.Cmd[0] holds"),
        (config(Cmd=["a"] * 5000), "more than 4,096"), (config(Cmd=["a" * 200_000]), "more than 131,072"),
        (config(User=1000), "config.User is not a string"), (config(User="a\0"), "config.User"),
        (config(ExposedPorts={"0/tcp": {}}), "ExposedPorts"), (config(ExposedPorts=["80"]), "an object"),
        (config(ExposedPorts={"8000-9000/tcp": {}}), "ExposedPorts"),
        (config(ExposedPorts={"80/icmp": {}}), "ExposedPorts"),
        (config(ExposedPorts={"٨٠/tcp": {}}), "ExposedPorts"),
        (config(StopSignal="SIGNOTHING"), "StopSignal"), (config(StopSignal="99"), "StopSignal"),
        (config(StopSignal="RTMIN+٣"), "StopSignal"), (config(StopSignal="٩"), "StopSignal"),
        (config(WorkingDir="a" * 5000), "WorkingDir"), (config(Volumes={"/a\0": {}}), "Volumes"),
        (config(Volumes={f"/{i}": {} for i in range(5000)}), "more than 4,096"),
        (config(Healthcheck=[]), "Healthcheck is not an object"),
        (config(Healthcheck={"Test": "CMD"}), "Healthcheck.Test is not a list"),
    ],
)  # fmt: skip
def test_a_wrong_config_says_where(text: str, said: str) -> None:
    with pytest.raises(BadConfig) as refused:
        read_config(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("executable", "args", "words"),
    [
        (None, None, ("/e", "-x", "c", "d")),
        (None, ["y"], ("/e", "-x", "y")),
        (None, [], ("/e", "-x")),
        ("/p", None, ("/p",)),
        ("/p", ["y"], ("/p", "y")),
    ],
)
def test_what_a_box_leaves_out(executable: str | None, args: list[str] | None, words: Any) -> None:
    assert Run(entrypoint=("/e", "-x"), cmd=("c", "d")).words(executable, args) == words


def test_without_an_entrypoint_the_first_argument_is_the_program() -> None:
    assert Run(cmd=("/bin/sh",)).words(None, None) == ("/bin/sh",)
    assert Run(cmd=("/bin/sh",)).words(None, ["ls", "-l"]) == ("ls", "-l")
    assert Run().words(None, None) == ()


def test_of_two_variables_of_one_name_the_last_counts() -> None:
    assert Run(env=("A=1", "B==", "A=2")).variables() == {"A": "2", "B": "="}
