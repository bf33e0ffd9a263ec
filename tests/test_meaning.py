"""Nothing that a box says is dropped: each key of the schema changes the plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from krunc_compiler import api
from krunc_compiler.compiling import Inputs, compile_box
from krunc_compiler.findings import Path
from krunc_compiler.parsing import parse
from krunc_compiler.plan import Plan
from krunc_schema import load

# The box says each of its keys; for each key another value that means something else.
FOLDER = """\
krunc: 1
name: one
machine: {cpus: 1, memory: 1GiB}
rootfs: {path: ./rootfs}
shares: [{tag: a, path: ./a, read_only: false}]
disks: [{id: a, path: a.img, format: raw, read_only: false}]
network: {mode: tsi, ports: ["1:1"]}
vsock: [{port: 5000, socket: runtime:a, listen: true}]
agent: {listen: runtime:l, notify: runtime:n}
entrypoint:
  executable: /bin/a
  args: [a, b]
  env: {A: x, B: {from_env: C}}
  workdir: /a
limits: {nproc: "1:2", nofile: 3}
console: {output: runtime:console}
log: {level: warn}
"""
DISK = FOLDER.replace(
    "rootfs: {path: ./rootfs}",
    "rootfs: {disk: a, device: /dev/vda1, fstype: btrfs, options: noatime}",
).replace(
    '{mode: tsi, ports: ["1:1"]}',
    "{mode: NAME, socket: runtime:s, mac: '02:00:00:00:00:01', features: [csum]EXTRA}",
)
STREAM = DISK.replace("NAME", "unixstream").replace("EXTRA", "")
DATAGRAM = DISK.replace("NAME", "unixgram").replace("EXTRA", ", vfkit: true")

CHANGES: list[tuple[str, str, str]] = [
    (FOLDER, "name: one", "name: two"),
    (FOLDER, "cpus: 1", "cpus: 2"),
    (FOLDER, "1GiB", "2GiB"),
    (FOLDER, "./rootfs", "./other"),
    (FOLDER, "tag: a", "tag: b"),
    (FOLDER, "path: ./a", "path: ./b"),
    (FOLDER, "path: ./a, read_only: false", "path: ./a, read_only: true"),
    (FOLDER, "id: a", "id: b"),
    (FOLDER, "a.img", "b.img"),
    (FOLDER, "format: raw", "format: qcow2"),
    (FOLDER, "raw, read_only: false", "raw, read_only: true"),
    (FOLDER, '["1:1"]', '["1:2"]'),
    (FOLDER, '["1:1"]', "all"),
    (FOLDER, '["1:1"]', "[]"),
    (FOLDER, '{mode: tsi, ports: ["1:1"]}', "{mode: none}"),
    (FOLDER, "port: 5000", "port: 5001"),
    (FOLDER, "runtime:a", "runtime:b"),
    (FOLDER, "listen: true", "listen: false"),
    (FOLDER, "runtime:l", "runtime:m"),
    (FOLDER, "runtime:n}", "runtime:m}"),
    (FOLDER, "/bin/a", "/bin/b"),
    (FOLDER, "[a, b]", "[b, a]"),
    (FOLDER, "A: x", "A: y"),
    (FOLDER, "from_env: C", "from_env: D"),
    (FOLDER, "workdir: /a", "workdir: /b"),
    *(
        (FOLDER, "limits: {", f"limits: {{{name}: 5, ")
        for name in load("krun")["enums"]["rlimit"]
        if name not in ("nproc", "nofile")
    ),
    (FOLDER, '"1:2"', '"2:2"'),
    (FOLDER, "nofile: 3", "nofile: 4"),
    (FOLDER, "runtime:console", "runtime:log"),
    (FOLDER, "level: warn", "level: info"),
    (STREAM, "/dev/vda1", "/dev/vda2"),
    (STREAM, "btrfs", "ext4"),
    (STREAM, "noatime", "nodev"),
    (STREAM, "disk: a, device: /dev/vda1", "disk: a"),
    (STREAM, "runtime:s", "runtime:t"),
    (STREAM, "00:01", "00:02"),
    (STREAM, "[csum]", "[]"),
    (STREAM, "mode: unixstream", "mode: unixgram"),
    (DATAGRAM, "runtime:s", "runtime:t"),
    (DATAGRAM, "00:01", "00:02"),
    (DATAGRAM, "[csum]", "[guest_csum]"),
    (DATAGRAM, "vfkit: true", "vfkit: false"),
]


def compiled(text: str, target: str) -> Plan:
    """The plan of the box in TEXT."""
    chosen = api.target(target)
    assert chosen is not None
    return compile_box("box.yaml", text, Inputs(chosen))


@pytest.mark.parametrize("target", ["1", "2"])
@pytest.mark.parametrize(("box", "old", "new"), CHANGES)
def test_a_changed_key_changes_the_plan(box: str, old: str, new: str, target: str) -> None:
    assert box.count(old) == 1, f"{old!r} does not mark one place"
    before, after = compiled(box, target), compiled(box.replace(old, new), target)
    assert (before.box, before.operations) != (after.box, after.operations)


def keys(schema: dict[str, Any], path: Path, whole: dict[str, Any]) -> Iterator[Path]:
    """The keys that SCHEMA allows, as paths without indexes."""
    if "$ref" in schema:
        yield from keys(whole["$defs"][schema["$ref"].rsplit("/", 1)[1]], path, whole)
    for name, rule in schema.get("properties", {}).items():
        yield (*path, name)
        yield from keys(rule, (*path, name), whole)
    for branch in schema.get("oneOf", ()):
        yield from keys(branch, path, whole)
    if isinstance(schema.get("items"), dict):
        yield from keys(schema["items"], path, whole)


def test_the_changes_cover_the_schema() -> None:
    schema = load("box.schema")
    # vars, extends and matrix act through other keys and have tests of their own, allow acts on
    # warnings; krunc has one value.
    apart = ("vars", "extends", "matrix", "allow", "krunc")
    known = {path for path in keys(schema, (), schema) if path[0] not in apart}
    said = set()
    for box, old, new in CHANGES:
        for text in (box, box.replace(old, new)):
            _, source = parse("box.yaml", text)
            said |= {
                tuple(part for part in path if isinstance(part, str)) for path in source.places
            }
    assert known <= said, sorted(known - said)


@pytest.mark.parametrize("target", ["1", "2"])
@pytest.mark.parametrize("box", [FOLDER, STREAM, DATAGRAM], ids=["folder", "stream", "datagram"])
def test_the_operations_cover_the_box(box: str, target: str) -> None:
    """Each key that a box states stands at, above or below the `from` of an operation."""
    _, source = parse("box.yaml", box)
    origins = {row["from"] for row in compiled(box, target).operations}
    for path, place in source.places.items():
        if not path or path[0] in ("krunc", "name") or place.key is None:
            continue
        from krunc_compiler.findings import dotted

        chain = {dotted(path[:length]) for length in range(1, len(path) + 1)}
        below = any(origin.startswith(dotted(path)) for origin in origins)
        assert chain & origins or below, dotted(path)
