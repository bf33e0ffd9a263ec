"""Verified operations to what is really done: absolute paths, numbers for names, secrets."""

from __future__ import annotations

from krunc_launcher._rules import CHARSETS, ENUMS, FLAGS, LIMITS
from krunc_launcher.errors import plain
from krunc_launcher.paths import absolute
from krunc_launcher.plan.rows import ROWS, kind_of
from krunc_launcher.plan.text import LAUNCH, RUNTIME, text
from krunc_launcher.resolve import command_line
from krunc_launcher.resolve.operation import Content, Named, Opened, Operation, Variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from krunc_launcher.paths import Directories
    from krunc_launcher.plan.text import Findings, Path
    from krunc_launcher.resolve.secrets import Reader, Secrets

_AS_IT_IS = frozenset(("int", "bool", "text"))
_LATER = ("context", "length")  # of which the second is that of the content beside it


def resolve(
    plan: dict[str, Any], directories: Directories, given: Reader | None
) -> tuple[list[Operation], Findings]:
    """Return the operations of a verified PLAN and what is wrong with their late values; secrets
    stay unknown without GIVEN, which reads them."""
    found: Findings = []
    done = []
    for i, row in enumerate(plan["operations"]):
        kind = kind_of(row)
        name = row[kind]
        args: list[Any] = []
        if kind != "implicit":
            stated = row.get("args", {})
            rules = ROWS[kind][name]["params"]
            is_sized = False
            for rule in rules:
                if rule["kind"] in _AS_IT_IS:
                    args.append(stated[rule["name"]])
                elif rule["kind"] in _LATER:
                    is_sized = is_sized or rule["kind"] == "length"
                    args.append(None)
                else:
                    where: Path = ("operations", i, "args", rule["name"])
                    args.append(_value(rule, stated, directories, given, where, found))
            if is_sized:
                args = _sized(rules, args)
        done.append(Operation(i, kind, name, args, row["from"], "on_failure" in row))
    command_line.fit(done, found)
    return done, found


def secret(done: list[Operation]) -> bool:
    """Tell whether any of DONE has a secret in it, known or not, or what a file of the host
    holds."""
    return any(
        item.secret or (isinstance(item, Content) and item.path)
        for operation in done
        for value in operation.values
        for item in (value if type(value) is list else (value,))
        if isinstance(item, (Variable, Content))
    )


def reader(variable: Callable[[str], str | None], directories: Directories) -> Reader:
    """Return what reads secrets, of which VARIABLE tells those of the launcher's environment. What
    that takes is imported by the first of them, for most plans have none."""
    kept: list[Secrets] = []

    def read(item: dict[str, Any], where: Path, found: Findings) -> str | None:
        from krunc_launcher.resolve.secrets import Secrets

        if not kept:
            kept.append(Secrets(variable, directories))
        return kept[0].value(item, where, found)

    return read


def _value(
    rule: dict[str, Any],
    stated: dict[str, Any],
    directories: Directories,
    given: Reader | None,
    where: Path,
    found: Findings,
) -> Any:
    kind = rule["kind"]
    if (value := stated[rule["name"]]) is None:
        return value
    if kind == "enum":
        return Named(*ENUMS[rule["enum"]][value])
    if kind == "flags":
        rows = [FLAGS[rule["flags"]][name] for name in value]
        return Named(" | ".join(c for c, _ in rows) or "0", sum(number for _, number in rows))
    if kind in ("host_path", "socket_path"):
        path = absolute(value, directories)
        size, most = len(path.encode("utf-8", "surrogateescape")), LIMITS["socket_path_bytes"]
        if kind == "socket_path" and size > most:
            shorter = "--runtime-dir" if value.startswith((RUNTIME, LAUNCH)) else "path"
            sentence = f"{path} has {size} bytes; a socket's path has {most} at most"
            found.append((where, f"{sentence}: use a shorter {shorter}"))
        return path
    if kind == "env":
        return [
            _variable(name, item, rule, given, (*where, name), found)
            for name, item in value.items()
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
        from krunc_launcher.resolve import contents

        return contents.resolve(value, directories, given, where, found)
    return value  # texts, port_map and u16s are lists already


def _sized(rules: list[dict[str, Any]], args: list[Any]) -> list[Any]:
    """Return ARGS with each content once more in the place of its length."""
    places = {rule["name"]: i for i, rule in enumerate(rules)}
    return [
        args[places[rule["of"]]] if rule["kind"] == "length" else value
        for rule, value in zip(rules, args, strict=True)
    ]


def _variable(
    name: str,
    given_text: str | dict[str, Any],
    rule: dict[str, Any],
    given: Reader | None,
    where: Path,
    found: Findings,
) -> Variable:
    if type(given_text) is not dict:
        return Variable(name, str(given_text))
    from krunc_launcher.plan.secrets import shown

    secret = shown(given_text)
    value = given(given_text, where, found) if given is not None else None
    unsaid: Findings = []
    if value is not None and not text(value, rule, where, unsaid):
        # What was found would show the secret.
        allowed = CHARSETS[rule["charset"]][1] if "charset" in rule else "a string without NUL"
        sentence = f"the value of {plain(secret)} cannot reach the guest; allowed: {allowed}"
        found.append((where, sentence))
    return Variable(name, value or "", secret)
