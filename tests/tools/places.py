"""Where things of the project are, so that no test counts the directories above it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
TOOLS = TESTS / "tools"
# What outputs are held against, and boxes that are refused.
GOLDEN = TESTS / "golden"
BAD = TESTS / "bad"
# What launcher/generate_krun.py writes.
GENERATED = (
    "_krun.py",
    "_rules.py",
    "_rare_rules.py",
    "_stage_rules.py",
    "_look_alikes.py",
    "_box_options.py",
)
