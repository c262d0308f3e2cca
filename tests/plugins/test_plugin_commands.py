"""engine plugin list, new, test, run: one JSON object with --json, and the exit codes of the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.cli.plugin import app
from engine.errors import UsageError


def engine_plugin(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Return (exit code, the JSON object printed)."""
    code = app([*arguments, "--json"], standalone_mode=False)
    return code, json.loads(capsys.readouterr().out)


def test_list_names_plugins_and_findings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plugins" / "broken").mkdir(parents=True)
    code, body = engine_plugin(
        capsys, "list", "-C", str(tmp_path), "--folder", str(tmp_path / "plugins")
    )
    assert code == 3
    assert body["schema"] == "engine.plugin-list/v1"
    assert [plugin["id"] for plugin in body["plugins"]][:2] == ["circuit-breaker", "git-inspector"]
    assert body["findings"] == [
        {
            "where": str(tmp_path / "plugins" / "broken" / "plugin.spec.json"),
            "message": "a plugin folder holds a specification: expected plugin.spec.json, but got none",
        }
    ]


def test_new_then_test_then_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = ("-C", str(tmp_path))
    code, body = engine_plugin(capsys, "new", "shout", "--category", "transformation", *project)
    assert (code, body["folder"]) == (0, str(tmp_path / ".engine" / "plugins" / "shout"))
    code, body = engine_plugin(capsys, "test", "shout", *project)
    assert (code, body["plugins"][0]["passed"]) == (0, True)
    code, body = engine_plugin(
        capsys, "run", "shout", "transform", "-i", '{"text": "hi"}', *project
    )
    assert (code, body["schema"], body["result"], body["output"]) == (
        0,
        "engine.plugin-run/v1",
        "ok",
        {"text": "HI"},
    )


def test_a_plugin_that_fails_its_cases_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine_plugin(capsys, "new", "shout", str(tmp_path), "--category", "transformation")
    main = tmp_path / "shout" / "src" / "main.py"
    main.write_text(main.read_text().replace(".upper()", ".lower()"))
    code, body = engine_plugin(capsys, "test", str(tmp_path / "shout"))
    assert (code, body["plugins"][0]["passed"]) == (1, False)


@pytest.mark.parametrize(
    ("arguments", "code", "result", "reason_code"),
    [
        (["shell-executor", "run", "-i", '{"args": ["false"]}'], 1, "failed", "EXIT_CODE"),
        (["shell-executor", "run", "-i", '{"args": ["true"]}'], 0, "ok", ""),
        (["shell-executor", "run", "-i", '{"args": ["x"]}', "--what-if"], 0, "ok", ""),
        (["quality-gate", "check", "-i", '{"args": ["no-such-tool"]}'], 6, "na", "TOOL_ABSENT"),
    ],
)
def test_run_exits_by_result(
    arguments: list[str], code: int, result: str, reason_code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    got, body = engine_plugin(capsys, "run", *arguments, "-w", str(tmp_path))
    assert (got, body["result"], body["reason_code"]) == (code, result, reason_code)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["new", "x", "--category", "magic"], "expected one of acquisition, transformation"),
        (["new", "X", ".", "--category", "validation"], "a plugin's name is its id"),
        (["run", "nope", "x"], "there is no usable plugin nope"),
        (["run", "task-parser", "parse", "-i", "{"], "the input is no JSON"),
        (["run", "task-parser", "parse", "-w", "/nowhere"], "/nowhere: the folder is not there"),
        (["test", "./nowhere"], "nowhere: the folder is not there"),
    ],
)
def test_wrong_use_is_a_usage_error(arguments: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        app(arguments, standalone_mode=False)
    assert sentence in str(caught.value)
    assert caught.value.exit_code == 2
