"""Decisions in the shape of OPA's decision log: what its tools read, without secrets."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator, FormatChecker

from engine.core.model import (
    InstanceStarted,
    Json,
    Reason,
    Ruling,
    Verdict,
    VerdictCancelled,
    VerdictGiven,
    VerdictRequested,
    Waived,
)
from engine.ledger import Draft, Entry, Head, read_entry, seal, turn
from engine.policy import PolicySet
from engine.programs import Redactor
from engine.runtime.decision_log import decision_log
from engine.runtime.engine import Engine
from tests.acceptance.conftest import Project, make_project, task
from tests.acceptance.planted import plant, secret
from tests.opa import free_port, opa_binary

__all__ = ["make_project"]  # a fixture

NOW = datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC)
DIGEST = "ab" * 32

#: OPA 1.10: the table of fields in management-decision-logs and type EventV1, which the server's upload is made from
EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["labels", "decision_id", "timestamp"],
    "additionalProperties": False,
    "properties": {
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "decision_id": {"type": "string", "minLength": 1},
        "batch_decision_id": {"type": "string"},
        "trace_id": {"type": "string"},
        "span_id": {"type": "string"},
        "bundles": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"revision": {"type": "string"}},
            },
        },
        "path": {"type": "string"},
        "query": {"type": "string"},
        "input": {},
        "result": {},
        "intermediate_results": {"type": "object"},
        "mapped_result": {},
        "nd_builtin_cache": {"type": "object"},
        "erased": {"type": "array", "items": {"type": "string", "format": "json-pointer"}},
        "masked": {"type": "array", "items": {"type": "string", "format": "json-pointer"}},
        "error": {"type": "object", "required": ["code", "message"]},
        "requested_by": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
        "metrics": {"type": "object"},
        "req_id": {"type": "integer", "minimum": 0},
        "request_context": {"type": "object"},
        "custom": {"type": "object"},
    },
}
SHAPE = Draft202012Validator(EVENT, format_checker=FormatChecker())


def entries(*drafts: Draft) -> Iterator[Entry]:
    head = Head(run="r1", epoch=1)
    for draft in drafts:
        sealed = seal(head, draft)
        head = replace(head, seq=sealed.seq, hash=sealed.hash)
        yield read_entry(sealed.line)


def asked(package: str, input_: Json, key: str = "Gate#1") -> Draft:
    event = VerdictRequested(request=key, element="Gate", package=package, input=input_)
    return turn("0", InstanceStarted(at=NOW, process="p"), [event], task="a")


def given(verdict: Verdict, key: str = "Gate#1") -> Draft:
    return turn("0", VerdictGiven(at=NOW, request=key, verdict=verdict), [], task="a")


def verdict(ruling: Ruling, *reasons: Reason) -> Verdict:
    return Verdict(
        ruling=ruling, reasons=reasons, engine="regorus 0.13.0", bundle=DIGEST, duration_us=7
    )


def events(*drafts: Draft, redactor: Redactor | None = None) -> list[dict[str, Any]]:
    lines = decision_log(
        entries(*drafts), run="r1", redactor=redactor or Redactor(), version="0.1.0"
    )
    told = [json.loads(line) for line in lines]
    for event in told:
        SHAPE.validate(event)
    return told


def test_a_decision_is_one_event_of_opa() -> None:
    denied = verdict(Ruling.FAIL, Reason(code="A", message="no", path="/n"))
    assert events(asked("company.merge", {"n": 1}), given(denied)) == [
        {
            "labels": {"app": "poundlock", "id": "r1", "version": "0.1.0"},
            "decision_id": "52355a0e-9546-5b3b-9032-e6fd3b31f995",
            "bundles": {"poundlock": {"revision": DIGEST}},
            "path": "company/merge",
            "input": {"n": 1, "now": "2026-01-02T03:04:05.000600+00:00"},
            "result": {"allow": False, "deny": [{"code": "A", "msg": "no", "path": "/n"}]},
            "requested_by": "0/Gate#1",
            "timestamp": "2026-01-02T03:04:05.000600Z",
            "metrics": {"timer_rego_query_eval_ns": 7000},
            "req_id": 2,
            "custom": {
                "engine": "regorus 0.13.0",
                "ruling": "fail",
                "run": "r1",
                "instance": "0",
                "element": "Gate",
                "task": "a",
            },
        }
    ]


@pytest.mark.parametrize(
    ("ruling", "answer"),
    [
        (Ruling.PASS, {"result": {"allow": True, "deny": []}}),
        (Ruling.ERROR, {"error": {"code": "TIMEOUT", "message": "no answer within 5 s"}}),
        (Ruling.UNDEFINED, {}),
    ],
)
def test_only_a_decision_document_is_a_result(ruling: Ruling, answer: object) -> None:
    reasons = [Reason(code="TIMEOUT", message="no answer within 5 s")] if answer else []
    (event,) = events(
        asked("p", {}), given(verdict(ruling, *(reasons if ruling is Ruling.ERROR else ())))
    )
    assert {key: event[key] for key in ("result", "error") if key in event} == answer


def test_what_a_waiver_took_away_is_told() -> None:
    away = Waived(code="A", message="no", path="/n", waiver="w1")
    (event,) = events(asked("p", {}), given(replace(verdict(Ruling.PASS), waived=(away,))))
    assert event["result"] == {
        "allow": True,
        "deny": [],
        "waived": [{"code": "A", "msg": "no", "path": "/n", "waiver": "w1"}],
    }


def test_a_question_without_an_answer_is_no_decision() -> None:
    cancelled = turn(
        "0", InstanceStarted(at=NOW, process="p"), [VerdictCancelled(request="Gate#1")]
    )
    assert events(asked("p", {}), cancelled) == []


def test_the_input_is_what_the_policy_saw() -> None:
    """The policy tells its own input; the log says the same."""
    text = 'package p\nallow := false\ndeny contains {"code": "A", "msg": json.marshal(input)}\n'
    said = PolicySet.load({"p.rego": text}).decide("p", {"a": [1, None, "x"]}, NOW)
    (event,) = events(asked("p", {"a": [1, None, "x"]}), given(said))
    assert json.loads(event["result"]["deny"][0]["msg"]) == event["input"]


# --- masking ------------------------------------------------------------------------------------------


def test_what_is_masked_is_named() -> None:
    token = secret(random.Random(1), 0)
    redactor = Redactor({"MINE": "correct horse"})
    input_: Json = {
        "login": {"password": "hunter22", "name": "x"},
        "lines": ["ok", f"token is {token}", "say correct horse"],
        f"f/{token}": 1,
    }
    (event,) = events(asked("p", input_), given(verdict(Ruling.PASS)), redactor=redactor)
    assert event["input"] == {
        "login": {"password": "[redacted:password]", "name": "x"},
        "lines": ["ok", "token is [redacted:github-token]", "say [redacted:MINE]"],
        "f/[redacted:github-token]": 1,
        "now": "2026-01-02T03:04:05.000600+00:00",
    }
    assert event["masked"] == ["/input/lines/1", "/input/lines/2", "/input/login/password"]


def test_no_planted_secret_is_in_any_line() -> None:
    words = [word for words in plant(350, seed=9).values() for word in words]
    known = {f"K{number}": f"plain-value-{number:04}-x" for number in range(3)}
    random_ = random.Random(3)
    drafts: list[Draft] = []
    for number, word in enumerate([*words, *known.values()]):
        told = Reason(code="A", message=f"saw {word}", path=f"/{word}", location=word)
        ruling = random_.choice([Ruling.FAIL, Ruling.ERROR])
        place = random_.choice(["value", "key", "deep", "list", "text"])
        input_ = {
            "value": {"v": word},
            "key": {word: {"v": 1}},
            "deep": {"a": {"b": [{"c": f"https://u:{word}@h/x"}]}},
            "list": [f"x={word};", word],
            "text": f"-----BEGIN PRIVATE KEY-----\n{word}\n-----END PRIVATE KEY-----\n",
        }[place]
        drafts += [
            asked("p", input_, f"Gate#{number}"),
            given(verdict(ruling, told), f"Gate#{number}"),
        ]
    lines = list(
        decision_log(entries(*drafts), run="r1", redactor=Redactor(known), version="0.1.0")
    )
    whole = b"\n".join(lines)
    assert [word for word in [*words, *known.values()] if word.encode() in whole] == []
    assert len(lines) == len(words) + len(known)
    for line in lines:
        SHAPE.validate(json.loads(line))


def test_what_is_only_seen_in_the_whole_line_erases_input_and_result() -> None:
    """A value of which the parts are harmless, and the line is not."""
    redactor = Redactor({"PAIR": 'one","two'})
    (event,) = events(asked("p", ["one", "two"]), given(verdict(Ruling.PASS)), redactor=redactor)
    assert [key for key in ("input", "result") if key in event] == []
    assert event["erased"] == ["/input", "/result"]


# --- the command, and the real thing ------------------------------------------------------------------


def test_the_command_writes_lines(make_project: Callable[..., Project], tmp_path: Path) -> None:
    here = make_project()
    here.write_graph([task("a")])
    run = Engine.open(here.root).run_feature("shop").run

    shown = here.engine("ledger", "export", run, "--format", "opa-decision-log")
    filed = here.engine(
        "ledger", "export", "-f", "opa-decision-log", "-o", str(tmp_path / "log"), "--json"
    )

    told = [json.loads(line) for line in shown.out.splitlines()]
    for event in told:
        SHAPE.validate(event)
    assert {event["path"] for event in told} == {"preflight", "launch", "merge"}
    assert {event["custom"]["ruling"] for event in told} == {"pass"}
    assert len({event["decision_id"] for event in told}) == len(told)
    assert (tmp_path / "log").read_text("utf-8") == shown.out
    assert (filed.json["run"], filed.json["decisions"]) == (run, len(told))


@pytest.mark.opa
@pytest.mark.usefixtures("opa_url")
def test_the_shape_is_that_of_the_reference_implementation(tmp_path: Path) -> None:
    """What a real server logs about the same question has our shape, and the same path, input and result."""
    text = 'package p\nallow := false\ndeny contains {"code": "A", "msg": "no", "path": ""}\n'
    (tmp_path / "p.rego").write_text(text, "utf-8")
    event = {key: value for key, value in logged(tmp_path).items() if key not in _OF_THE_CONSOLE}
    SHAPE.validate(event)

    said = PolicySet.load({"p.rego": text}).decide("p", {"n": 1}, NOW)
    (ours,) = events(asked("p", {"n": 1}), given(said))
    assert {**ours["input"], "now": ""} == {**event["input"], "now": ""}
    assert [ours["path"], ours["result"]] == [event["path"], event["result"]]
    shared = event.keys() & ours.keys()
    assert {"labels", "decision_id", "timestamp", "metrics", "req_id", "requested_by"} <= shared
    assert {key: type(ours[key]) for key in shared} == {key: type(event[key]) for key in shared}


_OF_THE_CONSOLE = ("level", "msg", "time", "type")


def logged(place: Path) -> dict[str, Any]:
    """Ask a real server with its decision log on the console, and return what it logged."""
    binary = opa_binary()
    assert binary is not None  # the fixture has seen it
    port, log = free_port(), place / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [binary, "run", "--server", "--addr", f"127.0.0.1:{port}", "--log-format", "json",
             "--set", "decision_logs.console=true", str(place / "p.rego")],
            stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                asked_ = requests.post(
                    f"http://127.0.0.1:{port}/v1/data/p", json={"input": {"n": 1}}, timeout=5
                )
            except requests.ConnectionError:
                continue
            if asked_.ok:
                break
        while time.monotonic() < deadline:
            for line in log.read_text("utf-8").splitlines():
                if '"decision_id"' in line and "openpolicyagent.org/decision_logs" in line:
                    found: dict[str, Any] = json.loads(line)
                    return found
        raise AssertionError(f"no decision was logged: {log.read_text('utf-8')[-2000:]}")
    finally:
        server.terminate()
        server.wait(10)
