"""`engine decision`: evaluate, lint, test and render DMN files."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.common import AsJson

if TYPE_CHECKING:
    from engine.decisions import DecisionModel, Explanation
    from engine.decisions.cases import Result, Suite
    from engine.decisions.findings import Finding
    from engine.decisions.model import Dialect

app = typer.Typer(no_args_is_help=True, help="Evaluate, lint, test and render decision tables.")

Imports = Annotated[
    list[Path] | None,
    typer.Option("--import", help="A file that is imported; files beside it are found without."),
]
File = Annotated[Path, typer.Argument(help="A .dmn file.")]


class Dialects(StrEnum):
    """How FEEL is read."""

    dmn = "dmn"
    camunda = "camunda"


DialectOption = Annotated[
    Dialects | None,
    typer.Option("--dialect", help="How FEEL is read; by the tool that wrote the file without."),
]


class LintFormat(StrEnum):
    """How findings are printed."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"


class RenderFormat(StrEnum):
    """How tables are printed."""

    text = "text"
    markdown = "markdown"


@app.command("eval")
def evaluate(
    file: File,
    decision: Annotated[
        str | None,
        typer.Option("--decision", "-d", help="Name or id; may be left out when there is one."),
    ] = None,
    input_: Annotated[
        str, typer.Option("--input", "-i", help="Inputs as a JSON object, @FILE, or @- for stdin.")
    ] = "{}",
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which rules matched and why.")
    ] = False,
    service: Annotated[
        str | None, typer.Option("--service", help="A decision service to ask instead.")
    ] = None,
    imports: Imports = None,
    dialect: DialectOption = None,
    as_json: AsJson = False,
) -> None:
    """Answer a decision for the inputs given."""
    from engine.errors import UsageError

    if decision and service:
        raise UsageError("expected --decision or --service, but got both")
    model = _load(file, imports, dialect)
    inputs = _inputs(input_)
    if service:
        _print_value(service, model.evaluate_service(service, inputs, now=_now(inputs)), as_json)
        return
    explanation = model.explain(decision or _only(model, file), inputs, now=_now(inputs))
    if as_json:
        _print_json("decision-eval", _eval_record(explanation, explain))
    else:
        typer.echo(_told(explanation) if explain else _text(explanation.to_json()["value"]))
        _warn(explanation)
    if explanation.outcome == "violation":
        raise typer.Exit(1)


