"""Every key of an OCI runtime bundle's config.json: what it becomes, or why it does not."""

from __future__ import annotations

from functools import cache

from krunc_compiler.importing.reasons import REASONS

# What oci.py reads.
BECOMES = {
    "ociVersion": "nothing: versions 1.x are read",
    "process.args": "`entrypoint.executable` and `args`",
    "process.cwd": "`entrypoint.workdir`",
    "process.env": "`entrypoint.env`",
    "process.user": "`entrypoint.user`; `additionalGids` and `umask` are noted",
    "process.rlimits": "`limits`",
    "process.terminal": f"nothing: {REASONS['tty']}",
    "process.consoleSize": f"nothing: {REASONS['tty']}",
    "process.noNewPrivileges": f"noted: {REASONS['no_new_privileges']}",
    "process.capabilities": f"noted: {REASONS['cap_drop']}",
    "root.path": "`rootfs.path`",
    "root.readonly": "`rootfs.read_only`",
    "hostname": "`hostname`",
    "mounts": "`shares` for binds, `tmpfs`; /proc, /sys and /dev are the guest's own",
    "annotations": "`labels`, where a name fits one",
    "linux.namespaces": "its own network that no other container joins: `network: {mode: none}`",
    "linux.resources": "`memory.limit`, `cpu.quota` and `cpu.period`, `pids.limit` as `machine` "
    "and `limits.nproc`; the rest is noted, but for devices that are denied",
}
# By a reason in reasons.py.
TOLD = {
    "process.apparmorProfile": "security_label",
    "process.selinuxLabel": "security_label",
    "process.oomScoreAdj": "oom",
    "process.scheduler": "scheduling",
    "process.ioPriority": "scheduling",
    "process.execCPUAffinity": "scheduling",
    "domainname": "dns_option",
    "hooks": "hook",
    "linux.cgroupsPath": "cgroup",
    "linux.devices": "device",
    "linux.netDevices": "device",
    "linux.gidMappings": "namespace",
    "linux.uidMappings": "namespace",
    "linux.timeOffsets": "namespace",
    "linux.personality": "namespace",
    "linux.intelRdt": "cgroup",
    "linux.memoryPolicy": "cgroup",
    "linux.maskedPaths": "masked",
    "linux.readonlyPaths": "masked",
    "linux.mountLabel": "security_label",
    "linux.rootfsPropagation": "namespace",
    "linux.seccomp": "seccomp",
    "linux.sysctl": "sysctl",
    "solaris": "other_system",
    "windows": "isolation",
    "vm": "runtime",
    "zos": "other_system",
    "freebsd": "other_system",
}


@cache
def page() -> dict[str, str]:
    """Return what the page of keys says of each, in the order of the names."""
    rows = BECOMES | {key: f"noted: {REASONS[reason]}" for key, reason in TOLD.items()}
    return dict(sorted(rows.items()))
