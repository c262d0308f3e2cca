"""`engine process run`: any diagram runs with the ledger, the people and the proof of a feature's run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.contracts import Contracts
from engine.shipped import folder
from tests.acceptance.conftest import Project
from tests.core.drawing import draw, draw_all

ORDER = """
start Start
service Say  type=command.run; header command=echo hello; out said = command.output
user Approve
xor Fine
end Good
end Bad  error=REFUSED
Start -> Say -> Approve -> Fine
Fine -> Good : approved
Fine -> Bad default
"""


@pytest.fixture
def place(tmp_path: Path) -> Project:
    home = tmp_path / "any folder"
    home.mkdir()
    (home / "order.bpmn").write_bytes(draw(ORDER))
    return Project(home)


@pytest.mark.parametrize(
    ("approved", "status", "exit_code", "waiting_for"),
    [("true", "completed", 0, []), ("false", "waiting", 4, ["incident Bad"])],
)
def test_a_process_waits_for_a_person_and_goes_on_by_the_answer(
    place: Project, approved: str, status: str, exit_code: int, waiting_for: list[str]
) -> None:
    begun = place.engine("process", "run", "order.bpmn", "--var", "n=1.5", "--json")
    waiting = begun.json
    assert (begun.code, waiting["status"]) == (4, "waiting")
    assert [item["key"] for item in waiting["waiting"]] == ["Approve#1"]
    listed = place.engine("tasks", "--json").json
    assert [(task["run"], task["key"], task["variables"]) for task in listed["tasks"]] == [
        (waiting["run"], "0/Approve#1", {"n": 1.5, "said": "hello\n"})
    ]
    answered = place.engine("complete", "Approve", "--var", f"approved={approved}")
    assert answered.code == 0, answered.err
    ended = place.engine("resume", waiting["run"], "--json")
    report = ended.json
    assert (ended.code, report["status"]) == (exit_code, status)
    assert [f"{item['kind']} {item['element']}" for item in report["waiting"]] == waiting_for
    if not waiting_for:
        assert report["variables"] == {"n": 1.5, "said": "hello\n", "approved": approved == "true"}
    Contracts(folder("contracts")).check("process-run.v1", report)
    for proof in (("ledger", "verify"), ("replay",)):
        assert place.engine(*proof).code == 0
    assert place.engine("tasks").out == "nothing waits for a person\n"


def test_a_run_keeps_the_definitions_it_began_with(place: Project) -> None:
    run = place.engine("process", "run", "order.bpmn", "--json").json["run"]
    (place.root / "order.bpmn").write_text("spoilt", "utf-8")
    place.engine("complete", "Approve", "--var", "approved=true")
    assert place.engine("resume", run).code == 0
    assert place.engine("process", "run", "order.bpmn").code == 3


BROKEN = """
start Start
service Try  type=command.run; in command = wanted; retries=1
end End
Start -> Try -> End
"""


def test_an_incident_waits_for_a_person_and_is_tried_again(place: Project) -> None:
    (place.root / "broken.bpmn").write_bytes(draw(BROKEN))
    begun = place.engine("process", "run", "broken.bpmn", "--json")
    run = begun.json["run"]
    assert begun.code == 4
    (incident,) = place.engine("incidents", "--json").json["incidents"]
    assert (incident["run"], incident["element"]) == (run, "Try")
    assert "wanted" in incident["text"] or "command" in incident["text"]
    place.engine("resolve", "Try", "--var", 'command="echo done"')
    ended = place.engine("resume", run, "--json")
    assert (ended.code, ended.json["status"]) == (0, "completed")


KILLED_AT_THE_END = """
import os, sys
from engine.cli import main
from engine.runtime.carrying import Carrying

async def die(*_):
    os._exit(9)

