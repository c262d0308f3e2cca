"""Changes that cannot meet, put together without git's merge.

When every source changes other paths of one base and none deletes anything, the merge is the base with all the changes:
there is nothing to merge in any file, and git-merge-tree(1) finds renames only where something is gone. It gives the same
tree, with two processes for each source. Whatever is not as plain as that is left to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from engine.git import TreeChange

Entry = tuple[str, str]  #: mode and id
_TREE, _SUBMODULE = "040000", "160000"


def joined(sources: Sequence[Sequence[TreeChange]]) -> list[TreeChange] | None:
    """Return the changes of all sources together; None when git has to merge them."""
    together = [change for source in sources for change in source]
    if any(change.status == "D" or change.mode == _SUBMODULE for change in together):
        return None
    paths = {change.path for change in together}
    folders = {folder for path in paths for folder in _folders(path)}
    is_apart = len(paths) == len(together) and not paths & folders
    return together if is_apart else None


def with_changes(
    tree: str | None,
    changes: Iterable[TreeChange],
    read: Callable[[str], Mapping[bytes, Entry]],
    make: Callable[[Iterable[tuple[str, str, bytes]]], str],
) -> str:
    """Return the tree `tree` (None: a new folder) with `changes` in it, of which there is at least one.

    `read` gives the entries of a tree, `make` writes one from (mode, id, name).
    """
    entries = dict(read(tree)) if tree else {}
    below: dict[bytes, list[TreeChange]] = defaultdict(list)
    for change in changes:
        name, slash, rest = change.path.partition(b"/")
        if slash:
            below[name].append(replace(change, path=rest))
        else:
            entries[name] = change.mode, change.oid
    for name, inside in below.items():
        mode, oid = entries.get(name, (_TREE, None))
        entries[name] = _TREE, with_changes(oid if mode == _TREE else None, inside, read, make)
    return make((mode, oid, name) for name, (mode, oid) in entries.items())


def _folders(path: bytes) -> Iterable[bytes]:
    while (end := path.rfind(b"/")) >= 0:
        path = path[:end]
        yield path
