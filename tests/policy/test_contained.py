"""One bad file costs its own findings only, in every format."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
from krunc_compiler.policy.files import Policy
from krunc_compiler.review import summary
from krunc_compiler.verbs import checking
from reviews import BOX, compiled

FORMATS = ("text", "github", "sarif", "json", "junit")
POLICY = "krunc_policy: 1\nisolation: [user]\n"


def with_ports(count: int) -> str:
    """A plan of COUNT vsock ports, with thirteen values and keys each."""
    value = json.loads(
        compiled({**BOX, "vsock": [{"port": 1, "socket": "/run/1", "listen": False}]})
    )
    rows = value["operations"]
    (at,) = (i for i, row in enumerate(rows) if row.get("call") == "krun_add_vsock_port2")
    ports = [{"port": port, "filepath": f"/run/{port}", "listen": False} for port in range(count)]
    rows[at : at + 1] = [{**rows[at], "args": args} for args in ports]
    return json.dumps(value)


def wrong_and_many() -> str:
    value = json.loads(with_ports(1_500))
    value["operations"][0]["call"] = "krun_nothing"
    return json.dumps(value)


# What may stand in one plan or box, by its name.
BAD: dict[str, tuple[str, str | bytes]] = {
    "many values": ("aa.plan.json", with_ports(2_000)),
    "wrong among many values": ("aa.plan.json", wrong_and_many()),
    "deep": ("aa.plan.json", "[" * 100_000),
    "a long number": ("aa.plan.json", f'{{"krunc_plan": {"9" * 5_000}}}'),
    "too long": ("aa.plan.json", " " * (2 << 20)),
    "no UTF-8": ("aa.plan.json", b"\xff"),
    "empty": ("aa.plan.json", ""),
    "a list": ("aa.plan.json", "[]"),
    "a deep box": ("aa.yaml", "krunc: 1\nname: " + "[" * 10_000),
    "a box of many values": ("aa.yaml", "krunc: 1\nvars:\n" + "".join(f"  a{i}: 1\n" for i in range(25_000))),
    "a name as git has it": ("HEAD:boxes/web.yaml", json.dumps({**BOX, "extends": "x.yaml"})),
    "a long chain": ("aa.yaml", json.dumps({**BOX, "vars": {"a": "{{ " + "(" * 5_000 + " }}"}})),
}  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a policy, and a plan and a box that break it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".krunc").mkdir()
    (tmp_path / ".krunc/policy.yaml").write_text(POLICY)
    (tmp_path / "boxes").mkdir()
    for name, text in (("web.yaml", json.dumps(BOX)), ("zz.plan.json", compiled(BOX))):
        (tmp_path / "boxes" / name).write_text(text)
    assert main(["compile", "boxes"]) == 0
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True)
    return tmp_path


def told(form: str, text: str) -> list[str]:
    """The files that findings in TEXT are about; it has the whole form."""
    names = ("boxes/web.yaml", "boxes/zz.plan.json")
    if form == "json":
        return [row["file"] for row in json.loads(text)["findings"]]
    if form == "sarif":
        results: list[Any] = json.loads(text)["runs"][0]["results"]
        return [str(row["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]) for row in results]  # fmt: skip
    return [name for name in names if name in text and "KR501" in text]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_hides_no_other(
    kind: str, form: str, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, content = BAD[kind]
    path = tree / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    capsys.readouterr()
    assert main(["check", "--format", form]) == 1
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert {"boxes/web.yaml", "boxes/zz.plan.json"} <= set(told(form, out))


@pytest.mark.parametrize(("ports", "codes"), [(1_500, {"KR303", "KR501"}), (2_000, {"KR401"})])
def test_a_plan_of_many_values_is_judged_or_refused(
    ports: int, codes: set[str], tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many as the launcher takes are held to the policies; it refuses the plan that is not."""
    text = with_ports(ports)
    (tree / "aa.plan.json").write_text(text)
    main(["check", "--format", "json"])
    found = json.loads(capsys.readouterr().out)["findings"]
    assert {row["code"] for row in found if row["file"] == "aa.plan.json"} == codes
    assert bool(refusals(text.encode())) == ("KR401" in codes)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "fault", [RecursionError("deep"), MemoryError(), KeyError("x"), ValueError("\x1b[2J"), OSError("o"), Exception("e")], ids=lambda fault: type(fault).__name__
)  # fmt: skip
@pytest.mark.parametrize("broken", ["review", "claims", "policy"])
def test_a_fault_of_krunc_hides_no_other_file(
    broken: str,
    fault: Exception,
    form: str,
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tree / "aa.yaml").write_text(json.dumps({**BOX, "name": "broken"}))
    assert main(["compile", "aa.yaml"]) == 0
    (tree / ".krunc/policy-b.yaml").write_text("krunc_policy: 1\nmessage: broken\n")
    if broken == "review":
        real = summary.review
        monkeypatch.setattr(checking, "review", lambda plan: raised(plan.box == "broken", fault) or real(plan))  # fmt: skip
    elif broken == "claims":
        from krunc_compiler.rules import collisions

        taken = collisions.claims
        monkeypatch.setattr(collisions, "claims", lambda box, *more: raised(box.name == "broken", fault) or taken(box, *more))  # fmt: skip
    else:
        judge = Policy.judge
        monkeypatch.setattr(Policy, "judge", lambda self, *more: raised("message" in self.value, fault) or judge(self, *more))  # fmt: skip
    capsys.readouterr()
    assert main(["check", "--format", form]) == 1
    out, err = capsys.readouterr()
    assert "KR012" in out
    assert type(fault).__name__ in out
    assert "\x1b" not in out + err
    assert {"boxes/web.yaml", "boxes/zz.plan.json"} <= set(told(form, out))


def raised(wanted: bool, fault: Exception) -> bool:
    if wanted:
        raise fault
    return False
