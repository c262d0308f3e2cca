"""The whole engine on no-op work: a fan-out of tasks of eight elements each, durable, with resume, beside peers.

    python benchmarks/bench_engine.py [--json] [--no-peers]

One task is start, five service tasks, a gateway with a condition and an end. The engine runs as it does for users:
conductor, group commit, SQLite with synchronous=FULL, ledger, checkpoints. Times are of the process, wall and CPU;
memory is the growth of its peak. Each figure comes from a process of its own. Peers run the same eight elements:
DBOS (workflow and steps in Python, SQLite) and bpmn-engine (the same diagram in Node, in memory, not durable).
Targets: 10,000 tasks in at most 30 s wall, 15 s CPU, 50 MB; 120 microseconds CPU per element; per element at
10,000 at most 1.25 of that at 1,000; resume of 10,000 tasks to the first dispatch in at most 1 s.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.cli import COLLECT_AFTER
from engine.contracts import Contracts
from engine.core.definitions import Definitions
from engine.core.model import Verdict
from engine.handlers import Activation, Handlers, Variables
from engine.plugins import Plugins
from engine.runtime.conductor import Clock, Conductor
from engine.runtime.recorder import Recorder
from engine.runtime.waivers import Waivers
from engine.runtime.world import GeneralWorld, Site
from engine.settings import Settings
from engine.shipped import folder
from engine.store import Store
from tests.core.drawing import draw_all

JOBS = ("acquire", "validate", "execute", "verify", "record")
ELEMENTS = len(JOBS) + 3
RUN = "bench"
TASK = """
start Start
{services}
xor Passed
end Done
Start -> acquire -> validate -> execute -> verify -> Passed
Passed -> record : rc = 0
Passed -> Done default
record -> Done
""".format(services="\n".join(f"service {name}  type=bench.nothing" for name in JOBS))
FEATURE = """
start Begin
call Each  process=q; each=items; as=item; into=results; collect=rc; parent=mapped; child=mapped; in item = item
end End
Begin -> Each -> End
"""


def main() -> None:
    gc.set_threshold(COLLECT_AFTER, 20, 20)  # as the command does
    if "--part" in sys.argv:
        at = sys.argv.index("--part") + 1
        print(json.dumps(PARTS[sys.argv[at]](*sys.argv[at + 1 :])))
        return
    figures: dict[str, Mapping[str, float]] = {
        "1,000 tasks": part("durable", "1000"),
        "10,000 tasks": part("durable", "10000"),
        "resume of 10,000": part("resume", "10000"),
    }
    if "--no-peers" not in sys.argv:
        figures |= peers()
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return
    for name, values in figures.items():
        told = ", ".join(f"{value:,.2f} {unit}" for unit, value in values.items())
        print(f"{name:28} {told}")
    base = figures["1,000 tasks"]["us CPU/element"]
    for name, values in figures.items():
        if "us CPU/element" in values and name != "1,000 tasks":
            print(f"per element, {name} to our 1,000: {values['us CPU/element'] / base:.2f}")


def part(*arguments: str) -> dict[str, float]:
    """Return the figures of one part, measured in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--part", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"part {arguments} failed: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- ours ---------------------------------------------------------------------------------------------


class Bench:
    """An engine on a fresh database, with one job type that does nothing."""

    def __init__(self, home: Path) -> None:
        self.definitions = Definitions.load({"b.bpmn": draw_all({"p": FEATURE, "q": TASK})})
        self.store = Store.open(home / "engine.db", home=home, create=True)
        self.home = home
        self.clock = Clock()
        self.done = 0
        self.stop_after = 0
        self.first: float = 0.0
        self.conductor: Conductor | None = None

    def handlers(self) -> Handlers:
        handlers = Handlers()

        @handlers.job("bench.nothing", title="Nothing")
        async def nothing(activation: Activation) -> Variables:
            self.done += 1
            self.first = self.first or time.perf_counter()
            if self.done == self.stop_after and self.conductor:
                self.conductor.stop(force=True)
            return {"rc": 0}

        return handlers

    async def run(self, items: int | None) -> str:
        """Start with so many items, or go on with what is recorded when None."""
        recorder = Recorder(self.store, RUN, self.home / "ledger")
        site = Site(
            run=RUN,
            feature="",
            home=self.home,
            root=self.home,
            settings=Settings(),
            definitions=self.definitions,
            judge=never,
            lock_fd=None,
            contracts=(contracts := Contracts(folder("contracts"))),
            plugins=Plugins(plugins={}),
            waivers=Waivers(self.home, (), contracts),
        )
        world = GeneralWorld(site, recorder, self.clock)
        self.conductor = conductor = Conductor(
            run=RUN,
            definitions=self.definitions,
            recorder=recorder,
            handlers=self.handlers(),
            world=world,
            witness=world,
            judge=never,
            clock=self.clock,
        )
        try:
            if items is None:
                conductor.rebuild()
                await conductor.resume()
            else:
                await conductor.start("p", {"items": list(range(items))})
            return (await conductor.serve()).state
        finally:
            await recorder.close()

    def create(self) -> None:
        self.store.create_run(
            RUN, feature="process:p", bundle=self.definitions.digest, at=self.clock.now(), body={}
        )


