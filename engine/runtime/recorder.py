"""Group commit: everything that is handed in while a transaction is under way goes together into the next one.

What nobody waits for (`add`) goes along with the next thing that somebody does wait for: what a job did is on disk in one
transaction with its outcome. A kill in between takes both, and the job is done again. The order is that of the calls.

One recorder writes for one run. After a failed commit nothing more is written: the engine must stop, because what
the ledger holds is then known only to the next engine that reads it.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

from engine.errors import EngineError, StoreError
from engine.frozen import dataclass
from engine.ledger import Draft, Sealed
from engine.ledger.export import Exporter
from engine.store import Change, Store

EXPORT_EVERY_S = 1.0
LINGER_S = 0.05  #: how long what nobody waits for may wait for company
OPEN_KEY_AFTER_S = 0.25  #: it costs 30 ms of the processor, which workers that start need more


@dataclass(frozen=True, kw_only=True)
class _Request:
    drafts: Sequence[Draft]
    changes: Sequence[Change]
    checkpoint: bool
    answer: asyncio.Future[list[Sealed]] | None  #: None: nobody waits


class Recorder:
    """Writes entries and state changes of one run from the event loop, through one writing thread."""

    def __init__(self, store: Store, run: str, folder: Path) -> None:
        """Open the export of `run` in `folder`, repairing what a killed engine left of it."""
        self.store = store
        self.run = run
        self._export = Exporter(folder, lambda after: store.lines(run, after=after))
        self._exported_at = 0.0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._waiting: list[_Request] = []
        self._flusher: asyncio.Task[None] | None = None
        self._lingering: asyncio.TimerHandle | None = None
        self._broken: EngineError | None = None
        self._opening_key: asyncio.TimerHandle | None = None

    async def commit(
        self,
        drafts: Sequence[Draft],
        changes: Sequence[Change] = (),
        *,
        checkpoint: bool = False,
    ) -> list[Sealed]:
        """Return the sealed entries once they are on disk; with `checkpoint` a signed one follows them at once."""
        if self._broken is not None:
            raise self._broken
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Sealed]] = loop.create_future()
        self._waiting.append(
            _Request(drafts=drafts, changes=changes, checkpoint=checkpoint, answer=answer)
        )
        self._begin()
        return await asyncio.shield(answer)

    def add(self, drafts: Sequence[Draft], changes: Sequence[Change] = ()) -> None:
        """Have entries written with the next commit, or soon without; whoever commits next learns what went wrong."""
        if self._broken is not None:
            raise self._broken
        self._waiting.append(
            _Request(drafts=drafts, changes=changes, checkpoint=False, answer=None)
        )
        self._linger()

    def prepare_to_sign(self) -> None:
        """Have the key soon that the next checkpoint is signed with; whatever is wrong with it is said then."""
        if self._opening_key is None:
            loop = asyncio.get_running_loop()
            ask = partial(loop.run_in_executor, None, _try, self.store.signing_key)
            self._opening_key = loop.call_later(OPEN_KEY_AFTER_S, ask)

    async def sign(self, at: datetime) -> str:
        """Return `size/root` of a checkpoint that is signed and on disk: the trailer of a merge commit."""
        if self._broken is not None:
            raise self._broken
        loop = asyncio.get_running_loop()
        try:
            signed = await loop.run_in_executor(self._thread, self.store.checkpoint, self.run, at)
        except EngineError as error:
            self._broken = error
            raise
        _, size, root, *_ = signed.split("\n")
        return f"{size}/{b64decode(root).hex()}"

    async def close(self) -> None:
        """Wait for what is under way and end the writing thread."""
        if self._opening_key is not None:
            self._opening_key.cancel()
        if self._waiting and self._broken is None:
            self._begin()
        if self._flusher is not None:
            await asyncio.wait([self._flusher])
        if self._broken is None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._export.catch_up)
        self._thread.shutdown(wait=True)

    def _begin(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().create_task(self._flush())

    def _linger(self) -> None:
        if self._flusher is None and self._lingering is None:
            self._lingering = asyncio.get_running_loop().call_later(LINGER_S, self._begin)

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        is_wanted = True
        try:
            while is_wanted:
                batch, self._waiting = self._waiting, []
                drafts = [draft for request in batch for draft in request.drafts]
                changes = [change for request in batch for change in request.changes]
                checkpoint = any(request.checkpoint for request in batch)
                try:
                    sealed = await loop.run_in_executor(
                        self._thread, self._write, drafts, changes, checkpoint
                    )
                except EngineError as error:
                    self._fail(batch, error)
                    return
                except (
                    Exception
                ) as error:  # whatever broke the write, nothing may be written after it
                    self._fail(batch, StoreError(f"the ledger cannot be written: {error}"))
                    return
                self._answer(batch, sealed)
                is_wanted = any(request.answer is not None for request in self._waiting)
        finally:
            self._flusher = None
            if self._waiting:
                self._linger()

    def _write(
        self, drafts: Sequence[Draft], changes: Sequence[Change], checkpoint: bool
    ) -> list[Sealed]:
        """Commit, and let the export follow at most a second behind."""
        sealed = self.store.append(self.run, drafts, changes, checkpoint=checkpoint)
        now = time.monotonic()
        if now - self._exported_at > EXPORT_EVERY_S:
            self._export.catch_up()
            self._exported_at = now
        return sealed

    def _answer(self, batch: Sequence[_Request], sealed: Sequence[Sealed]) -> None:
        position = 0
        for request in batch:
            end = position + len(request.drafts)
            if request.answer is not None and not request.answer.done():
                request.answer.set_result(list(sealed[position:end]))
            position = end

    def _fail(self, batch: Sequence[_Request], error: EngineError) -> None:
        self._broken = error
        for request in [*batch, *self._waiting]:
            if request.answer is not None and not request.answer.done():
                request.answer.set_exception(error)
        self._waiting = []


def _try(work: Callable[[], object]) -> None:
    with suppress(EngineError):
        work()
