"""The Merkle tree over a run's entries (RFC 6962, section 2.1): roots, proofs and their check.

A leaf is SHA-256(0x00 ‖ line), a node SHA-256(0x01 ‖ left ‖ right); leaf i is the entry with seq i + 1.
The root commits to every entry. An inclusion proof shows one entry without the others; a consistency proof
shows that a later tree only appended to an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from engine.frozen import dataclass

EMPTY_ROOT: Final = sha256(b"").digest()
HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Frontier:
    """All that is needed to go on growing a tree: its size and the roots of its complete subtrees, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def grown(self, lines: Iterable[bytes]) -> Frontier:
        """Return the frontier with `lines` appended."""
        size, peaks = self.size, list(self.peaks)
        for line in lines:
            node = leaf_hash(line)
            full = size
            while full & 1:
                node = sha256(b"\x01" + peaks.pop() + node).digest()
                full >>= 1
            peaks.append(node)
            size += 1
        return Frontier(size, tuple(peaks))

    def root(self) -> bytes:
        """Return the 32-byte root of the tree."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = node_hash(peak, node)
        return node

    def to_bytes(self) -> bytes:
        """Return the peaks one after the other; with the size they are the frontier again."""
        return b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, size: int, peaks: bytes) -> Frontier:
        """Return the frontier that `to_bytes` wrote. Raises ValueError when the two do not fit together."""
        if len(peaks) != HASH_BYTES * size.bit_count():
            raise ValueError(f"{len(peaks)} bytes are no frontier of a tree of {size}")
        parts = range(0, len(peaks), HASH_BYTES)
        return cls(size, tuple(peaks[start : start + HASH_BYTES] for start in parts))


class Tree:
    """A growing tree that keeps the hashes of its perfect subtrees: proofs need no leaf to be hashed again."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]  # level k: subtrees over 2^k leaves, from the left

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash."""
        self._levels[0].append(leaf)
        level = 0
        while not len(self._levels[level]) & 1:
            if level + 1 == len(self._levels):
                self._levels.append([])
            below = self._levels[level]
            self._levels[level + 1].append(node_hash(below[-2], below[-1]))
            level += 1

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first `size` leaves, all of them without."""
        return self._subtree(0, self._within(size)) if self.size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Return what `inclusion_proof` returns for the first `size` leaves."""
        return self._path(index, 0, self._within(size))

    def consistency(self, old: int, size: int | None = None) -> list[bytes]:
        """Return what `consistency_proof` returns: the first `size` leaves continue the first `old`."""
        return self._growth(old, 0, self._within(size), whole=True)

    def _within(self, size: int | None) -> int:
        if size is not None and not 0 < size <= self.size:
            raise ValueError(f"a tree of {self.size} has no earlier tree of {size}")
        return self.size if size is None else size

    def _subtree(self, start: int, size: int) -> bytes:
        if not size & (size - 1) and not start % size:
            return self._levels[size.bit_length() - 1][start // size]
        split = _split(size)
        return node_hash(self._subtree(start, split), self._subtree(start + split, size - split))

    def _path(self, index: int, start: int, size: int) -> list[bytes]:
        if not 0 <= index < size:
            raise ValueError(f"leaf {index} is not in a tree of {size}")
        if size == 1:
            return []
        split = _split(size)
        right = (start + split, size - split)
        if index < split:
            return [*self._path(index, start, split), self._subtree(*right)]
        return [*self._path(index - split, *right), self._subtree(start, split)]

    def _growth(self, old: int, start: int, size: int, *, whole: bool) -> list[bytes]:
        if not 0 < old <= size:
            raise ValueError(f"a tree of {size} has no earlier tree of {old}")
        if old == size:
            return [] if whole else [self._subtree(start, size)]
        split = _split(size)
        right = (start + split, size - split)
        if old <= split:
            return [*self._growth(old, start, split, whole=whole), self._subtree(*right)]
        return [*self._growth(old - split, *right, whole=False), self._subtree(start, split)]


def leaf_hash(line: bytes) -> bytes:
    """Return the hash of the leaf of an entry's line."""
    return sha256(b"\x00" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes, by the definition of the standard."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return node_hash(root(leaves[:split]), root(leaves[split:]))


def inclusion_proof(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return the audit path of leaf `index` (RFC 6962, section 2.1.1), the sibling of the leaf first."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"leaf {index} is not in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(index, leaves[:split]), root(leaves[split:])]
    return [*inclusion_proof(index - split, leaves[split:]), root(leaves[:split])]


def consistency_proof(size: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return the proof that the tree over `leaves` continues its own first `size` leaves (section 2.1.2)."""
    if not 0 < size <= len(leaves):
        raise ValueError(f"a tree of {len(leaves)} has no earlier tree of {size}")
    return _subproof(size, leaves, whole=True)


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected: bytes
) -> bool:
    """Tell whether `proof` shows leaf hash `leaf` at `index` under the root of a tree of `size` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, position, last = leaf, index, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and node == expected


def verify_consistency(
    old_size: int, old_root: bytes, size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether `proof` shows that the tree of `size` only appended to that of `old_size` (RFC 9162, 2.1.4.2)."""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == new_root
    path = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not path:
        return False
    position, last = old_size - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def _subproof(size: int, leaves: Sequence[bytes], *, whole: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [root(leaves)]
    split = _split(len(leaves))
    if size <= split:
        return [*_subproof(size, leaves[:split], whole=whole), root(leaves[split:])]
    return [*_subproof(size - split, leaves[split:], whole=False), root(leaves[:split])]


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