async def never(package: str, input_: object, now: datetime) -> Verdict:
    raise AssertionError("no policy is asked here")


def durable(items: str) -> dict[str, float]:
    """Return wall, CPU and memory of a whole durable run."""
    count = int(items)
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place))
        bench.create()
        before, started, used = peak_mb(), time.perf_counter(), time.process_time()
        state = asyncio.run(bench.run(count))
        wall, cpu = time.perf_counter() - started, time.process_time() - used
        assert (state, bench.done) == ("completed", count * len(JOBS)), (state, bench.done)
        size = sum(file.stat().st_size for file in (bench.home / "ledger").iterdir())
    elements = count * ELEMENTS + 3
    return {
        "s wall": wall,
        "s CPU": cpu,
        "us CPU/element": 1e6 * cpu / elements,
        "elements/s": elements / wall,
        "MB growth": peak_mb() - before,
        "ledger MB": size / 1e6,
    }


def resume(items: str) -> dict[str, float]:
    """Return the time from nothing in memory to the first dispatch, when half of all jobs are done."""
    count = int(items)
    with tempfile.TemporaryDirectory() as place:
        bench = Bench(Path(place))
        bench.create()
        bench.stop_after = count * len(JOBS) // 2
        assert asyncio.run(bench.run(count)) == "stopped"
        bench.store.close()
        again = Bench(Path(place))
        started, used = time.perf_counter(), time.process_time()
        again.store.take_over(RUN, at=again.clock.now())
        again.stop_after = 1
        asyncio.run(again.run(None))
        return {
            "s to first dispatch": again.first - started,
            "s CPU": time.process_time() - used,
        }


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- peers --------------------------------------------------------------------------------------------


def peers() -> dict[str, Mapping[str, float]]:
    """Return the figures of the peers that are installed; say which are not."""
    found: dict[str, Mapping[str, float]] = {}
    for name, count in (("dbos", "1000"), ("bpmn_engine", "1000")):
        try:
            found[f"{name}, {int(count):,} tasks"] = part(name, count)
        except SystemExit as problem:
            print(f"{name} was left out: {str(problem).strip().splitlines()[-1]}", file=sys.stderr)
    return found


def dbos(items: str) -> dict[str, float]:
    """The same eight elements as a workflow of five steps, durable in SQLite."""
    from dbos import DBOS, DBOSConfig, SetWorkflowID

    count = int(items)
    with tempfile.TemporaryDirectory() as place:
        config: DBOSConfig = {
            "name": "bench",
            "system_database_url": f"sqlite:///{place}/dbos.sqlite",
            "run_admin_server": False,
            "log_level": "ERROR",
        }
        DBOS(config=config)

        @DBOS.step()
        async def nothing() -> dict[str, int]:
            return {"rc": 0}

        @DBOS.workflow()
        async def task(item: int) -> int:
            for _ in range(4):
                result = await nothing()
            if result["rc"] == 0:
                await nothing()
            return result["rc"]

        DBOS.launch()

        async def run() -> None:
            waiting: set[asyncio.Task[Any]] = set()
            for number in range(count):
                with SetWorkflowID(f"t{number}"):
                    handle = await DBOS.start_workflow_async(task, number)
                waiting.add(asyncio.ensure_future(handle.get_result()))
                if len(waiting) >= 64:
                    _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*waiting)

        started, used = time.perf_counter(), time.process_time()
        asyncio.run(run())
        wall, cpu = time.perf_counter() - started, time.process_time() - used
        DBOS.destroy()
    return peer_figures(count, wall, cpu)


def bpmn_engine(items: str) -> dict[str, float]:
    """The same task on bpmn-engine: in memory, nothing is kept. Needs bpmn-engine where node finds it (NODE_PATH)."""
    done = subprocess.run(
        ["node", str(Path(__file__).with_name("bpmn_engine_peer.js")), items],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr.strip() or "node failed")
    measured = json.loads(done.stdout)
    return peer_figures(int(items), measured["wall"], measured["cpu"])


def peer_figures(count: int, wall: float, cpu: float) -> dict[str, float]:
    elements = count * ELEMENTS
    return {
        "s wall": wall,
        "s CPU": cpu,
        "us CPU/element": 1e6 * cpu / elements,
        "elements/s": elements / wall,
    }


PARTS = {"durable": durable, "resume": resume, "dbos": dbos, "bpmn_engine": bpmn_engine}

if __name__ == "__main__":
    main()
