"""The box schema in an editor: the YAML language server of VS Code and Neovim, over its protocol."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from krunc_schema import text
from processes import PATIENCE, started

BOX = """\
krunc: 1
name: web
machine:
  cpus: 300
network: {mode: tsi}
shares:
  - tag: src
    path: ./src
    rea
"""


class Server:
    """A language server; messages are JSON-RPC with a Content-Length header."""

    def __init__(self, process: subprocess.Popen[bytes], schema: Path) -> None:
        self._process = process
        self._settings = {
            "yaml": {
                "schemas": {schema.as_uri(): "*.yaml"},
                "schemaStore": {"enable": False},
                "validate": True,
                "hover": True,
                "completion": True,
            }
        }
        self._number = 0
        self._diagnostics: dict[str, list[dict[str, Any]]] = {}
        abilities = {
            "workspace": {"configuration": True, "didChangeConfiguration": {}},
            "textDocument": {"publishDiagnostics": {}, "hover": {}, "completion": {}},
        }
        self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": abilities})
        self._send("initialized", {})
        self._send("workspace/didChangeConfiguration", {"settings": self._settings})

    def open(self, uri: str, content: str) -> None:
        """Open a document."""
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": content}
        self._send("textDocument/didOpen", {"textDocument": document})

    def at(self, method: str, uri: str, line: int, character: int) -> Any:
        """Ask METHOD about a place of a document."""
        place = {"line": line, "character": character}
        return self.ask(method, {"textDocument": {"uri": uri}, "position": place})

    def diagnostics(self, uri: str, word: str = "") -> list[dict[str, Any]]:
        """What the server says is wrong with a document, once it says anything with WORD in it."""
        while not any(word in item["message"] for item in self._diagnostics.get(uri, ())):
            self._receive()
        return self._diagnostics[uri]

    def ask(self, method: str, params: Any) -> Any:
        """Send a request and return its result."""
        self._number += 1
        self._send(method, params, self._number)
        while True:
            message = self._receive()
            if message.get("id") == self._number and "method" not in message:
                assert "error" not in message, message
                return message.get("result")

    def _send(self, method: str, params: Any, number: int | None = None) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        self._write(message if number is None else {**message, "id": number})

    def _write(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
        self._process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        stream = self._process.stdout
        assert stream is not None
        length = 0
        while (line := stream.readline().strip()) or not length:
            assert line or self._process.poll() is None, "the server ended"
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        message: dict[str, Any] = json.loads(stream.read(length))
        if message.get("method") == "textDocument/publishDiagnostics":
            self._diagnostics[message["params"]["uri"]] = message["params"]["diagnostics"]
        elif "method" in message and "id" in message:
            result: Any = None
            if message["method"] == "workspace/configuration":
                wanted = message["params"]["items"]
                result = [self._settings.get(item.get("section", "")) for item in wanted]
            self._write({"jsonrpc": "2.0", "id": message["id"], "result": result})
        return message


@pytest.fixture
def server(language_server: Path, tmp_path: Path) -> Iterator[Server]:
    schema = tmp_path / "box.schema.json"
    schema.write_text(text("box.schema"), "utf-8")
    command = ["node", str(language_server), "--stdio"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with started(command, **pipes) as process:
        # A server that says nothing more ends the test, not the run.
        limit = Timer(PATIENCE, process.kill)
        limit.start()
        try:
            yield Server(process, schema)
        finally:
            limit.cancel()


def test_completion_hover_and_errors(server: Server, tmp_path: Path) -> None:
    uri = (tmp_path / "web.yaml").as_uri()
    server.open(uri, BOX)
    assert server.diagnostics(uri), "the schema is loaded"
    offered = server.at("textDocument/completion", uri, 8, 7)
    keys = {item["label"] for item in offered["items"]}
    assert "read_only" in keys
    hover = server.at("textDocument/hover", uri, 3, 4)
    assert "Virtual CPUs" in json.dumps(hover["contents"])
    messages = {
        (item["range"]["start"]["line"], item["message"])
        for item in server.diagnostics(uri, "maximum of 255")
    }
    assert any(line == 3 and "maximum of 255" in message for line, message in messages), messages


def test_values_are_completed(server: Server, tmp_path: Path) -> None:
    uri = (tmp_path / "log.yaml").as_uri()
    server.open(uri, "krunc: 1\nlog:\n  level: \n")
    assert server.diagnostics(uri), "the schema is loaded"
    offered = server.at("textDocument/completion", uri, 2, 9)
    assert {"error", "warn", "trace"} <= {item["label"] for item in offered["items"]}
