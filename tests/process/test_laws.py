"""Laws over all scenarios: a stop anywhere changes nothing; where a model leaves the order free, it does not matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cli import scenario_files
from engine.core.definitions import Definitions
from engine.core.model import (
    Event,
    Fact,
    InstanceId,
    InstanceStarted,
    Job,
    JobCreated,
    Json,
    Variables,
)
from engine.core.player import Player
from engine.core.process import Instance, Step, advance, start
from tests.core.world import NOON, bundle
from tests.process import reached


def histories(item: reached.Played) -> list[tuple[list[Fact], list[tuple[Event, ...]]]]:
    """Return the facts of every instance of a scenario with the events that each of them caused."""
    events: dict[InstanceId, list[tuple[Event, ...]]] = {}
    last: dict[InstanceId, Instance] = {}
    for step in item.steps:
        events.setdefault(step.instance.id, []).append(step.events)
        last[step.instance.id] = step.instance
    return [(list(last[id_].facts()), caused) for id_, caused in events.items()]


def restored(definitions: Definitions, instance: Instance, facts: list[Fact]) -> Step:
    """Return the last of `facts` on an instance that was rebuilt from those before it."""
    first, *rest = facts
    assert isinstance(first, InstanceStarted)
    step = start(definitions, instance.run, instance.id, first)
    for fact in rest:
        step = advance(definitions, step.instance, fact)
    return step


@pytest.mark.parametrize("item", reached.played(), ids=lambda item: item.file.stem)
def test_a_stop_after_any_fact_changes_no_event(item: reached.Played) -> None:
    definitions, _ = scenario_files.load(item.file, scenario_files.read(item.file))
    instances = {step.instance.id: step.instance for step in item.steps}
    for instance, (facts, events) in zip(instances.values(), histories(item), strict=True):
        for count in range(1, len(facts) + 1):
            step = restored(definitions, instance, facts[:count])
            assert step.events == events[count - 1]
            assert step.instance.count == count
        assert (step.instance.state, step.instance.variables) == (
            instance.state,
            instance.variables,
        )


# --- order --------------------------------------------------------------------------------------------

BRANCHES = """
start Start
and Fork
service A  type=a; out a = n + 1
service B  type=b; out b = n + 2
sub Each  each=items; as=item; into=sums; collect=sum; in parts = null; out sum = sum(parts)
  start eStart
  service Part  type=part; each=[1, 2]; as=k; into=parts; collect=n
  end eEnd
  eStart -> Part -> eEnd
and Join
service Last  type=last
end End
Start -> Fork
Fork -> A -> Join
Fork -> B -> Join
Fork -> Each -> Join
Join -> Last -> End
"""
CHOICES = """
start Start
or Split
service A  type=a; out a = n
service B  type=b; out b = n
service C  type=c; out c = n
or Meet
end End
Start -> Split
Split -> A : true
Split -> B : items[1] > 0
Split -> C : false
A -> Meet
B -> Meet
C -> Meet
Meet -> End
"""
CHILDREN = {
    "p": """
start Start
call Call  process=q; child=none; each=items; as=item; into=results; collect=r
end End
Start -> Call -> End
""",
    "q": """
start s
and f
service X  type=x; out x = n
service Y  type=y; out y = n
and j
task Sum  out r = x + y
end e
s -> f
f -> X -> j
f -> Y -> j
j -> Sum -> e
""",
}
Choose = Callable[[int], int]  #: from the number of open jobs to the one that is answered


def outcome(definitions: Definitions, choose: Choose) -> tuple[str | None, Variables]:
    """Play process `p`, answering one open job after the other as `choose` says, each by what it was asked."""
    asked: list[Job] = []
    names: list[str] = []

    def watch(step: Step) -> None:
        for event in step.events:
            if isinstance(event, JobCreated):
                asked.append(event.job)
                names.append(f"{step.instance.id}/{event.job.element}")

    player = Player(definitions, now=NOON, answers={}, watch=watch)
    player.start("p", {"items": [3, 5, 8]})
    answered: set[int] = set()
    while len(answered) < len(asked):
        waiting = [number for number in range(len(asked)) if number not in answered]
        number = waiting[choose(len(waiting))]
        answered.add(number)
        nth = Counter(job.type for job in asked[: number + 1])[asked[number].type]
        assert player.answer(asked[number].type, nth, {"n": answer(asked[number])}) == ""
    played = player.played()
    return played.end, played.variables


def answer(job: Job) -> Json:
    """Return a number that follows from what the job sees of its item, whatever the others have done."""
    seen: Mapping[str, Json] = job.variables
    item, part = seen.get("item", 0), seen.get("k", 0)
    assert isinstance(item, int)
    assert isinstance(part, int)
    return len(job.type) + 10 * item + part


@pytest.mark.parametrize("text", [BRANCHES, CHOICES, CHILDREN], ids=["branches", "choices", "children"])  # fmt: skip
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_order_of_completion_does_not_matter(
    text: str | dict[str, str], data: st.DataObject
) -> None:
    definitions = bundle(text)
    expected = outcome(definitions, lambda count: 0)
    drawn = outcome(definitions, lambda count: data.draw(st.integers(0, count - 1)))
    assert drawn == expected
    assert expected[0] == "End"


def test_a_race_is_where_the_order_matters() -> None:
    """The law would not hold for a model that lets the order decide."""
    definitions = bundle(BRANCHES.replace("out a = n + 1", "out w = 1").replace("out b = n + 2", "out w = 2"))  # fmt: skip
    assert outcome(definitions, lambda count: 0) != outcome(definitions, lambda count: count - 1)
