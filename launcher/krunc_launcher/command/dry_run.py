"""What a launch would do, as C, without libkrun and without looking at the host."""

from __future__ import annotations

from krunc_launcher.accept import accept
from krunc_launcher.errors import PlanRefused
from krunc_launcher.plan.verify import keyed
from krunc_launcher.resolve.as_c import listing
from krunc_launcher.resolve.resolve import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.options import Options


def dry_run(path: str, options: Options) -> str:
    """Tell what would be called; raises PlanRefused and LaunchError."""
    accepted = accept(path, options)
    operations, found = resolve(accepted.plan, accepted.folders, None)
    if found:
        raise PlanRefused(keyed(accepted.plan, found), text=accepted.text)
    return listing(accepted.plan, operations)
