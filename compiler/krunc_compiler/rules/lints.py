"""What a box may say but hardly means: warnings, each of which the box can allow by its code."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from krunc_compiler.box.box import Box, DirectoryRoot
from krunc_compiler.files.hostpath import RUNTIME, may_lie_in, normal
from krunc_compiler.findings.finding import Finding, Path, dotted
from krunc_compiler.lowering.stage import is_kept
from krunc_compiler.rules import image, inside, program_words, written

# When it is first used: most runs use none of them.
_compiled = cache(re.compile)
_HOME = r"/root|/home(/[^/]+)?|/Users(/[^/]+)?"
# Who can write to one of these commands a daemon that is root on the host.
_DAEMONS = (
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
)
# What a variable's name ends with that holds a secret.
_SECRET_NAME = (
    r"(?i)(.*_)?"
    r"(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|(API|ACCESS|PRIVATE|SECRET)_?KEY)"
)


def check(box: Box, shown: str) -> list[Finding]:
    """Return the warnings about one box by itself, of which Python has SHOWN what it states."""
    directories = _directories(box)
    return [
        *(
            *_nested(directories),
            *_broad(directories),
            *_tilde(directories),
            *_daemons(box, directories),
        ),
        *(*_unused_channels(box), *_literals(box)),
        *inside.check(box),
        *image.lints(box),
        *program_words.check(box, shown),
    ]


class _Directory(NamedTuple):
    """A host directory that the guest gets: its path as it is written and in one form, its key, and
    whether the guest can write there."""

    path: str
    normal: str
    key: Path
    writes: bool


def _directories(box: Box) -> list[_Directory]:
    directories = []
    root = box.rootfs
    if isinstance(root, DirectoryRoot):
        key: Path = ("rootfs", "path")
        directories.append(_Directory(root.path, normal(root.path), key, not is_kept(root)))
    for i, share in enumerate(box.shares):
        key = ("shares", i, "path")
        directories.append(_Directory(share.path, normal(share.path), key, not share.read_only))
    return directories


def _nested(directories: list[_Directory]) -> Iterator[Finding]:
    """Of each directory, the others that it lies in; of equal ones, the first."""
    first: dict[str, _Directory] = {}
    for directory in directories:
        first.setdefault(directory.normal, directory)
    for directory in directories:
        for above in _above(directory.normal):
            other = first.get(above, directory)
            if other is directory or _is_of_run(directory) != _is_of_run(other):
                continue
            can = "there it can write" if other.writes else "there it can read"
            yield Finding(
                "KR601",
                f"this directory is reached through {dotted(other.key)} ({other.path}) too; {can}",
                directory.key,
                hint="share directories that do not overlap: the guest has the wider access",
            )


def _is_of_run(directory: _Directory) -> bool:
    return directory.path.startswith(RUNTIME)


def _above(path: str) -> Iterator[str]:
    """Yield the directories that the path lies in, itself first."""
    within = not path.startswith(("/", ".."))
    while path not in ("", "/", "."):
        yield path
        directory, slash, _ = path.rpartition("/")
        path = directory or slash
    if path or within:
        yield path or "."


def _broad(directories: list[_Directory]) -> Iterator[Finding]:
    for _, path, key, writes in directories:
        right = "write" if writes else "read"
        if path == "/":
            yield Finding(
                "KR602",
                f"the guest can {right} all host files that the host user can",
                key,
                hint="share the directory that the guest needs",
            )
        elif _compiled(_HOME).fullmatch(path):
            yield Finding(
                "KR603",
                f"the guest can {right} a home directory: keys, tokens and shell start files",
                key,
                hint="share a directory below it",
            )


def _tilde(directories: list[_Directory]) -> Iterator[Finding]:
    for directory in directories:
        yield from written.unexpanded(directory.path, directory.key)


def _daemons(box: Box, directories: list[_Directory]) -> Iterator[Finding]:
    for _, path, key, _ in directories:
        reached = _DAEMONS if path.startswith("/") and path != "/" else ()
        for socket in [one for one in reached if may_lie_in(one, path)][:1]:
            yield _commands(socket, key)
    for i, port in enumerate(box.vsock):
        if not port.listen and normal(port.socket) in _DAEMONS:
            yield _commands(normal(port.socket), ("vsock", i, "socket"))


def _commands(socket: str, key: Path) -> Finding:
    return Finding(
        "KR605",
        f"the guest reaches {socket}, which commands a host daemon",
        key,
        hint="give it a proxy that filters: a guest that may use it can become root on the host",
    )


def _unused_channels(box: Box) -> Iterator[Finding]:
    said = " ".join(box.entrypoint.args)
    for name, path, port in (
        ("listen", box.agent.listen, 2695),
        ("notify", box.agent.notify, 2696),
    ):
        if path is not None and f"--{name}" not in said and str(port) not in said:
            yield Finding(
                "KR606",
                f"no argument of the program says --{name} unix://..., so it does not know "
                f"this channel",
                ("agent", name),
                hint=f"add --{name} unix:///run/{name}.sock to entrypoint.args, or remove the "
                f"key when the program knows vsock port {port} on its own",
                at_key=True,
            )


def _literals(box: Box) -> Iterator[Finding]:
    for name, value in box.entrypoint.env.items():
        # What an image holds is no secret any more.
        if not isinstance(value, str) or not box.origin("entrypoint", "env", name):
            continue
        if name == "PATH":
            yield from written.unsearched(value, ("entrypoint", "env", name))
        # A path is where a secret is, not the secret.
        is_named = (
            _compiled(_SECRET_NAME).fullmatch(name) and value and not value.startswith(("/", "./"))
        )
        if is_named or _compiled(program_words.SECRET).match(value):
            yield Finding(
                "KR610",
                "this looks like a secret, and the plan would hold it",
                ("entrypoint", "env", name),
                hint=f"write {name}: {{from_env: NAME}}; from_file and from_fd work too",
                at_key=True,
            )


def check_host(box: Box, cpus: int, memory_mib: int) -> list[Finding]:
    """Return the warnings about BOX on a host that has CPUS processors and MEMORY_MIB of memory."""
    found = []
    if box.machine.cpus > cpus:
        found.append(
            Finding(
                "KR607",
                f"{box.machine.cpus} vCPUs; this host has {cpus} CPUs",
                ("machine", "cpus"),
                hint="ask for fewer: the vCPUs would take turns",
            )
        )
    if box.machine.memory_mib > memory_mib:
        found.append(
            Finding(
                "KR607",
                f"{box.machine.memory_mib} MiB of memory; this host has {memory_mib} MiB",
                ("machine", "memory"),
                hint="ask for less: the host would kill the VM when it uses what it was given",
            )
        )
    return found


def silenced(
    findings: list[Finding], allow: Sequence[dict[str, Any]]
) -> tuple[list[Finding], frozenset[str]]:
    """Return FINDINGS without what the box allows, with what is wrong with ALLOW; the codes
    allowed.

    ALLOW fits the schema.
    """
    codes = {entry["code"] for entry in allow}
    raised = {finding.code for finding in findings}
    kept = [finding for finding in findings if finding.code not in codes]
    for i, entry in enumerate(allow):
        code, at = entry["code"], ("allow", i, "code")
        from krunc_compiler.findings import catalogue  # few boxes allow anything

        known = catalogue.entry(code)
        if known is None or not known.warning:
            kept.append(
                Finding(
                    "KR608",
                    f"{code} is not a warning, so it cannot be allowed",
                    at,
                    hint="name a warning, which `krunc explain` lists; an error has to be fixed",
                )
            )
        elif code not in raised and not known.depends_on_run:
            kept.append(
                Finding(
                    "KR609",
                    f"nothing here raises {code}",
                    at,
                    hint="remove this entry",
                )
            )
    return kept, frozenset(codes)


def names_a_secret(name: str) -> bool:
    """Tell whether a variable of this NAME holds a secret, as far as that tells."""
    return re.fullmatch(_SECRET_NAME, name) is not None
