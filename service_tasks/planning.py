"""From a task graph to waves: pure, deterministic, and strict about what it accepts.

Invariants
- The same graph and mode give the same plan. Order key inside a wave: (level, lane, depth, id).
- A task stands in a later wave than everything it depends on, and on no lower level.
- Tasks of one wave own disjoint files and hold no conflicting locks.
- Mode `waves`: a level is complete before the next begins; edges inside a level become sub-waves.
  Mode `dag`: dependencies alone decide; what would conflict inside a wave moves to the next.

>>> plan = build_plan({"feature": "x", "tasks": [{"id": "a"}, {"id": "b", "dependencies": ["a"]}]}, "waves")
>>> [[task["id"] for task in wave["tasks"]] for wave in plan.waves]
[['a'], ['b']]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.handlers import ContractError, Variables

Task = dict[str, Any]  # Any: JSON checked against contract task.v1

LANES = {"decision": 0, "explanation": 1}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing wrong with a graph: JSON pointer and sentence."""

    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.message}"


class TaskGraphError(ContractError):
    """A graph that cannot be planned; `findings` holds everything that is wrong with it."""

    def __init__(self, findings: Sequence[Finding], where: str = "task graph") -> None:
        self.findings = tuple(findings)
        super().__init__(
            "; ".join(str(finding) for finding in findings[:10])
            + (f"; and {len(findings) - 10} more" if len(findings) > 10 else ""),
            contract="task-graph.v1",
            where=where,
            hint="Mend the task graph and run again.",
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`waves` is [{number, level, tasks: [task…]}…]; `widest` the largest number of tasks in one wave."""

    feature: str
    mode: str
    waves: tuple[dict[str, Any], ...]  # Any: JSON

    @property
    def task_count(self) -> int:
        return sum(len(wave["tasks"]) for wave in self.waves)

    @property
    def widest(self) -> int:
        return max((len(wave["tasks"]) for wave in self.waves), default=0)


def build_plan(graph: Variables, mode: str) -> Plan:
    """Return the plan of a graph that satisfies contract task-graph.v1.

    Raises TaskGraphError with every finding: duplicate ids, missing dependencies, cycles (with the cycle),
    levels that contradict dependencies, unsafe paths, one criterion twice, files owned twice inside one wave.
    """
    tasks = _checked(graph)
    depths = _depths(tasks)
    waves = _waves(tasks, depths, mode)
    findings = _ownership_findings(waves, tasks)
    if findings:
        raise TaskGraphError(findings)
    return Plan(
        feature=str(graph["feature"]),
        mode=mode,
        waves=tuple(
            {"number": number, "level": min(t["level"] for t in wave), "tasks": wave}
            for number, wave in enumerate(waves, 1)
        ),
    )


def with_levels(graph: Variables) -> Variables:
    """Return the graph with the level of every task, derived from the whole of it where none is written.

    A part of a graph keeps its levels so, when what it depends on is taken away. Raises TaskGraphError as `build_plan`.
    """
    given: Any = graph["tasks"]  # Any: JSON checked against contract task-graph.v1
    if all("level" in task for task in given):
        return graph
    levels = [task["level"] for task in _checked(graph)]
    tasks = [{**task, "level": level} for task, level in zip(given, levels, strict=True)]
    return {**graph, "tasks": tasks}


def beyond(graph: Variables, level: int | None) -> dict[str, int]:
    """Return {task: level} of the tasks of a graph with levels that stand above `level`; none without one."""
    given: Any = graph["tasks"]  # Any: JSON checked against contract task-graph.v1
    limit = 5 if level is None else level
    return {task["id"]: task["level"] for task in given if task["level"] > limit}


def _checked(graph: Variables) -> list[Task]:
    """Return the tasks in the order of the graph, all with a level. Raises TaskGraphError."""
    given: Any = graph["tasks"]  # Any: JSON checked against contract task-graph.v1
    tasks = [_normal(task) for task in given]
    findings = [*_identity_findings(tasks), *_path_findings(tasks), *_criteria_findings(tasks)]
    if not findings:
        findings = _cycle_findings(tasks)
    if not findings:
        findings = _level_findings(tasks)
    if findings:
        raise TaskGraphError(findings)
    return tasks


def _normal(task: Mapping[str, Any]) -> Task:
    """Return the task with every optional key present, so that diagrams and policies need no guards."""
    files = task.get("files", {})
    locks = task.get("locks", {})
    return {
        "id": task["id"],
        "title": task.get("title", task["id"]),
        "description": task.get("description", ""),
        "level": task.get("level"),
        "dependencies": sorted(task.get("dependencies", ())),
        "files": {kind: sorted(files.get(kind, ())) for kind in ("create", "modify", "read")},
        "verification": dict(task["verification"]) if task.get("verification") else None,
        **_criteria(task),
        "tool": task.get("tool", "shell"),
        "args": list(task.get("args", ())),
        "prompt": task.get("prompt", ""),
        "tags": sorted(set(task.get("tags", ()))),
        "lane": task.get("lane", "decision"),
        "locks": {kind: sorted(set(locks.get(kind, ()))) for kind in ("reads", "writes")},
        "budget": dict(task.get("budget", {})),
        "max_attempts": task.get("max_attempts", 3),
        "timeout_seconds": task.get("timeout_seconds"),
        "estimate_minutes": task.get("estimate_minutes"),
    }


def _criteria(task: Mapping[str, Any]) -> Task:
    """Return the task's acceptance criteria, when it has any."""
    criteria = task.get("acceptance_criteria")
    return {"acceptance_criteria": [dict(one) for one in criteria]} if criteria else {}


def _criteria_findings(tasks: Sequence[Task]) -> list[Finding]:
    return [
        Finding(
            pointer=f"/tasks/{index}/acceptance_criteria",
            message=f"criterion {identifier} of {task['id']} is there {count} times",
        )
        for index, task in enumerate(tasks)
        for identifier, count in Counter(
            one["id"] for one in task.get("acceptance_criteria", ())
        ).items()
        if count > 1
    ]


def _identity_findings(tasks: Sequence[Task]) -> list[Finding]:
    counts = Counter(task["id"] for task in tasks)
    folded = Counter(identifier.casefold() for identifier in counts)
    findings = []
    for index, task in enumerate(tasks):
        identifier = task["id"]
        if counts[identifier] > 1:
            findings.append(
                Finding(
                    pointer=f"/tasks/{index}/id",
                    message=f"{identifier} is used {counts[identifier]} times",
                )
            )
        elif folded[identifier.casefold()] > 1:
            findings.append(
                Finding(
                    pointer=f"/tasks/{index}/id",
                    message=f"{identifier} differs from another id only in upper and lower case",
                )
            )
        if identifier.endswith((".", ".lock")) or ".." in identifier:
            findings.append(
                Finding(
                    pointer=f"/tasks/{index}/id",
                    message=f"{identifier} cannot be the end of a branch name",
                )
            )
        for position, dependency in enumerate(task["dependencies"]):
            if dependency not in counts:
                findings.append(
                    Finding(
                        pointer=f"/tasks/{index}/dependencies/{position}",
                        message=f"{identifier} depends on {dependency}, which is not in the graph",
                    )
                )
    return findings


def _path_findings(tasks: Sequence[Task]) -> list[Finding]:
    findings = []
    for index, task in enumerate(tasks):
        for kind in ("create", "modify", "read"):
            for path in task["files"][kind]:
                reason = _unsafe(path)
                if reason:
                    findings.append(
                        Finding(
                            pointer=f"/tasks/{index}/files/{kind}",
                            message=f"{path!r} {reason}; expected a path inside the repository, relative to its top",
                        )
                    )
    return findings


def _unsafe(path: str) -> str:
    parts = path.rstrip("/").split("/")
    if path.startswith(("/", "~")) or (len(path) > 1 and path[1] == ":"):
        return "is absolute"
    if ".." in parts:
        return "leaves the repository"
    if any(part.casefold() == ".git" for part in parts):
        return "is inside .git"
    if (
        "" in parts
        or "." in parts
        or "\\" in path
        or any(ord(char) < 32 or ord(char) == 127 for char in path)
    ):
        return "is not a plain path"
    return ""


def _cycle_findings(tasks: Sequence[Task]) -> list[Finding]:
    """Return one finding naming the first cycle in id order, or none."""
    edges = {task["id"]: task["dependencies"] for task in tasks}
    done: set[str] = set()
    for start in sorted(edges):
        trail: list[str] = []
        on_trail: set[str] = set()
        stack: list[tuple[str, Iterable[str]]] = (
            [(start, iter(edges[start]))] if start not in done else []
        )
        if stack:
            trail, on_trail = [start], {start}
        while stack:
            node, rest = stack[-1]
            following = next(iter(rest), None)
            if following is None:
                stack.pop()
                done.add(node)
                on_trail.discard(node)
                trail.pop()
            elif following in on_trail:
                cycle = [*trail[trail.index(following) :], following]
                return [
                    Finding(
                        pointer="/tasks", message=f"dependencies form a cycle: {' → '.join(cycle)}"
                    )
                ]
            elif following not in done:
                stack.append((following, iter(edges[following])))
                trail.append(following)
                on_trail.add(following)
    return []


def _level_findings(tasks: list[Task]) -> list[Finding]:
    """Fill in missing levels (one more than the deepest dependency, at most 5) and report contradictions."""
    by_id = {task["id"]: (index, task) for index, task in enumerate(tasks)}
    findings = []
    for identifier in _topological(tasks):
        index, task = by_id[identifier]
        needs = [by_id[dependency][1] for dependency in task["dependencies"]]
        if task["level"] is None:
            task["level"] = min(5, max((need["level"] + 1 for need in needs), default=1))
            continue
        for need in needs:
            if need["level"] > task["level"]:
                findings.append(
                    Finding(
                        pointer=f"/tasks/{index}/level",
                        message=(
                            f"{identifier} is on level {task['level']} but depends on {need['id']} "
                            f"of level {need['level']}"
                        ),
                    )
                )
    return findings


def _topological(tasks: Sequence[Task]) -> list[str]:
    """Return ids so that dependencies come first; ties in id order."""
    depths = _depths(tasks)
    return sorted(depths, key=lambda identifier: (depths[identifier], identifier))


def _depths(tasks: Sequence[Task]) -> dict[str, int]:
    """Return {id: length of the longest chain of dependencies below it}; the graph has no cycle."""
    waiting = {task["id"]: set(task["dependencies"]) for task in tasks}
    dependents: dict[str, list[str]] = {task["id"]: [] for task in tasks}
    for task in tasks:
        for dependency in task["dependencies"]:
            dependents[dependency].append(task["id"])
    depths: dict[str, int] = {}
    ready = [identifier for identifier, needs in waiting.items() if not needs]
    depth = 0
    while ready:
        following = []
        for identifier in ready:
            depths[identifier] = depth
            for dependent in dependents[identifier]:
                waiting[dependent].discard(identifier)
                if not waiting[dependent]:
                    following.append(dependent)
        ready, depth = following, depth + 1
    return depths


@dataclass
class _Wave:
    """A wave being filled, with what its tasks hold, so that one more task is checked in constant time."""

    tasks: list[Task] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)
    writes: set[str] = field(default_factory=set)
    owned: dict[str, str] = field(default_factory=dict)  #: path or folder/ → id of its owner

    def add(self, task: Task) -> None:
        self.tasks.append(task)
        self.reads.update(task["locks"]["reads"])
        self.writes.update(task["locks"]["writes"])
        for path in _owned(task):
            self.owned.setdefault(path, task["id"])

    def locks_conflict(self, task: Task) -> bool:
        reads, writes = task["locks"]["reads"], task["locks"]["writes"]
        return not self.writes.isdisjoint([*reads, *writes]) or not self.reads.isdisjoint(writes)

    def owner_of(self, path: str) -> str | None:
        """Return who owns `path`, a folder above it, or something inside it when it is a folder."""
        parts = path.rstrip("/").split("/")
        for depth in range(1, len(parts)):
            owner = self.owned.get("/".join(parts[:depth]) + "/")
            if owner:
                return owner
        if path.endswith("/"):
            inside = (owner for other, owner in self.owned.items() if other.startswith(path))
            return next(inside, None)
        return self.owned.get(path) or self.owned.get(f"{path}/")


