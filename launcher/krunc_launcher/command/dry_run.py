"""What a launch would do, as C, without libkrun and without looking at the host."""

from __future__ import annotations

from krunc_launcher.accept import accept
from krunc_launcher.errors import PlanRefused
from krunc_launcher.plan.verify import keyed
from krunc_launcher.resolve.as_c import listing


def dry_run(path: str, given: dict[str, str]) -> str:
    """What would be called; raises PlanRefused and LaunchError."""
    accepted = accept(path, given)
    done, found = accepted.resolved(None)
    if found:
        raise PlanRefused(keyed(accepted.plan, found), text=accepted.text)
    return listing(accepted.plan, done)
