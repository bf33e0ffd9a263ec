"""OCI layouts made by the tests, without the tools that images come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from krunc_compiler.image.layers import Layer

_OCI = "application/vnd.oci.image"


def layout(path: Path, layers: Sequence[Layer], tag: str = "t") -> str:
    """Write LAYERS as the image TAG of the new layout PATH; return the name umoci has for it."""
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for layer in layers:
        with layer.open() as blob:
            (blobs / layer.digest.partition(":")[2]).write_bytes(blob.read())
    diff_ids = [layer.diff_id for layer in layers]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _put(blobs, f"{_OCI}.config.v1+json", config),
        "layers": [
            {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}
            for layer in layers
        ],
    }
    named = _put(blobs, f"{_OCI}.manifest.v1+json", manifest)
    named["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return f"{path}:{tag}"


def _put(blobs: Path, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    data = json.dumps(value).encode()
    name = hashlib.sha256(data).hexdigest()
    (blobs / name).write_bytes(data)
    return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(data)}
