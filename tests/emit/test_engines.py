"""What is written for each engine: golden files, the engine's own tools, hostile plans."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import hcl2
import pytest
from engine_texts import analyzed, misunderstood, needs_analyze, written_units
from golden import agree
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
from krunc_compiler.emit.engine import ENGINES, engine
from krunc_compiler.emit.losses import lost
from krunc_compiler.emit.needs import Allowed, Needs, needs_of
from krunc_compiler.emit.texts import Unspeakable
from krunc_compiler.plan.plan import Plan
from krunc_compiler.plan.reading import read_plan
from places import GOLDEN, ROOT
from whole_boxes import ONLY, WHOLE, compiled

BOXES = sorted(
    path.name.removesuffix(".plan.json") for path in (ROOT / "boxes").glob("*.plan.json")
)
BASE = "/srv/boxes"
# An exposure of 3.0 of systemd-analyze security, as it takes it.
WORST = 30
PLANS = [
    (name, box, target)
    for name, box in WHOLE.items()
    for target in ("1", "2")
    if ONLY.get(box, target) == target
]


def emitted(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What krunc emit prints."""
    status = main(["emit", *words], refusals)
    out, err = capsys.readouterr()
    assert status == 0, err
    return out


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("box", BOXES)
def test_golden(
    name: str, box: str, capsys: pytest.CaptureFixture[str], update_golden: bool
) -> None:
    text = emitted(capsys, name, str(ROOT / f"boxes/{box}.plan.json"), "--base", BASE)
    if name == "systemd":  # the template is one golden file, and each drop-in another
        template, mark, text = text.partition("# krunc@" + box)
        agree(GOLDEN / "emit/krunc.systemd.txt", template, update_golden)
        text = mark + text
    agree(GOLDEN / f"emit/{box}.{name}.txt", text, update_golden)


def test_golden_of_a_volume(capsys: pytest.CaptureFixture[str], update_golden: bool) -> None:
    plan = str(ROOT / "boxes/hello.plan.json")
    more = ("--base", BASE, "--plans-volume", "plans")
    agree(
        GOLDEN / "emit/hello.kubernetes-volume.txt",
        emitted(capsys, "kubernetes", plan, *more),
        update_golden,
    )


def units(directory: Path, *words: str) -> None:
    """The units of krunc emit systemd in DIRECTORY."""
    assert main(["emit", "systemd", *words, "--base", BASE, "-o", str(directory)], refusals) == 0


