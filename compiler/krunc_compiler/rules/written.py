"""Paths of the host below directories that a guest may write: it can put a link there in place of
what the plan names, and the next launch would follow it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from krunc_compiler import libkrun as api
from krunc_compiler.files.hostpath import UPS, lying_in, normal
from krunc_compiler.findings.finding import Finding, Path, dotted
from krunc_compiler.plan.operation import Operation


class Named(NamedTuple):
    """A path of the host that a box names, and the key that does. `writes` is whether it is a
    directory that the guest may write, `late` whether libkrun opens it while the guest runs."""

    path: str
    key: Path
    writes: bool = False
    late: bool = False


def named(operations: Sequence[Operation]) -> list[Named]:
    """Return every path of the host that OPERATIONS open, but for directories that a guest only
    reads."""
    found = []
    for operation in operations:
        # What is demanded of the host has no places: those are paths of other operations.
        for param, path in operation.paths() if operation.places else ():
            key = operation.place(param.name) or operation.origin
            how = api.opening(param, operation.args) if "opens" in param.rules else "read"
            if param.rules.get("target") != "directory":
                late = how == "connect" and "served" not in param.rules
                found.append(Named(path, key, late=late))
            elif how != "read":
                found.append(Named(path, key, writes=True))
        found += secrets(operation)
    return found


def secrets(operation: Operation) -> Iterator[Named]:
    """Yield the files of which the launcher reads what the program gets."""
    for argument, value in operation.args.items():
        if not isinstance(value, dict):
            continue
        inside = ("env",) if "process" in value else ()
        env = value["process"]["env"] if inside else value
        for name, given in env.items():
            if isinstance(given, dict) and "from_file" in given:
                key = (*operation.place(argument), *inside, name, "from_file")
                yield Named(given["from_file"], key)


def unexpanded(path: str, key: Path) -> Iterator[Finding]:
    """Yield the warning about a PATH that stands at KEY for a shell to expand."""
    if path.startswith(("~", "$")):
        yield Finding(
            "KR604",
            f"{path.split('/')[0]!r} is taken literally: no shell expands it",
            key,
            hint=f"write the whole path, or ./{path} when a file has that name",
        )


def check(paths: Sequence[Named]) -> tuple[list[Finding], list[Finding]]:
    """Tell what is wrong with PATHS of one box, and the warnings about them."""
    errors, warnings = [], []
    # The directories are among what lints looks at, with those that a guest only reads.
    warnings += [item for one in paths if not one.writes for item in unexpanded(one.path, one.key)]
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
        over = next(
            (directories[above] for above in lying_in(one.path) if above in directories), None
        )
        if over is None:
            continue
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