def _waves(tasks: list[Task], depths: Mapping[str, int], mode: str) -> list[list[Task]]:
    placed: dict[str, int] = {}
    waves: list[_Wave] = []
    floor = 0
    rank = {
        task["id"]: position
        for position, task in enumerate(
            sorted(tasks, key=lambda t: (t["level"], LANES[t["lane"]], depths[t["id"]], t["id"]))
        )
    }
    for group in sorted({task["level"] for task in tasks}) if mode == "waves" else [None]:
        members = [task for task in tasks if group is None or task["level"] == group]
        for task in sorted(members, key=lambda t: (depths[t["id"]], rank[t["id"]])):
            number = max([floor, *(placed[need] + 1 for need in task["dependencies"])])
            while number < len(waves) and _must_wait(task, waves[number], mode):
                number += 1
            while len(waves) <= number:
                waves.append(_Wave())
            waves[number].add(task)
            placed[task["id"]] = number
        floor = len(waves)
    return [sorted(wave.tasks, key=lambda t: rank[t["id"]]) for wave in waves]


def _must_wait(task: Task, wave: _Wave, mode: str) -> bool:
    """Return whether the two must not run in one wave: named locks, and files too where no level parts them."""
    if wave.locks_conflict(task):
        return True
    return mode == "dag" and any(wave.owner_of(path) for path in _owned(task))


def _owned(task: Task) -> list[str]:
    return [*task["files"]["create"], *task["files"]["modify"]]


def _ownership_findings(waves: Sequence[Sequence[Task]], tasks: Sequence[Task]) -> list[Finding]:
    index = {task["id"]: position for position, task in enumerate(tasks)}
    findings = []
    for members in waves:
        wave = _Wave()
        for task in members:
            for path in sorted(set(_owned(task))):
                owner = wave.owner_of(path)
                if owner:
                    findings.append(
                        Finding(
                            pointer=f"/tasks/{index[task['id']]}/files",
                            message=(
                                f"{path} is owned by {owner} and {task['id']}, which run in one wave; "
                                "expected one owner, or a dependency between the two"
                            ),
                        )
                    )
            wave.add(task)
    return findings
