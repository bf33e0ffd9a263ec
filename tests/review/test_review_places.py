"""Where reviews happen: git's own diff, pre-commit, and the comment on a pull request."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from golden import agree
from krunc_compiler.review.comment import MARK
from places import ROOT
from reviews import BOX, compiled, reviewed_box

SCRIPT = ROOT / "integrations" / "review_comment.py"
SHARE = {"tag": "s", "path": "./data"}
CLOSED = {**BOX, "shares": [SHARE]}
OPEN = {**BOX, "shares": [{**SHARE, "read_only": False}], "network": {"mode": "tsi"}}


def run(
    *command: str, check: bool = True, given: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command in the working directory, with krunc of this environment on the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, **(given or {})},
    )
    assert not check or done.returncode == 0, done.stderr + done.stdout
    return done


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose branch opens what main keeps closed."""
    directory = tmp_path / "repository"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text("[user]\nname = a\nemail = a@b.example\n")
    run("git", "init", "-q", "-b", "main")
    same = {**BOX, "name": "same"}
    plans = {"boxes/web.plan.json": compiled(CLOSED), "boxes/same.plan.json": compiled(same)}
    commit("one", {**plans, "boxes/same.yaml": json.dumps(same)})
    run("git", "checkout", "-qb", "change")
    commit("two", {"boxes/web.plan.json": compiled(OPEN)})
    return directory


def commit(message: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text, "utf-8", "surrogateescape")
    run("git", "add", ".")
    run("git", "commit", "-qm", message)


def documented(language: str, word: str) -> str:
    """The fenced block of the documentation in LANGUAGE that holds WORD."""
    text = (ROOT / "docs" / "review.md").read_text("utf-8")
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    (block,) = (block for block in blocks if word in block)
    return str(block)


def test_git_diff_and_log_read_well(repository: Path) -> None:
    run("sh", "-ec", documented("sh", "textconv"))
    log = run("git", "log", "-p", "-1").stdout
    assert "-- **read** directory `data` (share `s`)" in log
    assert "+- **write** directory `data` (share `s`)" in log
    assert "+- **write** directory `rootfs` (the guest's root)" not in log, "that did not change"
    shown = run("git", "diff", "main").stdout
    assert "boxes/web.plan.json\n" in shown
    assert "any address that the host user can reach" in shown
    commit("three", {"boxes/web.plan.json": "{}", "boxes/new.plan.json": compiled(BOX)})
    run("git", "rm", "-q", "boxes/same.plan.json")
    run("git", "commit", "-qm", "four")
    assert "\n+{}\n" in run("git", "log", "-p", "-2").stdout, "what is not a plan is shown as it is"
    run("git", "diff", "main")
    run("git", "log", "-p", "--ext-diff")
    odd = {"--x\\033[2J\x1b[2J.plan.json": compiled(BOX), "--output=x.plan.json": "\x1b[2J"}
    commit("five", odd)
    for args in (["diff", "HEAD~"], ["log", "-p", "-1"], ["log", "-p", "-1", "--ext-diff"]):
        done = run("git", *args)
        assert "\x1b" not in done.stdout + done.stderr
        assert "^[[2J" in done.stdout
        assert "directory rootfs" in done.stdout.replace("`", "")


@pytest.mark.parametrize("attributes", ["*.plan.json -diff", "*.plan.json !diff", "* binary", "*.json diff=other"])  # fmt: skip
def test_no_attributes_of_a_branch_turn_it_off(attributes: str, repository: Path) -> None:
    run("sh", "-ec", documented("sh", "textconv"))
    for name in (".gitattributes", "boxes/.gitattributes"):
        commit("three", {name: attributes + "\n"})
    assert (
        "any address that the host user can reach"
        in run("git", "diff", "main", "--", "*.plan.json").stdout
    )
    assert "+- **write**" in run("git", "log", "-p", "-3", "--", "*.plan.json").stdout


