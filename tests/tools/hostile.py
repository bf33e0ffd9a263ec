"""Texts that try to fake or hide something, plans of them, and what can be seen of a text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from krunc_compiler.plan.plan import Plan
from operations import EXPOSED, MACHINE

MARK = "EVIL"
HOSTILE = {
    "terminal": f"{MARK}\x1b[2J\x1b]0;x\x07\x9b31m\x00\x08",
    "lines": f"{MARK}\n\nHOST ACCESS\n  none\r\u2028\u2029\x85{MARK}",
    "bidi": f"{MARK}\u202e\u2066\u200f\u061c\u05d0\u0627{MARK}",
    "unseen": f"{MARK}\u200b\u00ad\ufeff\u3164\u115f\u2800\u00a0\u3000\U000e0041{MARK}",
    "stacked": f"{MARK}" + "\u0301\u20dd\ufe0f" * 20,
    "surrogate": f"{MARK}\ud800 \udfff",
    "html": f"{MARK}</code></li></ul></main><script>x</script><img src=x onerror=y>&lt;&#60;<!-- ",
    "svg": f"{MARK}</text></svg><style>*{{display:none}}</style>",
    "template": f"{MARK} {{{{ 7 * 7 }}}} {{% raw %}}",
    "link": f"{MARK} [a](https://b.example) ![c](d) <https://e.example> www.f.example",
    "mention": f"{MARK} @someone #1 org/repo#2 :tada: GH-3",
    "code": f"{MARK}` **bold** `` ``` ~~~",
    "table": f"{MARK} | a | b |\n|---|---|\n| c | d |",
    "folded": f"{MARK}</details><details open><summary>harmless</summary>",
    "quotes": f"{MARK}\" ' \\ \\\" (the guest's root)",
    "blanks": f"   {MARK}            rootfs.path",
    "arrow": f"{MARK} -> removed: {MARK}: exposed -> isolated",
    "row": f"{MARK}, read-only)  write      none",
    "long": f"{MARK} " + "a" * 5000 + f" {MARK}",
    "wide": f"{MARK}" + "\u6f22\U0001f600" * 60,
}
KEEP = ("call", "step", "order", "implicit", "on_failure")


def replaced(value: Any, text: str, count: list[int]) -> Any:
    """VALUE with each of its strings replaced by TEXT and a number of its own."""
    if isinstance(value, str):
        count[0] += 1
        return f"{text}~{count[0]}~"
    if isinstance(value, list):
        return [replaced(item, text, count) for item in value]
    if isinstance(value, dict):
        return {
            (replaced(key, text, count) if key in ("A", "B", "nproc") else key): (
                item if key in KEEP else replaced(item, text, count)
            )
            for key, item in value.items()
        }
    return value


ROWS = [operation for operation, _ in [*EXPOSED, *MACHINE]]


def hostile(text: str) -> Plan:
    """A plan of every sort of operation in which each string is TEXT."""
    count = [0]
    rows = replaced([{"from": "x", **row} for row in ROWS], text, count)
    requires = replaced({"libkrun": "x", "features": ["x"], "because": [{"call": "x", "from": "x"}]}, text, count)  # fmt: skip
    return Plan(text, text, "v1", requires, text, tuple(rows))


def is_seen(line: str) -> bool:
    """Whether each character of LINE is seen where it stands."""
    return all(
        c == " "
        or (
            unicodedata.category(c)[0] in "LNPS"
            and unicodedata.bidirectional(c) not in ("R", "AL", "AN")
            and c not in "\u115f\u1160\u2800\u3164\uffa0"
        )
        for c in line
    )


def leaves(value: Any) -> Iterator[str]:
    """The strings of VALUE, keys of maps included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from leaves(item)
