"""`engine ledger verify | show | export` on a project, as a person or a program sees them."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import orjson
import pytest
from typer.testing import CliRunner

from engine.audit import Finding, verify_folder
from engine.audit import git as level_4
from engine.cli.ledger import app
from engine.core import model
from engine.errors import UsageError
from engine.ledger import EntryType, note, turn
from engine.store import Store

UP_TO_L2 = ("--level", "L2")  # these runs have no definitions, and nothing to derive anew
AT = datetime(2026, 11, 20, 23, 20, 42, 123456, tzinfo=UTC)


@pytest.fixture
def project(tmp_path):
    """A project with two runs; the newer has a turn and an end."""
    with Store.open(tmp_path / ".engine" / "engine.db") as store:
        for run in ("one-1", "two-2"):
            store.create_run(run, feature="shop", bundle="0" * 64, at=AT)
        job = model.Job(
            key="k", type="repository.merge", element="Merge", visit=1, attempt=1, retries=3
        )
        taken = model.ElementCompleted(element="May_merge", visit=1, flows=("Flow_yes",))
        events = [taken, model.JobCreated(job=job)]
        failed = model.JobFailed(
            at=AT, job="Check#1.1", failure=model.Failure(message="[red]exit 3[/]")
        )
        drafts = [
            turn("0", failed, events, task="t7"),
            note(
                EntryType.GATE_FINISHED, AT, {"name": "tests", "stage": "pre_merge", "result": "ok"}
            ),
            note(EntryType.RUN_FINISHED, AT, {"status": "completed", "message": ""}),
        ]
        store.append("two-2", drafts)
    return tmp_path


def engine_ledger(project, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        app, [*arguments, "--project", str(project)], standalone_mode=False, catch_exceptions=False
    )
    return done.return_value, done.stdout


def damage(project):
    database = sqlite3.connect(project / ".engine" / "engine.db")
    database.execute("DROP TRIGGER entry_is_not_updated")
    database.execute(
        "UPDATE entry SET line = CAST(replace(CAST(line AS TEXT), 'exit 3', 'exit 0') AS BLOB)"
    )
    database.commit()
    database.close()


def test_show_tells_what_happened_in_words(project):
    assert engine_ledger(project, "show") == (
        0,
        "     1  2026-11-20 23:20:42.123  run created for feature shop under bundle 000000000000\n"
        "     2  2026-11-20 23:20:42.123  t7  job failed Check#1.1: [red]exit 3[/] → took Flow_yes, "
        "job repository.merge\n"
        "     3  2026-11-20 23:20:42.123  gate tests (pre_merge): ok\n"
        "     4  2026-11-20 23:20:42.123  run ended: completed\n"
        f"     5  2026-11-20 23:20:42.123  checkpoint signed over 4 entries, root {root(project)[:12]}\n",
    )


def root(project) -> str:
    with Store.open(project / ".engine" / "engine.db", read_only=True) as store:
        return next(store.entries("two-2", types=[EntryType.CHECKPOINT_SIGNED])).body["root"]


@pytest.mark.parametrize(
    ("arguments", "seqs"),
    [
        (["--limit", "2"], [4, 5]),
        (["--limit", "0"], [1, 2, 3, 4, 5]),
        (["--type", "gate.finished", "--type", "run.created"], [1, 3]),
        (["--run", "one"], [1]),
    ],
)
def test_show_selects(project, arguments, seqs):
    _, told = engine_ledger(project, "show", "--json", *arguments)
    shown = orjson.loads(told)
    assert (shown["schema"], [entry["seq"] for entry in shown["entries"]]) == (
        "engine.ledger-show/v1",
        seqs,
    )
    _, lines = engine_ledger(project, "show", "--jsonl", *arguments)
    assert [orjson.loads(line)["seq"] for line in lines.splitlines()] == seqs


def test_an_honest_ledger_verifies(project):
    code, told = engine_ledger(project, "verify", *UP_TO_L2)
    assert (code, told.splitlines()[0]) == (0, "the ledger of run two-2 holds")
    code, told = engine_ledger(project, "verify", *UP_TO_L2, "--json")
    report = orjson.loads(told)
    assert (code, report["ok"], report["entries"], report["witnessed"]) == (0, True, 5, 4)
    assert (report["schema"], report["findings"]) == ("engine.ledger-verify/v1", [])


def test_a_changed_row_fails_with_code_5_and_names_the_entry(project):
    damage(project)
    code, told = engine_ledger(project, "verify", *UP_TO_L2, "--json")
    report = orjson.loads(told)
    assert (code, report["ok"]) == (5, False)
    assert {"level": "L1", "seq": 3, "message": "prev is not the hash of the entry before"} in (
        report["findings"]
    )
    assert engine_ledger(project, "verify", *UP_TO_L2)[0] == 5
    assert engine_ledger(project, "verify", *UP_TO_L2, "--run", "one-1")[0] == 0


def test_a_file_that_differs_from_the_database_fails(project):
    engine_ledger(project, "export")
    path = project / ".engine" / "ledger" / "two-2" / "000000000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"exit 3", b"exit 0"))
    code, told = engine_ledger(project, "verify", *UP_TO_L2, "--json")
    expected = {"level": "L0", "seq": 2, "message": "000000000001.jsonl differs from the database"}
    assert (code, orjson.loads(told)["findings"]) == (5, [expected])


def test_a_checkpoint_kept_elsewhere_betrays_a_younger_ledger(project, tmp_path):
    with Store.open(project / ".engine" / "engine.db") as store:
        store.take_over("one-1", at=AT)
        kept = store.checkpoint("one-1", AT)
    note_file = tmp_path / "kept.txt"
    note_file.write_text(kept.replace("one-1\n2\n", "one-1\n9\n"))
    code, told = engine_ledger(
        project, "verify", *UP_TO_L2, "-r", "one", "--checkpoint", str(note_file)
    )
    assert (code, "is not signed by the key of" in told) == (5, True)
    note_file.write_text(kept)
    assert (
        engine_ledger(project, "verify", *UP_TO_L2, "-r", "one", "--checkpoint", str(note_file))[0]
        == 0
    )


def test_export_writes_what_the_independent_verifier_reads(project, tmp_path):
    code, told = engine_ledger(project, "export", "-o", str(tmp_path / "out"), "--json")
    assert (code, orjson.loads(told)["entries"]) == (0, 5)
    report = verify_folder(tmp_path / "out")
    assert (report.ok, report.entries, report.witnessed) == (True, 5, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "--run", "three"], "run three: expected one run, but got one-1, two-2"),
        (["show", "--type", "x"], "--type x: expected one of checkpoint.signed"),
        (["export", "--format", "xml"], "--format xml: expected jsonl, "),
        (["export", "a", "--run", "b"], "two runs are named: expected one run, but got a and b"),
        (["verify", "--checkpoint", "/nowhere"], "/nowhere: the checkpoint cannot be read"),
        (["verify", "--level", "L5"], "--level L5: expected one of L0, L1, L2, L3, L4"),
        (["verify", "--git", "/nowhere"], "/nowhere: expected a git repository, but got none"),
        (["prove"], "expected an entry number or --since FILE, but got none"),
        (["prove", "9"], "entry 9: expected a number from 1 to 5"),
        (["prove", "5"], "entry 5: no signed checkpoint covers it yet"),
    ],
)
def test_what_cannot_be_done_is_said(project, arguments, message):
    with pytest.raises(UsageError) as caught:
        engine_ledger(project, *arguments)
    assert str(caught.value).startswith(message)


def test_a_project_without_runs_is_told_so(tmp_path):
    (tmp_path / ".engine").mkdir()
    with pytest.raises(UsageError, match="there are no runs here yet"):
        engine_ledger(tmp_path, "verify")


def test_git_is_not_held_against_a_run_that_goes_on_meanwhile(project, monkeypatch):
    """Its branch moves on as well; what is read is the ledger as it was."""

    def go_on(repository, run, course, roots_at, ref):
        with Store.open(project / ".engine" / "engine.db") as store:
            store.take_over("two-2", at=AT)
        return level_4.GitAudit(ref="r", merges=0, objects=0, findings=(Finding(0, "L4", "ahead"),))

    monkeypatch.setattr("engine.audit.levels.audit_git", go_on)
    (project / ".engine" / "vault.git").mkdir()
    code, told = engine_ledger(project, "verify", "--json")
    report = orjson.loads(told)
    assert report["left_out"] == ["L4 was not looked at: the run went on meanwhile, try again"]
    assert "L4" not in [*report["levels"], *(finding["level"] for finding in report["findings"])]
    assert code == 5, "these runs have no definitions"