Carrying._record_end = die
main(sys.argv[1:])
"""


def test_a_kill_between_the_end_of_the_process_and_that_of_the_run(place: Project) -> None:
    (place.root / "short.bpmn").write_bytes(draw("start s\nend e\ns -> e"))
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT_THE_END, "process", "run", "short.bpmn", "--var", "n=1"],
        cwd=place.root,
        check=False,
    )
    assert killed.returncode == 9
    ended = place.engine("resume", "--json")
    assert (ended.code, ended.json["status"], ended.json["variables"]) == (0, "completed", {"n": 1})
    assert place.engine("replay").code == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (("process", "run", "none.bpmn"), 2, "there is no such diagram"),
        (("process", "run", "order.bpmn", "--vars", "[1]"), 2, "expected a JSON object"),
        (("process", "run", "order.bpmn", "--vars", "@none"), 2, "cannot be read"),
        (("process", "run", "order.bpmn", "--var", "n"), 2, "expected name=JSON"),
        (("process", "run", "order.bpmn", "--process", "q"), 2, "expected one of p"),
        (("process", "run", "two.bpmn"), 2, "expected one of a, b"),
        (("process", "run", "merging.bpmn"), 3, "works on the repository of a feature"),
        (("process", "run", "unknown.bpmn"), 3, "asks for job type no.such"),
        (("complete", "Approve"), 2, "there are no runs here yet"),
        (("resume",), 2, "there are no runs here yet"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_run_is_refused_and_nothing_is_left_behind(
    place: Project, arguments: tuple[str, ...], exit_code: int, sentence: str
) -> None:
    (place.root / "two.bpmn").write_bytes(
        draw_all({name: f"start s{name}\nend e{name}\ns{name} -> e{name}" for name in "ab"})
    )
    for name, type_ in (("merging", "repository.merge"), ("unknown", "no.such")):
        text = f"start s\nsub In\n  start is\n  service T  type={type_}\n  end ie\n  is -> T -> ie\nend e\ns -> In -> e"
        (place.root / f"{name}.bpmn").write_bytes(draw(text))
    answer = place.engine(*arguments)
    assert (answer.code, sentence in answer.err) == (exit_code, True), answer.err
    assert "Traceback" not in answer.err
    assert not (place.root / ".engine").exists()


def test_only_what_the_diagram_needs_becomes_part_of_the_run(place: Project) -> None:
    (place.root / "other.bpmn").write_text("not even XML", "utf-8")
    (place.root / "table.dmn").write_text("broken too", "utf-8")
    assert place.engine("process", "run", "order.bpmn").code == 4


PAYING = """
start Start
receive Pay  message=paid; key=order
end End
Start -> Pay -> End
"""


def test_a_message_from_outside_goes_to_the_instance_with_its_key(place: Project) -> None:
    (place.root / "pay.bpmn").write_bytes(draw(PAYING))
    begun = place.engine("process", "run", "pay.bpmn", "--var", "order=7", "--json")
    assert begun.code == 4
    assert [(w["kind"], w["text"]) for w in begun.json["waiting"]] == [
        ("message", "paid for key 7")
    ]
    run = begun.json["run"]
    place.engine("message", "paid", "--key", "8")
    assert place.engine("resume", run, "--json").json["status"] == "waiting", "of another order"
    place.engine("message", "paid", "--key", "7", "--var", "by=card")
    ended = place.engine("resume", run, "--json")
    assert (ended.code, ended.json["variables"]) == (0, {"order": 7, "by": "card"})
    assert place.engine("replay", run).code == 0


EARLY = """
start Start
and Fork
service Tell  type=message.publish; header name=paid; header ttl_seconds=TTL; in correlation_key = order; in message_variables = {by: "card"}
service Wait  type=command.run; header command=sleep 1
receive Pay  message=paid; key=order
and Join
end End
Start -> Fork
Fork -> Tell -> Join
Fork -> Wait -> Pay -> Join
Join -> End
"""


@pytest.mark.parametrize(("ttl_s", "status"), [("60", "completed"), ("0", "waiting")])
def test_a_message_is_kept_for_its_time_to_live_and_no_longer(
    place: Project, ttl_s: str, status: str
) -> None:
    (place.root / "early.bpmn").write_bytes(draw(EARLY.replace("TTL", ttl_s)))
    begun = place.engine("process", "run", "early.bpmn", "--var", "order=7.0", "--json")
    assert begun.json["status"] == status
    if status == "completed":
        assert begun.json["variables"]["by"] == "card"


def test_a_kept_message_outlives_the_engine(place: Project) -> None:
    (place.root / "late.bpmn").write_bytes(
        draw(
            PAYING.replace("-> Pay", "-> Approve -> Pay").replace(
                "receive", "user Approve\nreceive"
            )
        )
    )
    run = place.engine("process", "run", "late.bpmn", "--var", "order=7", "--json").json["run"]
    place.engine("message", "paid", "--key", "7", "--ttl", "600", "--var", "by=card")
    assert place.engine("resume", run, "--json").json["status"] == "waiting", "for the person still"
    place.engine("complete", "Approve")
    ended = place.engine("resume", run, "--json")
    assert (ended.json["status"], ended.json["variables"]["by"]) == ("completed", "card")


RINGING = """
start Start
catch Bell  signal=bell
catch Ready  condition=count >= 2
end End
Start -> Bell -> Ready -> End
"""


def test_a_signal_from_outside_reaches_who_waits_for_it(place: Project) -> None:
    (place.root / "ring.bpmn").write_bytes(draw(RINGING))
    begun = place.engine("process", "run", "ring.bpmn", "--var", "count=1")
    assert begun.code == 4
    assert "waits for a signal" in begun.out
    place.engine("signal", "door", "--var", "count=9")
    place.engine("signal", "bell", "--var", "count=2")
    ended = place.engine("resume", "--json")
    assert (ended.code, ended.json["variables"]) == (0, {"count": 2})
    assert place.engine("replay").code == 0
    assert place.engine("signal", "bell").code == 2, "nobody waits any more"


def test_a_pool_is_started_by_its_name_and_at_its_message(place: Project) -> None:
    text = """
