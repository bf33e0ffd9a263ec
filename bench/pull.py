"""krunc pull against what does the same without krunc, in turn: python bench/pull.py [TIMES].

Needs skopeo, umoci, docker-registry, root, and the packages of `pip install -e .[dev,libkrun]`. The
image is Alpine's root, from a registry on loopback and from a layout.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tools"))

from registry import Layout, alpine, box, serving

KRUNC = [sys.executable, "-m", "krunc"]


def main(times: int) -> None:
    """Print the medians, and the ratios that are asked for."""
    with (
        tempfile.TemporaryDirectory() as directory,
        serving(Path(directory) / "registry") as registry,
    ):
        os.chdir(directory)
        os.environ.update(HOME=str(registry.home), KRUNC_STORE=f"{directory}/store")
        layout = Layout(Path("layout"))
        layout.tag(alpine(layout, Cmd=["/bin/sh"]), "it")
        name = registry.push(layout, "it", "alpine:3")
        pulled = box(name)
        _run([*KRUNC, "pull", pulled])
        # umoci 0.4 knows no zstd.
        gzipped = ["oci:layout:it", "oci:gzipped:it"]
        _run(["skopeo", "copy", "-q", "--dest-compress-format", "gzip", *gzipped])
        fresh = box("oci:gzipped:it", "fresh")
        cases: dict[str, Callable[[], None]] = {
            "second pull": lambda: _run([*KRUNC, "pull", pulled]),
            "compile": lambda: _run([*KRUNC, "compile", pulled, "-o", "x.plan.json"]),
            "skopeo inspect": lambda: _run(["skopeo", "inspect", f"docker://{name}"]),
            "first pull of a layout": lambda: _run([*KRUNC, "pull", "--store", "fresh", fresh]),
            "umoci unpack": lambda: _run(["umoci", "unpack", "--image", "gzipped:it", "unpacked"]),
        }
        took: dict[str, list[float]] = {case: [] for case in cases}
        for _ in range(times):
            for case, run in cases.items():
                for left in ("fresh", "unpacked"):
                    shutil.rmtree(left, ignore_errors=True)
                start = time.perf_counter()
                run()
                took[case].append(time.perf_counter() - start)
    middle = {case: statistics.median(seconds) for case, seconds in took.items()}
    for case, seconds in middle.items():
        print(f"{case:24}{seconds * 1000:8.0f} ms")
    both = middle["compile"] + middle["skopeo inspect"]
    print(
        f"second pull / (compile + skopeo inspect): {middle['second pull'] / both:.2f}, at most 1.5"
    )
    first = middle["first pull of a layout"] / middle["umoci unpack"]
    print(f"first pull of a layout / umoci unpack: {first:.2f}, at most 1")


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
