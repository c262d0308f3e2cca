"""The OPA server back end: the same verdicts as in this process, and every way a server can let us down."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.model import Ruling, Verdict
from engine.errors import DefinitionError, EnvironmentFailure, UsageError
from engine.policy import PolicySet, ServerSettings
from engine.policy.authoring import run_tests
from engine.policy.opa import OpaServer
from engine.shipped import folder
from tests.acceptance.conftest import Project
from tests.opa import free_port, opa_binary
from tests.policy.shipped import shipped

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made: list[OpaServer] = []
    begin = OpaServer.__init__

    def remember(self: OpaServer, *arguments: Any, **named: Any) -> None:
        made.append(self)
        begin(self, *arguments, **named)

    monkeypatch.setattr(OpaServer, "__init__", remember)
    yield
    for server in made:
        if hasattr(server, "_client"):
            server.close()


def on_server(url: str, modules: Mapping[str, str]) -> PolicySet:
    return PolicySet.load(modules, server=ServerSettings(url=url, timeout_s=5), deadline_s=10)


def essence(verdict: Verdict) -> object:
    """What both back ends must agree on; the wording of an evaluation error is the engine's own."""
    if verdict.ruling is Ruling.ERROR:
        return (verdict.ruling, [reason.code for reason in verdict.reasons])
    return (verdict.ruling, verdict.reasons)


# --- the same verdicts --------------------------------------------------------------------------------


@pytest.mark.opa
@pytest.mark.parametrize(
    "body",
    [
        "allow := true\ndeny := []",
        'allow := false\ndeny := [{"code": "A", "msg": "no"}]',
        'allow := true\ndeny := [{"code": "A", "msg": "no"}]',
        'allow := "true"\ndeny := []',
        "deny := []",
        "allow := true",
        "allow if input.absent.member == 1",
        "allow := to_number(input.text) == 1\ndeny := []",
        "allow := input.n == 1\ndeny := []",
        "allow := 1\nallow := 2 if input.n == 1\ndeny := []",
        'default allow := false\nallow if input.n == 1\ndeny contains {"code": "B", "msg": "b", "path": "/n"} if input.n == 1',
        'allow := startswith(input.now, "2026")\ndeny := []',
        "allow := input.big == 12345678901234567890\ndeny := []",
        'allow := sprintf("%v", [input.half]) == "0.5"\ndeny := []',
    ],
)
def test_one_policy_gets_one_verdict_on_both(opa_url: str, body: str) -> None:
    text = f"package p\nimport rego.v1\n{body}\n"
    given_input = {"n": 1, "text": "no number", "big": 12345678901234567890, "half": 0.5}
    answers = [
        policies.decide("p", given_input, NOW)
        for policies in (PolicySet.load({"p.rego": text}), on_server(opa_url, {"p.rego": text}))
    ]
    assert essence(answers[0]) == essence(answers[1])


HASHES = """package p
default allow := false
deny contains {"code": "HASH", "msg": text} if some text in {
	crypto.md5(input.text), crypto.sha1(input.text), crypto.sha256(input.text),
	crypto.hmac.md5(input.text, input.key), crypto.hmac.sha1(input.text, input.key),
	crypto.hmac.sha256(input.text, input.key), crypto.hmac.sha512(input.text, input.key),
	sprintf("equal: %v", [crypto.hmac.equal(input.text, input.key)]),
}
"""


@pytest.mark.opa
def test_added_hashes_are_those_of_the_reference_implementation(opa_url: str) -> None:
    here, there = PolicySet.load({"p.rego": HASHES}), on_server(opa_url, {"p.rego": HASHES})
    texts = st.text(max_size=80) | st.sampled_from([None, True, 1, [], {"a": 1}, "x" * 1000])

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(texts, texts, st.booleans())
    def law(text: object, key: object, same: bool) -> None:
        asked = {"text": text, "key": text if same else key}
        answers = [essence(policies.decide("p", asked, NOW)) for policies in (here, there)]
        assert answers[0] == answers[1]

    law()
    assert len(here.decide("p", {"text": "a", "key": "b"}, NOW).reasons) == 8


@pytest.fixture(scope="module")
def recorded_inputs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Any]]:
    """Return (package, input) of every policy gateway of a real run."""
    from engine import demo
    from engine.runtime.engine import Engine
    from engine.runtime.home import initialise

    root = demo.make_repository(tmp_path_factory.mktemp("demo") / "p")
    initialise(root)
    demo.write_feature(root / ".engine")
    engine = Engine.open(root)
    run = engine.run_feature(demo.FEATURE).run
    with engine.store() as store:
        return [
            (str(event["package"]), event["input"])
            for entry in store.entries(run)
            for event in entry.events
            if event["kind"] == "verdict_requested"
        ]


@pytest.fixture
def both(opa_url: str) -> tuple[PolicySet, PolicySet]:
    return PolicySet.load(shipped(), deadline_s=10), on_server(opa_url, shipped())


