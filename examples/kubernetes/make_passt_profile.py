"""Writes passt.json, the seccomp profile of pods whose VM has a passt: what containers-common
admits, and, without a capability, the calls by which passt shuts itself into namespaces."""

import json
import sys

_NAMESPACES = ["chroot", "clone", "clone3", "mount", "pivot_root", "setns", "umount2", "unshare"]


def main() -> None:
    """Read a profile of containers-common (/usr/share/containers/seccomp.json), write ours."""
    with open(sys.argv[1], encoding="utf-8") as file:
        profile = json.load(file)
    # crun and podman know errno by name, runc by number alone.
    profile.pop("defaultErrno", None)
    for rule in profile["syscalls"]:
        rule.pop("errno", None)
        rule.pop("comment", None)
    profile["syscalls"].insert(0, {"names": _NAMESPACES, "action": "SCMP_ACT_ALLOW"})
    json.dump(profile, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
