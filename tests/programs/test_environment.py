"""The environment of a program holds what is allowed and nothing else; its output is safe to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.programs import clean_environment, printable

ENGINE_ENVIRONMENT = {
    "PATH": "/usr/bin::.:bin:/bin",
    "HOME": "/home/me",
    "LANG": "de_DE.UTF-8",
    "GIT_DIR": "/somewhere",
    "LD_PRELOAD": "/evil.so",
    "AWS_SECRET": "x",
    "AIDER_MODEL": "m",
    "AIDER_KEY": "k",
}


@pytest.mark.parametrize(
    ("allow", "environment"),
    [
        pytest.param((), {}, id="nothing allowed"),
        pytest.param(("AWS_SECRET", "NOT_SET"), {"AWS_SECRET": "x"}, id="one name"),
        pytest.param(("AIDER_*",), {"AIDER_MODEL": "m", "AIDER_KEY": "k"}, id="a prefix"),
        pytest.param(("HOME",), {"HOME": "/home/me"}, id="the real home"),
        pytest.param(("PATH",), {}, id="PATH stays clean"),
        pytest.param(("*",), {}, id="everything is no prefix"),
    ],
)
def test_only_allowed_names_pass(allow: tuple[str, ...], environment: dict[str, str]) -> None:
    assert clean_environment(allow, {"TASK": "T1"}, home=Path("/h"), source=ENGINE_ENVIRONMENT) == {
        "PATH": "/usr/bin:/bin",
        "LANG": "de_DE.UTF-8",
        "HOME": "/h",
        "TMPDIR": "/h",
        "TASK": "T1",
        **environment,
    }


def test_an_empty_environment_still_finds_programs() -> None:
    assert clean_environment(home=Path("/h"), temporary=Path("/t"), source={}) == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/h",
        "TMPDIR": "/t",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m\tok\n", "red\tok\n"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\rb\x08c\x00", "abc"),
        ("abc\u202edef", "abcdef"),
        ("\x9b31mx", "31mx"),
        ("\x1bPq#0\x1b\\x\x1bc", "x"),
    ],
)
def test_printable_text_has_no_control_over_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown
