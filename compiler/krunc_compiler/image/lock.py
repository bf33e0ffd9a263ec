"""The lock beside a box: what a pull found of the images that the box names.

A lock is committed and reviewed, and read as what a stranger wrote.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from krunc_schema import load

from krunc_compiler.findings.finding import Finding, Path, reject
from krunc_compiler.image.reference import FORM, NotAReference, parse
from krunc_compiler.image.run_config import Run, User
from krunc_compiler.shape.checking import check
from krunc_compiler.text.strict_json import source_of, value_of
from krunc_compiler.text.unseen import escaped

FORMAT = 1
MAX_IMAGES: int = load("lock.schema")["properties"]["images"]["maxItems"]
_AGAIN = "run krunc pull BOX: a lock is not edited by hand"
# execve(2): what a program is given together; more would not start.
_MOST_BYTES = 1 << 20


class LockedLayer(NamedTuple):
    """A layer as it is transported."""

    digest: str
    size: int


class LockedRoot(NamedTuple):
    """The file of the store that a version of the writer makes of the layers."""

    digest: str
    size: int
    writer: int


class LockedImage(NamedTuple):
    """An image as a pull found it, for one platform."""

    reference: str
    platform: str
    manifest: str
    config: str
    layers: tuple[LockedLayer, ...]
    root: LockedRoot
    run: Run


class Lock(NamedTuple):
    """The images of one file of boxes."""

    images: tuple[LockedImage, ...]


def lock_text(lock: Lock) -> str:
    """Return the text of LOCK: the same bytes wherever it is made."""
    images = sorted(lock.images, key=lambda image: (image.reference, image.platform))
    value = {"krunc_lock": FORMAT, "images": list(map(_of_image, images))}
    return escaped(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)) + "\n"


def _of_image(image: LockedImage) -> dict[str, Any]:
    layers = [layer._asdict() for layer in image.layers]
    return {**image._asdict(), "layers": layers, "root": image.root._asdict(), "run": _of(image)}


def _of(image: LockedImage) -> dict[str, Any]:
    run = image.run._replace(user=None)._asdict()
    if image.run.user is not None:
        run["user"] = {k: v for k, v in image.run.user._asdict().items() if v is not None}
    return {key: value for key, value in run.items() if value not in (None, (), False)}


def read_lock(text: str, path: str) -> Lock:
    """Return the lock in TEXT, which came from the file PATH. Raises Rejected when it is none, or
    is more or other than a pull writes."""
    value = value_of(path, text, "KR701", "a lock")
    findings = list(map(_of_a_lock, check(value, _schema())))
    if not findings:
        findings = list(_doubtful(value["images"]))
    if findings:
        raise reject(source_of(path, text), findings)
    return Lock(tuple(map(_image, value["images"])))


def _of_a_lock(found: Finding) -> Finding:
    """Return what is wrong with the shape of a lock with what to do, which is never to mend it."""
    hint = f"{found.hint.rstrip('.')}; {_AGAIN}" if found.hint else _AGAIN
    return found._replace(code="KR701", hint=hint)


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = load("lock.schema")
    return schema


def _doubtful(images: list[dict[str, Any]]) -> Iterator[Finding]:
    """Yield what no schema tells of IMAGES."""
    seen: dict[tuple[str, str], int] = {}
    for i, image in enumerate(images):
        where: Path = ("images", i)
        try:
            parse(image["reference"])
        except NotAReference as error:
            message = f"{image['reference'][:60]!r} names no image: {error}"
            yield Finding("KR701", message, (*where, "reference"), f"write {FORM}")
        pair = (image["reference"], image["platform"])
        first = seen.setdefault(pair, i)
        if first != i:
            message = f"images[{first}] has this reference and platform, too"
            yield Finding("KR701", message, where, _AGAIN)
        run = image["run"]
        size = sum(
            len(word.encode()) + 1
            for key in ("entrypoint", "cmd", "env")
            for word in run.get(key, ())
        )
        if size > _MOST_BYTES:
            message = f"the program is given {size:,} bytes; Linux takes {_MOST_BYTES:,} at most"
            yield Finding("KR701", message, (*where, "run"), _AGAIN)


def _image(value: dict[str, Any]) -> LockedImage:
    return LockedImage(
        value["reference"],
        value["platform"],
        value["manifest"],
        value["config"],
        tuple(LockedLayer(**layer) for layer in value["layers"]),
        LockedRoot(**value["root"]),
        _run(value["run"]),
    )


def _run(value: dict[str, Any]) -> Run:
    plain: dict[str, Any] = {
        key: tuple(item) if isinstance(item, list) else item for key, item in value.items()
    }
    user = plain.get("user")
    if user is not None:
        plain["user"] = User(**{"name": None, **user, "groups": tuple(user["groups"])})
    return Run(**plain)
