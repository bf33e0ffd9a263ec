"""Warnings: what raises them, what does not, how a box allows them, and what they change."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.rules import lints
from krunc_compiler.values.inputs import Inputs

MINIMAL = {
    "krunc": "1",
    "name": "good",
    "rootfs": "{path: ./rootfs}",
    "network": "{mode: tsi}",
    "entrypoint": "{executable: /bin/true}",
}


def box(**keys: str) -> str:
    """The text of a box with KEYS."""
    return "".join(f"{key}: {value}\n" for key, value in {**MINIMAL, **keys}.items())


def warned(text: str) -> list[tuple[str, str]]:
    """The codes and keys of the warnings about a box."""
    target = api.target("1")
    assert target is not None
    _, findings = compile_all("box.yaml", text, Inputs(target))
    assert all(item.finding.warning for item in findings)
    return [(item.finding.code, ".".join(map(str, item.finding.path))) for item in findings]


def shares(*paths: str) -> str:
    """Shares of PATHS."""
    return "[" + ", ".join(f"{{tag: t{i}, path: '{path}'}}" for i, path in enumerate(paths)) + "]"


SHARES: list[tuple[tuple[str, ...], list[tuple[str, str]]]] = [
    (("./a", "./b"), []),
    (("./a", "./a/b"), [("KR601", "shares.1.path")]),
    (("./a/b", "a"), [("KR601", "shares.0.path")]),
    (("./a", "./ab"), []),
    (("./a", "a/."), [("KR601", "shares.1.path")]),
    (("./rootfs/x",), [("KR601", "shares.0.path")]),
    ((".",), [("KR601", "rootfs.path")]),
    (("/srv", "/srv/../etc"), []),
    (("../a", "."), [("KR601", "rootfs.path")]),
    (("/",), [("KR602", "shares.0.path")]),
    (("//",), [("KR602", "shares.0.path")]),
    (("/root",), [("KR603", "shares.0.path")]),
    (("/home",), [("KR603", "shares.0.path")]),
    (("/home/ann/",), [("KR603", "shares.0.path")]),
    (("/home/ann/src",), []),
    (("/Users/ann",), [("KR603", "shares.0.path")]),
    (("~/src",), [("KR604", "shares.0.path")]),
    (("$HOME/src",), [("KR604", "shares.0.path")]),
    ((r"C:\Users\ann",), [("KR604", "shares.0.path")]),
    (("d:/src",), [("KR604", "shares.0.path")]),
    (("./d:/src",), []),
    (("ab:/src",), []),
    (("a~",), []),
    (("/var/run",), [("KR605", "shares.0.path")]),
    (("/run",), [("KR605", "shares.0.path")]),
    (("/run/docker.sock",), [("KR605", "shares.0.path")]),
    (("/run/user/1000",), []),
    (("/var/runner",), []),
]


@pytest.mark.parametrize(("paths", "codes"), SHARES)
def test_shares(paths: tuple[str, ...], codes: list[tuple[str, str]]) -> None:
    assert warned(box(shares=shares(*paths))) == codes


def test_many_shares_are_quick() -> None:
    """Every pair of them was compared."""
    paths = [f"./a/{'b/' * (i % 50)}" for i in range(2_000)]
    start = time.process_time()
    with pytest.raises(Rejected):
        warned(box(shares=shares(*paths)))
    assert time.process_time() - start < 4


def agent(*args: str) -> str:
    """A program with arguments."""
    return f"{{executable: /bin/agent, args: [{', '.join(args)}]}}"


def variable(name: str, value: str) -> str:
    """A program with a variable."""
    return f"{{executable: /bin/a, env: {{{name}: {value}}}}}"


OTHERS: list[tuple[dict[str, str], list[tuple[str, str]]]] = [
    ({"rootfs": "{path: /}"}, [("KR602", "rootfs.path")]),
    ({"vsock": "[{port: 5, socket: /run/docker.sock, listen: false}]"}, [("KR605", "vsock.0.socket")]),
    ({"vsock": "[{port: 5, socket: /run/docker.sock, listen: true}]"}, []),
    ({"disks": r"[{id: a, path: 'C:\a.img', format: raw}]"}, [("KR604", "disks.0.path")]),
    ({"disks": "[{id: a, path: ~/a.img, format: raw}]"}, [("KR604", "disks.0.path")]),
    ({"console": "{output: ~/log}"}, [("KR604", "console.output")]),
    ({"console": "{output: ~ann/log}"}, [("KR604", "console.output")]),
    ({"vsock": "[{port: 5, socket: $HOME/a, listen: false}]"}, [("KR604", "vsock.0.socket")]),
    ({"boot": "{kernel: {path: ~/k, format: elf}}"}, [("KR604", "boot.kernel.path")]),
    ({"network": "{mode: unixgram, socket: ~/n}"}, [("KR604", "network.socket")]),
    ({"entrypoint": variable("A", "{from_file: ~/token}")}, [("KR604", "entrypoint.env.A.from_file")]),
    ({"agent": "{listen: 'runtime:a'}"}, [("KR606", "agent.listen")]),
    ({"agent": "{listen: 'runtime:a'}", "entrypoint": agent("--listen", "unix:///a")}, []),
    ({"agent": "{listen: 'runtime:a'}", "entrypoint": agent("-p", "'2695'")}, []),
    ({"agent": "{notify: 'runtime:a'}", "entrypoint": agent("--listen", "unix:///a")}, [("KR606", "agent.notify")]),
    ({"entrypoint": variable("DB_PASSWORD", "hunter2")}, [("KR610", "entrypoint.env.DB_PASSWORD")]),
    ({"entrypoint": variable("api_key", "x")}, [("KR610", "entrypoint.env.api_key")]),
    ({"entrypoint": variable("A", "ghp_" + "a" * 36)}, [("KR610", "entrypoint.env.A")]),
    ({"entrypoint": variable("A", "'-----BEGIN RSA PRIVATE KEY-----'")}, [("KR610", "entrypoint.env.A")]),
    ({"entrypoint": variable("TOKEN", "{from_env: TOKEN}")}, []),
    ({"entrypoint": variable("TOKEN", "''")}, []),
    ({"entrypoint": variable("TOKEN", "/run/secrets/token")}, []),
    ({"entrypoint": variable("TOKEN_URL", "https://a.example")}, []),
    ({"entrypoint": variable("TOKENS", "'3'")}, []),
    ({"entrypoint": variable("U", "postgres://me:hunter2@db/x")}, [("KR610", "entrypoint.env.U")]),
    ({"entrypoint": agent("'https://:p@host'")}, [("KR610", "entrypoint.args.0")]),
    ({"entrypoint": agent("-u", "'--proxy=http://me:x@h:1/'")}, [("KR610", "entrypoint.args.1")]),
    ({"entrypoint": "{script: 'git clone https://me:tok@host/a'}"}, [("KR610", "entrypoint.script")]),
    ({"entrypoint": agent("https://ghp_" + "a" * 36 + "@github.com/a")}, [("KR610", "entrypoint.args.0")]),
    ({"entrypoint": agent("https://ghp_someone@github.com/a")}, []),
    ({"labels": "{a: 'https://me:tok@host/a'}"}, [("KR610", "labels.a")]),
    ({"waivers": "[{rule: a, reason: 'see ftp://me:tok@host'}]"}, [("KR610", "waivers.0.reason")]),
    ({"rootfs": "{path: ./r, overlay: [{path: /a, text: 'x: s3://me:tok@host'}]}"}, [("KR610", "rootfs.overlay.0.text")]),
    ({"x-a": "'https://me:tok@host/a'"}, []),
    ({"vars": "{u: {type: string, default: 'https://me:tok@host/a'}}"}, []),
    ({"entrypoint": "{script: 'git clone https://me:$TOKEN@host/a'}"}, []),
    ({"entrypoint": "{script: 'git clone https://me:${TOKEN}@host/a'}"}, []),
    ({"entrypoint": variable("U", "https://me@host:80/a:b@c")}, []),
    ({"entrypoint": variable("U", "https://host:8080/@x")}, []),
    ({"entrypoint": variable("U", "ssh://git@host/a")}, []),
    ({"entrypoint": "{executable: /bin/httpd -f}"}, [("KR618", "entrypoint.executable")]),
    ({"limits": "{nproc: 100}"}, [("KR617", "limits.nproc")]),
    ({"limits": "{nofile: 9, memlock: '1:2', nice: 3, rtprio: 4, msgqueue: 5}"}, [("KR617", f"limits.{name}") for name in ("memlock", "nice", "rtprio", "msgqueue")]),
    ({"limits": "{nofile: 9, cpu: 1, as: 100000000}"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "codes"), OTHERS)
def test_other_warnings(keys: dict[str, str], codes: list[tuple[str, str]]) -> None:
    assert warned(box(**keys)) == codes


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_warning_changes_no_exit_status_unless_asked(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("box.yaml").write_text(box(shares=shares("/")))
    assert main(["compile", "box.yaml", "--warnings-as-errors"]) == 1
    assert not list(here.glob("*.json"))
    assert main(["compile", "box.yaml"]) == 0
    assert "box.yaml:6:26: warning[KR602]" in capsys.readouterr().err
    assert main(["compile", "--check", "box.yaml"]) == 0
    assert main(["compile", "--check", "box.yaml", "--warnings-as-errors"]) == 1


def test_what_is_allowed_is_silent_and_changes_no_plan(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("box.yaml").write_text(box(shares=shares("/")))
    main(["compile", "box.yaml"])
    Path("box.yaml").write_text(
        box(shares=shares("/"), allow="[{code: KR602, reason: the backup reads all}]")
    )
    capsys.readouterr()
    assert main(["compile", "--check", "box.yaml", "--warnings-as-errors"]) == 0
    assert capsys.readouterr() == ("", "")


ALLOWS = {
    "no reason": ("[{code: KR602}]", "error[KR102]: allow[0]: the key 'reason' is missing"),
    "an empty reason": (
        "[{code: KR602, reason: ''}]",
        "error[KR104]: allow[0].reason: this is empty",
    ),
    "an error": (
        "[{code: KR201, reason: x}]",
        "error[KR608]: allow[0].code: KR201 is not a warning",
    ),
    "nothing": (
        "[{code: KR999, reason: x}]",
        "error[KR608]: allow[0].code: KR999 is not a warning",
    ),
    "unused": (
        "[{code: KR603, reason: x}]",
        "warning[KR609]: allow[0].code: nothing here raises KR603",
    ),
    "no code": (
        "[{code: root, reason: x}]",
        'error[KR106]: allow[0].code: "root" has an invalid format',
    ),
}


@pytest.mark.parametrize(("allow", "message"), ALLOWS.values(), ids=ALLOWS)
def test_allow_is_checked(
    allow: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("box.yaml").write_text(box(allow=allow))
    main(["compile", "box.yaml"])
    assert message in capsys.readouterr().err


PAIRS: dict[str, tuple[dict[str, str], dict[str, str], list[str]]] = {
    "nothing in common": ({}, {}, []),
    "one host port": ({"network": "{mode: tsi, ports: ['1:1']}"}, {"network": "{mode: tsi, ports: ['1:2']}"}, ["KR611"]),
    "two host ports": ({"network": "{mode: tsi, ports: ['1:1']}"}, {"network": "{mode: tsi, ports: ['2:1']}"}, []),
    "a disk": ({"disks": "[{id: a, path: a, format: raw}]"}, {"disks": "[{id: b, path: ./a, format: raw}]"}, ["KR612"]),
    "a disk, one reads": ({"disks": "[{id: a, path: a, format: raw, read_only: true}]"}, {"disks": "[{id: b, path: ./a, format: raw}]"}, ["KR612"]),
    "a disk that both read": ({"disks": "[{id: a, path: a, format: raw, read_only: true}]"}, {"disks": "[{id: b, path: ./a, format: raw, read_only: true}]"}, []),
    "a socket": ({"vsock": "[{port: 5, socket: /s, listen: true}]"}, {"agent": "{listen: /s}", "entrypoint": agent("--listen", "unix:///s")}, ["KR613"]),
    "a socket of the run": ({"vsock": "[{port: 5, socket: 'runtime:s', listen: true}]"}, {"vsock": "[{port: 5, socket: 'runtime:s', listen: true}]"}, []),
    "a served socket": ({"vsock": "[{port: 5, socket: /s, listen: false}]"}, {"vsock": "[{port: 5, socket: /s, listen: false}]"}, []),
    "a name": ({"name": "same"}, {"name": "same"}, ["KR614"]),
    "allowed in one": ({"name": "same", "allow": "[{code: KR614, reason: one or the other}]"}, {"name": "same"}, []),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other", "codes"), PAIRS.values(), ids=PAIRS)
def test_boxes_of_one_run(
    one: dict[str, str],
    other: dict[str, str],
    codes: list[str],
    here: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("a.yaml").write_text(box(**{"name": "a", **one}))
    Path("b.yaml").write_text(box(**{"name": "b", **other}))
    assert main(["compile", "."]) == 0
    said = capsys.readouterr().err
    assert [line.split("[")[1][:5] for line in said.splitlines() if ": warning[" in line] == codes
    assert said.count("of a.yaml too") == len(codes)


def test_this_host() -> None:
    target = api.target("1")
    assert target is not None
    (one,), _ = compile_all("box.yaml", box(machine="{cpus: 3, memory: 2GiB}"), Inputs(target))
    found = lints.check_host(one.box, 2, 2047)
    assert [(item.path, item.message) for item in found] == [
        (("machine", "cpus"), "3 vCPUs; this host has 2 CPUs"),
        (("machine", "memory"), "2048 MiB of memory; this host has 2047 MiB"),
    ]
    assert lints.check_host(one.box, 3, 2048) == []


@pytest.mark.parametrize(
    ("executable", "said"),
    [
        ("/bin/app --x", 'write executable: /bin/app, and args: ["--x"]'),
        ("/bin/sh -c 'a b'", 'write executable: /bin/sh, and args: ["-c", "a b"]'),
        ("/bin/a 'b", 'write executable: /bin/a, and args: ["\'b"]'),
        ("/bin/a" + " b" * 40, 'args: ["b", "b", "b", "b", "b", "b", "b", "..."]'),
    ],
)
def test_a_command_line_is_split_in_the_way_out(executable: str, said: str) -> None:
    text = box(entrypoint=json.dumps({"executable": executable}))
    _, findings = compile_all("box.yaml", text, Inputs(api.target("1")))
    (found,) = [item.finding for item in findings if item.finding.code == "KR618"]
    assert said in found.hint


def test_urls_are_looked_for_quickly() -> None:
    start = time.process_time()
    for text in ("a" * 60_000 + "://", "://" * 20_000, "a://" + "b:" * 30_000, "a://b:c" * 9_000):
        warned(box(entrypoint=json.dumps({"script": text})))
    assert time.process_time() - start < 4


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ("console=hvc0", True),
        ("console=hvc0 nopanic=1 oops=panic init=/panic=1", True),
        ("panic", True),
        ("panic_print=0", True),
        ("console=hvc0 panic=-1", False),
        ("panic=5 console=hvc0", False),
        ("a panic=0", False),
        ('a \\"panic=1\\"', False),
        (None, False),
    ],
)
def test_a_command_line_with_which_a_panic_never_ends(line: str | None, is_told: bool) -> None:
    cmdline = "" if line is None else f', cmdline: "{line}"'
    kernel = f"{{kernel: {{path: ./vmlinux, format: elf{cmdline}}}}}"
    where = [("KR897", "boot.kernel.cmdline")] if is_told else []
    assert warned(box(boot=kernel)) == where


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"hosts": "{localhost: 10.0.0.5}"}, [("KR895", "hosts.localhost")]),
        ({"hosts": "{LocalHost: 10.0.0.5}"}, [("KR895", "hosts.LocalHost")]),
        ({"hosts": "{localhost: 'fd00::1'}"}, [("KR895", "hosts.localhost")]),
        ({"hosts": "{localhost: '::11'}"}, [("KR895", "hosts.localhost")]),
        ({"hosts": "{localhost: 127.0.0.1}"}, []),
        ({"hosts": "{localhost: '::1'}"}, []),
        ({"hosts": "{localhost: 127.0.1.1}"}, []),
        ({"hosts": "{local: 10.0.0.5, localhost.a: 10.0.0.5}"}, []),
        # The host name's own line gives way to that of the box (tests/stage/test_native.py).
        ({"hosts": "{a: 10.0.0.5}", "hostname": "a"}, []),
        ({"hosts": "{a: 10.0.0.5}", "hostname": "b"}, []),
        ({"hosts": "{a: 10.0.0.5}"}, []),
        ({"dns": "[10.0.0.1, 10.0.0.2, 10.0.0.3]"}, []),
        ({"dns": "[10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4]"}, [("KR896", "dns.3")]),
        ({"dns": "['::1', '::2', '::3', '::4', '::5']"}, [("KR896", "dns.3")]),
    ],
)
def test_names_that_no_program_takes(keys: dict[str, str], found: list[tuple[str, str]]) -> None:
    assert warned(box(**keys)) == found
