"""A process between a VM and an old passt, which drops what the guest sends to the host's loopback.

A passt from before 2024-07 connects to 127.0.0.1 or 0.0.0.0 when root of the guest puts that
address into a packet, whatever its options say (seen with Debian 12's in tests/boot/test_boot.py;
fixed in its commits f15be71 and a45a7e9). Other programs of a VM's frames are not looked at.
"""

from __future__ import annotations

from _thread import start_new_thread

from krunc_launcher import system
from krunc_launcher.errors import NOT_STARTED
from krunc_launcher.host.landlock import missing
from krunc_launcher.paths import Directories
from krunc_launcher.vm.confine import confine
from krunc_launcher.vm.strip import drop_capabilities, wipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.resolve.operation import Operation

# An option that came with 2024_08_21, after the last of what makes the relay needless.
_NEW = b"map-host-loopback"
_HEAD = 4  # the length before each frame, in network order
# What a frame holds at most: Ethernet's own 14 bytes, 65535 of IP, and a little.
_MOST_FRAME = 1 << 17
_BUFFER = 1 << 18
# Where in a frame its type stands, and in one of IPv4 where it goes.
_TYPE, _TO, _LEAST_IPV4 = 12, 30, 34
_THIS_HOST = (0, 127)  # 0.0.0.0/8 and 127.0.0.0/8


def needed(program: str, step: Operation) -> bool:
    """Tell whether PROGRAM, the passt of STEP, has to be kept from the host's loopback. What is not
    known to be new is old. Raises OSError."""
    if step.argument("host_loopback"):
        return False
    with open(program, "rb") as file:
        return _NEW not in file.read()


def run(guest: int, passt: int) -> None:
    """Pass frames on between the sockets GUEST and PASST until one of them is closed, confined as a
    VM that has nothing of the host where the kernel can do that."""
    drop_capabilities([])
    wipe()
    if not missing([]):
        confine([], Directories("/", "/"))
    start_new_thread(_copy, (passt, guest))
    try:
        _pick(guest, passt)
    except OSError:
        pass  # one of the two has ended
    system._exit(0)


def _copy(source: int, target: int) -> None:
    buffer = bytearray(_BUFFER)
    view = memoryview(buffer)
    try:
        while size := system.readv(source, [view]):
            system.write_all(target, view[:size])
    except OSError:
        pass  # one of the two has ended
    system._exit(0)


def _pick(source: int, target: int) -> None:
    """Pass on the frames of SOURCE that are not for this host itself."""
    buffer = bytearray(_BUFFER)
    view = memoryview(buffer)
    have = 0
    while more := system.readv(source, [view[have:]]):
        have += more
        kept = at = 0
        while have - at >= _HEAD:
            size = int.from_bytes(view[at : at + _HEAD], "big")
            if size > _MOST_FRAME:
                system._exit(NOT_STARTED)  # no frame, and nobody knows where the next one starts
            end = at + _HEAD + size
            if end > have:
                break
            if not passes(view[at + _HEAD : end]):
                system.write_all(target, view[kept:at])
                kept = end
            at = end
        system.write_all(target, view[kept:at])
        buffer[: have - at] = buffer[at:have]
        have -= at


def passes(frame: memoryview) -> bool:
    """Tell whether FRAME is one of ARP, or one of IPv4 that goes to another host than this."""
    kind = bytes(frame[_TYPE : _TYPE + 2])
    if kind == b"\x08\x06":
        return True
    return kind == b"\x08\x00" and len(frame) >= _LEAST_IPV4 and frame[_TO] not in _THIS_HOST
