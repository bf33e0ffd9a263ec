"""Why this host's hypervisor does not run a guest; libkrun says -EINVAL to nearly everything.

Linux only: /dev/kvm, by the KVM API (Documentation/virt/kvm/api.rst).
"""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc
from krunc_launcher.errors import why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_DEVICE = "/dev/kvm"
_API_VERSION = 12
_GET_API_VERSION, _CREATE_VM, _GET_VCPU_MMAP_SIZE = 0xAE00, 0xAE01, 0xAE04
_CREATE_VCPU, _SET_USER_MEMORY_REGION, _RUN = 0xAE41, 0x4020AE46, 0xAE80
_GET_SREGS, _SET_SREGS, _SET_REGS = 0x8138AE83, 0x4138AE84, 0x4090AE82
_SREGS_SIZE = 312
# asm-generic/mman.h: reading and writing; private and anonymous; shared
_READ_WRITE, _PRIVATE_ANONYMOUS, _SHARED = 3, 0x22, 1
_MAP_FAILED = ffi.cast("void *", -1)
_EXIT_REASON_OFFSET, _EXIT_HLT, _EXIT_INTERNAL_ERROR = 8, 5, 17
_PAGE = 4096
# fsin; hlt. Every x86 processor runs fsin itself; KVM's instruction emulator does not know it.
_CODE = b"\xd9\xfe\xf4"


def quick() -> list[str]:
    """Tell what stops a guest from running here, as far as a start should pay for knowing it."""
    if sys.platform != "linux":
        return []
    try:
        kvm = system.open(_DEVICE, system.O_RDWR | system.O_CLOEXEC)
    except OSError as error:
        return list(_unopened(error))
    try:
        problem = _version(kvm)
        if problem is None and _suspect():
            problem = _smoke(kvm)
        return [problem] if problem else []
    finally:
        system.close(kvm)


def full(memory_mib: int) -> list[str]:
    """Return all that may explain why a VM with that much memory did not start."""
    problems = quick()
    if not problems and sys.platform == "linux":
        kvm = system.open(_DEVICE, system.O_RDWR | system.O_CLOEXEC)
        try:
            problem = _smoke(kvm)
        finally:
            system.close(kvm)
        problems = [problem] if problem else []
    return problems + list(_memory(memory_mib))


def _unopened(error: OSError) -> Iterator[str]:
    import errno

    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        from krunc_launcher.host.architecture import here

        yield f"{_DEVICE} is not there: {here().get('hypervisor', 'libkrun does not run here')}"
    elif error.errno in (errno.EACCES, errno.EPERM):
        yield f"you (uid {system.geteuid()}) cannot open {_DEVICE}: {_way_in()}"
    else:
        yield f"{_DEVICE} cannot be opened: {why(error)}"


def _way_in() -> str:
    """Tell how somebody gets to open the device."""
    from grp import getgrgid

    try:
        status = system.stat(_DEVICE)
        group = getgrgid(status.st_gid).gr_name
    except OSError:
        group = "kvm"
    except KeyError:
        group = str(status.st_gid)
    else:
        if status.st_mode & 0o060 != 0o060 or status.st_gid == 0:
            mode = f"{status.st_mode & 0o777:o}"
            return (
                f"its mode is {mode} and its group {group}; as root: chgrp kvm {_DEVICE} && "
                f"chmod 660 {_DEVICE}, and join that group with `usermod -aG kvm USER`"
            )
    return f"join its group with `usermod -aG {group} USER` and log in again"


def closed_to(uid: int, gid: int) -> Iterator[str]:
    """Tell why the user and group that the VM's process becomes may not open the device: that is
    after the change, and libkrun would say -EINVAL."""
    try:
        status = system.stat(_DEVICE)
    except OSError:
        return  # the hypervisor's own condition tells why
    shift = 6 if status.st_uid == uid else 3 if status.st_gid in (gid, *system.getgroups()) else 0
    if uid and status.st_mode >> shift & 0o6 != 0o6:
        yield (
            f"uid {uid}, which the VM's process becomes, cannot open {_DEVICE}; write its group "
            f"under run_as.gid: {status.st_gid}"
        )


