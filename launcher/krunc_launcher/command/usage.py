"""What krunc launch --help prints."""

from __future__ import annotations

from krunc_launcher.options import LAUNCH, OF_A_BOX, listing

HELP = f"""\
usage: krunc launch [option...] PLAN|-
       krunc launch [option...] BOX.yaml
       krunc launch --log-dir DIR [-j N] [option...] PLAN|DIRECTORY...
       krunc launch --log-dir DIR [-j N] [option...] BOX.yaml

Replay a plan against libkrun and enter the VM. Several plans, or all of a directory, are started
from one warmed process, each in a process of its own. A box is compiled first, for the libkrun that
is found or for --target, and all boxes of its matrix are started; krunc-launch, the launcher alone,
takes plans only.

arguments:
  PLAN               the plan to run, or - for standard input; with --log-dir several, or
                     directories
  BOX.yaml           the box to compile and run

options:
{listing(LAUNCH)}
options of a box:
{listing(OF_A_BOX)}
environment:
  KRUNC_LIBKRUN      the libkrun to use
  XDG_RUNTIME_DIR    where runtime: paths go
  CREDENTIALS_DIRECTORY
                     where secrets are files, as systemd sets it; --secrets goes before it
  any other          what the plan names with from_env

examples:
  krunc launch --dry-run boxes/web.plan.json
  krunc launch boxes/web.plan.json
  AGENT_TOKEN=$(cat token) krunc launch agent.plan.json
  krunc launch --secrets /run/secrets agent.plan.json
  krunc launch --require-digest approved.txt web.plan.json
  krunc compile web.yaml -o - | krunc launch --dry-run -
  krunc launch --log-dir logs boxes/*.plan.json
  krunc launch -j 8 --log-dir logs --exit-record ends fleet.yaml

exit code: the guest's own; 124 after the timeout of the box; 125 when the plan is wrong, the VM was
not started, the guest ended before its program was started, or libkrun crashed; 137 when the VM was
killed; 2 usage error; with --dry-run: 0 success, 1 the plan is wrong

Of several plans it is 0 when all VMs ended with 0, 1 when one did not, and 2 when none could be
started.

SIGTERM asks the guest to stop, as the plan says. Of several VMs, SIGTERM and SIGINT stop all, and
start no more.
"""
