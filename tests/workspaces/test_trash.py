"""The trash: what is taken is gone at once, and deleted when no more files are wanted, or the disk is nearly full."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.workspaces import trash as module
from engine.workspaces.trash import LATER, Trash


def filled(home: Path, name: str) -> Path:
    folder = home / "checkouts" / name
    folder.mkdir(parents=True)
    (folder / "file").write_text("x")
    return folder


def waiting(home: Path) -> int:
    return len(list((home / "trash").iterdir()))


def test_what_is_taken_waits_until_no_more_files_are_wanted(tmp_path: Path) -> None:
    trash = Trash(tmp_path)
    folders = [filled(tmp_path, str(number)) for number in range(3)]
    for folder in folders:
        trash.take(folder)
    assert ([folder.exists() for folder in folders], waiting(tmp_path)) == ([False] * 3, 3)
    trash.begin()
    trash.close()
    assert waiting(tmp_path) == 0


def test_no_more_than_a_few_wait(tmp_path: Path) -> None:
    trash = Trash(tmp_path)
    for number in range(LATER + 5):
        trash.take(filled(tmp_path, str(number)))
    trash.close()  # what was begun is deleted, the last ones are left to the next start
    assert waiting(tmp_path) == LATER


def test_on_a_disk_that_is_nearly_full_none_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(total=100, free=10)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    trash = Trash(tmp_path)
    trash.take(filled(tmp_path, "1"))
    trash.close()
    assert waiting(tmp_path) == 0


def locked(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_text("x")
    (folder / "inner").chmod(0o500)
    folder.chmod(0o500)


@pytest.mark.parametrize("path", [None, "/nonexistent"], ids=["with rm", "without"])
def test_folders_that_forbid_it_are_deleted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
    if path:
        monkeypatch.setenv("PATH", path)
    trash = Trash(tmp_path)
    folder = filled(tmp_path, "1")
    trash.take(folder)
    locked(next((tmp_path / "trash").glob("*/it")))
    trash.empty()
    trash.close()
    assert waiting(tmp_path) == 0


def test_what_a_planted_link_leads_to_is_left_alone(tmp_path: Path) -> None:
    elsewhere = filled(tmp_path / "elsewhere", "1").parent
    home = tmp_path / "home"
    home.mkdir()
    (home / "checkouts").symlink_to(elsewhere)
    trash = Trash(home)
    trash.take(home / "checkouts" / "1")
    trash.empty()
    trash.close()
    assert ((elsewhere / "1" / "file").read_text(), (home / "checkouts").exists()) == ("x", False)
