"""What is called is what the plan says, call for call, and the dry run says the same."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from golden import agree
from krunc_compiler.__main__ import main
from krunc_schema import load
from places import GOLDEN, ROOT
from ports import free_ports
from recorder.expected import CONTENT, LAUNCH, VARIABLES, expected, furnished
from recorder.fixtures import LAUNCHER, Launch
from roots import runnable
from whole_boxes import LOCK, ONLY, STREAM, WHOLE, for_here


def without_host(box: str) -> str:
    """BOX without what this machine may not have: nested virtualization, a tap interface, a port
    with that number to listen on, a passt there, and a user who may open /dev/kvm."""
    box = box.replace(', "192.0.2.1:2:2/udp"', "").replace("/opt/passt", "/usr/bin/passt")
    box = for_here(box)
    box = box.replace("uid: 1000", "uid: 0").replace('"1:1"', f'"{free_ports()}:1"')
    return re.sub(r"    - \{mode: tap.*\n", "", box.replace("nested: true", "nested: false"))


# Nobody knows what these need of the host: the boxes' best effort is none.
UNCONFINED = ("krun_set_gpu_options2", "krun_set_gpu_options", "krun_set_snd_device")
BOXES = {path.stem: path.read_text() for path in sorted((ROOT / "boxes").glob("*.yaml"))}
BOXES |= WHOLE


@pytest.mark.parametrize("target", ["1", "2"])
@pytest.mark.parametrize("name", BOXES)
def test_call_for_call(
    name: str, target: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    if ONLY.get(BOXES[name], target) != target:
        return
    (tmp_path / "box.yaml").write_text(without_host(BOXES[name]))
    (tmp_path / "box.lock.json").write_text(LOCK)
    store = ("--store", str(tmp_path / "store"))
    assert main(["compile", str(tmp_path / "box.yaml"), "--target", target]) == 0
    file = tmp_path / "box.plan.json"
    plan = json.loads(file.read_text())
    runtime = tmp_path / "run"
    dry = subprocess.run(
        [*LAUNCHER, "--dry-run", *store, "--runtime-dir", str(runtime), str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    with furnished(tmp_path, plan, runtime):
        done = launch(file, *store, KRUN_RECORDER_EXIT="7", **VARIABLES)
    assert done.returncode == 7, done.stderr
    calls = {row.get("call") for row in plan["operations"]}
    unknown = next((one for one in UNCONFINED if one in calls), "")
    warning = (
        f"krunc: warning: the VM is not confined: the host access that {unknown} needs is not known"
    )
    assert done.stderr == (warning + "\n" if unknown else "")
    wanted = expected(plan, tmp_path, runtime)
    for call, seen in zip(wanted, done.calls, strict=True):
        for i, value in enumerate(call["args"]):
            if isinstance(value, dict):  # a descriptor that the launcher opened
                assert seen["args"][i] > 2
                call["args"][i] = seen["args"][i]
    for seen in done.calls:
        seen["args"] = [of_the_launch(value) for value in seen["args"]]
    assert done.calls == wanted
    assert not list(runtime.glob("launch-*"))
    assert "s3cret" not in dry.stdout
    for call, line in zip(
        wanted, [line for line in dry.stdout.splitlines() if line.startswith("call")], strict=True
    ):
        assert f" {call['call']}(" in line
        assert texts(line) == [
            text.replace("s3cret", "").replace(LAUNCH, "launch-<random>") for text in texts_of(call)
        ]


def of_the_launch(value: Any) -> Any:
    """VALUE of a call with the name of the launch's own directory as `expected` has it."""
    return re.sub(r"/launch-[0-9a-f]{12}/", f"/{LAUNCH}/", value) if type(value) is str else value


def texts(line: str) -> list[str]:
    """The C strings of a line of the dry run, the named secrets left empty."""
    line = re.sub(r"/\* (opened as|the content of|the size of) \*/ \"[^\"]*\"", "", line)
    code = line.rsplit("  /*", 1)[0]
    return [
        re.sub(r"<from_env \w+>", "", re.sub(r"\\(.)", r"\1", text))
        for text in re.findall(r'"((?:[^"\\]|\\.)*)"', code)
    ]


def texts_of(call: dict[str, Any]) -> list[str]:
    """The texts among the arguments of a recorded call, the MAC and what files hold aside."""
    params = load("krun")["functions"][call["call"]]["params"]
    found: list[str] = []
    for param, value in zip(params, call["args"], strict=True):
        if param["kind"] == "bytes":
            data = bytes.fromhex(value)
            shown = {b"hi": "2 bytes", CONTENT: None}.get(data, data.decode("utf-8", "replace"))
            found += [shown] if shown is not None else []
        elif param["kind"] not in ("mac", "u16s"):
            found += value if isinstance(value, list) else [value] if isinstance(value, str) else []
    return found


