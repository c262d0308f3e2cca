"""The recorder: what goes together into one transaction, the key before it is wanted, and nothing left to do after the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from engine.errors import StoreError
from engine.ledger import Draft, EntryType, note
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


def a_note(text: str) -> Draft:
    return note(
        EntryType.RECOVERY_ACTION, datetime(2026, 11, 21, tzinfo=UTC), {"action": "x"}, task=text
    )


def transactions(store: Store) -> list[list[str]]:
    """Note what is written together from now on."""
    written: list[list[str]] = []
    append = store.append

    def noted(run: str, drafts: Sequence[Draft], *more: object, **named: object) -> object:
        written.append([draft.task for draft in drafts])
        return append(run, drafts, *more, **named)  # type: ignore[arg-type]  # passed through

    store.append = noted  # type: ignore[assignment,method-assign]  # counts
    return written


def recorded(store: Store) -> list[str]:
    return [entry.task for entry in store.entries("r1", types=(EntryType.RECOVERY_ACTION,))]


Play = Callable[[Recorder], Awaitable[object]]


async def with_company(recorder: Recorder) -> None:
    recorder.add([a_note("one")])
    recorder.add([a_note("two")])
    await recorder.commit([a_note("three")])


async def alone(recorder: Recorder) -> None:
    recorder.add([a_note("one")])
    await asyncio.sleep(0.05)
    recorder.add([a_note("two")])
    await asyncio.sleep(0.05)
    recorder.add([a_note("three")])


async def while_another_is_written(recorder: Recorder) -> None:
    first = asyncio.create_task(recorder.commit([a_note("one")]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it is being written
    recorder.add([a_note("two")])
    await first
    await recorder.commit([a_note("three")])


@pytest.mark.parametrize(
    ("play", "together"),
    [
        pytest.param(with_company, [["one", "two", "three"]], id="with what somebody waits for"),
        pytest.param(alone, [["one"], ["two"], ["three"]], id="alone soon, or at the end"),
        pytest.param(while_another_is_written, [["one"], ["two", "three"]], id="behind another"),
    ],
)
def test_what_nobody_waits_for_goes_along(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    play: Play,
    together: list[list[str]],
) -> None:
    monkeypatch.setattr(module, "LINGER_S", 0.01)
    written = transactions(store)

    async def run() -> None:
        recorder = Recorder(store, "r1", tmp_path / "export")
        await play(recorder)
        await recorder.close()

    asyncio.run(run())
    assert written == together
    assert recorded(store) == ["one", "two", "three"]


def test_what_went_wrong_is_told_to_who_comes_next(store: Store, tmp_path: Path) -> None:
    def broken(*_: object, **__: object) -> NoReturn:
        raise StoreError("the disk is full")

    store.append = broken  # type: ignore[method-assign]  # as a full disk

    async def run() -> None:
        recorder = Recorder(store, "r1", tmp_path / "export")
        recorder.add([a_note("one")])
        with pytest.raises(StoreError, match="the disk is full"):
            await recorder.commit([a_note("two")])
        with pytest.raises(StoreError, match="the disk is full"):
            recorder.add([a_note("three")])
        await recorder.close()

    asyncio.run(run())
    assert recorded(store) == []


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
