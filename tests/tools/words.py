"""The words that krunc's readers meet, held to one vocabulary: python tests/tools/words.py [FILE...]

words.yaml has the rules. Looked at is what a reader of krunc sees: pages, the descriptions in the
schemas, findings, messages and help, the comments of example boxes.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml
from places import ROOT

# The keys of JSON whose values are sentences for readers; those of schemas start with x- too.
_SENTENCES = frozenset(
    {*("description", "title", "doc", "why", "what", "meaning", "way_out", "help", "text")}
    | {*("form", "say", "unreached")}
)
_FIX = "way_out"
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# A sentence ends where another one, or a code span, follows its mark, and behind a bold one.
_SENTENCE_END = re.compile(r"[.!?:;](?:[\"')*_]*\s+(?=[\"'(\[*_]*[A-Z`])|\*\*\s)")
_WORD = re.compile(r"\b\w[\w'./:-]*\b")


class Text(NamedTuple):
    """A text that a reader sees: its line in the file, and what it is for."""

    line: int
    text: str
    is_fix: bool = False


class Hit(NamedTuple):
    """What is to be written in another way."""

    file: str
    line: int
    found: str
    write: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: found {self.found!r}; write instead: {self.write}"


@cache
def _rules() -> tuple[list[tuple[re.Pattern[str], str]], int, frozenset[str]]:
    rules = yaml.safe_load(Path(__file__).with_name("words.yaml").read_text("utf-8"))
    swaps = [(re.compile(row["found"], re.IGNORECASE), row["write"]) for row in rules["swaps"]]
    return swaps, rules["longest_sentence"], frozenset(rules["fix_verbs"])


def of_markdown(source: str) -> Iterator[Text]:
    """Yield the paragraphs, list items and table rows of a page; code blocks are none."""
    is_code, start, held = False, 0, list[str]()
    for number, raw in enumerate(source.splitlines(), 1):
        line = raw.strip()
        is_fence = line.startswith(("```", "~~~"))
        starts = not line or is_fence or is_code or re.match(r"[#|]|[-*] |\d+\. ", line)
        if starts and held:
            yield Text(start, " ".join(held))
            held = []
        if is_fence:
            is_code = not is_code
        elif line and not is_code and (held or starts or not raw.startswith("    ")):
            start = start if held else number
            held.append(line)
    if held:
        yield Text(start, " ".join(held))


def of_json(source: str) -> Iterator[Text]:
    """Yield the values of the keys that hold sentences."""
    lines = source.splitlines()

    def walk(value: object, key: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for name, item in value.items():
                yield from walk(item, name)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item, key)
        # One word is the name of something, such as of a kind.
        elif " " in str(value) and (key in _SENTENCES or key.startswith("x-")):
            yield key, str(value)

    for key, text in walk(json.loads(source), ""):
        # The value's line: JSON's parser does not keep it.
        spelled = (json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1])
        at = (n for n, line in enumerate(lines, 1) if any(one in line for one in spelled))
        yield Text(next(at, 1), text, key == _FIX)


def of_python(source: str) -> Iterator[Text]:
    """Yield the strings of several words that are no docstrings; {} is a value in an f-string."""
    tree = ast.parse(source)
    skipped = set[int]()
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            skipped.add(id(node.body[0].value))  # type: ignore[attr-defined]
        elif isinstance(node, ast.JoinedStr):
            skipped.update(map(id, node.values))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        else:
            continue
        if text.count(" ") > 1:
            yield Text(node.lineno, text)


def of_yaml(source: str) -> Iterator[Text]:
    """Yield the comments and the descriptions."""
    for number, line in enumerate(source.splitlines(), 1):
        found = re.search(r"(?:^|\s)#\s?(.*)", line) or re.search(r"description: (.*)", line)
        if found and " " in found[1]:
            yield Text(number, found[1])


_KINDS: tuple[tuple[Callable[[str], Iterator[Text]], tuple[str, ...]], ...] = (
    (of_markdown, ("*.md", "docs/**/*.md")),
    (of_json, ("schema/krunc_schema/*.json",)),
    (of_python, ("compiler/**/*.py", "launcher/krunc_launcher/**/*.py", "integrations/*.py")),
    (of_yaml, ("boxes/*.yaml", "compiler/**/*.yaml", "examples/**/*.y*ml", "action.yml")),
)


def files(root: Path = ROOT) -> Iterator[tuple[Path, Callable[[str], Iterator[Text]]]]:
    """Yield what is looked at, and how it is read. What is generated for Python starts with _."""
    for read, patterns in _KINDS:
        for path in sorted({path for pattern in patterns for path in root.glob(pattern)}):
            if not re.match(r"_[a-z]", path.name):
                yield path, read


def bare(text: str) -> str:
    """Return TEXT without code spans, images, links' targets and HTML."""
    text = re.sub(r"(`+)(?!`).*?\1(?!`)", "CODE", text)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"<[^<>]*>", "", text)


def is_fix(text: str) -> bool:
    """Tell whether a help line starts with what to do, or with the guess that a message has."""
    first = re.match(r"\w*", text.lstrip("`"))
    asked = text.startswith("did you mean ") or bool(re.match(r"\w+ belongs ", text))
    return asked or (first is not None and first[0].lower() in _rules()[2])


def found_in(given: Text, file: str) -> Iterator[Hit]:
    """Yield what is to be written in another way in one text."""
    swaps, longest, verbs = _rules()
    prose = bare(given.text)
    for pattern, write in swaps:
        for found in pattern.finditer(prose):
            yield Hit(file, given.line, found[0], write)
    if file.endswith(".md") and not prose.startswith("|"):
        for sentence in _SENTENCE_END.split(prose):
            count = len(_WORD.findall(sentence))
            if count > longest:
                write = f"two sentences: this one has {count} words; the maximum is {longest}"
                yield Hit(file, given.line, f"{sentence[:60]}...", write)
    first = re.match(r"\w*", given.text.lstrip("`"))
    if given.is_fix and first and first[0].lower() not in verbs:
        write = "a fix that starts with a verb of fix_verbs in tests/tools/words.yaml"
        yield Hit(file, given.line, f"{given.text[:60]}...", write)


def hits(path: Path, read: Callable[[str], Iterator[Text]], root: Path = ROOT) -> list[Hit]:
    """Return everything that is to be written in another way in a file."""
    name = str(path.relative_to(root))
    return [hit for text in read(path.read_text("utf-8")) for hit in found_in(text, name)]


def main(given: list[str]) -> int:
    """Print all hits, or those of the files given; the exit code is 1 when there are some."""
    wanted = {Path(one).resolve() for one in given}
    found = [
        hit for path, read in files() if not wanted or path in wanted for hit in hits(path, read)
    ]
    print("\n".join(map(str, found)) or "no problems found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
