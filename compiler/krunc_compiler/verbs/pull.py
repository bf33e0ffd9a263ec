"""krunc pull: the images of boxes into the store, and the locks beside the boxes."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from typing import Any, NamedTuple

from krunc_compiler.files.source import MAX_BYTES
from krunc_compiler.files.writing import whole, write
from krunc_compiler.findings.containing import contained
from krunc_compiler.findings.finding import Finding, Located, UsageError
from krunc_compiler.findings.report import coloured, only, printable, report
from krunc_compiler.findings.wording import plural, why
from krunc_compiler.image.lock import MAX_IMAGES, Lock, LockedImage, LockedRoot, lock_text
from krunc_compiler.image.platform import platforms
from krunc_compiler.image.pull import Pulled, Wanted, pull, pull_locked
from krunc_compiler.image.store import Store, default
from krunc_compiler.image.unusable import Unusable
from krunc_compiler.verbs.options import add_store, add_variables
from krunc_compiler.verbs.pulling import Box, Line, boxes, mib

EXAMPLES = """\
examples:
  krunc pull web.yaml                      fetches its image, writes web.lock.json
  krunc pull boxes                         the images of every box in the directory
  krunc pull --locked boxes                exactly what the committed locks say, as in CI
  krunc pull --platform linux/amd64 --platform linux/arm64 web.yaml
  krunc pull --export roots.tar boxes      what the locks name, for a host without a network
  krunc pull --import roots.tar boxes      there: checked by the locks of these boxes
  krunc pull --export - boxes | zstd >roots.tar.zst

skopeo fetches. Credentials are its own: skopeo login, or REGISTRY_AUTH_FILE. So are registries
without TLS (registries.conf) and which images are accepted (policy.json).

The store is --store DIR, else $KRUNC_STORE, else $XDG_DATA_HOME/krunc/store, else
~/.local/share/krunc/store. A pull that is stopped leaves nothing that the next one does not remove.
docs/images.md has the rest.

exit codes: 0 success, 1 a box or an image is wrong, or an image is not what its lock says,
2 usage error
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("boxes", nargs="+", metavar="BOX", help="a box, or a directory of boxes")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--locked",
        action="store_true",
        help="fetch exactly what the locks say, and write none; fail when that is not to be had",
    )
    how.add_argument(
        "--export",
        metavar="FILE|-",
        help="write the roots that the locks name into a tar, fetching as --locked does",
    )
    how.add_argument(
        "--import", dest="taken", metavar="FILE|-", help="take the roots from such a tar instead"
    )
    parser.add_argument(
        "--platform",
        action="append",
        choices=platforms(),
        metavar="PLATFORM",
        help=f"{' or '.join(platforms())}: for which machines, where a box has no arch; may be "
        "given twice; default: what the lock has, else this machine",
    )
    add_store(parser)
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print only what is wrong or moved"
    )
    parser.add_argument("--json", action="store_true", help="print JSON on standard output")
    add_variables(parser)


class Done(NamedTuple):
    """An image of a box: what the lock says of it now, what it said before, and whether it was
    fetched."""

    box: str
    image: LockedImage
    was: LockedImage | None
    is_fetched: bool

    @property
    def has_moved(self) -> bool:
        """Tell whether the same name leads to another image than before."""
        return self.was is not None and self.was.manifest != self.image.manifest


class Run(NamedTuple):
    """What a pull has from image to image."""

    args: Namespace
    store: Store
    findings: list[Located]
    done: list[Done]
    # What was looked for already, for another box: an image is fetched once.
    seen: dict[tuple[str, ...], Pulled | Unusable]

    def image(self, box: Box, wanted: Wanted, locked: LockedImage | None) -> LockedImage | None:
        """Return the image WANTED by BOX, just as LOCKED when it is; None when that fails, which is
        among the findings then."""
        key = (*wanted.place, lock_text(Lock((locked,))) if locked is not None else "")
        is_first = key not in self.seen
        line = Line(wanted.text, self.args.quiet)
        if is_first:
            try:
                if locked is None:
                    self.seen[key] = pull(wanted, self.store, line.show)
                else:
                    self.seen[key] = pull_locked(wanted, locked, self.store, line.show)
            except Unusable as error:
                self.seen[key] = error
            finally:
                line.clear()
        found = self.seen[key]
        if isinstance(found, Unusable):
            self.findings.append(box.tells(wanted.text, found))
            return None
        image = found.image._replace(reference=wanted.text)
        was = box.known(wanted)
        self.done.append(Done(box.path, image, was, is_first and found.is_fetched))
        if not self.args.json:
            self._say(self.done[-1])
        return image

    def _say(self, done: Done) -> None:
        image = done.image
        name = f"{printable(image.reference)} ({image.platform})"
        if done.has_moved and done.was is not None:
            sys.stderr.write(f"krunc: {name} moved: {done.was.manifest} -> {image.manifest}\n")
        if done.is_fetched and not self.args.quiet:
            layers = plural(len(image.layers), "layer")
            packed = mib(sum(layer.size for layer in image.layers))
            size = f"{layers}, {packed}; root {mib(image.root.size)}"
            sys.stderr.write(f"krunc: fetched {name} {image.manifest} ({size})\n")


