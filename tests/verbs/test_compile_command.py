"""krunc compile: outputs, directories, standard streams, --check, exit statuses."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main

BOX = """\
krunc: 1
name: good
vars: {port: 8080, word: "1"}
rootfs: {path: ./rootfs}
network: {mode: tsi, ports: ["{{ port }}:80"]}
entrypoint: {executable: /bin/echo, args: ["{{ word }}"]}
"""


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "good.yaml"
    path.write_text(BOX)
    return path


def argument(plan: str, call: str, name: str) -> object:
    """The argument NAME of the CALL in the text of a plan."""
    rows = json.loads(plan)["operations"]
    return next(row["args"][name] for row in rows if row.get("call") == call)


def test_the_plan_goes_beside_the_box(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "good.yaml"]) == 0
    assert Path("good.plan.json").read_text().startswith('{\n"krunc_plan": 1,\n"box": "good",\n')
    assert capsys.readouterr() == ("", "krunc: wrote good.plan.json\n")
    assert main(["compile", "good.yaml"]) == 0
    assert capsys.readouterr().err == "krunc: unchanged: good.plan.json\n"


def test_an_operation_is_a_line(box: Path) -> None:
    main(["compile", "good.yaml"])
    lines = Path("good.plan.json").read_text().splitlines()
    start = lines.index('"operations": [') + 1
    rows = [json.loads(line.rstrip(",")) for line in lines[start:-2]]
    assert rows == json.loads(Path("good.plan.json").read_text())["operations"]


def test_standard_streams(
    box: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(BOX.encode())))
    assert main(["compile", "-"]) == 0
    piped = capsys.readouterr().out
    assert main(["compile", "good.yaml", "-o", "-"]) == 0
    assert capsys.readouterr().out == piped
    assert [path.name for path in box.parent.iterdir()] == ["good.yaml"]


def test_only_files_are_replaced(box: Path) -> None:
    """A rename over /dev/null would put a file in its place, for everybody."""
    main(["compile", "good.yaml"])
    plan = Path("good.plan.json").read_bytes()
    os.mkfifo("pipe")
    with open(os.open("pipe", os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:
        assert main(["compile", "good.yaml", "-o", "pipe"]) == 0
        assert reader.read() == plan
    assert Path("pipe").is_fifo()
    Path("kept").mkdir()
    Path("link.json").symlink_to("kept/target.json")
    assert main(["compile", "good.yaml", "-o", "link.json"]) == 0
    assert Path("link.json").is_symlink()
    assert Path("kept/target.json").read_bytes() == plan


def test_paths_are_seen_from_the_plan(box: Path) -> None:
    Path("plans").mkdir()
    assert main(["compile", "good.yaml", "-o", "plans"]) == 0
    plan = Path("plans/good.plan.json").read_text()
    assert argument(plan, "krun_set_root", "root_path") == "../rootfs"


def test_a_directory_is_all_its_boxes(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("more").mkdir()
    Path("more/other.yml").write_text(BOX)
    Path("more/values.yaml").write_text("port: 1\n")
    assert main(["compile", "."]) == 0
    assert sorted(map(str, Path().rglob("*.plan.json"))) == [
        "good.plan.json",
        "more/other.plan.json",
    ]
    assert "skipped more/values.yaml" in capsys.readouterr().err


def test_one_wrong_box_of_a_directory_writes_nothing(
    box: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.yaml").write_text("krunc: 1\n")
    Path("worse.yaml").write_text(BOX + "memroy: 1\n")
    assert main(["compile", "."]) == 1
    assert not list(Path().glob("*.json"))
    said = capsys.readouterr().err
    assert "bad.yaml:1:1: error[KR102]" in said
    assert "worse.yaml:7:1: error[KR101]" in said
    assert said.endswith("krunc: 5 errors\n")


def test_check(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", "--check", "good.yaml"]) == 1
    assert "good.plan.json: error[KR301]: the plan cannot be read" in capsys.readouterr().err
    main(["compile", "good.yaml"])
    capsys.readouterr()
    assert main(["compile", "--check", "good.yaml"]) == 0
    assert capsys.readouterr() == ("", "")
    box.write_text("# a comment\n" + BOX)
    assert main(["compile", "--check", "good.yaml"]) == 0, "a comment changes no plan"
    box.write_text(BOX.replace("/bin/echo", "/bin/cat"))
    before = Path("good.plan.json").read_bytes()
    assert main(["compile", "--check", "good.yaml"]) == 1
    out, err = capsys.readouterr()
    assert '+{"call": "krun_set_exec", "args": {"exec_path": "/bin/cat"' in out
    assert "good.plan.json: error[KR301]: this is not what good.yaml compiles to" in err
    assert Path("good.plan.json").read_bytes() == before


def test_variables(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("values.yaml").write_text("port: 1\nword: file\n")
    main(["compile", "good.yaml", "-o", "-", "--vars", "values.yaml", "--set", "port=9090"])
    plan = capsys.readouterr().out
    assert argument(plan, "krun_set_port_map", "port_map") == ["9090:80"]
    assert argument(plan, "krun_set_exec", "argv") == ["file"]
    main(["compile", "good.yaml", "-o", "-", "--set", "word=007"])
    plan = capsys.readouterr().out
    assert argument(plan, "krun_set_exec", "argv") == ["007"], "a string stays as it was typed"
    assert main(["compile", "good.yaml", "--set", "prot=1", "--set", "port=many"]) == 1
    said = capsys.readouterr().err
    assert "the box declares no variable 'prot'" in said
    assert "did you mean port?" in said
    assert (
        "--set port=many: error[KR021]: the variable 'port': \"many\" is a string, not a number"
        in said
    )


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no verb"),
        pytest.param(["compile"], id="no box"),
        pytest.param(["compil", "good.yaml"], id="unknown verb"),
        pytest.param(["compile", "good.yaml", "--targt", "1"], id="unknown option"),
        pytest.param(["compile", "good.yaml", "--target", "3"], id="unknown family"),
        pytest.param(["compile", "good.yaml", "--target", "1.x"], id="no version"),
        pytest.param(["compile", "good.yaml", "--set", "port"], id="no value"),
        pytest.param(["compile", "good.yaml", "good.yaml"], id="one output twice"),
        pytest.param(["compile", "good.yaml", "x.yaml", "-o", "out"], id="two boxes, one file"),
        pytest.param(["compile", "--check", "-"], id="nothing to compare with"),
        pytest.param(["compile", "empty"], id="directory without boxes"),
        pytest.param(["show"], id="nothing to show"),
        pytest.param(["launch", "--dry-run", "good.yaml", "--set", "x"], id="launch: no value"),
        pytest.param(["launch", "--dry-run", "good.yaml", "--target", "9"], id="launch: no target"),
        pytest.param(["schema", "bux"], id="no such schema"),
    ],
)
def test_wrong_usage(box: Path, arguments: list[str]) -> None:
    Path("empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "krunc", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("verb", ["compile", "show", "schema"])
def test_help_has_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    assert f"  krunc {verb} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("missing.yaml", "missing.yaml: error[KR001]: the file cannot be read: no such file"),
        ("directory.yaml", "directory.yaml: error[KR001]: the file cannot be read: is a directory"),
        ("huge.yaml", "huge.yaml: error[KR001]: the file has more than 1,048,576 bytes"),
    ],
)
def test_unreadable(box: Path, file: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("huge.yaml").write_bytes(b"#" * (1 << 20) + b"\n")
    Path("directory.yaml").mkdir()
    assert main(["show", file]) == 1
    assert capsys.readouterr().err.startswith(message)


def test_a_failed_write_leaves_the_old_plan(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").write_text("not a directory")
    assert main(["compile", "good.yaml", "-o", "out/x.json"]) == 1
    assert "out/x.json: error[KR302]: the plan cannot be written" in capsys.readouterr().err
    assert sorted(path.name for path in Path().iterdir()) == ["good.yaml", "out"]


def test_the_same_bytes_everywhere(box: Path) -> None:
    seen = set()
    for seed, zone, locale, directory in (
        ("0", "UTC", "C", "."),
        ("1", "Asia/Tokyo", "C.UTF-8", "/"),
        ("77", "America/Lima", "de_DE.UTF-8", ".."),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "krunc", "compile", str(box), "-o", "-"],
            cwd=directory,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale},
            capture_output=True,
            check=True,
        )
        seen.add(done.stdout)
    assert len(seen) == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_is_written_is_utf_8(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "box.yaml").write_text(
        "krunc: 1\nname: a\nrootfs: {path: ./\u20ac}\nnetwork: {mode: tsi}\n"
        "entrypoint: {executable: /x}\nmemroy: \u20ac\n",
        "utf-8",
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "krunc", "compile", "box.yaml", "-o", "-"]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, check=False)
    assert "memroy: \u20ac".encode() in done.stderr
    box = tmp_path / "box.yaml"
    box.write_text(box.read_text("utf-8").replace("memroy: \u20ac\n", ""), "utf-8")
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, check=False)
    operations = json.loads(done.stdout.decode("utf-8"))["operations"]
    assert "\u20ac" in str(operations)


CLOSED = {
    "nothing can be written": ("show", ">/dev/full", 1, "krunc show: the output cannot be written: no space left on device\n"),
    "standard output is closed": ("show", ">&-", 1, "krunc show: the output cannot be written: bad file descriptor\n"),
    "both are closed": ("show", ">&- 2>&-", 1, ""),
    "help without standard output": ("--help", ">&-", 1, "krunc: the output cannot be written: bad file descriptor\n"),
}  # fmt: skip


@pytest.mark.parametrize(("verb", "streams", "status", "said"), CLOSED.values(), ids=CLOSED)
def test_streams_that_take_nothing(
    verb: str, streams: str, status: int, said: str, box: Path
) -> None:
    plan = [str(box)] if verb == "show" else []
    command = shlex.join([sys.executable, "-m", "krunc", verb, *plan])
    done = subprocess.run(["sh", "-c", f"{command} {streams}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (status, said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "usage: krunc COMMAND ..."),
        (["compil"], "krunc: there is no command 'compil'; did you mean compile? commands: "),
        (
            ["compile", "x.yaml", "--chekc"],
            "unrecognized arguments: --chekc; did you mean --check?",
        ),
        (["compile"], "krunc compile: the following arguments are required: BOX"),
        (["compile", "x.yaml", "--format", "xml"], "invalid choice: 'xml' (choose from "),
    ],
)
def test_wrong_words(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_plan_for_a_box_and_a_box_for_a_plan(
    box: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", "good.yaml"]) == 0
    capsys.readouterr()
    assert main(["compile", "good.plan.json"]) == 2
    assert "is a plan already; start it with krunc launch good.plan.json" in capsys.readouterr().err
    for words in (["digest", "good.yaml"], ["digest", "--fleet", "good.yaml"]):
        assert main(words) == 2
        assert "is a box; write its plan: krunc compile good.yaml" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["good.yaml"])
    assert "did you mean krunc launch FILE?" in capsys.readouterr().err


def test_a_directory_that_is_not_there_is_made(
    box: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", "good.yaml", "-o", "plans/of/today/"]) == 0
    plan = Path("plans/of/today/good.plan.json").read_text()
    assert argument(plan, "krun_set_root", "root_path") == "../../../rootfs"
    assert main(["compile", "--check", "good.yaml", "-o", "plans/of/today/"]) == 0
    Path("bad.yaml").write_text("krunc: 1\n")
    assert main(["compile", "bad.yaml", "-o", "plans/new/er/"]) == 1
    assert sorted(path.name for path in Path("plans").iterdir()) == ["of"], "nothing is left"
    capsys.readouterr()
    assert main(["compile", "good.yaml", "-o", "bad.yaml/"]) == 1
    assert "bad.yaml/: error[KR302]: the directory cannot be made" in capsys.readouterr().err
    Path("two.yaml").write_text(BOX.replace("name: good", "name: two"))
    assert main(["compile", "good.yaml", "two.yaml", "-o", "both"]) == 2
    assert "for a directory write -o both/" in capsys.readouterr().err


def test_a_directory_is_not_made_through_a_link_out_of_the_repository(
    box: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("repository/.git").mkdir(parents=True)
    Path("away").mkdir()
    Path("repository/link").symlink_to("../away")
    assert main(["compile", "good.yaml", "-o", "repository/link/deep/"]) == 1
    assert "its directory is a link out of the repository" in capsys.readouterr().err
    assert not list(Path("away").iterdir())


def test_quiet(box: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("values.yaml").write_text("port: 1\n")
    for _ in range(2):
        assert main(["compile", "-q", "."]) == 0
        assert capsys.readouterr() == ("", "")
    assert main(["compile", "--quiet", "good.yaml", "--target", "2"]) == 0
    assert "for libkrun 2; the plan before it was for 1" in capsys.readouterr().err
    box.write_text(BOX + "memroy: 1\n")
    assert main(["compile", "-q", "."]) == 1
    assert "error[KR101]" in capsys.readouterr().err
