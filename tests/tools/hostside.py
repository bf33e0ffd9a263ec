"""What a host does around one launch: serves and calls sockets, sends a signal. Run in the
emulated machine, with a plan of it in JSON on standard input; prints what happened as JSON.

    {"command": [...],           the launch
     "setup": [[...], ...],      programs that are run before it
     "beside": [[...], ...],     programs that run beside it
     "await": [PATH, ...],       what they make, before the launch
     "unix": {PATH: ANSWER},     sockets served here; the first line that comes is noted
     "tcp": {ADDRESS: ANSWER},   the same on IP:PORT or [IPV6]:PORT
     "call": {PATH: LINE},       sockets of the VM to which a line is sent; the answer is noted
     "fetch": [URL, ...],        what curl gets from the VM; the answer is noted
     "signal": {"after": TEXT, "send": NAME}}   sent to the launch when it has printed TEXT, or
                                 without "after" when every URL was answered or could not be
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

# Emulation is slow: a guest has this long to come to its socket, in seconds.
_PATIENCE = 80


def serve(server: socket.socket, name: str, answer: str, heard: dict[str, str]) -> None:
    """Note the first line of each client under NAME and answer it."""
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client, client.makefile("rw") as stream:
            heard[name] = stream.readline().rstrip("\n")
            stream.write(answer + "\n")
            stream.flush()
            # libkrun's TSI can lose what was sent right before the end of a connection.
            time.sleep(2)


def call(path: str, line: str, heard: dict[str, str], ended: threading.Event) -> None:
    """Send LINE to the socket PATH until it is answered; note the answer."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and not ended.is_set():
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(_PATIENCE)
                client.connect(path)
                client.sendall(line.encode() + b"\n")
                answer = client.makefile().readline().rstrip("\n")
        except OSError:
            answer = ""
        if answer:
            heard[path] = answer
            return
        time.sleep(0.3)


def fetch(url: str, heard: dict[str, str], ended: threading.Event) -> None:
    """Ask for URL until it is answered; note the answer."""
    deadline = time.monotonic() + _PATIENCE
    command = ["curl", "--silent", "--show-error", "--max-time", "20", url]
    while time.monotonic() < deadline and not ended.is_set():
        done = subprocess.run(command, capture_output=True, text=True)
        if done.stdout:
            heard[url] = done.stdout
            return
        time.sleep(0.3)


def send(vm: subprocess.Popen[bytes], name: str, callers: list[threading.Thread]) -> None:
    """Send the signal NAME to VM when CALLERS have ended."""
    for caller in callers:
        caller.join()
    vm.send_signal(getattr(signal, name))


def main() -> None:
    """Do what standard input says."""
    what: dict[str, Any] = json.load(sys.stdin)
    heard: dict[str, str] = {}
    ended = threading.Event()
    for command in what.get("setup", ()):
        subprocess.run(command, check=True, stdout=sys.stderr)
    beside = [
        subprocess.Popen(command, stdout=sys.stderr, stderr=sys.stderr)
        for command in what.get("beside", ())
    ]
    while not all(map(os.path.exists, what.get("await", ()))):
        time.sleep(0.05)
    for path, answer in what.get("unix", {}).items():
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        server = socket.socket(socket.AF_UNIX)
        if os.path.exists(path):  # of a try that hung
            os.unlink(path)
        server.bind(path)
        server.listen()
        threading.Thread(target=serve, args=(server, path, answer, heard), daemon=True).start()
    for address, answer in what.get("tcp", {}).items():
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server = socket.create_server((host.strip("[]"), int(port)), family=family)
        threading.Thread(target=serve, args=(server, address, answer, heard), daemon=True).start()
    callers = [
        threading.Thread(target=call, args=(path, line, heard, ended), daemon=True)
        for path, line in what.get("call", {}).items()
    ]
    callers += [
        threading.Thread(target=fetch, args=(url, heard, ended), daemon=True)
        for url in what.get("fetch", ())
    ]
    for caller in callers:
        caller.start()
    vm = subprocess.Popen(
        what["command"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert vm.stdout is not None
    assert vm.stderr is not None
    told: list[bytes] = []
    errors = threading.Thread(target=lambda: told.append(vm.stderr.read()), daemon=True)  # type: ignore[union-attr]
    errors.start()
    printed = b""
    wanted = what.get("signal")
    if wanted and "after" not in wanted:
        threading.Thread(target=send, args=(vm, wanted["send"], callers), daemon=True).start()
        wanted = None
    while chunk := os.read(vm.stdout.fileno(), 65536):
        printed += chunk
        if wanted and wanted["after"].encode() in printed:
            vm.send_signal(getattr(signal, wanted["send"]))
            wanted = None
    status = vm.wait()
    errors.join()
    ended.set()
    for caller in callers:
        caller.join()
    for program in beside:
        program.terminate()
        program.wait()
    result = {
        "status": status,
        "stdout": printed.decode("utf-8", "replace"),
        "stderr": b"".join(told).decode("utf-8", "replace"),
        "heard": heard,
    }
    print(json.dumps(result))


main()
