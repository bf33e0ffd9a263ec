"""CI reads nothing outside of the repository, whatever a box or a link of it names."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.files.within import Within, is_in
from reviews import BOX, compiled

SECRET = "auths-c2VjcmV0"
FORMATS = ("text", "github", "sarif", "json", "junit")


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, with a secret beside it, in .git, and in another repository."""
    for directory in ("home/.docker", "repo/.git", "repo/boxes", "other/.git", "other/boxes"):
        (tmp_path / directory).mkdir(parents=True)
    for place in ("home/.docker/config.json", "repo/.git/config", "other/boxes/x.yaml", "other/boxes/x.plan.json"):  # fmt: skip
        (tmp_path / place).write_text(f'{{"krunc": 1, "krunc_plan": 1, "{SECRET}": {{"a": 1}}}}\n')
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path


def box(**keys: object) -> int:
    return Path("boxes/web.yaml").write_text(json.dumps({**BOX, **keys}))


def link(name: str, target: str) -> str:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).symlink_to(target)
    return name


# How a request can name a file that is not its own.
WAYS: dict[str, Callable[[], object]] = {
    "extends": lambda: box(extends="../../home/.docker/config.json"),
    "extends of several": lambda: box(extends=["../../home/.docker/config.json"]),
    "extends, absolute": lambda: box(extends=os.path.realpath("../home/.docker/config.json")),
    "extends, around": lambda: box(extends="./../boxes/../../home/.docker/config.json"),
    "extends of .git": lambda: box(extends="../.git/config"),
    "extends of a link": lambda: (link("boxes/base.yaml", "../../home/.docker/config.json"), box(extends="base.yaml")),
    "extends behind a link": lambda: (link("boxes/d", "../../home/.docker"), box(extends="d/config.json")),
    "extends of a base": lambda: (Path("boxes/b.yml").write_text("extends: ../../home/.docker/config.json\n"), box(extends="b.yml")),
    "nothing but extends": lambda: Path("boxes/web.yaml").write_text("extends: ../../home/.docker/config.json\n"),
    "the key krunc in the base": lambda: Path("boxes/web.yaml").write_text("name: a\nextends: [../../home/.docker/config.json]\n"),
    "extends of the environment": lambda: box(extends="/proc/self/environ"),
    "a box": lambda: link("boxes/x.yaml", "../../home/.docker/config.json"),
    "a box of .git": lambda: link("boxes/x.yaml", "../.git/config"),
    "a box, link to link": lambda: (link("y", "../home"), link("boxes/x.yaml", "../y/.docker/config.json")),
    "a plan": lambda: link("boxes/x.plan.json", "../../home/.docker/config.json"),
    "a plan of a box": lambda: (box(), link("boxes/web.plan.json", "../../home/.docker/config.json")),
    "a policy": lambda: (link(".krunc/policy.yaml", "../../home/.docker/config.json"), box()),
    "names in place of policies": lambda: (Path("../home", SECRET).write_text(""), link(".krunc", "../home"), box()),
    "names in place of deeper policies": lambda: (Path("../home", SECRET).write_text(""), link("boxes/.krunc", "../../home"), box()),
    "policies": lambda: (link("../home/policy.yaml", ".docker/config.json"), link(".krunc", "../home"), box()),
}  # fmt: skip


