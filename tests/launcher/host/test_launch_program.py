"""A program that cannot be started is told before the start, where the root's directory or the image
shows it."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from elf_files import elf, elf32
from krunc_compiler.__main__ import main
from krunc_launcher.approval.digest import digest
from krunc_launcher.host.image_root import ImageRoot
from krunc_schema import load
from locks import ARCH, PLATFORM, image, stored_root, text
from recorder.fixtures import Launch
from roots import runnable

HERE = {"x86_64": 62, "aarch64": 183}[platform.machine()]
OTHER, OTHERS_NAME = (183, "aarch64") if HERE == 62 else (62, "x86_64")
# Of 32 bits.
SMALL, SMALLS_NAME, OTHERS_SMALL = (3, "i386", 40) if HERE == 62 else (40, "arm", 3)
LOADER = "/lib64/ld.so"
SAYS = "started\nexit 7\n"
AN_IMAGE = {"rootfs": {"image": "app:1.4"}, "arch": ARCH}
# By the stage and without it, and from an image.
KEYS: dict[str, dict[str, Any]] = {
    "libkrun's init": {},
    "the stage": {"hostname": "here"},
    "an image": AN_IMAGE,
}


def file(root: Path, path: str, data: bytes | str = b"", mode: int = 0o755) -> None:
    made = root / path[1:]
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(data.encode() if isinstance(data, str) else data)
    made.chmod(mode)


def link(root: Path, path: str, target: str) -> None:
    (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
    (root / path[1:]).symlink_to(target)


Fill = Callable[[Path], object]


def fifo(root: Path) -> None:
    (root / "bin").mkdir(parents=True)
    os.mkfifo(root / "bin/a")


def busybox(root: Path) -> None:
    (root / "bin").mkdir(parents=True)
    found = shutil.which("busybox")  # in /bin, where that is no link to /usr/bin
    assert found is not None
    shutil.copy(found, root / "bin/a")


def both(*fills: Fill) -> Fill:
    def fill(root: Path) -> None:
        for one in fills:
            one(root)

    return fill


def files(**named: bytes | str) -> Fill:
    """Return what makes files: `bin_a` is /bin/a."""

    def fill(root: Path) -> None:
        for name, data in named.items():
            file(root, f"/{name.replace('_', '/')}", data)

    return fill


def loop(root: Path) -> None:
    link(root, "/bin/a", "b")
    link(root, "/bin/b", "/bin/a")


def many(root: Path) -> None:
    """Make a directory of an image that has several blocks."""
    for i in range(99):
        file(root, f"/bin/{'a' if i % 2 else 'Z'}{i:0100}")


def chain(root: Path, count: int) -> None:
    for i in range(count):
        file(root, f"/bin/{i}", f"#!/bin/{i + 1}\n")
    link(root, "/bin/a", "0")


WRONG: dict[str, tuple[Fill, str]] = {
    "nothing": (lambda root: root.mkdir(), "/bin/a is not there"),
    "another": (lambda root: runnable(root, "/bin/b"), "/bin/a is not there"),
    "a dangling link": (lambda root: link(root, "/bin/a", "/usr/a"), "/bin/a is not there: /bin/a is a link to /usr/a, behind which nothing is"),
    "a dangling link to a directory": (lambda root: link(root, "/bin", "usr/bin"), "/bin/a is not there: /bin is a link to usr/bin, behind which nothing is"),
    "a dangling link behind a link": (
        both(
            lambda root: link(root, "/bin", "usr/bin"),
            lambda root: link(root, "/usr/bin/a", "b"),
        ),
        "/bin/a is not there: /usr/bin/a is a link to b, behind which nothing is",
    ),
    "a link to itself": (lambda root: link(root, "/bin/a", "a"), "/bin/a is not there: /bin/a is a link to a, behind which nothing is"),
    "a link out of the root": (
        lambda root: link(root, "/bin/a", "/" + "../" * 9 + str(root.parent / "outside")),
        "/bin/a is not there",
    ),
    "links in a circle": (loop, "/bin/a is not there: /bin/a is a link to b, behind which nothing is"),
    "below a file": (lambda root: file(root, "/bin"), "/bin/a is not there"),
    "a directory": (lambda root: (root / "bin/a").mkdir(parents=True), "/bin/a is a directory"),
    "a FIFO": (
        fifo,
        "/bin/a is not a file",
    ),
    "no one's": (lambda root: file(root, "/bin/a", mode=0o644), "cannot be executed by anybody"),
    "a script": (
        lambda root: file(root, "/bin/a", "#!/bin/bash -eu\n"),
        "/bin/a is a script whose interpreter cannot be started: /bin/bash is not there",
    ),
    "a script with spaces": (
        lambda root: file(root, "/bin/a", "#! \t /usr/bin/env\tpython\n"),
        "interpreter cannot be started: /usr/bin/env is not there",
    ),
    "a script without a line's end": (
        lambda root: file(root, "/bin/a", "#!/bin/bash"),
        "interpreter cannot be started: /bin/bash is not there",
    ),
    "a script of DOS": (
        files(bin_a="#!/bin/sh\r\n", bin_sh=""),
        "interpreter cannot be started: /bin/sh\\015 is not there",
    ),
    "an interpreter that is none": (
        both(files(bin_a="#!/bin/b\n"), lambda root: file(root, "/bin/b", mode=0o600)),
        "interpreter cannot be started: /bin/b cannot be executed by anybody",
    ),
    "a script of a script": (
        files(bin_a="#!/b\n", b="#!/c\n"),
        "interpreter cannot be started: /c is not there",
    ),
    "no loader": (
        lambda root: file(root, "/bin/a", elf(HERE, LOADER)),
        f"/bin/a needs the loader {LOADER}, which is not there",
    ),
    "no loader, whose name is at the end": (
        lambda root: file(root, "/bin/a", elf(HERE, LOADER, where=100_000)),
        f"/bin/a needs the loader {LOADER}, which is not there",
    ),
    "an interpreter without its loader": (
        files(bin_a="#!/b\n", b=elf(HERE, LOADER)),
        f"/b needs the loader {LOADER}, which is not there",
    ),
    "a loader that is a directory": (
        both(
            files(bin_a=elf(HERE, LOADER)), lambda root: (root / LOADER[1:]).mkdir(parents=True)
        ),
        f"/bin/a needs the loader {LOADER}, which is a directory",
    ),
    "a loader for nobody": (
        both(
            files(bin_a=elf(HERE, LOADER)), lambda root: file(root, LOADER, elf(HERE), mode=0o644)
        ),
        f"/bin/a needs the loader {LOADER}, which cannot be executed by anybody",
    ),
    "a loader that is no program": (
        files(bin_a=elf(HERE, LOADER), **{"lib64_ld.so": "#!/bin/a\n"}),
        f"/bin/a needs the loader {LOADER}, which is not a program",
    ),
    "an empty loader": (
        files(bin_a=elf(HERE, LOADER), **{"lib64_ld.so": ""}),
        f"/bin/a needs the loader {LOADER}, which is not a program",
    ),
    "a loader for another processor": (
        files(bin_a=elf(HERE, LOADER), **{"lib64_ld.so": elf(OTHER)}),
        f"/bin/a needs the loader {LOADER}, which is for {OTHERS_NAME}, and not for "
        f"{platform.machine()}",
    ),
    "a loader for another processor, by links": (
        both(
            files(usr_bin_a=elf(HERE, LOADER), opt_there=elf(OTHER)),
            lambda root: link(root, "/bin", "usr/bin"),
            lambda root: link(root, "/lib64", "/lib"),
            lambda root: link(root, "/lib/ld.so", "../../opt/there"),
        ),
        f"/bin/a needs the loader {LOADER}, which is for {OTHERS_NAME}",
    ),
    "a loader by a dangling link": (
        both(files(bin_a=elf(HERE, LOADER)), lambda root: link(root, LOADER, "/opt/none")),
        f"/bin/a needs the loader {LOADER}, which is not there",
    ),
    "a loader of 32 bits": (
        files(bin_a=elf(HERE, LOADER), **{"lib64_ld.so": elf32(SMALL)}),
        f"/bin/a needs the loader {LOADER}, which is for {SMALLS_NAME}",
    ),
    "32 bits without a loader": (
        files(bin_a=elf32(SMALL, LOADER)),
        f"/bin/a needs the loader {LOADER}, which is not there",
    ),
    "32 bits with a loader of 64": (
        files(bin_a=elf32(SMALL, LOADER), **{"lib64_ld.so": elf(HERE)}),
        f"/bin/a needs the loader {LOADER}, which is for {platform.machine()}",
    ),
    "32 bits of another processor": (
        files(bin_a=elf32(OTHERS_SMALL)), "/bin/a is a program for "
    ),
    "an interpreter for another processor": (
        files(bin_a="#!/bin/sh -e\n", bin_sh=elf(OTHER)),
        "interpreter cannot be started: /bin/sh is a program for " + OTHERS_NAME,
    ),
    "an interpreter for another processor, by links": (
        both(
            files(bin_a="#!/usr/bin/sh\n", bin_busybox=elf(OTHER)),
            lambda root: link(root, "/usr/bin", "../bin"),
            lambda root: link(root, "/bin/sh", "/bin/busybox"),
        ),
        "interpreter cannot be started: /usr/bin/sh is a program for " + OTHERS_NAME,
    ),
    "an interpreter whose loader is for another processor": (
        files(bin_a="#!/b\n", b=elf(HERE, LOADER), **{"lib64_ld.so": elf(OTHER)}),
        f"/b needs the loader {LOADER}, which is for {OTHERS_NAME}",
    ),
    "an interpreter that is a directory": (
        both(files(bin_a="#!/bin/d\n"), lambda root: (root / "bin/d").mkdir()),
        "interpreter cannot be started: /bin/d is a directory",
    ),
    "one of many": (many, "/bin/a is not there"),
    "another processor": (
        lambda root: file(root, "/bin/a", elf(OTHER)),
        f"/bin/a is a program for {OTHERS_NAME}; the VM's processor is {platform.machine()}",
    ),
    "a processor of the other order": (
        lambda root: file(root, "/bin/a", elf(22, order=">")), "is a program for s390x"
    ),
    "a processor without a name": (
        lambda root: file(root, "/bin/a", elf(60000)), "is a program for the ELF machine 60000"
    ),
}  # fmt: skip
LONG = f"#!/{'b' * 300}\n"
RIGHT: dict[str, Fill] = {
    "anything": lambda root: file(root, "/bin/a", "echo\n"),
    "empty": lambda root: file(root, "/bin/a"),
    "a static program": lambda root: file(root, "/bin/a", elf(HERE)),
    "with its loader": both(
        files(bin_a=elf(HERE, LOADER), **{"usr_lib64_ld.so": elf(HERE)}),
        lambda root: link(root, "/lib64", "usr/lib64"),
    ),
    "of 32 bits with its loader": files(
        bin_a=elf32(SMALL, LOADER), **{"lib64_ld.so": elf32(SMALL)}
    ),
    "a relative loader": files(bin_a=elf(HERE, "lib/ld.so")),
    "a name of an interpreter that Linux cuts off": files(bin_a=LONG),
    "a long line of an interpreter": files(bin_a=f"#!/bin/b {'x' * 300}\n", bin_b=""),
    "one of many": both(many, files(bin_a="")),
    "a program of this machine": busybox,
    "by links": both(
        lambda root: link(root, "/bin", "usr/bin"),
        lambda root: link(root, "/usr/bin/a", "/../../etc/a"),
        files(etc_a=""),
    ),
    "a script": files(bin_a="#!/bin/b -x\n", bin_b=""),
    "for its owner": lambda root: file(root, "/bin/a", mode=0o100),
    "a cut header": lambda root: file(root, "/bin/a", elf(HERE)[:19]),
    "no program headers": lambda root: file(root, "/bin/a", elf(HERE)[:64]),
    "program headers out of reach": lambda root: file(
        root, "/bin/a", elf(HERE)[:32] + b"\xff" * 8 + elf(HERE)[40:]
    ),
    "a loader's name out of reach": lambda root: file(
        root, "/bin/a", elf(HERE, LOADER)[:128] + b"\xff" * 8 + elf(HERE, LOADER)[136:]
    ),
    "an interpreter without a name": lambda root: file(root, "/bin/a", "#! \n"),
    "a relative interpreter": lambda root: file(root, "/bin/a", "#!bin/b\n"),
    "an interpreter in /proc": lambda root: file(root, "/bin/a", "#!/proc/self/exe\n"),
    "many scripts": lambda root: chain(root, 9),
}  # fmt: skip


def pulled(at: Path) -> tuple[str, str]:
    """Put the image app:1.4, whose root is AT/rootfs, into a store, and return the option that tells
    where that is."""
    found = stored_root(at / "rootfs", at / "store")
    locked = image(platform=PLATFORM)._replace(root=found)
    (at / "box.lock.json").write_text(text(locked))
    return "--store", str(at / "store")


def launched(
    at: Path, launch: Callable[..., Launch], keys: dict[str, Any], program: str = ""
) -> Launch:
    """Launch a box, whose plan is changed to start PROGRAM, which no box may say."""
    box = {
        "krunc": 1,
        "name": "starts",
        "rootfs": {"path": "./rootfs"},
        "network": {"mode": "tsi"},
        "entrypoint": {"executable": "/bin/a"},
        **keys,
    }
    (at / "box.yaml").write_text(json.dumps(box))
    options = pulled(at) if "image" in box["rootfs"] else ()
    assert main(["compile", str(at / "box.yaml")]) == 0
    if program:
        plan = json.loads((at / "box.plan.json").read_text())
        (row,) = (row for row in plan["operations"] if row.get("order") == "program")
        row["args"]["exec_path"] = program
        plan["box_digest"] = digest(plan)
        (at / "box.plan.json").write_text(json.dumps(plan))
    return launch(at / "box.plan.json", *options, KRUN_RECORDER_EXIT="7", KRUN_RECORDER_SAYS=SAYS)


@pytest.mark.parametrize("by", KEYS)
@pytest.mark.parametrize("what", WRONG)
def test_a_program_that_cannot_be_started(
    what: str, by: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    runnable(tmp_path, "/outside")
    fill, why = WRONG[what]
    fill(tmp_path / "rootfs")
    done = launched(tmp_path, launch, KEYS[by])
    assert (done.returncode, done.calls) == (125, [])
    seen = "app:1.4" if by == "an image" else f"{tmp_path}/rootfs"
    way = "take another image" if by == "an image" else "put into the root what is missing"
    assert f"the guest's program cannot be started from its root {seen}: " in done.stderr
    assert why in done.stderr
    assert f"{way}, or start another program (entrypoint)" in done.stderr
    assert not list(tmp_path.rglob("launch-*"))


@pytest.mark.parametrize("by", KEYS)
@pytest.mark.parametrize("what", RIGHT)
def test_a_program_that_may_start(
    what: str, by: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    RIGHT[what](tmp_path / "rootfs")
    done = launched(tmp_path, launch, KEYS[by])
    assert (done.returncode, done.stderr) == (7, "")


# What the stage does before the program: then the directory alone does not tell.
UNTOLD: dict[str, dict[str, Any]] = {
    "a mount at it": {
        "shares": [{"tag": "s", "path": "./share", "mount": "/bin", "read_only": False}]
    },
    "a mount that a link leads to": {"tmpfs": ["/mnt"], "entrypoint": {"executable": "/to/a"}},
    "a script": {"entrypoint": {"executable": "/bin/a", "before": "cp /x /bin/a"}},
    "a script in an image": {
        **AN_IMAGE, "entrypoint": {"executable": "/bin/a", "before": "cp /x /bin/a"}
    },
    "a mount at it in an image": {
        **AN_IMAGE,
        "shares": [{"tag": "s", "path": "./share", "mount": "/bin", "read_only": False}],
    },
    "changes of earlier launches of an image": {
        **AN_IMAGE,
        "rootfs": {"image": "app:1.4", "changes": {"disk": "kept"}},
        "disks": [{"id": "kept", "path": "./kept.img", "format": "raw"}],
    },
    "changes of earlier launches": {
        "rootfs": {"path": "./rootfs", "changes": {"disk": "kept"}},
        "disks": [{"id": "kept", "path": "./kept.img", "format": "raw"}],
    },
    "a device": {"hostname": "here", "entrypoint": {"executable": "/dev/fd/3"}},
}  # fmt: skip


@pytest.mark.parametrize("what", UNTOLD)
def test_what_cannot_be_told(what: str, tmp_path: Path, launch: Callable[..., Launch]) -> None:
    runnable(tmp_path / "rootfs", "/x")
    file(tmp_path / "rootfs", "/bin/sh")
    link(tmp_path / "rootfs", "/to", "mnt/deep")
    (tmp_path / "share").mkdir()
    (tmp_path / "kept.img").write_bytes(bytes(512))
    done = launched(tmp_path, launch, {"hostname": "here", **UNTOLD[what]})
    assert (done.returncode, done.stderr) == (7, ""), done


@pytest.mark.parametrize(
    ("path", "env", "why"),
    [
        ("/usr/bin/a", {}, ""),
        ("/opt/a", {}, "a is in no directory of PATH, /usr/local/sbin:/usr/local/bin:"),
        ("/opt/a", {"PATH": "/none:/opt"}, ""),
        ("/usr/bin/a", {"PATH": "/opt"}, "a is in no directory of PATH, /opt"),
        ("/usr/bin/a", {"PATH": "bin:"}, ""),  # from where the program starts
        ("/usr/bin/a", {"PATH": ""}, ""),
    ],
)
def test_a_name_is_looked_for_as_the_stage_does(
    path: str, env: dict[str, str], why: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    runnable(tmp_path / "rootfs", path)
    # What may not be started is passed over.
    file(tmp_path / "rootfs", "/usr/local/bin/a", mode=0o644)
    file(tmp_path / "rootfs", "/none/a/in")
    if why.endswith("bin:"):
        (tmp_path / "rootfs/usr/local/bin/a").unlink()
    keys = {"hostname": "here", "entrypoint": {"executable": "/bin/a", "env": env}}
    done = launched(tmp_path, launch, keys, "a")
    assert done.returncode == (125 if why else 7), done
    assert why in done.stderr


def test_a_path_from_the_working_directory(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    runnable(tmp_path / "rootfs", "/work/bin/a")
    keys = {"hostname": "here", "entrypoint": {"executable": "/bin/a", "workdir": "/work"}}
    for program, status in (("bin/a", 7), ("./bin/a", 7), ("../work/bin/a", 7), ("bin/b", 125)):
        assert launched(tmp_path, launch, keys, program).returncode == status
    keys["tmpfs"] = ["/work"]
    assert launched(tmp_path, launch, keys, "bin/b").returncode == 7


@pytest.mark.parametrize("by", ["the stage", "an image"])
def test_a_script_before_the_program(
    by: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    keys = {**KEYS[by], "entrypoint": {"executable": "/bin/a", "before": "cp /x /bin/a"}}
    for data, why in (
        (None, "/bin/sh is not there"),
        (elf(OTHER), f"/bin/sh is a program for {OTHERS_NAME}"),
        (elf(HERE, LOADER), f"/bin/sh needs the loader {LOADER}, which is not there"),
    ):
        runnable(tmp_path / "rootfs", "/bin/a")
        if data is not None:
            file(tmp_path / "rootfs", "/bin/sh", data)
        done = launched(tmp_path, launch, keys)
        assert (done.returncode, done.calls) == (125, [])
        assert "the guest's script before the program cannot be started" in done.stderr
        assert why in done.stderr
        assert "(entrypoint.before)" in done.stderr


def test_an_image_is_looked_into_within_bounds(tmp_path: Path) -> None:
    """Whatever is in the file: the guest's kernel judges it, and no number in it leads astray."""
    file(tmp_path / "rootfs", "/usr/bin/b", elf(HERE, LOADER))
    link(tmp_path / "rootfs", "/usr/bin/a", "/bin/b")
    link(tmp_path / "rootfs", "/bin", "usr/bin")
    _, store = pulled(tmp_path)
    (stored,) = Path(store).glob("*.erofs")
    right = stored.read_bytes()
    changed = os.open(tmp_path / "changed", os.O_RDWR | os.O_CREAT)
    os.write(changed, right)

    def told() -> str:
        return ImageRoot(changed, {"/dev"}).why_not("/bin/a", [])

    why = f"/bin/a needs the loader {LOADER}, which is not there"
    assert told() == why
    answers = set()
    for at in range(1024, len(right)):
        for put in (b"\xff" * 8, bytes(8), b"\1", b"\x80"):
            os.pwrite(changed, put, at)
            try:
                answers.add(told())
            except OSError:
                answers.add("untold")
            os.pwrite(changed, right[at : at + len(put)], at)
    assert {why, "untold", "/bin/a is not there", ""} < answers
    for length in range(len(right) - 1, 0, -9):
        os.truncate(changed, length)
        with suppress(OSError):
            assert told() == why
    os.close(changed)


def test_what_opens_a_disk_is_called_so() -> None:
    for name, row in load("krun")["functions"].items():
        assert "disk" in name or not any(one.get("target") == "disk" for one in row["params"])


@pytest.mark.parametrize("disks", [1, 4])
def test_an_image_behind_disks(disks: int, tmp_path: Path, launch: Callable[..., Launch]) -> None:
    file(tmp_path / "rootfs", "/bin/a", elf(OTHER))
    (tmp_path / "disk.img").write_bytes(bytes(512))
    rows = [
        {"id": f"d{i}", "path": "./disk.img", "format": "raw", "read_only": True}
        for i in range(disks)
    ]
    done = launched(tmp_path, launch, {**AN_IMAGE, "disks": rows})
    assert (done.returncode, done.calls) == (125, [])
    assert f"/bin/a is a program for {OTHERS_NAME}" in done.stderr
