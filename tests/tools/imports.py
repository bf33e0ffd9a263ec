"""Boxes that importers make, and what they refuse, as a test reads them."""

from __future__ import annotations

import json
from typing import Any

from krunc_compiler.findings.finding import Rejected
from krunc_compiler.findings.report import report
from krunc_compiler.importing import compose, docker_run, oci
from krunc_compiler.importing.boxlite import Imported


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


def refused(rejected: Rejected) -> str:
    """What is said of an input that is wrong."""
    return report(rejected.findings)
