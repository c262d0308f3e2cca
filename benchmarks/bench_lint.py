"""Diagrams: load and lint of 200 elements, and how fast and in how much memory hostile files are refused.

Targets: 200 elements in 300 ms; each hostile file in 1 s, with bounded memory.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from engine.core.definitions import inspect
from engine.runtime.jobs import job_findings, load_handlers
from engine.runtime.linting import file_findings, lint_findings

HEAD = (
    '<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" '
    'xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'id="d" targetNamespace="t">'
)
BLOCK = 10  #: flow nodes of one piece of the 200


def process(elements: int) -> bytes:
    """Return a process of about `elements` flow nodes: choices, parallel branches, loops, mappings, timers."""
    nodes: list[str] = ['<bpmn:startEvent id="n" name="Start"/>']
    flows: list[str] = []
    last = "n"

    def flow(source: str, target: str, condition: str = "") -> str:
        id_ = f"f{len(flows)}"
        inside = (
            f"<bpmn:conditionExpression>={condition}</bpmn:conditionExpression>"
            if condition
            else ""
        )
        flows.append(
            f'<bpmn:sequenceFlow id="{id_}" sourceRef="{source}" targetRef="{target}">{inside}</bpmn:sequenceFlow>'
        )
        return id_

    for b in range(elements // BLOCK):
        job = (
            f'<bpmn:serviceTask id="a{b}" name="Work {b}"><bpmn:extensionElements><zeebe:taskDefinition '
            'type="command.run"/><zeebe:taskHeaders><zeebe:header key="command" value="true"/></zeebe:taskHeaders>'
            f'<zeebe:ioMapping><zeebe:output source="=if x{b} = null then 1 else x{b} + 1" target="x{b}"/>'
            "</zeebe:ioMapping></bpmn:extensionElements></bpmn:serviceTask>"
        )
        default = f"d{b}"
        nodes += [
            job,
            f'<bpmn:exclusiveGateway id="g{b}" name="Again {b}?" default="{default}"/>',
            f'<bpmn:parallelGateway id="p{b}"/>', f'<bpmn:userTask id="u{b}" name="Ask {b}"/>',
            f'<bpmn:userTask id="v{b}" name="Look {b}"/>', f'<bpmn:userTask id="w{b}" name="See {b}"/>',
            f'<bpmn:parallelGateway id="j{b}"/>',
            f'<bpmn:boundaryEvent id="t{b}" name="Late {b}" attachedToRef="u{b}" cancelActivity="false">'
            "<bpmn:timerEventDefinition><bpmn:timeDuration>PT1H</bpmn:timeDuration></bpmn:timerEventDefinition>"
            "</bpmn:boundaryEvent>",
            f'<bpmn:endEvent id="e{b}" name="Told {b}"/>', f'<bpmn:task id="z{b}" name="Note {b}"/>',
        ]  # fmt: skip
        flow(last, f"a{b}")
        flow(f"a{b}", f"g{b}")
        flow(f"g{b}", f"a{b}", f"x{b} &lt; 3")
        flows.append(f'<bpmn:sequenceFlow id="{default}" sourceRef="g{b}" targetRef="p{b}"/>')
        for branch in "uvw":
            flow(f"p{b}", f"{branch}{b}")
            flow(f"{branch}{b}", f"j{b}")
        flow(f"t{b}", f"e{b}")
        flow(f"j{b}", f"z{b}")
        last = f"z{b}"
    nodes.append('<bpmn:endEvent id="end" name="End"/>')
    flow(last, "end")
    body = "".join((*nodes, *flows))
    return f'{HEAD}<bpmn:process id="p" isExecutable="true">{body}</bpmn:process></bpmn:definitions>'.encode()


def called(name: str, target: str) -> bytes:
    return (
        f'{HEAD}<bpmn:process id="{name}" isExecutable="true"><bpmn:startEvent id="s"/><bpmn:callActivity id="c">'
        f'<bpmn:extensionElements><zeebe:calledElement processId="{target}"/></bpmn:extensionElements></bpmn:callActivity>'
        '<bpmn:endEvent id="e"/><bpmn:sequenceFlow id="f" sourceRef="s" targetRef="c"/>'
        '<bpmn:sequenceFlow id="g" sourceRef="c" targetRef="e"/></bpmn:process></bpmn:definitions>'
    ).encode()


def nested(depth: int) -> bytes:
    inside = "<bpmn:subProcess>" * depth + "</bpmn:subProcess>" * depth
    return f'{HEAD}<bpmn:process id="p">{inside}</bpmn:process></bpmn:definitions>'.encode()


def duplicates(count: int) -> bytes:
    tasks = '<bpmn:task id="a" name="A"/>' * count
    return f'{HEAD}<bpmn:process id="p" isExecutable="true">{tasks}</bpmn:process></bpmn:definitions>'.encode()


def bombs() -> bytes:
    entities = "".join(
        f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x" * 100}">' for n in range(9)
    )
    return f"<!DOCTYPE d [{entities}]><d>&e8;</d>".encode()


HOSTILE: Mapping[str, Callable[[], Mapping[str, bytes]]] = {
    "DOCTYPE with entities": lambda: {"p.bpmn": bombs()},
    "200,000 comments before a DOCTYPE": lambda: {
        "p.bpmn": b"<!---->" * 200_000 + b"<!DOCTYPE d><d/>"
    },
    "10 MB": lambda: {"p.bpmn": HEAD.encode() + b" " * 10_000_000 + b"</bpmn:definitions>"},
    "10,000 elements": lambda: {"p.bpmn": process(10_000)},
    "2,000 elements (allowed)": lambda: {"p.bpmn": process(1_900)},
    "40,000 tasks of one id": lambda: {"p.bpmn": duplicates(40_000)},
    "nested 90 deep": lambda: {"p.bpmn": nested(90)},
    "nested 10,000 deep": lambda: {"p.bpmn": nested(10_000)},
    "200 processes calling in a circle": lambda: {
        f"q{n}.bpmn": called(f"q{n}", f"q{(n + 1) % 200}") for n in range(200)
    },
    "an expression 19,000 deep": lambda: {
        "p.bpmn": process(10).replace(b"x0 &lt; 3", b"(" * 9_500 + b"1" + b")" * 9_500)
    },
}


def lint(files: Mapping[str, bytes]) -> int:
    """Return how many findings `engine process lint` has about `files`."""
    handlers = load_handlers()
    told, loaded = inspect(files)
    found = {
        *told,
        *job_findings(loaded, handlers, delivers=True),
        *lint_findings(loaded, handlers),
        *file_findings(files),
    }
    return len(found)


def one(name: str) -> None:
    """Print what one hostile case takes, alone in its process."""
    lint({"p.bpmn": process(10)})  # warm: imports, handlers
    files = HOSTILE[name]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    used, seconds, found = measured(files)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"{name:36} {used:6.0f} ms CPU {seconds:6.0f} ms {grown:6.1f} MiB {found:5} findings",
        flush=True,
    )


def measured(files: Mapping[str, bytes]) -> tuple[float, float, int]:
    """Return (ms of CPU, ms on the clock, findings)."""
    used, started = time.process_time(), time.perf_counter()
    found = lint(files)
    return (time.process_time() - used) * 1000, (time.perf_counter() - started) * 1000, found


def main() -> None:
    content = {"p.bpmn": process(200)}
    lint({"p.bpmn": process(10)})
    used, seconds, found = sorted(measured(content) for _ in range(7))[3]
    said = f"{used:.0f} ms CPU, {seconds:.0f} ms (median of 7; target 300), {found} findings"
    print(f"load and lint of 200 elements: {said}", flush=True)
    print("hostile files: each alone, target 1,000 ms", flush=True)
    for name in HOSTILE:
        subprocess.run([sys.executable, "-m", "benchmarks.bench_lint", name], check=True)


if __name__ == "__main__":
    one(sys.argv[1]) if len(sys.argv) > 1 else main()