@pytest.mark.parametrize("target", ["1", "2"])
def test_dry_run(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update_golden: bool
) -> None:
    (tmp_path / "box.yaml").write_text(STREAM)
    main(["compile", str(tmp_path / "box.yaml"), "--target", target])
    done = subprocess.run(
        [
            *LAUNCHER,
            "--dry-run",
            "--base",
            "/base",
            "--runtime-dir=/run/one",
            str(tmp_path / "box.plan.json"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    agree(GOLDEN / f"dry-run.{target}.txt", done.stdout, update_golden)


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """A plan whose conditions hold."""
    (tmp_path / "hello.yaml").write_text(BOXES["hello"])
    runnable(tmp_path / "rootfs")
    main(["compile", str(tmp_path / "hello.yaml")])
    return tmp_path / "hello.plan.json"


def test_a_call_that_fails(hello: Path, launch: Callable[..., Launch]) -> None:
    done = launch(hello, KRUN_RECORDER_FAIL="krun_set_root=-22")
    assert done.returncode == 125
    assert done.stderr == (
        f'krunc: krun_set_root(ctx, "{hello.parent}/rootfs"); returned -22, EINVAL, invalid '
        "argument (rootfs.path)\n"
        "krunc: libkrun refuses the arguments, or cannot build the VM from them\n"
    )
    assert [call["call"] for call in done.calls][-2:] == ["krun_set_root", "krun_free_ctx"]


def test_a_log_that_fails_is_a_warning(hello: Path, launch: Callable[..., Launch]) -> None:
    done = launch(hello, KRUN_RECORDER_FAIL="krun_init_log=-22", KRUN_RECORDER_EXIT="7")
    assert done.returncode == 7
    assert done.stderr.startswith("krunc: warning: krun_init_log(2, KRUN_LOG_LEVEL_ERROR")


def test_a_start_that_fails(hello: Path, launch: Callable[..., Launch]) -> None:
    done = launch(hello, KRUN_RECORDER_FAIL="krun_start_enter=-22")
    assert done.returncode == 125
    assert done.stderr == (
        "krunc: the VM was not started: krun_start_enter returned -22, EINVAL, invalid argument\n"
        "krunc: the hypervisor of this host works; set log: {level: debug} in the box\n"
    )


@pytest.mark.parametrize(
    ("error", "advice"),
    [(-24, "the open file limit is too low"), (-12, "has too little memory for the VM"),
     (-13, "look for denials of SELinux or AppArmor"), (-2, "a file that the VM needs")],
)  # fmt: skip
def test_a_start_that_fails_for_a_reason(
    error: int, advice: str, hello: Path, launch: Callable[..., Launch]
) -> None:
    done = launch(hello, KRUN_RECORDER_FAIL=f"krun_start_enter={error}")
    assert done.returncode == 125
    assert advice in done.stderr.splitlines()[-1]


def test_environment_is_never_null(hello: Path, launch: Callable[..., Launch]) -> None:
    (call,) = (call for call in launch(hello).calls if call["call"] == "krun_set_exec")
    assert call["args"][3] == []


def test_nofile_is_raised_before_virtiofs(hello: Path, launch: Callable[..., Launch]) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        limits = {call["call"]: call["nofile"] for call in launch(hello, raw=True).calls}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert limits["krun_create_ctx"] == 256
    assert limits["krun_set_root"] == before[1]


def test_the_launcher_imports_next_to_nothing(hello: Path, launch: Callable[..., Launch]) -> None:
    done = launch(hello, PYTHONVERBOSE="1")
    imported = set(re.findall(r"^import '?([\w.]+)'?", done.stderr, re.MULTILINE))
    heavy = {
        "argparse", "cffi", "collections", "ctypes", "dataclasses", "enum", "functools", "hashlib",
        "inspect", "json", "jsonschema", "jinja2", "logging", "pathlib", "pycparser", "re",
        "subprocess", "typing", "yaml", "krunc_compiler", "krunc_schema", "socket",
    }  # fmt: skip
    assert "krunc_launcher.start" in imported
    # site-packages may hold .pth files that import at start: they are not the launcher's.
    bare = subprocess.run([LAUNCHER[0], "-v", "-c", "pass"], capture_output=True, text=True)
    before = set(re.findall(r"^import '?([\w.]+)'?", bare.stderr, re.MULTILINE))
    assert (imported - before) & heavy == set()


def test_a_box_is_launched_by_a_process_without_the_compiler(
    hello: Path,
    tmp_path: Path,
    launch: Callable[..., Launch],
    build: Callable[..., Path],
    fake_kvm: Path,
) -> None:
    record = tmp_path / "calls"
    done = subprocess.run(
        [
            LAUNCHER[0],
            "-m",
            "krunc",
            "launch",
            "--libkrun",
            str(build("v2_flat")),
            "--set",
            "greeting=Hi",
            str(tmp_path / "hello.yaml"),
        ],
        env={
            **os.environ,
            "LD_PRELOAD": str(fake_kvm),
            "KRUN_RECORDER": str(record),
            "KRUN_RECORDER_EXIT": "3",
        },
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (3, "")
    calls = [json.loads(line) for line in record.read_text().splitlines()]
    (program,) = (call["args"] for call in calls if call["call"] == "krun_set_exec")
    assert program[2] == ["echo", "Hi"]
    assert "krun_add_virtiofs3" in [call["call"] for call in calls], (
        "compiled for the library found"
    )