@pytest.mark.opa
def test_shipped_policies_agree_on_recorded_inputs_and_on_spoilt_ones(
    both: tuple[PolicySet, PolicySet], recorded_inputs: list[tuple[str, Any]]
) -> None:
    seen: set[Ruling] = set()

    @settings(
        max_examples=150,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=True,
    )
    @given(st.data())
    def law(data: st.DataObject) -> None:
        package, value = data.draw(st.sampled_from(recorded_inputs))
        for _ in range(data.draw(st.integers(0, 3))):
            value = data.draw(spoilt(value))
        answers = [policies.decide(package, value, NOW) for policies in both]
        assert essence(answers[0]) == essence(answers[1]), (package, value)
        seen.add(answers[0].ruling)

    law()
    assert {Ruling.PASS, Ruling.FAIL} <= seen


def spoilt(value: Any) -> st.SearchStrategy[Any]:
    """Return values that differ from `value` in one place: a member gone, or something else instead."""
    junk = st.sampled_from([None, True, 0, -1, "", "fail", "../x", "ключ", [], {}, ["x"], {"a": 1}])
    if isinstance(value, Mapping) and value:
        keys = st.sampled_from(sorted(value))
        without = keys.map(lambda key: {k: v for k, v in value.items() if k != key})
        deeper = keys.flatmap(lambda key: spoilt(value[key]).map(lambda new: {**value, key: new}))
        return without | deeper | deeper
    if isinstance(value, list | tuple) and value:
        places = st.integers(0, len(value) - 1)
        return places.flatmap(
            lambda at: spoilt(value[at]).map(lambda new: [*value[:at], new, *value[at + 1 :]])
        ) | places.map(lambda at: [*value[:at], *value[at + 1 :]])
    return junk


@pytest.mark.opa
def test_the_tests_of_the_shipped_policies_pass_on_the_reference_implementation(
    opa_url: str,
) -> None:
    binary = opa_binary()
    assert binary is not None  # the fixture above has seen it
    done = subprocess.run(
        [binary, "test", str(folder("policies")), "--format=json", "--timeout=60s"],
        capture_output=True,
        text=True,
        check=False,
    )
    results = json.loads(done.stdout)
    failed = [result["name"] for result in results if result.get("fail") or result.get("error")]
    assert (failed, len(results) >= 40) == ([], True)


@pytest.mark.opa
def test_authors_get_the_same_from_a_server(opa_url: str, tmp_path: Path) -> None:
    every = shipped(tests=True)
    server = ServerSettings(url=opa_url, timeout_s=5)
    assert run_tests(every, server) == run_tests(every)
    (tmp_path / "p.rego").write_text("package p\nallow := false\ndeny := []\n", "utf-8")
    here = Project(tmp_path)
    asked = here.engine(
        "policy", "eval", "-p", "p", "--policies", ".", "--server", opa_url, "--json"
    )
    assert (asked.code, asked.json["ruling"]) == (1, "fail")
    assert asked.json["engine"].startswith("opa ")
    missing = here.engine("policy", "test", ".", "--server", f"http://127.0.0.1:{free_port()}")
    assert (
        missing.code,
        "the OPA server cannot be used: got Connection refused" in missing.err,
    ) == (
        6,
        True,
    )


# --- one bundle on the server -------------------------------------------------------------------------


@pytest.mark.opa
def test_the_newest_bundle_replaces_the_one_before_which_then_closes(opa_url: str) -> None:
    first = on_server(opa_url, {"p.rego": "package p\nallow := true\ndeny := []\n"})
    assert first.decide("p", {}, NOW).ruling is Ruling.PASS
    second = on_server(opa_url, {"p.rego": "package p\nallow := false\ndeny := []\n"})
    assert second.decide("p", {}, NOW).ruling is Ruling.FAIL
    verdict = first.decide("p", {}, NOW)
    assert (verdict.ruling, [reason.code for reason in verdict.reasons]) == (
        Ruling.ERROR,
        ["WRONG_BUNDLE"],
    )


@pytest.mark.opa
def test_a_policy_of_somebody_else_for_our_package_is_refused(opa_url: str) -> None:
    client = OpaServer({"q.rego": "package q\n"}, {}, "0" * 64, ServerSettings(url=opa_url))._client
    client.update_policy_from_string("package p\nallow := true\n", "foreign", rego_compat=False)
    try:
        with pytest.raises(UsageError, match="a policy of its own for package p"):
            on_server(opa_url, {"p.rego": "package p\nallow := false\n"})
    finally:
        client.delete_policy("foreign")


@pytest.mark.opa
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("package p\nallow if {\n", r"p\.rego: the OPA server refuses the policy"),
        (
            "package p\nallow := http.send({})\n",
            r"p\.rego:2:10: error: http\.send gives answers",
        ),
        (
            "package p\nallow := time.now_ns() > 0\n",
            r"p\.rego:2:10: error: time\.now_ns gives answers",
        ),
    ],
)
def test_a_policy_that_cannot_be_used_is_refused_at_load(
    opa_url: str, text: str, sentence: str
) -> None:
    with pytest.raises(DefinitionError, match=sentence):
        on_server(opa_url, {"p.rego": text})


