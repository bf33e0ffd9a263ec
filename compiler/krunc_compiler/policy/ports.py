"""The host ports that a policy allows to publish: on any address of the host, or on one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from krunc_compiler.findings import wording
from krunc_compiler.findings.finding import Finding
from krunc_compiler.policy.paths import spend
from krunc_compiler.policy.way_out import NO_WAY, Found, WayOut, add
from krunc_compiler.review.fact import Fact, Reach

NOUNS = ("TCP port", "UDP port")
# As an address: each IPv4 address that the host has.
_EVERY = "0.0.0.0"
_MOST = 65535


class Ports(NamedTuple):
    """Host ports from `first` to `last`; `address` is the only one that they may be published on,
    None any, also one that the guest's program chooses."""

    address: str | None
    first: int
    last: int

    def allow(self, other: Ports) -> bool:
        """Tell whether OTHER, which is published, is among them."""
        is_on = self.address is None or (
            other.address is not None and self.address in (_EVERY, other.address)
        )
        return is_on and self.first <= other.first and other.last <= self.last


def _ports(written: int | str) -> Ports:
    """Return what a policy has WRITTEN, which fits its schema."""
    address, _, numbers = str(written).rpartition(":")
    first, _, last = numbers.partition("-")
    return Ports(address or None, int(first), int(last or first))


def wrong(policy: dict[str, Any]) -> Iterator[Finding]:
    """Tell which ports of POLICY, which fits its schema, no plan can have: they would allow
    nothing."""
    for i, written in enumerate(policy.get("allow", {}).get("ports", ())):
        found = _wrong(written)
        if found:
            yield found._replace(path=("allow", "ports", i))


def _wrong(written: int | str) -> Finding | None:
    address, first, last = _ports(written)
    on = f"{address}:" if address else ""
    shown = wording.shown(written)
    if first > last:
        message = f"{shown} has no port: FROM is above TO"
        return Finding("KR860", message, hint=f'write "{on}{last}-{first}"')
    if last > _MOST:
        hint = f"write numbers up to {_MOST}"
        return Finding("KR860", f"{shown} has a port above {_MOST}", hint=hint)
    numbers = address.split(".") if address else []
    if any(int(one) > 255 or str(int(one)) != one for one in numbers):
        hint = f"write four numbers up to 255, as in 127.0.0.1:{first}"
        return Finding("KR860", f"{shown} has no IPv4 address", hint=hint)
    return None


def not_allowed(reaches: Iterator[tuple[Fact, Reach]], allowed: list[int | str]) -> Found:
    """Yield what of REACHES publishes a port that is not ALLOWED, each fact once."""
    rules = list(map(_ports, allowed))
    seen = set()
    for fact, reach in reaches:
        if reach.noun not in NOUNS or fact in seen:
            continue
        published = _published(reach)
        spend(len(rules))
        if published is None or not any(rule.allow(published) for rule in rules):
            seen.add(fact)
            yield fact, _way_out(published)


def _published(reach: Reach) -> Ports | None:
    """Return the host port of REACH, HOST:GUEST and `on ADDRESS` where the host's side has one;
    None for all ports, and for what cannot be read."""
    pair, _, address = str(reach.target or "").partition(" on ")
    number = pair.partition(":")[0]
    if not (number.isascii() and number.isdigit()):
        return None
    return Ports(address or None, int(number), int(number))


def _way_out(published: Ports | None) -> WayOut:
    if published is None:
        return NO_WAY
    if published.address is None:
        return WayOut("add", (str(published.first),))
    return add(f"{published.address}:{published.first}")
