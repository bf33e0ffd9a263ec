"""The agent's unix:// addresses become vsock ones, as in BoxLite's engine, and nothing else does."""

from __future__ import annotations

import pytest
from krunc_compiler.box.box import Agent
from krunc_compiler.lowering.channels import rewritten

BOTH = Agent("l", "n")
L, N = "vsock://2695", "vsock://2696"


@pytest.mark.parametrize(
    ("args", "agent", "expected"),
    [
        ([], BOTH, []),
        (["--listen", "unix:///a"], BOTH, ["--listen", L]),
        (["--listen", "unix:///a", "--notify", "unix:///b"], BOTH, ["--listen", L, "--notify", N]),
        (["--notify", "unix:///b", "--listen", "unix:///a"], BOTH, ["--notify", N, "--listen", L]),
        (["--listen", "tcp://a"], BOTH, ["--listen", "tcp://a"]),
        (["--listen"], BOTH, ["--listen"]),
        (["--listen=unix:///a"], BOTH, ["--listen=unix:///a"]),
        (["--listen", "unix:///a"], Agent(None, "n"), ["--listen", "unix:///a"]),
        (["-c", "x --listen unix:///a"], BOTH, ["-c", f"x --listen {L}"]),
        (["-c", "x --listen unix:///a --v"], BOTH, ["-c", f"x --listen {L} --v"]),
        (
            ["-c", "--listen unix:///a --notify unix:///b"],
            BOTH,
            ["-c", f"--listen {L} --notify {N}"],
        ),
        # Where BoxLite 0.9.7 differs: what ends a shell word stays.
        (["-c", "x --listen unix:///a; y"], BOTH, ["-c", f"x --listen {L}; y"]),
        (["-c", "sh -c 'x --listen unix:///a'"], BOTH, ["-c", f"sh -c 'x --listen {L}'"]),
        (["-c", "(x --listen unix:///a)&"], BOTH, ["-c", f"(x --listen {L})&"]),
        (["-c", "x --listen unix:///a|cat>b"], BOTH, ["-c", f"x --listen {L}|cat>b"]),
        # ... and every occurrence is found, after multibyte text too.
        (
            ["-c", "é --listen unix:///é --listen unix:///b"],
            BOTH,
            ["-c", f"é --listen {L} --listen {L}"],
        ),
    ],
)
def test_rewriting(args: list[str], agent: Agent, expected: list[str]) -> None:
    assert rewritten(tuple(args), agent) == expected
