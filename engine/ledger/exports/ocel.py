"""OCEL 2.0 as JSON (ocel-standard.org): events, and the run, instances, tasks and commits that they are about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any

import orjson

from engine.ledger.entries import Entry, time_text
from engine.ledger.exports.happenings import Happening, Value, happenings

Members = dict[str, Any]  # Any: members of the standard's JSON

_KINDS = {bool: "boolean", int: "integer", str: "string"}


def write_ocel(entries: Iterable[Entry], run: str, to: IO[bytes]) -> int:
    """Write the log of a run and return the number of its events.

    An event is the completion (or interruption) of an element, or an entry of the engine's own. Its type is
    `process/element`, or the type of the entry.
    """
    log = _Log(run)
    for happening in happenings(entries):
        if happening.lifecycle != "start":
            log.add(happening)
    to.write(orjson.dumps(log.to_json(), option=orjson.OPT_INDENT_2))
    return len(log.events)


@dataclass
class _Object:
    type: str
    since: datetime
    attributes: list[Members] = field(default_factory=list)
    relations: dict[str, str] = field(default_factory=dict)  # {object id: qualifier}


class _Log:
    """Events and objects, with the attributes that each type turned out to have."""

    def __init__(self, run: str) -> None:
        self.events: list[Members] = []
        self._run = run
        self._objects: dict[str, _Object] = {}
        self._types: dict[str, dict[str, str]] = {}

    def add(self, happening: Happening) -> None:
        kind = f"{happening.process}/{happening.name}" if happening.process else happening.name
        attributes: dict[str, Value] = {"seq": happening.seq, **happening.attributes}
        if happening.who:
            attributes["who"] = happening.who
        if happening.began is not None:
            attributes["seconds"] = max(0, round((happening.at - happening.began).total_seconds()))
        if happening.lifecycle != "complete":
            attributes["interrupted"] = True
        self.events.append(
            {
                "id": f"e{len(self.events) + 1}",
                "type": kind,
                "time": time_text(happening.at),
                "attributes": self._members(kind, attributes),
                "relationships": self._related(happening),
            }
        )

    def to_json(self) -> Members:
        return {
            "objectTypes": [
                {"name": "run", "attributes": []},
                {
                    "name": "instance",
                    "attributes": [
                        {"name": "process", "type": "string"},
                        {"name": "state", "type": "string"},
                    ],
                },
                {"name": "task", "attributes": [{"name": "state", "type": "string"}]},
                {"name": "commit", "attributes": []},
            ],
            "eventTypes": [
                {
                    "name": name,
                    "attributes": [{"name": a, "type": t} for a, t in sorted(attributes.items())],
                }
                for name, attributes in sorted(self._types.items())
            ],
            "objects": [
                {
                    "id": id,
                    "type": found.type,
                    "attributes": found.attributes,
                    "relationships": [
                        {"objectId": other, "qualifier": how}
                        for other, how in found.relations.items()
                    ],
                }
                for id, found in self._objects.items()
            ],
            "events": self.events,
        }

    def _members(self, kind: str, attributes: Mapping[str, Value]) -> list[Members]:
        known = self._types.setdefault(kind, {})
        for name, value in attributes.items():
            written = _KINDS[type(value)]
            known[name] = written if known.get(name, written) == written else "string"
        return [{"name": name, "value": value} for name, value in attributes.items()]

    def _related(self, happening: Happening) -> list[Members]:
        """Return the objects of an event, making those that are new."""
        at = happening.at
        found = {self._object(f"run:{self._run}", "run", at): "run"}
        if happening.instance:
            found[self._instance(happening)] = "instance"
        for task in dict.fromkeys((happening.task, *happening.tasks)):
            if task:
                found[self._task(task, happening)] = "task"
        for commit in happening.commits:
            found[self._object(f"commit:{commit}", "commit", at)] = "commit"
        return [{"objectId": id, "qualifier": how} for id, how in found.items()]

    def _instance(self, happening: Happening) -> str:
        id = f"instance:{happening.instance}"
        is_new = id not in self._objects
        self._object(id, "instance", happening.at)
        if is_new:
            self._set(id, "process", happening.process, happening.at)
            parent = happening.instance.rpartition(".")[0]
            if f"instance:{parent}" in self._objects:
                self._objects[id].relations[f"instance:{parent}"] = "called by"
            if happening.task:
                task = self._object(f"task:{happening.task}", "task", happening.at)
                self._objects[id].relations[task] = "works on"
        if happening.name == "instance.ended":
            self._set(id, "state", str(happening.attributes["state"]), happening.at)
        return id

    def _task(self, task: str, happening: Happening) -> str:
        id = self._object(f"task:{task}", "task", happening.at)
        state = happening.attributes.get("result_state")
        if happening.name == "merge.completed":
            self._set(id, "state", "merged", happening.at)
        elif happening.name == "instance.ended" and task in happening.tasks:
            self._set(id, "state", "blocked", happening.at)
        elif happening.name == "instance.ended" and isinstance(state, str):
            self._set(id, "state", state, happening.at)
        return id

    def _object(self, id: str, type: str, at: datetime) -> str:
        self._objects.setdefault(id, _Object(type, at))
        return id

    def _set(self, id: str, name: str, value: str, at: datetime) -> None:
        self._objects[id].attributes.append({"name": name, "value": value, "time": time_text(at)})
