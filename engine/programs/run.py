"""Run one program to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from engine.programs import proc
from engine.programs.program import Program, ProgramOutcome, State, StreamName
from engine.programs.streams import Capture
from engine.programs.supervisor import Child, Supervisor, supervisor

_CHUNK = 65536
_HOUSEKEEPING_S = 1.0
_LAST_BYTES = 1024 * 1024  # a pipe holds no more, so this much is read after the end at most
_KILL_WAIT_S = 5.0


async def run_program(program: Program) -> ProgramOutcome:
    """Return how `program` ended, after every process of it is gone.

    Never raises for what the program does. When the calling task is cancelled, the program is ended first and
    CancelledError is raised again; use `Program.stop` to end it and keep the outcome. What `on_output`
    and `on_start` raise ends the program and is raised again.
    """
    started = time.monotonic()
    office = supervisor()
    try:
        child = office.start(program)
    except (OSError, ValueError) as error:
        return ProgramOutcome(state="not_started", reason=_why_not(error, program))
    run = _Run(program, child, office)
    try:
        outcome = await run.to_the_end()
    finally:
        run.close()
    return replace(outcome, seconds=time.monotonic() - started)


class _Run:
    """One running program: its streams, its deadlines and how it ends."""

    def __init__(self, program: Program, child: Child, office: Supervisor) -> None:
        self._program = program
        self._child = child
        self._office = office
        self._loop = asyncio.get_running_loop()
        self._decided: asyncio.Future[State] = self._loop.create_future()
        self._exited = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._last_output = self._loop.time()
        self._strays = 0
        self._exit_fd = -1
        out, err = child.process.stdout, child.process.stderr
        assert out is not None  # a pipe, as the next one
        assert err is not None
        self._streams = [
            _Stream("stdout", out.fileno(), program),
            _Stream("stderr", err.fileno(), program),
        ]

    async def to_the_end(self) -> ProgramOutcome:
        """Watch the program, end it when it must end, and return the outcome."""
        self._watch()
        if self._program.on_start:
            found = proc.identify(self._child.pid, self._program.key)
            self._program.on_start(replace(found, program=self._child.program))
        state = await self._decided
        if state != "exited":
            await self._stop(force=state == "flooded")
        self._strays = self._office.end(self._child)
        for stream in self._streams:
            stream.drain()
        return self._outcome(state)

    def close(self) -> None:
        """Leave nothing behind, whatever happened before."""
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._office.end(self._child)
        for stream in self._streams:
            self._loop.remove_reader(stream.fd)
        self._forget_exit_fd()
        self._close_input()
        for pipe in (self._child.process.stdout, self._child.process.stderr):
            if pipe:
                pipe.close()

    def _watch(self) -> None:
        for stream in self._streams:
            os.set_blocking(stream.fd, False)
            self._loop.add_reader(stream.fd, self._guarded(partial(self._read, stream)))
        self._watch_exit()
        if self._program.stdin is not None:
            self._feed_input(self._program.stdin)
        self._after(self._program.timeout_s, lambda: self._decide("timed_out"))
        self._after(_HOUSEKEEPING_S, self._keep_house)
        if self._program.silence_s is not None:
            self._after(self._program.silence_s, self._check_silence)
        if self._program.stop is not None:
            self._tasks.append(self._loop.create_task(self._await_stop(self._program.stop)))

    def _decide(self, state: State) -> None:
        if not self._decided.done():
            self._decided.set_result(state)

    def _guarded(self, step: Callable[[], None]) -> Callable[[], None]:
        """Return `step` with what it raises handed to the waiting coroutine; the loop would only log it."""

        def run() -> None:
            try:
                step()
            except Exception as error:
                if not self._decided.done():
                    self._decided.set_exception(error)

        return run

    def _after(self, delay_s: float, step: Callable[[], None]) -> None:
        self._timers.append(self._loop.call_later(delay_s, self._guarded(step)))

    # --- streams

    def _read(self, stream: _Stream) -> None:
        size = stream.read()
        if size == 0:
            self._loop.remove_reader(stream.fd)
        self._last_output = self._loop.time()
        if sum(s.capture.size_bytes for s in self._streams) > self._program.flood_bytes:
            self._decide("flooded")

    def _feed_input(self, text: bytes) -> None:
        pipe = self._child.process.stdin
        assert pipe is not None  # stdin was given
        fd = pipe.fileno()
        os.set_blocking(fd, False)
        rest = memoryview(text)

        def write() -> None:
            nonlocal rest
            try:
                rest = rest[os.write(fd, rest[:_CHUNK]) :] if rest else rest
            except BlockingIOError:
                return
            except OSError:  # it closed its input: that is its right
                rest = rest[:0]
            if not rest:
                self._close_input()

        self._loop.add_writer(fd, write)

    def _close_input(self) -> None:
        pipe = self._child.process.stdin
        if pipe and not pipe.closed:
            self._loop.remove_writer(pipe.fileno())
            with contextlib.suppress(OSError):
                pipe.close()

    # --- the end

    def _watch_exit(self) -> None:
        if hasattr(os, "pidfd_open"):
            self._exit_fd = os.pidfd_open(self._child.pid)
            self._loop.add_reader(self._exit_fd, self._note_exit)
        else:  # macOS: a thread waits
            self._tasks.append(self._loop.create_task(self._wait_in_thread()))

    async def _wait_in_thread(self) -> None:
        await asyncio.to_thread(self._child.process.wait)
        self._note_exit()

    def _note_exit(self) -> None:
        self._forget_exit_fd()
        self._exited.set()
        self._decide("exited")

    def _forget_exit_fd(self) -> None:
        if self._exit_fd >= 0:
            self._loop.remove_reader(self._exit_fd)
            os.close(self._exit_fd)
            self._exit_fd = -1

    async def _await_stop(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._decide("cancelled")

    def _check_silence(self) -> None:
        assert self._program.silence_s is not None  # else no timer was set
        left = self._last_output + self._program.silence_s - self._loop.time()
        if left <= 0:
            self._decide("silent")
        else:
            self._after(left, self._check_silence)

    def _keep_house(self) -> None:
        self._timers = [t for t in self._timers if t.when() > self._loop.time()]
        self._office.collect_orphans(self._child)
        self._after(_HOUSEKEEPING_S, self._keep_house)

    async def _stop(self, *, force: bool) -> None:
        """Ask the group to end, and make it end after the grace time."""
        if not force:
            self._office.signal(self._child, signal.SIGTERM)
            self._office.signal(self._child, signal.SIGCONT)
            if await self._exits_within(self._program.grace_s):
                return
        self._office.signal(self._child, signal.SIGKILL)
        await self._exits_within(_KILL_WAIT_S)

    async def _exits_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._exited.wait()
        return self._exited.is_set()

    def _outcome(self, state: State) -> ProgramOutcome:
        code = self._child.process.returncode
        if state == "exited" and (code is None or code < 0):
            state = "signalled"
        name = _signal_name(-code) if code is not None and code < 0 else ""
        out, err = (stream.capture.stream() for stream in self._streams)
        return ProgramOutcome(
            state=state,
            exit_code=code if state == "exited" else None,
            signal=name,
            reason=_reason(state, code, name, self._program),
            stdout=out,
            stderr=err,
            pid=self._child.pid,
            strays=self._strays,
        )


class _Stream:
    """One output stream: read, redacted, kept, and given out."""

    def __init__(self, name: StreamName, fd: int, program: Program) -> None:
        self.name = name
        self.fd = fd
        self.capture = Capture(program.output_limit_bytes)
        self._redacting = program.redact.stream()
        self._on_output = program.on_output
        self._ended = False

    def read(self) -> int:
        """Take one chunk; return its size, 0 at the end of the stream, -1 when there is nothing now."""
        try:
            chunk = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return -1
        if not chunk:
            self._finish()
            return 0
        self.capture.size_bytes += len(chunk)
        self._pass_on(self._redacting.feed(chunk))
        return len(chunk)

    def drain(self) -> None:
        """Take what is still in the pipe. A process we could not find may hold it open: it is not waited for."""
        left = _LAST_BYTES
        while not self._ended and left > 0 and (size := self.read()) > 0:
            left -= size
        self._finish()

    def _finish(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._pass_on(self._redacting.finish())

    def _pass_on(self, text: bytes) -> None:
        if text:
            self.capture.feed(text)
            if self._on_output:
                self._on_output(self.name, text)


def _why_not(error: OSError | ValueError, program: Program) -> str:
    """Return one sentence; OSError's own text is for those we wrote ourselves."""
    if isinstance(error, OSError) and error.strerror is None:
        return f"{error}."
    what = program.argv if isinstance(program.argv, str) else " ".join(program.argv)
    cause = (error.strerror if isinstance(error, OSError) else str(error)) or "unknown cause"
    return f"expected to start `{what[:200]}`, but it was refused: {cause}."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _reason(state: State, code: int | None, name: str, program: Program) -> str:
    match state:
        case "exited":
            return f"exited with code {code}"
        case "signalled":
            return f"was ended by {name}" if name else "ended without an exit code"
        case "timed_out":
            return f"was stopped after {program.timeout_s:g} s, its time limit"
        case "silent":
            return f"was stopped after {program.silence_s:g} s without output"
        case "flooded":
            return f"was killed after printing more than {program.flood_bytes} bytes"
        case "cancelled":
            return "was stopped on request"
        case "not_started":
            return "was not started"
