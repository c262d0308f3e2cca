"""Rules about names, links and declarations."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.workspaces import paths


@pytest.mark.parametrize(
    "path",
    [
        b".git/config",
        b".GIT/config",
        b"a/.Git/hooks/x",
        b".git",
        b".git./x",
        b".git /x",
        b".git::$INDEX_ALLOCATION/x",
        b"git~1/x",
        b"GIT~1",
        b"a\\.git\\config",
        ".g\u200cit/config".encode(),
        ".git\ufeff/config".encode(),
        b"tab\there",
        b"new\nline",
        b"bell\x07",
        b"delete\x7f",
        "right\u202eto left".encode(),
        "c1\u0085".encode(),
        b"not utf-8 \xff",
        b"/absolute",
        b"a//b",
        b"../up",
        b"a/../b",
        b"./a",
    ],
)
def test_odd_names(path: bytes) -> None:
    assert paths.odd_name(path) is not None


@pytest.mark.parametrize(
    "path",
    [
        "src/app.py",
        ".github/workflows/ci.yml",
        ".gitignore",
        ".gitkeep",
        "git/x",
        "digit~1",
        "git~x",
        "naïve/日本語.txt",
        "with space",
        "emoji 🎉",
        "a\\b",
        "-dash",
        "...",
        "vendor/",
    ],
)
def test_ordinary_names(path: str) -> None:
    assert paths.odd_name(path.encode()) is None


def test_one_sentence_covers_all_below_an_odd_folder() -> None:
    assert paths.odd_prefix(b"a/.GIT/hooks/pre-commit") == b"a/.GIT"
    assert paths.odd_prefix(b"a/bad\nname") == b"a/bad\nname"


@pytest.mark.parametrize(
    ("path", "is_control"),
    [
        (".gitattributes", True),
        ("deep/down/.gitattributes", True),
        (".GitModules", True),
        (".gitmodules.", True),
        ("gitmod~1", True),
        (".lfsconfig", True),
        (".gitignore", False),
        ("gitattributes", False),
        ("x.gitattributes", False),
    ],
)
def test_control_files(path: str, is_control: bool) -> None:
    assert paths.is_control_file(path) is is_control


@pytest.mark.parametrize(
    ("path", "target", "leaves"),
    [
        ("link", "file", False),
        ("link", "./deep/file", False),
        ("a/b/link", "../../file", False),
        ("link", ".", False),
        ("link", "..", True),
        ("a/link", "..", False),
        ("a/link", "../..", True),
        ("link", "/etc/passwd", True),
        ("link", "//etc", True),
        ("link", "other-link/..", True),
        ("a/b/link", "x/../y", True),
        ("link", ".git/config", True),
        ("a/link", "../.GIT", True),
        ("link", "sub/git~1", True),
    ],
)
def test_links_that_leave(path: str, target: str, leaves: bool) -> None:
    assert paths.leaves_tree(path, target) is leaves


@given(
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=4).map("/".join),
    st.lists(st.sampled_from(["a", "b", "..", "."]), min_size=1, max_size=6).map("/".join),
)
def test_a_link_that_is_allowed_never_resolves_above_the_root(path: str, target: str) -> None:
    if not paths.leaves_tree(path, target):
        meant = os.path.normpath(PurePosixPath("root", path).parent / target)
        assert meant.split("/")[0] == "root"


def test_a_path_is_printed_without_what_a_terminal_would_obey() -> None:
    assert paths.shown(b"\x1b[31mred\xff\n") == "\\u001b[31mred\\xff\\u000a"
