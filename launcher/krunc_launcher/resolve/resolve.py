"""Verified operations to what is really done: absolute paths, numbers for names, secrets."""

from __future__ import annotations

import os

from krunc_launcher._rules import CHARSETS, ENUMS, FLAGS, FUNCTIONS, KERNEL_CMDLINE, LIMITS, STEPS
from krunc_launcher.plan import arguments as values
from krunc_launcher.plan.arguments import RUNTIME
from krunc_launcher.plan.sequence import devices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from krunc_launcher.plan.arguments import Findings, Path
    from krunc_launcher.plan.secrets import Reader, Secrets


class Named:
    """A number that the header names; `c` is the name or, for flags, names joined with |."""

    __slots__ = ("c", "value")

    def __init__(self, c: str, value: int) -> None:
        self.c = c
        self.value = value


class Opened:
    """The descriptor that an open_file step will have."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Variable:
    """NAME=text for the guest. With `secret` set, which says where it comes from, text is never
    printed; it is empty in a dry run."""

    __slots__ = ("name", "secret", "text")

    def __init__(self, name: str, text: str, secret: str = "") -> None:
        self.name = name
        self.text = text
        self.secret = secret


class Content:
    """Bytes for libkrun. `shown` is what a reader sees of them; `path` is set for a file."""

    __slots__ = ("data", "path", "secret", "shown")

    def __init__(
        self, data: bytes | None, shown: str, path: str = "", secret: bool = False
    ) -> None:
        self.data = data
        self.shown = shown
        self.path = path
        self.secret = secret

    def load(self) -> bytes:
        """The bytes; a file is read once. Raises OSError."""
        if self.data is None:
            from krunc_launcher.plan.contents import read

            self.data = read(self.path)
        return self.data


class Done:
    """One operation, ready: a call with its arguments in the header's order (the context is
    None), a host step with its, or a note on what libkrun does by itself."""

    __slots__ = ("index", "kind", "name", "origin", "values", "warn")

    def __init__(
        self, index: int, kind: str, name: str, args: list[Any], origin: str, warn: bool
    ) -> None:
        self.index = index
        self.kind = kind
        self.name = name
        self.values = args
        self.origin = origin
        self.warn = warn


class Folders:
    """Where relative and runtime: paths start."""

    __slots__ = ("base", "runtime")

    def __init__(self, base: str, runtime: str) -> None:
        self.base = base
        self.runtime = runtime


def resolve(
    plan: dict[str, Any], folders: Folders, environment: Mapping[str, str] | None
) -> tuple[list[Done], Findings]:
    """The operations of a verified PLAN and what is wrong with their late values.

    ENVIRONMENT is the launcher's; None for a dry run, in which secrets stay unknown.
    """
    found: Findings = []
    done = []
    given = None if environment is None else _reader(environment, folders)
    for i, row in enumerate(plan["operations"]):
        kind = "call" if "call" in row else "step" if "step" in row else "implicit"
        name = row[kind]
        args: list[Any] = []
        if kind != "implicit":
            stated = row.get("args", {})
            rules = (FUNCTIONS if kind == "call" else STEPS)[name]["params"]
            for rule in rules:
                where: Path = ("operations", i, "args", rule["name"])
                args.append(_value(rule, stated, folders, given, where, found))
            args = _sized(rules, args)
        done.append(Done(i, kind, name, args, row["from"], "on_failure" in row))
    _command_line(plan, done, found)
    return done, found


def secret(done: list[Done]) -> bool:
    """Whether any of DONE has a secret in it, known or not."""
    return any(
        item.secret
        for operation in done
        for value in operation.values
        for item in (value if type(value) is list else (value,))
        if isinstance(item, (Variable, Content))
    )


def _reader(environment: Mapping[str, str], folders: Folders) -> Reader:
    """Reads secrets; what that takes is imported by the first of them, for most plans have none."""
    kept: list[Secrets] = []

    def read(item: dict[str, Any], where: Path, found: Findings) -> str | None:
        from krunc_launcher.plan.secrets import Secrets

        if not kept:
            kept.append(Secrets(environment, folders))
        return kept[0].value(item, where, found)

    return read


def _value(
    rule: dict[str, Any],
    stated: dict[str, Any],
    folders: Folders,
    given: Reader | None,
    where: Path,
    found: Findings,
) -> Any:
    kind = rule["kind"]
    if kind == "context":
        return None
    if kind == "length":
        return None  # that of the content beside it, see _sized
    value = stated[rule["name"]]
    if value is None or kind in ("int", "bool", "text"):
        return value
    if kind == "enum":
        return Named(*ENUMS[rule["enum"]][value])
    if kind == "flags":
        rows = [FLAGS[rule["flags"]][name] for name in value]
        return Named(" | ".join(c for c, _ in rows) or "0", sum(number for _, number in rows))
    if kind in ("host_path", "socket_path"):
        path = absolute(value, folders)
        size, most = len(os.fsencode(path)), LIMITS["socket_path_bytes"]
        if kind == "socket_path" and size > most:
            shorter = "--runtime-dir" if value.startswith(RUNTIME) else "path"
            sentence = f"{path} has {size} bytes; a socket's path has {most} at most"
            found.append((where, f"{sentence}: use a shorter {shorter}"))
        return path
    if kind == "env":
        return [
            _variable(name, text, rule, given, (*where, name), found)
            for name, text in value.items()
        ]
    if kind == "rlimits":
        return [f"{ENUMS[rule['enum']][name][1]}={limit}" for name, limit in value.items()]
    if kind == "mac":
        return bytes(int(pair, 16) for pair in value.split(":"))
    if kind == "fd":
        if type(value) is dict:
            return Opened(value["opened"])
        return rule["named"].get(value, value)
    if kind == "bytes":
        from krunc_launcher.plan import contents

        path = absolute(value["file"], folders) if "file" in value else ""
        return contents.resolve(value, path, given, where, found)
    return value  # texts, port_map and u16s are lists already


def _sized(rules: list[dict[str, Any]], args: list[Any]) -> list[Any]:
    """ARGS with each content once more in the place of its length."""
    places = {rule["name"]: i for i, rule in enumerate(rules)}
    return [
        args[places[rule["of"]]] if rule["kind"] == "length" else value
        for rule, value in zip(rules, args, strict=True)
    ]


def absolute(path: str, folders: Folders) -> str:
    """PATH from a plan as an absolute one; links are not followed."""
    if path.startswith(RUNTIME):
        return os.path.join(folders.runtime, path[len(RUNTIME) :])
    return os.path.normpath(os.path.join(folders.base, path))


def _variable(
    name: str,
    text: str | dict[str, Any],
    rule: dict[str, Any],
    given: Reader | None,
    where: Path,
    found: Findings,
) -> Variable:
    if type(text) is not dict:
        return Variable(name, str(text))
    from krunc_launcher.plan.secrets import shown

    secret = shown(text)
    value = given(text, where, found) if given is not None else None
    unsaid: Findings = []
    if value is not None and not values.text(value, rule, where, unsaid):
        # What was found would show the secret.
        allowed = CHARSETS[rule["charset"]][1]
        found.append((where, f"the value of {secret} cannot reach the guest; allowed: {allowed}"))
    return Variable(name, value or "", secret)


def _command_line(plan: dict[str, Any], done: list[Done], found: Findings) -> None:
    """libkrun puts these on the guest kernel's command line, which cuts off what is too much."""
    size = (
        len(KERNEL_CMDLINE["prolog"]) + devices(plan["operations"]) * KERNEL_CMDLINE["device_bytes"]
    )
    last = 0
    for operation in done:
        words = _WORDS.get(operation.name)
        if words is None:
            continue
        last = operation.index
        for word, value in zip(words, operation.values, strict=True):
            if type(value) is not list:
                size += len(word) + len(value) + 1 if value else 0
            elif word:  # one word of them all, within quotes
                size += len(word) + len(",".join(value)) + 3
            else:
                size += sum(_length(item) + 3 for item in value)
        size += len(" --") if operation.name == "krun_set_exec" else 0
    most = KERNEL_CMDLINE["max_bytes"]
    if size > most:
        sentence = f"about {size} bytes for the guest kernel's command line, which holds {most}"
        found.append((("operations", last), sentence))


# What stands before each argument on the command line; lists without a word are quoted items.
_WORDS = {
    "krun_set_exec": ("", "KRUN_INIT=", "", ""),
    "krun_set_env": ("", ""),
    "krun_set_workdir": ("", "KRUN_WORKDIR="),
    "krun_set_rlimits": ("", "KRUN_RLIMITS="),
    "krun_set_root_disk_remount": (
        "",
        "KRUN_BLOCK_ROOT_DEVICE=",
        "KRUN_BLOCK_ROOT_FSTYPE=",
        "KRUN_BLOCK_ROOT_OPTIONS=",
    ),
}


def _length(item: str | Variable) -> int:
    return len(item) if isinstance(item, str) else len(item.name) + 1 + len(item.text)
