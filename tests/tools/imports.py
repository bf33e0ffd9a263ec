"""Boxes that importers make, and what they refuse, as a test reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.findings.report import report
from krunc_compiler.importing import compose, docker_run, oci
from krunc_compiler.importing.boxlite import Imported
from krunc_compiler.importing.boxtext import to_yaml
from krunc_compiler.pipeline.compiling import compile_box
from krunc_compiler.values.inputs import Inputs
from locks import image, text


def ran(command: str) -> Imported:
    """What a command becomes."""
    return docker_run.convert("command", command)


def composed(file: str, service: str | None = None) -> Imported:
    """What a Compose file becomes."""
    return compose.convert("compose.yaml", file, service, "")


def served(**keys: Any) -> Imported:
    """What a service with KEYS becomes."""
    return composed(json.dumps({"services": {"web": {"image": "web:1", **keys}}}))


CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {"args": ["/bin/app"], "cwd": "/"},
    "root": {"path": "rootfs", "readonly": True},
    "linux": {"namespaces": [{"type": "network"}]},
}


def bundled(**keys: Any) -> Imported:
    """What a bundle with KEYS in the place of those of CONFIG becomes."""
    text = json.dumps({**CONFIG, **keys})
    return oci.convert("config.json", text, "bundle", "bundle")


def compiles(box: Imported, directory: Path) -> None:
    """Compile a BOX in DIRECTORY, with a lock of its image made by hand."""
    file = directory / "box.yaml"
    file.write_text(to_yaml(box.value, box.notes, "title"), "utf-8")
    if "image" in box.value["rootfs"]:
        platform = {"arm64": "linux/arm64"}.get(box.value.get("arch", ""), "linux/amd64")
        locked = image(box.value["rootfs"]["image"], platform, entrypoint=("/entry",))
        file.with_name("box.lock.json").write_text(text(locked))
    target = api.target("1")
    assert target is not None
    assert compile_box(str(file), file.read_text("utf-8"), Inputs(target)).operations


def refused(rejected: Rejected) -> str:
    """What is said of an input that is wrong."""
    return report(rejected.findings)
