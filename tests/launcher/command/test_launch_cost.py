"""What a launch imports: each module is time at every VM's start, and memory for its whole life."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from generate_start import made
from golden import agree
from instructions_of import counted, executed
from krunc_compiler.__main__ import main
from locks import ARCH, PLATFORM, image, stored_root, text
from locks import ROOT as ROOT_FILE
from places import GOLDEN, ROOT
from recorder.fixtures import LAUNCHER
from roots import runnable

PACKAGE = ROOT / "launcher/krunc_launcher"
# Their time was measured: 3 to 20 ms each, of a start of 15.
_DEAR = (
    "argparse", "ast", "collections", "ctypes", "dataclasses", "enum", "functools", "hashlib",
    "importlib.metadata", "inspect", "json", "logging", "pathlib", "re", "socket", "subprocess",
    "tempfile", "threading", "typing", "yaml", "jsonschema", "jinja2", "krunc_compiler", "krunc_schema",
)  # fmt: skip


def imported(*command: str, **variables: str) -> set[str]:
    """The modules that a command and its children import."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1", **variables},
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines} - {"imported package"}


@pytest.fixture
def telling(tmp_path: Path) -> list[str]:
    """The launcher, which tells also of the modules in start.py when they are imported, and of the
    files beside it when they are read."""
    lines = (
        "    module = sys.modules[name] = type(sys)(name)\n",
        "        sys.modules[name] = module = type(sys)(name)\n",
    )
    for name, given in made(PACKAGE).items():
        code = given
        for line in lines:
            assert name != "start.py" or code.count(line) == 1
            indent = line[: -len(line.lstrip())]
            tell = f"{indent}sys.stderr.write(f'import time: | {{name}}\\n')\n"
            code = code.replace(line, line + tell)
        (tmp_path / "made" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / name).write_text(code, "utf-8")
    return [*LAUNCHER[:2], re.sub(r"(?<=\[:0\] = ).*?]", f"['{tmp_path}/made']", LAUNCHER[2])]


@pytest.mark.parametrize("name", ["launch", "dry-run", "help"])
def test_only_these_modules(
    name: str,
    tmp_path: Path,
    build: Callable[..., Path],
    fake_kvm: Path,
    telling: list[str],
    update_golden: bool,
) -> None:
    runnable(tmp_path / "rootfs")
    box = tmp_path / "hello.yaml"
    box.write_text((ROOT / "boxes/hello.yaml").read_text())
    assert main(["compile", str(box)]) == 0
    plan = str(tmp_path / "hello.plan.json")
    words = {
        "launch": ["--libkrun", str(build("v1")), "--runtime-dir", str(tmp_path / "run"), plan],
        "dry-run": ["--dry-run", plan],
        "help": ["--help"],
    }[name]
    found = imported(*telling, *words, LD_PRELOAD=str(fake_kvm))
    found -= imported(sys.executable, "-c", "pass")
    assert not {module for module in found if module.split(".")[0] in _DEAR or module in _DEAR}
    assert "krunc_launcher.start" in found
    # A function that launch_functions.txt does not list would have it read, for a fiftieth of a
    # launch.
    assert name != "launch" or "krunc_launcher.start_rest" not in found
    if sys.version_info[:2] == (3, 11):  # the standard library's own imports differ
        listed = "".join(f"{module}\n" for module in sorted(found))
        agree(GOLDEN / f"modules.{name}.txt", listed, update_golden)


# An image has to be pulled first; what it takes besides is a disk's and the stage's.
BOXES = sorted({path.stem for path in (ROOT / "boxes").glob("*.yaml")} - {"image"})


def test_nothing_that_a_plan_has_no_use_for(
    tmp_path: Path,
    build: Callable[..., Path],
    fake_kvm: Path,
    telling: list[str],
    update_golden: bool,
) -> None:
    """What the launch of each example box imports: what all do, and what a box takes besides."""
    runnable(tmp_path / "rootfs", "/bin/busybox", "/bin/sh", "/usr/bin/agent")
    (tmp_path / "rootfs/work").mkdir()
    every = {}
    for box in BOXES:
        (tmp_path / f"{box}.yaml").write_text((ROOT / f"boxes/{box}.yaml").read_text())
        assert main(["compile", str(tmp_path / f"{box}.yaml")]) == 0
        words = ["--libkrun", str(build("v1")), "--runtime-dir", str(tmp_path / "run")]
        plan = str(tmp_path / f"{box}.plan.json")
        every[box] = imported(*telling, *words, plan, LD_PRELOAD=str(fake_kvm), AGENT_TOKEN="x")
    of_all = set.intersection(*every.values())
    own = {name for name in of_all if name.startswith("krunc_launcher")}
    assert "krunc_launcher.start_rest" not in own
    rows = [("all", own), *((box, found - of_all) for box, found in every.items())]
    listed = "".join(
        f"{name}:\n" + "".join(f"  {module}\n" for module in sorted(found)) for name, found in rows
    )
    if sys.version_info[:2] == (3, 11):
        agree(GOLDEN / "modules.boxes.txt", listed, update_golden)


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_imports_no_compiler(word: str) -> None:
    start = "import sys; from krunc import main; sys.exit(main())"
    found = imported(sys.executable, "-c", start, word)
    found -= imported(sys.executable, "-c", "pass")
    assert len(found - {"krunc", "krunc_compiler", "krunc_launcher"}) < 4, found


