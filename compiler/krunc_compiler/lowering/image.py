"""The image that is the root: what the store must have of it."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.box.box import IMAGE, Box
from krunc_compiler.files.hostpath import STORE
from krunc_compiler.plan.operation import Operation


def required(box: Box) -> Iterator[Operation]:
    """Yield the demand for the image of BOX, with all that says which one it is."""
    image = box.image
    if image is None:
        return
    args = {
        "path": STORE + image.root.digest,
        "access": "read",
        "size": image.root.size,
        "reference": image.reference,
        "platform": image.platform,
        "manifest": image.manifest,
        "config": image.config,
        "layers": len(image.layers),
        "layer_bytes": sum(layer.size for layer in image.layers),
    }
    yield Operation("step", "require_image", IMAGE, args, places={"reference": IMAGE})