@pytest.mark.parametrize("to", ["deploy", ".", "boxes/deeper", "-x"])
def test_a_plan_that_moves_is_a_change_of_its_relative_paths(to: str, repository: Path) -> None:
    run("sh", "-ec", documented("sh", "textconv"))
    Path(to).mkdir(exist_ok=True)
    moved = f"{to}/web.plan.json"
    run("git", "mv", "--", "boxes/web.plan.json", moved)
    run("git", "commit", "-qm", "moved")
    new = os.path.normpath(f"{to}/rootfs")
    for command in (
        ["git", "diff", "HEAD~"],
        ["git", "show", "--ext-diff"],
        ["krunc", "diff", "HEAD~:boxes/web.plan.json", f"./{moved}"],
    ):
        shown = " ".join(run(*command, check=False).stdout.split())
        assert command[0] == "krunc" or f"boxes/web.plan.json {os.path.normpath(moved)}" in shown
        assert "WIDENS HOST ACCESS write directory boxes/data (share s) -> directory" in shown
        assert '- 11 call krun_set_root(root_path="boxes/rootfs")' in shown
        assert f'+ 11 call krun_set_root(root_path="{new}")' in shown
        assert "paths are shown as seen from the repository's top" in shown


def test_a_plan_that_reaches_the_same_from_another_directory_has_not_changed(
    repository: Path,
) -> None:
    Path("boxes/web.yaml").write_text(json.dumps(OPEN))
    Path("plans").mkdir()
    run("krunc", "compile", "boxes/web.yaml", "-o", "plans")
    for old, new in (("plans/web.plan.json", "boxes/web.yaml"), ("boxes/web.plan.json", "plans/web.plan.json")):  # fmt: skip
        assert run("krunc", "diff", old, new).stdout == ""
    copies = [
        shutil.copy(f"{name}/web.plan.json", f"../{name}.json") for name in ("plans", "boxes")
    ]
    done = run("krunc", "diff", *map(str, copies), check=False)
    assert done.returncode == 1, "copies are of no directory"
    names = ["--names", "plans/web.plan.json", "boxes/web.plan.json"]
    assert run("krunc", "diff", *names, *map(str, copies)).stdout == ""


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    """This tree as a repository of its own, for those that clone one."""
    copy = tmp_path / "krunc"
    names = run("git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z").stdout
    for name in names.split("\0")[:-1]:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    for command in ("init -q", "add .", "commit -qm all"):
        run("git", "-C", str(copy), *command.split(" "))
    return copy


def test_pre_commit(repository: Path, taken: Path, tmp_path: Path) -> None:
    """The documented configuration, with the real pre-commit: it installs krunc from a clone."""
    revision = run("git", "-C", str(taken), "rev-parse", "HEAD").stdout.strip()
    lines = documented("yaml", "krunc-check")
    lines = lines.replace("https://github.com/OWNER/krunc", str(taken)).replace("COMMIT", revision)
    Path(".pre-commit-config.yaml").write_text(lines)
    Path("boxes/web.yaml").write_text(json.dumps(CLOSED))
    run("git", "add", ".")
    given = {"PRE_COMMIT_HOME": str(tmp_path / "home")}
    command = ["pre-commit", "run", "--all-files", "--verbose"]
    done = run(*command, "krunc-check", check=False, given=given)
    assert done.returncode == 1
    assert "error[KR301]" in done.stdout
    assert "removed: any address that the host user can reach" in done.stdout
    done = run(*command, "krunc-compile", check=False, given=given)
    assert done.returncode == 1
    assert "files were modified by this hook" in done.stdout
    run("git", "add", ".")
    assert "no problems found" in run(*command, given=given).stdout
    run("git", "commit", "-qm", "all")
    # Without --all-files, as at a commit: of what is deleted or is no box there is no name.
    command = ["pre-commit", "run", "krunc-check", "--verbose"]
    run("git", "rm", "-q", "boxes/same.yaml")
    assert "error[KR303]" in run(*command, check=False, given=given).stdout
    run("git", "reset", "-q", "--hard")
    Path(".krunc").mkdir()
    Path(".krunc/policy.json").write_text('{"krunc_policy": 1, "allow": {"cpus": 1}}')
    run("git", "add", ".")
    assert "error[KR501]" in run(*command, check=False, given=given).stdout


