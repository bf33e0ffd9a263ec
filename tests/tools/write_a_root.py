"""Writes the root of the image of a layout, and tells its digest and the most memory that it took:
`python write_a_root.py LAYOUT DIRECTORY`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import BinaryIO

from krunc_compiler.image.layers import Layer
from krunc_compiler.image.root import write_root


def _open(path: Path) -> BinaryIO:
    return open(path, "rb")


def layers(layout: Path) -> list[Layer]:
    """Return the layers of the first image of LAYOUT, by what its manifest and its config say."""

    def blob(digest: str) -> Path:
        return layout / "blobs" / digest.replace(":", "/")

    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(blob(index["manifests"][0]["digest"]).read_text())
    config = json.loads(blob(manifest["config"]["digest"]).read_text())
    return [
        Layer(
            partial(_open, blob(row["digest"])),
            row["mediaType"],
            row["digest"],
            row["size"],
            diff_id,
        )
        for row, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True)
    ]


if __name__ == "__main__":
    os.umask(0o77)
    found = layers(Path(sys.argv[1]))
    with (
        tempfile.TemporaryFile(dir=sys.argv[2]) as out,
        tempfile.TemporaryFile(dir=sys.argv[2]) as scratch,
    ):
        root = write_root(found, out, scratch)
    # Not what getrusage tells: that begins with the memory of the process above.
    status = Path("/proc/self/status").read_text()
    print(root.digest, root.size, status.partition("VmHWM:")[2].split()[0])
