"""Whether a file that a launch empties for what the guest writes is one that it uses otherwise."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import asked_by, plain
from krunc_launcher.host.disk_locks import taken
from krunc_launcher.host.files import not_for_output
from krunc_launcher.paths import absolute
from krunc_launcher.resolve.operation import Content, made

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from krunc_launcher.accept import Accepted
    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation


def used_otherwise(done: list[Operation], accepted: Accepted) -> Iterator[str]:
    """Tell which files that DONE empties are something else of the plan ACCEPTED as well, whatever
    path leads there."""
    directories = accepted.directories
    outputs = [(operation, path) for operation in done for path in made([operation])]
    uses = {accepted.path: "the plan itself"}
    for operation in done:
        emptied = made([operation])
        for rule, value in zip(operation.rule["params"], operation.values, strict=True):
            path = value.path if isinstance(value, Content) else value
            named = rule["kind"] == "host_path" or isinstance(value, Content)
            if named and path and path not in emptied:
                uses[path] = f"what {operation.origin} names"
    for row in accepted.plan["operations"]:
        for value in row.get("args", {}).values():
            for path in _secrets(value):
                uses[absolute(path, directories)] = "the file of a secret"
    known: dict[tuple[int, int] | str, str] = {}
    for path, use in uses.items():
        known.setdefault(_file(path, directories), use)
    for operation, path in outputs:
        file = _file(path, directories)
        if file in known:
            what = f"{plain(path)} would be emptied for what the guest writes"
            yield f"{what}, but it is {known[file]}; name another file{asked_by(operation.origin)}"
        known[file] = f"what {operation.origin} writes"


def kept_from(handle: int, path: str, status: system.stat_result) -> Iterator[str]:
    """Tell why PATH, open as HANDLE and of which STATUS tells, must not be emptied; where
    nothing does, it is locked. A guest can have put another name of somebody's file there."""
    problem = not_for_output(path, status) or taken(handle, path, False)
    if problem:
        yield problem


def _file(path: str, directories: Directories) -> tuple[int, int] | str:
    """Tell which file PATH leads to; one that is not there is its path
    without links."""
    path = system.abspath(path)
    try:
        status = directories.status(path)
    except OSError:
        pass
    else:
        return status.st_dev, status.st_ino
    try:
        return directories.real(path)
    except OSError:
        return path


def _secrets(value: Any) -> Iterator[str]:
    """Yield the paths of the files that an argument has secrets from: variables of the guest, or a
    configuration with some."""
    for item in value.values() if type(value) is dict else ():
        if type(item) is not dict:
            continue
        if type(item.get("from_file")) is str:
            yield item["from_file"]
        elif type(item.get("env")) is dict:
            yield from _secrets(item["env"])