class Service(BaseHTTPRequestHandler):
    """As much of GitHub's and GitLab's comments as the script asks for."""

    url: str
    comments: ClassVar[list[dict[str, Any]]]
    asked: ClassVar[list[tuple[str, str]]]
    refuses: int

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""

    def _answer(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _do(self) -> None:
        path, _, query = self.path.partition("?")
        size = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(size))["body"] if size else None
        self.asked.append((self.command, path))
        known = {self.headers["Authorization"], self.headers["PRIVATE-TOKEN"]}
        if not known & {"Bearer secret", "secret"}:
            return self._answer(401, {})
        if self.refuses and self.command != "GET":
            return self._answer(self.refuses, {})
        if path == "/user":
            return self._answer(200, {"id": 7})
        number = path.rsplit("/", 1)[1]
        if self.command == "GET":
            page = int(re.search(r"\bpage=(\d+)", query)[1])  # type: ignore[index]
            return self._answer(200, self.comments[100 * (page - 1) : 100 * page])
        if self.command == "POST":
            self.comments.append(written(len(self.comments) + 1, "github-actions[bot]", 7, body))
        else:
            assert self.command == ("PUT" if "merge_requests" in path else "PATCH")
            (one,) = (one for one in self.comments if one["id"] == int(number))
            one["body"] = body
        return self._answer(200, {})

    do_GET = do_POST = do_PATCH = do_PUT = _do


def written(number: int, login: str, account: int, body: Any) -> dict[str, Any]:
    return {"id": number, "user": {"login": login}, "author": {"id": account}, "body": body}


@pytest.fixture
def service() -> Iterator[type[Service]]:
    class Fresh(Service):
        comments: ClassVar = [written(i, "somebody", 1, f"{MARK} no, mine") for i in range(1, 131)]
        asked: ClassVar = []
        refuses = 0

    server = ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Fresh.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield Fresh
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def environment(service: Any, place: str, **more: str) -> dict[str, str]:
    base = {"KRUNC_BASE": "main", "KRUNC_NUMBER": "5", "KRUNC_TOKEN": "secret"}
    if place == "github":
        base |= {"GITHUB_API_URL": service.url, "GITHUB_REPOSITORY": "o/r", "GITHUB_STEP_SUMMARY": "summary"}  # fmt: skip
    else:
        base |= {"CI_API_V4_URL": service.url, "CI_PROJECT_ID": "9"}
    return base | more


@pytest.mark.parametrize("place", ["github", "gitlab"])
def test_one_comment_is_kept(place: str, service: Any, repository: Path) -> None:
    given = environment(service, place)
    run(sys.executable, str(SCRIPT), given=given)
    assert len(service.comments) == 131
    first = service.comments[-1]["body"]
    assert first.startswith(MARK)
    assert "directory `data` (share `s`): read -> write" in first
    assert reviewed_box(OPEN).digest in first
    assert "same.plan.json" not in first
    run(sys.executable, str(SCRIPT), given=given)
    assert [one[0] for one in service.asked if one[0] != "GET"] == ["POST"], "nothing is new"
    commit("three", {"boxes/web.plan.json": compiled(CLOSED)})
    run(sys.executable, str(SCRIPT), given=given)
    assert len(service.comments) == 131
    assert "no changes to plans" in service.comments[-1]["body"]
    assert all("no, mine" in one["body"] for one in service.comments[:130])


def test_no_change_makes_no_comment(service: Any, repository: Path) -> None:
    run("git", "checkout", "-q", "main")
    run(sys.executable, str(SCRIPT), given=environment(service, "github"))
    assert len(service.comments) == 130


@pytest.mark.parametrize("status", [403, 500])
def test_a_token_that_may_not_write_leaves_the_summary(
    status: int, service: Any, repository: Path
) -> None:
    service.refuses = status
    done = run(sys.executable, str(SCRIPT), check=False, given=environment(service, "github"))
    assert done.returncode == (status != 403)
    assert str(status) in done.stderr
    assert "secret" not in done.stderr + done.stdout
    assert "any address that the host user can reach" in Path("summary").read_text()