@counted
def test_instructions(tmp_path: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    """Up to the VM's entry, all checks made: counts do not depend on the load of the machine."""
    runnable(tmp_path / "rootfs")
    hello = (ROOT / "boxes/hello.yaml").read_text()
    (tmp_path / "hello.yaml").write_text(hello)
    (tmp_path / "staged.yaml").write_text(f"{hello}hostname: here\n")
    for box in ("hello", "staged"):
        assert main(["compile", str(tmp_path / f"{box}.yaml")]) == 0
    options = ["--libkrun", str(build("v1")), "--runtime-dir", str(tmp_path / "run")]
    bare = executed(tmp_path, sys.executable, "-I", "-c", "pass")
    start = ["-I", "-c", LAUNCHER[2]]
    preload = {"LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER_EXIT": "7"}
    launch = [sys.executable, *start, *options]
    plain = executed(tmp_path, *launch, "hello.plan.json", **preload)
    says = {"KRUN_RECORDER_SAYS": "started\nexit 7\n"}
    staged = executed(tmp_path, *launch, "staged.plan.json", **preload, **says)
    print(bare, plain, staged, plain / bare, staged / plain)
    # With the end of the process above; the rest is for others. A fiftieth of it opens paths without
    # links and overwrites the environment, the look at the program's file is a hundredth.
    assert plain < 1.26 * bare
    # The plan's other nine operations, and the launch's directory. Their code is in what all read.
    assert staged < 1.04 * plain
    helped = executed(
        tmp_path, sys.executable, "-I", "-c", "from krunc import run; run()", "--help"
    )
    assert helped < 1.1 * bare


DISK = """\
krunc: 1
name: one
rootfs: {disk: root, fstype: erofs, changes: discard}
disks: [{id: root, path: root.img, format: raw, read_only: true}]
network: {mode: none}
entrypoint: {executable: /bin/a}
"""
IMAGE = f"""\
krunc: 1
name: one
arch: {ARCH}
rootfs: {{image: "app:1.4"}}
network: {{mode: none}}
"""


@counted
def test_an_image_costs_little_more_than_a_disk(
    tmp_path: Path, build: Callable[..., Path], fake_kvm: Path, telling: list[str]
) -> None:
    """When its root was compared with its name before; counted as above."""
    (tmp_path / "disk.yaml").write_text(DISK)
    (tmp_path / "image.yaml").write_text(IMAGE)
    busybox = shutil.which("busybox")
    assert busybox is not None
    (tmp_path / "rootfs/bin").mkdir(parents=True)
    shutil.copy(busybox, tmp_path / "rootfs/bin/a")
    found = stored_root(tmp_path / "rootfs", tmp_path / "store")
    locked = image(platform=PLATFORM, entrypoint=("/bin/a",))._replace(root=found)
    (tmp_path / "image.lock.json").write_text(text(locked))
    (tmp_path / "root.img").write_bytes(ROOT_FILE)
    counts = {}
    for name in ("disk", "image"):
        assert main(["compile", str(tmp_path / f"{name}.yaml")]) == 0
        options = ["--libkrun", str(build("v1")), "--runtime-dir", str(tmp_path / name)]
        options += ["--store", str(tmp_path / "store"), f"{name}.plan.json"]
        command = [sys.executable, "-I", "-c", LAUNCHER[2], *options]
        counts[name] = executed(tmp_path, *command, LD_PRELOAD=str(fake_kvm))
    print(counts)
    assert counts["image"] < 1.05 * counts["disk"]
    options[-1] = str(tmp_path / options[-1])
    read = imported(*telling, *options, LD_PRELOAD=str(fake_kvm))
    assert "krunc_launcher.host.image_root" in read
    assert "krunc_launcher.start_rest" not in read
