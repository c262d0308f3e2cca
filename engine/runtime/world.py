"""The world of any process: programs, notices, contracts. Every effect is recorded.

Three layers, each in a module of its own: what any process may do (here), what carrying out a task needs
(`engine.runtime.tasks`), and what moves the integration branch (`engine.runtime.delivery`).
Each method may run again with the same job key after a kill: what was done is found, not done twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from engine.contracts import Contracts
from engine.core.definitions import Definitions
from engine.core.model import Job, Json, Variables, Verdict
from engine.errors import DefinitionError
from engine.frozen import dataclass
from engine.ledger import Draft, EntryType, Sealed, note
from engine.plugins import Plugins
from engine.programs import (
    Program,
    Redactor,
    allowed_names,
    clean_environment,
    run_program,
)
from engine.runtime.conductor import Clock, Judge
from engine.runtime.forms import OUTPUT_TAIL_BYTES, policy_settings, program_result
from engine.runtime.recorder import Recorder
from engine.runtime.tool_results import ToolResults
from engine.runtime.waivers import Waivers, granted
from engine.settings import Settings
from engine.store import Change

A = TypeVar("A")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a run lives: the run, its project's folders and settings, and what was found in them."""

    run: str
    feature: str
    home: Path
    root: Path
    settings: Settings
    definitions: Definitions
    judge: Judge
    lock_fd: int | None
    contracts: Contracts
    plugins: Plugins
    waivers: Waivers


