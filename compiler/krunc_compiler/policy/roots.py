"""What may be the guest's root: a directory, a disk, or an image of the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krunc_compiler.image.reference import NotAReference, Reference, parse
from krunc_compiler.policy.paths import allows, is_image
from krunc_compiler.policy.way_out import Found, Place, add, for_path, write
from krunc_compiler.review.fact import Fact
from krunc_compiler.review.facts.guest_devices import disk_of, guest_devices
from krunc_compiler.review.summary import Review


def roots(review: Review, paths: list[str], place: Place) -> Found:
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
        wrong = [
            reach for reach in reaches if not allows(reach.target, place.plan, paths, place.policy)
        ]
        if wrong or not reaches:
            yield fact, for_path(wrong[0].target if wrong else None)


def is_root_image(review: Review, root: Fact) -> bool:
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


def images(review: Review, patterns: list[str], place: Place) -> Found:
    for fact, args in _required(review):
        image = _reference(args)
        known = image is not None and is_image(_name(image), patterns)
        if not known and args["manifest"] not in patterns:
            yield fact, add(_name(image) if image else args["manifest"])


def _name(image: Reference) -> str:
    return image.full().removeprefix("docker://")


def _reference(args: dict[str, Any]) -> Reference | None:
    try:
        return parse(args["reference"])
    except NotAReference:
        return None


def image_tags(review: Review, may: bool, place: Place) -> Found:
    for fact, args in _required(review):
        image = _reference(args)
        if not may and (image is None or not image.pinned):
            yield fact, write("true")


def _attaching(review: Review, tag: str) -> int | None:
    """Return the index of the call that attaches the share TAG."""
    for index, row in enumerate(review.operations):
        if "call" in row and row.get("args", {}).get("tag") == tag:
            return index
    return None