def test_a_service_that_is_not_there(repository: Path) -> None:
    class Nowhere:
        url = ""

    with socket.socket() as mute:  # its port is taken, and nobody listens
        mute.bind(("127.0.0.1", 0))
        Nowhere.url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        done = run(sys.executable, str(SCRIPT), check=False, given=environment(Nowhere, "github"))
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_plans_that_come_go_and_are_none(service: Any, repository: Path) -> None:
    commit("three", {"boxes/a b`c.plan.json": compiled(OPEN), "boxes/:(top)x.plan.json": compiled(BOX)})  # fmt: skip
    run("git", "rm", "-q", "boxes/same.plan.json")
    run("git", "commit", "-qm", "four")
    given = environment(service, "github")
    run(sys.executable, str(SCRIPT), given=given)
    text = service.comments[-1]["body"]
    assert '`"boxes/a b\\u0060c.plan.json"`: ' in text
    assert "4 plans changed" in text
    commit("five", {"boxes/web.plan.json": "{}"})
    done = run(sys.executable, str(SCRIPT), check=False, given=given)
    assert done.returncode == 1
    assert "boxes/web.plan.json:1:1: error[KR102]" in done.stderr


def tree(mode: str, path: str, to: str = "") -> None:
    """Commit what is no file: a submodule or a symbolic link."""
    name = run("git", "rev-parse", "HEAD").stdout.strip()
    if mode == "120000":
        Path("target").write_text(to)
        name = run("git", "hash-object", "-w", "target").stdout.strip()
        Path("target").unlink()
    run("git", "rm", "-qr", "--cached", "--ignore-unmatch", path)
    run("git", "update-index", "--add", "--cacheinfo", f"{mode},{name},{path}")
    run("git", "commit", "-qm", "strange")
    run("git", "checkout", "-qf", "HEAD")


def large(name: str, size: int) -> None:
    commit("large", {name: compiled(BOX) + " " * size})


# What a request can have under the name of a plan, and how the comment calls it.
STRANGE: dict[str, tuple[Callable[[], None], str]] = {
    "a submodule": (lambda: tree("160000", "boxes/sub.plan.json"), "a submodule, no file"),
    "a link": (lambda: tree("120000", "boxes/sub.plan.json", "web.plan.json"), "a symbolic link, no file"),
    "a link to nothing": (lambda: tree("120000", "boxes/sub.plan.json", "/dev/zero"), "a symbolic link, no file"),
    "upper case": (lambda: tree("120000", "boxes/Sub.Plan.JSON", "x"), "a symbolic link, no file"),
    "in place of a plan": (lambda: tree("120000", "boxes/same.plan.json", "web.plan.json"), "a symbolic link, no file"),
    "a link to a plan": (lambda: tree("120000", "net", "boxes/web.plan.json"), "a symbolic link to a plan"),
    "a link called as a box": (lambda: tree("120000", "boxes/run.yaml", "web.plan.json"), "a symbolic link to a plan"),
    "a submodule in place of a plan": (lambda: tree("160000", "boxes/same.plan.json"), "a submodule, no file"),
    "no JSON": (lambda: commit("x", {"boxes/sub.plan.json": "{"}), "this is not JSON"),
    "deep": (lambda: commit("x", {"boxes/sub.plan.json": "[" * 100_000}), "nested too deeply"),
    "no plan": (lambda: commit("x", {"boxes/sub.plan.json": "{}"}), "KR102"),
    "wrong": (lambda: commit("x", {"boxes/sub.plan.json": compiled(BOX).replace("krun_set_root", "krun_nothing")}), "KR403"),
    "a mark in front": (lambda: commit("x", {"boxes/sub.plan.json": "\ufeff" + compiled(BOX)}), "KR401: a byte order mark"),
    "another name, a mark": (lambda: commit("x", {"net.txt": "\ufeff" + compiled(BOX)}), "KR401"),
    "too large": (lambda: large("boxes/sub.plan.json", 3 << 20), "KR001"),
    "no text": (lambda: commit("x", {"boxes/sub.plan.json": "\udcff"}), "KR002"),
    "another name": (lambda: commit("x", {"net.json": '{"krunc_plan": 1}'}), "KR102"),
    "another name, no JSON": (lambda: commit("x", {"net.txt": '  {"krunc_plan" : 1'}), "KR401"),
}  # fmt: skip


