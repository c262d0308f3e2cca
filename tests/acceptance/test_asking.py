"""`http.request`, `decision.evaluate`, `policy.check`: a diagram asks, goes on with the answer, and all of it replays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Project
from tests.core.drawing import draw
from tests.web.server import answering, serving

PRICE = """<definitions xmlns="https://www.omg.org/spec/DMN/20191111/MODEL/" id="d" name="d" namespace="http://camunda.org/schema/1.0/dmn">
  <decision id="price" name="Price"><variable name="Price"/>
    <decisionTable hitPolicy="UNIQUE">
      <input><inputExpression><text>size</text></inputExpression></input>
      <output name="price"/>
      <rule id="small"><inputEntry><text>&lt; 10</text></inputEntry><outputEntry><text>5</text></outputEntry></rule>
      <rule id="large"><inputEntry><text>&gt;= 10</text></inputEntry><outputEntry><text>4</text></outputEntry></rule>
    </decisionTable>
  </decision>
</definitions>"""
BUDGET = """package budget
import rego.v1
default allow := false
default deny := []
allow if count(deny) == 0
deny contains {"code": "TOO_DEAR", "msg": "over the budget", "path": "/cost"} if input.cost > 40
"""
ASKING = """
start Start
service Price  type=decision.evaluate; in decision = table; in inputs = {{size: amount}}; out price = evaluation.value
service Judge  type=policy.check; header policy=budget; in input = {{cost: price * amount}}; out verdict = verdict; out reasons = reasons
xor Allowed
service Order  type=http.request; header url={origin}/orders; header method=POST; in body = {{amount: amount}}; out id = response.body.id
end Ordered
end Refused
Start -> Price -> Judge -> Allowed
Allowed -> Order : verdict = "pass"
Allowed -> Refused default
Order -> Ordered
"""


@pytest.fixture
def place(tmp_path: Path) -> Project:
    (tmp_path / "a b").mkdir()
    return Project(tmp_path / "a b")


def write(place: Project, origin: str, text: str = ASKING) -> None:
    (place.root / "order.bpmn").write_bytes(draw(text.format(origin=origin)))
    (place.root / "price.dmn").write_text(PRICE)
    (place.root / "budget.rego").write_text(BUDGET)
    place.configure(f'[http]\nallow = ["{origin}"]\n')


@pytest.mark.parametrize(
    ("amount", "variables", "bodies"),
    [
        (5, {"price": 5, "verdict": "pass", "reasons": [], "id": 7}, ['{"amount": 5}']),
        (
            12,
            {
                "price": 4,
                "verdict": "fail",
                "reasons": [
                    {
                        "code": "TOO_DEAR",
                        "message": "over the budget",
                        "path": "/cost",
                        "location": "",
                    }
                ],
            },
            [],
        ),
    ],
)
def test_a_diagram_goes_on_with_what_it_asked(
    place: Project, amount: int, variables: dict[str, Any], bodies: list[str]
) -> None:
    with serving(orders=answering({"id": 7}, 201)) as site:
        write(place, site.origin)
        given = ("--var", f"amount={amount}", "--var", "table=price")
        ended = place.engine("process", "run", "order.bpmn", *given, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["variables"] == {"amount": amount, "table": "price", **variables}
    assert [asked["body"] for asked in site.asked] == bodies
    for proof in (("ledger", "verify"), ("replay",)):
        assert place.engine(*proof).code == 0


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (
            ("header policy=budget", "header policy=budgt"),
            "asks for policy budgt, which is not there",
        ),
        (
            ("in decision = table", "header decision=prize"),
            "asks for decision prize, which is not there",
        ),
    ],
)
def test_what_a_diagram_asks_for_must_be_there(
    place: Project, broken: tuple[str, str], says: str
) -> None:
    write(place, "http://127.0.0.1:9", ASKING.replace(*broken))
    refused = place.engine("process", "run", "order.bpmn")
    assert (refused.code, says in refused.err) == (3, True), refused.err


@pytest.mark.parametrize(
    ("table", "allow", "element", "says"),
    [
        ("prices", True, "Price", "the bundle has no decision 'prices'"),
        ("price", False, "Order", "is not on the list of what processes may ask"),
    ],
)
def test_a_question_that_cannot_be_asked_waits_for_a_person(
    place: Project, table: str, allow: bool, element: str, says: str
) -> None:
    with serving(orders=answering({"id": 7})) as site:
        write(place, site.origin)
        if not allow:
            place.configure("")
        given = ("--var", "amount=5", "--var", f"table={table}")
        assert place.engine("process", "run", "order.bpmn", *given).code == 4
    (incident,) = place.engine("incidents", "--json").json["incidents"]
    assert (incident["element"], says in incident["text"]) == (element, True), incident["text"]
    assert site.asked == []


def test_a_table_that_lint_refuses_starts_nothing(place: Project) -> None:
    write(place, "http://127.0.0.1:9")
    (place.root / "price.dmn").write_text(PRICE.replace("&lt; 10", "&lt; 12"))
    refused = place.engine("process", "run", "order.bpmn")
    assert (refused.code, "[overlap]" in refused.err) == (3, True), refused.err
    assert not (place.root / ".engine" / "engine.db").exists()
