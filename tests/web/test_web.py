"""HTTP: only listed origins, only whole answers, no password that nobody named, no redirect."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import __version__
from engine.errors import UsageError
from engine.settings import load_project
from engine.web import LIMIT_BYTES, Request, Web, WebError
from tests.web.server import JSON, answering, serving

PROBLEM = {"Content-Type": "application/problem+json; charset=utf-8"}


def ask(url: str, *allowed: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
    answer = Web(allowed, {}).send(Request(method=method, url=url, **more))
    return answer.status, answer.body


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(answering({"a": [1, None]}), (200, {"a": [1, None]}), id="JSON is values"),
        pytest.param(
            (200, {"Content-Type": JSON}, b"1.10"), (200, Decimal("1.10")), id="no floats"
        ),
        pytest.param((409, PROBLEM, b'{"n": 1}'), (409, {"n": 1}), id="so is what is named +json"),
        pytest.param((200, {"Content-Type": "text/plain"}, b"hi"), (200, "hi"), id="text is text"),
        pytest.param((204, {}, b""), (204, ""), id="nothing is empty text"),
        pytest.param(
            (302, {"Location": "http://elsewhere/"}, b""), (302, ""), id="a redirect is told"
        ),
        pytest.param(answering({}, 404), (404, {}), id="not found is an answer"),
    ],
)
def test_an_answer_is_told_as_it_is(
    answer: tuple[int, dict[str, str], bytes], expected: tuple[int, Any]
) -> None:
    with serving(here=answer) as site:
        assert ask(f"{site.origin}/here", site.origin) == expected


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param((503, {}, b"busy"), "status 503", id="try again later"),
        pytest.param((429, {}, b""), "status 429", id="too many"),
        pytest.param((200, {}, b"x" * (LIMIT_BYTES + 1)), "longer than 1,048,576", id="too long"),
        pytest.param((200, {"Content-Type": JSON}, b"{"), "it is not", id="JSON that is none"),
        pytest.param((200, {"Content-Type": JSON}, b"NaN"), "NaN is no JSON", id="no number"),
        pytest.param((200, {"Content-Type": JSON}, b"1e999999"), "out of bounds", id="huge number"),
        pytest.param((200, {"Content-Type": JSON}, b"[" * 99_999), "it is not", id="deep brackets"),
        pytest.param((200, {"Content-Length": "9"}, b"cut"), "not answered", id="cut short"),
    ],
)
def test_anything_but_a_whole_answer_is_an_error(
    answer: tuple[int, dict[str, str], bytes], says: str
) -> None:
    with serving(here=answer) as site, pytest.raises(WebError, match=re.escape(says)):
        ask(f"{site.origin}/here", site.origin)


def test_nobody_there_is_said_in_words() -> None:
    with serving() as site:
        gone = site.origin
    with pytest.raises(
        WebError, match=r"GET http://127\.0\.0\.1:\d+/a was not answered: connection refused"
    ):
        ask(f"{gone}/a?token=1", gone)


def test_what_is_sent() -> None:
    with serving(here=answering(1)) as site:
        web = Web([site.origin], {site.origin: "t0ken"})
        web.send(
            Request(
                method="POST",
                url=f"{site.origin}/here?a=b",
                headers={"X-Mine": "1"},
                body={"n": Decimal("1.5")},
                key="r/0/Ask#1.1",
            )
        )
        (asked,) = site.asked
    assert {**asked, "headers": None} == {
        "method": "POST", "path": "/here?a=b", "headers": None, "body": '{"n": 1.5}',
    }  # fmt: skip
    unsaid = {"host", "accept", "accept-encoding"}
    assert {k: v for k, v in asked["headers"].items() if k not in unsaid} == {
        "user-agent": f"poundlock/{__version__}",
        "authorization": "Bearer t0ken",
        "content-length": "10",
        "content-type": "application/json",
        "idempotency-key": '"r/0/Ask#1.1"',
        "x-mine": "1",
    }


@pytest.mark.parametrize(
    "url",
    [
        "http://allowed.example:81/",
        "https://allowed.example/",
        "http://allowed.example.evil.example/",
        "http://evil.example/http://allowed.example/",
        "http://evil.example\\@allowed.example/",
        "http://allowed.example@evil.example/",
        "http://evil.example#@allowed.example/",
        "http://127.1/",
        "file:///etc/passwd",
        "//allowed.example/",
        "allowed.example",
        "",
    ],
)
def test_no_other_origin_is_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("requests.Session.request", lambda *a, **k: pytest.fail("it was sent"))
    with pytest.raises(UsageError):
        ask(url, "http://allowed.example")


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("TRACE", {}),
        ("get", {}),
        ("GET", {"Host": "elsewhere"}),
        ("GET", {"Idempotency-Key": "mine"}),
        ("GET", {"X": "a\r\nHost: b"}),
        ("GET", {"X Y": "1"}),
    ],
)
def test_a_request_cannot_be_bent(method: str, headers: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        ask("http://allowed.example", "http://allowed.example", method=method, headers=headers)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('allow = ["https://a.example/"]', "say 'https://a.example'"),
        ('allow = ["HTTPS://A.example:443"]', "say 'https://a.example'"),
        ('allow = ["a.example"]', "relative URL without a base"),
        ('allow = ["ftp://a.example"]', "scheme should be 'http' or 'https'"),
        ('token_env = {"https://a.example" = "T"}', "not in allow"),
    ],
)
def test_the_list_holds_origins(tmp_path: Path, text: str, says: str) -> None:
    home = tmp_path / ".engine"
    home.mkdir()
    (home / "engine.toml").write_text(f"[http]\n{text}\n")
    with pytest.raises(UsageError, match=re.escape(says)):
        load_project(tmp_path, environment={})
