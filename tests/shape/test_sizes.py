"""A size is a number with a unit, in one grammar with one meaning, wherever it may stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.box.storage_from_value import mebibytes
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.shape.fast_checking import acceptor
from krunc_compiler.values.inputs import Inputs
from krunc_launcher.options import options
from krunc_schema import load

MEANT = {
    "512MiB": 512, "512M": 512, "512 MiB": 512, "512 M": 512, "1GiB": 1024, "1G": 1024, "1 GiB": 1024,
    "1.5GiB": 1536, "1.5G": 1536, "1.5 GiB": 1536, "0.125GiB": 128, "2.875G": 2944, "0.5 G": 512,
}  # fmt: skip
WRONG = [
    "", "512", "512MB", "1GB", "512m", "1g", "512mib", "1.3GiB", "1.5MiB", "1,5GiB", "512  MiB",
    " 512MiB", "512MiB ", "0MiB", "0.0GiB", "-1GiB", "+1GiB", "1e3MiB", "0x10MiB", "1.GiB", ".5GiB",
    "1TiB", "64KiB", "512MiBs", "\u0661GiB", "1\u00a0GiB", "01GiB", "1.50GiB", 512, 1.5, True, None,
]  # fmt: skip
BOX: dict[str, Any] = {
    "krunc": 1,
    "name": "a",
    "rootfs": {"path": "./r", "changes": "discard"},
    "network": {"mode": "none"},
    "entrypoint": {"executable": "/x"},
}


def boxes(size: object) -> dict[str, dict[str, Any]]:
    """A box for each key that is a size."""
    share = {"tag": "a", "path": "./a", "dax": size}
    return {
        "machine.memory": {**BOX, "machine": {"memory": size}},
        "rootfs.size": {**BOX, "rootfs": {**BOX["rootfs"], "size": size}},
        "rootfs.dax": {**BOX, "rootfs": {"path": "./r", "dax": size}},
        "shares[0].dax": {**BOX, "shares": [share]},
        "tmpfs[0].size": {**BOX, "tmpfs": [{"path": "/t", "size": size}]},
        "gpu.window": {**BOX, "gpu": {"flags": [], "window": size}},
    }


def test_every_key_with_a_unit_is_one() -> None:
    """All that the schema has of MiB is said in one place."""
    text = json.dumps(load("box.schema"))
    assert text.count("(MiB|GiB|M|G)") == 1
    assert text.count("#/$defs/size") == len(boxes(""))
    assert (
        load("policy.schema")["$defs"]["size"]["pattern"]
        == load("box.schema")["$defs"]["size"]["pattern"]
    )


@pytest.mark.parametrize("key", boxes(""))
@pytest.mark.parametrize(("text", "mib"), MEANT.items())
def test_what_it_means(text: str, mib: int, key: str) -> None:
    assert mebibytes(text) == mib
    assert acceptor(load("box.schema")).accepts(boxes(text)[key])
    plans = [
        compile_all("a.yaml", json.dumps(boxes(given)[key]), Inputs(None))[0][0]
        for given in (text, f"{mib}MiB")
    ]
    assert plans[0].plan.operations == plans[1].plan.operations


@pytest.mark.parametrize("key", boxes(""))
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_what_is_none(value: object, key: str) -> None:
    with pytest.raises(Rejected) as refused:
        compile_all("a.yaml", json.dumps(boxes(value)[key]), Inputs(None))
    found = [item.finding for item in refused.value.findings if not item.finding.warning]
    assert [finding.code for finding in found] in (["KR103"], ["KR106"])
    assert found[0].hint


@pytest.mark.parametrize(("text", "mib"), MEANT.items())
def test_the_launcher_means_the_same(text: str, mib: int, tmp_path: Path) -> None:
    _, given = options(["--console-max", text, "a.plan.json"])
    assert given.console_max == mib << 20
