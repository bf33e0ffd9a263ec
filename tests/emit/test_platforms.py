"""What is written of a box with `arch`, or of an image for one platform, sends it to machines of that
architecture: by the engine's own selection where it has one; where it has none, the launcher refuses
the plan on others (tests/launcher/host/test_architecture.py)."""

from __future__ import annotations

from typing import Any

import hcl2
import pytest
import yaml
from krunc_compiler.emit.engine import ENGINES, engine
from krunc_compiler.emit.needs import Needs, needs_of
from krunc_compiler.plan.plan import to_text
from krunc_schema import load
from whole_boxes import WHOLE, compiled

ROWS: dict[str, dict[str, Any]] = load("krun")["architectures"]
# As the tools of all engines call the architectures of images.
NAMES = {arch: row["platform"].partition("/")[2] for arch, row in ROWS.items()}
BOX = """\
krunc: 1
name: box
rootfs: {path: /srv/root}
network: {mode: none}
entrypoint: {executable: /bin/a}
"""
AT = "/srv/x"


def needs(more: str = "", **keys: Any) -> Needs:
    """What a box with the keys MORE needs."""
    plan = compiled(BOX + more, "2")
    return needs_of(plan, AT)._replace(text=to_text(plan), **keys)


def texts(name: str, *some: Needs) -> list[str]:
    """What is written for an engine, a string for each file."""
    chosen = engine(name)
    made: dict[str, str] = {}
    for piece in chosen.whole((one, chosen.part(one)) for one in some):
        made[piece.name] = made.get(piece.name, "") + piece.text
    return [*made.values()]


def pods(text: str) -> list[dict[str, Any]]:
    """The pods in a file of Kubernetes."""
    specs = (one["spec"] for one in yaml.safe_load_all(text) if one["kind"] in ("Job", "Pod"))
    return [spec["template"]["spec"] if "template" in spec else spec for spec in specs]


def kubernetes(text: str) -> set[str | None]:
    """The architectures that a file of Kubernetes asks for; None for any."""
    return {pod["nodeSelector"].get("kubernetes.io/arch") for pod in pods(text)}


def nomad(text: str) -> set[str | None]:
    """The architecture that a job of Nomad asks for."""
    (job,) = (body for one in hcl2.loads(text)["job"] for body in one.values())
    wanted = {one["attribute"].strip('"'): one["value"].strip('"') for one in job["constraint"]}
    return {wanted.get("${attr.cpu.arch}")}


def slurm(text: str) -> set[str | None]:
    """Slurm knows no architectures: an array is of one, by its name, and the script says so."""
    name = text.partition("--job-name=")[2].partition("\n")[0]
    named = {arch for arch in NAMES.values() if arch in name.split("-")}
    said = {arch for arch in NAMES.values() if f"# Nodes of {arch} alone" in text}
    assert named == said
    return {*named} or {None}


SELECTS = {"kubernetes": kubernetes, "nomad": nomad, "slurm": slurm}
# What stays on the machine where it was put: the launcher refuses, and systemd does not try again.
STAYS = {"systemd": "RestartPreventExitStatus=125"}


def test_every_engine_is_tried() -> None:
    assert {*SELECTS, *STAYS} == set(ENGINES)


@pytest.mark.parametrize("name", SELECTS)
@pytest.mark.parametrize("arch", [None, *ROWS])
def test_a_box_for_one(name: str, arch: str | None) -> None:
    (text,) = texts(name, needs(f"arch: {arch}\n" if arch else ""))
    assert SELECTS[name](text) == {NAMES[arch] if arch else None}


@pytest.mark.parametrize("name", SELECTS)
def test_an_image_for_one(name: str) -> None:
    one = needs_of(compiled(WHOLE["image"], "2"), AT)._replace(text="{}")
    assert one.platform is not None
    (text,) = texts(name, one)
    assert SELECTS[name](text) == {one.platform.partition("/")[2]}


@pytest.mark.parametrize("name", SELECTS)
def test_boxes_of_both_are_never_one_job(name: str) -> None:
    """Nor are they one with boxes for any."""
    keys = ["", *(f"arch: {arch}\n" for arch in ROWS)]
    some = [needs(key, name=f"box-{i}{j}") for i, key in enumerate(keys) for j in range(2)]
    found = [SELECTS[name](text) for text in texts(name, *some)]
    assert all(len(one) == 1 for one in found), found
    assert set.union(*found) == {None, *NAMES.values()}


@pytest.mark.parametrize("name", STAYS)
@pytest.mark.parametrize("arch", ROWS)
def test_where_the_launcher_decides(name: str, arch: str) -> None:
    one, other = needs(f"arch: {arch}\n"), needs()
    assert one.digest != other.digest
    whole = "".join(texts(name, one))
    assert whole == "".join(texts(name, other)).replace(other.digest, one.digest)
    assert STAYS[name] in whole
