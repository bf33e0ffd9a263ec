"""A box with an image compiles from the lock beside it: what the plan says, and what is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.findings.report import report
from krunc_compiler.image.lock import LockedImage
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.plan.plan import to_text
from krunc_compiler.values.inputs import Inputs
from locks import APP, digest, image, text
from refusals import refusals

HEAD = "krunc: 1\nname: one\nnetwork: {mode: none}\n"
BOX = HEAD + 'rootfs: {image: "app:1.4"}\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def compiled(box: str, *images: LockedImage, target: str = "1") -> tuple[list[dict[str, Any]], str]:
    """The operations of the one BOX with the lock of IMAGES, and what is told of it."""
    if images:
        Path("box.lock.json").write_text(text(*images))
    chosen = api.target(target)
    assert chosen is not None
    try:
        (made,), warned = compile_all("box.yaml", box, Inputs(chosen))
    except Rejected as rejected:
        return [], report(rejected.findings)
    value: dict[str, Any] = json.loads(to_text(made.plan))
    assert refusals(value) == []
    return value["operations"], report(warned) if warned else ""


def row(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = (row for row in rows if name in (row.get(k) for k in ("step", "order", "call")))
    return found


def test_the_image_stands_in_the_plan() -> None:
    rows, said = compiled(BOX, image(entrypoint=("/e",)))
    assert said == ""
    path = f"store:{digest('8')}"
    assert row(rows, "require_image") == {
        "step": "require_image",
        "args": {
            "path": path, "access": "read", "size": 36 << 20, "reference": "app:1.4",
            "platform": "linux/amd64", "manifest": digest("a"), "config": digest("b"),
            "layers": 3, "layer_bytes": 3 << 20,
        },
        "from": "rootfs.image",
    }  # fmt: skip
    disk = {"block_id": "krunc-root", "disk_path": path, "disk_format": "raw", "read_only": True}
    assert row(rows, "krun_add_disk2") == {
        "call": "krun_add_disk2", "args": disk, "from": "rootfs.image",
    }  # fmt: skip
    assert row(rows, "root_disk")["args"] == {
        "device": "/dev/vda", "fstype": "erofs", "options": None, "access": "read",
    }  # fmt: skip
    assert row(rows, "discard_changes") == {
        "order": "discard_changes", "args": {"size_mib": None}, "from": "default",
    }  # fmt: skip
    assert all(row.get("step") != "require_file" for row in rows)


# The config's fields, the box's keys, and the orders that follow: where they are from.
RUN: dict[str, Any] = {
    "entrypoint": ("/e", "-x"), "cmd": ("c",), "env": ("PATH=/bin", "A=1"), "working_dir": "/srv",
    "user": APP,
}  # fmt: skip
ENV = {"HOME": "/home/app", "PATH": "/bin", "A": "1"}
CASES: list[tuple[dict[str, Any], str, dict[str, tuple[Any, str]]]] = [
    (RUN, "", {
        "program": ({"exec_path": "/e", "argv": ["-x", "c"], "envp": ENV}, "rootfs.image"),
        "user": ({"user": "1000:1000"}, "rootfs.image"),
        "workdir": ({"workdir_path": "/srv"}, "rootfs.image"),
    }),
    (RUN, "{args: [d, e]}", {
        "program": ({"exec_path": "/e", "argv": ["-x", "d", "e"], "envp": ENV}, "entrypoint"),
    }),
    (RUN, "{args: []}", {
        "program": ({"exec_path": "/e", "argv": ["-x"], "envp": ENV}, "entrypoint"),
    }),
    (RUN, "{executable: /p}", {
        "program": ({"exec_path": "/p", "argv": [], "envp": ENV}, "entrypoint"),
    }),
    (RUN, "{executable: /p, args: [d]}", {
        "program": ({"exec_path": "/p", "argv": ["d"], "envp": ENV}, "entrypoint"),
    }),
    (RUN, "{env: {A: '2', B: '3', HOME: /h}}", {
        "program": (
            {"exec_path": "/e", "argv": ["-x", "c"],
             "envp": {"HOME": "/h", "PATH": "/bin", "A": "2", "B": "3"}}, "entrypoint",
        ),
    }),
    (RUN, "{workdir: /w, user: root}", {
        "program": ({"exec_path": "/e", "argv": ["-x", "c"], "envp": {"PATH": "/bin", "A": "1"}}, "entrypoint"),
        "user": ({"user": "root"}, "entrypoint.user"),
        "workdir": ({"workdir_path": "/w"}, "entrypoint.workdir"),
    }),
    (RUN, "{script: 'true', args: [d]}", {
        "program": (
            {"exec_path": "/bin/sh", "argv": ["-c", "true", "script", "d"], "envp": ENV},
            "entrypoint",
        ),
    }),
    (RUN, "{script: 'true'}", {
        "program": ({"exec_path": "/bin/sh", "argv": ["-c", "true", "script"], "envp": ENV}, "entrypoint"),
    }),
    ({"cmd": ("ls", "-l")}, "", {
        "program": ({"exec_path": "ls", "argv": ["-l"], "envp": {}}, "rootfs.image"),
        "workdir": ({"workdir_path": "/"}, "default"),
    }),
    ({"cmd": ("ls",)}, "{args: [id, -u]}", {
        "program": ({"exec_path": "id", "argv": ["-u"], "envp": {}}, "entrypoint"),
    }),
    ({"entrypoint": ("./run",), "working_dir": "/app"}, "", {
        "program": ({"exec_path": "./run", "argv": [], "envp": {}}, "rootfs.image"),
    }),
    ({"entrypoint": ("e",), "user": APP._replace(groups=(4, 27))}, "", {
        "user": ({"user": "1000"}, "rootfs.image"),
    }),
    ({"entrypoint": ("e",), "user": APP._replace(name=None, gid=0, home="/")}, "", {
        "user": ({"user": "1000:0"}, "rootfs.image"),
        "program": ({"exec_path": "e", "argv": [], "envp": {"HOME": "/"}}, "rootfs.image"),
    }),
    ({"entrypoint": ("e",), "env": ("HOME=/mine",), "user": APP}, "", {
        "program": ({"exec_path": "e", "argv": [], "envp": {"HOME": "/mine"}}, "rootfs.image"),
    }),
    ({"entrypoint": ("e",), "env": ("A-B=c", "a.b=", "KRUN_X=y", "root=z")}, "", {
        "program": ({"exec_path": "e", "argv": [], "envp": {"A-B": "c", "a.b": "", "KRUN_X": "y", "root": "z"}}, "rootfs.image"),
    }),
    ({"entrypoint": ('a "b"\n', "é")}, "", {
        "program": ({"exec_path": 'a "b"\n', "argv": ["é"], "envp": {}}, "rootfs.image"),
    }),
]  # fmt: skip


@pytest.mark.parametrize("target", ["1", "2"])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_what_the_box_leaves_out_is_the_image_s(number: int, target: str) -> None:
    run, entrypoint, orders = CASES[number]
    keys = f"entrypoint: {entrypoint}\n" if entrypoint else ""
    rows, said = compiled(BOX + keys, image(**run), target=target)
    assert said == ""
    for name, (args, origin) in orders.items():
        found = row(rows, name)
        assert (found["args"], found["from"]) == (args, origin)
        assert list(found["args"].get("envp", {})) == list(args.get("envp", {}))


def test_root_is_nobody_else() -> None:
    root = APP._replace(name="root", uid=0, gid=0, home="/root")
    for user in (None, root, root._replace(groups=(1, 2))):
        rows, _ = compiled(BOX, image(entrypoint=("/e",), user=user))
        assert all("user" not in one.get("args", {}) for one in rows)


@pytest.mark.parametrize(
    ("keys", "signal", "sent", "origin"),
    [
        ("", None, "TERM", "default"),
        ("", "SIGTERM", "TERM", "rootfs.image"),
        ("", "SIGINT", "INT", "rootfs.image"),
        ("stop: {on_sigterm: terminate}\n", "SIGINT", "TERM", "stop"),
        ("stop: {grace: 5}\n", "SIGINT", "INT", "stop"),
    ],
)
def test_the_signal_that_the_image_asks_for(keys: str, signal: Any, sent: str, origin: str) -> None:
    rows, said = compiled(BOX + keys, image(entrypoint=("/e",), stop_signal=signal))
    found = row(rows, "pass_sigterm")
    assert (found["args"]["signal"], found["from"], said) == (sent, origin, "")


DISKS = "disks: [{id: c, path: c.img, format: raw}, {id: d, path: d.img, format: raw, mount: /d}]\n"


def test_disks_of_the_box_keep_their_places() -> None:
    box = HEAD + DISKS + 'rootfs: {image: "app:1.4", changes: {disk: c}}\n'
    rows, said = compiled(box, image(entrypoint=("/e",)))
    assert said == ""
    assert row(rows, "root_disk")["args"]["device"] == "/dev/vdc"
    assert row(rows, "keep_changes")["args"]["device"] == "/dev/vda"
    assert row(rows, "mount_disk")["args"]["device"] == "/dev/vdb"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("rootfs: {image: 'app:1.4', changes: host}", "rootfs.changes"),
        ("rootfs: {image: 'app:1.4', changes: {disk: no}}", "no disk has the id 'no'"),
        ("rootfs: {image: 'app:1.4', changes: {disk: krunc-root}}", "is read-only"),
        ("rootfs: {image: 'app:1.4', read_only: true, changes: discard}", "are mutually exclusive"),
        ("rootfs: {image: 'app:1.4', read_only: true, size: 1MiB}", "size needs"),
        ("rootfs: {image: 'app:1.4', path: ./x}", "cannot be combined with"),
        ("rootfs: {image: 'app:1.4', fstype: ext4}", "fstype"),
        ("rootfs: {image: ''}", "empty"),
        ("rootfs: {image: 5}", "not a string"),
        ("rootfs: {image: 'App'}", "names no image"),
        ("rootfs: {image: '--help'}", "names no image"),
        ("rootfs: {image: 'app:1.4'}\nboot: {init: ./init}", "are mutually exclusive"),
        ("rootfs: {image: 'app:1.4'}\narch: s390x", "arch"),
        ("rootfs: {path: ./r}\nentrypoint: {args: [a]}", "the key 'executable' is missing"),
        ("rootfs: {path: ./r}\nentrypoint: {}", "the key 'executable' or 'script' is missing"),
        ("rootfs: {path: ./r}", "the key 'entrypoint' is missing"),
        ("rootfs: {image: 'app:1.4'}\nentrypoint: {executable: a}", "has an invalid format"),
        (f"rootfs: {{image: 'app:1.4'}}\n{DISKS.replace('id: c', 'id: krunc-root')}", "already that of"),
    ],
)  # fmt: skip
def test_what_cannot_be(keys: str, said: str) -> None:
    rows, told = compiled(HEAD + keys + "\n", image(entrypoint=("/e",)))
    assert not rows
    assert said in told
    assert "KR012" not in told


@pytest.mark.parametrize(
    ("run", "keys", "said"),
    [
        ({}, "", "error[KR704]: rootfs.image: the image names no program"),
        ({"entrypoint": ("",)}, "", "error[KR704]"),
        ({"entrypoint": ("e",), "user": APP._replace(uid=0)}, "", "root in the group 1000"),
        ({"entrypoint": ("e",), "env": ("a b=c",)}, "", "error[KR704]: rootfs.image: the image has a variable 'a b'"),
        ({"entrypoint": ("e",), "volumes": ("/data",)}, "", "warning[KR705]"),
        ({"entrypoint": ("e",), "volumes": ("/data",)}, "tmpfs: [/data]\n", ""),
        ({"entrypoint": ("e",), "volumes": ("/data/x",)}, "tmpfs: [/data]\n", ""),
        ({"entrypoint": ("e",), "volumes": ("/database",)}, "tmpfs: [/data]\n", "warning[KR705]"),
        ({"entrypoint": ("e",), "volumes": ("/d",)}, "shares: [{tag: a, path: ./a, mount: /d, read_only: true}]\n", ""),
        ({"entrypoint": ("e",), "stop_signal": "SIGQUIT"}, "", "which gets SIGTERM"),
        ({"entrypoint": ("e",), "stop_signal": "SIGQUIT"}, "stop: {on_sigterm: terminate}\n", ""),
        ({"entrypoint": ("e",), "healthcheck": True}, "", "warning[KR707]"),
        ({"entrypoint": ("e",), "healthcheck": True}, "allow: [{code: KR707, reason: why}]\n", ""),
        ({"entrypoint": ("e",), "exposed_ports": ("80/tcp",)}, "", ""),
        ({"entrypoint": ("e",), "env": ("API_KEY=abcdef",)}, "", ""),
        ({"entrypoint": ("e",)}, "entrypoint: {env: {API_KEY: abcdef}}\n", "warning[KR610]"),
        ({"entrypoint": ("e",), "user": APP}, "limits: {nproc: 5}\n", ""),
        ({"entrypoint": ("e",)}, "limits: {nproc: 5}\n", "warning[KR617]"),
    ],
)  # fmt: skip
def test_what_the_image_means_is_told(run: dict[str, Any], keys: str, said: str) -> None:
    rows, told = compiled(BOX + keys, image(**run))
    assert said in told
    assert bool(told) is bool(said)
    assert bool(rows) is ("error" not in said and "KR202" not in said and "group" not in said)


PORTS = "rootfs: {image: 'app:1.4'}\nkrunc: 1\nname: one\nnetwork: "


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ("{mode: tsi, ports: ['8080:80']}", False), ("{mode: tsi, ports: ['8080:81']}", True),
        ("{mode: tsi, ports: []}", False), ("{mode: tsi, ports: all}", False), ("{mode: none}", False),
        ("{mode: passt, ports: ['8080:80']}", False), ("{mode: passt, ports: ['80:80/udp']}", True),
        ("{mode: passt, ports: ['5:5', '8080:80']}", False), ("{mode: passt, ports: []}", False),
    ],
)  # fmt: skip
def test_ports_that_lead_elsewhere_are_told(network: str, told: bool) -> None:
    _, said = compiled(PORTS + network + "\n", image(entrypoint=("e",), exposed_ports=("80/tcp",)))
    assert ("KR708" in said) is told


def test_without_a_lock() -> None:
    _, said = compiled(BOX)
    assert "error[KR702]: rootfs.image: there is no lock box.lock.json" in said
    assert "krunc pull box.yaml" in said


def test_all_that_is_wrong_is_told_at_once() -> None:
    _, said = compiled(BOX + "machine: {memory: 1}\nlimits: {nofile: '2:1'}\nhosts: {a: 1::2::3}\n")
    assert all(part in said for part in ("KR702", "machine.memory", "limits.nofile"))


def test_a_lock_of_another_reference_or_platform() -> None:
    locked = image("app:1.5", entrypoint=("e",))
    _, said = compiled(BOX, locked)
    assert "box.lock.json does not have app:1.4" in said
    _, said = compiled(BOX.replace("1.4", "1.5") + "arch: arm64\n")
    assert "box.lock.json does not have app:1.5 for linux/arm64" in said


def test_of_several_platforms_one_is_named() -> None:
    both = [image(platform=f"linux/{name}", entrypoint=("e",)) for name in ("amd64", "arm64")]
    _, said = compiled(BOX, *both)
    assert "error[KR210]: rootfs.image: rootfs.image needs arch" in said
    assert "write `arch: x86_64 or arm64`" in said
    rows, said = compiled(BOX + "arch: arm64\n", *both)
    assert row(rows, "require_image")["args"]["platform"] == "linux/arm64"
    assert "warning[KR703]: images[0]: no box of box.yaml names app:1.4 for linux/amd64" in said
    rows, said = compiled(BOX, both[1])
    assert row(rows, "require_image")["args"]["platform"] == "linux/arm64"


def test_a_matrix_has_one_lock() -> None:
    box = (
        "krunc: 1\nname: one-{{ v }}-{{ a }}\nmatrix: {v: ['1.4', '1.5'], a: [x86_64, arm64]}\n"
        'arch: "{{ a }}"\nrootfs: {image: "app:{{ v }}"}\nnetwork: {mode: none}\n'
    )
    images = [
        image(f"app:{version}", platform, entrypoint=(version,))
        for version in ("1.4", "1.5")
        for platform in ("linux/amd64", "linux/arm64")
    ]
    Path("box.lock.json").write_text(text(*images))
    chosen = api.target("1")
    assert chosen is not None
    made, warned = compile_all("box.yaml", box, Inputs(chosen))
    assert not warned
    assert len({one.text for one in made}) == 4
    _, warned = compile_all("box.yaml", box, Inputs(chosen, box="one-1.4-arm64"))
    assert not warned
    Path("box.lock.json").write_text(text(*images[1:]))
    with pytest.raises(Rejected) as refused:
        compile_all("box.yaml", box, Inputs(chosen))
    assert len(refused.value.findings) == 1


def krunc(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "krunc", *words], capture_output=True, text=True)


def test_another_lock_makes_another_plan() -> None:
    Path("box.yaml").write_text(BOX)
    first = image(entrypoint=("e",))
    Path("box.lock.json").write_text(text(first))
    assert krunc("compile", "box.yaml").returncode == 0
    assert krunc("compile", "--check", "box.yaml").returncode == 0
    assert krunc("check", ".").returncode == 0
    before = json.loads(Path("box.plan.json").read_text())
    Path("box.lock.json").write_text(text(first._replace(config=digest("f"))))
    for words in (("compile", "--check", "box.yaml"), ("check", ".")):
        done = krunc(*words)
        assert done.returncode == 1
        assert "KR301" in done.stdout + done.stderr
    assert krunc("compile", "box.yaml").returncode == 0
    after = json.loads(Path("box.plan.json").read_text())
    assert before["box_digest"] != after["box_digest"]
    # A lock that is gone, or wrong, is an error of each.
    for content in (None, "{}"):
        if content is None:
            Path("box.lock.json").unlink()
        else:
            Path("box.lock.json").write_text(content)
        for words in (("compile", "--check", "box.yaml"), ("check", "."), ("show", "box.yaml")):
            done = krunc(*words)
            assert done.returncode in (1, 2)
            assert "Traceback" not in done.stderr
            assert "krunc pull" in done.stdout + done.stderr


def test_many_boxes_are_compiled_again_with_another_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("cache").absolute()))
    Path("boxes").mkdir()
    for i in range(40):
        Path(f"boxes/b{i}.yaml").write_text(BOX.replace("name: one", f"name: b{i}"))
        Path(f"boxes/b{i}.lock.json").write_text(text(image(entrypoint=("e",))))
    assert krunc("compile", "boxes").returncode == 0
    assert krunc("compile", "boxes").returncode == 0
    Path("boxes/b7.lock.json").write_text(text(image(entrypoint=("other",))))
    assert krunc("compile", "boxes").returncode == 0
    assert '"other"' in Path("boxes/b7.plan.json").read_text()


def test_a_lock_that_leads_out_of_the_repository_is_not_read(tmp_path: Path) -> None:
    Path("repo/.git").mkdir(parents=True)
    Path("repo/box.yaml").write_text(BOX)
    Path("box.lock.json").write_text(text(image(entrypoint=("e",))))
    os.symlink("../box.lock.json", "repo/box.lock.json")
    done = krunc("check", "repo")
    assert done.returncode == 1
    assert "KR011" in done.stdout + done.stderr
    # A person's own compile follows it, as with what a box extends.
    assert krunc("compile", "repo/box.yaml").returncode == 0


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "directory"])
def test_a_lock_that_is_no_file(make: Any) -> None:
    Path("box.yaml").write_text(BOX)
    make("box.lock.json")
    done = krunc("compile", "box.yaml")
    assert done.returncode == 1
    assert "box.lock.json: error[KR001]" in done.stderr


def test_a_lock_beyond_bounds() -> None:
    Path("box.yaml").write_text(BOX)
    Path("box.lock.json").write_text(text(image(entrypoint=("e",))) + " " * (1 << 20))
    done = krunc("compile", "box.yaml")
    assert done.returncode == 1
    assert "has more than 1,048,576 bytes" in done.stderr


def test_the_lock_of_a_revision_is_of_that_revision() -> None:
    def git(*words: str) -> None:
        given = {
            f"GIT_{who}_{what}": "a@b"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        subprocess.run(
            ["git", *words], check=True, capture_output=True, env={**os.environ, **given}
        )

    git("init", "-q")
    Path("box.yaml").write_text(BOX)
    Path("box.lock.json").write_text(text(image(entrypoint=("old",))))
    git("add", ".")
    git("commit", "-qm", "one")
    Path("box.lock.json").write_text(text(image(entrypoint=("new",))))
    done = krunc("diff", "HEAD:box.yaml", "box.yaml")
    assert done.returncode == 1
    assert "old -> new" in done.stdout


def test_an_extended_image_starts_at_its_own_directory() -> None:
    Path("base").mkdir()
    Path("base/base.yaml").write_text(BOX.replace("app:1.4", "oci:layout:1"))
    rows, said = compiled(
        "extends: base/base.yaml\n", image("oci:base/layout:1", entrypoint=("e",))
    )
    assert said == ""
    assert row(rows, "require_image")["args"]["reference"] == "oci:base/layout:1"
    Path("base/base.yaml").write_text(BOX)
    rows, said = compiled("extends: base/base.yaml\n", image(entrypoint=("e",)))
    assert row(rows, "require_image")["args"]["reference"] == "app:1.4"


@pytest.mark.parametrize("root", ["{path: ./r, dax: 2MiB}", "{disk: a, fstype: xfs}"])
def test_an_image_takes_the_place_of_another_root(root: str) -> None:
    Path("base.yaml").write_text(HEAD + f"rootfs: {root}\nentrypoint: {{executable: /a}}\n")
    rows, said = compiled("extends: base.yaml\nrootfs: {image: 'app:1.4'}\n", image())
    assert said == ""
    assert row(rows, "program")["args"]["exec_path"] == "/a"
    Path("base.yaml").write_text(BOX + "entrypoint: {executable: /a}\n")
    disk = "disks: [{id: a, path: a.img, format: raw}]\n"
    rows, said = compiled(f"extends: base.yaml\nrootfs: {root}\n{disk}")
    assert said == ""
    assert rows


def test_standard_input_has_a_lock_of_its_name() -> None:
    Path("stdin.lock.json").write_text(text(image(entrypoint=("e",))))
    done = subprocess.run(
        [sys.executable, "-m", "krunc", "compile", "-"], input=BOX, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "require_image" in done.stdout


def test_nothing_of_a_lock_is_read_for_another_root() -> None:
    Path("box.lock.json").write_text("no lock at all")
    rows, said = compiled(HEAD + "rootfs: {path: ./r}\nentrypoint: {executable: /a}\n")
    assert rows
    assert said == ""