class GeneralWorld:
    """What any process may do. Implements `engine.handlers.World` and the conductor's `Witness`."""

    def __init__(self, site: Site, recorder: Recorder, clock: Clock) -> None:
        self._site = site
        self._recorder = recorder
        self._clock = clock
        self._redact = Redactor.of_environment(os.environ, _worker_variables(site.settings))
        self._post: Callable[[Mapping[str, Json]], None] | None = None
        self._tools = ToolResults(recorder.store, site.run)

    def connect(self, post: Callable[[Mapping[str, Json]], None]) -> None:
        """Let messages be published inside the run by `post`."""
        self._post = post

    @property
    def run(self) -> str:
        return self._site.run

    @property
    def feature(self) -> str:
        return self._site.feature

    @property
    def settings(self) -> Variables:
        return policy_settings(self._site.settings)

    def check_contract(self, name: str, value: Json) -> None:
        self._site.contracts.check(name, value)

    def tool_results(self, tool: str) -> Variables:
        """Return {failures, seconds_since_last, last_reason} of the attempts of this run since the tool's last success."""
        return self._tools.of(tool, self._clock.now())

    # ---- effects

    async def notify(self, job: Job, subject: str, text: str) -> Variables:
        notices = self._site.home / "runs" / self.run / "notices.log"
        line = self._redact.text(f"{self._clock.now().isoformat()} {subject}: {text}".strip())
        await asyncio.to_thread(_append_line, notices, line)
        return {"notified": True}

    async def publish(
        self, job: Job, name: str, key: Json, variables: Variables, ttl_s: int
    ) -> Variables:
        """Return {published: id}; the message goes to instances of this run, once for each id."""
        assert self._post is not None  # connected before anything is dispatched
        message: dict[str, Json] = {"id": job.key, "name": name, "key": key, "ttl_s": ttl_s}
        self._post({**message, "variables": variables})
        return {"published": job.key}

    async def run_command(self, job: Job, command: str, timeout_s: int) -> Variables:
        """Return {command: {result, exit_code, reason, output}}; run in the project's folder."""
        return {"command": await self._program(job, command, self._site.root, timeout_s)}

    async def send_request(self, job: Job, request: Variables) -> Variables:
        """Return {status, headers, body} of the answer; the world outside sees the job's key, and may see it twice."""
        from engine.web import Request, Web  # few processes ask anybody

        http = self._site.settings.http
        tokens = {
            origin: os.environ[name]
            for origin, name in http.token_env.items()
            if name in os.environ
        }
        wanted = Request(**request, key=job.key)  # type: ignore[arg-type]  # the handler has checked the shape
        answer = await in_background(Web(http.allow, tokens).send, wanted)
        return {
            "status": answer.status,
            "headers": dict(answer.headers),
            "body": self._redact.value(answer.body),
        }

    async def evaluate_decision(self, job: Job, decision: str, inputs: Variables) -> Variables:
        """Return how `decision` was answered, its answer as `value`, and the digest of its file as `definition`."""
        found = self._site.definitions.decisions.get(decision)
        if found is None:
            raise DefinitionError(f"the bundle has no decision {decision!r}", where=job.element)
        record, wrong = found.explain(inputs)
        if wrong:
            raise DefinitionError(
                f"decision {decision} contradicts itself: {wrong}", where=job.element
            )
        return {**record, "definition": found.digest}

    async def check_policy(self, job: Job, policy: str, given: Variables) -> Variables:
        """Return {verdict, reasons} of a package; anything but `pass` is closed."""
        return (await self._site.judge(policy, given, self._clock.now())).variables()

    async def write_report(self, job: Job, outcome: str) -> Variables:
        """Return {outcome}; the report itself is written from the ledger when the run has ended."""
        return {"outcome": outcome}

    # ---- what the conductor asks

    def ended_changes(self, process: str, variables: Variables) -> list[Change]:
        """Return the state changes that follow from the end of an instance; none in general."""
        return []

    def verdict_drafts(
        self, package: str, input_: object, verdict: Verdict, at: object
    ) -> list[Draft]:
        """Return the records that follow from a verdict, beside the turn that holds it: the waivers it rests on."""
        return granted(package, input_, verdict, self._clock.now())

    async def settle(self) -> None:
        """Wait for what goes on beside the jobs, however the run ended; nothing in general."""

    async def pause(self, *, keeps_work: bool) -> Variables:
        """After the run was stopped: keep what is unfinished; return what `run.stopped` says of it."""
        return {}

    async def finish(self, status: str) -> None:
        """After the root ended with `status`: remove what is not needed any more."""
        scratch = self._site.home / "scratch" / self.run
        await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    # ---- steps of the layers above

    def _child_environment(self) -> Mapping[str, str]:
        """Return variables for the programs that are started."""
        return {}

    async def _program(
        self, job: Job, command: str, folder: Path, timeout_s: float, name: str = "command"
    ) -> dict[str, Json]:
        scratch = self._scratch(job) / name
        await asyncio.to_thread(partial(scratch.mkdir, parents=True, exist_ok=True))
        program = Program(
            argv=command,
            cwd=folder,
            env=clean_environment(
                extra={**self._child_environment(), "ENGINE_FEATURE": self.feature},
                home=scratch,
            ),
            key=job.key,
            timeout_s=timeout_s,
            redact=self._redact,
            output_limit_bytes=2 * OUTPUT_TAIL_BYTES,
            lock_fd=self._site.lock_fd,
        )
        outcome = await run_program(program)
        await asyncio.to_thread(shutil.rmtree, scratch, True)
        return program_result(outcome)

    def _scratch(self, job: Job) -> Path:
        name = job.key.replace("/", "_").replace("#", "-")
        return self._site.home / "scratch" / self.run / name

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._site.home).as_posix()

    async def _in_thread(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        # Any: passes arguments through to a function that types them
        return await asyncio.to_thread(partial(function, *arguments, **named))

    async def _record(
        self,
        kind: EntryType,
        body: Mapping[str, Json],
        *,
        task: str = "",
        changes: Sequence[Change] = (),
    ) -> list[Sealed]:
        return await self._recorder.commit(
            [note(kind, self._clock.now(), body, task=task)], changes
        )

    def _add(
        self,
        kind: EntryType,
        body: Mapping[str, Json],
        *,
        task: str = "",
        changes: Sequence[Change] = (),
    ) -> None:
        """Record what the outcome of the job that is at work will follow at once."""
        self._recorder.add([note(kind, self._clock.now(), body, task=task)], changes)


def _worker_variables(settings: Settings) -> tuple[str, ...]:
    """Return the names of this process's variables that some worker is given: what it may write into its files."""
    allow = [rule for worker in settings.workers.values() for rule in worker.env_allow]
    return allowed_names(allow, os.environ)


async def in_background(function: Callable[[A], T], argument: A) -> T:
    """Return what `function` returns, from a thread that nobody waits for when this wait is cancelled."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(act: Callable[[Any], None], value: Any) -> None:  # Any: the answer or the error
        if not answer.done():
            act(value)

    def work() -> None:
        try:
            told: tuple[Callable[[Any], None], Any] = (answer.set_result, function(argument))
        except Exception as error:  # raised where it is waited for
            told = (answer.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, *told)

    threading.Thread(target=work, name=function.__name__, daemon=True).start()
    return await answer


def _append_line(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
