"""The declarative policy: what plans may reach and be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from krunc_compiler.box.storage_from_value import mebibytes
from krunc_compiler.files.hostpath import RUNTIME
from krunc_compiler.findings.finding import Finding
from krunc_compiler.image.reference import NotAReference, Reference, parse
from krunc_compiler.policy.paths import allowed, as_policy, is_image, named, spend
from krunc_compiler.review.fact import Fact, Reach
from krunc_compiler.review.facts.guest_devices import disk_of, guest_devices
from krunc_compiler.review.summary import Review
from krunc_compiler.review.words import bare, plain, words

_NETWORKS = {
    "TSI": "tsi",
    "TSI to localhost": "tsi",
    "TSI for Unix": "tsi_unix",
    "stream socket": "unixstream",
    "datagram socket": "unixgram",
    "tap": "tap",
    "descriptor": "descriptor",
    "passt": "passt",
    "passt to localhost": "passt_localhost",
    "passt program": "passt_program",
}
_PORTS = ("TCP port", "UDP port")


class Place(NamedTuple):
    """Where relative paths start: those of the plan, and those of the policy."""

    plan: str
    policy: str


def judge(policy: dict[str, Any], review: Review, place: Place) -> Iterator[Finding]:
    """Tell what of a plan POLICY, which fits its schema, does not allow."""
    name = review.value["box"]
    if not named(name, [policy.get("boxes", "*")]):
        return
    allow = policy.get("allow", {})
    for key, asks in _ASKS.items():
        if key in allow:
            for fact, target in asks(review, allow[key], place):
                # Where images are judged, the root that is one is not judged as a path.
                if not (key == "roots" and "images" in allow and _is_image(review, fact)):
                    yield _finding(key, allow[key], fact, _way_out(target, place))
    if "names" in allow and not named(name, [allow["names"]]):
        yield Finding(
            "KR501",
            f"the box is called {bare(name)}",
            ("box",),
            f"allow.names: {bare(allow['names'])}",
        )
    for label in policy.get("labels", ()):
        if label not in review.value.get("labels", {}):
            yield Finding("KR501", f"the box has no label {bare(label)}", (), f"labels: {label}")
    for fact in review.isolation:
        if fact.subject[0] in policy.get("isolation", ()) and not fact.held:
            yield _finding("isolation", [fact.subject[0]], fact, "")


def rule_of(finding: Finding) -> str:
    """Return the rule that FINDING is about, as a waiver names it: allow.writes,
    isolation.kernel."""
    key, _, limit = finding.hint.partition(": ")
    return key if key.startswith("allow.") else f"{key}.{limit}"


def _way_out(target: Target, place: Place) -> str:
    """Tell how the policy would allow TARGET, a path that the plan has."""
    if not isinstance(target, str) or not target:
        return ""
    wanted = as_policy(target, place.plan, place.policy)
    start = "" if os.path.isabs(wanted) or wanted.startswith(RUNTIME) else _start(place)
    return f"; to allow it, add {bare(wanted)}{start}"


def _start(place: Place) -> str:
    return f" (relative paths start at {bare(os.path.relpath(place.policy))})"


def _finding(key: str, value: Any, fact: Fact, way_out: str) -> Finding:
    path = ("operations", fact.operation) if fact.operation is not None else ("operations",)
    limit = value
    if isinstance(value, list):
        limit = plain(words(list(map(str, value)))) or "nothing"
    where = key if key == "isolation" else f"allow.{key}"
    return Finding("KR501", f"{fact.kind}: {fact.text}", path, f"{where}: {limit}{way_out}")


# What of a fact is not allowed, where that is a path.
Target = object
Found = Iterator[tuple[Fact, Target]]
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
            yield fact, reach.target


def _reads(review: Review, paths: list[str], place: Place) -> Found:
    seen = set()
    for fact, reach in _reaches(review, "read", "admit"):
        if (
            fact.kind in ("read", "vmm-only")
            and fact not in seen
            and not _is_allowed(reach, paths, place)
        ):
            seen.add(fact)
            yield fact, reach.target


def _is_allowed(reach: Reach, paths: list[str], place: Place) -> bool:
    return isinstance(reach.target, str) and allowed(reach.target, place.plan, paths, place.policy)


def _sockets(review: Review, paths: list[str], place: Place) -> Found:
    for fact, reach in _reaches(review, "listen", "connect"):
        if reach.noun not in _PORTS and not _is_allowed(reach, paths, place):
            yield fact, reach.target


def _roots(review: Review, paths: list[str], place: Place) -> Found:
    devices = guest_devices(review.operations)
    for fact in review.machine:
        if fact.kind != "root" or fact.operation is None:
            continue
        row = review.operations[fact.operation]
        device = row.get("args", {}).get("device")
        if row.get("call") == "krun_set_firmware":
            # It looks for a system on all disks.
            disks = {at for at, name in devices.items() if disk_of(name)}
            used = [one for one in review.exposure if one.operation in disks]
        elif device is not None:
            # What is on no disk of the plan is not allowed.
            disk = disk_of(device)
            used = [
                one
                for one in review.exposure
                if disk and one.operation is not None and devices.get(one.operation) == disk
            ]
        else:
            # The stage mounts a share that a call of the plan attaches.
            at = _attaching(review, row["args"]["tag"]) if "order" in row else fact.operation
            used = [one for one in review.exposure if one.operation == at]
        reaches = [reach for one in used for reach in one.reach if reach.verb == "read"]
        wrong = [reach for reach in reaches if not _is_allowed(reach, paths, place)]
        if wrong or not reaches:
            yield fact, wrong[0].target if wrong else None


def _is_image(review: Review, root: Fact) -> bool:
    """Tell whether the ROOT of a plan is the image that it demands of the store."""
    if root.operation is None:
        return False
    disk = disk_of(review.operations[root.operation].get("args", {}).get("device") or "")
    devices = guest_devices(review.operations)
    paths = [
        review.operations[index]["args"].get("disk_path")
        for index, device in devices.items()
        if disk and device == disk
    ]
    return bool(paths) and paths == [args["path"] for _, args in _required(review)]


def _required(review: Review) -> Iterator[tuple[Fact, dict[str, Any]]]:
    """Yield the image that a plan demands, and how."""
    for fact in review.machine:
        if fact.kind == "image" and fact.operation is not None:
            yield fact, review.operations[fact.operation]["args"]


def _images(review: Review, patterns: list[str], place: Place) -> Found:
    for fact, args in _required(review):
        image = _reference(args)
        known = image is not None and is_image(image.full().removeprefix("docker://"), patterns)
        if not known and args["manifest"] not in patterns:
            yield fact, None


def _reference(args: dict[str, Any]) -> Reference | None:
    try:
        return parse(args["reference"])
    except NotAReference:
        return None


def _image_tags(review: Review, may: bool, place: Place) -> Found:
    for fact, args in _required(review):
        image = _reference(args)
        if not may and (image is None or not image.pinned):
            yield fact, None


def _attaching(review: Review, tag: str) -> int | None:
    """Return the index of the call that attaches the share TAG."""
    for index, row in enumerate(review.operations):
        if "call" in row and row.get("args", {}).get("tag") == tag:
            return index
    return None


def _networks(review: Review, modes: list[str], place: Place) -> Found:
    seen = set()
    for fact, reach in _reaches(review, "network"):
        if fact not in seen and _NETWORKS.get(reach.noun) not in modes:
            seen.add(fact)
            yield fact, None


def _ports(review: Review, ports: list[int | str], place: Place) -> Found:
    spans = [
        tuple(map(int, port.split("-"))) if isinstance(port, str) else (port, port)
        for port in ports
    ]
    for fact, reach in _reaches(review, "listen"):
        if reach.noun not in _PORTS:
            continue
        host = str(reach.target).partition(":")[0] if reach.target is not None else ""
        number = int(host) if host.isascii() and host.isdigit() else -1
        spend(len(spans))
        if not any(first <= number <= last for first, last in spans):
            yield fact, None


def _secrets(review: Review, names: list[str], place: Place) -> Found:
    for fact, reach in _reaches(review, "secret"):
        target = str(reach.target)
        is_path = reach.noun == "file"
        fits = _is_path_of(target, names, place) if is_path else named(target, names)
        if not fits:
            yield fact, target if is_path else None


def _is_path_of(path: str, names: list[str], place: Place) -> bool:
    """Tell whether PATH is one that NAMES, of which those with a / are paths, allow."""
    spend(len(names))
    paths = [name for name in names if "/" in name]
    return "*" in names or allowed(path, place.plan, paths, place.policy)


def _devices(review: Review, names: list[str], place: Place) -> Found:
    seen = set()
    for fact, reach in _reaches(review, "device"):
        target = str(reach.target or "")
        if reach.noun == "input" and target.startswith("the device "):
            continue  # the step that opens it is asked
        is_path = reach.noun in ("read", "write")
        fits = _is_path_of(target, names, place) if is_path else named(reach.noun, names)
        if fact not in seen and not fits:
            seen.add(fact)
            yield fact, target if is_path else None


def _memory(review: Review, most: str, place: Place) -> Found:
    return _taken(review, "MiB", mebibytes(most))


def _cpus(review: Review, most: int, place: Place) -> Found:
    return _taken(review, "vCPUs", most)


def _taken(review: Review, noun: str, most: int) -> Found:
    for fact, reach in _reaches(review, "take"):
        if reach.noun == noun and isinstance(reach.target, int) and reach.target > most:
            yield fact, None


_ASKS: dict[str, Asks] = {
    "writes": _writes,
    "reads": _reads,
    "roots": _roots,
    "images": _images,
    "image_tags": _image_tags,
    "sockets": _sockets,
    "networks": _networks,
    "ports": _ports,
    "secrets": _secrets,
    "devices": _devices,
    "memory": _memory,
    "cpus": _cpus,
}
