"""A registry that answers as it should not: it closes, redirects in circles, fails, waits, sends other
bytes than it promises, or more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from registry import MANIFEST, Layout, digest

# How a request is answered: the handler, and the bytes that a right answer would have.
Answer = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """One request, answered by what the server has for it."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        with suppress(ConnectionError):
            self._answer()

    do_HEAD = do_GET

    def _answer(self) -> None:
        self.server.asked.append(self.path)
        kind = self.path.split("/")[-2] if self.path.count("/") > 2 else "ping"
        data = self.server.found(self.path)
        self.server.answers.get(kind, right)(self, data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def right(handler: Handler, data: bytes) -> None:
    """Answer as a registry does."""
    handler.send_response(200)
    if "/manifests/" in handler.path:
        handler.send_header("Content-Type", handler.server.kind)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    if handler.command == "GET":
        handler.wfile.write(data)


def closes(handler: Handler, data: bytes) -> None:
    """Close without an answer."""
    handler.close_connection = True


def fails(handler: Handler, data: bytes) -> None:
    """Have a fault of its own."""
    handler.send_error(500)


def refuses(handler: Handler, data: bytes) -> None:
    """Want to know who asks."""
    handler.send_response(401)
    handler.send_header("WWW-Authenticate", 'Basic realm="here"')
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def redirects(handler: Handler, data: bytes) -> None:
    """Lead in a circle."""
    handler.send_response(307)
    handler.send_header("Location", f"{handler.path}?token=s3cr3t")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def waits(handler: Handler, data: bytes) -> None:
    """Never answer."""
    handler.server.gone.wait()


def stalls(handler: Handler, data: bytes) -> None:
    """Send half of it, and no more."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()
    handler.server.has_stalled.set()
    handler.server.gone.wait()


def breaks_off(handler: Handler, data: bytes) -> None:
    """Send half of it, and close."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.close_connection = True


def changes(handler: Handler, data: bytes) -> None:
    """Send other bytes."""
    right(handler, bytes([data[0] ^ 1]) + data[1:] if data else b"x")


def overflows(handler: Handler, data: bytes) -> None:
    """Send without an end."""
    handler.send_response(200)
    if "/manifests/" in handler.path:
        handler.send_header("Content-Type", handler.server.kind)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    piece = b" " * (1 << 20)
    while not handler.server.gone.is_set():
        handler.wfile.write(piece)


class Server(ThreadingHTTPServer):
    """The registry: what it has is in LAYOUT, and what has the tag `it` is under any tag."""

    daemon_threads = True

    def __init__(self, manifest: bytes, blobs: Path, answers: dict[str, Answer], kind: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.manifest, self.blobs, self.answers, self.kind = manifest, blobs, answers, kind
        self.asked: list[str] = []
        self.gone, self.has_stalled = threading.Event(), threading.Event()

    @property
    def host(self) -> str:
        """Its HOST:PORT."""
        return f"127.0.0.1:{self.server_port}"

    def found(self, path: str) -> bytes:
        """What lies at PATH."""
        name = path.partition("?")[0].rpartition("/")[2]
        if "/manifests/" in path and name in ("it", digest(self.manifest)):
            return self.manifest
        blob = self.blobs / name.removeprefix("sha256:")
        return blob.read_bytes() if name and blob.is_file() else b"{}"

    def handle_error(self, *_: Any) -> None:
        """Say nothing: who asked has gone."""


@contextmanager
def hostile(
    layout: Layout, row: dict[str, Any], answers: dict[str, Answer], kind: str = MANIFEST
) -> Iterator[Server]:
    """Serve what ROW points to in LAYOUT, with ANSWERS for `ping`, `manifests` and `blobs`."""
    blobs = layout.path / "blobs" / "sha256"
    manifest = (blobs / row["digest"].removeprefix("sha256:")).read_bytes()
    server = Server(manifest, blobs, answers, kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.gone.set()
        server.shutdown()
        thread.join()
        server.server_close()
