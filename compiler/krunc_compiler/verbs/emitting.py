"""Where the files of krunc emit go: standard output, one file, or a directory. Everything is
written, or nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby

from krunc_compiler.emit.engine import MARK, Piece
from krunc_compiler.files.stopping import Cleaned
from krunc_compiler.files.writing import new_mark, settle, stage, sweep, whole, write
from krunc_compiler.findings.finding import Finding, Located, Rejected
from krunc_compiler.findings.report import only
from krunc_compiler.findings.wording import why

# So much is kept in memory of what goes to standard output when it is known to be well.
_KEPT = 1 << 20


def to_stdout(pieces: Iterable[Piece], names_files: bool, findings: list[Located]) -> None:
    """Write PIECES to standard output, each file under its name where there are several. Raises
    Rejected with FINDINGS."""
    from tempfile import SpooledTemporaryFile  # only here is anything kept

    with SpooledTemporaryFile(_KEPT, "w+", encoding="utf-8", newline="\n") as kept:
        for name, texts in _files(pieces):
            if names_files:
                kept.write(f"# {name}\n")
            kept.writelines(texts)
            if names_files:
                kept.write("\n")
        if findings:
            raise Rejected(findings)
        kept.seek(0)
        for line in kept:
            sys.stdout.write(line)


def to_file(path: str, pieces: Iterable[Piece], findings: list[Located]) -> None:
    """Write PIECES, all of one file, into the file PATH. Raises Rejected with FINDINGS."""
    try:
        if os.path.lexists(path) and not os.path.isfile(path):  # a pipe or a device
            text = "".join(piece.text for piece in pieces)
            if findings:
                raise Rejected(findings)
            write(path, text)
            return
        with whole(path) as out:
            for piece in pieces:
                out.write(piece.text.encode("utf-8"))
            if findings:
                raise Rejected(findings)
    except OSError as error:
        raise Rejected(only(path, _unwritten(error))) from None


def to_directory(
    directory: str, pieces: Iterable[Piece], findings: list[Located]
) -> tuple[int, int]:
    """Write PIECES into files of DIRECTORY; return how many were changed, and how many there are.

    They lie beside their places until all are there. Raises Rejected with FINDINGS.
    """
    mark = new_mark()
    directories: dict[str, None] = {}
    made: list[str] = []
    staged: list[str] = []
    count = 0

    def swept() -> None:
        for used in directories:
            sweep(used, mark)
        for one in reversed(made):
            with suppress(OSError):  # it is not empty when all went well
                os.rmdir(one)

    path = directory
    with Cleaned(swept):
        try:
            for name, texts in _files(pieces):
                path = os.path.join(directory, name)
                place = os.path.dirname(path)
                if place not in directories:
                    _make(place, made)
                    directories[place] = None
                count += 1
                if _stage(path, "".join(texts).encode("utf-8"), mark):
                    staged.append(path)
            if findings:
                raise Rejected(findings)
            for path in staged:
                settle(path, mark)
        except OSError as error:
            raise Rejected(only(path, _unwritten(error))) from None
    return len(staged), count


def _stage(path: str, data: bytes, mark: str) -> bool:
    changed = stage(path, data, mark, replaces=MARK.encode())
    if changed is None:
        raise FileExistsError(0, "what is there is a link, a device or a pipe")
    return changed


def _make(directory: str, made: list[str]) -> None:
    """Make DIRECTORY and those above it; add those that were MADE, from the outside in."""
    if directory and not os.path.isdir(directory):
        _make(os.path.dirname(directory), made)
        os.mkdir(directory)
        made.append(directory)


def _files(pieces: Iterable[Piece]) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield each file with its texts."""
    for name, group in groupby(pieces, key=lambda piece: piece.name):
        yield name, (piece.text for piece in group)


def _unwritten(error: OSError) -> Finding:
    said = why(error)
    if isinstance(error, FileExistsError) and error.errno:
        said = "the file that is there was not written by krunc emit, and is left alone"
    hint = "remove it, or choose another with -o" if isinstance(error, FileExistsError) else ""
    return Finding("KR810", f"the file cannot be written: {said}", hint=hint)
