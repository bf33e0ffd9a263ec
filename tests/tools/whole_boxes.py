"""Boxes that say each key of a box between them, and what the schema says of the keys."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Path
from krunc_compiler.pipeline.compiling import compile_box
from krunc_compiler.plan.plan import Plan
from krunc_compiler.values.inputs import Inputs
from locks import APP, ARCH, image, launchable, text

# The box says each of its keys.
DIRECTORY = """\
krunc: 1
name: one
target: 1
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
DISK = DIRECTORY.replace(
    "rootfs: {path: ./rootfs}",
    "rootfs: {disk: a, device: /dev/vda1, fstype: btrfs, options: noatime}",
).replace(
    '{mode: tsi, ports: ["1:1"]}',
    "{mode: NAME, socket: runtime:s, mac: '02:00:00:00:00:01', features: [csum]EXTRA}",
)
STREAM = DISK.replace("NAME", "unixstream").replace("EXTRA", "")
DATAGRAM = DISK.replace("NAME", "unixgram").replace("EXTRA", ", vfkit: true")
PASST = DIRECTORY.replace(
    '{mode: tsi, ports: ["1:1"]}',
    '{mode: passt, ports: ["1:1", "192.0.2.1:2:2/udp"], host_loopback: true, program: /opt/passt, '
    "mac: '02:00:00:00:00:01', features: [csum], dhcp: true}",
)

STORAGE = """\
krunc: 1
name: one
machine: {nested: true, split_irqchip: true, oem_strings: [a, b], tee: ./tee.json}
boot:
  kernel: {path: ./vmlinux, format: elf, initramfs: ./initrd, cmdline: console=hvc0}
  init: ./init
rootfs:
  path: ./rootfs
  read_only: true
  dax: 256MiB
  overlay:
    - {path: /d, directory: true, mode: "0700"}
    - {path: /d/f, text: x, mode: "0600", once: true}
    - {path: /g, file: ./g}
    - {path: /h, base64: aGk=}
shares:
  - {tag: a, path: ./a, read_only: true, dax: 64MiB, overlay: [{path: s, text: "s"}]}
  - {tag: b, path: ./b, read_only: false, dax: 32MiB}
disks:
  - {id: a, path: a.vmdk, format: vmdk, read_only: true}
  - {id: b, path: b.img, format: raw, direct_io: true, sync: relaxed}
network: {mode: tsi, inet: true, unix: true}
entrypoint: {script: "echo 'a'", args: [b], env: {A: x}, workdir: /w}
log: {level: info, target: {file: runtime:krun.log}, style: never, environment: false}
run_as: {uid: 1000, gid: 1001}
stop: {on_sigterm: interrupt, grace: 5}
confine: required
labels: {owner: me}
waivers: [{rule: allow.writes, reason: why}]
"""
DEVICES = """\
krunc: 1
name: one
boot: {firmware: ./fw}
rootfs: {path: ./rootfs}
network:
  mode: devices
  devices:
    - {mode: unixstream, socket: runtime:s, mac: "02:00:00:00:00:01", features: [csum], dhcp: true}
    - {mode: unixgram, socket: runtime:g, mac: "02:00:00:00:00:02", features: [], vfkit: true, dhcp: true}
    - {mode: tap, device: lo, mac: "02:00:00:00:00:03", features: [], dhcp: true}
vhost_user: [{type: rng, socket: runtime:v, name: noise, queue_sizes: [64, 32]}]
gpu: {flags: [venus], window: 1GiB}
displays:
  - {width: 640, height: 480, dpi: 96, size_mm: [160, 120], refresh_rate: 60}
  - {width: 320, height: 200, edid: ./edid}
input_devices: [{device: /dev/null}]
entrypoint: {executable: /bin/a}
console:
  devices:
    - {type: virtio, input: stdin, output: stdout, error: stderr}
    - {type: serial, input: none, output: {file: runtime:serial}}
    - {type: multiport, ports: [{name: p, terminal: /dev/null}, {name: q, input: stdin, output: stdout}]}
  kernel: ttyS0
"""
# What needs krunc's own first program in the guest.
STAGED = """\
krunc: 1
name: one
machine: {cpus: 1, memory: 1GiB}
rootfs: {path: ./rootfs, changes: discard, size: 64MiB}
shares: [{tag: a, path: ./a, read_only: true, mount: /a}]
disks:
  - {id: a, path: a.img, format: raw, read_only: true}
  - {id: b, path: b.img, format: raw, mount: /a/b, fstype: xfs, options: noatime}
  - {id: c, path: c.img, format: raw}
  - {id: d, path: d.img, format: raw}
tmpfs: [/tmp, {path: /run, size: 8MiB, mode: "0755"}]
hostname: here
hosts: {db: 10.0.0.1}
dns: [1.1.1.1]
network: {mode: tsi}
entrypoint: {executable: /bin/a, user: app, before: "true"}
timeout: 10m
stop: {on_sigterm: terminate}
"""
STAGED_DISK = STAGED.replace(
    "rootfs: {path: ./rootfs, changes: discard, size: 64MiB}",
    "rootfs: {disk: a, changes: {disk: c}}",
)
READ_ONLY_DISK = STAGED.replace(
    "rootfs: {path: ./rootfs, changes: discard, size: 64MiB}", "rootfs: {disk: a, read_only: true}"
)
# What an image can say, and what a box says beside it.
IMAGE = """\
krunc: 1
name: one
arch: x86_64
machine: {cpus: 1, memory: 1GiB}
rootfs: {image: "app:1.4", read_only: false, changes: discard, size: 64MiB}
network: {mode: none}
entrypoint: {args: [a], env: {A: x}}
"""
IMAGE_KEPT = """\
krunc: 1
name: one
arch: x86_64
rootfs: {image: "oci:layout:1", changes: {disk: c}}
disks:
  - {id: c, path: c.img, format: raw}
  - {id: d, path: d.img, format: raw}
network: {mode: none}
entrypoint: {script: "echo a", user: root, workdir: /w}
"""
IMAGE_ALONE = """\
krunc: 1
name: one
arch: x86_64
rootfs: {image: "app:1.4", read_only: true}
network: {mode: none}
"""
_RUN: dict[str, Any] = {
    "entrypoint": ("app", "-x"), "cmd": ("serve",), "env": ("PATH=/bin", "A-B=c", "A=y"),
    "working_dir": "/srv", "user": APP, "stop_signal": "SIGINT",
}  # fmt: skip
LOCK = text(
    *(
        launchable(image(name, platform, **_RUN))
        for name in ("app:1.4", "app:1.5", "oci:layout:1")
        for platform in ("linux/amd64", "linux/arm64")
    )
)
# What one family alone has.
FAMILY_1 = DIRECTORY + "sound: true\n"
SEMANTICS = DIRECTORY.replace("read_only: false}]", "read_only: false, semantics: simplified}]", 1)
FAMILY_2 = (
    DIRECTORY
    + """\
extensions:
  smolmachines:
    egress: {cidrs: [10.0.0.0/8], hosts: [a.example], resolvers: [1.1.1.1]}
    control_socket: runtime:c
    cpu_template: portable
"""
)
ONLY = {FAMILY_1: "1", SEMANTICS: "1", FAMILY_2: "2"}


