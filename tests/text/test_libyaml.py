"""PyYAML without its parts in Python: that they are late, and that nobody can tell but by the time.

What is late depends on what a process has imported, so each test has processes of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from krunc_compiler.text import libyaml

PLAIN = "import yaml\n"
LATE = "import krunc_compiler.text.parsing\n"
# As when there is a mistake in a box before somebody else uses PyYAML.
AFTER_AN_ERROR = f"""{LATE}
from krunc_compiler.text.fast_parsing import _Loader, YAMLError
for text in ("a: [", "a: \\x01", "a: 'b", "*c"):
    try:
        _Loader(text).get_single_node()
        raise SystemExit(text)
    except YAMLError:
        pass
"""
# A PyYAML whose parser asks for more than is known here, and one without a parser of libyaml's.
SOURCE = repr(str(libyaml.__file__))
UNKNOWN = f"""
text = open({SOURCE}).read()
assert text.count('    "emitter",\\n') == 1
libyaml = type(__import__("sys"))("libyaml")
exec(text.replace('    "emitter",\\n', ""), libyaml.__dict__)
"""
WITHOUT = """
import sys
class Finder:
    def find_spec(name, path=None, target=None):
        if name == "yaml._yaml":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Finder)
"""
NAMES = """
space = {}
exec("from yaml import *", space)
import yaml
for name, value in sorted(vars(yaml).items()):
    if name not in ("__builtins__", "__cached__", "__doc__", "__loader__", "__spec__"):
        print(name, repr(value).split(" at 0x")[0])
print(sorted(space), yaml.__doc__, yaml.__spec__.name, yaml.__spec__.origin, yaml.__loader__.path)
"""
ERRORS = """
import yaml
def told(what, *given, **named):
    try:
        return list(what(*given, **named))
    except Exception as error:
        own = getattr(sys.modules[type(error).__module__], type(error).__name__)
        assert type(error) is own and isinstance(error, yaml.YAMLError), error
        return own.__module__, own.__name__, str(error)
import sys
for text in ("a: [", "a: \\x01", "a: 'b", "*c", "a: !!python/name:os.system 1", "a: 2020-01-01"):
    print(told(yaml.load, text, Loader=yaml.CSafeLoader), told(yaml.load, text, Loader=yaml.SafeLoader))
print(told(yaml.emit, [yaml.ScalarEvent(None, None, (True, True), "a")], Dumper=yaml.CDumper))
print(told(yaml.dump, object, Dumper=yaml.CSafeDumper), yaml.dump({"a": [1]}, Dumper=yaml.CDumper))
dumper = yaml.CDumper(sys.stdout)
print(told(dumper.close), told(dumper.serialize, None))
"""


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_box_takes_these_of_it() -> None:
    """If a new PyYAML makes this fail, all of it is imported for each box, and all is right."""
    modules = "import sys; print(*sorted(name for name in sys.modules if name[:4] == 'yaml'))"
    few = "yaml yaml._yaml yaml.error yaml.events yaml.nodes yaml.tokens\n"
    assert said(LATE + modules) == few
    anchored = f"{LATE}krunc_compiler.text.parsing.parse('x', 'a: &a 1\\nb: *a\\n')\n"
    assert said(anchored + modules) == few


@pytest.mark.parametrize("before", [LATE, AFTER_AN_ERROR, UNKNOWN])
@pytest.mark.parametrize("asked", [NAMES, ERRORS], ids=["names", "errors"])
def test_who_asks_for_more_has_all_of_it(before: str, asked: str) -> None:
    told = said(PLAIN + asked)
    assert len(told.splitlines()) > 8
    assert said(before + asked) == told


@pytest.mark.parametrize("before", ["", "import yaml.nodes\n", PLAIN], ids=["first", "", "second"])
def test_without_libyaml(before: str, tmp_path: Path) -> None:
    code = f"{WITHOUT}{before}{LATE}parse = krunc_compiler.text.parsing.parse\n"
    told = "print(krunc_compiler.text.libyaml.CParser, parse('x', 'a: [1, {b: null}]')[0])"
    assert said(code + told) == "None {'a': [1, {'b': None}]}\n"
    (tmp_path / "wrong.yaml").write_text("a: [\n")
    wrong = f"import krunc_compiler.text.parsing as p; p.parse('x', open({str(tmp_path / 'wrong.yaml')!r}).read())"
    done = subprocess.run([sys.executable, "-c", code + wrong], capture_output=True, text=True)
    assert "krunc_compiler.findings.finding.Rejected" in done.stderr


def test_who_has_imported_it_keeps_it() -> None:
    same = (
        "assert krunc_compiler.text.libyaml.YAMLError is yaml.YAMLError; print(yaml.safe_load('a'))"
    )
    assert said(PLAIN + LATE + same) == "a\n"


def test_an_attribute_that_is_not_there() -> None:
    code = "import yaml\nprint(hasattr(yaml, 'no_such'), hasattr(yaml, 'also_none'), yaml.dump(1))"
    assert said(LATE + code) == said(PLAIN + code)
