"""The only place where git runs: single commands (`running`), and processes that are asked again and again."""

from __future__ import annotations

from engine.git.conversations import (
    COMMIT_DRAFT,
    CommitWriter,
    GitObject,
    ObjectReader,
    RefMaker,
    TreeChange,
    TreeDiffer,
    TreeMaker,
    read_tree,
)
from engine.git.running import (
    COMMANDS,
    IDENTITY,
    OLDEST_GIT,
    Git,
    Place,
    Result,
    check_name,
    check_oid,
    seconds,
)

__all__ = [
    "COMMANDS",
    "COMMIT_DRAFT",
    "IDENTITY",
    "OLDEST_GIT",
    "CommitWriter",
    "Git",
    "GitObject",
    "ObjectReader",
    "Place",
    "RefMaker",
    "Result",
    "TreeChange",
    "TreeDiffer",
    "TreeMaker",
    "check_name",
    "check_oid",
    "read_tree",
    "seconds",
]
