"""Where reviews happen: git's own diff, pre-commit, and the comment on a pull request."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from golden import agree
from krunc_compiler.review.comment import MARK
from reviews import BOX, compiled, reviewed_box

ROOT = Path(__file__).parent.parent
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
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text("[user]\nname = a\nemail = a@b.example\n")
    run("git", "init", "-q", "-b", "main")
    same = {**BOX, "name": "same"}
    plans = {"boxes/web.plan.json": compiled(CLOSED), "boxes/same.plan.json": compiled(same)}
    commit("one", {**plans, "boxes/same.yaml": json.dumps(same)})
    run("git", "checkout", "-qb", "change")
    commit("two", {"boxes/web.plan.json": compiled(OPEN)})
    return folder


def commit(message: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    run("git", "add", ".")
    run("git", "commit", "-qm", message)


def documented(language: str, word: str) -> str:
    """The fenced block of the documentation in LANGUAGE that holds WORD."""
    text = (ROOT / "docs" / "review.md").read_text("utf-8")
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    (block,) = (block for block in blocks if word in block)
    return str(block)


def test_git_diff_and_log_read_well(repository: Path) -> None:
    Path(".gitattributes").write_text(documented("gitattributes", "krunc"))
    run("sh", "-ec", documented("sh", "textconv"))
    log = run("git", "log", "-p", "-1").stdout
    assert "-- **reads** `folder data (share s)`" in log
    assert "+- **writes** `folder data (share s)`" in log
    assert "+- **writes** `folder rootfs (the guest's root)`" not in log, "that did not change"
    shown = run("git", "diff", "main").stdout
    assert "boxes/web.plan.json\n" in shown
    assert "the guest reaches TSI" in shown
    commit("three", {"boxes/web.plan.json": "{}", "boxes/new.plan.json": compiled(BOX)})
    run("git", "rm", "-q", "boxes/same.plan.json")
    run("git", "commit", "-qm", "four")
    assert "\n+{}\n" in run("git", "log", "-p", "-2").stdout, "what is no plan is shown as it is"
    run("git", "diff", "main")
    run("git", "log", "-p", "--ext-diff")
    odd = {"--x\\033[2J\x1b[2J.plan.json": compiled(BOX), "--output=x.plan.json": "\x1b[2J"}
    commit("five", odd)
    for args in (["diff", "HEAD~"], ["log", "-p", "-1"], ["log", "-p", "-1", "--ext-diff"]):
        done = run("git", *args)
        assert "\x1b" not in done.stdout + done.stderr
        assert "^[[2J" in done.stdout
        assert "folder rootfs" in done.stdout


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
    assert "the guest no longer reaches TSI" in done.stdout
    done = run(*command, "krunc-compile", check=False, given=given)
    assert done.returncode == 1
    assert "files were modified by this hook" in done.stdout
    run("git", "add", ".")
    assert "all well" in run(*command, given=given).stdout
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
    yield Fresh
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
    assert "the guest can write to folder data (share s); before: reads folder data" in first
    assert reviewed_box(OPEN).digest in first
    assert "same.plan.json" not in first
    run(sys.executable, str(SCRIPT), given=given)
    assert [one[0] for one in service.asked if one[0] != "GET"] == ["POST"], "nothing is new"
    commit("three", {"boxes/web.plan.json": compiled(CLOSED)})
    run(sys.executable, str(SCRIPT), given=given)
    assert len(service.comments) == 131
    assert "no plan changes in meaning" in service.comments[-1]["body"]
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
    assert "the guest reaches TSI" in Path("summary").read_text()


def test_a_service_that_is_not_there(repository: Path) -> None:
    class Nowhere:
        url = "http://127.0.0.1:9"

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


def test_the_steps_of_the_action_run(repository: Path, tmp_path: Path) -> None:
    """Its shell steps, one after the other, as the runner would call them."""
    (repository / "boxes/web.yaml").write_text(json.dumps(CLOSED))
    action = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    steps = {step["name"]: step for step in action["runs"]["steps"] if "run" in step}
    # The installation is that of a user; here krunc is there already.
    bin_ = tmp_path / "runner" / "krunc" / "bin"
    bin_.mkdir(parents=True)
    for name in ("krunc", "python"):
        (bin_ / name).write_text(f'#!/bin/sh\nexec "{Path(sys.executable).parent / name}" "$@"\n')
        (bin_ / name).chmod(0o755)
    output = tmp_path / "output"
    given = {
        "RUNNER_TEMP": str(tmp_path / "runner"),
        "GITHUB_OUTPUT": str(output),
        "KRUNC_PATHS": "boxes",
        "KRUNC_SARIF": "krunc.sarif",
    }
    done = run("bash", "-e", "-o", "pipefail", "-c", steps["Check"]["run"], given=given)
    assert done.stdout.startswith("::error file=boxes/web.plan.json")
    assert json.loads(Path("krunc.sarif").read_text())["runs"][0]["results"]
    assert output.read_text() == "status=1\n"
    assert (
        run(
            "bash", "-c", steps["Result"]["run"], check=False, given={"KRUNC_STATUS": "1"}
        ).returncode
        == 1
    )
    assert run("bash", "-c", steps["Result"]["run"], given={"KRUNC_STATUS": "0"}).returncode == 0


def test_the_demonstration_is_true(update_golden: bool) -> None:
    shown = run(str(ROOT / "docs" / "review-demo")).stdout
    agree(ROOT / "docs" / "review-demo.md", shown, update_golden)
