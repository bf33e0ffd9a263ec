"""What `krunc --help` prints. It imports nothing, so it is there at once."""

from __future__ import annotations

# Each command is a module of its own, imported only when it is called.
VERBS = {
    "compile": "compile boxes to plans",
    "show": "show what host access a plan grants",
    "diff": "show how plans differ, most severe first",
    "check": "check boxes, plans, and policies (for CI)",
    "digest": "print plan digests",
    "emit": "write plans as units or jobs of systemd, Slurm, Kubernetes, or Nomad",
    "import": "convert a docker, Compose, OCI, or BoxLite configuration to a box",
    "schema": "print the JSON Schema of a box, a plan, or an output",
    "explain": "explain an error code",
    "init": "write a commented starter box, or a policy",
    "completion": "print the shell completion for bash, zsh, or fish",
    "pull": "fetch and lock the images of boxes",
    "images": "list the image roots in the store, and what uses them",
    "prune": "remove unused image roots from the store",
    "launch": "run a plan",
    "doctor": "check whether this host can run VMs",
}
_WIDTH = max(map(len, VERBS))
HELP = f"""\
usage: krunc COMMAND ...

Run untrusted code in microVMs from reviewed plans.

commands:
{"".join(f"  {name:{_WIDTH}}  {summary}{chr(10)}" for name, summary in VERBS.items())}
options:
  -h, --help  print this help; `krunc COMMAND --help` has examples
  --version   print krunc's version

A box is a YAML file. It compiles to a plan, a JSON file to commit and review.

exit codes: 0 success, 1 problems found, 2 usage error; launch returns the guest's exit code, or
125 if the VM did not start
"""
