"""Paths of the host below directories that a guest may write: it can put a link there in place of
what the plan names, and the next launch would follow it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from krunc_schema import load

from krunc_compiler import libkrun as api
from krunc_compiler.files.hostpath import UPS, lying_in, normal
from krunc_compiler.findings.finding import Finding, Path, dotted
from krunc_compiler.rules.host_paths import HostPath

# What a shell would expand where a path starts with it.
_OF_SHELLS = ("~", "$")


class Named(NamedTuple):
    """A path of the host that a box names, and the key that does. `writes` is whether it is a
    directory that the guest may write, `late` whether libkrun opens it while the guest runs."""

    path: str
    key: Path
    writes: bool = False
    late: bool = False


def named(paths: Sequence[HostPath]) -> tuple[Named, ...]:
    """Return those of PATHS that are no directories which a guest only reads."""
    found = []
    for one in paths:
        rules = one.param.rules if one.param is not None else {}
        how = (
            api.opening(one.param, one.operation.args)
            if one.param is not None and "opens" in rules
            else "read"
        )
        if rules.get("target") != "directory":
            late = how == "connect" and "served" not in rules
            found.append(Named(one.path, one.key, late=late))
        elif how != "read":
            found.append(Named(one.path, one.key, writes=True))
    return tuple(found)


def _is_of_windows(path: str) -> bool:
    """Tell whether PATH has a drive: krunc, which runs on Linux, takes it for a relative path."""
    return path[1:2] == ":" and path[2:3] in ("\\", "/") and path[0].isalpha()


def unexpanded(path: str, key: Path) -> Iterator[Finding]:
    """Yield the warning about a PATH at KEY that means what it says to a shell or to Windows."""
    if _is_of_windows(path):
        yield Finding(
            "KR604",
            f"{path[:3]!r} is taken literally: this is a directory below the box's own",
            key,
            hint=f"write the path that Linux has for it, as in /mnt/{path[0].lower()}/Users in WSL",
        )
    if path.startswith(_OF_SHELLS):
        yield Finding(
            "KR604",
            f"{path.split('/')[0]!r} is taken literally: no shell expands it",
            key,
            hint=f"write the whole path, or ./{path} when a file has that name",
        )


def unsearched(search: str, key: Path) -> Iterator[Finding]:
    """Yield the warning about the directories SEARCH of a PATH at KEY, of which one is for a
    shell."""
    directories = search.split(":")
    lost = [one for one in directories if one.startswith(_OF_SHELLS)]
    if lost:
        kept = [one for one in directories if one and one not in lost]
        usual = load("orders")["search"].split(":")
        whole = ":".join([*kept, *(one for one in usual if one not in kept)])
        yield Finding(
            "KR604",
            f"{lost[0]!r} is taken literally: programs are not looked for where it leads",
            key,
            hint=f"write the directories, as in {whole}; a script can export PATH itself",
        )


def check(paths: Sequence[Named]) -> tuple[list[Finding], list[Finding]]:
    """Tell what is wrong with PATHS of one box, and the warnings about them."""
    errors, warnings = [], []
    # The directories are among what lints looks at, with those that a guest only reads.
    named = [one for one in paths if not one.writes]
    warnings += [item for one in named for item in unexpanded(one.path, one.key)]
    directories = {normal(one.path): one for one in reversed(paths) if one.writes}
    for one in paths:
        if one.writes:
            if normal(one.path) in UPS:
                warnings.append(
                    Finding(
                        "KR615",
                        f"the guest can write this box's directory ({one.path}), and so its plan",
                        one.key,
                        hint="share a directory below it; a plan that the guest changed is "
                        "launched as any other, unless --require-digest holds it",
                    )
                )
            continue
        above = lying_in(one.path)
        if directories.keys().isdisjoint(above):
            continue
        over = next(directories[path] for path in above if path in directories)
        where = f"{dotted(over.key)} ({over.path})"
        if one.late:
            errors.append(
                Finding(
                    "KR209",
                    f"libkrun connects to this socket while the guest runs, which can write "
                    f"{where} and lead it to any other host socket",
                    one.key,
                    hint="keep the socket out of what the guest writes: runtime:NAME is",
                )
            )
        else:
            warnings.append(
                Finding(
                    "KR615",
                    f"the guest can replace this path, for it can write {where}",
                    one.key,
                    hint="keep it out of what the guest writes; at launch a link there is refused",
                )
            )
    return errors, warnings
