"""Exports: every view says what the ledger says, is sound in itself, and loads where it is meant to be loaded."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from engine.cli.views import VIEWS
from tests.acceptance.conftest import Answer, Project
from tests.needs import missing

Ask = Callable[..., Answer]
READERS = Path(__file__).parents[1] / "readers" / "read.py"


@pytest.fixture
def export(ask: Ask, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that exports the recorded run and gives the file."""

    def write(form: str) -> Path:
        file = tmp_path / {"ocel": "run.jsonocel", "intoto": "run.intoto.jsonl"}.get(
            form, f"run.{form}"
        )
        done = ask("ledger", "export", "--format", form, "--output", str(file), "--json")
        assert (done.code, done.json["format"], done.json["file"]) == (0, form, str(file))
        return file

    return write


def entries(ask: Ask) -> list[Any]:
    found: list[Any] = ask("ledger", "show", "--limit", "0", "--json").json["entries"]
    return found


def elements(ask: Ask, kind: str) -> Counter[str]:
    """Return {element: how often} of the recorded events of a kind."""
    return Counter(
        event["element"]
        for entry in entries(ask)
        for event in entry.get("events", ())
        if event["kind"] == kind
    )


# --- sound in themselves --------------------------------------------------------------------------------


def test_ocel_tells_every_completed_element_and_names_only_what_it_declares(
    ask: Ask, export: Callable[[str], Path]
) -> None:
    log = json.loads(export("ocel").read_text("utf-8"))
    objects = {item["id"]: item["type"] for item in log["objects"]}
    declared = {
        t["name"]: {a["name"]: a["type"] for a in t["attributes"]} for t in log["eventTypes"]
    }
    kinds = {"string": str, "integer": int, "boolean": bool}
    for event in log["events"]:
        assert {link["objectId"] for link in event["relationships"]} <= set(objects)
        for attribute in event["attributes"]:
            wanted = kinds[declared[event["type"]][attribute["name"]]]
            assert type(attribute["value"]) is wanted or wanted is str
    order = [a["value"] for e in log["events"] for a in e["attributes"] if a["name"] == "seq"]
    assert order == sorted(order)
    told = Counter(e["type"].partition("/")[2] for e in log["events"] if "/" in e["type"])
    del told["instance.ended"], told["job.failed"]
    assert told == elements(ask, "element_completed") + elements(ask, "element_terminated")
    assert Counter(objects.values())["task"] == 3


def test_xes_has_a_trace_for_each_instance_in_which_what_begins_also_ends(
    ask: Ask, export: Callable[[str], Path]
) -> None:
    root = etree.parse(export("xes")).getroot()
    traces = root.findall("trace")
    instances = {entry["instance"] for entry in entries(ask) if entry.get("instance")}
    names = {trace.find("string[@key='concept:name']").get("value") for trace in traces}
    assert names == {*instances, "the engine"}
    for trace in traces:
        told = Counter(
            (e.find("string[@key='concept:name']").get("value"),
             e.find("string[@key='lifecycle:transition']").get("value") == "start")
            for e in trace.findall("event") if e.find("int[@key='visit']") is not None
        )  # fmt: skip
        assert {n: c for (n, s), c in told.items() if s} == {
            n: c for (n, s), c in told.items() if not s
        }


def test_prov_relates_only_what_it_describes(export: Callable[[str], Path], shop: Project) -> None:
    document = json.loads(export("prov").read_text("utf-8"))
    described = {id for kind in ("entity", "activity", "agent") for id in document[kind]}
    ends = {
        end
        for kind, records in document.items()
        if kind not in {"prefix", "entity", "activity", "agent"}
        for record in records.values()
        for name, end in record.items()
        if name != "prov:time"
    }
    assert ends <= described
    head, onto, work = shop.git("rev-list", "--parents", "-n1", "engine/shop").split()
    derived = {
        (r["prov:generatedEntity"], r["prov:usedEntity"])
        for r in document["wasDerivedFrom"].values()
    }
    assert {(f"git:{head}", f"git:{onto}"), (f"git:{head}", f"git:{work}")} <= derived


