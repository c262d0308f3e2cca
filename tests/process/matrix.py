"""docs/reference/bpmn.md from the tables of the reader and the scenarios: `python -m tests.process.matrix`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.bpmn import dialect, zeebe
from tests.process import reached

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "bpmn.md"
SHOWN = 3  #: scenarios named in a row
ELEMENTS = (ROOT / "tests" / "bpmn" / "bpmn20_elements.txt").read_text("utf-8").split()

HEAD = """# BPMN: every element, and what happens with it

<!-- Made by `python -m tests.process.matrix` from the reader's tables and the scenarios; do not edit. -->

Nothing in a diagram is ignored. An element is *executed*, and at least two scenarios show how; or it is *refused* before anything
starts, with a rule, the element's name and what to do instead; or it is *drawn*: a picture for people, and what runs is the same
with and without it, as a test shows for each. Semantics are those of BPMN 2.0.2 and, for variables, mappings, messages, timers and
incidents, of Camunda 8. Scenarios are in `tests/core/diagrams` and `tests/process/people`: run one with `engine process test FILE`.

What to know about the meaning:

- A condition that is null is an incident, never the default flow. Flows are tried in the order of the diagram.
- The variables of a job stop at the nearest scope that has them, else at the process; with an output mapping nothing else leaves.
- Outputs of a multi-instance activity are in the order of the items, whatever the order in which they were done.
- A message is kept for its time to live and goes to each process once; 7, 7.0 and "7" are the same key.
- A message or a signal also starts every executable process of the run that has a start event of its name: beside the root and
  without a parent. With a key, one instance at a time; a kept message starts the next. The run ends with the last of them.
- A timer whose date is past fires at once. An interrupting event cancels jobs; their late answers have no effect.
- A run takes messages from outside with `engine message NAME --key KEY --ttl SECONDS --var name=value`, from its own processes with
  the job type `message.publish`, and signals with `engine signal NAME`.
- A pool is a process: start it by its process id or by the name of the pool. Pools that are not executable are drawn only.
"""


def page() -> str:
    """Return the page as it must be now."""
    return "\n".join([HEAD, *_events(), "", *_elements(), "", *_extensions(), ""])


def _events() -> Iterator[str]:
    yield "## Events: which kind stands where\n"
    kinds = [
        "none",
        "message",
        "timer",
        "signal",
        "conditional",
        "error",
        "escalation",
        "terminate",
    ]
    kinds += ["cancel", "compensation", "link", "multiple"]
    yield "| | " + " | ".join(kinds) + " |"
    yield "|---" * (len(kinds) + 1) + "|"
    found = reached.by_place()
    for place, possible in dialect.PLACES.items():
        for how in _interruptions(place):
            cells = (
                _event(found.get((place, kind, how), set()), kind in possible, (kind, how))
                for kind in kinds
            )
            yield f"| {f'{how} {place}'.strip()} | " + " | ".join(cells) + " |"
    yield "\nA number is how many scenarios show it. Refusals: `event-place` (a kind that cannot stand there), `cancel-event`,"
    yield "`compensate-event`, `link-event`, `several-triggers` (multiple), `event-without-trigger` (none), `boundary-event` and"
    yield "`event-sub-process` (an error always interrupts), `timer-cycle` (a cycle where nothing can repeat)."


def _interruptions(place: str) -> tuple[str, ...]:
    can_go_on = place in ("boundary event", "event sub-process start event")
    return ("interrupting", "non-interrupting") if can_go_on else ("",)


def _event(scenarios: set[str], is_possible: bool, what: tuple[str, str]) -> str:
    if not is_possible or what == ("error", "non-interrupting"):
        return "refused"
    return str(len(scenarios))


def _elements() -> Iterator[str]:
    yield "## Elements\n"
    yield "| element | | |"
    yield "|---|---|---|"
    found = reached.by_tag()
    for name in sorted({*ELEMENTS, *dialect.EXECUTED, *dialect.REFUSED, *dialect.DRAWN}):
        if name in dialect.EXECUTED:
            yield f"| `{name}` | executed | {_named(found.get(name, set()))} |"
        elif name in dialect.REFUSED:
            yield f"| `{name}` | refused: `{_rule(name)}` | {dialect.REFUSED[name]} |"
        else:
            yield f"| `{name}` | drawn | |"


def _rule(name: str) -> str:
    if name.endswith("EventDefinition"):
        return f"{name.removesuffix('EventDefinition')}-event"
    return "unsupported-element"


def _named(scenarios: Iterable[str]) -> str:
    """Return some scenarios, one for each diagram as far as there are, and how many more."""
    ordered = sorted(scenarios)
    first = list({name.partition(".")[0]: name for name in reversed(ordered)}.values())[::-1]
    shown = [*first, *(name for name in ordered if name not in first)][:SHOWN]
    more = len(ordered) - len(shown)
    text = ", ".join(f"`{name}`" for name in shown)
    return f"{text} and {more} more" if more else text


def _extensions() -> Iterator[str]:
    yield "## Extensions of Camunda 8, Camunda 7 and SpiffWorkflow\n"
    yield "| extension | scenarios |"
    yield "|---|---|"
    for name, scenarios in sorted(reached.by_tag().items()):
        if ":" in name:
            yield f"| `{name}` | {_named(scenarios)} |"
    quiet = sorted(
        f"`zeebe:{name}`" for name in zeebe.KNOWN if f"zeebe:{name}" not in reached.by_tag()
    )
    yield f"\nRead without a scenario of its own, for people and tools around a run: {', '.join(quiet)}."
    yield "\nEvery other extension is read where its meaning is the same beyond doubt, or"
    yield "refused as `unknown-extension`."


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
