"""Plans that one file would hold, here or on a file system that does not tell upper from lower
case: refused with both places, and nothing is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from krunc_compiler.files.one_file import one_file
from krunc_compiler.findings.report import printable

BOX = """\
krunc: 1
name: NAME
rootfs: {path: /srv/rootfs}
network: {mode: none}
entrypoint: {executable: /bin/true}
"""


def put(path: str, name: str) -> None:
    Path(path).parent.mkdir(exist_ok=True, parents=True)
    Path(path).write_text(BOX.replace("NAME", name), "utf-8")


def krunc(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "krunc", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# Two boxes' files, where the plans go, and whether the two are one file here already.
ALIKE = [
    ("web.yaml", "Web.yaml", None, False),
    ("web.yaml", "WEB.YML", None, False),
    ("web.yaml", "web.yml", None, True),
    ("a/web.yaml", "A/web.yaml", None, False),
    ("a/web.yaml", "b/web.yaml", "plans/", True),
    ("a/web.yaml", "b/WEB.yaml", "plans/", False),
    ("stra\u00dfe.yaml", "STRASSE.yaml", None, False),
    ("caf\u00e9.yaml", "cafe\u0301.yaml", None, False),  # one letter, or two that are seen as it
    ("web.yaml", "we\u00adb.yaml", None, False),
    ("w\u0435b.yaml", "web.yaml", None, False),
    ("\ufb01ne.yaml", "fine.yaml", None, False),
    ("a/web.yaml", "a\u200b/web.yaml", None, False),
    ("a/web.yaml", "b/web\u2060.yaml", "plans/", False),
    ("web.yaml", "w\x01eb.yaml", None, False),
]
# What is told of two names that are one, where they are not written as one.
WHY = {
    "caf\u00e9.yaml": "where accents can be written in two ways",
    **dict.fromkeys(
        ("web.yamlwe\u00adb.yaml", "w\u0435b.yamlweb.yaml", "a/web.yamla\u200b/web.yaml",
         "a/web.yamlb/web\u2060.yaml", "web.yamlw\x01eb.yaml"),
        "for a reader, who does not see what they differ in",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("first", "second", "output", "is_one"), ALIKE)
def test_both_places_are_told(
    first: str,
    second: str,
    output: str | None,
    is_one: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    put(first, "one")
    put(second, "two")
    words = [] if output is None else ["-o", output]
    done = krunc("compile", first, second, *words)
    assert done.returncode == 1
    (told,) = [line for line in done.stderr.splitlines() if "error" in line and "KR871" in line]
    assert told.startswith(f"{printable(second)}:2:7: error[KR871]: name: the plan ")
    assert printable(first) in told
    why = WHY.get(first + second, WHY.get(first, "where upper and lower case are one"))
    assert (f" are one {why}" in told) != is_one
    assert list(tmp_path.rglob("*.plan.json")) == []
    assert not Path("plans").exists()
    if output is None:
        checked = krunc("check", ".")
        assert checked.returncode == 1
        assert checked.stdout.count("error[KR871]") == 1, checked.stdout + checked.stderr


def test_boxes_that_a_directory_holds_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("a/web.yaml", "b/Web.yaml", "web.yaml", "web2.yaml"):
        put(path, Path(path).with_suffix("").as_posix().replace("/", "-").lower())
    done = krunc("compile", ".")
    assert (done.returncode, done.stderr.count("wrote")) == (0, 4), done.stderr


def test_many_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for i in range(210):  # spread over all processors
        put(f"a/web{i}.yaml", f"a{i}")
    put("b/WEB7.yaml", "b")
    done = krunc("compile", ".", "-o", "plans/")
    assert (done.returncode, done.stderr.count("KR871")) == (1, 1)
    assert "a/web7.yaml" in done.stderr


def test_a_fleet_has_each_name_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("a/web.yaml", "b/Web.yaml"):
        put(path, "web")
    assert krunc("compile", "a", "b").returncode == 0
    done = krunc("digest", "--fleet", "a", "b")
    assert done.returncode == 1
    assert (
        "b/Web.plan.json: error[KR870]: Web and web, the name of a/web.plan.json, are one where "
        "upper and lower case are one"
    ) in done.stderr


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plan in the working directory."""
    monkeypatch.chdir(tmp_path)
    put("web.yaml", "web")
    assert krunc("compile", "web.yaml").returncode == 0
    return Path("web.plan.json")


