"""Many plans against many: what they share is told once, and what differs from the rest first."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.review.alike import Said, alike
from krunc_compiler.review.names import are_all_told, in_words
from krunc_compiler.review.words import plain
from krunc_schema import load
from reviews import BOX as ONE
from reviews import compiled

PLANS = 250
BOX = """\
krunc: 1
name: web-{{{{ n }}}}
matrix: {{n: {{from: 1, to: {plans}}}}}
rootfs: {{path: "./roots/{{{{ n }}}}"}}
network: {{mode: tsi, ports: ["{{{{ {first} + n }}}}:80"]}}
entrypoint: {{executable: /bin/httpd}}
"""


def made(directory: Path, first: int, plans: int = PLANS, target: str = "1") -> Path:
    """A directory with the plans of a matrix that publish ports from FIRST on."""
    directory.mkdir(parents=True)
    (directory / "fleet.yaml").write_text(BOX.format(plans=plans, first=first))
    assert main(["compile", str(directory), "--target", target]) == 0
    return directory


def edited(plan: Path, old: str, new: str) -> None:
    """Put NEW in the place of OLD in the text of PLAN."""
    text = plan.read_text()
    assert old in text
    plan.write_text(text.replace(old, new))


def diffed(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """What krunc diff of WORDS prints, and its exit status."""
    capsys.readouterr()
    status = main(["diff", *map(str, words)])
    return status, capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, object]:
    """The JSON of krunc diff of WORDS."""
    value: dict[str, object] = json.loads(diffed(capsys, *words, "--format", "json")[1])
    jsonschema.validate(value, load("fleet-diff.schema"))
    return value


def test_three_that_differ_stand_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = made(tmp_path / "old", 8000), made(tmp_path / "new", 9000)
    edited(new / "web-5.plan.json", "9005", "22")
    edited(new / "web-17.plan.json", "roots/17", "roots")
    edited(new / "web-99.plan.json", "/bin/httpd", "/bin/other")
    status, text = diffed(capsys, old, new)
    assert status == 1
    assert len(text.splitlines()) < 60
    first = text.index("WIDENS HOST ACCESS\n", text.index("UNLIKE") + 40)
    for one in ("host port 22 ", "directory roots ", "web-5", "web-17"):
        assert text.index(one) < first
    assert "/bin/other" in text
    assert "{n+9000}" in text
    rows = document(capsys, old, new)["changes"]
    assert isinstance(rows, list)
    shared = [row for row in rows if "{n+9000}" in row["text"]]
    assert [len(row["plans"]) for row in shared] == [PLANS - 1]
    assert not any(row["unlike"] for row in shared)
    unlike = {name for row in rows if row["unlike"] for name in row["plans"]}
    assert unlike == {"web-5", "web-17", "web-99"}


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_a_comment_and_a_page_have_the_same(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = made(tmp_path / "old", 8000, 20), made(tmp_path / "new", 9000, 20)
    edited(new / "web-5.plan.json", "9005", "22")
    status, text = diffed(capsys, old, new, "--format", form)
    assert status == 1
    text = re.sub("`|</?code>", "", text)
    assert "n+9000" in text
    assert text.index("port 22") < text.index("n+9000")
    assert len(text) < 20_000


def test_the_same_plans_print_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = made(tmp_path / "old", 8000, 5), made(tmp_path / "new", 8000, 5)
    assert diffed(capsys, old, new) == (0, "")
    value = document(capsys, old, new)
    assert value["old"] == value["new"]


def test_plans_that_come_go_and_are_renamed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = made(tmp_path / "old", 8000, 5), made(tmp_path / "new", 8000, 7)
    (new / "web-2.plan.json").unlink()
    (new / "web-3.plan.json").rename(new / "front.plan.json")
    status, text = diffed(capsys, old, new)
    assert status == 1
    assert "removed web-2\n" in text
    assert "renamed web-3 to front\n" in text
    assert "added web-{6-7}\n" in text
    value = document(capsys, old, new)
    assert isinstance(value["changes"], list)
    assert {row["status"] for row in value["changes"]} == {"added"}
    assert "widens" in {row["effect"] for row in value["changes"]}


def test_a_fleet_of_two_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = made(tmp_path / "old", 8000, 20), made(tmp_path / "new", 8000, 20, target="2")
    value = document(capsys, old, new)
    assert isinstance(value["changes"], list)
    told = [row for row in value["changes"] if "target 1 -> 2" in row["text"]]
    assert [len(row["plans"]) for row in told] == [20]


def test_a_bad_plan_is_an_input_that_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = made(tmp_path / "old", 8000, 3), made(tmp_path / "new", 8000, 3)
    (new / "web-2.plan.json").write_text("{")
    capsys.readouterr()
    assert main(["diff", str(old), str(new)]) == 2
    assert "web-2.plan.json" in capsys.readouterr().err


def test_a_revision_against_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = made(tmp_path / "boxes", 8000, 4)
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "plans"]):
        subprocess.run([*git, *words], check=True)
    assert diffed(capsys, "main:boxes") == (0, "")
    edited(directory / "web-2.plan.json", "8002", "22")
    status, text = diffed(capsys, "main:boxes")
    assert status == 1
    assert "host port 22" in text
    assert diffed(capsys, "main:boxes", "boxes") == (status, text)


@pytest.mark.parametrize("name", ["a\nb", "a`@all`", "\u202eb", "web-{1-5}", "<b>x"])
def test_names_of_strangers(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = made(tmp_path / "old", 8000, 3), made(tmp_path / "new", 8000, 3)
    (new / "web-2.plan.json").rename(new / f"{name}.plan.json")
    _, text = diffed(capsys, old, new)
    for bad in ("a\nb", "\u202e", " web-{1-5}"):
        assert bad not in text
    _, page = diffed(capsys, old, new, "--format", "html")
    assert "<b>x" not in page


CASES: dict[str, tuple[Callable[[int], str], str]] = {
    "a line": (lambda n: f"port {8000 + n}", "port {n+8000}"),
    "another line": (lambda n: f"port {3 * n}", "port {3n}"),
    "the number itself": (lambda n: f"directory ./{n}/x", "directory ./{n}/x"),
    "the same": (lambda n: "port 80", "port 80"),
    "a brace of its own": (lambda n: f'directory "{{n}}{n}"', 'directory "\\u007bn}{n}"'),
    "none": (lambda n: f"port {n * n % 9973}", "port {a}; {a}: 1,4,9,"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_names_tell(case: str) -> None:
    says, told = CASES[case]
    (group,) = alike([Said(f"web-{n}", says(n)) for n in range(1, 101)], {}, are_all_told)
    assert group.text.startswith(told)
    assert len(group.plans) == 100


def test_each_plan_with_a_port_of_its_own() -> None:
    said = [Said(f"web-{n}", f"TCP port {n * 7919 % 60000} to guest port 80") for n in range(1000)]
    groups = list(alike(said, {}, are_all_told))
    assert len(groups) < 5
    assert {name for group in groups for name in group.plans} == {name for name, _ in said}


def test_variables_of_a_matrix_have_their_names() -> None:
    ports = {f"web-{n}": {"port": str(n * n + 1000)} for n in range(50)}
    said = [Said(name, f"port {row['port']}") for name, row in ports.items()]
    (group,) = alike(said, ports, are_all_told)
    assert group.text.startswith("port {port}; {port}: 1000-1001,1004,1009,")
    assert group.text.endswith(" and 25 more up to 3401")


# Words that a row of a matrix has, in the order of rows; what a path of /{word} opens.
SOME = ["srv", "data", "etc", "opt", "root"]
MANY = [f"{a}{b}z" for a in "abcdefghijklmnopqrstuvwxyz" for b in "abcdefghijklmnopqrstuvwxyz"]


@pytest.mark.parametrize("variable", ["d", "a", "n", "name", "name1", "readonly_cache"])
@pytest.mark.parametrize("words", [SOME, SOME[1:3], [*MANY[:300], "etc", *MANY[300:]]])
def test_no_word_is_behind_a_variable_alone(variable: str, words: list[str]) -> None:
    own = {f"web-{i}": {variable: word} for i, word in enumerate(words)}
    said = [Said(name, f"directory /{row[variable]} (share s)") for name, row in own.items()]
    groups = list(alike(said, own, are_all_told))
    assert sorted(plan for group in groups for plan in group.plans) == sorted(own)
    for group in groups:
        told = set(re.findall("[a-z]+", plain(group.text)))
        assert {own[plan][variable] for plan in group.plans} <= told
        assert len(group.text) < 600
    assert len(groups) < 1 + len(words) / 20 or variable in ("n", "name", "name1")


@pytest.mark.parametrize("are_named", [True, False])
def test_what_names_tell_is_told_where_they_are_not_named(are_named: bool) -> None:
    said = [Said(f"web-{word}", f"directory /{word}") for word in MANY[:100]]
    groups = list(alike(said, {}, lambda names: are_named))
    told = " ".join(plain(group.text) for group in groups)
    assert told.count("/{name}") == len(groups)
    assert all((word in told) != are_named for word in MANY[:100])
    numbers = [Said(f"web-{n}", f"port {n + 9000}") for n in range(1, 101)]
    (group,) = alike(numbers, {}, lambda names: are_named)
    assert group.text == "port {n+9000}" + ("" if are_named else "; {n+9000}: 9001-9100")


@pytest.mark.parametrize("most", [4_000_000, 70_000])
def test_the_least_and_the_greatest_of_many_numbers_are_told(most: int) -> None:
    sizes = {f"web-{n}": {"m": str(n * n + 100)} for n in range(1, 100)} | {
        "web-100": {"m": str(most)}
    }
    said = [Said(name, f"up to {row['m']} MiB") for name, row in sizes.items()]
    (group,) = alike(said, sizes, are_all_told)
    assert group.text.startswith("up to {m} MiB; {m}: 101,104,")
    assert group.text.endswith(f" more up to {most}")


def test_two_that_vary_have_names_of_their_own() -> None:
    own = {f"web-{n}": {"a": f"{chr(97 + n)}x"} for n in range(20)}
    said = [
        Said(name, f"/{row['a']} port {i * i * 37 % 9973}")
        for i, (name, row) in enumerate(own.items())
    ]
    (group,) = alike(said, own, are_all_told)
    assert plain(group.text).startswith("/{a} port {b}; {a}: ax, bx, cx, ")
    assert "; {b}: 0,37,148," in plain(group.text)


@pytest.mark.parametrize(
    ("names", "is_whole"),
    [
        ([f"web-{n}" for n in range(1, 1000)], True),
        ([f"web-{2 * n}" for n in range(12)], True),
        ([f"web-{2 * n}" for n in range(13)], False),
        ([f"{a}-1" for a in "abcdefghijkl"], True),
        ([f"{a}-1" for a in "abcdefghijklm"], False),
    ],
)
def test_whether_all_names_are_told(names: list[str], is_whole: bool) -> None:
    assert are_all_told(names) == is_whole
    assert (" more" in plain(in_words(names))) != is_whole


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
@pytest.mark.parametrize("of_git", [False, True])
@pytest.mark.parametrize("row", ["readonly_cache", "d"])
def test_a_path_that_a_matrix_gives_is_told_in_each_form(
    row: str,
    of_git: bool,
    form: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shares = f'shares: [{{tag: s, path: "/{{{{ {row} }}}}", read_only: false}}]\n'
    for side, more in (("old", ""), ("boxes", shares)):
        Path(side).mkdir()
        rows = ", ".join(f"{{n: {i}, {row}: {word}}}" for i, word in enumerate(SOME))
        text = BOX.replace("{{n: {{from: 1, to: {plans}}}}}", "[{rows}]")
        Path(side, "fleet.yaml").write_text(text.format(first=8000, rows=rows) + more)
        assert main(["compile", side, "--target", "2"]) == 0
    old = "old"
    if of_git:
        old = committed("old", "HEAD:old")
    _, text = diffed(capsys, old, "boxes", "--format", form)
    for word in SOME:
        assert re.search(rf"\b{word}\b", text), word


EVIL = {**ONE, "network": {"mode": "tsi"}}


def of_two_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """A repository with the plan boxes/web and an evil one elsewhere; then CHANGE, in a shell."""
    monkeypatch.chdir(tmp_path)
    Path("boxes").mkdir()
    Path("other/deep").mkdir(parents=True)
    for name in ("web", "kept"):
        Path(f"boxes/{name}.plan.json").write_text(compiled(ONE))
    Path("other/evil.plan.json").write_text(compiled(EVIL))
    Path("other/plain.txt").write_text("text")
    committed(".", "")
    subprocess.run(["bash", "-c", change], check=True)
    committed(".", "")


# What is done to boxes/, and what krunc diff must say of it.
HIDDEN = {
    "a plan called .yaml": ("cp other/evil.plan.json boxes/run.yaml", "(TSI)"),
    "a plan called .yml": ("cp other/evil.plan.json boxes/run.yml", "(TSI)"),
    "a plan called .YAML": ("cp other/evil.plan.json boxes/run.YAML", "(TSI)"),
    "a plan with no ending": ("cp other/evil.plan.json boxes/run", "(TSI)"),
    "a link to a plan": ("ln -s ../other/evil.plan.json boxes/run.plan.json", "(TSI)"),
    "a link without an ending": ("ln -s ../other/evil.plan.json boxes/run", "(TSI)"),
    "a link of links": ("ln -s evil.plan.json other/l; ln -s ../other/l boxes/run", "(TSI)"),
    "a link in the place of a plan": (
        "rm boxes/web.plan.json; ln -s ../other/evil.plan.json boxes/web.plan.json", "(TSI)"),
    "a link to a directory": ("ln -s ../other boxes/prod", "a link to ../other, which"),
    "a link to one for a plan": (
        "rm boxes/web.plan.json; ln -s ../other boxes/web.plan.json", "a link to ../other, which"),
    "a link out of the repository": ("ln -s /etc/passwd boxes/run", "a link to /etc/passwd, which"),
    "a link to nothing": ("ln -s ../nothing boxes/run", "a link to ../nothing, which"),
    "a link to itself": ("ln -s run boxes/run", "a link to run, which"),
    "a link with a name of two lines": (
        "mkdir -p $'boxes/a\nHEAD:other'; ln -s ../other $'boxes/a\nHEAD:other/plain.txt'", "a link to ../other, which"),
    "a link that a stranger named": ("ln -s $'\x1b[2J\u202e`' boxes/run", "a link to \"\\u001b[2J"),
    "a link to a file that is no plan": ("ln -s ../other/plain.txt boxes/run", ""),
    "a file that is no plan": ("cp other/plain.txt boxes/run.yaml", ""),
}  # fmt: skip


@pytest.mark.parametrize("sides", ["HEAD~1:boxes HEAD:boxes", "HEAD~1:boxes boxes"])
@pytest.mark.parametrize("case", HIDDEN)
def test_nothing_that_a_launch_takes_is_left_out(
    case: str,
    sides: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change, said = HIDDEN[case]
    of_two_commits(tmp_path, monkeypatch, change)
    status, text = diffed(capsys, *sides.split(), "--format", "json")
    value = json.loads(text)
    assert status == bool(said)
    widens = [row["text"] for row in value["changes"] if row["effect"] == "widens"]
    assert any(said in one for one in widens) or not said, widens
    assert bool(widens) == bool(said)
    for form in ("text", "markdown", "html") if said else ():
        assert diffed(capsys, *sides.split(), "--format", form)[0] == 1
    # The same, once it is there on both sides, is no change.
    assert diffed(capsys, "HEAD:boxes", "boxes") == (0, "")
    assert diffed(capsys, "HEAD:boxes", "HEAD:boxes") == (0, "")
    assert diffed(capsys, "boxes", "boxes") == (0, "")


def test_a_link_that_leads_elsewhere_now_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of_two_commits(tmp_path, monkeypatch, "ln -s ../other boxes/prod")
    Path("boxes/prod").unlink()
    Path("boxes/prod").symlink_to("../other/deep")
    status, text = diffed(capsys, "HEAD:boxes", "boxes")
    assert status == 1
    assert "a link to ../other/deep, which" in text
    Path("boxes/prod").unlink()
    Path("boxes/prod").write_text(compiled(EVIL))
    status, text = diffed(capsys, "HEAD:boxes", "boxes")
    assert status == 1
    assert "WIDENS" in text
    assert "(TSI)" in text


def test_what_a_link_leads_to_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of_two_commits(tmp_path, monkeypatch, "ln -s ../other/evil.plan.json boxes/run")
    wide = {**EVIL, "network": {"mode": "tsi", "ports": ["22:22"]}}
    Path("other/evil.plan.json").write_text(compiled(wide))
    status, text = diffed(capsys, "HEAD:boxes", "boxes")
    assert status == 1
    assert "host port 22" in text
    committed(".", "")
    of_git = diffed(capsys, "HEAD~1:boxes", "HEAD:boxes")[1]
    assert of_git.split("\n\n")[1:] == text.split("\n\n")[1:]


def test_a_pipe_and_a_submodule_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of_two_commits(tmp_path, monkeypatch, "true")
    os.mkfifo("boxes/run")
    status, text = diffed(capsys, "HEAD:boxes", "boxes")
    assert status == 1
    assert "a pipe, socket or device, which" in text
    Path("boxes/run").unlink()
    what = f"160000,{'1' * 40},boxes/sub"
    subprocess.run(["git", "update-index", "--add", "--cacheinfo", what], check=True)
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"], check=True
    )
    status, text = diffed(capsys, "HEAD~1:boxes", "HEAD:boxes")
    assert status == 1
    assert f"a submodule at {'1' * 40}, which" in text.replace("\n               ", " ")
    assert diffed(capsys, "HEAD:boxes", "HEAD:boxes") == (0, "")
    assert diffed(capsys, "HEAD:boxes", "boxes") == (0, "")


def committed(what: str, name: str) -> str:
    """NAME, after a commit of WHAT."""
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", what],
        ["commit", "-q", "--allow-empty", "-m", "plans"],
    ):
        subprocess.run([*git, *words], check=True)
    return name


def test_what_widens_is_never_counted_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Many that are wider by their form could stand before the one that matters."""
    old, new = made(tmp_path / "old", 8000, 40), made(tmp_path / "new", 8000, 40)
    for n in range(1, 41):
        path = "/etc/shadow" if n == 7 else "/a" + "-b" * n
        edited(new / f"web-{n}.plan.json", f"roots/{n}", path)
    _, text = diffed(capsys, old, new)
    assert "/etc/shadow" in text
    rows = document(capsys, old, new)["changes"]
    assert isinstance(rows, list)
    assert not any(row["others"] for row in rows if row["effect"] == "widens")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["web-1", "web-2", "web-4"], "web-{1-2,4}"),
        (["a", "b"], "a, b"),
        (["a-01", "a-02"], "a-01, a-02"),
        (["eu-1", "us-1", "us-2"], "eu-1, us-{1-2}"),
    ],
)
def test_many_names_in_few_words(names: list[str], told: str) -> None:
    assert plain(in_words(names)) == told