@needs_analyze
@pytest.mark.parametrize("box", BOXES)
def test_a_unit_is_exposed_little(box: str, tmp_path: Path) -> None:
    units(tmp_path, str(ROOT / f"boxes/{box}.plan.json"))
    done = analyzed(
        tmp_path, "security", "--offline=true", f"--threshold={WORST}", f"krunc@{box}.service"
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_analyze
def test_systemd_takes_every_setting_of_every_kind_of_plan(tmp_path: Path) -> None:
    """systemd names each line that it does not understand, and then leaves it out."""
    chosen = engine("systemd")
    parts = []
    for number, (_, box, target) in enumerate(PLANS):
        needs = needs_of(compiled(box, target), BASE)._replace(name=f"box-{number}")
        needs = needs._replace(allowed=(Allowed("descriptor", "descriptor 3", "given by hand"),))
        parts.append((needs, chosen.part(needs)))
    names = written_units(chosen, parts, tmp_path)
    assert misunderstood(tmp_path, names) == []


def keys(text: str) -> list[str]:
    """What each line of a drop-in sets."""
    return [
        line.partition("=")[0] if not line.startswith("#") else "#" for line in text.splitlines()
    ]


ANY_PATHS = st.text(
    st.one_of(st.sampled_from("\"'\\%${} \t\n;#=[]:-"), st.characters(exclude_categories=["Cs"])),
    min_size=1,
    max_size=20,
)


def moved(value: Any, text: str) -> Any:
    """VALUE with TEXT in each of its paths of the host."""
    if isinstance(value, dict):
        return {key: moved(item, text) for key, item in value.items()}
    if isinstance(value, list):
        return [moved(item, text) for item in value]
    if isinstance(value, str) and value.startswith("/srv/x/"):
        return value.replace("/srv/x/", f"/srv/{text}/")
    return value


HOSTILE = """\
krunc: 1
name: web
rootfs: {path: /srv/x/rootfs}
shares: [{tag: a, path: /srv/x/a, read_only: false}, {tag: b, path: /srv/x/b}]
disks: [{id: d, path: /srv/x/d.img, format: raw}]
network: {mode: tsi}
vsock: [{port: 5000, socket: /srv/x/a.sock, listen: true}]
entrypoint: {executable: /bin/a, env: {A: {from_env: C}, B: {from_file: /srv/x/secret}}}
console: {output: /srv/x/log}
"""


@given(ANY_PATHS)
@settings(max_examples=150)
@example("a\n[Service]\nExecStartPre=/bin/evil")
@example('a" /etc')
@example("a:/etc")
@example("%n\\")
def test_no_path_breaks_out_of_a_unit(text: str) -> None:
    assume("\0" not in text and "/" not in text and text not in (".", ".."))
    plan = compiled(HOSTILE, "2")
    plain = engine("systemd").part(needs_of(moved_plan(plan, "x"), "/b"))
    try:
        part = engine("systemd").part(needs_of(moved_plan(plan, text), "/b"))
    except Unspeakable:
        assert re.search("[\x00-\x1f\x7f\x85]", text)
        return
    assert sorted(keys(part)) == sorted(keys(plain))


def moved_plan(plan: Plan, text: str) -> Plan:
    """PLAN with TEXT in its paths."""
    return plan._replace(operations=tuple(moved(list(plan.operations), text)))


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize(
    ("box", "target"), [row[1:] for row in PLANS], ids=[f"{a}-{c}" for a, _, c in PLANS]
)
def test_every_kind_of_plan_is_written(name: str, box: str, target: str) -> None:
    needs: Needs = needs_of(compiled(box, target), BASE)
    part = engine(name).part(needs)
    assert needs.digest in part
    whole = "".join(piece.text for piece in engine(name).whole([(needs, part)]))
    assert str(needs.ram_mib + 96) in whole
    if name == "nomad":
        assert "job" in hcl2.loads(part)


SECRETS = """\
krunc: 1
name: web
rootfs: {path: /srv/rootfs}
network: {mode: none}
entrypoint:
  executable: /bin/a
  env: {A: {from_env: TOKEN}, B: {from_fd: 9}, C: {from_file: /srv/key}, D: {from_fd: 9}}
"""
# How each engine puts a secret where the launcher looks for it, by the secret's name there.
PUT = {
    "systemd": "LoadCredential={0}:krunc.web.{0}",
    "slurm": '--secrets "$secrets/$1"',
    "kubernetes": '{{"key": "{0}", "path": "{0}"}}',
    "nomad": 'destination = "secrets/{0}"',
}


@pytest.mark.parametrize("name", ENGINES)
def test_secrets_of_variables_and_descriptors_are_files(name: str) -> None:
    needs = needs_of(compiled(SECRETS, "2"), BASE)
    assert needs.secret_files == ("TOKEN", "fd-9")
    assert lost(needs, name, engine(name).lacks, True, {}) == ([], needs)
    part = engine(name).part(needs)
    whole = "".join(piece.text for piece in engine(name).whole([(needs, part)]))
    for file in needs.secret_files:
        assert PUT[name].format(file) in part + whole


def test_nomad_looks_up_the_hyphen_of_a_descriptor() -> None:
    text = engine("nomad").part(needs_of(compiled(SECRETS, "2"), BASE))
    (job,) = hcl2.loads(text)["job"]
    found = re.findall(r"}}{{ (\S.*?) }}{{", str(job).replace("\\", ""))
    assert found == [".TOKEN", 'index . "fd-9"']


def test_nomad_puts_nothing_into_its_own_braces() -> None:
    plan = read_plan("x", (ROOT / "boxes/hello.plan.json").read_text())
    with pytest.raises(Unspeakable):
        engine("nomad").part(needs_of(plan, "/srv/${attr.kernel.name}"))


def test_the_unit_in_the_docs_is_an_emitted_one() -> None:
    page = (ROOT / "docs/launch.md").read_text("utf-8")
    (shown,) = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
    golden = (GOLDEN / "emit/hello.systemd.txt").read_text("utf-8")
    assert golden == f"# krunc@hello.service.d/10-plan.conf\n{shown}\n"
