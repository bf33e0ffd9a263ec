"""What a plan lays or mounts over the guest's init, program, libraries and configuration, and what
of the program's environment makes other code run, as far as the plan can tell: what a root holds,
and what a link in it leads to, is not in the plan."""

import posixpath
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from krunc_compiler.plan.ordered import Ordered
from krunc_compiler.review.fact import Fact, Reach
from krunc_compiler.review.facts.guest_devices import disk_of, guest_devices
from krunc_compiler.review.facts.storage import PROGRAM_FILE, ROOT_TAG, SCRIPT, laid_at, same
from krunc_compiler.review.variables import homes, in_home, loading
from krunc_compiler.review.words import word

INIT = "/init.krun"
_OVERLAYS = ("krun_fs_add_overlay_file", "krun_fs_add_overlay_dir")
# When it is first used: most runs use none of them.
_compiled = cache(re.compile)
# What programs and libraries are, below / and /usr; what decides about logins and services.
_SYSTEM = r"(/usr(/local)?)?/(bin|sbin|lib|lib32|lib64|libx32|libexec)(/.*)?|/usr(/local)?|/opt|/"
_LOADER = r"/etc/ld\.so\..*|/etc/ld-musl-.*"
_SERVICES = (
    r"/etc|/etc/(profile|profile\.d|bash\.bashrc|bashrc|zsh|environment|passwd|shadow|group|gshadow"
    r"|sudoers|sudoers\.d|doas\.conf|pam\.d|pam\.conf|security|inittab|init\.d|rc[^/]*|runit|s6|systemd"
    r"|cron[^/]*|ssh|nsswitch\.conf|modprobe\.d|modules[^/]*|sysctl[^/]*|udev|alternatives)(/.*)?"
    r"|/(root|home/[^/]+)(/\..*)?|/home|/(linuxrc|init)"
)  # fmt: skip
# What the stage mounts of the host's, with where the plan says which it is.
_MOUNTS = {"mount_share": "tag", "mount_disk": "device"}


class _Program(NamedTuple):
    """A program that a plan names: its words, what it is told by its environment, its directory."""

    words: list[str]
    env: dict[str, Any]
    workdir: str


def replaced(operations: Sequence[Ordered]) -> Iterator[Fact]:
    """Yield a fact for each thing that makes other code run than the root's own."""
    telling = [
        (index, row)
        for index, row in enumerate(operations)
        if row.get("call") in _OVERLAYS
        or row.get("order") in _MOUNTS
        or row.once(loading)
        or row.once(homes)
    ]
    if not telling:
        return
    programs = list(_programs(operations))
    attached = _attached(operations)
    roots = {ROOT_TAG, *(row["args"]["tag"] for row in operations if "root_share" in row.values())}
    places = list(_places(operations, roots))
    for index, row in telling:
        args = row.args
        if row.get("call") in _OVERLAYS and args["fs_tag"] in roots:
            path = laid_at(args["path"])
            what = _what(path, row, programs)
            if what:
                host = _of_host(args)
                reach = frozenset({Reach("run", what, f"{path} from {host}" if host else path)})
                source = f" from {word(host)}" if host else ""
                text = f"{word(path)}, merged onto the root{source}: {what}"
                yield Fact("run", ("run", path), text, row["from"], index, reach)
        if row.get("order") in _MOUNTS:
            yield from _mounted(row, index, programs, attached)
        for name, value in row.once(homes).items():
            yield from _home(row, index, name, value, places)
        for name, value in row.once(loading).items():
            told = value if isinstance(value, str) else " ".join(*value.items())
            reach = frozenset({Reach("run", name, str(told))})
            text = f"{word(name)}={word(value)}" if isinstance(value, str) else word(name)
            text += ", by which programs find other code"
            yield Fact("run", ("run", name), text, row["from"], index, reach)


def _attached(operations: Sequence[Ordered]) -> dict[str, tuple[str, str]]:
    """Return the paths of the host by what the guest calls them: a share's tag, a disk's device."""
    devices = guest_devices(operations)
    found = {}
    for index, row in enumerate(operations):
        if row.kind == "call" and "tag" in row.args and "path" in row.args:
            found[str(row.args["tag"])] = ("directory", same(str(row.args["path"])))
        elif index in devices and "disk_path" in row.args:
            found[devices[index]] = ("disk", same(str(row.args["disk_path"])))
    return found


def _places(operations: Sequence[Ordered], roots: set[str]) -> Iterator[str]:
    """Yield where in the guest the plan mounts something of the host's or merges something."""
    for row in operations:
        if row.get("order") in _MOUNTS:
            yield posixpath.normpath(row.args["path"])
        elif row.get("call") in _OVERLAYS and row.args["fs_tag"] in roots:
            yield laid_at(row.args["path"])


def _home(row: Ordered, index: int, name: str, value: Any, places: list[str]) -> Iterator[Fact]:
    """Yield a directory in which programs look for settings, where it is not the root's own alone,
    as far as the plan can tell: a secret can lead anywhere."""
    if isinstance(value, str):
        place = in_home(value, places)
        if place is None:
            return
        text, told = f"{word(name)}={word(value)}", f"{value} with {place}"
        text += f", where programs look for settings that name code: the plan has {word(place)}"
    else:
        told = " ".join(map(str, *value.items()))
        text = f"{word(name)}, where programs look for settings that name code"
    reach = frozenset({Reach("run", name, told)})
    yield Fact("run", ("run", name), text, row["from"], index, reach)


