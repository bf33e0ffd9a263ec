"""The guest's program: its arguments, its environment, its limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from krunc_schema import load

from krunc_compiler import libkrun as api
from krunc_compiler.review.fact import Fact, Reach, Row
from krunc_compiler.review.words import word


def executed(row: Row) -> Iterator[Fact]:
    """krun_set_exec; the stage's own is no program of the box."""
    if row.is_staged() and [row.args["exec_path"], *row.args["argv"]] == load("orders")["program"]:
        return
    yield row.fact("program", "program", command([row.args["exec_path"], *row.args["argv"]]))
    yield from environment(row, row.args["envp"])


def program(
    row: Row, process: dict[str, Any], where: str | None, seen: str | None
) -> Iterator[Fact]:
    """Yield a program in a configuration file: that which runs, or, WHERE, one that something may
    run.

    SEEN is where in the guest the file can still be read.
    """
    text = command(process.get("args", []))
    if where is None:
        yield row.fact("program", "program", text)
        if process.get("cwd") is not None:
            yield row.fact("workdir", "workdir", word(process["cwd"]))
    yield from environment(row, process.get("env") or {}, seen)


def command(args: list[str]) -> str:
    """Return a program with its arguments."""
    return " ".join(map(word, args)) or "none is named"


_SECRETS = {
    "from_env": ("variable", "the launcher's"),
    "from_file": ("file", "the file"),
    "from_fd": ("descriptor", "the launcher's file descriptor"),
}


# Where libkrun puts the variables of its calls: every process of the guest can read it.
COMMAND_LINE = "the guest's /proc/cmdline"


def environment(row: Row, env: dict[str, Any], seen: str | None = COMMAND_LINE) -> Iterator[Fact]:
    """Variables; one that the launcher fetches is a secret. SEEN is where the guest can read it."""
    for name, value in env.items():
        subject = ("variable", name)
        if isinstance(value, str):
            yield row.fact("env", subject, f"{word(name)}={word(value)}")
            continue
        ((kind, source),) = value.items()
        what, text = _SECRETS[kind]
        yield row.fact("env", subject, f"{word(name)} from {text} {word(str(source))}")
        text = f"{what} {word(str(source))} as {word(name)}"
        text += f" (in {seen})" if seen else ""
        reach = [Reach("secret", what, str(source))]
        reach += [Reach("show", seen, str(source))] if seen else []
        yield row.fact("secret", subject, text, *reach)


def replaced_environment(row: Row) -> Iterator[Fact]:
    """krun_set_env."""
    yield from environment(row, row.args["envp"])


def of_the_root(row: Row) -> Iterator[Fact]:
    """Yield no call names a program."""
    text = "what the root's own file /.krun_config.json names, or a shell"
    yield row.fact("program", "program", text)


def workdir(row: Row) -> Iterator[Fact]:
    """Yield the working directory, but that of the stage."""
    if row.is_staged() and row.args["workdir_path"] == "/":
        return
    yield row.fact("workdir", "workdir", word(row.args["workdir_path"]))


def _is_below(limit: str, least: int) -> bool:
    """Tell whether LIMIT, a text of which a plan may make anything, is a number below LEAST."""
    soft = limit.partition(":")[0]
    # No limit has more digits: it is 64 bits wide.
    return re.fullmatch("[0-9]{1,20}", soft) is not None and int(soft) < least


def limits(row: Row) -> Iterator[Fact]:
    """Limits inside the guest: they protect nothing of the host. libkrun's init starts the program
    as root, which some do not hold (tests/boot/test_claims.py boots NPROC)."""
    rlimits = row.args["rlimits"]
    spared = api.limits_that_spare_root()
    needed = api.limits_of_init(api.table()["eras"][row.api]["family"])
    text = ", ".join(
        f"{word(name)} {word(limit)}"
        + (" (does not hold the guest's root)" if row.as_root and name in spared else "")
        + (" (no program starts)" if _is_below(limit, needed.get(name, 0)) else "")
        for name, limit in rlimits.items()
    )
    yield row.fact("limits", "limits", text or "the guest kernel's")
