"""What each value of a Compose service does to a box."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any

from krunc_compiler.importing import amounts, docker_values, program, storage
from krunc_compiler.importing import network as networks
from krunc_compiler.importing.draft import At, Draft, shown
from krunc_compiler.importing.reasons import REASONS

_SHOWN = 60
Act = Callable[[Draft, At, Any], None]


def text_of(value: Any) -> str:
    """Return VALUE as Compose takes a scalar for a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _named(at: At, text: str) -> At:
    """Return AT, whose name says TEXT, too."""
    return at._replace(name=f"{at.name} {text}") if len(text) < _SHOWN else at


def _as_text(act: Callable[[Draft, At, str], None]) -> Act:
    """Return what hands a scalar to ACT as a string."""
    return lambda draft, at, value: act(draft, at, text_of(value))


def _each(act: Callable[[Draft, At, str], None]) -> Act:
    """Return what hands each string of a list, or the one string, to ACT."""

    def every(draft: Draft, at: At, value: Any) -> None:
        if not isinstance(value, list):
            act(draft, at, text_of(value))
            return
        for i, one in enumerate(value):
            act(draft, _named(at.below(i), text_of(one)), text_of(one))

    return every


name, hostname, mac, platform, user, workdir = map(
    _as_text,
    (
        docker_values.name,
        program.set_hostname,
        networks.set_mac,
        program.set_platform,
        program.set_user,
        program.set_workdir,
    ),
)
stop_signal, cpus = _as_text(program.set_stop_signal), _as_text(docker_values.cpus)
network_mode, namespace = _as_text(networks.set_network), _as_text(docker_values.namespace)
memory, pids = _as_text(docker_values.memory), program.set_pids
dns, security = _each(networks.add_dns), _each(docker_values.security)
tmpfs = _each(storage.add_tmpfs)


def grace(draft: Draft, at: At, value: Any) -> None:
    """Give the program so much time to end."""
    time = amounts.seconds(value)
    if time is None:
        draft.wrong(at, f"{shown(text_of(value))} is not a time", "write it as in 30s or 1m30s")
    else:
        program.set_grace(draft, at, time)


def _on(draft: Draft, at: At, value: Any) -> bool:
    is_on = amounts.switch(value)
    if is_on is None:
        message = f"expected true or false, got {shown(text_of(value))}"
        draft.wrong(at, message, "write true or false")
    return bool(is_on)


def read_only(draft: Draft, at: At, value: Any) -> None:
    """Let the guest change nothing in its root."""
    if _on(draft, at, value):
        draft.rootfs["read_only"] = True


def privileged(draft: Draft, at: At, value: Any) -> None:
    """Tell that the host is not opened."""
    if _on(draft, at, value):
        draft.note(at, REASONS["privileged"])


def _words(draft: Draft, at: At, value: Any) -> list[str] | None:
    """Return a command's words; None where the image's own is meant."""
    if value is None:
        return None
    if isinstance(value, list):
        return [text_of(one) for one in value]
    try:
        return shlex.split(text_of(value))
    except ValueError as error:
        message = f"the words are not distinct: {str(error).lower()}"
        draft.wrong(at, message, "write a list of words")
        return None


def command(draft: Draft, at: At, value: Any) -> None:
    """Give the program these arguments."""
    draft.command = _words(draft, at, value)


def entrypoint(draft: Draft, at: At, value: Any) -> None:
    """Run another program than the image's."""
    draft.entrypoint = _words(draft, at, value)


def pairs(value: Any) -> Iterator[tuple[str | int, str, Any]]:
    """Yield the names and values of a map, or of a list of NAME=VALUE, each with its part; None
    where there is a name alone."""
    if isinstance(value, dict):
        yield from ((key, key, one) for key, one in value.items())
    else:
        for i, one in enumerate(value or ()):
            key, sign, rest = text_of(one).partition("=")
            yield i, key, rest if sign else None


