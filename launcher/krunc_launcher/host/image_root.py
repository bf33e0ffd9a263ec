"""The root of an image as its guest sees it: of the file in the store the few bytes are read that
tell whether a program can be started. A stranger may have made it: each number is bounded.

The format is that of Linux' fs/erofs/erofs_fs.h, as far as krunc pull writes it.
"""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.host.executable import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Its mode and size, the place of its whole blocks, how many bytes these have, and the place of
    # the rest.
    Inode = tuple[int, int, int, int, int]

_ELOOP = 40  # asm-generic/errno.h
_MAGIC = 0xE0F5E1E2
_BLOCK, _INODE, _SLOT, _NAME = 4096, 64, 32, 12
_PLAIN, _INLINE = 1, 5  # an inode of 64 bytes; with the rest of its contents behind it
_DIRECTORY, _LINK = 0o04, 0o12  # the upper bits of a mode, inode(7)
_MOST_BLOCKS = 1 << 16  # of a directory
_MOST_LINK = 4096
_UNTOLD = "it is not what krunc pull writes"


class ImageRoot(Root):
    """The image that is open as HANDLE, as the guest sees it but for what lies at or below the
    paths HIDDEN. Raises OSError where it is not one that krunc pull writes."""

    __slots__ = ("_first", "_seen")

    def __init__(self, handle: int, hidden: set[str]) -> None:
        super().__init__(handle, hidden)
        head = system.pread(handle, 128, 1024)
        features = _number(head, 80, 4)
        if len(head) < 128 or _number(head, 0, 4) != _MAGIC or head[12] != 12 or features:
            raise OSError(_UNTOLD)
        self._first = _number(head, 40, 4) * _BLOCK
        # By their paths; that of the root is empty.
        self._seen = {"": self._inode(_number(head, 14, 2))}

    def _look(self, path: str, how: int) -> tuple[int, str]:
        inode = self._inode_of(path)
        if not system.S_ISLNK(inode[0]):
            return inode[0], ""
        if not 0 < inode[1] <= _MOST_LINK:
            raise OSError(_UNTOLD)
        return inode[0], system.fsdecode(self._contents(inode, inode[1], 0))

    def _read(self, path: str, size: int, at: int) -> bytes:
        inode = self._inode_of(path)
        return self._contents(inode, max(0, min(size, inode[1] - at)), at)

    def _inode_of(self, path: str) -> Inode:
        """Return what is at PATH. Raises FileNotFoundError, and OSError, of _ELOOP where a link is
        on the way."""
        if path in self._seen:
            return self._seen[path]
        here, _, last = path.rpartition("/")
        names = [last]
        if here not in self._seen:
            here, names = "", path.split("/")
        inode = self._seen[here]
        for name in names:
            if name in ("", "."):
                continue
            if inode[0] >> 12 == _LINK:
                raise OSError(_ELOOP, system.strerror(_ELOOP))
            if inode[0] >> 12 != _DIRECTORY:
                raise FileNotFoundError
            here = f"{here}/{name}"
            if here not in self._seen:
                self._seen[here] = self._inode(self._number_of(inode, system.fsencode(name)))
            inode = self._seen[here]
        return inode

    def _inode(self, number: int) -> Inode:
        if number >> 40:
            raise OSError(_UNTOLD)
        at = self._first + number * _SLOT
        data = system.pread(self._handle, _INODE, at)
        # All at once: a launch has few instructions.
        fields = int.from_bytes(data, "little")
        form, attributes = fields & 0xFFFF, fields >> 16 & 0xFFFF
        size = fields >> 64 & 0xFFFFFFFFFFFFFFFF
        if len(data) < _INODE or form not in (_PLAIN, _INLINE) or size >> 40:
            raise OSError(_UNTOLD)
        behind = at + _INODE + (attributes * 4 + 8 if attributes else 0)
        whole = size if form == _PLAIN else size // _BLOCK * _BLOCK
        return fields >> 32 & 0xFFFF, size, (fields >> 128 & 0xFFFFFFFF) * _BLOCK, whole, behind

    def _number_of(self, directory: Inode, name: bytes) -> int:
        """Return the number of what NAME is in DIRECTORY, whose names are sorted. Raises
        FileNotFoundError, and OSError."""
        low, high = 0, -(-directory[1] // _BLOCK)
        if high > _MOST_BLOCKS:
            raise OSError(_UNTOLD)
        while low < high:
            middle = (low + high) // 2
            at = middle * _BLOCK
            block = self._contents(directory, min(_BLOCK, directory[1] - at), at)
            number, side = _found(block, name)
            if not side:
                return number
            if side < 0:
                high = middle
            else:
                low = middle + 1
        raise FileNotFoundError

    def _contents(self, inode: Inode, size: int, at: int) -> bytes:
        """Return SIZE bytes of INODE from AT on, which it has."""
        _, _, start, whole, behind = inode
        before = max(0, min(size, whole - at))
        data = system.pread(self._handle, before, start + at) if before else b""
        if before < size:
            data += system.pread(self._handle, size - before, behind + max(0, at - whole))
        if len(data) != size:
            raise OSError(_UNTOLD)
        return data


def _found(block: bytes, name: bytes) -> tuple[int, int]:
    """Return the number of what NAME is in BLOCK of a directory, and 0; or on which side of BLOCK
    it would be. Raises FileNotFoundError where it would be within."""
    count = _number(block, 8, 2) // _NAME
    if not 0 < count <= len(block) // _NAME:
        raise OSError(_UNTOLD)
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        at = middle * _NAME
        start, end = block[at + 8] | block[at + 9] << 8, len(block)
        if middle + 1 < count:
            end = block[at + 20] | block[at + 21] << 8
        found = block[start:end].rstrip(b"\0")
        if found == name:
            return _number(block, at, 8), 0
        if found < name:
            low = middle + 1
        else:
            high = middle
    if 0 < low < count:
        raise FileNotFoundError
    return 0, 1 if low else -1


def _number(data: bytes, at: int, width: int) -> int:
    return int.from_bytes(data[at : at + width], "little")
