"""XES (IEEE 1849-2016): one trace for each process instance, one for what the engine recorded of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import IO

from lxml import etree

from engine.ledger.entries import Entry, time_text
from engine.ledger.exports.happenings import Happening, Value, happenings

_EXTENSIONS = (
    ("Concept", "concept", "http://www.xes-standard.org/concept.xesext"),
    ("Lifecycle", "lifecycle", "http://www.xes-standard.org/lifecycle.xesext"),
    ("Time", "time", "http://www.xes-standard.org/time.xesext"),
    ("Organizational", "org", "http://www.xes-standard.org/org.xesext"),
)
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def write_xes(entries: Iterable[Entry], run: str, to: IO[bytes]) -> int:
    """Write the log of a run and return the number of its events."""
    traces: dict[str, list[Happening]] = {}
    for happening in happenings(entries):
        traces.setdefault(happening.instance if happening.process else "", []).append(happening)
    with etree.xmlfile(to, encoding="utf-8") as file:
        file.write_declaration()
        with file.element("log", {"xes.version": "1849-2016", "xes.features": ""}):
            for name, prefix, uri in _EXTENSIONS:
                file.write(etree.Element("extension", name=name, prefix=prefix, uri=uri))
            file.write(etree.Element("classifier", name="Activity", keys="concept:name"))
            file.write(_attribute("concept:name", run))
            for instance, events in traces.items():
                file.write(_trace(instance, events))
    return sum(map(len, traces.values()))


def _trace(instance: str, events: list[Happening]) -> etree._Element:
    trace = etree.Element("trace")
    trace.append(_attribute("concept:name", instance or "the engine"))
    for name in ("process", "task"):
        value = next((v for e in events if (v := getattr(e, name))), "")
        if instance and value:
            trace.append(_attribute(name, value))
    for event in events:
        trace.append(_event(event))
    return trace


def _event(happening: Happening) -> etree._Element:
    event = etree.Element("event")
    event.append(_attribute("concept:name", happening.name))
    event.append(_attribute("lifecycle:transition", happening.lifecycle))
    event.append(_attribute("time:timestamp", happening.at))
    if happening.who:
        event.append(_attribute("org:resource", happening.who))
    known: dict[str, Value] = {"seq": happening.seq, "visit": happening.visit}
    known["task"] = happening.task
    for name, value in {**known, **happening.attributes}.items():
        if value != "" and not (name == "visit" and not value):
            event.append(_attribute(name, value))
    if happening.commits:
        event.append(_attribute("commits", " ".join(happening.commits)))
    return event


def _attribute(key: str, value: Value | datetime) -> etree._Element:
    match value:
        case datetime():
            kind, text = "date", time_text(value)
        case bool():
            kind, text = "boolean", str(value).lower()
        case int():
            kind, text = "int", str(value)
        case _:
            kind, text = "string", _NO_XML.sub("�", value)
    return etree.Element(kind, key=key, value=text)
