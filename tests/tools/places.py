"""Where things of the project are, so that no test counts the directories above it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
TOOLS = TESTS / "tools"
# What outputs are held against, and boxes that are refused.
GOLDEN = TESTS / "golden"
BAD = TESTS / "bad"