@pytest.mark.parametrize("place", ["github", "gitlab"])
@pytest.mark.parametrize("kind", STRANGE)
def test_what_cannot_be_compared_is_told_with_all_else(
    kind: str, place: str, service: Any, repository: Path
) -> None:
    """The job fails, and no old comment stays."""
    service.comments.append(written(131, "github-actions[bot]", 7, f"{MARK} old"))
    make, why = STRANGE[kind]
    make()
    given = environment(service, place)
    done = run(sys.executable, "-I", str(SCRIPT), check=False, given=given)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert all(line.startswith("| ") for line in done.stderr.splitlines())
    text = service.comments[-1]["body"]
    assert "1 file cannot be compared\n" in text
    assert re.search(rf"^- `(boxes/|net)[^`]*`: `[^`]*{re.escape(why)}", text, re.MULTILINE)
    assert "directory `data` (share `s`): read -> write" in text
    shown = Path("summary").read_text() if place == "github" else done.stdout
    assert shown == text


@pytest.mark.parametrize("ignore", ["all", "dirty", "none"])
def test_a_submodule_is_told_whatever_it_says_of_itself(
    ignore: str, service: Any, repository: Path
) -> None:
    """Plans in it are not seen. One that is called a plan fails the job, too."""
    lines = '[submodule "s"]\npath = {}\nurl = x\nignore = ' + ignore + "\n"
    for path, code in (("vendor", 0), ("boxes/sub.plan.json", 1)):
        commit("ignored", {".gitmodules": lines.format(path)})
        tree("160000", path)
        done = run(sys.executable, str(SCRIPT), check=False, given=environment(service, "github"))
        assert done.returncode == code
        assert f"- `{path}`: `a submodule" in service.comments[-1]["body"]


@pytest.mark.parametrize(
    ("to", "is_told"),
    [
        ("boxes", True),
        ("../boxes", True),
        ("/etc", True),
        ("nothing", True),
        ("link", True),
        ("boxes/web.yaml", False),
    ],
)
def test_a_link_that_may_lead_to_plans_is_told(
    to: str, is_told: bool, service: Any, repository: Path
) -> None:
    commit("a box", {"boxes/web.yaml": json.dumps(BOX)})
    tree("120000", "link", to)
    run(sys.executable, str(SCRIPT), given=environment(service, "github"))
    told = "- `link`: `a symbolic link that leads to no file: plans behind it are not compared`"
    assert (told in service.comments[-1]["body"]) == is_told


@pytest.mark.parametrize("name", ["net.json", "plans/a", "WEB.PLAN.JSON", "x.yaml"])
@pytest.mark.parametrize("start", ["", "\n\t "])
def test_a_plan_is_compared_whatever_it_is_called(
    name: str, start: str, service: Any, repository: Path
) -> None:
    commit("three", {name: start + compiled(OPEN), "notes.json": '{"a": 1}', "b.txt": "{"})
    run(sys.executable, str(SCRIPT), given=environment(service, "github"))
    text = service.comments[-1]["body"]
    assert "2 plans changed" in text
    assert f"`{name}`" in text


@pytest.mark.parametrize("old", ["{}", "x"])
def test_a_plan_that_was_none_is_all_new(old: str, service: Any, repository: Path) -> None:
    """Else the request that mends it would fail."""
    run("git", "checkout", "-q", "main")
    commit("broken", {"boxes/was.plan.json": old, "boxes/gone.plan.json": old})
    run("git", "checkout", "-qb", "mended")
    commit("mended", {"boxes/was.plan.json": compiled(OPEN)})
    run("git", "rm", "-q", "boxes/gone.plan.json")
    run("git", "commit", "-qm", "gone")
    run(sys.executable, str(SCRIPT), given=environment(service, "github"))
    text = service.comments[-1]["body"]
    assert re.search("was.plan.json`: `before: KR[^`]*; all of the new plan is shown as new`", text)
    assert re.search("gone.plan.json`: `before: KR[^`]*; it is gone`", text)
    assert "- **write** directory `data` (share `s`)" in text


@pytest.mark.parametrize("base", ["nowhere", "0" * 40, "main~7"])
def test_where_nothing_can_be_compared_the_comment_says_so(
    base: str, service: Any, repository: Path
) -> None:
    for number in (131, 132):  # two jobs at one time can have made two
        service.comments.append(written(number, "github-actions[bot]", 7, f"{MARK} old"))
    given = environment(service, "github", KRUNC_BASE=base)
    done = run(sys.executable, str(SCRIPT), check=False, given=given)
    assert done.returncode == 1
    for one in service.comments[130:]:
        assert "### krunc: the plans cannot be compared\n\n- `git merge-base: " in one["body"]


