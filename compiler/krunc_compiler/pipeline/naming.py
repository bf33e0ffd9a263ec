"""The images that a file of boxes names: all that a pull has to know of it."""

from __future__ import annotations

from typing import NamedTuple

from krunc_compiler.findings.finding import Finding, Located, Rejected, Source
from krunc_compiler.image.platform import of_arch
from krunc_compiler.image.reference import FORM, NotAReference, Reference, parse
from krunc_compiler.pipeline.compiling import evaluated, load_box
from krunc_compiler.values.inputs import Inputs

KEY = ("rootfs", "image")


class Named(NamedTuple):
    """An image that a box names: its words for it, the reference that they are, and the platform
    of the box's `arch`; None without one."""

    text: str
    reference: Reference
    platform: str | None


def images_of(name: str, text: str, inputs: Inputs) -> tuple[list[Named], Source]:
    """Return the images that the boxes in TEXT, from the file NAME, have as roots, those of all
    rows of its matrix, and its text with places.

    Raises Rejected when a box has another shape than the schema's.
    """
    loaded = load_box(name, text, inputs)
    images: dict[Named, None] = {}
    findings: list[Located] = list(loaded.known.findings)
    for row in loaded.rows:
        value, pieces = evaluated(loaded, row)
        findings += [Located(loaded.source, found) for found in pieces.findings]
        if pieces.findings or pieces.broken or "image" not in value.get("rootfs", ()):
            continue
        said = value["rootfs"]["image"]
        try:
            images[Named(said, parse(said), of_arch(value.get("arch")))] = None
        except NotAReference as error:
            message = f"{said[:60]!r} names no image: {error}"
            findings.append(Located(loaded.source, Finding("KR106", message, KEY, f"write {FORM}")))
    if any(not item.finding.warning for item in findings):
        raise Rejected(findings)
    return list(images), loaded.source