@pytest.mark.parametrize("url", ["127.0.0.1:8181", "ftp://x", "http://", "http://h:1/path"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"policy\.url"):
        on_server(url, {})


def test_a_server_that_is_not_there_is_said_at_the_start() -> None:
    with pytest.raises(EnvironmentFailure, match="cannot be used"):
        on_server(f"http://127.0.0.1:{free_port()}", {"p.rego": "package p\n"})


# --- servers that let us down -------------------------------------------------------------------------


class Broken(BaseHTTPRequestHandler):
    """Passes everything on to a real OPA until it is told to misbehave."""

    upstream = ""
    fault = ""

    def do_GET(self) -> None:
        self._pass_on()

    do_PUT = do_DELETE = do_GET

    def do_POST(self) -> None:
        match self.fault:
            case "":
                self._pass_on()
            case "hung":
                self._wait()
            case "late":
                self._wait()
                self._answer(200, b'{"result": {"digest": "x", "documents": []}}')
            case "500":
                self._answer(500, b'{"code": "internal_error", "message": "it broke"}')
            case "500 without a body":
                self._answer(500, b"")
            case "401":
                self._answer(401, b'{"code": "unauthorized", "message": "who are you"}')
            case "truncated":
                self._answer(200, b'{"result": {"digest"')
            case "html":
                self._answer(200, b"<html><body>Welcome</body></html>")
            case "redirect":
                self.send_response(302)
                self.send_header("Location", self.upstream)
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "list":
                self._answer(200, b"[]")
            case "no result":
                self._answer(200, b"{}")
            case "wrong digest":
                self._answer(
                    200,
                    b'{"result": {"digest": "0", "documents": [{"allow": true, "deny": []}]}}',
                )
            case "two documents":
                digest = json.dumps(type(self).digest).encode()
                self._answer(200, b'{"result": {"digest": %s, "documents": [1, 2]}}' % digest)
            case "closed":
                self.connection.close()

    digest = ""

    def _wait(self) -> None:
        type(self).waiting.wait(5)

    waiting = threading.Event()

    def _pass_on(self) -> None:
        import requests

        length = int(self.headers.get("Content-Length") or 0)
        answer = requests.request(
            self.command,
            self.upstream + self.path,
            data=self.rfile.read(length),
            headers={"Content-Type": self.headers.get("Content-Type", "text/plain")},
            timeout=10,
        )
        self._answer(answer.status_code, answer.content)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def broken_server(upstream: str) -> Iterator[tuple[str, type[Broken]]]:
    handler = type("Handler", (Broken,), {"upstream": upstream, "waiting": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
    finally:
        handler.waiting.set()
        server.shutdown()
        server.server_close()


@pytest.mark.opa
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("hung", "TIMEOUT"),
        ("late", "TIMEOUT"),
        ("500", "EVALUATION"),
        ("500 without a body", "MALFORMED_ANSWER"),
        ("401", "EVALUATION"),
        ("truncated", "MALFORMED_ANSWER"),
        ("html", "MALFORMED_ANSWER"),
        ("redirect", "UNREACHABLE"),
        ("list", "MALFORMED_ANSWER"),
        ("no result", "WRONG_BUNDLE"),
        ("wrong digest", "WRONG_BUNDLE"),
        ("two documents", "MALFORMED_ANSWER"),
        ("closed", "UNREACHABLE"),
    ],
)
def test_a_server_that_lets_us_down_closes_the_gateway_and_says_how(
    opa_url: str, fault: str, code: str
) -> None:
    with broken_server(opa_url) as (url, handler):
        policies = PolicySet.load(
            {"p.rego": "package p\nallow := true\ndeny := []\n"},
            server=ServerSettings(url=url, timeout_s=0.5),
            deadline_s=1.5,
        )
        assert policies.decide("p", {}, NOW).ruling is Ruling.PASS
        handler.digest = policies.digest
        handler.fault = fault
        began = time.monotonic()
        verdict = policies.decide("p", {}, NOW)
        assert (verdict.ruling, [reason.code for reason in verdict.reasons]) == (
            Ruling.ERROR,
            [code],
        )
        assert time.monotonic() - began < 4
        assert verdict.engine.startswith("opa ")
        handler.fault = ""
        handler.waiting.set()
        assert policies.decide("p", {}, NOW).ruling is Ruling.PASS, "the next answer counts again"


@pytest.mark.opa
def test_a_token_is_sent(opa_url: str) -> None:
    seen: list[str | None] = []

    class Listening(Broken):
        upstream = opa_url

        def do_POST(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self._pass_on()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listening)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        policies = PolicySet.load(
            {"p.rego": "package p\nallow := true\ndeny := []\n"},
            server=ServerSettings(url=url, token="abc"),
        )
        assert policies.decide("p", {}, NOW).ruling is Ruling.PASS
    finally:
        server.shutdown()
        server.server_close()
    assert set(seen) == {"Bearer abc"}


def test_the_pinned_binary_is_there_where_it_must_be() -> None:
    if os.environ.get("CI"):
        found = opa_binary()
        assert found is not None, "in CI, OPA must be installed"
        assert Path(found).exists()
