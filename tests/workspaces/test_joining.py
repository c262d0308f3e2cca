"""Putting changes together without git's merge: only where git would make the same tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from engine.git import Git, TreeChange
from engine.workspaces.joining import joined
from engine.workspaces.model import Provenance
from engine.workspaces.vault import Vault
from tests.depth import examples

AT = Provenance(message="x", trailers={}, at=datetime(2026, 1, 1, tzinfo=UTC))
Files = Mapping[str, str]


def change(path: str, status: str = "A", mode: str = "100644") -> TreeChange:
    return TreeChange(path=path.encode(), status=status, mode=mode, oid="1" * 40)


@pytest.mark.parametrize(
    ("sources", "is_plain"),
    [
        ([["a"], ["b"]], True),
        ([["a/x"], ["a/y", "b"]], True),
        ([["a"], ["a"]], False),  # one path twice
        ([["a"], ["a/x"]], False),  # a file, and a folder of that name
        ([["a/b"], ["a/b/c/d"]], False),
        ([["a/b"], ["a/bc"], ["a/b.c"]], True),  # names that only begin alike
        ([[], ["a"]], True),
    ],
)
def test_changes_are_apart_when_no_path_is_another_or_its_folder(
    sources: list[list[str]], is_plain: bool
) -> None:
    changes = [[change(path) for path in source] for source in sources]
    together = [one for source in changes for one in source]
    assert joined(changes) == (together if is_plain else None)


@pytest.mark.parametrize(
    "other", [change("b", status="D", mode="000000"), change("b", mode="160000")]
)
def test_where_something_is_gone_or_a_repository_git_merges(other: TreeChange) -> None:
    assert joined([[change("a")], [other]]) is None


NAMES = st.sampled_from(["a", "b", "c.d", "é"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TEXTS = st.sampled_from(["1\n2\n3\n", "1\n2\n3\n4\n", "other\n", ""])
CHANGES = st.dictionaries(PATHS, st.none() | TEXTS, min_size=1, max_size=4)  # None: deleted


@given(
    base=st.dictionaries(PATHS, TEXTS, max_size=8),
    edits=st.lists(CHANGES, min_size=1, max_size=3),
)
@settings(max_examples=examples(300), deadline=None)
def test_the_tree_is_that_of_a_merge_by_git(
    vault: Vault, base: Files, edits: list[dict[str, str | None]]
) -> None:
    old = commit(vault, without_clashes(base), ())
    sources = list(dict.fromkeys(commit(vault, edited(base, edit), (old,)) for edit in edits))
    tree = vault._joined(old, sources)
    event("plain" if tree else "left to git")
    if tree is not None:
        assert tree == vault._merge_one_by_one(old, sources, AT)


# --- trees --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """One for all examples: objects are only added."""
    made = Vault(Git(), tmp_path_factory.mktemp("vault") / "vault.git", "sha1")
    yield made
    made.close()


def without_clashes(files: Files) -> Files:
    """Leave out a file where a folder of that name is wanted."""
    return {p: t for p, t in files.items() if not any(q.startswith(f"{p}/") for q in files)}


def edited(base: Files, edit: Mapping[str, str | None]) -> Files:
    after = {**without_clashes(base), **edit}
    return without_clashes({path: text for path, text in after.items() if text is not None})


def commit(vault: Vault, files: Files, parents: tuple[str, ...]) -> str:
    return vault.commit(tree_of(vault, files), parents, AT)


def tree_of(vault: Vault, files: Files) -> str:
    return vault._tree_maker.make(entries(vault, files))


def entries(vault: Vault, files: Files) -> Iterator[tuple[str, str, bytes]]:
    for name in {path.partition("/")[0] for path in files}:
        if name in files:
            oid = vault.git.run(
                "hash-object", "-w", "--stdin", at=vault.place, stdin=files[name].encode()
            )
            yield "100644", oid.text, name.encode()
        else:
            inside = {p.partition("/")[2]: t for p, t in files.items() if p.startswith(f"{name}/")}
            yield "040000", tree_of(vault, inside), name.encode()
