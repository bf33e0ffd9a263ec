"""One argument of a plan against its rule in the tables: exact types, ranges, characters."""

from __future__ import annotations

from krunc_launcher._rules import ENUMS, FLAGS, KINDS, NAMES, RESERVED_ENV
from krunc_launcher.errors import shown
from krunc_launcher.plan.text import fits, host_path, is_name, is_whole, lies_in, numbers, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from krunc_launcher.plan.text import Findings, Path


_REFUSED = {"", ".", ".."}


def check(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    """Append to FOUND what is wrong with VALUE, which stands at PATH."""
    if value is None and rule.get("nullable"):
        return
    _CHECKS[rule["kind"]](value, rule, path, found)


def _int(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    low, high = rule["min"], rule["max"]
    if type(value) is not int or not low <= value <= high:
        unit = rule.get("unit", "")
        found.append((path, f"found {shown(value)}; allowed: {low} to {high} {unit}".rstrip()))


def _bool(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    if type(value) is not bool:
        found.append((path, f"found {shown(value)}; allowed: true, false"))


def _enum(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    names = ENUMS[rule["enum"]]
    if type(value) is not str or value not in names:
        found.append((path, f"found {shown(value)}; allowed: {', '.join(names)}"))


def _flags(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    names = rule.get("only") or list(FLAGS[rule["flags"]])
    if not _holds(value, list, path, found):
        return
    for i, name in enumerate(value):
        if type(name) is not str or name not in names:
            found.append(((*path, i), f"found {shown(name)}; allowed: {', '.join(names)}"))
        elif name in value[:i]:
            found.append(((*path, i), f"{name} is here twice"))


def _holds(value: Any, held: type[Any], path: Path, found: Findings, most: int = 4096) -> bool:
    """Check that VALUE is a list or an object, as HELD says, with MOST items; tell whether so."""
    what, items = ("a list", "items") if held is list else ("an object", "entries")
    if type(value) is not held:
        found.append((path, f"found {shown(value)}; expected {what}"))
    elif len(value) > most:
        found.append((path, f"found {len(value)} {items}; at most {most}"))
    else:
        return True
    return False


def _texts(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    if _holds(value, list, path, found, rule["max_items"]):
        for i, item in enumerate(value):
            text(item, rule, (*path, i), found)
            if type(item) is str and item in rule.get("refused", ()):
                found.append(((*path, i), f"{shown(item)} ends the list: the guest drops the rest"))


def _env(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    if not _holds(value, dict, path, found, rule["max_items"]):
        return
    for name, item in value.items():
        where = (*path, name)
        if "free_names" in rule:  # nothing but the program reads them
            if not fits(name, KINDS["free_variable"]):
                form = KINDS["free_variable"]["form"]
                found.append((where, f"{shown(name)} is not a name of a variable; allowed: {form}"))
        elif not is_name(name):
            found.append((where, f"{shown(name)} is not a name of a variable"))
        elif name.startswith(tuple(RESERVED_ENV["prefixes"])) or name in RESERVED_ENV["kernel"]:
            found.append((where, f"the guest's kernel or init reserves {name}"))
        if type(item) is dict:
            from krunc_launcher.plan import secrets

            secrets.check(item, where, found)
        else:
            text(item, rule, where, found)


def _rlimits(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    if not _holds(value, dict, path, found):
        return
    names, kind = ENUMS[rule["enum"]], KINDS["limit"]
    for name, limit in value.items():
        where = (*path, name)
        if name not in names:
            found.append((where, f"{shown(name)} is not a limit; allowed: {', '.join(names)}"))
        both = numbers(limit, kind)
        if both is None:
            found.append((where, f"found {shown(limit)}; allowed: {kind['form']}"))
        elif both[0] > both[1]:
            found.append((where, f"the soft limit of {limit} is above the hard one"))


def _ports(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    """Check pairs of ports, each of which stands once on its side. Those of passt have an address
    before them, and stand once on the host's side whatever that is."""
    if not _holds(value, list, path, found, rule["max_items"]):
        return
    published = rule["kind"] == "published"
    kind, earlier = ("published", "one") if published else ("port_pair", "pair")
    seen: set[tuple[int, int]] = set()
    for i, item in enumerate(value):
        address, pair = "", item
        if published and type(item) is str:
            address, _, pair = item.partition(":")
        ports = numbers(pair, KINDS["port_pair"])
        if ports is None or (published and not fits(address, KINDS["ipv4"])):
            found.append(((*path, i), f"found {shown(item)}; allowed: {KINDS[kind]['form']}"))
            continue
        for side in (0,) if published else (0, 1):
            if (side, ports[side]) in seen:
                found.append(((*path, i), f"port {ports[side]} is in an earlier {earlier}"))
            seen.add((side, ports[side]))


def _form(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    """Check a text of the kind that RULE names."""
    kind = KINDS[rule["kind"]]
    if not fits(value, kind):
        why = f"; {kind['why']}" if "why" in kind else ""
        found.append((path, f"found {shown(value)}; allowed: {kind['form']}{why}"))


def _fd(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    names = rule["named"]
    if type(value) is dict:
        if list(value) != ["opened"] or type(value["opened"]) is not str:
            found.append((path, 'allowed: {"opened": NAME}'))
    elif not (type(value) is str and value in names) and not is_whole(value, KINDS["descriptor"]):
        allowed = ", ".join([*names, KINDS["descriptor"]["form"], '{"opened": NAME}'])
        found.append((path, f"found {shown(value)}; allowed: {allowed}"))


def _bytes(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    from krunc_launcher.plan import contents

    contents.check(value, path, found)


def _u16s(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    kind = KINDS["queue_size"]
    if _holds(value, list, path, found, kind["max_items"]):
        for i, item in enumerate(value):
            _int(item, kind, (*path, i), found)


def counted(args: dict[str, Any], rule: dict[str, Any], path: Path, found: Findings) -> None:
    """Check a list of which another argument tells C the length: C would read beyond it."""
    items, count = args[rule["name"]], args.get(rule["count"])
    if count == 0 and items[-1:] != [0]:
        found.append((path, f"expected a 0 at the end where {rule['count']} is 0"))
    if count and len(items) != count:
        found.append((path, f"found {len(items)} items; {rule['count']} says {count}"))


def _text(value: Any, rule: dict[str, Any], path: Path, found: Findings) -> None:
    whole = text(value, rule, path, found)
    if whole and "path" in rule and value != "/" and not _REFUSED.isdisjoint(value.split("/")[1:]):
        found.append((path, f"found {shown(value)}; no part of it is empty, '.' or '..'"))
    if whole and "outside" in rule and (value == "/" or lies_in(value, NAMES["guest_own"].split())):
        found.append((path, f"found {shown(value)}; the guest's own are / {NAMES['guest_own']}"))
    for name in rule["not_of"].split() if whole and "not_of" in rule else ():
        if value in NAMES[name].split():
            found.append((path, f"found {shown(value)}; {NAMES[f'{name}_why']}"))


_CHECKS: dict[str, Callable[[Any, dict[str, Any], Path, Findings], None]] = {
    "int": _int,
    "bool": _bool,
    "enum": _enum,
    "flags": _flags,
    "text": _text,
    "texts": _texts,
    "env": _env,
    "rlimits": _rlimits,
    "port_map": _ports,
    "ipv4": _form,
    "digest": _form,
    "published": _ports,
    "mac": _form,
    "fd": _fd,
    "host_path": host_path,
    "socket_path": host_path,
    "bytes": _bytes,
    "u16s": _u16s,
}