@pytest.mark.parametrize("other", ["a/web.plan.json", "b/w\u0435b.plan.json", "b/web.json"])
def test_a_name_in_a_fleet_that_is_read_as_another(other: str, web: Path) -> None:
    Path(other).parent.mkdir()
    Path(other).write_bytes(web.read_bytes())
    done = krunc("digest", "--fleet", "web.plan.json", other)
    assert (done.returncode, done.stdout) == (1, "")
    said = "web.plan.json is called web, too"
    if "\u0435" in other:
        said = "w\u0435b and web, the name of web.plan.json, are one for a reader"
    assert f"{other}: error[KR870]: {said}" in done.stderr


@pytest.mark.parametrize("name", ["a\u00adb", "a\u200bb", "a\nb", " a", "a\u2028"])
def test_a_name_that_no_line_can_have_is_escaped_once(name: str, web: Path) -> None:
    web.rename(f"{name}.plan.json")
    done = krunc("digest", "--fleet", ".")
    assert f"error[KR870]: a plan called '{printable(name)}' cannot be listed" in done.stderr


def test_several_plans_never_share_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    put("a.yaml", '"{{ n }}"\nmatrix: {n: [x, y]}')
    for words in (["a.yaml", "-o", "-"], ["a.yaml", "-o", "one.json"], ["-"]):
        done = subprocess.run(
            [sys.executable, "-m", "krunc", "compile", *words],
            input=Path("a.yaml").read_text(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (2, ""), done
        assert "2 boxes of a matrix and one output: " in done.stderr


def test_what_one_name_is() -> None:
    assert one_file("a//./B.json") == one_file("A/b.json")
    assert one_file("\u017f") == one_file("s") == one_file("S")
    assert one_file("a/../b") == "b"
    assert one_file("web-1") != one_file("web_1")
    assert one_file("\u65e5\u672c") != one_file("\u65e5\u6728")
    assert one_file("\u043c\u0438\u0440") != one_file("\u043f\u0438\u0440")


# What Unicode calls ignorable by default, or has no width: a reader sees nothing of it.
UNSEEN = [
    0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180E, 0x180F, 0x200B, 0x200C,
    0x200D, 0x200E, 0x200F, 0x202A, 0x202E, 0x2060, 0x2064, 0x2066, 0x2069, 0x206F, 0x2800, 0x3164,
    0xFE00, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF0, 0xFFF9, 0x1BCA0, 0x1D173, 0xE0001, 0xE0041, 0xE007F,
    0xE0100, 0xE01EF, 0x7F, 0x1, 0x9F,
]  # fmt: skip


@pytest.mark.parametrize("code", UNSEEN, ids=hex)
@pytest.mark.parametrize("form", ["{}web", "we{}b", "web{}", "{0}we{0}b{0}"])
def test_what_is_not_seen_makes_no_other_name(code: int, form: str) -> None:
    assert one_file(form.format(chr(code))) == one_file("web")


# As they are written, not as they are escaped; of each script that has such letters.
LOOKING_ALIKE = {
    "paypal": "p\u0430yp\u0430l", "scope": "\u0455\u0441\u043e\u0440\u0435", "BOX": "\u0412\u041e\u0425",
    "kiev": "\u03ba\u03b9\u03b5\u03bd", "on": "\u0585\u057c", "web": "\uff57\uff45\uff42", "fine": "\ufb01ne",
    "min": "m\u0131n", "a b": "a\u00a0b", "box": "\U0001d41b\U0001d428\U0001d431", "Boy": "\u0432oy",
}  # fmt: skip


@pytest.mark.parametrize("plain", LOOKING_ALIKE)
def test_what_looks_like_a_name_makes_no_other(plain: str) -> None:
    assert one_file(LOOKING_ALIKE[plain]) == one_file(plain)
    assert one_file(LOOKING_ALIKE[plain].upper()) == one_file(plain.lower())
