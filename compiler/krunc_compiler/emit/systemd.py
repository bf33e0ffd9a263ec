"""systemd: a template unit with all that holds for every VM, which denies what it can, and for each
plan a drop-in, which opens what that plan needs.

So the hardening is reviewed once, a drop-in says what is special about its VM in a page, thousands
of them stay small, and what an administrator adds (systemctl edit) survives the next krunc emit.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from krunc_compiler.emit.engine import PLANS, REFUSED, STORE, Engine, Piece, allowed, head
from krunc_compiler.emit.host_paths import HostPath
from krunc_compiler.emit.needs import Needs
from krunc_compiler.emit.texts import systemd_path, systemd_word
from krunc_compiler.files.hostpath import LAUNCH, RUNTIME, normal
from krunc_compiler.files.hostpath import STORE as IN_STORE

_TEMPLATE = "krunc@.service"
# Behind it an administrator's own, such as the override.conf of systemctl edit.
_DROP_IN = "10-plan.conf"
# The launcher waits for two seconds more than the grace time (docs/launch.md), and then it tells.
_AFTER_GRACE_S = 10
# Directories that the template hides from the VM's processes.
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
# What passt is thought to make of its own namespaces, beside @system-service: not yet tried.
_PASST_CALLS = "unshare pivot_root mount umount2 setns"

_BASE = f"""\
[Unit]
Description=krunc microVM %i
Documentation=https://libkrun.com

[Service]
Type=exec
# KRUNC_DIGEST is in the drop-in of each plan: without one the launcher ends with status 2.
Environment=KRUNC_BASE=/ KRUNC_STORE={STORE}
ExecStart=/usr/bin/python3 -IS /usr/bin/krunc-launch \\
    --require-digest ${{KRUNC_DIGEST}} --base ${{KRUNC_BASE}} \\
    --runtime-dir %t/krunc/%i --exit-record %S/krunc/%i/exit.json \\
    {PLANS}/%i.plan.json
RuntimeDirectory=krunc/%i
RuntimeDirectoryMode=0700
StateDirectory=krunc/%i
StateDirectoryMode=0700
UMask=0077
StandardInput=null

# The files of a VM have owners, so this is a user that stays: see krunc.sysusers.conf.
User=krunc
SupplementaryGroups=kvm

# SIGTERM is for the launcher, which asks the guest's program to stop.
KillMode=mixed
KillSignal=SIGTERM
# The guest's program ended because it was asked to.
SuccessExitStatus=130 143
Restart=on-failure
RestartSec=1
# {REFUSED}: the plan was refused, or this host cannot run it. 2: there is no drop-in.
RestartPreventExitStatus={REFUSED} 2

LimitCORE=0
DevicePolicy=closed
DeviceAllow=/dev/kvm rw

# What no VM needs. A drop-in takes back what its plan does.
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=tmpfs
PrivateTmp=yes
PrivateMounts=yes
PrivateNetwork=yes
IPAddressDeny=any
RestrictAddressFamilies=AF_UNIX
ProtectProc=invisible
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
KeyringMode=private
LockPersonality=yes
RemoveIPC=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
# The launcher confines the VM's process by the last four, which are not part of the first group.
SystemCallFilter=@system-service \\
    landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp

