"""What a launch would do, as C, without libkrun and without looking at the host, but for where its
secrets are, and whether a root directory that is here has the program."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.accept import accept
from krunc_launcher.as_c import listing
from krunc_launcher.errors import PlanRefused, plain
from krunc_launcher.host.program import sentence, unstarted
from krunc_launcher.messages import say
from krunc_launcher.plan.verify import keyed
from krunc_launcher.resolve.resolve import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.accept import Accepted
    from krunc_launcher.options import Options
    from krunc_launcher.plan.text import Findings, Path
    from krunc_launcher.resolve.secrets import Reader


def dry_run(path: str, options: Options) -> str:
    """Tell what would be called; raises PlanRefused and LaunchError."""
    accepted = accept(path, options)
    accepted.directories.launch = accepted.directories.launch.rpartition("-")[0] + "-<random>"
    origins: dict[str, str] = {}
    operations, found = resolve(accepted.plan, accepted.directories, _teller(accepted, origins))
    if found:
        raise PlanRefused(keyed(accepted.plan, found), text=accepted.text)
    lines = (
        f"secret  {plain(secret)}: {place}".replace("*/", "* /")
        for secret, place in origins.items()
    )
    wrong = unstarted(accepted.plan, operations, accepted.directories)
    say(f"warning: {sentence(one)}" for one in wrong)
    return "".join([listing(accepted.plan, operations), *(f"/* {line} */\n" for line in lines)])


def _teller(accepted: Accepted, origins: dict[str, str]) -> Reader:
    """Return what reads no secret, but writes into ORIGINS where each would come from."""

    def tell(item: dict[str, Any], where: Path, found: Findings) -> None:
        from krunc_launcher.plan.secrets import shown
        from krunc_launcher.resolve.secrets import Secrets

        origins[shown(item)] = Secrets(system.variable, accepted.directories).origin(item)

    return tell