@app.command()
def lint(
    files: Annotated[list[Path], typer.Argument(help="DMN files, or folders that hold some.")],
    format_: Annotated[
        LintFormat, typer.Option("--format", help="text, json, sarif or github.")
    ] = LintFormat.text,
    imports: Imports = None,
    dialect: DialectOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find gaps, overlaps, unreachable rules, wrong types and other mistakes."""
    from engine.cli import finding_forms as forms
    from engine.decisions.findings import RULES

    paths = _dmn_files(files)
    found = [f for path in paths for f in _lint(path, imports, dialect)]
    names = [str(path) for path in paths]
    match LintFormat.json if as_json else format_:
        case LintFormat.json:
            _print_json("decision-lint", forms.as_json(found, names))
        case LintFormat.sarif:
            _print(forms.as_sarif(found, "engine decision lint", RULES))
        case LintFormat.github:
            typer.echo("\n".join(forms.as_github(found)), nl=bool(found))
        case LintFormat.text:
            typer.echo(forms.as_text(found, names))
    if any(f.severity == "error" or (strict and f.severity == "warning") for f in found):
        raise typer.Exit(3)


@app.command("test")
def play_cases(
    files: Annotated[
        list[Path],
        typer.Argument(help=".dmn files with NAME.test.yaml beside them, or files of test cases."),
    ],
    imports: Imports = None,
    dialect: DialectOption = None,
    as_json: AsJson = False,
) -> None:
    """Play test cases: a YAML table, or the XML of the DMN test kit."""
    from engine.decisions.cases import play

    results: list[Result] = []
    for model_file, suite in _suites(files):
        results.extend(play(_load(model_file, imports, dialect), suite, datetime.now(UTC)))
    if as_json:
        _print_json("decision-test", _test_record(results))
    else:
        typer.echo(_test_text(results))
    if not all(result.passed for result in results):
        raise typer.Exit(1)


@app.command()
def render(
    file: File,
    format_: Annotated[
        RenderFormat, typer.Option("--format", help="text or markdown.")
    ] = RenderFormat.text,
    as_json: AsJson = False,
) -> None:
    """Print a file as tables that people can read."""
    from engine.decisions.reader import read
    from engine.decisions.render import render as rendered

    text = rendered(read(_bytes(file), str(file)), format_.value)
    if as_json:
        _print_json("decision-render", {"file": str(file), "format": format_.value, "text": text})
    else:
        typer.echo(text, nl=False)


# --- files ---


def _bytes(path: Path) -> bytes:
    from engine.errors import UsageError

    try:
        return path.read_bytes()
    except OSError as cause:
        reason = (cause.strerror or str(cause)).lower()
        raise UsageError(where=str(path), expected="a file to read", got=reason) from cause


def _load(path: Path, imports: Sequence[Path] | None, dialect: Dialects | None) -> DecisionModel:
    """Return the model with what it imports: the files given, else those beside it."""
    from engine.decisions import DecisionModel

    content = _bytes(path)
    given = list(imports) if imports is not None else _beside(path, content)
    chosen: Dialect | None = dialect.value if dialect else None
    return DecisionModel.load(
        content,
        imports=[_bytes(other) for other in given],
        name=str(path),
        dialect=chosen,
    )


def _beside(path: Path, content: bytes) -> list[Path]:
    """Return the files in the same folder that are needed for imports; none when nothing is imported."""
    from engine.decisions.reader import read
    from engine.errors import DefinitionError

    if not read(content, str(path)).imports:
        return []
    found = []
    for other in sorted(path.parent.glob("*.dmn")):
        try:
            if other.name != path.name and read(_bytes(other), str(other)):
                found.append(other)
        except DefinitionError:
            continue  # a neighbour that is broken is no import; a missing import is reported by name
    return found


def _dmn_files(paths: Sequence[Path]) -> list[Path]:
    from engine.errors import UsageError

    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*.dmn")) if path.is_dir() else [path]
        if not inside:
            raise UsageError(where=str(path), expected="a folder with .dmn files", got="none in it")
        found.extend(inside)
    return found


def _suites(paths: Sequence[Path]) -> list[tuple[Path, Suite]]:
    """Return each suite with the model it is for."""
    from engine.decisions.cases import read_cases
    from engine.errors import UsageError

    found = []
    for path in _test_targets(paths):
        cases = path.with_suffix(".test.yaml") if path.suffix == ".dmn" else path
        if not cases.exists():
            raise UsageError(
                where=str(path),
                expected=f"test cases in {cases.name} beside it",
                got="no such file",
            )
        suite = read_cases(_bytes(cases), str(cases))
        model = path if path.suffix == ".dmn" else _model_of(cases, suite)
        found.append((model, suite))
    return found


def _test_targets(paths: Sequence[Path]) -> list[Path]:
    """Return the files named, and for a folder those in it that have test cases."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*.dmn"))
            found.extend(p for p in inside if p.with_suffix(".test.yaml").exists())
        else:
            found.append(path)
    return found


def _model_of(cases: Path, suite: Suite) -> Path:
    if suite.model:
        return cases.parent / suite.model
    return cases.with_name(cases.name.removesuffix(".test.yaml").removesuffix(".yaml") + ".dmn")


def _lint(path: Path, imports: Sequence[Path] | None, dialect: Dialects | None) -> list[Finding]:
    """Return the findings of one file; a file that cannot be loaded is one finding."""
    from engine.decisions.analysis import analyse, refusal
    from engine.errors import DefinitionError

    try:
        return list(analyse(_load(path, imports, dialect)))
    except DefinitionError as error:
        return [refusal(error, str(path))]


# --- inputs ---