def _version(kvm: int) -> str | None:
    version = libc.ioctl(kvm, _GET_API_VERSION, 0)
    if version < 0:
        return f"{_DEVICE} does not answer as KVM"
    if version != _API_VERSION:
        return f"{_DEVICE} has KVM API {version}; libkrun needs {_API_VERSION}"
    return None


def _suspect() -> bool:
    """Return an x86-64 KVM without its hardware modules is a stand-in that may not run every
    guest."""
    hardware = ("kvm_intel", "kvm_amd")
    return system.uname().machine == "x86_64" and not any(
        system.isdir(f"/sys/module/{name}") for name in hardware
    )


def runs_a_test() -> bool:
    """Tell whether there is a guest to try a hypervisor of this machine with."""
    return sys.platform == "linux" and system.uname().machine == "x86_64"


def _smoke(kvm: int) -> str | None:
    """Run two instructions in a VM; libkrun would run for ten seconds and then exit with 1."""
    if not runs_a_test():
        return None
    try:
        reason = _run(kvm)
    except OSError as error:
        return f"{_DEVICE} is there, but a VM cannot be made: {why(error)}"
    if reason == _EXIT_HLT:
        return None
    if reason == _EXIT_INTERNAL_ERROR:
        return (
            f"{_DEVICE} is there, but cannot run an ordinary guest: it emulates instructions that "
            "a processor would run (as kvm_pvm does in a rented VM); use a host with hardware or "
            "nested virtualization"
        )
    return f"{_DEVICE} is there, but a test guest ended with KVM exit reason {reason}"


def _run(kvm: int) -> int:
    handles: list[int] = []
    mapped: list[tuple[Any, int]] = []

    def ask(handle: int, request: int, argument: Any = 0) -> int:
        number = int(ffi.cast("uintptr_t", argument))
        answer = int(libc.ioctl(handle, request, number))
        if answer < 0:
            raise OSError(ffi.errno, system.strerror(ffi.errno))
        return answer

    def memory(size: int, flags: int, handle: int) -> Any:
        found = libc.mmap(ffi.NULL, size, _READ_WRITE, flags, handle, 0)
        if found == _MAP_FAILED:
            raise OSError(ffi.errno, system.strerror(ffi.errno))
        mapped.append((found, size))
        return ffi.cast("uint8_t *", found)

    try:
        code = memory(_PAGE, _PRIVATE_ANONYMOUS, -1)
        ffi.memmove(code, _CODE, len(_CODE))
        handles.append(vm := ask(kvm, _CREATE_VM))
        place = int(ffi.cast("uintptr_t", code))
        ask(vm, _SET_USER_MEMORY_REGION, ffi.new("uint64_t[4]", [0, _PAGE, _PAGE, place]))
        handles.append(cpu := ask(vm, _CREATE_VCPU))
        shared = memory(ask(kvm, _GET_VCPU_MMAP_SIZE), _SHARED, cpu)
        special = ffi.new("uint8_t[]", _SREGS_SIZE)
        ask(cpu, _GET_SREGS, special)
        # The code segment: base 0 (8 bytes), limit 0xffff (4), selector 0 (2).
        ffi.memmove(special, bytes(8) + b"\xff\xff\0\0" + bytes(2), 14)
        ask(cpu, _SET_SREGS, special)
        # After sixteen general registers: rip, then rflags, whose bit 1 is always set.
        ask(cpu, _SET_REGS, ffi.new("uint64_t[18]", [*[0] * 16, _PAGE, 2]))
        ask(cpu, _RUN)
        return int(ffi.cast("uint32_t *", shared + _EXIT_REASON_OFFSET)[0])
    finally:
        for at, size in mapped:
            libc.munmap(at, size)
        for handle in reversed(handles):
            system.close(handle)


def _memory(memory_mib: int) -> Iterator[str]:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            rows = [line.split() for line in file]
    except OSError:
        return
    available = next((int(row[1]) // 1024 for row in rows if row[0] == "MemAvailable:"), None)
    if available is not None and available < memory_mib:
        yield f"the VM wants {memory_mib} MiB of memory; this host has {available} MiB left"
