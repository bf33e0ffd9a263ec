"""Nothing that a box says is dropped: each key of the schema changes the plan."""

from __future__ import annotations

import pytest
from krunc_compiler.findings.finding import Path, Rejected, dotted
from krunc_compiler.text.parsing import parse
from krunc_schema import load
from whole_boxes import (
    DATAGRAM,
    DEVICES,
    DIRECTORY,
    FAMILY_1,
    FAMILY_2,
    IMAGE,
    IMAGE_ALONE,
    IMAGE_KEPT,
    ONLY,
    PASST,
    READ_ONLY_DISK,
    SEMANTICS,
    STAGED,
    STAGED_DISK,
    STORAGE,
    STREAM,
    WHOLE,
    compiled,
    keys,
)

# For each key of a box another value that means something else.
CHANGES: list[tuple[str, str, str]] = [
    (DIRECTORY, "name: one", "name: two"),
    (DIRECTORY, "cpus: 1", "cpus: 2"),
    (DIRECTORY, "1GiB", "2GiB"),
    (DIRECTORY, "./rootfs", "./other"),
    (DIRECTORY, "tag: a", "tag: b"),
    (DIRECTORY, "path: ./a", "path: ./b"),
    (DIRECTORY, "path: ./a, read_only: false", "path: ./a, read_only: true"),
    (DIRECTORY, "id: a", "id: b"),
    (DIRECTORY, "a.img", "b.img"),
    (DIRECTORY, "format: raw", "format: qcow2"),
    (DIRECTORY, "raw, read_only: false", "raw, read_only: true"),
    (DIRECTORY, '["1:1"]', '["1:2"]'),
    (DIRECTORY, '["1:1"]', "all"),
    (DIRECTORY, '["1:1"]', "[]"),
    (DIRECTORY, '{mode: tsi, ports: ["1:1"]}', "{mode: none}"),
    (DIRECTORY, "port: 5000", "port: 5001"),
    (DIRECTORY, "runtime:a", "runtime:b"),
    (DIRECTORY, "listen: true", "listen: false"),
    (DIRECTORY, "runtime:l", "runtime:m"),
    (DIRECTORY, "runtime:n}", "runtime:m}"),
    (DIRECTORY, "/bin/a", "/bin/b"),
    (DIRECTORY, "[a, b]", "[b, a]"),
    (DIRECTORY, "A: x", "A: y"),
    (DIRECTORY, "from_env: C", "from_env: D"),
    (DIRECTORY, "workdir: /a", "workdir: /b"),
    *(
        (DIRECTORY, "limits: {", f"limits: {{{name}: 5000000, ")
        for name in load("krun")["enums"]["rlimit"]
        if name not in ("nproc", "nofile")
    ),
    (DIRECTORY, '"1:2"', '"2:2"'),
    (DIRECTORY, "nofile: 3", "nofile: 4"),
    (DIRECTORY, "runtime:console", "runtime:log"),
    (DIRECTORY, "level: warn", "level: info"),
    (STREAM, "/dev/vda1", "/dev/vda2"),
    (STREAM, "btrfs", "ext4"),
    (STREAM, "noatime", "nodev"),
    (STREAM, "disk: a, device: /dev/vda1", "disk: a"),
    (STREAM, "runtime:s", "runtime:t"),
    (STREAM, "00:01", "00:02"),
    (STREAM, "[csum]", "[]"),
    (STREAM, "mode: unixstream", "mode: unixgram"),
    (PASST, '"1:1"', '"1:2"'),
    (PASST, '"1:1"', '"0.0.0.0:1:1"'),
    (PASST, '"1:1"', '"1:1/udp"'),
    (PASST, "host_loopback: true", "host_loopback: false"),
    (PASST, "/opt/passt", "./passt"),
    (PASST, "00:01", "00:02"),
    (PASST, "[csum]", "[guest_csum]"),
    (PASST, "dhcp: true", "dhcp: false"),
    (DATAGRAM, "runtime:s", "runtime:t"),
    (DATAGRAM, "00:01", "00:02"),
    (DATAGRAM, "[csum]", "[guest_csum]"),
    (DATAGRAM, "vfkit: true", "vfkit: false"),
    (STORAGE, "nested: true", "nested: false"),
    (STORAGE, "split_irqchip: true", "split_irqchip: false"),
    (STORAGE, "[a, b]", "[b, a]"),
    (STORAGE, "tee.json", "other.json"),
    (STORAGE, "./vmlinux", "./bzImage"),
    (STORAGE, "format: elf", "format: image_gz"),
    (STORAGE, "./initrd", "./other"),
    (STORAGE, "cmdline: console=hvc0", "cmdline: console=ttyS0"),
    (STORAGE, "init: ./init", "init: ./other"),
    (STORAGE, "read_only: true\n", "read_only: false\n"),
    (STORAGE, "256MiB", "128MiB"),
    (STORAGE, '"0700"', '"0711"'),
    (STORAGE, '"0600"', '"0640"'),
    (STORAGE, "once: true", "once: false"),
    (STORAGE, "/d/f, text: x", "/d/f, text: y"),
    (STORAGE, "path: /g,", "path: /k,"),
    (STORAGE, "file: ./g", "file: ./k"),
    (STORAGE, "aGk=", "aGo="),
    (STORAGE, "64MiB", "66MiB"),
    (STORAGE, "path: s,", "path: t,"),
    (STORAGE, "32MiB", "34MiB"),
    (STORAGE, "format: vmdk", "format: raw"),
    (STORAGE, "direct_io: true", "direct_io: false"),
    (STORAGE, "relaxed", "none"),
    (STORAGE, "inet: true", "inet: false"),
    (STORAGE, "unix: true", "unix: false"),
    (STORAGE, "echo 'a'", "echo 'b'"),
    (STORAGE, "[b]", "[c]"),
    (STORAGE, "runtime:krun.log", "runtime:other.log"),
    (STORAGE, "style: never", "style: always"),
    (STORAGE, "environment: false", "environment: true"),
    (STORAGE, "grace: 5", "grace: 6"),
    (STORAGE, "confine: required", "confine: off"),
    (STORAGE, "confine: required", "confine: best-effort"),
    (STORAGE, "owner: me", "owner: you"),
    (STORAGE, "rule: allow.writes", "rule: allow.reads"),
    (STORAGE, "reason: why", "reason: because"),
    (STORAGE, "on_sigterm: interrupt", "on_sigterm: kill"),
    (STORAGE, "uid: 1000", "uid: 1002"),
    (STORAGE, "gid: 1001", "gid: 1002"),
    (DEVICES, "firmware: ./fw", "firmware: ./other"),
    (DEVICES, "runtime:s,", "runtime:t,"),
    (DEVICES, "socket: runtime:s", "fd: 5"),
    (DEVICES, "vfkit: true", "vfkit: false"),
    (DEVICES, "device: lo", "device: tap1"),
    (DEVICES, '00:03", features: [], dhcp: true', '00:04", features: [], dhcp: true'),
    (DEVICES, '00:03", features: []', '00:03", features: [csum]'),
    (DEVICES, '00:01", features: [csum], dhcp: true', '00:01", features: [csum], dhcp: false'),
    (DEVICES, "type: rng", "type: snd"),
    (DEVICES, "runtime:v", "runtime:w"),
    (DEVICES, "name: noise, ", ""),
    (DEVICES, "[64, 32]", "[64]"),
    (DEVICES, "[venus]", "[drm]"),
    (DEVICES, "1GiB", "2GiB"),
    (DEVICES, "width: 640", "width: 641"),
    (DEVICES, "height: 480", "height: 481"),
    (DEVICES, "dpi: 96", "dpi: 97"),
    (DEVICES, "[160, 120]", "[160, 121]"),
    (DEVICES, "refresh_rate: 60", "refresh_rate: 61"),
    (DEVICES, "./edid", "./other"),
    (DEVICES, "{device: /dev/null}", "{device: /dev/zero}"),
    (DEVICES, "{device: /dev/null}", "{fd: 5}"),
    (DEVICES, "error: stderr", "error: {fd: 6}"),
    (DEVICES, "runtime:serial", "runtime:other"),
    (DEVICES, "terminal: /dev/null", "terminal: {fd: 7}"),
    (DEVICES, "name: q", "name: r"),
    (DEVICES, "input: stdin, output: stdout}]", "input: stdin, output: stderr}]"),
    (DEVICES, "kernel: ttyS0", "kernel: hvc0"),
    (STAGED, "changes: discard, size: 64MiB", "changes: host"),
    (STAGED, "size: 64MiB", "size: 65MiB"),
    (STAGED, "mount: /a}", "mount: /c}"),
    (STAGED, "mount: /a/b", "mount: /c"),
    (STAGED, "fstype: xfs", "fstype: ext4"),
    (STAGED, "options: noatime", "options: noexec"),
    (STAGED, "[/tmp, ", "[/temp, "),
    (STAGED, "path: /run", "path: /cache"),
    (STAGED, "8MiB", "9MiB"),
    (STAGED, '"0755"', '"0750"'),
    (STAGED, "hostname: here", "hostname: there"),
    (STAGED, "db: 10.0.0.1", "db: 10.0.0.2"),
    (STAGED, "{db:", "{cache:"),
    (STAGED, "[1.1.1.1]", "[9.9.9.9]"),
    (STAGED, "user: app", "user: 1000"),
    (STAGED, 'before: "true"', 'before: "false"'),
    (STAGED, "10m", "11m"),
    (STAGED, "terminate", "interrupt"),
    (STAGED_DISK, "changes: {disk: c}", "changes: {disk: d}"),
    (STAGED_DISK, "c.img, format: raw", "c.img, format: raw, fstype: btrfs"),
    (READ_ONLY_DISK, "read_only: true}\nshares", "changes: discard}\nshares"),
    (IMAGE, "app:1.4", "app:1.5"),
    (IMAGE, "arch: x86_64", "arch: arm64"),
    (IMAGE, "64MiB", "65MiB"),
    (IMAGE, "args: [a]", "args: []"),
    (IMAGE, "args: [a]", "executable: /bin/b"),
    (IMAGE, "args: [a], ", ""),
    (IMAGE, "A: x", "A: z"),
    (IMAGE_KEPT, "{disk: c}", "{disk: d}"),
    (IMAGE_KEPT, "oci:layout:1", "app:1.4"),
    (IMAGE_KEPT, "user: root, ", ""),
    (IMAGE_KEPT, ", workdir: /w", ""),
    (IMAGE_ALONE, "read_only: true", "read_only: false"),
    (FAMILY_1, "sound: true", "sound: false"),
    (SEMANTICS, "simplified", "complete"),
    (FAMILY_2, "[10.0.0.0/8]", "[10.0.0.0/16]"),
    (FAMILY_2, "[a.example]", "[b.example]"),
    (FAMILY_2, "[1.1.1.1]", "[9.9.9.9]"),
    (FAMILY_2, "runtime:c\n", "runtime:d\n"),
    (FAMILY_2, "    cpu_template: portable\n", ""),
]