def for_here(box: str) -> str:
    """BOX for this machine, without what its architecture does not have."""
    box = box.replace("arch: x86_64", f"arch: {ARCH}")
    if ARCH == "x86_64":
        return box
    for only in ("split_irqchip: true, ", "    cpu_template: portable\n"):
        box = box.replace(only, "")
    return box.replace("format: elf", "format: pe_gz")


WHOLE = {
    "directory": DIRECTORY,
    "stream": STREAM,
    "datagram": DATAGRAM,
    "passt": PASST,
    "storage": STORAGE,
    "devices": DEVICES,
    "staged": STAGED,
    "staged-disk": STAGED_DISK,
    "read-only-disk": READ_ONLY_DISK,
    "image": IMAGE,
    "image-kept": IMAGE_KEPT,
    "image-alone": IMAGE_ALONE,
    "family-1": FAMILY_1,
    "semantics": SEMANTICS,
    "family-2": FAMILY_2,
}


_BESIDE = tempfile.TemporaryDirectory(prefix="krunc-lock-")
# A file beside which the lock of the boxes above lies.
NAME = f"{_BESIDE.name}/box.yaml"
File(_BESIDE.name, "box.lock.json").write_text(LOCK)


def compiled(text: str, target: str) -> Plan:
    """The plan of the box in TEXT."""
    chosen = api.target(target)
    assert chosen is not None
    return compile_box(NAME, text, Inputs(chosen))


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