def labels(draft: Draft, at: At, value: Any) -> None:
    """Keep labels."""
    for part, key, one in pairs(value):
        program.add_label(draft, at.below(part), key, text_of(one))


def hosts(draft: Draft, at: At, value: Any) -> None:
    """Name addresses."""
    if isinstance(value, dict):
        for key, one in value.items():
            for address in one if isinstance(one, list) else [one]:
                networks.name_host(draft, at.below(key), key, text_of(address))
    else:
        _each(networks.add_host)(draft, at, value)


def ulimits(draft: Draft, at: At, value: dict[str, Any]) -> None:
    """Bound what the program uses."""
    for key, one in value.items():
        soft = one.get("soft", one.get("hard")) if isinstance(one, dict) else one
        hard = one.get("hard", one.get("soft")) if isinstance(one, dict) else one
        program.set_limit(draft, at.below(key), key, soft, hard)


def ports(draft: Draft, at: At, value: list[Any]) -> None:
    """Publish ports."""
    for i, one in enumerate(value):
        where = at.below(i)
        if not isinstance(one, dict):
            networks.add_port(draft, _named(where, text_of(one)), text_of(one))
            continue
        address, host = text_of(one.get("host_ip")), text_of(one.get("published"))
        guest, protocol = text_of(one.get("target")), text_of(one.get("protocol", "tcp"))
        whole = f"{address}:{host}:{guest}/{protocol}".lstrip(":")
        networks.publish(draft, where, address, host, guest, protocol, whole)


def volumes(draft: Draft, at: At, value: list[Any]) -> None:
    """Mount volumes, binds and tmpfs."""
    for i, one in enumerate(value):
        where = at.below(i)
        if not isinstance(one, dict):
            storage.add_volume(draft, _named(where, text_of(one)), text_of(one))
            continue
        kind, target = text_of(one.get("type")), text_of(one.get("target"))
        source, only = text_of(one.get("source")), _on(draft, where, one.get("read_only", False))
        more = one.get(kind) if isinstance(one.get(kind), dict) else {}
        rest = [key for key in (more or {}) if key not in ("size", "mode", "create_host_path")]
        if kind == "tmpfs":
            text = _mode(draft, where, (more or {}).get("mode"))
            storage.make_tmpfs(draft, where, target, (more or {}).get("size"), text, rest)
        elif kind in ("bind", "volume"):
            if kind == "bind" and not source:
                draft.wrong(where, "the bind has no source", "write source: PATH")
                continue
            storage.add_mount(draft, where, kind, source, target, only, rest)
        else:
            said = f"a mount of type {shown(kind)} has no counterpart: {shown(target)} omitted"
            draft.note(where, said)


def _mode(draft: Draft, at: At, value: Any) -> str:
    """Return a mode in octal digits. YAML 1.2 has 0755 as the number of these digits, and 0o755 as
    another, where older YAML has both as the second."""
    if not isinstance(value, int) or isinstance(value, bool):
        return text_of(value)
    ways = [one for one in (str(value), f"{value:o}") if storage.MODE.fullmatch(one)]
    if len(ways) > 1:
        draft.note(at, f"the mode is taken as {ways[0]}; put it in quotes to be sure")
    return ways[0] if ways else str(value)


def deploy(draft: Draft, at: At, value: dict[str, Any]) -> None:
    """Take the limits of resources."""
    acts: dict[str, Act] = {"cpus": cpus, "memory": memory, "pids": pids}
    for key, one in value.items():
        if key != "resources":
            draft.note(at.below(key), "krunc starts one VM of a box: matrix makes several")
            continue
        for part, inner in (one or {}).items():
            if part != "limits":
                draft.note(at.below(key).below(part), REASONS["memory_reserve"])
                continue
            for limit, amount in (inner or {}).items():
                where = at.below(key).below(part).below(limit)
                if limit in acts:
                    acts[limit](draft, where, amount)
                else:
                    draft.note(where, "it has no counterpart")
