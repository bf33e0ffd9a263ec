"""The stage's parsers under sanitizers, against what is written here of the table of orders."""

from __future__ import annotations

import random
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from places import ROOT
from stages import TABLE, encode, orders

STAGE = ROOT / "launcher" / "stage"
NAMES = list(TABLE["orders"])
STEPS = ["", *TABLE["steps"]]
Call = Callable[[Sequence[Sequence[bytes]]], list[str]]


@pytest.fixture(scope="session")
def call(tmp_path_factory: pytest.TempPathFactory) -> Call:
    """Calls functions of the stage, built with sanitizers; returns a line for each call."""
    program = tmp_path_factory.mktemp("unit") / "unit"
    parts = [STAGE / f"{name}.c" for name in ("files", "orders", "report", "root", "user")]
    options = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wno-all"]
    own = Path(__file__).with_name("unit.c")
    subprocess.run(["cc", *options, f"-I{STAGE}", own, *parts, "-o", program], check=True)

    def run(calls: Sequence[Sequence[bytes]]) -> list[str]:
        data = b"".join(struct.pack("I", len(part)) + part for row in calls for part in row)
        done = subprocess.run([program], input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().splitlines()

    return run


# What a file of orders means, told by the table.


def _number(text: bytes, most: int) -> int | None:
    if not text.isdigit() or (text[:1] == b"0" and len(text) > 1) or int(text) > most:
        return None
    return int(text)


def meant(data: bytes) -> str:
    """Return what unit.c prints for the orders DATA."""
    if not data or data[-1]:
        return "wrong 0"
    strings = data[:-1].split(b"\0")
    at, index, rank, seen, out = 0, 0, -1, set(), ""
    while at < len(strings):
        name = strings[at].decode("latin-1")
        row = TABLE["orders"].get(name)
        if row is None:
            return f"wrong {index}"
        at += 1
        shown = ""
        for param in row["params"]:
            if at >= len(strings):
                return f"wrong {index}"
            text, kind = strings[at], param["kind"]
            at += 1
            number, items = 0, [text]
            if param.get("nullable") and not text:
                pass
            elif kind == "int":
                found = _number(text, param["max"])
                if found is None or found < param["min"]:
                    return f"wrong {index}"
                number = found
            elif kind in ("text", "ipv4"):
                fits = param["min_bytes"] <= len(text) <= param["max_bytes"]
                if not fits or not text.startswith(param.get("prefix", "").encode()):
                    return f"wrong {index}"
            elif kind == "enum":
                words = list(TABLE["enums"][param["enum"]])
                if text.decode("latin-1") not in words:
                    return f"wrong {index}"
                number = words.index(text.decode())
            else:
                found = _number(text, param["max_items"])
                if found is None or at + found > len(strings):
                    return f"wrong {index}"
                items = strings[at : at + found]
                at += found
                number = found
                if kind == "env" and not all(item.find(b"=") > 0 for item in items):
                    return f"wrong {index}"
            shown += f" {number}" + "".join(f" {item.hex()}." for item in items)
        most = max(len(each["params"]) for each in TABLE["orders"].values())
        out += f"{NAMES.index(name)}{shown}{' 0' * (most - len(row['params']))};"
        if row["rank"] < rank or (row["rank"] == rank and row["repeat"] != "many"):
            return f"wrong {index}"
        rank = row["rank"]
        seen.add(name)
        index += 1
    required = {name for name, row in TABLE["orders"].items() if row.get("required")}
    if required - seen or not seen & {"root_share", "root_disk"}:
        return f"wrong {index}"
    return out


FULL = encode(
    orders(
        ("mount_tmpfs", {"path": "/a", "size_mib": None, "mode": "1777"}),
        ("mount_tmpfs", {"path": "/b", "size_mib": 3, "mode": "000"}),
        ("mount_share", {"path": "/c", "tag": "c", "access": "read"}),
        (
            "mount_disk",
            {
                "path": "/d",
                "device": "/dev/vdb",
                "fstype": "ext4",
                "options": None,
                "access": "read-write",
            },
        ),
        ("hostname", {"name": "box"}),
        ("host", {"name": "db", "address": "10.0.0.1"}),
        ("nameserver", {"address": "1.1.1.1"}),
        ("user", {"user": "app:staff"}),
        ("before", {"script": "echo\nhi"}),
        argv=["sh", "-c", 'a"b  c', "", "grüß"],
        env={"PATH": "/bin", "A": "", "B": "=\n"},
    )
)


def _mutants(seed: int, count: int) -> list[bytes]:
    made = random.Random(seed)
    pool = FULL[:-1].split(b"\0")
    odd = [b"", b"0", b"00", b"-1", b"1 ", b"4294967295", b"99999999999999999999", b"4096", b"4097"]
    odd += [b"=", b"A=", b"x" * 4096, b"/dev/", b"/dev/x", b"/" * 4095, b"/" * 4096, b"y" * 70000]
    odd += [name.encode() for name in NAMES] + [b"read", b"read-write", b"writ", b"\xff", b"read\n"]
    found = []
    for _ in range(count):
        strings = list(pool)
        for _ in range(made.choice((1, 1, 1, 2, 4))):
            at = made.randrange(len(strings))
            match made.randrange(6):
                case 0:
                    strings[at : at + 1] = [] if len(strings) > 1 else [b""]
                case 1:
                    strings[at] = made.choice(odd)
                case 2:
                    strings.insert(at, made.choice(odd))
                case 3:
                    strings[at] = made.choice(strings)
                case 4:
                    strings = strings[: at + 1]
                case _:
                    other = made.randrange(len(strings))
                    strings[at], strings[other] = strings[other], strings[at]
        data = b"\0".join(strings) + b"\0"
        if made.random() < 0.2:
            flipped = bytearray(data)
            for _ in range(made.randrange(1, 4)):
                flipped[made.randrange(len(flipped))] = made.randrange(256)
            data = bytes(flipped)
        if made.random() < 0.1:
            data = data[: made.randrange(len(data) + 1)]
        found.append(data)
    return found


def test_orders_as_the_table_has_them(call: Call) -> None:
    assert meant(FULL).count(";") == 14
    assert call([[b"orders", FULL]]) == [meant(FULL)]


@pytest.mark.parametrize("seed", range(4))
def test_changed_orders(call: Call, seed: int) -> None:
    data = [*_mutants(seed, 1500), b"", b"\0", b"\0" * 9, b"report", b"report\0"]
    said = call([[b"orders", each] for each in data])
    assert said == [meant(each) for each in data]
    assert sum(not line.startswith("wrong") for line in said) > 20


def test_each_bound_of_each_value(call: Call) -> None:
    """Least and most of every value, and one beyond."""
    at, data = 0, []
    strings = FULL[:-1].split(b"\0")
    while at < len(strings):
        row = TABLE["orders"][strings[at].decode()]
        at += 1
        for param in row["params"]:
            tried: list[bytes] = []
            if param["kind"] == "int":
                tried = [str(param[k] + d).encode() for k in ("min", "max") for d in (-1, 0, 1)]
            elif param["kind"] == "text":
                head = param.get("prefix", "").encode()
                sizes = [param[k] + d for k in ("min_bytes", "max_bytes") for d in (-1, 0, 1)]
                tried = [(head + b"x" * size)[: max(size, 0)] for size in sizes]
                tried += [b"x" * max(sizes[1], 1)]
            for text in tried:
                data.append(b"\0".join([*strings[:at], text, *strings[at + 1 :]]) + b"\0")
            many = int(strings[at]) if param["kind"] in ("texts", "env") else 0
            at += 1 + many
    said = call([[b"orders", each] for each in data])
    assert said == [meant(each) for each in data]


@pytest.mark.parametrize(
    ("options", "flags", "rest"),
    [
        ("", 0, ""),
        ("ro", 1, ""),
        ("ro,rw", 0, ""),
        ("rw,ro,noload", 1, "noload"),
        ("lowerdir=/a:/b,nodev", 4, "lowerdir=/a:/b"),
        (",,noload,,data=journal,", 0, "noload,data=journal"),
        ("noexec,nosuid,sync,noatime", 8 | 2 | 16 | 1024, ""),
        ("read-only,ro=1,r", 0, "read-only,ro=1,r"),
        ("x" * 255, 0, "x" * 255),
        ("defaults,x", 0, "x"),
    ],
)
def test_mount_options(call: Call, options: str, flags: int, rest: str) -> None:
    assert call([[b"options", options.encode()]]) == [f"{flags} {rest.encode().hex()}."]


PASSWD = (
    b"root:x:0:0:root:/root:/bin/sh\n"
    b"\n"
    b"# comment\n"
    b"short:x:7\n"
    b"odd:x:0x10:3::/odd:\n"
    b"big:x:4294967295:3::/big:\n"
    b"app:x:1000:1001::/home/app:/bin/sh\n"
    b"app:x:1002:1002::/second:/bin/sh\n"
    b"123:x:55:55::/named-like-a-number:\n"
    b"homeless:x:1003:1003:::\n"
    b"long:x:2000:2000:" + b"g" * 100_000 + b":/home/long:/bin/sh:more:fields\n"
    b"last:x:1004:1004::/home/last"
)
GROUP = (
    b"root:x:0:\nwheel:x:10:app,other\nbad:x:x:app\nstaff:x:50:apple,app\nempty:x:51:,,\n"
    b"crowd:x:60:" + b"u," * 100_000 + b"last\nnone:x\nend:x:70:app"
)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("0", (0, 0, "/root", [])),
        ("root", (0, 0, "/root", [])),
        ("app", (1000, 1001, "/home/app", [10, 50, 70])),
        ("1000", (1000, 1001, "/home/app", [10, 50, 70])),
        ("1000:5", (1000, 5, "/home/app", [])),
        ("1000:wheel", (1000, 10, "/home/app", [])),
        ("app:root", (1000, 0, "/home/app", [])),
        ("123", (123, 0, "/", [])),
        ("55", (55, 55, "/named-like-a-number", [])),
        ("77:end", (77, 70, "/", [])),
        ("77:4294967294", (77, 4294967294, "/", [])),
        ("homeless", (1003, 1003, "/", [])),
        ("long", (2000, 2000, "/home/long", [])),
        ("last", (1004, 1004, "/home/last", [60])),
        ("nobody", "user"),
        ("short", "user"),
        ("odd", "user"),
        ("big", "user"),
        ("", "user"),
        (":0", "user"),
        ("-1", "user"),
        ("4294967295", "user"),
        ("# comment", "user"),
        ("app:", "group"),
        ("app:nothing", "group"),
        ("app:none", "group"),
        ("app:bad", "group"),
        ("app:1:2", "group"),
    ],
)
def test_users(call: Call, spec: str, wanted: str | tuple[int, int, str, list[int]]) -> None:
    (said,) = call([[b"user", PASSWD, GROUP, spec.encode()]])
    if isinstance(wanted, str):
        assert said == str(STEPS.index(wanted))
    else:
        uid, gid, home, groups = wanted
        assert said == " ".join([f"{uid} {gid} {home.encode().hex()}.", *map(str, groups)])


