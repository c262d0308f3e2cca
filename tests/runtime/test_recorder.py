"""The recorder: the key is ready before it is wanted, and nothing is left to do after the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.ledger.checkpoints import KEY_FILE
from engine.runtime import recorder as module
from engine.runtime.recorder import Recorder
from engine.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "engine.db", home=tmp_path, create=True) as opened:
        now = datetime(2026, 11, 21, tzinfo=UTC)
        opened.create_run("r1", feature="shop", bundle="0" * 64, at=now)
        yield opened


def played(store: Store, folder: Path, *, wait_s: float) -> list[object]:
    """Prepare to sign, close after `wait_s`, and return what went wrong in the event loop meanwhile and later."""
    wrong: list[object] = []

    async def play() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: wrong.append(told))
        recorder = Recorder(store, "r1", folder)
        recorder.prepare_to_sign()
        recorder.prepare_to_sign()  # of each worker that starts
        await asyncio.sleep(wait_s)
        await recorder.close()
        await asyncio.get_running_loop().shutdown_default_executor()  # as asyncio.run does
        await asyncio.sleep(0.05)

    asyncio.run(play())
    return wrong


def test_the_key_is_ready_soon(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN_KEY_AFTER_S", 0.001)
    assert played(store, tmp_path / "export", wait_s=0.05) == []
    assert (tmp_path / KEY_FILE).is_file()


def test_after_the_end_nothing_is_begun(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN_KEY_AFTER_S", 0.02)
    assert played(store, tmp_path / "export", wait_s=0) == []
    assert not (tmp_path / KEY_FILE).exists()


def test_a_key_that_cannot_be_read_is_told_when_it_is_wanted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN_KEY_AFTER_S", 0.001)
    (tmp_path / KEY_FILE).mkdir(parents=True)
    assert played(store, tmp_path / "export", wait_s=0.05) == []
