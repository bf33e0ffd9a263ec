"""The declarative policy: what plans may reach and be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from krunc_compiler.box.from_value import seconds
from krunc_compiler.box.storage_from_value import mebibytes
from krunc_compiler.files.hostpath import holds_devices
from krunc_compiler.findings.finding import Finding
from krunc_compiler.findings.report import is_blank
from krunc_compiler.policy import ports
from krunc_compiler.policy.paths import allows, named, spend
from krunc_compiler.policy.roots import image_tags, images, is_root_image, roots
from krunc_compiler.policy.way_out import NO_WAY, Found, Place, WayOut, add, for_path, write
from krunc_compiler.review.fact import Fact, Reach
from krunc_compiler.review.summary import Review
from krunc_compiler.review.words import bare, plain, words

_NETWORKS = {
    "TSI": "tsi",
    "TSI to localhost": "tsi",
    "TSI to 169.254.0.0/16": "tsi",
    "TSI resolver": "tsi",
    "TSI for Unix": "tsi_unix",
    "stream socket": "unixstream",
    "datagram socket": "unixgram",
    "tap": "tap",
    "descriptor": "descriptor",
    "passt": "passt",
    "passt to localhost": "passt_localhost",
    "passt program": "passt_program",
}


def judge(policy: dict[str, Any], review: Review, place: Place) -> Iterator[Finding]:
    """Tell what of a plan POLICY, which fits its schema, does not allow."""
    name = review.value["box"]
    if not named(name, [policy.get("boxes", "*")]):
        return
    allow = policy.get("allow", {})
    for key, asks in _ASKS.items():
        if key in allow:
            for fact, way_out in asks(review, allow[key], place):
                # Where images are judged, the root that is one is not judged as a path.
                if not (key == "roots" and "images" in allow and is_root_image(review, fact)):
                    yield _finding(f"allow.{key}", allow[key], fact, way_out.words(place))
    if "timeout" in allow:
        yield from _timeout(review, allow["timeout"], place)
    if "names" in allow and not named(name, [allow["names"]]):
        yield Finding(
            "KR501",
            f"the box is called {bare(name)}",
            ("box",),
            f"allow.names: {bare(allow['names'])}",
        )
    labels = review.value.get("labels", {})
    for label in policy.get("labels", ()):
        if label not in labels:
            yield Finding("KR501", f"the box has no label {bare(label)}", (), f"labels: {label}")
        elif is_blank(labels[label]):
            text = f"this label shows nothing: {bare(labels[label])}"
            yield Finding("KR501", text, ("labels", label), f"labels: {label}")
    for fact in review.isolation:
        if fact.subject[0] in policy.get("isolation", ()) and not fact.held:
            less = WayOut("remove", (fact.subject[0],)).words(place)
            yield _finding("isolation", [fact.subject[0]], fact, less)


def rule_of(finding: Finding) -> str:
    """Return the rule that FINDING is about, as a waiver names it: allow.writes,
    isolation.kernel."""
    key, _, limit = finding.hint.partition(": ")
    # Of isolations, which have no such mark in their names, how to allow it follows.
    limit = limit.partition(";")[0] if key == "isolation" else limit
    return key if key.startswith("allow.") else f"{key}.{limit}"


def _finding(key: str, value: Any, fact: Fact, way_out: str) -> Finding:
    path = ("operations", fact.operation) if fact.operation is not None else ("operations",)
    limit = value
    if isinstance(value, list):
        limit = plain(words(list(map(str, value)))) or "nothing"
    return Finding("KR501", f"{fact.kind}: {fact.text}", path, f"{key}: {limit}{way_out}")


Asks = Callable[[Review, Any, Place], Found]


def _reaches(review: Review, *verbs: str) -> Iterator[tuple[Fact, Reach]]:
    for fact in review.facts():
        if fact.kind != "isolation":
            yield from ((fact, reach) for reach in sorted(fact.reach, key=repr)
                        if reach.verb in verbs)  # fmt: skip


def _writes(review: Review, paths: list[str], place: Place) -> Found:
    seen = set()
    for fact, reach in _reaches(review, "write", "admit"):
        is_read = (reach.verb, reach.noun) == ("admit", "read")
        if not is_read and fact not in seen and not _is_allowed(reach, paths, place):
            seen.add(fact)
            yield fact, for_path(reach.target)


def _reads(review: Review, paths: list[str], place: Place) -> Found:
    seen = set()
    for fact, reach in _reaches(review, "read", "admit"):
        if (
            fact.kind in ("read", "vmm-only")
            and fact not in seen
            and not _is_allowed(reach, paths, place)
        ):
            seen.add(fact)
            yield fact, for_path(reach.target)


def _is_allowed(reach: Reach, paths: list[str], place: Place) -> bool:
    return allows(reach.target, place.plan, paths, place.policy)


def _sockets(review: Review, paths: list[str], place: Place) -> Found:
    for fact, reach in _reaches(review, "listen", "connect"):
        if reach.noun not in ports.NOUNS and not _is_allowed(reach, paths, place):
            yield fact, for_path(reach.target)
    for fact, reach in _reaches(review, "network"):
        # The guest connects to whatever socket of the host it names.
        if reach.noun == "TSI for Unix" and not allows("/", place.plan, paths, place.policy):
            yield fact, for_path("/")


def _networks(review: Review, modes: list[str], place: Place) -> Found:
    missing: dict[Fact, set[str | None]] = {}
    for fact, reach in _reaches(review, "network"):
        mode = _NETWORKS.get(reach.noun)
        if mode not in modes:
            missing.setdefault(fact, set()).add(mode)
    for fact, modes_missing in missing.items():
        # What krunc has no name for, no policy allows.
        known = None not in modes_missing
        names = (mode for mode in dict.fromkeys(_NETWORKS.values()) if mode in modes_missing)
        yield fact, add(*names) if known else NO_WAY


def _ports(review: Review, allowed: list[int | str], place: Place) -> Found:
    return ports.not_allowed(_reaches(review, "listen"), allowed)


def _secrets(review: Review, names: list[str], place: Place) -> Found:
    for fact, reach in _reaches(review, "secret"):
        target = str(reach.target)
        is_path = reach.noun == "file"
        fits = _is_path_of(target, names, place) if is_path else named(target, names)
        if not fits:
            yield fact, for_path(target) if is_path else add(target)


def _is_path_of(path: str, names: list[str], place: Place) -> bool:
    """Tell whether PATH is one that NAMES, of which those with a / are paths, allow."""
    spend(len(names))
    paths = [name for name in names if "/" in name]
    return "*" in names or allows(path, place.plan, paths, place.policy)


def _devices(review: Review, names: list[str], place: Place) -> Found:
    seen = set()
    for fact, reach in _reaches(review, "device", "read", "write"):
        target = str(reach.target or "")
        if reach.noun == "input" and target.startswith("the device "):
            continue  # the step that opens it is asked
        is_attached = reach.verb != "device"
        if is_attached and not holds_devices(target):
            continue
        is_path = is_attached or reach.noun in ("read", "write")
        fits = _is_path_of(target, names, place) if is_path else named(reach.noun, names)
        if fact not in seen and not fits:
            seen.add(fact)
            yield fact, for_path(target) if is_path else add(reach.noun)


def _memory(review: Review, most: str, place: Place) -> Found:
    return _taken(review, "MiB", mebibytes(most), "MiB")


def _cpus(review: Review, most: int, place: Place) -> Found:
    return _taken(review, "vCPUs", most)


def _taken(review: Review, noun: str, most: int, unit: str = "") -> Found:
    for fact, reach in _reaches(review, "take"):
        if reach.noun == noun and isinstance(reach.target, int) and reach.target > most:
            yield fact, write(f"{reach.target}{unit}")


def _timeout(review: Review, most: str, place: Place) -> Iterator[Finding]:
    """Tell of a plan whose VM may run longer than MOST: for ever, where it has no timeout."""
    limits = [
        (fact, review.operations[fact.operation]["args"]["seconds"])
        for fact in review.machine
        if fact.kind == "timeout" and fact.operation is not None
    ]
    for fact, limit in limits:
        if limit > seconds(most):
            yield _finding("allow.timeout", most, fact, write(f"{limit}s").words(place))
    if not limits:
        hint = f"allow.timeout: {most}; give the box a `timeout` of at most {most}"
        yield Finding("KR501", "the VM may run for ever: the plan has no timeout", (), hint)


_ASKS: dict[str, Asks] = {
    "writes": _writes,
    "reads": _reads,
    "roots": roots,
    "images": images,
    "image_tags": image_tags,
    "sockets": _sockets,
    "networks": _networks,
    "ports": _ports,
    "secrets": _secrets,
    "devices": _devices,
    "memory": _memory,
    "cpus": _cpus,
}