def test_files_of_users_may_be_anything(call: Call) -> None:
    made = random.Random(1)
    calls = []
    for _ in range(2000):
        files = []
        for text in (PASSWD[:300] + PASSWD[-300:], GROUP[:200] + GROUP[-40:]):
            changed = bytearray(text)
            for _ in range(made.randrange(30)):
                changed[made.randrange(len(changed))] = made.choice(b":\n,0a\0\xff")
            files.append(bytes(changed[: made.randrange(len(changed) + 1)]))
        calls.append([b"user", *files, made.choice([b"app", b"0", b"app:wheel", b"1000", b":"])])
    assert len(call(calls)) == 2000


def test_as_many_groups_as_linux_takes(call: Call) -> None:
    group = b"".join(b"g%d:x:%d:app\n" % (i, i) for i in range(70_000))
    (said,) = call([[b"user", PASSWD, group, b"app"]])
    assert said.split()[3:] == [str(i) for i in range(65_536)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("signal 15", "1 15"),
        ("signal 64", "1 64"),
        ("signal 65", "0"),
        ("signal 015", "0"),
        ("signal -9", "0"),
        ("signal 9 ", "0"),
        ("signal", "0"),
        ("signal ", "0"),
        ("size 50 120", "2 50 120"),
        ("size 65535 65535", "2 65535 65535"),
        ("size 65536 1", "0"),
        ("size 50", "0"),
        ("size 50 ", "0"),
        ("size 50 120 1", "0"),
        ("resize 1 2", "0"),
        ("", "0"),
    ],
)
def test_commands_of_the_launcher(call: Call, text: str, wanted: str) -> None:
    assert call([[b"command", text.encode()]]) == [wanted]


@pytest.mark.parametrize(
    ("launcher", "wanted"),
    [("closed", "at once"), ("unread", "at once"), ("fails", "at once"), ("open", "waited")],
)
def test_the_end_waits_for_a_launcher_that_is_there(call: Call, launcher: str, wanted: str) -> None:
    """A connection that vsock has reset is an error of recv(2), not an end of file."""
    assert call([[b"finish", launcher.encode()]]) == [wanted]


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        (("started", -1, "", -1), "started\n"),
        (("exit", -1, "", 0), "exit 0\n"),
        (("failed", 0, "orders", 22), "failed 0 orders 22\n"),
        *(
            (("failed", 2**31 - 1, step, 2**31 - 1), f"failed 2147483647 {step} 2147483647\n")
            for step in TABLE["steps"]
        ),
    ],
)
def test_lines_for_the_launcher(call: Call, parts: tuple[str, int, str, int], wanted: str) -> None:
    assert call([[b"line", *(str(part).encode() for part in parts)]]) == [
        f" {wanted.encode().hex()}."
    ]
