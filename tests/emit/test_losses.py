"""What an engine cannot give is an error, unless it is allowed with a reason that is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
from krunc_compiler.emit.engine import ENGINES, engine
from krunc_compiler.emit.host_paths import HostPath
from krunc_compiler.emit.losses import LOSSES
from krunc_compiler.emit.overlaps import Places

BOX = """\
krunc: 1
name: NAME
machine: {cpus: 1, memory: 256MiB}
rootfs: {path: /srv/root-NAME}
"""
CODE = {
    "network": "network: {mode: tsi}",
    "entrypoint": "entrypoint: {executable: /bin/true}",
}
# By loss, the keys of one box, or of each of two.
KEYS = {
    "terminal_console": [
        "console: {devices: [{type: multiport, ports: [{name: a, terminal: /dev/tty3}]}]}",
    ],
    "descriptor": ["network: {mode: unixstream, fd: 3}"],
    "relative_path": ["shares: [{tag: a, path: ./here, read_only: false}]"],
    "shared_port": ['network: {mode: tsi, ports: ["8080:80"]}'] * 2,
    "shared_writable_disk": ["disks: [{id: a, path: /srv/a.img, format: raw}]"] * 2,
    "shared_writable_path": ["shares: [{tag: a, path: /srv/a, read_only: false}]"] * 2,
    "shared_socket": ["vsock: [{port: 5000, socket: /srv/a.sock, listen: true}]"] * 2,
    "host_device": ["network: {mode: tap, device: tap0}"],
    "desktop_session": ["gpu: {flags: [venus]}"],
}
CASES = [
    (name, loss) for name in ENGINES for loss in sorted(engine(name).lacks | {"relative_path"})
]


def plans(directory: Path, keys: list[str], *, target: str = "2") -> list[str]:
    """A plan for each of KEYS."""
    made = []
    for number, key in enumerate(keys):
        lines = [line for name, line in CODE.items() if not key.startswith(f"{name}:")]
        box = directory / f"box{number}.yaml"
        common = BOX.partition("rootfs:")[0] if key.startswith("rootfs:") else BOX
        box.write_text("\n".join([common.replace("NAME", f"box{number}"), *lines, key]) + "\n")
        assert main(["compile", str(box), "--target", target]) == 0
        made.append(str(directory / f"box{number}.plan.json"))
    return made


def emit(*words: str) -> int:
    """The exit status of krunc emit."""
    return main(["emit", *words], refusals)


def test_every_loss_has_a_case() -> None:
    assert set(KEYS) == set(LOSSES)
    assert {loss for _, loss in CASES} == set(LOSSES)


@pytest.mark.parametrize(("name", "loss"), CASES)
def test_a_loss_is_an_error_until_it_is_allowed(
    name: str, loss: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = plans(tmp_path, KEYS[loss])
    capsys.readouterr()
    assert emit(name, *given) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"error[{LOSSES[loss].code}]" in err
    assert f"--allow-loss {loss}=REASON" in err
    assert given[-1] in err
    assert emit(name, *given, "--allow-loss", f"{loss}=we know why") == 0
    out, _ = capsys.readouterr()
    assert f"# allowed loss {loss}: " in out
    assert "; because we know why\n" in out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("descriptr=x", "did you mean descriptor?"),
        ("descriptor", "give a reason"),
        ("descriptor=", "give a reason"),
        ("descriptor= ", "give a reason"),
        ("descriptor=a\nExecStart=/bin/evil", "one line"),
        ("descriptor=a\u202e", "one line"),
        ("=x", "known: "),
    ],
)
def test_a_bad_allowance_is_wrong_usage(
    given: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert emit("systemd", str(tmp_path), "--allow-loss", given) == 2
    assert said in capsys.readouterr().err


def test_readers_of_one_disk_share_it(tmp_path: Path) -> None:
    disk = "disks: [{id: a, path: /srv/a.img, format: raw, read_only: true}]"
    assert emit("systemd", *plans(tmp_path, [disk, disk])) == 0


@pytest.mark.parametrize("first", [True, False])
def test_a_writer_and_a_reader_do_not(first: bool, tmp_path: Path) -> None:
    disks = [
        f"disks: [{{id: a, path: /srv/{place}a.img, format: raw, read_only: {read_only}}}]"
        for place, read_only in (("./", str(first).lower()), ("b/../", str(not first).lower()))
    ]
    assert emit("systemd", *plans(tmp_path, disks)) == 1


def test_ports_of_different_addresses_are_two(tmp_path: Path) -> None:
    keys = [
        f'network: {{mode: passt, ports: ["{address}:8080:80"]}}'
        for address in ("192.0.2.1", "192.0.2.2")
    ]
    assert emit("systemd", *plans(tmp_path, keys)) == 0


def test_a_port_of_every_address_is_everybodys(tmp_path: Path) -> None:
    keys = [
        f'network: {{mode: passt, ports: ["{host}:8080:80"]}}' for host in ("0.0.0.0", "192.0.2.1")
    ]
    assert emit("systemd", *plans(tmp_path, keys)) == 1


def test_a_base_is_where_relative_paths_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (plan,) = plans(tmp_path, KEYS["relative_path"])
    capsys.readouterr()
    assert emit("systemd", plan, "--base", "/srv/x") == 0
    out, _ = capsys.readouterr()
    assert 'Environment="KRUNC_BASE=/srv/x"' in out
    assert 'ReadWritePaths=-"/srv/x/here"' in out
    assert emit("systemd", plan, "--base", "x") == 2


ROOT = "rootfs: {path: PATH}"
KEPT = "rootfs: {path: PATH, changes: discard}"
READ = "rootfs: {path: PATH, read_only: true}"
SHARE = "shares: [{tag: a, path: PATH, read_only: false}]"
READ_SHARE = "shares: [{tag: a, path: PATH, read_only: true}]"
DISK = "disks: [{id: a, path: PATH, format: raw}]"
READ_DISK = "disks: [{id: a, path: PATH, format: raw, read_only: true}]"
LOG = "console: {output: PATH}"
# Two keys, the path of each, and the loss.
PATHS = [
    (ROOT, "/srv/a", ROOT, "/srv/a", "shared_writable_path"),
    (ROOT, "/srv/a", ROOT, "/srv/./b/../a/", "shared_writable_path"),
    (ROOT, "/srv/a", ROOT, "/srv/a/b/c", "shared_writable_path"),
    (ROOT, "/srv/a/b/c", ROOT, "/srv/a", "shared_writable_path"),
    (ROOT, "/var/run/a", ROOT, "/run/a/b", "shared_writable_path"),
    (ROOT, "/srv/a", KEPT, "/srv/a", "shared_writable_path"),
    (KEPT, "/srv/a", ROOT, "/srv/a", "shared_writable_path"),
    (READ, "/srv/a/b", ROOT, "/srv/a", "shared_writable_path"),
    (KEPT, "/srv/a", KEPT, "/srv/a", None),
    (READ, "/srv/a", KEPT, "/srv/a/b", None),
    (ROOT, "/srv/a", ROOT, "/srv/ab", None),
    (ROOT, "/srv/a/b", ROOT, "/srv/a/c", None),
    (SHARE, "/srv/a", SHARE, "/srv/a", "shared_writable_path"),
    (SHARE, "/srv/a", SHARE, "/srv/a/b", "shared_writable_path"),
    (SHARE, "/srv/a/b", SHARE, "/srv/a", "shared_writable_path"),
    (SHARE, "/srv/a", ROOT, "/srv/a/b", "shared_writable_path"),
    (KEPT, "/srv/a/b", SHARE, "/srv/a", "shared_writable_path"),
    # Of a share that is not a root, one may write what others read.
    (SHARE, "/srv/a", READ_SHARE, "/srv/a", None),
    (READ_SHARE, "/srv/a/b", SHARE, "/srv/a", None),
    (READ_SHARE, "/srv/a", READ_SHARE, "/srv/a", None),
    (DISK, "/srv/a", DISK, "/srv/a", "shared_writable_disk"),
    (READ_DISK, "/srv/a", DISK, "/srv/./a", "shared_writable_disk"),
    (DISK, "/dev/vg/a", DISK, "/dev/vg/a", "shared_writable_disk"),
    (READ_DISK, "/srv/a", READ_DISK, "/srv/a", None),
    (DISK, "/srv/a/d.img", SHARE, "/srv/a", "shared_writable_path"),
    (SHARE, "/srv/a", READ_DISK, "/srv/a/d.img", "shared_writable_path"),
    (READ_SHARE, "/srv/a", DISK, "/srv/a/d.img", None),
    (LOG, "/srv/a.log", LOG, "/srv/a.log", "shared_writable_path"),
    (LOG, "/srv/a/log", SHARE, "/srv/a", "shared_writable_path"),
    (LOG, "runtime:a.log", LOG, "runtime:a.log", None),
]  # fmt: skip


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(("one", "at", "two", "there", "loss"), PATHS)
def test_what_two_vms_write_is_lost_of_one(
    name: str, one: str, at: str, two: str, there: str, loss: str | None, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = plans(tmp_path, [one.replace("PATH", at), two.replace("PATH", there)])
    capsys.readouterr()
    assert emit(name, *given) == (loss is not None)
    err = capsys.readouterr().err
    assert err.count("error[") == (loss is not None)
    assert loss is None or f"error[{LOSSES[loss].code}]" in err


def test_what_one_vm_writes_twice_is_its_own(tmp_path: Path) -> None:
    keys = "rootfs: {path: /srv/a}\nshares: [{tag: a, path: /srv/a/b, read_only: false}]"
    assert emit("slurm", *plans(tmp_path, [keys])) == 0


def test_places_of_many_plans_are_found_in_linear_time() -> None:
    """As many steps as there are names in the paths, however many plans there are."""
    deep = "/x" * 2000
    places = Places()
    for number in range(2000):
        path = HostPath(f"{deep}/{number}", "read-write", "share", 0, True)
        assert not list(places.taken(f"box{number}", (path,)))
    above = HostPath("/x", "read-write", "share", 0, True)
    ((path, other),) = places.taken("last", (above,))
    assert (path, other.name) == (above, "box0")
