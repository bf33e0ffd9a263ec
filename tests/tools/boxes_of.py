"""What is said of a small box with some keys of its own."""

from __future__ import annotations

from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.values.inputs import Inputs

_SMALL = {
    "krunc": "1",
    "name": "small",
    "machine": "{cpus: 1, memory: 256MiB}",
    "rootfs": "{path: ./rootfs}",
    "network": "{mode: none}",
    "entrypoint": "{executable: /bin/a}",
}


def said(**keys: str) -> list[tuple[str, str, str, str]]:
    """Code, key, message and hint of all that is said of a box with KEYS, for libkrun 2."""
    target = api.target("2")
    assert target is not None
    text = "".join(f"{key}: {value}\n" for key, value in {**_SMALL, **keys}.items())
    try:
        _, located = compile_all("box.yaml", text, Inputs(target))
    except Rejected as rejected:
        located = rejected.findings
    found = [item.finding for item in located]
    return [(one.code, ".".join(map(str, one.path)), one.message, one.hint) for one in found]
