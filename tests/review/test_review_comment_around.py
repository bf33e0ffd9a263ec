"""What the comment has beside the changes: links to the lines of boxes, and the policies' answers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml
from krunc_compiler.files.commits import Entry
from krunc_compiler.review.asked import Answer, Asked, told_of_policies
from krunc_compiler.review.box_lines import BoxLines
from krunc_compiler.review.comment import Around, comment
from krunc_compiler.review.difference import compare
from krunc_compiler.review.markdown import MOST
from markdown_it import MarkdownIt
from places import ROOT
from reviews import BOX, reviewed_box

SCRIPT = ROOT / "integrations" / "review_comment.py"
SERVER = {"GITHUB_SERVER_URL": "https://git.example", "GITHUB_REPOSITORY": "o/r"}
BUILD = """\
krunc: 1
name: build
machine: {cpus: 1, memory: 256MiB}
rootfs: {path: ./rootfs}
shares:
  - tag: src
    path: ./src
    read_only: true
network: {mode: none}
entrypoint: {executable: /bin/true}
"""
POLICY = "krunc_policy: 1\nallow: {writes: [boxes/rootfs], networks: []}\n"


class Repository:
    """A repository in the working directory."""

    def git(self, *words: str) -> str:
        return run("git", *words)

    def commit(self, message: str, **files: str | None) -> None:
        for name, text in files.items():
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", message)


def run(*command: str, **given: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, **given}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commented(**more: str) -> str:
    """The review of the branch, as the script writes it."""
    cleared = {"KRUNC_TOKEN": "", "GITHUB_STEP_SUMMARY": "", "CI_PROJECT_URL": ""}
    return run(sys.executable, str(SCRIPT), **{**cleared, "KRUNC_BASE": "main", **SERVER, **more})


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A repository with a box, its plan and a policy, on a branch."""
    directory = tmp_path / "repository"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text("[user]\nname = a\nemail = a@b.example\n")
    found = Repository()
    found.git("init", "-q", "-b", "main")
    put("boxes/build.yaml", BUILD)
    put(".krunc/policy.yaml", POLICY)
    run("krunc", "compile", "-q", "boxes")
    found.commit("one")
    found.git("checkout", "-qb", "change")
    return found


