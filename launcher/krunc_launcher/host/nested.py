"""Whether the host's KVM lets guests run VMs of their own."""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher.errors import plain
from krunc_launcher.host.architecture import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Documentation/virt/kvm/x86/running-nested-guests.rst of Linux. arm64 has no such file, and libkrun
# looks at no other.
_MODULES = "/sys/module"
_KINDS = ("kvm_intel", "kvm_amd")


def unavailable(modules: str = _MODULES) -> Iterator[str]:
    """Tell why a guest of this host cannot run VMs, as far as the kernel tells."""
    if not here().get("nested", True) and sys.platform == "linux":
        machine = plain(system.uname().machine)
        yield f"libkrun gives guests no nested virtualization on {machine} with Linux"
        return
    for kind in _KINDS:
        try:
            with open(f"{modules}/{kind}/parameters/nested") as file:
                allowed = file.read().strip()
        except OSError:
            continue
        if allowed in ("N", "0"):
            yield (
                f"the host's {kind} does not allow nested virtualization; load it with "
                f"nested=1: modprobe -r {kind} && modprobe {kind} nested=1"
            )
        return
    yield "neither kvm_intel nor kvm_amd is loaded: nested virtualization is not available here"