def runs(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """What COMMAND says, which fails without a traceback."""
    capsys.readouterr()
    assert main([*command]) == 1
    out, err = capsys.readouterr()
    assert SECRET not in out + err
    assert "Traceback" not in out + err
    return out + err


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("way", WAYS)
def test_check_does_not_read_it(
    way: str, form: str, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    WAYS[way]()
    told = runs(capsys, "check", "--format", form)
    assert "outside of the repository" in told
    assert "--allow-outside DIR" in told


@pytest.mark.parametrize("given", ["boxes", "./boxes", ".", "boxes/../boxes"])
@pytest.mark.parametrize("to", ["../other", "../other/boxes", "../home/.docker"])
def test_a_directory_that_leads_out(
    to: str, given: str, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also into another repository: it is of the one in which its name stands."""
    (repo / "home/.docker/x.yaml").write_text(f"krunc: 1\n{SECRET}: {{\n")
    for name in ("home/.docker", "other", "other/boxes"):
        for ending in ("", ".yaml", ".plan.json"):  # names are secrets, too
            (repo / name / f"{SECRET}{ending}").write_text("krunc: 1\n")
    Path("boxes").rmdir()
    link("boxes", to)
    for command in (["check"], ["compile", "--check"], ["compile", "--inside"]):
        capsys.readouterr()
        code = main([*command, given])
        out, err = capsys.readouterr()
        assert SECRET not in out + err
        if given == ".":  # nothing follows it
            assert code == 2
        else:
            assert code == 1
            assert "error[KR011]" in out + err


def opened(*command: str) -> list[str]:
    """The real paths of the files that COMMAND opens."""
    watch = (
        "import os, sys; sys.addaudithook(lambda event, args: event == 'open' and "
        "isinstance(args[0], str) and sys.stderr.write('opens ' + os.path.realpath(args[0]) + chr(10)));"
        "from krunc_compiler.__main__ import main; main(sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", watch, *command], capture_output=True, text=True)
    return [line[6:] for line in done.stderr.splitlines() if line.startswith("opens ")]


@pytest.mark.parametrize(
    "command", [["check"], ["compile", "--check", "boxes"], ["compile", "--inside", "boxes"]]
)
@pytest.mark.parametrize("way", WAYS)
def test_no_file_outside_is_opened(way: str, command: list[str], repo: Path) -> None:
    """Also not to find out whether it is a box, a base of one, or a plan."""
    WAYS[way]()
    link("boxes/x.json", "../../home/.docker/config.json")
    link("boxes/README", "../.git/config")
    found = opened(*command)
    secrets = ("config.json", "config", "environ")
    assert not [path for path in found if os.path.basename(path) in secrets]


def test_a_link_out_that_is_called_neither_is_told(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may lead to a plan, which krunc launch would take."""
    box()
    link("boxes/x.json", "../../other/boxes/x.plan.json")
    assert main(["compile", "boxes"]) == 0
    capsys.readouterr()
    assert main(["check", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["skipped"]
    assert row["file"] == "boxes/x.json"
    assert "leads out of the repository" in row["why"]


@pytest.mark.parametrize("option", ["--vars", "--policy"])
def test_a_file_of_the_command_line_that_is_a_link(
    option: str, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The workflow names it, but the request says where it leads."""
    box()
    link("boxes/file.yaml", "../../home/.docker/config.json")
    assert "error[KR011]" in runs(capsys, "check", option, "boxes/file.yaml", "boxes/web.yaml")


@pytest.mark.parametrize("way", ["extends", "extends of .git", "a box", "a plan of a box"])
def test_compile_check_does_not_read_it(
    way: str, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    WAYS[way]()
    for given in ("boxes", *map(str, Path("boxes").glob("*.yaml"))):
        assert "outside of the repository" in runs(capsys, "compile", "--check", given)


def test_what_is_named_or_allowed_is_read(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repo / "common").mkdir()
    (repo / "common/base.yaml").write_text("machine: {memory: 2GiB}\n")
    (repo / "common/policy.yaml").write_text("krunc_policy: 1\n")
    (repo / "common/vars.yaml").write_text("a: 1\n")
    box(extends="../../common/base.yaml", vars={"a": 2})
    given = ["--vars", "../common/vars.yaml", "--policy", "../common/policy.yaml"]
    assert main(["compile", "boxes", *given[:2]]) == 0, "a person may extend what there is"
    assert main(["check", *given]) == 1, "a file that is named allows no other"
    for allowed in ("../common", str(repo), "/"):
        assert main(["check", "--allow-outside", allowed, *given]) == 0
        assert main(["compile", "--check", "boxes", "--allow-outside", allowed, *given[:2]]) == 0
    assert "no problems found" in capsys.readouterr().out


@pytest.mark.parametrize("output", ["../plans", "../plans/", "../plans/web.plan.json", "../link/plans"])  # fmt: skip
def test_plans_where_the_command_line_says_are_read(
    output: str, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repo / "plans").mkdir()
    (repo / "link").symlink_to(".")
    box()
    command = ["compile", "boxes/web.yaml" if output.endswith("json") else "boxes", "-o", output]
    assert main(command) == 0
    assert main([*command, "--check"]) == 0
    assert main([*command, "--inside"]) == 0
    if output.endswith("json"):
        return  # that very file, as with --vars
    (repo / "plans/web.plan.json").unlink()
    (repo / "plans/web.plan.json").symlink_to("../home/.docker/config.json")
    assert "outside of the repository" in runs(capsys, *command, "--check")


def test_an_output_that_leads_out_of_the_repository_is_not_read(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repo / "plans").mkdir()
    link("plans", "../plans")
    box()
    assert main(["compile", "boxes", "-o", "../plans"]) == 0
    assert "outside of the repository" in runs(capsys, "compile", "boxes", "-o", "plans", "--check")


@pytest.mark.parametrize("given", ["..", "../repo", "../link/repo", "boxes", "../repo/boxes/web.yaml"])  # fmt: skip
def test_a_base_elsewhere_in_the_repository_is_read(given: str, repo: Path) -> None:
    (repo / "link").symlink_to(".")
    (repo / "repo/deep/er").mkdir(parents=True)
    Path("base.yaml").write_text("machine: {memory: 2GiB}\n")
    Path("deep/er/base.yaml").symlink_to("../../base.yaml")
    box(extends="../deep/er/base.yaml")
    for name in ("other/boxes/x.yaml", "other/boxes/x.plan.json", "home/.docker/config.json"):
        (repo / name).unlink()
    assert main(["compile", "boxes"]) == 0
    assert main(["check", given]) == 0


def test_without_a_repository_the_working_directory_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tree/boxes").mkdir(parents=True)
    (tmp_path / "base.yaml").write_text("machine: {memory: 2GiB}\n")
    (tmp_path / "tree/base.yaml").write_text("machine: {memory: 2GiB}\n")
    monkeypatch.chdir(tmp_path / "tree")
    box(extends="../base.yaml")
    assert main(["compile", "boxes"]) == 0
    assert main(["check"]) == 0
    monkeypatch.chdir("/")
    assert main(["check", str(tmp_path / "tree/boxes")]) == 0
    monkeypatch.chdir(tmp_path / "tree")
    box(extends="../../base.yaml")
    assert "outside" in runs(capsys, "check")


# Where a plan would go through a link, and where the link leads.
LINKS = {
    "boxes/web.plan.json": ["../../home/.bashrc", "../../home/new", "../Makefile", "/dev/full", "../pipe", "../.git/hooks/x"],
    "out": ["../home", "../other/boxes", ".git"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "to"), [(name, to) for name, all_ in LINKS.items() for to in all_])  # fmt: skip
def test_no_plan_goes_through_a_link_out_of_its_directory(
    name: str, to: str, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repo / "home/.bashrc").write_text("export A=1\n")
    Path("Makefile").write_text("all:\n")
    os.mkfifo("pipe")
    box()
    Path("boxes/aa.yaml").write_text(json.dumps({**BOX, "name": "aa"}))
    link(name, to)
    output = ["-o", "out"] if name == "out" else []
    before = files(repo)
    told = runs(capsys, "compile", "boxes", *output)
    assert "error[KR302]: the plan cannot be written: it" in told
    assert files(repo) == before, "everything or nothing"


def files(directory: Path) -> dict[str, str]:
    return {
        str(path): path.read_text() if path.is_file() and not path.is_symlink() else ""
        for path in directory.rglob("*")
    }


def test_an_imported_box_goes_through_no_link(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from boxlite_specs import BASE

    Path("spec.json").write_text(json.dumps(BASE))
    link("web.yaml", "../home/.docker/config.json")
    before = files(repo)
    assert "KR302" in runs(capsys, "import", "boxlite", "spec.json", "-o", "web.yaml")
    assert files(repo) == before


def test_a_link_that_stays_and_the_systems_own_are_written_through(repo: Path) -> None:
    box()
    link("boxes/web.plan.json", "current.json")
    assert main(["compile", "boxes"]) == 0
    assert Path("boxes/web.plan.json").is_symlink()
    assert Path("boxes/current.json").read_text() == compiled(BOX)
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        command = [sys.executable, "-m", "krunc_compiler", "compile", "boxes/web.yaml", "-o", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.startswith('{\n"krunc_plan": 1,')


def test_what_is_plainly_inside_is_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quick look at a path agrees with the resolved one, however the path is written."""
    for directory in ("in/a/b", "in/.git", "in/a/.GIT", "out/b", "in-too"):
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "x").touch()
    links = {"out": "in/out", "in": "out/in", "../out": "in/a/o", "b": "in/a/i", "a/b/x": "in/f"}
    links |= {"../../out/x": "in/a/g", "nowhere": "in/n", "loop": "in/loop", ".git": "in/git"}
    for target, name in links.items():
        os.symlink(tmp_path / target if "/" not in target else target, tmp_path / name)
    parts = ("a", "b", "x", "o", "f", "g", "n", "in", "loop", "..", "", ".git", "in-too")  # fmt: skip
    monkeypatch.chdir(tmp_path / "in/a")
    places = [str(tmp_path / place) for place in ("in", "in/a/b", "in/a/b/x", "in/f")] + ["/"]
    both = set()
    for place in map(os.path.realpath, places):
        for words in itertools.product(parts, repeat=3):
            for path in ("/".join(words), f"{tmp_path}/{'/'.join(words)}"):
                admitted = Within((place,)).admits(path)
                assert admitted == is_in(os.path.realpath(path), place), (path, place)
                both.add(admitted)
    assert both == {True, False}
    assert Within((places[0],)).admits("x\0")  # it is told when it is opened
    os.unlink(tmp_path / "in/a/b/x")
    os.symlink("../../../out/b/x", tmp_path / "in/a/b/x")
    assert not Within((places[2],)).admits("b/x"), "a file that became a link since"
