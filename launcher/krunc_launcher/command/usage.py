"""What krunc launch --help prints."""

from __future__ import annotations

HELP = """\
usage: krunc launch [--dry-run] [--libkrun FILE] [--runtime-dir DIR] [--base DIR]
                    [--require-digest DIGEST|FILE] [--exit-record FILE] [--console-max SIZE]
                    [--die-with-parent] PLAN|-
       krunc launch --log-dir DIR [option...] PLAN|FOLDER...

Replay a plan against libkrun and enter the VM. Several plans, or all of a folder, are started from
one warmed process, each in a process of its own. `krunc launch BOX.yaml` compiles the box first,
for the libkrun that it finds or for --target, with --set, --vars and --box as in krunc compile.

  --dry-run          print each call as it would be made, with the host steps between; needs
                     neither libkrun nor KVM
  --libkrun FILE     the libkrun to use; else KRUNC_LIBKRUN, else libkrun.so.1 or .2 of the system,
                     else the one of pip install 'krunc[libkrun]'
  --runtime-dir DIR  the folder for runtime: paths; else krunc/BOX below XDG_RUNTIME_DIR or
                     /run/user/UID, else /tmp/krunc-UID/BOX
  --base DIR         where relative paths of the plan start; else the plan's folder, for - the
                     working directory
  --require-digest DIGEST|FILE
                     refuse every plan but those approved: sha256:... as krunc digest prints it, or
                     a file of such lines
  --exit-record FILE
                     write how it ended into FILE, as JSON, when it has
  --log-dir DIR      for several plans: where each VM's output goes, NAME.out and NAME.err; then
                     --exit-record and --runtime-dir name folders with one entry for each
  --console-max SIZE
                     let no file that a console writes take more than SIZE (10MiB); the newest is
                     kept, the file's length stays
  --die-with-parent  end the VM when the process that started the launcher ends
  -h, --help         this text
  --version          krunc's version

environment:
  KRUNC_LIBKRUN      the libkrun to use
  XDG_RUNTIME_DIR    where runtime: paths go
  any other          what the plan names with from_env

examples:
  krunc launch --dry-run boxes/web.plan.json
  krunc launch boxes/web.plan.json
  AGENT_TOKEN=$(cat token) krunc launch agent.plan.json
  krunc launch --require-digest approved.txt web.plan.json
  krunc compile web.yaml -o - | krunc launch --dry-run -
  krunc launch --log-dir logs boxes/*.plan.json

exit status: the guest's own; 125 when the plan is wrong, the VM was not started, the guest ended
before its program was started, or libkrun crashed; 137 when the VM was killed; 2 wrong usage; of
--dry-run: 0 well, 1 the plan is wrong. SIGTERM asks the guest to stop, as the plan says.
Of several plans: 0 when all VMs ended with 0, else 1.
"""