[Install]
WantedBy=multi-user.target
"""
_USER = """\
u krunc - "krunc microVMs" /var/lib/krunc
m krunc kvm
"""


def object_name(box: str) -> str:
    """Return the unit of the box called BOX. Whatever a box can be called, an instance can."""
    return f"krunc@{box}.service"


def part(needs: Needs) -> str:
    """Return the drop-in of one plan. Raises Unspeakable for a path that no unit can name."""
    lines = allowed(needs)
    if needs.opens_network:
        lines += ["[Unit]", "Wants=network-online.target", "After=network-online.target", ""]
    lines += ["[Service]", f"Environment={systemd_word(f'KRUNC_DIGEST={needs.digest}')}"]
    if needs.base != "/":
        lines.append(f"Environment={systemd_word(f'KRUNC_BASE={needs.base}')}")
    sections = (_room, _stopping, _files, _devices, _network, _user, _secrets)
    return "\n".join([*lines, *(line for section in sections for line in section(needs))]) + "\n"


def whole(parts: Iterable[tuple[Needs, str]]) -> Iterator[Piece]:
    """Yield the template, the user that it names, and the drop-in of each plan."""
    first = head(ENGINE.name)
    yield Piece(_TEMPLATE, first + _BASE)
    yield Piece("krunc.sysusers.conf", first + _USER)
    for needs, text in parts:
        yield Piece(f"{object_name(needs.name)}.d/{_DROP_IN}", first + text)


ENGINE = Engine(
    name="systemd",
    lacks=frozenset(
        {"descriptor", "desktop_session", "shared_port", "shared_socket"}
        | {"shared_writable_disk", "shared_writable_path"}
    ),
    object_name=object_name,
    part=part,
    whole=whole,
)


def _room(needs: Needs) -> Iterator[str]:
    """Yield what the VM takes: memory measured, and a processor more than its vCPUs for the threads
    that serve its devices."""
    yield f"MemoryMax={needs.memory_mib}M"
    yield f"CPUQuota={100 * (needs.vcpus + 1)}%"
    if needs.open_files is not None:
        yield f"LimitNOFILE={needs.open_files}"


def _stopping(needs: Needs) -> Iterator[str]:
    yield f"TimeoutStopSec={(needs.grace_s or 0) + _AFTER_GRACE_S}"
    if needs.timeout_s is not None:
        yield "# The VM's own time was over, which is not a failure to be repaired."
        yield "RestartPreventExitStatus=124"


def _files(needs: Needs) -> Iterator[str]:
    """Yield the paths of the host: where one is missing, the launcher tells, not systemd (-)."""
    writable = sorted({path for path, access in _opened(needs) if access == "read-write"})
    readable = sorted({path for path, access in _opened(needs) if access == "read"})
    for path in writable:
        option = "BindPaths" if _is_hidden(path) else "ReadWritePaths"
        yield f"{option}=-{systemd_path(path)}"
    for path in readable:
        if any(_lies_in(path, directory) for directory in writable):
            continue  # it is there, and as writable as what it lies in
        option = "BindReadOnlyPaths" if _is_hidden(path) else "ReadOnlyPaths"
        yield f"{option}=-{systemd_path(path)}"
    if any(one.access != "read" and one.is_directory for one in needs.paths):
        yield "# Package managers of a guest set setuid bits in directories that it can write."
        yield "RestrictSUIDSGID=no"


def _opened(needs: Needs) -> Iterator[tuple[str, str]]:
    """Yield every path that has to be there, and how it is opened. What is made is not there yet:
    then it is the directory that has to be writable."""
    for path in needs.paths:
        if not _is_device(path.path):
            place = posixpath.dirname(path.path) if path.use == "made" else path.path
            yield normal(place), path.access
    for socket in needs.sockets:
        if not socket.path.startswith((RUNTIME, LAUNCH, IN_STORE)):
            # Whoever connects to a socket has to be let write to it.
            place = socket.path if socket.how == "connect" else posixpath.dirname(socket.path)
            yield normal(place), "read-write"


def _devices(needs: Needs) -> Iterator[str]:
    for path in needs.devices:
        yield f"DeviceAllow={systemd_path(path)} rw"
    for one in needs.paths:
        if _is_device(one.path):
            yield f"DeviceAllow={systemd_path(normal(one.path))} {_letters(one)}"


def _letters(path: HostPath) -> str:
    return "r" if path.access == "read" else "rw"


def _network(needs: Needs) -> Iterator[str]:
    if not needs.opens_network:
        return
    yield "PrivateNetwork=no"
    yield "IPAddressDeny="
    families = "AF_UNIX AF_INET AF_INET6"
    if "passt" in needs.networks:
        yield "# passt gives itself namespaces of its own, and starts with nothing in them."
        yield f"SystemCallFilter={_PASST_CALLS}"
        yield "RestrictNamespaces=no"
        families += " AF_NETLINK"
    yield f"RestrictAddressFamilies={families}"
    if any(port.host < 1024 for port in needs.ports) and "tsi" in needs.networks:
        yield "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"
        yield "AmbientCapabilities=CAP_NET_BIND_SERVICE"


def _user(needs: Needs) -> Iterator[str]:
    for name in needs.capabilities:
        yield f"CapabilityBoundingSet=CAP_{name.upper()}"
        yield f"AmbientCapabilities=CAP_{name.upper()}"
    if any(one is not None for one in needs.run_as):
        yield "# The VM's process becomes the user of run_as, which only root can let it."
        yield "User=root"
        yield "CapabilityBoundingSet=CAP_SETUID CAP_SETGID"


def _secrets(needs: Needs) -> Iterator[str]:
    """Yield the credentials in which the launcher finds its variables and descriptors."""
    if needs.secret_files:
        yield f"# Of /etc/credstore, /run/credstore or /usr/lib/credstore: krunc.{needs.name}.NAME"
    for name in needs.secret_files:
        yield f"LoadCredential={name}:krunc.{needs.name}.{name}"


def _is_device(path: str) -> bool:
    return _lies_in(normal(path), "/dev") and not _lies_in(normal(path), "/dev/shm")


def _is_hidden(path: str) -> bool:
    return any(_lies_in(path, directory) for directory in _HIDDEN)


def _lies_in(path: str, directory: str) -> bool:
    return directory == "/" or path == directory or path.startswith(f"{directory}/")
