"""Why a VM was not started although libkrun took every call: it says -EINVAL to nearly everything.

Found out by the process above the VM's, for that one may be confined.
"""

from __future__ import annotations

from krunc_launcher.errors import plain, returned
from krunc_launcher.host.kvm import full

_ADVICE = {
    -2: "a file that the VM needs is not there; set log: {level: debug} in the box",
    -12: "the host, or a limit on it (ulimit -v, a cgroup), has too little memory for the VM",
    -13: "something cannot be opened; look for denials of SELinux or AppArmor (ausearch, dmesg)",
    -24: "the open file limit is too low; raise it: ulimit -Hn, or LimitNOFILE= of the unit",
}
# libkrun waits a second for each vCPU (resume_vcpus in src/vmm/src/lib.rs).
_SLOW = "VcpuResume"
_BUSY = (
    "a vCPU did not run within a second, which is as long as libkrun waits: the host is too busy; "
    "launch it again, or fewer VMs at a time (--jobs)"
)
_OTHER = "the hypervisor of this host works; set log: {level: debug} in the box"


def reasons(noted: str) -> list[str]:
    """Tell what a person is told when krun_start_enter came back. NOTED is what it returned, the
    VM's memory in MiB and libkrun's words; a guest that broke out may have written it."""
    result, memory, said = (*noted.split(" ", 2), "", "")[:3]
    number = int(result) if _short(result.removeprefix("-")) else 0
    lines = [f"the VM was not started: krun_start_enter {returned(number)}"]
    if said:
        lines.append(f"libkrun says: {plain(said)}")
    advice = _BUSY if _SLOW in said else _ADVICE.get(number, _OTHER)
    lines += full(int(memory) if _short(memory) else 0) or [advice]
    return lines


def _short(digits: str) -> bool:
    return digits.isascii() and digits.isdigit() and len(digits) < 10