def put(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def links(text: str) -> list[tuple[str, str]]:
    """What TEXT shows of each of its links, and where it leads, as markdown is read."""
    found: list[tuple[str, str]] = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(text):
        at, shown = "", ""
        for child in token.children or ():
            if child.type == "link_open":
                at, shown = str(child.attrs["href"]), ""
            elif child.type == "link_close":
                found.append((shown, at))
            else:
                shown += child.content
    return found


def line_at(address: str) -> str:
    """The line of a file of this repository that ADDRESS is about."""
    commit = run("git", "rev-parse", "HEAD").strip()
    start = f"https://git.example/o/r/blob/{commit}/"
    assert address.startswith(start), address
    path, _, line = address.removeprefix(start).partition("#L")
    return Path(unquote(path)).read_text().split("\n")[int(line) - 1]


def test_a_change_leads_to_the_line_of_the_box_that_causes_it(repository: Repository) -> None:
    put("boxes/build.yaml", BUILD.replace("y: true", "y: false").replace("none", "tsi"))
    run("krunc", "compile", "-q", "boxes")
    repository.commit("two")
    found = links(commented())
    assert [(shown, line_at(at)) for shown, at in found[:2]] == [
        ("shares[0]", "  - tag: src"),
        ("network", "network: {mode: tsi}"),
    ]
    assert links(commented(GITHUB_SERVER_URL="")) == []
    (_, at), *_ = links(commented(CI_PROJECT_URL="https://lab.example/a/b"))
    assert re.fullmatch(r"https://lab\.example/a/b/-/blob/[0-9a-f]{40}/boxes/build\.yaml#L6", at)


def test_a_box_of_a_matrix_is_found_by_its_name_and_one_of_a_plan_in_another_directory(
    repository: Repository,
) -> None:
    matrix = BUILD.replace("name: build", "name: 'peer-{{ n }}'\nmatrix: {n: [1, 2]}")
    put("boxes/many.yaml", matrix)
    put("boxes/a b(c).yaml", BUILD.replace("name: build", "name: odd"))
    run("krunc", "compile", "-q", "boxes")
    Path("plans").mkdir()
    Path("boxes/build.plan.json").rename("plans/build.plan.json")
    repository.commit("two")
    text = commented()
    read = {
        unquote(at).partition("/boxes/")[2].partition("#")[0]
        for shown, at in links(text)
        if shown == "shares[0]" and line_at(at) == "  - tag: src"
    }
    assert read == {"many.yaml", "a b(c).yaml", "build.yaml"}


def test_a_key_of_a_base_is_linked_in_the_base(repository: Repository) -> None:
    """As krunc compile merges them: lists by what their items are called."""
    put("common/one.yaml", "krunc: 1\nnetwork: {mode: none}\nshares:\n  - {tag: a, path: /srv/a}\n")
    put("common/two.yaml", "# two\n\nextends: one.yaml\nmachine: {cpus: 1, memory: 64MiB}\n")
    head = "krunc: 1\nname: web\nextends: ../common/two.yaml\nrootfs: {path: ./rootfs}\n"
    own = "shares:\n  - {tag: b, path: /srv/b}\n  - {tag: a, read_only: false}\n"
    put("boxes/web.yaml", f"{head}entrypoint: {{executable: /bin/a}}\n{own}")
    run("krunc", "compile", "-q", "boxes/web.yaml", "-o", "plans/")
    repository.commit("before")
    run("git", "branch", "-f", "base-of-this")
    put("common/one.yaml", Path("common/one.yaml").read_text().replace("none", "tsi"))
    put("common/two.yaml", Path("common/two.yaml").read_text().replace("cpus: 1", "cpus: 2"))
    put("boxes/web.yaml", Path("boxes/web.yaml").read_text().replace("b}", "b, read_only: false}"))
    run("krunc", "compile", "-q", "boxes/web.yaml", "-o", "plans/")
    repository.commit("after")
    found = {
        (key, at.rpartition("/")[2].partition("#")[0]): at
        for key, at in links(commented(KRUNC_BASE="base-of-this"))
    }
    assert {one: line_at(at) for one, at in found.items()} == {
        ("network", "one.yaml"): "network: {mode: tsi}",
        ("machine", "two.yaml"): "machine: {cpus: 2, memory: 64MiB}",
        ("shares[1]", "web.yaml"): "  - {tag: b, path: /srv/b, read_only: false}",
    }


BASE, WEB = "krunc: 1\nnetwork: {mode: none}\n", "name: web\nextends: b.yaml\n"
FILES: list[tuple[dict[str, str], str, str, str]] = [
    ({"web.yaml": WEB, "b.yaml": BASE}, "plans/web.plan.json", "network", "b.yaml#L2"),
    ({"web.yaml": WEB, "b.yaml": BASE}, "web.plan.json", "network.mode", "b.yaml#L2"),
    ({"web.yaml": WEB, "b.yaml": BASE}, "web.plan.json", "machine", ""),
    ({"web.yaml": WEB}, "web.plan.json", "name", "web.yaml#L1"),
    ({"web.yaml": WEB, "b.yaml": "link"}, "web.plan.json", "network", ""),
    ({"web.yaml": WEB, "b.yaml": "x: [1]\n"}, "web.plan.json", "x", ""),
    ({"a/web.yaml": WEB, "b.yaml": BASE}, "web.plan.json", "network", ""),
    ({"a/web.yaml": WEB.replace(" b", " ../b"), "b.yaml": BASE}, "p/web.plan.json", "krunc", "b.yaml#L1"),
    ({"web.yaml": WEB.replace(" b", " ../b"), "b.yaml": BASE}, "web.plan.json", "network", ""),
    ({"web.yaml": WEB.replace("b.", "web."), "b.yaml": BASE}, "web.plan.json", "network", ""),
    # Another tool's file of that name, or another box.
    ({".github/web.yaml": "name: web\non: push\n", "x/web.yaml": BASE + "name: web\n"}, "web.plan.json", "name", "x/web.yaml#L3"),
    ({"y/web.yaml": BASE + "name: other\n", "x/v.yaml": BASE + "name: web\n"}, "web.plan.json", "name", "x/v.yaml#L3"),
    ({"y/web.yaml": BASE + "name: web\n", "x/v.yaml": BASE + "name: web\n"}, "web.plan.json", "name", "y/web.yaml#L3"),
    # Nobody knows which.
    ({"y/web.yaml": BASE + "name: web\n", "x/web.yaml": BASE + "name: web\n"}, "web.plan.json", "name", ""),
    ({"y/a.yaml": BASE + "name: web\n", "x/b.yaml": BASE + "name: web\n"}, "web.plan.json", "name", ""),
]  # fmt: skip


@pytest.mark.parametrize(("texts", "plan", "key", "place"), FILES)
def test_a_line_is_that_of_the_right_file_or_none(
    texts: dict[str, str], plan: str, key: str, place: str
) -> None:
    files = {
        path: Entry("120000" if text == "link" else "100644", "0") for path, text in texts.items()
    }
    lines = BoxLines(files, lambda path, name: texts[path].encode(), "https://git.example")
    found = lines.of(plan, "web")(key)
    assert found == (f"https://git.example/{place}" if place else "")


@pytest.mark.parametrize(
    ("box", "key", "line"),
    [
        (BUILD, "shares[0].path", 7),
        (BUILD, "shares[3].path", 5),
        (BUILD, "rootfs.changes", 4),
        (BUILD, "default", 0),
        (BUILD, "timeout", 0),
        (BUILD.replace("shares:", "extends: base.yaml\nshares:"), "shares[0].path", 6),
        (BUILD.replace("name: build", "extends: base.yaml"), "network", 9),
        (BUILD.replace("name: build", "name: 'b{{ n }}'"), "network", 9),
        (BUILD.replace("name: build", "name: other"), "network", 0),
        (BUILD.replace("name: build", "name: 7"), "network", 0),
        (BUILD.replace("name: build", ""), "network", 0),
        ("a: [", "network", 0),
        ("- a", "network", 0),
        ("\0", "network", 0),
        ("&a [*a]", "network", 0),
        ("x-a: &a {network: {mode: none}}\n" + BUILD, "x-a", 0),
    ],
)
def test_no_line_is_that_of_another_key(box: str, key: str, line: int) -> None:
    files = {"b/build.yaml": Entry("100644", "0")}
    lines = BoxLines(files, lambda path, name: box.encode(), "https://git.example")
    at = f"https://git.example/b/build.yaml#L{line}" if line else ""
    assert lines.of("b/build.plan.json", "build")(key) == at


@pytest.mark.parametrize("mode", ["120000", "160000"])
def test_what_is_no_file_is_not_read(mode: str) -> None:
    def read(path: str, name: str) -> bytes:
        raise AssertionError("read")

    lines = BoxLines({"build.yaml": Entry(mode, "0")}, read, "https://git.example")
    assert lines.of("build.plan.json", "build")("network") == ""


@pytest.mark.parametrize("name", ["a](b", "a) b", "a`b", "<b>", "\udc80", "a\nb", '"', "a#L9"])
@pytest.mark.parametrize("most", [MOST, 3000])
def test_no_path_leads_elsewhere(name: str, most: int) -> None:
    box = yaml.safe_dump({**BOX, "name": "build", "network": {"mode": "tsi"}})
    lines = BoxLines({f"{name}.yaml": Entry("100644", "0")}, lambda *_: box.encode(), "https://g/x")
    new: dict[str, Any] = {**BOX, "name": "build", "network": {"mode": "tsi"}}
    difference = compare(reviewed_box({**BOX, "name": "build"}), reviewed_box(new))
    around = Around(lines=lines.of)
    text = comment([(f"{name}.plan.json", difference)] * 2, most, around)
    assert len(text.encode()) <= most
    found = links(text)
    assert found
    assert all(re.fullmatch(r"https://g/x/[A-Za-z0-9%._-]+\.yaml#L\d+", at) for _, at in found)


def test_the_policies_that_were_asked_are_told_with_their_answers(repository: Repository) -> None:
    put("boxes/build.yaml", BUILD.replace("y: true", "y: false").replace("none", "tsi"))
    put("boxes/fine.yaml", BUILD.replace("build", "fine"))
    run("krunc", "compile", "-q", "boxes")
    put("boxes/.krunc/policy-cpus.yaml", "krunc_policy: 1\nallow: {cpus: 4}\n")
    put("boxes/.krunc/policy-wrong.yaml", "krunc_policy: 1\nallow: {cpu: 4}\n")
    put("other/.krunc/policy.yaml", "krunc_policy: 1\nallow: {cpus: 0}\n")
    Path("boxes/.krunc/policy-link.yaml").symlink_to("/etc/passwd")
    repository.commit("two")
    text = commented()
    (told,) = re.findall(r"\*\*Policies\*\*\n\n(.*?)\n\n", text, re.DOTALL)
    lines = told.split("\n")
    assert lines[0].startswith("- `boxes/.krunc/policy-link.yaml`, changed by this request: cannot")
    assert "a symbolic link" in lines[0]
    assert lines[1].startswith(
        "- `boxes/.krunc/policy-wrong.yaml`, changed by this request: cannot"
    )
    assert "KR" in lines[1]
    assert lines[2:] == [
        "- `.krunc/policy.yaml`: `boxes/build.plan.json` breaks `allow.networks, allow.writes`;"
        " 1 plan complies",
        "- `boxes/.krunc/policy-cpus.yaml`, changed by this request: 2 plans comply",
    ]


def test_what_a_box_waives_is_not_broken_and_no_policy_is_told_as_that(
    repository: Repository,
) -> None:
    waiver = "waivers:\n  - {rule: allow.networks, reason: downloads}\n"
    put("boxes/build.yaml", BUILD.replace("none", "tsi") + waiver)
    run("krunc", "compile", "-q", "boxes")
    repository.commit("two")
    assert (
        "- `.krunc/policy.yaml`: 1 plan complies; `boxes/build.plan.json` waives `allow.networks`\n"
        in commented()
    )
    repository.git("rm", "-q", ".krunc/policy.yaml")
    repository.commit("three")
    assert "**Policies**: none apply to these plans\n" in commented()


def test_many_policies_are_counted_where_there_is_no_room() -> None:
    asked = {f"p{i}/.krunc/policy.yaml": Asked({f"p{i}/{j}.plan.json": Answer(["allow.cpus"] * (i == 7), [])
                                               for j in range(9)}, []) for i in range(100)}  # fmt: skip
    lines = told_of_policies(asked, (), 500)
    assert lines[2].startswith("- `p7/.krunc/policy.yaml`: `p7/0.plan.json` breaks `allow.cpus`;")
    assert lines[2].endswith("; 6 more plans with broken rules")
    assert re.fullmatch(r"- and \d+ more policies", lines[-2])
    shown = len(lines) - 4
    assert lines[-2] == f"- and {100 - shown} more policies"