def test_intoto_is_what_the_branch_holds(export: Callable[[str], Path], shop: Project) -> None:
    (run,) = (shop.root / ".engine" / "ledger").iterdir()
    published = shop.git("show", f"engine-attestations:{run.name}.intoto.jsonl")
    assert export("intoto").read_text("utf-8").strip() == published


def test_without_a_file_the_view_is_all_that_is_printed(ask: Ask) -> None:
    assert json.loads(ask("ledger", "export", "-f", "prov").out)["prefix"]["git"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["-f", "csv"], "--format csv: expected jsonl, ocel, xes, prov, intoto", id="no such form"),
        pytest.param(["-f", "xes", "--json"], "expected --output FILE", id="two things on one stream"),
        pytest.param(["-f", "xes", "-o", "/nowhere/x"], "expected a file that can be written", id="no such folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_says_so(ask: Ask, arguments: list[str], sentence: str) -> None:
    done = ask("ledger", "export", *arguments)
    assert done.code == 2
    assert sentence in done.out + done.err


def test_every_form_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "exports.md").read_text("utf-8")
    forms = ("jsonl", "opa-decision-log", *VIEWS)
    assert [form for form in forms if f"## `{form}`" not in page] == []


def test_no_reader_is_part_of_the_product() -> None:
    engine = Path(__file__).parents[2] / "engine"
    text = "".join(path.read_text("utf-8") for path in engine.rglob("*.py"))
    assert not any(f"import {name}" in text for name in ("pm4py", "prov.", "securesystemslib"))


# --- read by others -------------------------------------------------------------------------------------


def read(kind: str, file: Path, *more: str) -> Any:
    """Return what the reader of this kind of file makes of it."""
    python = os.environ.get("READERS")
    if not python:
        missing("no readers: install tests/readers/requirements.txt, set READERS to its python")
    done = subprocess.run(
        [python, str(READERS), kind, str(file), *more], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.readers
def test_pm4py_loads_the_object_centric_log(ask: Ask, export: Callable[[str], Path]) -> None:
    file = export("ocel")
    found = read("ocel", file)
    assert found["events"] == len(json.loads(file.read_text("utf-8"))["events"])
    assert found["objects"]["task"] == 3
    assert found["activities"]["deliver_task/Run_worker"] == 3
    assert found["activities"]["merge.completed"] == 1
    assert found["called"] == 5, "two waves and three tasks were called"
    assert found["states"] == {"price": "merged", "debt": "blocked", "tax": "quarantined"}


@pytest.mark.readers
def test_pm4py_loads_the_event_log_and_finds_the_order_of_the_diagram(
    export: Callable[[str], Path],
) -> None:
    found = read("xes", export("xes"))
    assert (found["traces"], found["processes"]) == (
        *(7, ["deliver_task", "deliver_wave", "orchestration"]),
    )
    assert {"start", "complete"} <= set(found["lifecycles"])
    assert ["Run_worker", "Verify_work"] in found["follows"]
    assert found["starts"]["Start"] == 6
    assert found["timestamps"].startswith("datetime64")


@pytest.mark.readers
def test_prov_loads_the_document(export: Callable[[str], Path]) -> None:
    file = export("prov")
    found = read("prov", file)
    document = json.loads(file.read_text("utf-8"))
    assert found["kinds"]["ProvEntity"] == len(document["entity"])
    assert found["kinds"]["ProvDerivation"] == len(document["wasDerivedFrom"])
    assert found["again"] == len(document)


@pytest.mark.readers
def test_intoto_and_securesystemslib_read_and_verify_the_attestation(
    export: Callable[[str], Path], shop: Project
) -> None:
    (ledger,) = (shop.root / ".engine" / "ledger").iterdir()
    _, _, key = (ledger / "key.pub").read_text("utf-8").strip().split("+", 2)
    (found,) = read("intoto", export("intoto"), key)
    assert found["commit"] == shop.git("rev-parse", "engine/shop")
    assert found["type"] == "https://slsa.dev/provenance/v1"
    assert found["builder"].startswith("urn:poundlock:engine:")
    assert found["dependencies"] > 15