def _inputs(text: str) -> Mapping[str, Any]:  # Any: JSON
    from engine.errors import UsageError

    if text == "@-":
        content = sys.stdin.read()
    elif text.startswith("@"):
        content = _bytes(Path(text[1:])).decode("utf-8", errors="replace")
    else:
        content = text
    try:
        found = json.loads(content, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as cause:
        raise UsageError(where="--input", expected="a JSON object", got=str(cause)) from cause
    if not isinstance(found, dict):
        raise UsageError(where="--input", expected="a JSON object", got=type(found).__name__)
    return found


def _now(inputs: Mapping[str, Any]) -> datetime | None:  # Any: JSON
    """Return the time for `now()` and `today()`: the input `now`, or else this moment."""
    from engine.errors import UsageError

    given = inputs.get("now")
    if given is None:
        return datetime.now(UTC)
    try:
        return datetime.fromisoformat(given)
    except (TypeError, ValueError) as cause:
        raise UsageError(where="input now", expected="a date and time", got=repr(given)) from cause


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which is no JSON")


def _only(model: DecisionModel, file: Path) -> str:
    from engine.errors import UsageError

    if len(model.decision_ids) == 1:
        return model.decision_ids[0]
    raise UsageError(
        where=str(file),
        expected=f"--decision, one of {', '.join(model.decision_ids)}",
        got="none",
    )


# --- output ---


def _print_json(schema: str, body: Mapping[str, Any]) -> None:  # Any: JSON
    _print({"schema": f"engine.{schema}/v1", **body})


def _print(body: Mapping[str, Any]) -> None:  # Any: JSON
    import orjson

    typer.echo(orjson.dumps(_exact(body)).decode())


def _exact(value: Any) -> Any:  # Any: JSON
    """Keep every digit of a number: Decimals and long ints are written as they are."""
    import orjson

    from engine.feel.values import number_text

    if isinstance(value, Mapping):
        return {str(key): _exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(item) for item in value]
    if isinstance(value, Decimal) or (type(value) is int and abs(value) >= 2**53):
        return orjson.Fragment(number_text(value) if isinstance(value, Decimal) else str(value))
    return value


def _text(value: Any) -> str:  # Any: JSON
    """Return a value for people: text bare, everything else as JSON."""
    import orjson

    if isinstance(value, str):
        return value
    option = orjson.OPT_INDENT_2 if isinstance(value, dict) else 0
    return orjson.dumps(_exact(value), option=option).decode()


def _print_value(name: str, value: Any, as_json: bool) -> None:  # Any: a FEEL value
    from engine.feel import to_json

    if as_json:
        _print_json("decision-eval", {"decision": name, "value": to_json(value)})
    else:
        typer.echo(_text(to_json(value)))


def _eval_record(explanation: Explanation, full: bool) -> Mapping[str, Any]:  # Any: JSON
    record = explanation.to_json()
    if full:
        return record
    return {key: record[key] for key in ("decision", "value", "outcome", "warnings")}


def _warn(explanation: Explanation) -> None:
    for warning in explanation.warnings:
        typer.echo(f"warning: {warning}", err=True)


def _told(explanation: Explanation) -> str:
    """Return an explanation for people, decisions in the order they were answered."""
    lines = []
    for decision in explanation.decisions:
        record: dict[str, Any] = decision.to_json()  # Any: JSON
        title = f"{record['name']} ({record['kind']}"
        lines.append(title + (f", {record['hit_policy']})" if record["hit_policy"] else ")"))
        lines += [f"  given  {name} = {_line(value)}" for name, value in record["inputs"].items()]
        for rule in record["rules"]:
            why = f": {'; '.join(rule['annotations'])}" if rule["annotations"] else ""
            lines.append(f"  row {rule['row']} matched{why}")
        if record["outcome"] not in ("matched", "evaluated"):
            lines.append(f"  {record['outcome'].replace('_', ' ')}")
        lines.append(f"  gives  {_line(record['value'])}")
    return "\n".join(lines)


def _line(value: Any) -> str:  # Any: JSON
    import orjson

    return orjson.dumps(_exact(value)).decode()


def _test_record(results: Sequence[Result]) -> Mapping[str, Any]:  # Any: JSON
    return {
        "passed": sum(r.passed for r in results),
        "failed": sum(not r.passed for r in results),
        "cases": [
            {
                "name": r.case.name,
                "where": r.case.where,
                "passed": r.passed,
                "problems": list(r.problems),
            }
            for r in results
        ],
    }


def _test_text(results: Sequence[Result]) -> str:
    lines = []
    for result in results:
        lines += [f"{result.case.where}: {result.case.name}: {p}" for p in result.problems]
    failed = sum(not r.passed for r in results)
    lines.append(f"{len(results) - failed} passed, {failed} failed")
    return "\n".join(lines)
