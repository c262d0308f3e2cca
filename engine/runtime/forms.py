"""The JSON that effects record and answer with: from values of the rooms below, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from engine.core.model import Job, Json, Variables
from engine.core.safety import Subject
from engine.plugins import PluginResult
from engine.programs import ProgramOutcome, Redactor
from engine.settings import Settings
from engine.workspaces import Candidate, DeclaredFiles, FileChange, Snapshot
from engine.workspaces import Refusal as RefusedPath

OUTPUT_TAIL_BYTES = 8 * 1024


def policy_settings(settings: Settings) -> Variables:
    """Return the part of the settings that tables and policies see; a fact of the run."""
    return {
        "security": {"level": settings.security.level, "network": settings.security.network},
        "manifest": {
            "enforcement": settings.manifest.enforcement,
            "rescope": settings.manifest.rescope,
            "rescope_paths": settings.manifest.rescope_paths,
        },
        "budgets": {
            "tokens_per_task": settings.budgets.tokens_per_task,
            "cost_micros_per_run": settings.budgets.cost_micros_per_run,
            "mode": settings.budgets.mode,
        },
        "timeouts": {
            "task_s": settings.timeouts.task_s,
            "verification_s": settings.timeouts.verification_s,
        },
        "circuit_breaker": {
            "failures": settings.circuit_breaker.failures,
            "cool_down_s": settings.circuit_breaker.cool_down_s,
        },
        "task_minutes": {
            "min": settings.tasks.min_minutes,
            "max": settings.tasks.max_minutes,
        },
        "gates": [
            {
                "name": gate.name,
                "stage": gate.stage,
                "tier": gate.tier,
                "enforcement": gate.enforcement,
            }
            for gate in (*settings.gates, *settings.plugin_gates)
        ],
        "promote": settings.run.promote,
    }


def launchers(settings: Settings) -> dict[str, Json]:
    """Return how each worker would be started: what it can reach, and the variables that it is given."""
    known: dict[str, Json] = {
        name: {
            "launcher": "subprocess",
            "network": worker.network,
            "variables": list(worker.env_allow),
        }
        for name, worker in settings.workers.items()
    }
    return {"shell": {"launcher": "subprocess", "network": "host", "variables": []}, **known}


def program_result(outcome: ProgramOutcome) -> dict[str, Json]:
    """Return {result, exit_code, reason_code, reason, output, milliseconds}; only exit code 0 is ok."""
    codes = {
        "timed_out": "TIMED_OUT",
        "silent": "SILENT",
        "flooded": "FLOODED",
        "not_started": "NOT_STARTED",
        "signalled": "SIGNALLED",
        "cancelled": "CANCELLED",
    }
    code = "" if outcome.succeeded else codes.get(outcome.state, "EXIT_CODE")
    text = "\n".join(part for part in (outcome.stdout.text, outcome.stderr.text) if part)
    return {
        "result": "ok" if outcome.succeeded else "failed",
        "exit_code": outcome.exit_code,
        "reason_code": code,
        "reason": "" if outcome.succeeded else outcome.reason,
        "output": text[-OUTPUT_TAIL_BYTES:],
        "milliseconds": round(outcome.seconds * 1000),
    }


def called(job: Job, result: PluginResult) -> dict[str, Json]:
    """Return what is recorded of a call of a plugin."""
    return {
        "job": job.key,
        "plugin": result.plugin,
        "version": result.version,
        "checksum": result.checksum,
        "operation": result.operation,
        "result": result.result,
        "reason_code": result.reason_code,
        "reason": result.reason,
        "output": result.output,
    }


def exact(value: object) -> Json:
    """Return a value of TOML as JSON: floats become Decimals, dates text."""
    match value:
        case float():
            return Decimal(str(value))
        case Mapping():
            return {str(key): exact(item) for key, item in value.items()}
        case list() | tuple():
            return [exact(item) for item in value]
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)


def not_applicable(code: str, reason: str) -> dict[str, Json]:
    return {
        "result": "na",
        "exit_code": None,
        "reason_code": code,
        "reason": reason,
        "output": "",
        "milliseconds": 0,
    }


def no_work(message: str) -> Variables:
    return {
        "worker": "",
        "failure_class": "not_started",
        "failure_kind": "not_started",
        "message": message,
        "exit_code": None,
        "tokens": 0,
        "cost_micros": 0,
    }


def snapshot_problem(snapshot: Snapshot) -> tuple[str, str] | None:
    """Return (failure class, sentence) when the files cannot be taken as the task's result."""
    if snapshot.refused:
        listed = "; ".join(f"{item.path}: {item.message}" for item in snapshot.refused[:5])
        return "manifest", f"the workspace holds what is never merged: {listed}"
    if snapshot.manifest != "pass":
        return (
            "manifest",
            f"wrote outside its declared files: {', '.join(snapshot.undeclared[:10])}",
        )
    if snapshot.is_empty:
        return "nothing_written", "the worker ended well but wrote nothing"
    return None


def declared_files(task: Variables) -> DeclaredFiles:
    """Return what a task of the graph says it touches."""
    files: Any = task.get("files") or {}  # Any: JSON of the task graph
    return DeclaredFiles(
        create=texts(files.get("create")),
        modify=texts(files.get("modify")),
        read=texts(files.get("read")),
    )


def captured(snapshot: Snapshot, redact: Redactor) -> dict[str, Json]:
    """Return what is recorded of a snapshot; a secret in a file's name is redacted, and denied by `security`."""
    return {
        "commit": snapshot.commit,
        "tree": snapshot.tree,
        "base": snapshot.base,
        "changed": [
            {
                "path": redact.text(change.path),
                "kind": change.kind,
                "mode": change.mode,
                "oid": change.oid,
            }
            for change in snapshot.changed
        ],
        "undeclared": [redact.text(path) for path in snapshot.undeclared],
        "refused": [
            {
                "code": item.code,
                "path": redact.text(item.path),
                "message": redact.text(item.message),
            }
            for item in snapshot.refused
        ],
        "enforcement": snapshot.enforcement,
    }


def snapshot_of(body: Any) -> Snapshot:  # Any: JSON written by _captured
    return Snapshot(
        commit=body["commit"],
        tree=body["tree"],
        base=body["base"],
        changed=tuple(FileChange(**change) for change in body["changed"]),
        undeclared=tuple(body["undeclared"]),
        refused=tuple(RefusedPath(**item) for item in body["refused"]),
        enforcement=body["enforcement"],
    )


def changes_with_lines(changed: Sequence[FileChange], patch: str, redact: Redactor) -> list[Json]:
    """Return the changed files with their added lines, redacted, for policies to read."""
    added: dict[str, list[Json]] = {}
    current = ""
    for line in patch.splitlines():
        if line.startswith("+++ "):
            current = line[4:].removeprefix("b/").strip('"').rstrip("\t")
        elif line.startswith("+") and current:
            added.setdefault(current, []).append(redact.text(line[1:]))
    return [
        {
            "path": redact.text(change.path),
            "kind": change.kind,
            "mode": change.mode,
            "oid": change.oid,
            "added": change.added,
            "deleted": change.deleted,
            "added_lines": added.get(change.path, []),
        }
        for change in changed
    ]


def subject_of(candidate: Candidate) -> Subject:
    return Subject(
        old=candidate.old, sources=candidate.sources, tree=candidate.tree, commit=candidate.commit
    )


def subject_json(subject: Subject) -> dict[str, Json]:
    return {
        "old": subject.old,
        "sources": list(subject.sources),
        "tree": subject.tree,
        "commit": subject.commit,
    }


def subject_from(value: Json) -> Subject | None:
    """Return the subject that a JSON value names, or None when a part is missing."""
    if not isinstance(value, Mapping):
        return None
    sources = value.get("sources")
    texts = [value.get(key) for key in ("old", "tree", "commit")]
    if not isinstance(sources, list | tuple) or not all(
        isinstance(t, str) for t in (*texts, *sources)
    ):
        return None
    old, tree, commit = (str(text) for text in texts)
    return Subject(old=old, sources=tuple(str(s) for s in sources), tree=tree, commit=commit)


def merged(body: Variables) -> Variables:
    return {
        "state": "merged",
        "commit": body["commit"],
        "head": body["commit"],
        "old": body["old"],
        "tasks": body.get("tasks"),
        "reasons": [],
    }


def ended_tasks(variables: Variables) -> list[tuple[str, str, dict[str, Json]]]:
    """Return [(task, state, body)] that the `result` of an ended instance tells.

    `{task, state, commit, attempts, reason, failures}` is about one task; `{blocked: [task…], reasons}` about several.
    """
    result = variables.get("result")
    if not isinstance(result, Mapping):
        return []
    if isinstance(result.get("task"), str):
        body: dict[str, Json] = {
            "commit": result.get("commit"),
            "reason": str(result.get("reason") or ""),
            "attempts": result.get("attempts") or 0,
        }
        if result.get("failures"):
            body["failures"] = result["failures"]
        return [(str(result["task"]), str(result.get("state")), body)]
    reason = "; ".join(texts(result.get("reasons")))
    return [(task, "blocked", {"reason": reason}) for task in texts(result.get("blocked"))]


def body_of(value: object) -> Mapping[str, Any]:  # Any: JSON of our own entries
    assert isinstance(value, Mapping)
    return value


def texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()


def contexts(value: object) -> list[Any]:  # Any: JSON contexts
    return (
        [item for item in value if isinstance(item, Mapping)]
        if isinstance(value, list | tuple)
        else []
    )


def without_nulls(task: Variables) -> dict[str, Json]:
    return {key: value for key, value in task.items() if value is not None}