@pytest.mark.parametrize("gone", ["KRUNC_BASE", "KRUNC_NUMBER", "GITHUB_REPOSITORY"])
def test_a_missing_variable_is_named(gone: str, service: Any, repository: Path) -> None:
    done = run(sys.executable, str(SCRIPT), check=False, given=environment(service, "github", **{gone: ""}))  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"krunc: the variable {gone} is not set\n"


# A file, and the schema that its service publishes for it.
FILES = {
    "action.yml": "vendor.github-actions",
    "examples/ci/github-workflow.yml": "vendor.github-workflows",
    "examples/ci/gitlab-ci.yml": "vendor.gitlab-ci",
}


@pytest.mark.parametrize("name", FILES)
def test_the_services_would_take_the_files(name: str) -> None:
    run("check-jsonschema", "--builtin-schema", FILES[name], str(ROOT / name))


def test_pre_commit_would_take_the_file() -> None:
    run("pre-commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml"))


# A request that would run, and lead each output elsewhere.
TRAPS = ("venv", "pip", "ensurepip", "sitecustomize", "usercustomize", "json", "argparse", "yaml", "jinja2", "krunc", "hatchling", "cffi", "setup")  # fmt: skip
OUTPUTS = ("krunc.md", "krunc.xml", "krunc.sarif", "krunc-review", "summary", "krunc")


@pytest.fixture
def hostile(repository: Path) -> Path:
    """The request's checkout, and beside it what must stay as it is."""
    (repository.parent / "home").mkdir()
    (repository.parent / "home/.bashrc").write_text("as it was")
    trap = f"open({str(repository.parent / 'home/ran')!r}, 'a').write(__name__)\n"
    for name in TRAPS:
        Path(f"{name}.py").write_text(trap)
    Path("krunc_compiler").mkdir()
    Path("krunc_compiler/__init__.py").write_text(trap)
    for name in ("pip.conf", "setup.cfg", "requirements.txt", "pyvenv.cfg"):
        Path(name).write_text("[global]\nindex-url = http://127.0.0.1:9/\n")
    for name in OUTPUTS:
        Path(name).symlink_to("../home/.bashrc")
    Path("boxes/web.yaml").write_text(json.dumps(CLOSED))
    run("git", "add", ".")
    run("git", "commit", "-qm", "hostile")
    return repository


def is_untouched(hostile: Path, *more: str) -> bool:
    """Whether nothing ran, nothing was written through a link, and but for MORE nothing at all."""
    home = hostile.parent / "home"
    assert [path.name for path in home.iterdir()] == [".bashrc"]
    assert (home / ".bashrc").read_text() == "as it was"
    status = run("git", "status", "--porcelain", "--ignored").stdout.splitlines()
    return {line[3:].strip("/") for line in status} <= set(more)


