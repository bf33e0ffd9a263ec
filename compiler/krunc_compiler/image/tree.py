"""The tree of a root in memory: layer after layer is laid over it. No path reaches the host.

A link within the tree is followed where a layer's entry leads through it, as a file system does;
one that leads out ends at the root of the tree.
"""

from __future__ import annotations

from stat import S_IFDIR, S_ISDIR, S_ISLNK

from krunc_compiler.image.limits import Limits
from krunc_compiler.image.refusal import Refusal, shown

WHITEOUT, OPAQUE = b".wh.", b".wh..wh..opq"


class Node:
    """An inode: what one name, or several, stand for."""

    __slots__ = (
        "children", "device", "gid", "layer", "link", "links", "mode", "mtime", "nanoseconds",
        "number", "rest", "size", "start", "uid", "xattrs",
    )  # fmt: skip

    def __init__(self, mode: int, layer: int) -> None:
        self.mode, self.layer = mode, layer
        self.uid = self.gid = self.mtime = self.nanoseconds = self.size = 0
        self.device = (0, 0)
        # Where the contents are: the first of their blocks in the output, and their rest in the
        # scratch file.
        self.start = self.rest = 0
        # Known when all layers are there: the inode's place, and how many names it has.
        self.number = self.links = 0
        self.xattrs = b""
        self.link = b""
        self.children: dict[bytes, Node] | None = {} if S_ISDIR(mode) else None


