"""What `krunc --help` prints. It imports nothing, so it is there at once."""

from __future__ import annotations

# Each verb is a module of its own, imported only when it is called.
VERBS = {
    "compile": "validate boxes and compile them into plans",
    "show": "show what a plan lets a VM do, then its operations",
    "diff": "show what changes in meaning between two plans, the worst first",
    "check": "check boxes, their committed plans, and the policies over them",
    "digest": "print the digest of what a plan means",
    "emit": "write plans as what systemd, Nomad and other engines start, with what would be lost",
    "import": "turn what docker, podman, Compose, a runtime bundle or BoxLite runs into a box",
    "schema": "print the JSON Schema of a box, a plan, or an output",
    "explain": "tell what a finding's code means",
    "init": "write a commented starter box, or a policy",
    "completion": "print the completion of these commands for bash, zsh or fish",
    "pull": "fetch the images of boxes into the store, and lock them",
    "images": "list the roots of images that the store has, and what uses them",
    "prune": "remove the roots that no lock or plan names",
    "launch": "replay a plan against libkrun and enter the VM",
    "doctor": "check what this host has and lacks to run VMs",
}
_WIDTH = max(map(len, VERBS))
HELP = f"""\
usage: krunc VERB ...

Compile declarative boxes into reviewable plans of libkrun calls, and launch the plans as microVMs.

verbs:
{"".join(f"  {name:{_WIDTH}}  {summary}{chr(10)}" for name, summary in VERBS.items())}
options:
  -h, --help  print this help; `krunc VERB --help` has examples
  --version   print krunc's version

A box is a YAML file, a plan the JSON file that it compiles to; plans are committed and reviewed.

exit status: 0 well, 1 the input is wrong or differs, 2 wrong usage; of launch: the guest's own,
125 when the VM could not be started
"""
