"""Where the files of krunc emit go: standard output, or a directory. Everything is written, or
nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from errno import EEXIST
from itertools import groupby

from krunc_compiler.emit.engine import MARK, Piece
from krunc_compiler.files.contents import kind
from krunc_compiler.files.stopping import Cleaned, unstopped
from krunc_compiler.files.writing import make_directory, new_mark, settle, stage, sweep
from krunc_compiler.findings.finding import Finding, Located, Rejected
from krunc_compiler.findings.report import only
from krunc_compiler.findings.wording import why

# So much is kept in memory of what goes to standard output when it is known to be well.
_KEPT = 1 << 20
_PIECE = 1 << 16


def to_stdout(pieces: Iterable[Piece], findings: list[Located]) -> None:
    """Write PIECES to standard output, each file under its name. Raises Rejected with FINDINGS."""
    from tempfile import SpooledTemporaryFile  # only here is anything kept

    with SpooledTemporaryFile(_KEPT, "w+", encoding="utf-8", newline="\n") as kept:
        for name, texts in _files(pieces):
            kept.write(f"# {name}\n")
            kept.writelines(texts)
            kept.write("\n")
        if findings:
            raise Rejected(findings)
        kept.seek(0)
        while text := kept.read(_PIECE):
            sys.stdout.write(text)


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
            with unstopped():  # or none would know what was made
                made += _made(directory)
            for name, texts in _files(pieces):
                path = os.path.join(directory, name)
                place = os.path.dirname(path)
                if place not in directories:
                    with unstopped():
                        made += _below(directory, place)
                    directories[place] = None
                count += 1
                if _stage(path, "".join(texts).encode("utf-8"), mark):
                    staged.append(path)
            if findings:
                raise Rejected(findings)
            with unstopped():
                for path in staged:
                    settle(path, mark)
        except OSError as error:
            raise Rejected(only(path, _unwritten(error))) from None
    return len(staged), count


def _below(directory: str, place: str) -> list[str]:
    """Make PLACE, which is DIRECTORY or lies in it; return those that were made, the outermost
    first. Raises Rejected: what is below the directory that was named leads nowhere else."""
    if place.rstrip("/") != directory.rstrip("/") and os.path.islink(place):
        raise Rejected(only(place, _unmade("it is a link, which may lead to another's directory")))
    return _made(place)


def _made(directory: str) -> list[str]:
    """Make DIRECTORY; return those that were made, the outermost first. Raises Rejected."""
    try:
        return make_directory(directory)[::-1]
    except OSError as error:
        raise Rejected(only(directory, _unmade(why(error)))) from None


def _unmade(said: str) -> Finding:
    hint = "name another directory with -o, or - for standard output"
    return Finding("KR810", f"the directory cannot be made: {said}", hint=hint)


def _stage(path: str, data: bytes, mark: str) -> bool:
    changed = stage(path, data, mark, replaces=MARK.encode())
    if changed is None:
        there = kind(os.lstat(path).st_mode)
        raise FileExistsError(EEXIST, f"{there} is in its place, and is left alone")
    return changed


def _files(pieces: Iterable[Piece]) -> Iterator[tuple[str, Iterator[str]]]:
    """Yield each file with its texts."""
    for name, group in groupby(pieces, key=lambda piece: piece.name):
        yield name, (piece.text for piece in group)


def _unwritten(error: OSError) -> Finding:
    is_there = isinstance(error, FileExistsError | IsADirectoryError)
    hint = "remove it, or choose another with -o" if is_there else ""
    return Finding("KR810", f"the file cannot be written: {why(error)}", hint=hint)
