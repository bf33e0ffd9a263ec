"""What the launcher's verifier finds wrong with a plan."""

from __future__ import annotations

import json
from typing import Any

from krunc_launcher.errors import PlanRefused
from krunc_launcher.plan.verify import verify
from krunc_launcher.text.reading import parse


def refusals(plan: dict[str, Any]) -> list[str]:
    """What is wrong with PLAN: a sentence each."""
    try:
        verify(parse(json.dumps(plan)))
    except PlanRefused as refused:
        return [sentence for _, sentence in refused.findings]
    return []
