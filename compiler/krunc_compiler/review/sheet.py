"""What a reader gets to see, before it is text, markdown or HTML."""

from typing import Literal, NamedTuple

from krunc_compiler.review.words import plain

Tone = Literal["", "widens", "other_code", "alters", "narrows", "neutral", "loud"]


class Piece(NamedTuple):
    """A line of a value with krunc's sign and the line's number before it; without a number it
    stands for the lines that stayed."""

    sign: Literal["-", "+", " "]
    number: str
    text: str


class Detail(NamedTuple):
    """What differs in one value of a row, line by line, under a title."""

    title: str
    pieces: tuple[Piece, ...]


class Line(NamedTuple):
    """One row: a label of krunc's own, a sentence in which values are marked, the key of the box,
    and what differs in its values. `anchor` is its name on a page, `source` that of the operation
    that it is read off, `link` the address of the line with the key."""

    label: str
    sentence: str
    origin: str = ""
    tone: Tone = ""
    details: tuple[Detail, ...] = ()
    anchor: str = ""
    source: str = ""
    link: str = ""

    @property
    def text(self) -> str:
        """Return the sentence without marks around its values."""
        return plain(self.sentence)


class Section(NamedTuple):
    """Rows under a title; `empty` stands for no rows, and `long` ones may be folded away."""

    title: str
    lines: tuple[Line, ...]
    empty: str = ""
    long: bool = False


class Sheet(NamedTuple):
    """A title (a name of the plan's and krunc's words about it), the head, the sections."""

    name: str
    about: str
    head: tuple[Line, ...]
    sections: tuple[Section, ...]