def run(args: Namespace) -> int:
    """Pull the images of all boxes; what is wrong with one keeps no other from its lock."""
    if args.json and args.export == "-":
        raise UsageError("--json and --export - both want standard output; name a file")
    is_locked = bool(args.locked or args.export or args.taken)
    store = Store(args.store) if args.store else default()
    pulling = Run(args, store, [], [], {})
    found = boxes(args, pulling.findings, is_locked)
    written: list[str] = []
    try:
        if found:
            store.open()
        if args.taken:
            _import(found, pulling)
        elif is_locked:
            _locked(found, pulling)
        else:
            written = [path for box in found for path in _pulled(box, pulling)]
    except Unusable as error:
        finding = Finding(error.code, error.message, hint=error.hint)
        pulling.findings.extend(only(args.export or args.taken or store.directory, finding))
    return _told(pulling, written)


def _pulled(box: Box, pulling: Run) -> list[str]:
    """Pull the images of BOX and write its lock; return its path when that changed."""
    wanted = {(one.text, one.platform): one for one in box.wanted(pulling.args.platform)}
    found = [pulling.image(box, one, None) for one in wanted.values()]
    images = tuple(image for image in found if image is not None)
    if len(images) < len(found):
        return []
    text = lock_text(Lock(images))
    if len(images) > MAX_IMAGES or len(text.encode()) > MAX_BYTES:
        said = f"its lock would have {len(images):,} images and {len(text.encode()):,} bytes"
        hint = f"make several files of it, each with at most {MAX_IMAGES:,} and {MAX_BYTES:,}"
        pulling.findings.extend(only(box.path, Finding("KR302", said, hint=hint)))
        return []
    try:
        is_changed = write(box.lock_path, text, replaces=b'"krunc_lock"')
    except OSError as error:
        said = f"the lock cannot be written: {why(error)}"
        pulling.findings.extend(only(box.lock_path, Finding("KR302", said)))
        return []
    if not pulling.args.quiet and not pulling.args.json:
        said = "wrote" if is_changed else "unchanged:"
        sys.stderr.write(f"krunc: {said} {printable(box.lock_path)}\n")
    return [box.lock_path] if is_changed else []


def _rows(found: list[Box], pulling: Run) -> list[tuple[Box, Wanted, LockedImage]]:
    """Return what the locks say of the images of the boxes; what they do not is among the
    findings."""
    rows = []
    for box in found:
        with contained(box.path, pulling.findings):
            rows += [(box, *row) for row in box.locked(pulling.args.platform)]
    return rows


def _locked(found: list[Box], pulling: Run) -> None:
    rows = _rows(found, pulling)
    for row in rows:
        pulling.image(*row)
    if rows and not pulling.findings and not (pulling.args.quiet or pulling.args.json):
        says = "says" if len(found) == 1 else "say"
        sys.stderr.write(f"krunc: the store has what {plural(len(found), 'lock')} {says}\n")
    if pulling.args.export and not pulling.findings:
        roots = {image.root.digest: image.root for *_, image in rows}
        _exported(roots, pulling)


def _exported(roots: dict[str, LockedRoot], pulling: Run) -> None:
    """Write ROOTS into the file that is asked for, whole or not at all. Raises Unusable."""
    from krunc_compiler.image.archive import export

    path = pulling.args.export
    if path == "-":
        export(roots.values(), pulling.store, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    try:
        with whole(path) as out:
            export(roots.values(), pulling.store, out)
    except OSError as error:
        raise Unusable("KR715", f"the archive cannot be written: {why(error)}") from None
    if not pulling.args.quiet:
        sys.stderr.write(f"krunc: wrote {printable(path)} ({plural(len(roots), 'root')})\n")


def _import(found: list[Box], pulling: Run) -> None:
    """Take the roots of the boxes from the file that is asked for. Raises Unusable."""
    from krunc_compiler.image.archive import take

    rows = _rows(found, pulling)
    roots = {image.root.digest: image.root for *_, image in rows}
    path = pulling.args.taken
    try:
        if path == "-":
            taken = take(sys.stdin.buffer, roots, pulling.store)
        else:
            with open(path, "rb") as file:
                taken = take(file, roots, pulling.store)
    except OSError as error:
        raise Unusable("KR715", f"the archive cannot be read: {why(error)}") from None
    for box, _, image in rows:
        if pulling.store.has(image.root.digest, image.root.size):
            pulling.done.append(Done(box.path, image, image, image.root.digest in taken))
            continue
        said = f"neither the store nor {path} has its root {image.root.digest}"
        unusable = Unusable("KR715", said, "krunc pull --export writes what these locks name")
        pulling.findings.append(box.tells(image.reference, unusable))
    if not pulling.args.quiet and not pulling.args.json:
        sys.stderr.write(f"krunc: took {plural(len(taken), 'root')} of {len(roots)}\n")


def _told(pulling: Run, written: list[str]) -> int:
    """Tell what was found; the exit status."""
    is_wrong = any(not item.finding.warning for item in pulling.findings)
    if pulling.args.json:
        from krunc_compiler.findings.formats import document

        rows = list(map(_row, pulling.done))
        value = document(pulling.findings, krunc_pull=1, images=rows, locks=written)
        sys.stdout.write(json.dumps(value, indent=1) + "\n")
    elif pulling.findings:
        sys.stderr.write(report(pulling.findings, coloured(sys.stderr)))
    return 1 if is_wrong else 0


def _row(done: Done) -> dict[str, Any]:
    image = done.image
    return {
        "box": done.box,
        "reference": image.reference,
        "platform": image.platform,
        "manifest": image.manifest,
        "before": done.was.manifest if done.has_moved and done.was is not None else None,
        "root": image.root.digest,
        "size": image.root.size,
        "fetched": done.is_fetched,
    }
