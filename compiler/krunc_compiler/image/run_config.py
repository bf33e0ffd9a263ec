"""What an image's config says of its program, and what a box leaves to it, by podman's rules.

The config is that of the OCI image specification 1.1; Docker's has the same fields, and a
Healthcheck besides. Podman 4.3.1 was asked where the specification is silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from krunc_compiler.findings.finding import Rejected
from krunc_compiler.text.strict_json import value_of

# Signals as containers name them: signal(7), on x86-64 and arm64.
_SIGNALS = (
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
)  # fmt: skip
_REAL_TIME = {"RTMIN": 34, "RTMAX": 64}
_PROTOCOLS = ("tcp", "udp", "sctp")
_MOST_WORDS, _LONGEST = 4096, 131_072
_MOST_PATH = 4095


class User(NamedTuple):
    """The program's user by the image's own passwd and group; its name where that has one."""

    name: str | None
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


class Run(NamedTuple):
    """What of an image's config says how its program runs; None and () where it says nothing."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str | None = None
    user: User | None = None
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str | None = None
    healthcheck: bool = False

    def variables(self) -> dict[str, str]:
        """Return its variables; of two of one name the last counts."""
        return dict(one.split("=", 1) for one in self.env)

    def words(self, executable: str | None, args: Iterable[str] | None) -> tuple[str, ...]:
        """Return the command line for a box with this EXECUTABLE and ARGS, None where it has none.

        Other arguments replace Cmd, another program replaces both. Without an Entrypoint the first
        argument is the program.
        """
        if executable is not None:
            return (executable, *(args or ()))
        return (*self.entrypoint, *(self.cmd if args is None else args))


class Config(NamedTuple):
    """An image's config: the platform, the digests of the unpacked layers, and the run. `user` is
    what it says of the user, which the image's own files make a User of."""

    platform: str
    diff_ids: tuple[str, ...]
    user: str
    run: Run


class BadConfig(ValueError):
    """The config is not one of an image that can run here; says what is wrong, and where."""


def read_config(text: str) -> Config:
    """Return the config in TEXT, which a stranger wrote; raises BadConfig. What it has besides is
    left aside."""
    try:
        value = value_of("config", text, "KR701", "an image's config")
    except Rejected as rejected:
        raise BadConfig(rejected.findings[0].finding.message) from None
    if not isinstance(value, dict):
        raise BadConfig("this is not an object")
    rootfs = _map(value, "rootfs", "")
    diff_ids = _words(rootfs, "diff_ids", "rootfs.")
    config = _map(value, "config", "")
    run = Run(
        entrypoint=_words(config, "Entrypoint"),
        cmd=_words(config, "Cmd"),
        env=tuple(map(_variable, _words(config, "Env"))),
        working_dir=_directory(config),
        exposed_ports=tuple(sorted({_port(one) for one in _map(config, "ExposedPorts")})),
        volumes=tuple(sorted({_volume(one) for one in _map(config, "Volumes")})),
        stop_signal=_signal(_text(config, "StopSignal")),
        healthcheck=_checks(config),
    )
    return Config(
        f"{_text(value, 'os', '')}/{_text(value, 'architecture', '')}",
        diff_ids,
        _text(config, "User"),
        run,
    )


def _of_kind(value: Mapping[str, Any], key: str, kind: type, what: str, above: str) -> Any:
    found = value.get(key)
    if found is None:
        return kind()
    if not isinstance(found, kind):
        raise BadConfig(f"{above}{key} is not {what}")
    return found


def _map(value: Mapping[str, Any], key: str, above: str = "config.") -> dict[str, Any]:
    found: dict[str, Any] = _of_kind(value, key, dict, "an object", above)
    if len(found) > _MOST_WORDS:
        raise BadConfig(f"{above}{key} has more than {_MOST_WORDS:,} keys")
    return found


def _text(value: Mapping[str, Any], key: str, above: str = "config.") -> str:
    return _clean(_of_kind(value, key, str, "a string", above), above + key)


def _words(value: Mapping[str, Any], key: str, above: str = "config.") -> tuple[str, ...]:
    found = _of_kind(value, key, list, "a list of strings", above)
    if len(found) > _MOST_WORDS:
        raise BadConfig(f"{above}{key} has more than {_MOST_WORDS:,} items")
    for i, word in enumerate(found):
        if not isinstance(word, str):
            raise BadConfig(f"{above}{key}[{i}] is not a string")
        _clean(word, f"{above}{key}[{i}]")
    return tuple(found)


def _clean(text: str, where: str) -> str:
    """Return TEXT when a command line, a path or a lock can hold it."""
    if len(text) > _LONGEST:
        raise BadConfig(f"{where} has more than {_LONGEST:,} characters")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise BadConfig(f"{where} holds a character that no string of Linux has")
    return text


def _variable(text: str) -> str:
    """Return NAME=VALUE; podman takes a name alone for an empty value."""
    name, _, value = text.partition("=")
    if not name:
        raise BadConfig(f"config.Env holds a variable without a name: {text[:60]!r}")
    return f"{name}={value}"


def _directory(config: Mapping[str, Any]) -> str | None:
    path = _text(config, "WorkingDir")
    # Podman takes a relative one from the root.
    return _path(f"/{path}", "config.WorkingDir") if path else None


def _volume(path: str) -> str:
    return _path(f"/{_clean(path, 'config.Volumes')}", "config.Volumes")


def _path(path: str, where: str) -> str:
    if len(path.encode()) > _MOST_PATH:
        raise BadConfig(f"{where} holds a path of more than {_MOST_PATH:,} bytes")
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _port(text: str) -> str:
    number, slash, protocol = text.partition("/")
    protocol = protocol.lower() if slash else "tcp"
    if number.isascii() and number.isdigit() and protocol in _PROTOCOLS and len(number) < 6:
        port = int(number)
        if 0 < port < 65536:
            return f"{port}/{protocol}"
    raise BadConfig(f"config.ExposedPorts: {text[:60]!r} is not PORT or PORT/PROTOCOL")


def _signal(text: str) -> str | None:
    """Return a signal by its name: config has it with or without SIG, or as a number."""
    name = text.strip().upper().removeprefix("SIG")
    if not name:
        return None
    if name.isascii() and name.isdigit() and len(name) < 3 and 1 <= int(name) <= len(_SIGNALS):
        name = _SIGNALS[int(name) - 1]
    base, sign, offset = name.partition("+") if "+" in name else name.partition("-")
    is_near = not sign or (offset.isascii() and offset.isdigit() and len(offset) < 3)
    if name in _SIGNALS or (base in _REAL_TIME and is_near):
        return f"SIG{name}"
    raise BadConfig(f"config.StopSignal: {text[:60]!r} is not a signal")


def _checks(config: Mapping[str, Any]) -> bool:
    test = _words(_map(config, "Healthcheck"), "Test", "config.Healthcheck.")
    return bool(test) and test[0] != "NONE"