def test_the_steps_of_the_action_run(
    hostile: Path, taken: Path, service: Any, tmp_path: Path
) -> None:
    """Its shell steps, one after the other, as the runner would call them."""
    action = yaml.safe_load((taken / "action.yml").read_text("utf-8"))
    steps = {step["name"]: step for step in action["runs"]["steps"] if "run" in step}
    output, runner = tmp_path / "output", tmp_path / "runner"
    runner.mkdir()
    given = {"RUNNER_TEMP": str(runner), "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}  # fmt: skip

    def step(name: str, **more: str) -> subprocess.CompletedProcess[str]:
        assert set(more) == set(steps[name]["env"]), "the action's own variables"
        command = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps[name]["run"])
        done = run(*command, check=False, given={**given, **more})
        if output.exists():
            outputs.update(re.findall("^(.*?)=(.*)$", output.read_text(), re.MULTILINE))
        return done

    outputs: dict[str, str] = {}
    assert step("Install krunc", KRUNC_ACTION=str(taken)).returncode == 0
    where = {"KRUNC_DIRECTORY": outputs["directory"]}
    assert Path(outputs["directory"]).parent == runner
    done = step("Check", **where, KRUNC_PATHS="boxes")
    assert done.returncode == 0
    assert done.stdout.startswith("::error file=boxes/web.plan.json")
    assert Path(outputs["sarif"]).is_relative_to(outputs["directory"])
    assert json.loads(Path(outputs["sarif"]).read_text())["runs"][0]["results"]
    assert outputs["status"] == "1"
    request = {"KRUNC_TOKEN": "secret", "KRUNC_BASE": "main", "KRUNC_NUMBER": "5"}
    given |= {"GITHUB_API_URL": service.url, "GITHUB_REPOSITORY": "o/r"}
    assert step("Comment on the pull request", **where, KRUNC_ACTION=str(taken), **request).returncode == 0  # fmt: skip
    assert "any address that the host user can reach" in service.comments[-1]["body"]
    assert step("Result", KRUNC_STATUS=outputs["status"]).returncode == 1
    assert step("Result", KRUNC_STATUS="0").returncode == 0
    assert is_untouched(hostile)
    # A request that leaves nothing to check: the job fails, but goes on to the comment.
    outputs.clear()
    output.unlink()
    assert step("Check", **where, KRUNC_PATHS="nothing").returncode == 0
    assert outputs["status"] not in ("0", "")
    conditions = {one["name"]: one.get("if", "") for one in action["runs"]["steps"]}
    assert "!cancelled()" in conditions["Comment on the pull request"]


def test_the_job_of_gitlab_runs(hostile: Path, taken: Path, service: Any, tmp_path: Path) -> None:
    """Its script, in one shell, as GitLab's runner would call it."""
    job = yaml.safe_load((ROOT / "examples/ci/gitlab-ci.yml").read_text("utf-8"))["krunc"]
    commit = run("git", "-C", str(taken), "rev-parse", "HEAD").stdout.strip()
    given = {
        "CI_API_V4_URL": service.url,
        "CI_PROJECT_ID": "9",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": "main",
        "CI_MERGE_REQUEST_IID": "5",
        "KRUNC_TOKEN": "secret",
        "KRUNC_REPOSITORY": str(taken),
        "KRUNC_COMMIT": commit,
    }
    done = run("bash", "-eo", "pipefail", "-c", "\n".join(job["script"]), check=False, given=given)
    assert done.returncode == 1, done.stderr
    assert "error[KR301]" in done.stdout, "a stale plan"
    assert "any address that the host user can reach" in service.comments[-1]["body"]
    (reports,) = map(Path, job["artifacts"]["paths"])
    assert "any address that the host user can reach" in (reports / "krunc.md").read_text()
    assert "KR301" in Path(job["artifacts"]["reports"]["junit"]).read_text()
    assert is_untouched(hostile, "krunc-review", "krunc-review/krunc.md", "krunc-review/krunc.xml")


def test_all_that_is_installed_is_pinned_by_hash() -> None:
    text = (ROOT / "integrations/requirements.txt").read_text("utf-8")
    pins = re.findall(r"^([a-z0-9-]+)==\S+((?: ;[^\\]*)?) \\((?:\n    --hash=sha256:[0-9a-f]{64} ?\\?)+)", text, re.MULTILINE)  # fmt: skip
    lines = [line for line in text.splitlines() if not line.startswith(("#", "    --hash=sha256:"))]
    assert len(pins) == len(lines)
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    lists = re.findall(
        r"^(?:dependencies|requires) = \[(.*?)\]$", project, re.MULTILINE | re.DOTALL
    )
    wanted = {name for one in lists for name in re.findall(r'"([a-z0-9-]+)[><=]', one)}
    assert len(lists) == 2
    assert wanted <= {name for name, *_ in pins}, "run integrations/pin"
    for name in ("action.yml", "examples/ci/github-workflow.yml"):
        used = re.findall(r"uses: (\S+)", (ROOT / name).read_text("utf-8"))
        assert used
        assert all(re.search(r"@([0-9a-f]{40}|COMMIT)$", one) for one in used)


def test_the_demonstration_is_true(update_golden: bool) -> None:
    shown = run(str(ROOT / "docs" / "review-demo")).stdout
    agree(ROOT / "docs" / "review-demo.md", shown, update_golden)
