"""What is empty: either it means that there is none, as without the key, or it is refused with a fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main

BOX: dict[str, Any] = {
    "krunc": 1,
    "name": "a",
    "rootfs": {"path": "./rootfs"},
    "network": {"mode": "passt"},
    "entrypoint": {"script": "true"},
}
NONE: dict[str, Any] = {
    "hosts": {}, "tmpfs": [], "shares": [], "disks": [], "vsock": [], "labels": {}, "waivers": [],
    "limits": {}, "machine": {}, "console": {}, "stop": {}, "vars": {},
    "network": {"mode": "passt", "ports": []},
    "entrypoint": {"script": "true", "args": [], "env": {}},
    "rootfs": {"path": "./rootfs", "overlay": []},
}  # fmt: skip


def compiled(directory: Path, box: dict[str, Any]) -> Any:
    """The operations of a box, without the keys that they come from; None where it is refused."""
    (directory / "a.yaml").write_text(json.dumps(box))
    if main(["compile", str(directory / "a.yaml")]):
        return None
    rows = json.loads((directory / "a.plan.json").read_text())["operations"]
    return [{name: row[name] for name in row if name != "from"} for row in rows]


@pytest.mark.parametrize("stated", [{}, {"hostname": "here"}, {"dns": ["10.0.0.1"]}])
@pytest.mark.parametrize("key", NONE)
def test_none_is_what_it_is_without_the_key(
    key: str, stated: dict[str, Any], tmp_path: Path
) -> None:
    without = compiled(tmp_path, {**BOX, **stated})
    assert without
    assert compiled(tmp_path, {**BOX, **stated, key: NONE[key]}) == without


@pytest.mark.parametrize(
    ("keys", "said", "fix"),
    [
        ({"dns": []}, "dns: this is empty", "write at least 1 item, or remove it"),
        ({"matrix": {}}, "matrix: this is empty", "write at least 1 key, or remove it"),
        ({"matrix": {"n": []}}, "matrix.n: this is empty", "write at least 1 item, or remove it"),
        ({"matrix": []}, "matrix: this is empty", "write at least 1 item, or remove it"),
        ({"extends": []}, "extends: this is empty", "write at least 1 item, or remove it"),
        ({"boot": {}}, "boot: this is empty", "write at least 1 key, or remove it"),
        ({"agent": {}}, "agent: this is empty", "write at least 1 key, or remove it"),
        (
            {"entrypoint": {"script": "true", "before": ""}},
            "entrypoint.before: this is empty",
            "write at least 1 character, or remove it",
        ),
        (
            {"network": {"mode": "devices", "devices": []}},
            "network.devices: this is empty",
            "write a value that fits: The devices, each with its mode",
        ),
        ({"rootfs": {"path": ""}}, "rootfs.path: this is empty", "write a value that fits: A host path: absolute"),
        (
            {"gpu": {"flags": ["use_egl"]}, "displays": [{"width": 9, "height": 9, "size_mm": [1]}]},
            "displays[0].size_mm: this has 1 of at least 2",
            "write at least 2 items, or remove it",
        ),
    ],
)  # fmt: skip
def test_what_needs_something_says_so(
    keys: dict[str, Any], said: str, fix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compiled(tmp_path, {**BOX, **keys}) is None
    printed = capsys.readouterr().err
    assert f"error[KR104]: {said}" in printed
    assert f"help: {fix}" in printed