def _mounted(
    row: Ordered, index: int, programs: list[_Program], attached: dict[str, tuple[str, str]]
) -> Iterator[Fact]:
    """Yield what of the root's own code a share or a disk takes the place of. What else is mounted
    runs when something asks for it, as it could be asked for without the mount."""
    path = posixpath.normpath(row.args["path"])
    what = _hidden(path, programs)
    if what:
        source = row.args[_MOUNTS[row["order"]]]
        # Two shares can change their places: what the guest calls it is not which code it is.
        noun, host = attached.get(disk_of(source) or source, ("nothing", ""))
        shown = f"{noun} {word(host)}" if host else "nothing of this plan"
        text = f"{word(path)}, where {word(source)} ({shown}) is mounted over the root: {what}"
        reach = frozenset({Reach("mount", what, f"{path} from {source}, {noun} {host}")})
        yield Fact("run", ("run", "mounted", path), text, row["from"], index, reach)


def _of_host(args: dict[str, Any]) -> str:
    """Return the file of the host that is the content of an overlay; "" if it is none."""
    data = args.get("data")
    return same(str(data["file"])) if isinstance(data, dict) and "file" in data else ""


def _programs(operations: Sequence[dict[str, Any]]) -> Iterator[_Program]:
    workdirs = [
        row["args"]["workdir_path"]
        for row in reversed(operations)
        if row.get("call") == "krun_set_workdir" or row.get("order") == "workdir"
    ]
    for row in operations:
        args = row.get("args", {})
        if row.get("call") == "krun_set_exec" or row.get("order") == "program":
            words = [args["exec_path"], *args["argv"]]
            yield _Program(words, args["envp"] or {}, (workdirs or ["/"])[0])
        data = args.get("data")
        if isinstance(data, dict) and "process" in data:
            process = data["process"]
            env = process.get("env") or {}
            yield _Program(process.get("args", []), env, process.get("cwd") or "/")


def _what(path: str, row: dict[str, Any], programs: list[_Program]) -> str | None:
    """Tell what a file or directory at PATH of the root is to the guest, the most telling first."""
    args = row["args"]
    if path == INIT:
        return "the guest's init, instead of libkrun's"
    if path == f"/{PROGRAM_FILE}":
        # What krunc itself writes there is shown as the program.
        is_shown = "process" in args.get("data", {})
        return None if is_shown else "the program, its arguments and its environment"
    if _is_program(path, programs):
        return "the program"
    if path != f"/{SCRIPT}" and any(
        _is_at(path, one) for program in programs for one in _named(program)
    ):
        return "what the program's arguments or environment name"
    told = _of_system(path)
    if told:
        return told
    if path != f"/{SCRIPT}" and row["call"] == _OVERLAYS[0] and args.get("mode", 0) & 0o6111:
        return "a program"
    return None


def _hidden(path: str, programs: list[_Program]) -> str | None:
    """Tell what of the root's code something that is mounted at PATH hides."""
    return "the program" if _is_program(path, programs) else _of_system(path)


def _is_program(path: str, programs: list[_Program]) -> bool:
    return any(_is_at(path, one) for program in programs for one in _paths(program))


def _of_system(path: str) -> str | None:
    """Tell which of a system's code is at PATH."""
    if _compiled(_LOADER).fullmatch(path):
        return "what the dynamic loader loads into every program"
    if _compiled(_SYSTEM).fullmatch(path):
        return "programs or libraries"
    if _compiled(_SERVICES).fullmatch(path):
        return "what starts services or decides about users"
    return None


def _paths(program: _Program) -> Iterator[str]:
    """Tell where the program may be: by its path, or by its name in each directory of PATH."""
    first = program.words[0] if program.words else ""
    if "/" in first:
        yield posixpath.join(program.workdir, first)
    elif first:
        told = program.env.get("PATH")
        for directory in told.split(":") if isinstance(told, str) else _PATH:
            yield posixpath.join(program.workdir, directory, first)


# Where init looks without a PATH (confstr(3), execvp of musl).
_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]


def _named(program: _Program) -> Iterator[str]:
    """Yield the paths that stand in the program's arguments and variables, also within longer
    words."""
    texts = [*program.words[1:], *(one for one in program.env.values() if isinstance(one, str))]
    for text in texts:
        yield from re.findall(r"/[^\s'\":;,=()<>|&]+", text)
        if re.fullmatch(r"[\w.-][^\s]*", text):
            yield posixpath.join(program.workdir, text)


def _is_at(laid: str, path: str) -> bool:
    """Tell whether what is LAID somewhere is at PATH or holds it; /bin can be a link to
    /usr/bin."""
    whole, other = (_merged(posixpath.normpath("/" + one.lstrip("/"))) for one in (laid, path))
    return whole == other or other.startswith(whole.rstrip("/") + "/")


def _merged(path: str) -> str:
    return re.sub(r"^/usr(?=/(bin|sbin|lib|lib32|lib64|libx32)(/|$))", "", path).replace(
        "/sbin/", "/bin/", 1
    )
