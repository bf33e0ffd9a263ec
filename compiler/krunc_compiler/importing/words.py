"""A command as a shell reads it: words, each character with its place, and what it would expand."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NamedTuple

from krunc_compiler.findings.finding import Finding, Span
from krunc_compiler.importing.draft import OUTSIDE, WRONG

_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-])|\{([A-Za-z_][A-Za-z0-9_]*)\})")
# The directory in which the command is run.
_HERE = re.compile(r"\$PWD\b|\$\{PWD\}|\$\(pwd\)|`pwd`")
_OPERATORS = ";|&<>()"
_BLANKS = " \t"
# Commands, arithmetic, other expansions of a variable, and the two odd quotes.
_OPENINGS = ("$(", "${", "$'")
_CLOSINGS = {"`": "`", "$(": ")", "${": "}", "$'": "'"}
_MOST_WORDS = 4096
HERE = "PWD"


class Variable(NamedTuple):
    """A variable in a word: from where to where it stands there, its name, and its place."""

    start: int
    end: int
    name: str
    span: Span


class Word(NamedTuple):
    """A word without its quotes, the place of each of its characters, and its variables, which
    stand in it as they are written."""

    text: str
    spans: tuple[Span, ...]
    span: Span
    variables: tuple[Variable, ...] = ()

    def part(self, start: int, end: int | None = None) -> Word:
        """Return the piece from START to END."""
        end = len(self.text) if end is None else end
        inside = tuple(
            one._replace(start=one.start - start, end=one.end - start)
            for one in self.variables
            if start <= one.start and one.end <= end
        )
        spans = self.spans[start:end]
        return Word(self.text[start:end], spans, _joined(spans) or self.span, inside)


def _joined(spans: tuple[Span, ...]) -> Span | None:
    if not spans:
        return None
    first, last = spans[0], spans[-1]
    return Span(first.line, first.column, last.end_line, last.end_column)


def words(text: str) -> tuple[list[Word], list[Finding]]:
    """Return the words of the one command in TEXT, and what of it is wrong, or is for the shell to
    do and cannot be known."""
    reader = _Reader(text)
    return reader.all(), reader.findings


class _Reader:
    """Goes once over the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._at = 0
        self.findings: list[Finding] = []

    def all(self) -> list[Word]:
        """Return all words."""
        found: list[Word] = []
        ended = False
        while self._at < len(self._text):
            character = self._text[self._at]
            if character in _BLANKS:
                self._at += 1
            elif self._text.startswith("\\\n", self._at):
                self._at += 2
            elif character == "\n":
                ended = bool(found)
                self._at += 1
            elif character == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif ended:
                hint = "import each command on its own; a line that goes on ends with \\"
                self._wrong(WRONG, "a second command starts here", hint, self._at)
                break
            elif character in _OPERATORS:
                hint = "give the command alone; put the character in quotes where it is meant"
                self._wrong(WRONG, f"{character} is for the shell, not the command", hint, self._at)
                break
            elif len(found) == _MOST_WORDS:
                hint = "check that this is the right text"
                self._wrong(WRONG, f"more than {_MOST_WORDS:,} words", hint, self._at)
                break
            else:
                found.append(self._word())
        return found

    def _word(self) -> Word:
        text: list[str] = []
        places: list[int] = []
        variables: list[Variable] = []
        start, quote = self._at, ""
        opened = start
        while self._at < len(self._text):
            character = self._text[self._at]
            if not quote and (character in _BLANKS or character == "\n" or character in _OPERATORS):
                break
            if quote == "'" and character != "'":
                self._take(text, places, 1)
            elif character == quote:
                quote = ""
                self._at += 1
            elif not quote and character in "'\"":
                quote, opened = character, self._at
                self._at += 1
            elif character == "\\":
                self._escaped(text, places, quote)
            elif character in "$`":
                self._expanded(text, places, variables)
            else:
                self._take(text, places, 1)
        if quote:
            self._wrong(WRONG, "the quote is not closed", f"write {quote} at its end", opened)
        spans = tuple(self._span(place, place + 1) for place in places)
        return Word("".join(text), spans, self._span(start, self._at), tuple(variables))

    def _take(self, text: list[str], places: list[int], count: int) -> None:
        """Take COUNT characters as they are."""
        text.extend(self._text[self._at : self._at + count])
        places.extend(range(self._at, self._at + count))
        self._at += count

    def _escaped(self, text: list[str], places: list[int], quote: str) -> None:
        """Take what a backslash leaves."""
        following = self._text[self._at + 1 : self._at + 2]
        if following == "\n":
            self._at += 2
        elif quote and following not in ("$", "`", '"', "\\"):
            self._take(text, places, 1)
        elif not following:
            self._wrong(WRONG, "nothing follows the backslash", "remove it", self._at)
            self._at += 1
        else:
            self._at += 1
            self._take(text, places, 1)

    def _expanded(self, text: list[str], places: list[int], variables: list[Variable]) -> None:
        """Take what the shell would put something else in the place of."""
        found = _HERE.match(self._text, self._at)
        name = HERE
        if found is None:
            found = _VARIABLE.match(self._text, self._at)
            name = found[1] or found[2] if found else ""
        if found is not None:
            start, length = len(text), found.end() - self._at
            variables.append(
                Variable(start, start + length, name, self._span(self._at, found.end()))
            )
            self._take(text, places, length)
            return
        opening = self._text[self._at : self._at + 2]
        odd = "`" if opening[:1] == "`" else opening if opening in _OPENINGS else ""
        if opening == "$\\" and self._text.startswith("\n", self._at + 2):
            # The shell joins the lines first, and then there is another character behind the $.
            self._wrong(OUTSIDE, "the line ends behind a $", "write it on one line", self._at)
        if odd:
            said = f"what the shell makes of {odd} is not known here"
            hint = "write its result, or put it in single quotes where it is meant literally"
            self._wrong(OUTSIDE, said, hint, self._at)
        # What it would run is no word of the command.
        end = self._text.find(_CLOSINGS[odd], self._at + len(odd)) if odd else -1
        self._take(text, places, 1 if end < 0 else end + 1 - self._at)

    def _wrong(self, code: str, message: str, hint: str, at: int) -> None:
        self.findings.append(Finding(code, message, hint=hint, span=self._span(at, at + 1)))

    def _span(self, start: int, end: int) -> Span:
        line = bisect_right(self._starts, start) - 1
        last = bisect_right(self._starts, max(start, end - 1)) - 1
        return Span(line, start - self._starts[line], last, end - self._starts[last])