class Tree:
    """A root, over which layers are laid."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._layer = 0
        self._made = 0
        # Hard links that this layer made to what may be a lower layer's.
        self._linked: set[tuple[Node, bytes]] = set()
        # Directories that have nothing of lower layers any more, so that nobody looks again.
        self._cleared: set[Node] = set()
        self.root = self.new(S_IFDIR | 0o755)

    def next_layer(self) -> None:
        """Start with the next layer: only what is there now can be whited out."""
        self._layer += 1
        self._linked.clear()
        self._cleared.clear()

    def new(self, mode: int) -> Node:
        """Make an inode of this layer."""
        self.count()
        return Node(mode, self._layer)

    def count(self) -> None:
        """Count an entry, or a directory that the layers leave out. Raises Refusal."""
        self._made += 1
        if self._made > self._limits.entries:
            raise Refusal(f"{self._made} entries", f"at most {self._limits.entries} in all layers")

    def split(self, name: bytes) -> list[bytes]:
        """Return the parts of an entry's NAME, from the root of the tree."""
        limits = self._limits
        if len(name) > limits.path:
            raise Refusal(f"a name of {len(name)} bytes", f"at most {limits.path}")
        parts = _parts(name)
        if b".." in parts:
            raise Refusal('".." in a name', "a name that leads down from the root")
        if len(parts) > limits.depth:
            raise Refusal(f"{len(parts)} directories deep", f"at most {limits.depth}")
        if any(len(part) > limits.name for part in parts):
            part = max(parts, key=len)
            raise Refusal(f"{shown(part)} has {len(part)} bytes", f"at most {limits.name}")
        return parts

    def place(self, parts: list[bytes], node: Node) -> None:
        """Put NODE where PARTS lead, in place of what is there. A directory that is there stays,
        and takes what NODE says of it."""
        if not parts:
            if node.children is None:
                raise Refusal("an entry that is not a directory, for the root", "a directory")
            _restate(self.root, node)
            return
        directory = self._directory(parts[:-1])
        children, name = directory.children, parts[-1]
        assert children is not None
        there = children.get(name)
        if there is not None and there.children is not None and node.children is not None:
            _restate(there, node)
            return
        children[name] = node
        self._linked.discard((directory, name))

    def link(self, parts: list[bytes], target: bytes) -> None:
        """Put another name of the file TARGET where PARTS lead."""
        to = self.split(target)
        above = self.find(to[:-1]) if to else None
        node = above.children.get(to[-1]) if above and above.children is not None else None
        if node is None:
            raise Refusal(
                f"a hard link to {shown(target)}, which is not there",
                "a file of this layer or one below",
            )
        if node.children is not None:
            raise Refusal(f"a hard link to {shown(target)}, a directory", "a file")
        if not parts:
            raise Refusal("a hard link for the root", "a directory")
        self.place(parts, node)
        self._linked.add((self._directory(parts[:-1]), parts[-1]))

    def white_out(self, parts: list[bytes]) -> None:
        """Remove what lower layers have where the whiteout PARTS leads."""
        name = parts[-1][len(WHITEOUT) :]
        if name in (b"", b".", b".."):
            raise Refusal(f"a whiteout of {shown(name)}", "the name of a file")
        directory = self.find(parts[:-1])
        if directory is None or directory.children is None:
            return
        if parts[-1] == OPAQUE:
            self._clear(directory)
            return
        there = directory.children.get(name)
        if there is None or (directory, name) in self._linked:
            return
        if there.layer != self._layer:
            del directory.children[name]
        elif there.children is not None:
            self._clear(there)

    def find(self, parts: list[bytes]) -> Node | None:
        """Return the node where PARTS lead, through links, or nothing."""
        way, missing = self._walk(parts)
        return None if missing else way[-1]

    def _clear(self, directory: Node) -> None:
        """Remove what lower layers have below DIRECTORY."""
        todo = [directory]
        while todo:
            directory = todo.pop()
            children = directory.children
            if directory in self._cleared or children is None:
                continue
            self._cleared.add(directory)
            for name, child in list(children.items()):
                if child.layer == self._layer and child.children is not None:
                    todo.append(child)
                elif child.layer != self._layer and (directory, name) not in self._linked:
                    del children[name]

    def _directory(self, parts: list[bytes]) -> Node:
        """Return the directory where PARTS lead, which is made where it is not there."""
        limits = self._limits
        way, missing = self._walk(parts)
        directory = way[-1]
        if directory.children is None:
            raise Refusal("a name below what is not a directory", "a directory there")
        if len(way) + len(missing) > limits.depth + 1:
            raise Refusal("a link that leads too deep", f"at most {limits.depth} directories")
        for node in way:
            node.layer = self._layer
        for part in missing:
            if len(part) > limits.name:
                raise Refusal(f"a link to {shown(part)}", f"names of at most {limits.name} bytes")
            below = self.new(S_IFDIR | 0o755)
            assert directory.children is not None
            directory.children[part] = below
            directory = below
        return directory

    def _walk(self, parts: list[bytes]) -> tuple[list[Node], list[bytes]]:
        """Return the nodes on the way where PARTS lead, and those parts that are not there."""
        limits = self._limits
        way = [self.root]
        missing: list[bytes] = []
        todo = parts[::-1]
        links, steps = 0, len(todo)
        while todo:
            part, children = todo.pop(), way[-1].children
            child = None if missing or children is None else children.get(part)
            if part == b"..":  # of a link's target
                if missing:
                    missing.pop()
                elif len(way) > 1:
                    way.pop()
            elif child is None:
                missing.append(part)
            elif S_ISLNK(child.mode):
                links += 1
                if child.link.startswith(b"/"):
                    del way[1:]
                target = _parts(child.link)
                steps += len(target)
                todo.extend(reversed(target))
            else:
                way.append(child)
            if links > limits.links_followed or steps > limits.steps:
                raise Refusal(
                    f"a way over {links} links and {steps} names",
                    f"at most {limits.links_followed} and {limits.steps}",
                )
        return way, missing


def _parts(name: bytes) -> list[bytes]:
    return [part for part in name.split(b"/") if part not in (b"", b".")]


def _restate(there: Node, said: Node) -> None:
    """Give the directory THERE what SAID says of it."""
    there.mode, there.layer, there.xattrs = said.mode, said.layer, said.xattrs
    there.uid, there.gid = said.uid, said.gid
    there.mtime, there.nanoseconds = said.mtime, said.nanoseconds
