"""What a Compose service has of others in its file, by `extends`."""

from __future__ import annotations

from typing import Any

from krunc_compiler.importing.compose_values import pairs
from krunc_compiler.importing.draft import OUTSIDE, At, Draft

_MOST = 32
_MAPS = ("environment", "labels", "annotations", "sysctls")
# What stands in one place only: the later value replaces.
_REPLACED = ("command", "entrypoint")
# Compose does not take these from the service that is extended.
_OWN = ("extends", "depends_on", "links", "volumes_from", "profiles")


def extended(services: dict[str, Any], name: str, draft: Draft) -> dict[str, Any]:
    """Return the service NAME with all that it extends; what cannot be followed is told."""
    chain = [name]
    while True:
        at = At("extends", ("services", chain[-1], "extends"))
        given = services[chain[-1]].get("extends")
        if given is None:
            break
        base = given if isinstance(given, str) else given.get("service")
        if isinstance(given, dict) and given.get("file"):
            hint = "`docker compose config --no-interpolate` writes all in one file: import that"
            draft.wrong(at, "what another file says is not known here", hint, OUTSIDE)
            break
        if base not in services:
            draft.wrong(at, f"no service is called {base!r}", f"services: {', '.join(services)}")
            break
        if base in chain or len(chain) == _MOST:
            draft.wrong(at, "the services extend each other without end", "leave one extends out")
            break
        chain.append(base)
    whole: dict[str, Any] = {}
    for one in reversed(chain):
        whole = _merged(whole, services[one])
    return {key: value for key, value in whole.items() if key != "extends"}


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return BASE with OVER laid on top, as Compose merges services."""
    result = {key: value for key, value in base.items() if key not in _OWN}
    for key, value in over.items():
        result[key] = _laid(key, result[key], value) if key in result else value
    return result


def _laid(key: str, low: Any, high: Any) -> Any:
    if key in _MAPS and low is not None and high is not None:
        return {name: value for one in (low, high) for _, name, value in pairs(one)}
    if key in _REPLACED:
        return high
    if key == "volumes":
        targets = {_target(one) for one in high or ()}
        return [*(one for one in low or () if _target(one) not in targets), *(high or ())]
    if isinstance(low, list) and isinstance(high, list):
        seen = set(map(repr, low))
        return [*low, *(one for one in high if repr(one) not in seen)]
    if isinstance(low, dict) and isinstance(high, dict):
        return {**low, **{k: _laid(k, low[k], v) if k in low else v for k, v in high.items()}}
    return high


def _target(volume: Any) -> Any:
    if isinstance(volume, dict):
        return volume.get("target")
    parts = str(volume).split(":")
    return parts[1] if len(parts) > 1 else parts[0]
