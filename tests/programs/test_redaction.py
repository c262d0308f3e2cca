"""Secrets never reach a record, however they are printed and however the stream is cut."""

from __future__ import annotations

import base64
import itertools
import json
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.programs import Redactor

SECRET = "s3cret/Value+1?"
KEY_BLOCK = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n7+abc/def==\n-----END RSA PRIVATE KEY-----"
)


@pytest.mark.parametrize(
    ("printed", "recorded"),
    [
        pytest.param("key AKIAIOSFODNN7EXAMPLE.", "key [redacted:aws-access-key].", id="AWS key"),
        pytest.param(
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "aws_secret_access_key = [redacted:password]",
            id="AWS secret",
        ),
        pytest.param(
            "ghp_" + "a1B2" * 9 + " ok", "[redacted:github-token] ok", id="GitHub token"
        ),
        pytest.param(
            "github_pat_" + "a1B2" * 9, "[redacted:github-token]", id="GitHub fine-grained token"
        ),
        pytest.param("xoxb-1234567890-abc", "[redacted:slack-token]", id="Slack token"),
        pytest.param("sk-" + "a1B2" * 9, "[redacted:api-key]", id="model provider's key"),
        pytest.param(
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl!", "[redacted:jwt]!", id="JWT"
        ),
        pytest.param("password=hunter2x", "password=[redacted:password]", id="password="),
        pytest.param(
            '{"Password": "hunter2x", "n": 1}',
            '{"Password": "[redacted:password]", "n": 1}',
            id="JSON stays JSON",
        ),
        pytest.param(
            "https://me:hunter2x@host/x", "https://me:[redacted:url-password]@host/x", id="in a URL"
        ),
        pytest.param(
            "Authorization: Bearer abcdefgh12345",
            "Authorization: Bearer [redacted:authorization]",
            id="header",
        ),
        pytest.param(
            f"a\n{KEY_BLOCK}\nb\n", "a\n[redacted:private-key]\nb\n", id="private key over lines"
        ),
        pytest.param(
            json.dumps({"k": KEY_BLOCK}), '{"k": "[redacted:private-key]"}', id="private key in JSON"
        ),
        pytest.param(
            '{"type": "usage", "tokens": 1234567}',
            '{"type": "usage", "tokens": 1234567}',
            id="usage is no secret",
        ),
        pytest.param("PWD=/home/me/work", "PWD=/home/me/work", id="a folder is no secret"),
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_replaced(printed: str, recorded: str) -> None:
    assert Redactor().text(printed) == recorded
    assert Redactor().text(recorded) == recorded


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(SECRET, id="plain"),
        pytest.param(base64.b64encode(SECRET.encode()).decode(), id="base64"),
        pytest.param(base64.b64encode(b"u:" + SECRET.encode()).decode(), id="base64 after a name"),
        pytest.param(
            base64.urlsafe_b64encode(b"x" + SECRET.encode() + b"yz").decode(), id="base64 inside"
        ),
        pytest.param(quote(SECRET, safe=""), id="percent-encoded"),
        pytest.param(SECRET.encode().hex(), id="hexadecimal"),
        pytest.param(json.dumps(SECRET)[1:-1].replace("/", "\\/"), id="JSON"),
    ],
)
def test_a_known_value_is_found_in_every_form(form: str) -> None:
    recorded = Redactor({"token": SECRET}).text(f"<{form}>")
    assert "[redacted:token]" in recorded
    assert form not in recorded


def test_each_line_of_a_long_secret_is_a_secret() -> None:
    redactor = Redactor({"key": "first-line-1\nsecond-line-2\n"})
    assert redactor.text("x second-line-2 y") == "x [redacted:key] y"


def test_only_variables_that_look_secret_are_known() -> None:
    environment = {
        "API_TOKEN": "abc-token-1",
        "EDITOR": "an-editor",
        "DB": "postgres://u:db-pass-1@h/d",
        "OTHER_KEY": "other-key-1",
    }
    redactor = Redactor.of_environment(
        environment, ["API_TOKEN", "EDITOR", "DB"], {"extra": "given-1"}
    )
    assert redactor.text("abc-token-1 an-editor db-pass-1 other-key-1 given-1") == (
        "[redacted:API_TOKEN] an-editor [redacted:DB] other-key-1 [redacted:extra]"
    )


def _in_chunks(redactor: Redactor, text: bytes, cuts: list[int]) -> bytes:
    stream = redactor.stream()
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    parts = [stream.feed(text[a:b]) for a, b in itertools.pairwise(edges)]
    return b"".join([*parts, stream.finish()])


_PIECES = st.sampled_from(
    ["text ", "\n", "\r\n", SECRET, "password=", "hunter2x", "AKIAIOSFODNN7EXAMPLE", KEY_BLOCK, "{}", "é", "="]
)  # fmt: skip


@given(pieces=st.lists(_PIECES, max_size=30), cuts=st.lists(st.integers(0, 10_000), max_size=30))
def test_the_cut_of_a_stream_changes_nothing(pieces: list[str], cuts: list[int]) -> None:
    redactor = Redactor({"token": SECRET})
    text = "".join(pieces)
    assert _in_chunks(redactor, text.encode(), cuts) == redactor.text(text).encode()
    assert SECRET.encode() not in _in_chunks(redactor, text.encode(), cuts)


@given(
    places=st.lists(
        st.one_of(
            st.integers(0, 300_000),
            st.builds(lambda n, d: n * 61_440 - d, st.integers(1, 4), st.integers(0, 200)),
        ),
        min_size=1,
        max_size=6,
    ),
    cuts=st.lists(st.integers(0, 400_000), max_size=6),
)
@settings(max_examples=25, deadline=None)
@example(places=[61_440 - 8], cuts=[])
def test_a_secret_in_an_endless_line_is_found_at_every_place(
    places: list[int], cuts: list[int]
) -> None:
    text = "y" * 300_000
    for place in sorted(places, reverse=True):
        text = f"{text[:place]}{SECRET}{text[place:]}"
    recorded = _in_chunks(Redactor({"token": SECRET}), text.encode(), cuts)
    assert SECRET.encode() not in recorded
    assert recorded.count(b"[redacted:token]") == len(places)
    assert len(recorded) == 300_000 + len(places) * len("[redacted:token]")


def test_a_private_key_without_end_does_not_swallow_what_follows() -> None:
    recorded = Redactor().text('-----BEGIN PRIVATE KEY-----\nMIIEow\n{"type": "progress"}\n')
    assert recorded == '[redacted:private-key]\n{"type": "progress"}\n'
