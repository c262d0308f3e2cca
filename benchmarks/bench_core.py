"""The core in memory: CPU per BPMN element, memory of a live instance, fan-out, long loops.

    python benchmarks/bench_core.py [--json]

One path has nine elements, six of them service tasks, one gateway with a condition. Times are process CPU.
Targets: at most 60 microseconds for each element, the same at 10,000 instances as at 1,000 (within 1.25), at most
11 KB for a live instance, a fan-out that costs the same per child at any width.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.core.definitions import Definitions
from engine.core.model import (
    ROOT_INSTANCE,
    ChildEnded,
    InstanceId,
    InstanceStarted,
    JobCompleted,
    RunId,
)
from engine.core.process import Instance, advance, start
from tests.core.drawing import draw, draw_all

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = RunId("bench")
JOBS = ("acquire", "validate", "load", "execute", "verify", "record")
ELEMENTS = len(JOBS) + 3
PATH = """
start Start
{services}
xor Passed
end Done
end Failed
Start -> acquire -> validate -> load -> execute -> verify -> Passed
Passed -> record : rc = 0
Passed -> Failed default
record -> Done
""".format(services="\n".join(f"service {name}  type=task.{name}" for name in JOBS))
FAN_OUT = {
    "p": """
start Start
call Each  process=q; each=items; as=item; into=results; collect=result; parent=mapped; child=mapped; in item = item
end End
Start -> Each -> End
""",
    "q": "start s\nend e\ns -> e",
}
LOOP = """
start Start
xor Again
service Work  type=work
xor Enough
end End
Start -> Again -> Work -> Enough
Enough -> End : n >= limit
Enough -> Again default
"""


def main() -> None:
    figures = {
        "us_per_element_1000": path(1_000),
        "us_per_element_10000": path(10_000),
        "kb_per_live_instance": memory(5_000),
        "us_per_child_1000": fan_out(1_000),
        "us_per_child_10000": fan_out(10_000),
        "us_per_turn_of_loop_2000": loop(2_000),
        "ms_to_rebuild_2000_facts": rebuild(2_000),
    }
    if "--json" in sys.argv:
        print(json.dumps({name: round(value, 2) for name, value in figures.items()}))
        return
    for name, value in figures.items():
        print(f"{name:28} {value:10.2f}")


def path(instances: int) -> float:
    definitions = Definitions.load({"p.bpmn": draw(PATH)})

    def run() -> None:
        for number in range(instances):
            instance = _started(definitions, number)
            for name in JOBS:
                instance = _answered(definitions, instance, name)
            assert instance.state == "completed"

    return _cpu(run) * 1e6 / instances / ELEMENTS


def memory(instances: int) -> float:
    """Return KB of one instance that waits for its fourth job."""
    definitions = Definitions.load({"p.bpmn": draw(PATH)})
    _started(definitions, 0)
    before = _resident_kb()
    live = []
    for number in range(instances):
        instance = _started(definitions, number)
        for name in JOBS[:3]:
            instance = _answered(definitions, instance, name)
        live.append(instance)
    return (_resident_kb() - before) / len(live)


def fan_out(children: int) -> float:
    definitions = Definitions.load({"p.bpmn": draw_all(FAN_OUT)})

    def run() -> None:
        first = InstanceStarted(at=NOW, process="p", variables={"items": list(range(children))})
        instance = start(definitions, RUN, ROOT_INSTANCE, first).instance
        for index in range(children):
            child = InstanceId(f"0.Each#1[{index}]")
            ended = ChildEnded(at=NOW, child=child, state="completed", variables={"result": index})
            instance = advance(definitions, instance, ended).instance
        assert instance.variables["results"] == list(range(children))

    return _cpu(run) * 1e6 / children


def loop(turns: int) -> float:
    return _cpu(lambda: _looped(turns)) * 1e6 / turns


def rebuild(turns: int) -> float:
    definitions, older, instance = _looped(turns)
    assert older.state == "active"
    assert instance.state == "completed"
    last = JobCompleted(at=NOW, job=f"Work#{turns}.1", variables={"n": turns})
    # the live workflow has moved on, so this value is rebuilt from its facts
    return _cpu(lambda: advance(definitions, older, last)) * 1e3


def _looped(turns: int) -> tuple[Definitions, Instance, Instance]:
    definitions = Definitions.load({"p.bpmn": draw(LOOP)})
    first = InstanceStarted(at=NOW, process="p", variables={"limit": turns})
    older = instance = start(definitions, RUN, ROOT_INSTANCE, first).instance
    for turn in range(1, turns + 1):
        older = instance
        fact = JobCompleted(at=NOW, job=f"Work#{turn}.1", variables={"n": turn})
        instance = advance(definitions, instance, fact).instance
    return definitions, older, instance


def _started(definitions: Definitions, number: int) -> Instance:
    fact = InstanceStarted(
        at=NOW, process="p", variables={"task": f"T{number}", "branch": "b"}, parent="0"
    )
    return start(definitions, RUN, InstanceId(f"0.Wave#1[{number}]"), fact).instance


def _answered(definitions: Definitions, instance: Instance, name: str) -> Instance:
    fact = JobCompleted(at=NOW, job=f"{name}#1.1", variables={"rc": 0, name: "ok"})
    return advance(definitions, instance, fact).instance


def _cpu(run: Callable[[], object]) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def _resident_kb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


if __name__ == "__main__":
    main()
