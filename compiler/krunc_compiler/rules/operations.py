"""What a plan may not ask of libkrun as a whole, whatever the box: paths, devices, the kernel's
command line, functions that the target lacks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from krunc_compiler import libkrun as api
from krunc_compiler.files.hostpath import RUNTIME, is_view, normal
from krunc_compiler.findings.finding import Finding, Path, dotted
from krunc_compiler.libkrun import Target
from krunc_compiler.plan.kinds import rules
from krunc_compiler.plan.operation import Operation
from krunc_compiler.plan.plan import needs
from krunc_compiler.rules.host_paths import HostPath


def check(operations: list[Operation], paths: list[HostPath], target: Target) -> list[Finding]:
    """Tell what is wrong with the OPERATIONS as a whole, and the PATHS of the host that they
    name."""
    return [
        *_paths(paths),
        *_views(paths),
        *_secrets(paths),
        *_available(operations, target),
        *_confined(operations),
    ]


def _paths(paths: list[HostPath]) -> Iterator[Finding]:
    most = api.table()["limits"]["socket_path_bytes"]
    for path, where, _, param in paths:
        of_run = path.startswith(RUNTIME)
        if param is None or not where or not (of_run or param.kind == "socket_path"):
            continue
        yield from _leaving(path, where)
        if param.kind != "socket_path":
            continue
        # At launch a directory, of the plan or of the run, comes before a relative path.
        rest = normal(path.removeprefix(RUNTIME)).replace("../", "")
        whole = path if path.startswith("/") else "/" + rest
        size = len(whole.encode("utf-8", "surrogatepass"))
        if size > most:
            least = "" if path.startswith("/") else "at least "
            yield Finding(
                "KR204",
                f"a socket's path has {most} bytes at most (unix(7)); this one has {least}{size}",
                where,
                hint="choose a shorter one" if of_run else "choose a shorter one, or runtime:NAME",
            )


def _views(paths: list[HostPath]) -> Iterator[Finding]:
    for one in paths:
        if is_view(one.path):
            yield Finding(
                "KR213",
                f"{one.path!r} is not a file: {rules('host_path')['views_why']}",
                one.key,
                hint="name a file or directory; a variable is a secret: `from_env: NAME`",
            )


def _leaving(path: str, where: Path) -> Iterator[Finding]:
    parts = path.removeprefix(RUNTIME).split("/")
    if path.startswith(RUNTIME) and not set(parts).isdisjoint(rules("host_path")["parts_refused"]):
        yield Finding(
            "KR205",
            f"{path!r} leaves the runtime directory or names nothing in it",
            where,
            hint="write runtime:NAME, as in runtime:agent.sock",
        )


def _secrets(paths: list[HostPath]) -> Iterator[Finding]:
    for one in paths:
        if one.param is None:
            yield from _leaving(one.path, one.key)


def _available(operations: list[Operation], target: Target) -> Iterator[Finding]:
    lacking = _lacking(target)
    if target.version is None:
        operations = [one for one in operations if one.name in lacking]
    for operation in operations:
        why = lacking.get(operation.name)
        if why is None and operation.kind != "call":
            continue
        since = needs(operation)
        if why is None and target.version is not None and since > (*target.version, 999):
            why = f"with these arguments it came with libkrun {api.dots(since)}"
        if why is not None:
            asks = operation.need or operation.origin
            yield Finding(
                "KR208",
                f"this needs {operation.name}, which libkrun {target} does not have: {why}",
                asks,
                hint=_ways_out(dotted(asks), operation.name, api.dots(since), target),
                at_key=True,
            )


def _confined(operations: list[Operation]) -> Iterator[Finding]:
    confined = [one.args["mode"] for one in operations if one.name == "confine"]
    for operation in operations if "required" in confined else ():
        known = api.functions().get(operation.name)
        if known is not None and "unknown_access" in known.rules:
            yield Finding(
                "KR209",
                f"confine: required and {dotted(operation.origin)} are mutually exclusive",
                ("confine",),
                hint="write `confine: best-effort`: the host access that it needs is not known",
                at_key=True,
            )


@cache
def _lacking(target: Target) -> dict[str, str]:
    """Return the functions that TARGET does not have, each with the reason."""
    whys = {name: api.lacks(function, target) for name, function in api.functions().items()}
    return {name: why for name, why in whys.items() if why is not None}


def _ways_out(key: str, function: str, since: str, target: Target) -> str:
    removed = api.functions()[function].removed
    if removed is not None and target.family == 2:
        return "use --target 1 or remove this key"
    since = "2" if since == "2.0" else since
    if key.endswith("read_only"):
        return f"use --target {since}, or write `read_only: false` and let the guest write"
    if function == "krun_disable_implicit_vsock":
        return f"use --target {since}; an older libkrun cannot switch its TSI network off"
    return f"use --target {since} or remove this key"
