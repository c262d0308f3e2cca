"""Whatever a plugin does, its call is a recorded result."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.contracts import Contracts
from engine.plugins import Plugin, PluginResult, call, discover
from engine.programs import Redactor
from engine.programs.proc import processes, read_marks
from engine.shipped import folder
from tests.needs import linux

OK = '{"result": "ok", "output": {"n": 1}}'
Make = Callable[..., Plugin]


@pytest.fixture
def contracts() -> Contracts:
    return Contracts(folder("contracts"))


@pytest.fixture
def make(tmp_path: Path, contracts: Contracts) -> Make:
    """Return how to make a plugin from a Python program and changes of its specification."""

    def build(code: str = "", **changes: Any) -> Plugin:
        place = tmp_path / "plugins" / "probe"
        (place / "src").mkdir(parents=True)
        (place / "src" / "main.py").write_text(f"import json, os, sys\n{code}\n")
        spec = {
            "id": "probe",
            "version": "1.2.3",
            "title": "Probe",
            "category": "acquisition",
            "role": "probe",
            "lane": "decision",
            "operations": {
                "ask": {
                    "input": {"type": "object", "properties": {"q": {"type": "string"}}},
                    "output": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
                }
            },
            "timeout_s": 10,
            "capabilities": [],
            "entry": ["{python}", "-I", "-S", "-B", "{plugin}/src/main.py"],
            **changes,
        }  # fmt: skip
        (place / "plugin.spec.json").write_text(json.dumps(spec))
        found = discover([tmp_path / "plugins"], contracts)
        assert found.findings == ()
        return found.plugins["probe"]

    return build


async def ask(plugin: Plugin, contracts: Contracts, place: Path, **given: Any) -> PluginResult:
    given = {"input": {"q": "?"}, "operation": "ask", **given}
    operation, value = given.pop("operation"), given.pop("input")
    result = await call(
        plugin,
        operation,
        value,
        contracts=contracts,
        key="R/0/Ask#1.1",
        scratch=place / "s",
        **given,
    )
    assert not (place / "s").exists()
    return result


@pytest.mark.parametrize(
    ("code", "changes", "reason_code", "reason"),
    [
        pytest.param("sys.exit(3)", {}, "EXIT_CODE", "the plugin exited with code 3.", id="exits with an error"),
        pytest.param("raise ValueError('broken')", {}, "EXIT_CODE", "the plugin exited with code 1: ValueError: broken", id="raises"),
        pytest.param("os.kill(os.getpid(), 11)", {}, "CRASHED", "the plugin was ended by SIGSEGV.", id="crashes"),
        pytest.param("import time; time.sleep(60)", {"timeout_s": 1}, "TIMEOUT", "the plugin was stopped after 1 s, its time limit.", id="hangs"),
        pytest.param("while True: print('x' * 100000)", {}, "OUTPUT_TOO_LARGE", "the plugin was killed after printing more than 16777216 bytes.", id="floods"),
        pytest.param("", {}, "NOT_JSON", "expected exactly one JSON object on standard output, but nothing was printed.", id="says nothing"),
        pytest.param("print('hello')", {}, "NOT_JSON", "expected exactly one JSON object on standard output, but Expecting value: line 1 column 1 (char 0).", id="prints text"),
        pytest.param(f"print('{OK}'); print('{OK}')", {}, "NOT_JSON", "expected exactly one JSON object on standard output, but Extra data: line 2 column 1 (char 37).", id="prints two objects"),
        pytest.param("print('[]')", {}, "NOT_JSON", "expected exactly one JSON object on standard output, but got list.", id="prints a list"),
        pytest.param("""print('{"result": "ok", "result": "ok", "output": {"n": 1}}')""", {}, "NOT_JSON", "expected exactly one JSON object on standard output, but a name is there twice in one object.", id="a name twice"),
        pytest.param("""print('{"result": "ok", "output": {"n": NaN}}')""", {}, "NOT_JSON", "expected exactly one JSON object on standard output, but NaN is no JSON.", id="not a number"),
        pytest.param("""print('[' * 200000)""", {}, "NOT_JSON", None, id="nests without end"),
        pytest.param(r"""print('{"result": "ok", "output": {"n": 1, "t": "\\ud800"}}')""", {}, "NOT_JSON", None, id="half a character"),
        pytest.param("""print('{"result": "ok", "output": {"n": "1"}}')""", {}, "OUTPUT_CONTRACT", '/n: breaks contract probe.ask.output: expected integer, but got "1"', id="breaks its contract"),
        pytest.param("""print('{"result": "ok"}')""", {}, "OUTPUT_CONTRACT", "breaks contract plugin-answer.v1: expected property output, but got none", id="ok without output"),
        pytest.param("""print('{"result": "na"}')""", {}, "OUTPUT_CONTRACT", None, id="na without reason"),
        pytest.param("""print('{"result": "passed", "output": 1}')""", {}, "OUTPUT_CONTRACT", None, id="another word for ok"),
        pytest.param(f"print('{OK}'); sys.stdout.flush(); os.abort()", {}, "CRASHED", "the plugin was ended by SIGABRT.", id="ok, then a crash"),
        pytest.param(f"print('{OK}'); sys.exit(1)", {}, "EXIT_CODE", "the plugin exited with code 1.", id="ok, then an error"),
        pytest.param("a = bytearray(10**9)", {"memory_mb": 256}, "EXIT_CODE", "the plugin exited with code 1: MemoryError", id="eats memory"),
        pytest.param("[open('/dev/null') for _ in range(2000)]", {}, "EXIT_CODE", "the plugin exited with code 1: OSError: [Errno 24] Too many open files: '/dev/null'", id="eats files"),
        pytest.param("", {"entry": ["no-such-program"]}, "NOT_STARTED", "expected a program named no-such-program on the PATH, but there is none.", id="has no program"),
    ],
)  # fmt: skip
async def test_misbehaviour_is_a_failed_result(
    code: str, changes: dict[str, Any], reason_code: str, reason: str | None, make: Make, contracts: Contracts, tmp_path: Path
) -> None:  # fmt: skip
    result = await ask(make(code, **changes), contracts, tmp_path)
    assert (result.result, result.reason_code, result.output) == ("failed", reason_code, None)
    assert result.reason == reason or reason is None


@pytest.mark.parametrize(
    ("code", "result", "output", "reason_code", "reason"),
    [
        pytest.param(f"print('{OK}')", "ok", {"n": 1}, "", "", id="ok"),
        pytest.param("""print('{"result": "failed", "reason_code": "NO_LUCK", "reason": "none."}')""", "failed", None, "NO_LUCK", "none.", id="failed"),
        pytest.param("""print('{"result": "na", "reason_code": "NO_FILES", "reason": "none.", "output": [1]}')""", "na", [1], "NO_FILES", "none.", id="na"),
    ],
)  # fmt: skip
async def test_an_answer_is_taken_as_it_is(
    code: str, result: str, output: Any, reason_code: str, reason: str, make: Make, contracts: Contracts, tmp_path: Path
) -> None:  # fmt: skip
    plugin = make(f"print('to people', file=sys.stderr)\n{code}")
    got = await ask(plugin, contracts, tmp_path)
    assert (got.result, got.output, got.reason_code, got.reason) == (
        result,
        output,
        reason_code,
        reason,
    )
    assert (got.plugin, got.version, got.checksum, got.operation) == (
        "probe",
        "1.2.3",
        plugin.checksum,
        "ask",
    )
    assert (got.stderr, got.exit_code) == ("to people\n", 0)


@pytest.mark.parametrize(
    ("given", "changes", "result", "reason_code", "reason"),
    [
        pytest.param({"operation": "sing"}, {}, "failed", "UNKNOWN_OPERATION", "expected one of ask, but got sing.", id="unknown operation"),
        pytest.param({"input": {"q": 1}}, {}, "failed", "INPUT_CONTRACT", "/q: breaks contract probe.ask.input: expected string, but got 1", id="bad input"),
        pytest.param({"what_if": True}, {}, "failed", "WHAT_IF_UNSUPPORTED", "ask cannot say what it would do.", id="what if"),
        pytest.param({}, {"requires": ["sh", "no-such-tool"]}, "na", "TOOL_ABSENT", "probe needs no-such-tool, which is not installed.", id="a tool is absent"),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_starts_no_process(
    given: dict[str, Any], changes: dict[str, Any], result: str, reason_code: str, reason: str, make: Make, contracts: Contracts, tmp_path: Path
) -> None:  # fmt: skip
    mark = tmp_path / "started"
    plugin = make(f"open({str(mark)!r}, 'w')", **changes)
    got = await ask(plugin, contracts, tmp_path, **given)
    assert (got.result, got.reason_code, got.reason) == (result, reason_code, reason)
    assert got.exit_code is None
    assert not mark.exists()


async def test_a_plugin_that_changed_since_it_was_found_is_not_run(
    make: Make, contracts: Contracts, tmp_path: Path
) -> None:
    plugin = make(f"print('{OK}')")
    file = plugin.folder / "src" / "main.py"
    file.write_text(file.read_text() + "# changed\n")
    assert (await ask(plugin, contracts, tmp_path)).reason_code == "PLUGIN_CHANGED"


async def test_a_plugin_sees_its_request_and_a_clean_environment(
    make: Make, contracts: Contracts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    workspace = tmp_path / "w"
    workspace.mkdir()
    plugin = make(
        "request = json.load(sys.stdin)\n"
        "seen = {'request': request, 'cwd': os.getcwd(), 'env': sorted(set(os.environ) - {'LC_CTYPE', 'PWD', 'SHLVL', '_'})}\n"
        "print(json.dumps({'result': 'ok', 'output': {'n': 1, 'seen': seen}}))"
    )
    result = await ask(plugin, contracts, tmp_path, workspace=workspace)
    assert isinstance(result.output, dict)
    seen = result.output["seen"]
    assert seen == {
        "request": {
            "protocol": "plugin.v1",
            "operation": "ask",
            "input": {"q": "?"},
            "key": "R/0/Ask#1.1",
            "what_if": False,
            "workspace": str(workspace),
        },
        "cwd": str(workspace),
        "env": [*sorted(["ENGINE_JOB", "ENGINE_OWNER", "ENGINE_PROGRAM", "HOME", "LANG", "PATH", "TMPDIR"]), *(["__CF_USER_TEXT_ENCODING"] if sys.platform == "darwin" else [])],
    }  # fmt: skip


async def test_secrets_are_taken_out_of_answers(
    make: Make, contracts: Contracts, tmp_path: Path
) -> None:
    plugin = make("""print('{"result": "ok", "output": {"n": 1, "t": "top-secret"}}')""")
    result = await ask(plugin, contracts, tmp_path, redact=Redactor({"key": "top-secret"}))
    assert result.output == {"n": 1, "t": "[redacted:key]"}


async def test_what_a_plugin_forks_is_gone_after_the_call(
    make: Make, contracts: Contracts, tmp_path: Path
) -> None:
    linux("strays are looked for in /proc")
    plugin = make(
        "import subprocess\n"
        "for _ in range(3):\n"
        "    subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        f"print('{OK}')"
    )
    assert (await ask(plugin, contracts, tmp_path)).result == "ok"
    jobs = [read_marks(p.pid).get("ENGINE_JOB") for p in processes() if p.state != "Z"]
    assert "R/0/Ask#1.1" not in jobs
