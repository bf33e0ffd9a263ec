"""What configurations of other tools need of a VM: for each of ten that people have, a box says all
of it, and its review shows that it does. What no box can say stands beside it."""

from __future__ import annotations

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.review.plan_sheet import plan_sheet
from krunc_compiler.review.summary import review
from krunc_compiler.review.text import to_text as shown
from krunc_compiler.values.inputs import Inputs
from krunc_launcher.plan.verify import verify
from krunc_launcher.text.reading import parse

HEAD = "krunc: 1\nname: one\n"
# A box, the libkrun that it is for, and what its review says. An image by name is a directory here.
NEEDS: dict[str, tuple[str, str, list[str]]] = {
    # A command found by PATH is written with its path; the caller's arguments come by --set.
    "a coding agent": (
        """\
vars: {arguments: --help}
machine: {cpus: 4, memory: 8GiB}
rootfs: {path: ./rootfs, changes: discard}
shares:
  - {tag: work, path: ./work, mount: /workspace, read_only: false}
  - {tag: settings, path: /home/me/.config/tool, mount: /home/me/.config/tool}
network: {mode: passt}
entrypoint: {executable: /usr/bin/tool, args: [--, "{{ arguments }}"], workdir: /workspace}
""",
        "1",
        ["/workspace", "/home/me/.config/tool", "passt", '"--help"', "num_vcpus=4"],
    ),
    "a web application": (
        """\
rootfs: {path: ./node}
shares: [{tag: app, path: ., mount: /app}]
network: {mode: passt, ports: ["127.0.0.1:3000:3000"]}
entrypoint:
  before: |
    npm install
    npm run build
  executable: /usr/local/bin/node
  args: [server.js]
  workdir: /app
  env: {MODE: prod, TOKEN: {from_env: TOKEN}}
""",
        "1",
        ["npm install", "npm run build", "127.0.0.1", "3000", "variable TOKEN", "/app"],
    ),
    # Its engine listens on vsock in the guest: the host's socket is joined to that port.
    "an engine of containers": (
        """\
rootfs: {path: ./engine}
disks: [{id: data, path: ./data.raw, format: raw, mount: /var/lib, fstype: ext4}]
network: {mode: passt}
vsock: [{port: 2375, socket: "runtime:engine.sock", listen: true}]
entrypoint: {before: modprobe overlay, executable: /usr/bin/dockerd}
""",
        "1",
        ["data.raw", "/var/lib", "engine.sock", "2375", "modprobe overlay"],
    ),
    # The GPU is off since none is asked for; /dev/shm is the guest's, and holds half of the memory.
    "a browser": (
        """\
machine: {memory: 4GiB}
rootfs: {path: ./browser}
network: {mode: passt, ports: ["127.0.0.1:9222:9222"]}
timeout: 30m
entrypoint: {executable: /usr/bin/chromium, args: [--headless]}
""",
        "1",
        ["ram_mib=4096", "127.0.0.1", "9222", "no host devices are passed through"],
    ),
    # The firmware decides what starts, and from which disk.
    "podman machine": (
        """\
machine: {cpus: 2, memory: 2GiB}
boot: {firmware: ./efi.fd}
disks:
  - {id: root, path: ./machine.raw, format: raw}
  - {id: seed, path: ./seed.iso, format: raw, read_only: true}
vsock:
  - {port: 1024, socket: ./net.sock, listen: false}
  - {port: 1025, socket: ./ready.sock, listen: false}
  - {port: 1026, socket: ./api.sock, listen: true}
network: {mode: unixgram, socket: ./gvproxy.sock, mac: "5a:94:ef:e4:0c:ee"}
console: {output: ./serial.log}
""",
        "1",
        ["efi.fd", "machine.raw", "seed.iso", "gvproxy.sock", "5a:94:ef:e4:0c:ee", "serial.log", "1026"],
    ),
    "krunvm": (
        """\
machine: {cpus: 2, memory: 2048MiB}
rootfs: {path: ./image}
shares:
  - {tag: src, path: ./src, mount: /src, read_only: false}
  - {tag: cache, path: ./cache, mount: /cache}
network: {mode: tsi, ports: ["8080:80"]}
dns: [1.1.1.1]
entrypoint: {executable: /bin/sh, workdir: /src}
""",
        "1",
        ["/src", "/cache", "8080", "1.1.1.1", "ram_mib=2048"],
    ),
    # Only the fork of the extra connects to names that are told; others have all or nothing. What a
    # program knows, it can print.
    "BoxLite": (
        """\
machine: {memory: 1GiB}
rootfs: {path: ./image}
shares: [{tag: data, path: ./data, mount: /data}]
network: {mode: tsi}
extensions: {smolmachines: {egress: {hosts: [a.example, b.example, c.example],
  resolvers: [1.1.1.1]}}}
entrypoint: {executable: /bin/agent, env: {KEY: {from_env: KEY}}}
""",
        "2",
        ["a.example", "b.example", "c.example", "variable KEY", "/data"],
    ),
    # Ports of a range are written one by one, or made by a matrix.
    "a service of Compose": (
        """\
x-limits: &limits {nofile: 1024, nproc: 64}
rootfs: {path: ./image, read_only: true}
shares:
  - {tag: conf, path: ./conf, mount: /etc/app}
  - {tag: data, path: ./data, mount: /data, read_only: false}
tmpfs: [/tmp]
network: {mode: passt, ports: ["127.0.0.1:8080:8080", "127.0.0.1:8081:8081",
  "127.0.0.1:8082:8082", "127.0.0.1:5353:53/udp"]}
hostname: sandbox
hosts: {db.internal: 10.0.0.5}
limits: *limits
entrypoint: {executable: /entry, args: [--serve], user: "1000:1000",
  env: {A: b, TOKEN: {from_file: ./token}}}
""",
        "1",
        ["8082", "udp", "1000:1000", "sandbox", "db.internal", "/tmp", "token", "/etc/app", "nofile"],
    ),
    # An image for each architecture is a variable; provisioning runs at each start.
    "Lima": (
        """\
vars: {arch: amd64}
rootfs: {disk: root, device: /dev/vda1, changes: host}
disks: [{id: root, path: "./image-{{ arch }}.raw", format: raw}]
machine: {memory: 4GiB}
shares:
  - {tag: home, path: /home/me, mount: /home/me}
  - {tag: tmp, path: /tmp/lima, mount: /tmp/lima, read_only: false}
network: {mode: passt, ports: ["127.0.0.1:8000:80"]}
entrypoint: {user: me, before: apt-get install -y make, script: make serve}
""",
        "1",
        ["image-amd64.raw", "/home/me", "/tmp/lima", "127.0.0.1", "apt-get install", "make serve"],
    ),
    # passt lets out to where the host can connect; its 127.0.0.1 is out of reach.
    "microsandbox": (
        """\
rootfs:
  path: ./image
  changes: discard
shares: [{tag: conf, path: ./conf, mount: /etc/one}]
tmpfs: [{path: /scratch, size: 64MiB}]
hostname: sandbox
timeout: 1h
limits: {nofile: 512, nproc: 64}
network: {mode: passt}
entrypoint: {user: worker, script: ./run, env: {A: b}}
""",
        "1",
        ["worker", "sandbox", "/scratch", "/etc/one", "nproc", "passt"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NEEDS)
def test_a_box_says_all_of_it(name: str) -> None:
    text, target, needs = NEEDS[name]
    chosen = api.target(target)
    assert chosen is not None
    (made,), warned = compile_all("one.yaml", HEAD + text, Inputs(chosen))
    assert not [item for item in warned if not item.finding.warning]
    verify(parse(to_text(made.plan)))
    said = shown(plan_sheet(review(read_plan("one.plan.json", to_text(made.plan)))), 4_000)
    for need in needs:
        assert need in said, need
