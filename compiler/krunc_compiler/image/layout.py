"""How the contents of an inode are divided: whole blocks, and a rest behind the inode."""

from __future__ import annotations

from krunc_compiler.image.tree import Node

BLOCK = 4096
INODE = 64  # an extended one: 32 bits for owners, a time with nanoseconds


def rest(node: Node) -> int:
    """Return how many bytes of NODE's contents stand behind it: what its whole blocks leave, where
    one block holds it with the inode and its attributes."""
    left = node.size % BLOCK
    return left if INODE + len(node.xattrs) + left <= BLOCK else 0


def blocks(node: Node) -> int:
    """Return how many blocks NODE has of its own."""
    return -(-(node.size - rest(node)) // BLOCK)


class Slots:
    """Places for inodes: each with what is behind it in one block, where that can be."""

    SIZE = 32  # the number of an inode counts these
    _IN_BLOCK = BLOCK // SIZE

    def __init__(self) -> None:
        self._blocks = 1
        # For each number of slots that a block can have left: where they start. Number 0 stays
        # free, since no inode may have it.
        self._left: list[list[int]] = [[] for _ in range(self._IN_BLOCK)]
        self._left[-1].append(1)
        self._any = 1 << (self._IN_BLOCK - 1)  # a bit for each of those lists that has some

    def take(self, length: int) -> int:
        """Return the slot where LENGTH bytes go: the smallest place that holds them."""
        wanted = -(-length // self.SIZE)
        fitting = self._any >> wanted << wanted
        if fitting:
            left = (fitting & -fitting).bit_length() - 1
            start = self._left[left].pop()
            if not self._left[left]:
                self._any ^= 1 << left
        else:
            start = self._blocks * self._IN_BLOCK
            new = -(-wanted // self._IN_BLOCK)
            self._blocks += new
            left = new * self._IN_BLOCK
        if left > wanted:
            self._left[left - wanted].append(start + wanted)
            self._any |= 1 << (left - wanted)
        return start