@pytest.mark.parametrize("target", ["1", "2"])
@pytest.mark.parametrize(("box", "old", "new"), CHANGES)
def test_a_changed_key_changes_the_plan(box: str, old: str, new: str, target: str) -> None:
    assert box.count(old) == 1, f"{old!r} does not mark one place"
    if ONLY.get(box, target) != target:
        with pytest.raises(Rejected):
            compiled(box, target)
        return
    before, after = compiled(box, target), compiled(box.replace(old, new), target)
    assert before._replace(digest="") != after._replace(digest="")


# One form of what stands at several places, or beside others of its kind, is enough.
SAME = {
    ("shares", "overlay"): ("rootfs", "overlay"),
    ("network", "devices"): ("network",),
}


# What stands in the head of a plan, and what chooses an entry of the lock.
HEAD = ("krunc", "name", "labels", "waivers", "arch", "target")


def one_form(path: Path) -> Path:
    """PATH, moved to where the same form is said by the boxes above."""
    if path[-1] in ("fd", "file") and path[0] in ("console", "log", "input_devices"):
        return ("log", "target", "file")
    for start, other in SAME.items():
        if path[: len(start)] == start and len(path) > len(start):
            return other + path[len(start) :]
    return path


def test_the_changes_cover_the_schema() -> None:
    schema = load("box.schema")
    # vars, extends and matrix act through other keys and have tests of their own, allow acts on
    # warnings; krunc has one value.
    apart = ("vars", "extends", "matrix", "allow", "krunc")
    known = {path for path in keys(schema, (), schema) if path[0] not in apart}
    said: set[Path] = set()
    for box, old, new in CHANGES:
        for text in (box, box.replace(old, new)):
            _, source = parse("box.yaml", text)
            said |= {
                tuple(part for part in path if isinstance(part, str)) for path in source.places
            }
    said |= {one_form(path) for path in said if path}
    missing = {path for path in known if one_form(path) not in said and path not in said}
    assert missing == set(), sorted(missing)


@pytest.mark.parametrize("target", ["1", "2"])
@pytest.mark.parametrize("name", WHOLE)
def test_the_operations_cover_the_box(name: str, target: str) -> None:
    """Each key that a box states stands at, above or below the `from` of an operation."""
    box = WHOLE[name]
    if ONLY.get(box, target) != target:
        with pytest.raises(Rejected):
            compiled(box, target)
        return
    _, source = parse("box.yaml", box)
    origins = {row["from"] for row in compiled(box, target).operations}
    for at, place in source.places.items():
        if not at or at[0] in HEAD or place.key is None:
            continue
        # These say which kind the map is that they stand in.
        path = at[:-1] if at[-1] in ("mode", "type") else at
        chain = {dotted(path[:length]) for length in range(1, len(path) + 1)}
        below = any(origin.startswith(dotted(path)) for origin in origins)
        assert chain & origins or below, dotted(path)
