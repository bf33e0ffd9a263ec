"""What an engine cannot give is an error, unless it is allowed with a reason that is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
from krunc_compiler.emit.engine import ENGINES, engine
from krunc_compiler.emit.losses import LOSSES

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
        box.write_text("\n".join([BOX.replace("NAME", f"box{number}"), *lines, key]) + "\n")
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