start Ordered  message=order
service Tell  type=people.notify; header subject=ordered
end End
Ordered -> Tell -> End
"""
    pool = b'<bpmn:participant id="Pool" name="Web shop" processRef="p" />'
    drawn = draw(text).replace(
        b"<bpmn:process",
        b'<bpmn:collaboration id="C">' + pool + b"</bpmn:collaboration><bpmn:process",
    )
    (place.root / "shop.bpmn").write_bytes(drawn)
    ended = place.engine("process", "run", "shop.bpmn", "--process", "Web shop", "--json")
    assert (ended.code, ended.json["status"], ended.json["process"]) == (0, "completed", "p")
    wrong = place.engine("process", "run", "shop.bpmn", "--process", "Supplier")
    assert (wrong.code, "expected one of p" in wrong.err) == (2, True)


POOLS = {
    "shop": """
start Ordered
send Tell  type=message.publish; header name=order; in correlation_key = number; in message_variables = {what: what}
throw Announce  signal=ordered
end Done
Ordered -> Tell -> Announce -> Done
""",
    "supplier": """
start Order  message=order
service Pack  type=people.notify; in subject = "pack " + what
user Sign
end Sent
Order -> Pack -> Sign -> Sent
""",
    "press": """
start Heard  signal=ordered
end Printed
Heard -> Printed
""",
}


def test_a_message_starts_another_pool_and_the_run_ends_with_the_last(place: Project) -> None:
    (place.root / "pools.bpmn").write_bytes(draw_all(POOLS))
    given = ("--process", "shop", "--var", "number=7", "--var", "what=tea", "--json")
    begun = place.engine("process", "run", "pools.bpmn", *given)
    assert (begun.code, begun.json["status"]) == (4, "waiting"), begun.err
    assert [(w["instance"], w["element"]) for w in begun.json["waiting"]] == [("1", "Sign")]
    assert place.engine("message", "order", "--key", "7").code == 0  # 7 is at work
    assert place.engine("message", "order", "--key", "8", "--var", "what=rice").code == 0
    again = place.engine("resume", "--json").json
    assert [(w["instance"], w["element"]) for w in again["waiting"]] == [
        ("1", "Sign"),
        ("3", "Sign"),
    ]
    for instance in ("1", "3"):
        assert place.engine("complete", f"{instance}/Sign#1").code == 0
    ended = place.engine("resume", "--json")
    assert (ended.code, ended.json["status"], ended.json["process"]) == (0, "completed", "shop")
    for proof in (("ledger", "verify"), ("replay",)):
        assert place.engine(*proof).code == 0
