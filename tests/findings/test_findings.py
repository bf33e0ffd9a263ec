"""The catalogue of findings: complete, true, and each code raised by a test."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import locks
import pytest
from boxlite_specs import BASE
from krunc.verifying import refusals, unstarted
from krunc_compiler.__main__ import main
from krunc_compiler.findings import catalogue
from krunc_compiler.findings.catalogue import entries
from krunc_compiler.findings.finding import Finding
from places import ROOT
from registry import LAYER, Layout

COMPILER = ROOT / "compiler" / "krunc_compiler"
MINIMAL = {
    "krunc": "krunc: 1",
    "name": "name: good",
    "rootfs": "rootfs: {path: ./rootfs}",
    "network": "network: {mode: tsi}",
    "entrypoint": "entrypoint: {executable: /bin/true}",
}


def whole(fragment: str) -> str:
    """A box of the keys in FRAGMENT and, for the others, the least that a box has."""
    if fragment.startswith("- "):
        return fragment + "\n"
    rest = [line for key, line in MINIMAL.items() if not re.search(rf"(?m)^{key}:", fragment)]
    return "\n".join([*rest, fragment]) + "\n"


def codes_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> set[str]:
    """The codes that a command reports."""
    capsys.readouterr()
    main(arguments, refusals, unstarted=unstarted)
    return set(re.findall(r"(?:error|warning)\[(KR\d+)\]", "".join(capsys.readouterr())))


def box(name: str, *keys: str) -> str:
    """A box of the file NAME.yaml with KEYS."""
    named = [] if any(key.startswith("name:") for key in keys) else [f"name: {name}"]
    return text(whole("\n".join([*named, *keys])).encode(), f"{name}.yaml")


def rooted(program: str) -> str:
    """A box that starts PROGRAM from a root directory that is there."""
    Path("rootfs").mkdir()
    return box("a", f"entrypoint: {{executable: {program}}}")


def plan(change: Callable[[dict[str, Any]], object]) -> str:
    """A plan with a CHANGE made by hand."""
    main(["compile", box("edited")])
    value = json.loads(Path("edited.plan.json").read_text())
    change(value)
    Path("edited.plan.json").write_text(json.dumps(value))
    return "edited.plan.json"


def text(content: bytes, name: str = "x.yaml") -> str:
    """A file NAME with CONTENT."""
    Path(name).write_bytes(content)
    return name


def locked(*keys: str, **run: Any) -> list[str]:
    """Compiles a box with KEYS and an image of which the lock says RUN."""
    text(locks.text(locks.image(**run)).encode(), "a.lock.json")
    named = [] if any(key.startswith("rootfs:") for key in keys) else ["rootfs: {image: 'app:1.4'}"]
    return ["compile", box("a", *named, *keys)]


def leading_out() -> str:
    """A box that is a link out of the working directory."""
    Path("x.yaml").symlink_to("/etc/hostname")
    return "x.yaml"


def two(*keys: str) -> list[str]:
    """Compiles two boxes with the same KEYS."""
    return ["compile", box("a", *keys), box("b", *keys)]


def checked(policy: str, name: str, *keys: str) -> list[str]:
    """Checks a box with KEYS against a policy."""
    main(["compile", box("a", *keys)])
    return ["check", "--policy", text(policy.encode(), name), "a.yaml"]


def orphan() -> str:
    """A directory with a plan whose box is gone."""
    main(["compile", box("gone")])
    Path("gone.yaml").unlink()
    return "."


def elsewhere() -> str:
    """A directory with a plan that does not lie beside its box."""
    Path("plans").mkdir()
    main(["compile", box("a")])
    main(["compile", box("a"), "-o", "plans/a.plan.json"])
    return "."


def out_of_order(plan: dict[str, list[dict[str, object]]]) -> None:
    """Move the last call to the front."""
    plan["operations"].insert(0, plan["operations"].pop())


def unapplied() -> str:
    """A directory with a policy of another name."""
    Path(".krunc").mkdir()
    text(b"krunc_policy: 1\n", ".krunc/network.yaml")
    return "."


def stray() -> str:
    """A directory with a box, and a policy beside it."""
    box("a")
    text(b"krunc_policy: 1\n", "policy.yaml")
    return "."


def spec_without_its_disk() -> str:
    """A BoxLite spec whose root is on a disk that it does not have."""
    root = {"path": "./root", "strategy": {"Disk": {"disk_path": "a", "device_path": "/dev/vdb"}}}
    return text(json.dumps({**BASE, "guest_rootfs": root}).encode(), "spec.json")


def imaged(reference: str) -> str:
    """A box whose root is the image REFERENCE."""
    return box("a", f"rootfs: {{image: '{reference}'}}")


def unfetched() -> str:
    """A box with a lock that krunc pull could have written."""
    text(locks.text(locks.image()).encode(), "a.lock.json")
    return imaged("app:1.4")


def foreign() -> str:
    """A layout with an image that has a layer elsewhere."""
    layout = Layout(Path("layout"))
    layer = {**layout.blob(b"", LAYER), "urls": ["http://elsewhere.example/layer"]}
    layout.tag(layout.image(manifest={"layers": [layer]}), "it")
    return "layout"


def open_to_all() -> str:
    """A directory that everybody may write to."""
    Path("shared").mkdir()
    Path("shared").chmod(0o777)
    return "shared"


def pulled(box: str, *options: str) -> list[str]:
    """Pulls BOX into a store of its own."""
    return ["pull", "--store", "store", *options, box]


def two_entries() -> list[str]:
    """A lock with an image that the box does not name."""
    text(locks.text(locks.image("a"), locks.image("b")).encode(), "a.lock.json")
    return []


def plan_below(directory: str) -> str:
    """A plan that is called as the one beside it."""
    Path(directory).mkdir()
    same = Path(directory, "edited.plan.json")
    same.write_text(Path("edited.plan.json").read_text())
    return str(same)


TERMINAL = "console: {devices: [{type: multiport, ports: [{name: a, terminal: /dev/tty3}]}]}"


def planned(name: str, *keys: str, target: str = "1") -> str:
    """The plan of a box with KEYS."""
    main(["compile", box(name, *keys), "--target", target])
    return f"{name}.plan.json"


def both(*keys: str) -> list[str]:
    """Writes the plans of two boxes with the same KEYS for an engine."""
    return ["emit", "systemd", planned("a", *keys), planned("b", *keys)]


LARGE = "{" + ", ".join(f"A{number}: {'x' * 10_000}" for number in range(101)) + "}"
LONG = ", ".join(["'{{ a }}'"] * 12)
# How the codes come about whose example in the catalogue is a command, or bytes.
BY_COMMAND: dict[str, Callable[[], list[str]]] = {
    "KR001": lambda: ["compile", "missing.yaml"],
    "KR002": lambda: ["compile", text(b"name: caf\xe9\n")],
    "KR011": lambda: ["check", leading_out()],
    "KR021": lambda: ["compile", box("a", "vars: {port: 1}"), "--set", "prot=1"],
    "KR208": lambda: ["compile", box("a", "shares: [{tag: a, path: ./a}]"), "--target", "1.16"],
    "KR898": lambda: ["compile", box("a", "limits: {fsize: 0}"), "--target", "2"],
    "KR220": lambda: [
        "compile",
        box("a", f"vars: {{a: {'y' * 90_000}}}", f"entrypoint: {{executable: /x, args: [{LONG}]}}"),
    ],
    "KR301": lambda: ["compile", "--check", box("a")],
    "KR303": lambda: ["check", orphan()],
    "KR304": lambda: ["check", elsewhere()],
    "KR302": lambda: ["compile", box("a"), "-o", "missing/a.plan.json"],
    "KR401": lambda: ["show", text(b"{", "x.plan.json")],
    "KR402": lambda: [
        "show",
        plan(lambda p: p.update(operations=[r for r in p["operations"] if "implicit" not in r])),
    ],
    "KR406": lambda: ["show", plan(lambda p: p.update(krunc_plan=2))],
    "KR403": lambda: ["show", plan(lambda p: p["operations"][0].update(call="krun_nothing"))],
    "KR404": lambda: ["check", plan(out_of_order)],
    "KR405": lambda: ["show", plan(lambda p: p["requires"].update(libkrun="1.0.1"))],
    "KR505": lambda: ["check", unapplied()],
    "KR501": lambda: checked("krunc_policy: 1\nisolation: [network]\n", "p.yaml"),
    "KR502": lambda: checked(
        '{"$schema": "https://json-schema.org/draft/2020-12/schema", '
        '"properties": {"target": {"const": "2"}}}',
        "p.json",
    ),
    "KR503": lambda: checked("allow: {tsi: false}\n", "p.yaml"),
    "KR860": lambda: checked('krunc_policy: 1\nallow: {ports: ["9000-8000"]}\n', "p.yaml"),
    "KR861": lambda: ["check", stray()],
    "KR504": lambda: checked(
        "krunc_policy: 1\n",
        "p.yaml",
        "waivers: [{rule: isolation.network, reason: not any more}]",
    ),
    "KR511": lambda: ["import", "boxlite", spec_without_its_disk()],
    "KR710": lambda: pulled(imaged("oci:missing")),
    "KR711": lambda: pulled(imaged("alpine:3.20")),
    "KR712": lambda: pulled(imaged(f"oci:{foreign()}:it")),
    "KR713": lambda: pulled(imaged("alpine:3.20"), "--locked"),
    "KR714": lambda: ["pull", "--store", open_to_all(), imaged("alpine:3.20")],
    "KR715": lambda: pulled(unfetched(), "--import", text(b"notes", "notes.tar")),
    "KR512": lambda: ["import", "docker-run", "docker run --read-onyl alpine"],
    "KR513": lambda: ["import", "docker-run", "docker run --name $USER alpine"],
    "KR530": lambda: ["compile", "--this-host", rooted("/bin/none")],
    "KR531": lambda: ["compile", "--this-host", box("a")],
    "KR607": lambda: ["compile", "--this-host", box("a", "machine: {memory: 4000000GiB}")],
    "KR611": lambda: two('network: {mode: tsi, ports: ["1:1"]}'),
    "KR612": lambda: two("disks: [{id: a, path: a.img, format: raw}]"),
    "KR613": lambda: two("vsock: [{port: 5, socket: /run/a.sock, listen: true}]"),
    "KR614": lambda: two("name: same"),
    "KR701": lambda: [*locked(), text(b"{}", "a.lock.json")][:2],
    "KR703": lambda: locked("rootfs: {image: 'b'}", reference="b") + two_entries(),
    "KR704": lambda: locked(entrypoint=("/a",), env=("a b=c",)),
    "KR705": lambda: locked(volumes=("/data",)),
    "KR706": lambda: locked(stop_signal="SIGQUIT"),
    "KR707": lambda: locked(healthcheck=True),
    "KR708": lambda: locked(
        'network: {mode: tsi, ports: ["8080:80"]}', exposed_ports=("3000/tcp",)
    ),
    "KR709": lambda: [
        "check",
        str(Path(text(b'{"krunc_lock": 1, "images": []}', "b.lock.json")).parent),
    ],
    "KR870": lambda: ["digest", "--fleet", plan(str), plan_below("b")],
    "KR871": lambda: ["compile", box("a"), box("A", "name: b")],
    "KR800": lambda: ["emit", "nomad", planned("a"), planned("b", target="2")],
    "KR801": lambda: ["emit", "nomad", planned("a"), planned("b", "name: a")],
    "KR802": lambda: ["emit", "nomad", planned("a", TERMINAL, target="2")],
    "KR803": lambda: [
        "emit",
        "systemd",
        planned("a", "network: {mode: unixstream, fd: 3, mac: 02:00:00:00:00:01}"),
    ],
    "KR804": lambda: ["emit", "systemd", planned("a")],
    "KR805": lambda: both('network: {mode: tsi, ports: ["1:1"]}'),
    "KR806": lambda: both("disks: [{id: a, path: a.img, format: raw}]"),
    "KR807": lambda: both("vsock: [{port: 5, socket: /run/a.sock, listen: true}]"),
    "KR808": lambda: ["emit", "nomad", planned("a", "gpu: {flags: [venus]}", target="2")],
    "KR809": lambda: ["emit", "systemd", planned("a", 'rootfs: {path: "/srv/a\\nb"}')],
    "KR845": lambda: both(),
    "KR830": lambda: [
        *("emit", "kubernetes", "--base", "/srv"),
        planned("a", f"entrypoint: {{executable: /bin/a, env: {LARGE}}}", target="2"),
    ],
    "KR831": lambda: [
        *("emit", "kubernetes", "--base", "/srv"),
        planned("a", "network: {mode: tap, device: tap0}", target="2"),
    ],
    "KR810": lambda: ["emit", "systemd", planned("a"), "--base", "/srv", "-o", "/proc"],
    "KR618": lambda: ["compile", box("a", "entrypoint: {executable: /bin/a -f}")],
    "KR616": lambda: [
        "compile",
        box("a", "shares: [{tag: s, path: ./work, read_only: false}]"),
        box("b", "rootfs: {path: ./other}", "disks: [{id: a, path: ./work/a.img, format: raw}]"),
    ],
}


# What krunc would have to be broken for: tests/policy/test_contained.py breaks it.
BROKEN = {"KR012"}


@pytest.mark.parametrize("code", sorted(set(entries()) - set(BY_COMMAND) - BROKEN))
def test_the_bad_example_is_bad_and_the_good_one_good(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    item = entries()[code]
    Path("bad.yaml").write_text(whole(item.bad))
    assert code in codes_of(["compile", "bad.yaml"], capsys)
    Path("good.yaml").write_text(whole(item.good))
    assert codes_of(["compile", "good.yaml"], capsys) == set()


@pytest.mark.parametrize("code", sorted(BY_COMMAND))
def test_a_command_raises_it(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = BY_COMMAND[code]()
    if code == "KR711":
        monkeypatch.setenv("PATH", "/nowhere")
    assert code in codes_of(command, capsys)


def test_every_code_of_the_source_is_in_the_catalogue() -> None:
    used = {
        code
        for module in COMPILER.rglob("*.py")
        for code in re.findall(r'"(KR\d+)"', module.read_text("utf-8"))
    }
    assert used == set(entries())


@pytest.mark.parametrize("item", entries().values(), ids=lambda item: item.code)
def test_an_entry_says_all(item: catalogue.Entry) -> None:
    for sentence in (item.what, item.why, item.way_out):
        assert sentence.endswith(".")
    assert not item.title.endswith(".")
    assert item.bad != item.good


def test_the_page_is_current() -> None:
    page = (ROOT / "docs" / "findings.md").read_text("utf-8")
    assert page == catalogue.page(), "run python docs/generate_findings.py"


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "kr201"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("KR201 (error): two things share what must be their own\n")
    assert "\nBad:\n    shares:\n" in out
    assert main(["explain"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(entries())
    assert main(["explain", "KR3011"]) == 2
    assert "did you mean KR301?" in capsys.readouterr().err


def test_the_catalogue_alone_says_what_is_a_warning() -> None:
    for code, item in entries().items():
        assert Finding(code, "").warning is item.warning
        assert Finding(code, "", waived=True).warning
    assert not Finding("KR999", "").warning
    assert "warning" not in Finding._fields
