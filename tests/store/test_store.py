"""The promises of the store, over every database it can stand on."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256

import pytest

from engine.audit import verify
from engine.core.model import ElementActivated, InstanceStarted, JobCompleted, JobFailed
from engine.core.model import Failure as JobFailure
from engine.errors import IntegrityError, LedgerError, StoreError
from engine.ledger import EntryType, Head, Turn, note, turn, verify_chain
from engine.ledger.checkpoints import ensure_key, verify_checkpoint
from engine.store import (
    Command,
    CommandTaken,
    Effect,
    EffectDone,
    EffectIntended,
    EffectVoided,
    Fenced,
    InstanceClosed,
    InstanceOpened,
    InstanceRow,
    Run,
    RunStatusChanged,
    Store,
    TaskChanged,
    TaskRow,
)

AT = datetime(2026, 11, 20, 23, 20, 42, 123456, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)
MOVE = {
    "job": "r1/0/Merge#1.1",
    "ref": "refs/heads/engine/shop",
    "old": "a" * 40,
    "sources": ["b" * 40],
    "tree": "c" * 40,
    "commit": "d" * 40,
}


@pytest.fixture
def store(opened):
    with opened() as store:
        store.create_run("r1", feature="shop", bundle="0" * 64, at=AT)
        yield store


def done(number: int, instance: str = "0"):
    fact = JobCompleted(at=AT, job=f"A#{number}.1", variables={"cost": Decimal("0.5")})
    return turn(instance, fact, [ElementActivated(element="B", visit=number)])


def stands(store: Store) -> None:
    """The whole ledger of r1 is what the store says it is."""
    assert verify_chain(store.lines("r1")) == store.head("r1")
    key = ensure_key(store.home).key_line("r1") if store.checkpoints("r1") else ""
    report = verify(store.lines("r1"), store.checkpoints("r1"), key, store.get_blob)
    assert (report.entries, report.root) == (store.root("r1")[0], store.root("r1")[1].hex())


# --- runs --------------------------------------------------------------------------------------------


def test_a_run_begins_with_its_first_entry(store):
    head = store.head("r1")
    assert store.run("r1") == Run(
        id="r1",
        feature="shop",
        bundle="0" * 64,
        status="running",
        epoch=1,
        entries=1,
        head=head.hash,
        created_at=AT,
        changed_at=AT,
    )
    (entry,) = store.entries("r1")
    assert (entry.type, entry.body) == (
        EntryType.RUN_CREATED,
        {"feature": "shop", "bundle": "0" * 64},
    )


def test_a_run_is_created_once_and_only_under_a_safe_name(store):
    with pytest.raises(IntegrityError, match="refuses what would contradict it"):
        store.create_run("r1", feature="shop", bundle="0" * 64, at=AT)
    for name in ("", "a b", "../x", "a+b", "-a", "x" * 129):
        with pytest.raises(StoreError, match="expected a run id"):
            store.create_run(name, feature="shop", bundle="0" * 64, at=AT)
    assert [run.id for run in store.runs()] == ["r1"]


def test_a_run_is_not_started_beside_one_that_the_engine_did_not_know_of(store):
    with pytest.raises(Fenced, match="another engine has started a run of this feature"):
        store.create_run("r2", feature="shop", bundle="0" * 64, at=AT, known_runs=0)
    store.create_run("r2", feature="shop", bundle="0" * 64, at=AT, known_runs=1)
    assert [run.id for run in store.runs()] == ["r1", "r2"]


def test_a_run_is_not_taken_over_when_it_moved_on_since_it_was_looked_at(store):
    seen = store.run("r1")
    store.append("r1", [note(EntryType.RUN_STOPPED, LATER, {"status": "stopped"})])
    with pytest.raises(Fenced, match="another engine has taken this run over: expected epoch 1"):
        store.take_over("r1", at=LATER, seen=seen)
    assert store.take_over("r1", at=LATER, seen=store.run("r1")) == 2
    with pytest.raises(Fenced):
        store.take_over("r1", at=LATER, seen=seen)


def test_the_newest_unfinished_run_of_a_feature_is_found(store):
    for run in ("r2", "r3"):
        store.create_run(run, feature="shop", bundle="0" * 64, at=AT)
    store.create_run("r4", feature="other", bundle="0" * 64, at=AT)
    ended = [note(EntryType.RUN_FINISHED, LATER, {"status": "failed"})]
    store.append("r3", ended, [RunStatusChanged(status="failed", at=LATER)])
    assert store.unfinished_run("shop").id == "r2"
    assert store.unfinished_run("nothing") is None
    assert (store.run("r3").status, store.run("r3").changed_at) == ("failed", LATER)
    assert store.run("r3").is_finished
    with pytest.raises(StoreError, match="there is no run r9"):
        store.run("r9")


# --- entries -----------------------------------------------------------------------------------------


def test_what_was_appended_is_read_back_in_order(store):
    sealed = store.append("r1", [done(1), done(2, "0.X#1[1]"), done(3)])
    assert [entry.seq for entry in sealed] == [2, 3, 4]
    assert store.head("r1") == Head("r1", 1, 4, sealed[-1].hash)
    assert list(store.lines("r1", after=1)) == [entry.line for entry in sealed]
    assert [entry.seq for entry in store.entries("r1", instance="0")] == [2, 4]
    assert [entry.seq for entry in store.entries("r1", types=[EntryType.RUN_CREATED])] == [1]
    fact = JobCompleted(at=AT, job="A#2.1", variables={"cost": Decimal("0.5")})
    events = (ElementActivated(element="B", visit=2),)
    assert store.facts("r1", "0.X#1[1]") == [Turn(seq=3, fact=fact, events=events)]
    stands(store)


def test_a_large_value_lives_in_a_blob_and_comes_back(store):
    fact = InstanceStarted(at=AT, process="p", variables={"text": "x" * 100_000})
    (sealed,) = store.append("r1", [turn("0", fact, [])])
    assert len(sealed.line) < 1000
    assert store.facts("r1", "0")[0].fact == fact
    (blob,) = (store.home / "blobs" / "sha256").glob("*/*")
    blob.write_bytes(b'"other"')
    with pytest.raises(IntegrityError, match="a blob is not what its name says"):
        store.facts("r1", "0")
    blob.unlink()
    with pytest.raises(IntegrityError, match="a blob that the ledger names is missing"):
        store.facts("r1", "0")


def test_blobs_are_stored_by_digest_once(store):
    digest = store.put_blob(b"bundle")
    assert digest == f"sha256:{sha256(b'bundle').hexdigest()}"
    assert store.put_blob(b"bundle") == digest
    assert store.get_blob(digest) == b"bundle"
    with pytest.raises(IntegrityError, match="expected a digest"):
        store.get_blob("../../etc/passwd")


def test_many_blobs_are_stored_at_once(store):
    contents = [*(f"file {n % 20}".encode() for n in range(40)), b""]
    store.put_blobs(contents)
    kept = {
        content: store.get_blob(f"sha256:{sha256(content).hexdigest()}") for content in contents
    }
    assert all(content == found for content, found in kept.items())
    left = [path.name for path in (store.home / "blobs").rglob("*") if path.is_file()]
    assert (len(left), [name for name in left if name.startswith(".")]) == (21, [])


def test_a_job_has_one_outcome(store):
    store.append("r1", [done(1)])
    again = turn("0", JobFailed(at=AT, job="A#1.1", failure=JobFailure(message="late")), [])
    for drafts in ([again], [done(2), again], [done(3), done(3)]):
        with pytest.raises(IntegrityError, match="refuses what would contradict it"):
            store.append("r1", drafts)
    store.append("r1", [done(1, "0.X#1[1]"), done(2)])
    assert store.head("r1").seq == 4
    stands(store)


def test_a_merge_is_completed_once(store):
    store.append("r1", [note(EntryType.MERGE_COMPLETED, AT, MOVE)])
    with pytest.raises(IntegrityError):
        store.append("r1", [note(EntryType.MERGE_COMPLETED, LATER, MOVE)])
    stands(store)


def test_a_draft_that_breaks_the_contract_writes_nothing(store):
    before = store.head("r1")
    with pytest.raises(LedgerError, match=r"entry 3 \(merge\.authorized\)"):
        store.append(
            "r1",
            [done(1), note(EntryType.MERGE_AUTHORIZED, AT, {})],
            [InstanceOpened(instance="0", process="p")],
        )
    assert (store.head("r1"), store.open_instances("r1")) == (before, [])
    store.append("r1", [done(1)])
    stands(store)


def test_entries_are_never_changed_or_deleted(store):
    store.append("r1", [done(1)])
    for statement in ("UPDATE entry SET line = hash", "DELETE FROM entry"):
        with (
            pytest.raises(IntegrityError, match="entries of the ledger are never"),
            store._database.writing() as connection,
        ):
            connection.execute(statement)
    assert store.head("r1").seq == 2
    stands(store)


def test_threads_may_append_and_read_at_once(store):
    def append(first: int) -> None:
        for number in range(first, first + 20):
            store.append("r1", [done(number)])
            assert len(list(store.lines("r1"))) > 1

    threads = [threading.Thread(target=append, args=(n * 100,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.head("r1").seq == 81
    stands(store)


# --- taking over -------------------------------------------------------------------------------------


def test_the_engine_that_was_taken_over_is_fenced(store, opened):
    store.append("r1", [done(1)], [TaskChanged(task="t", state="running", body={"attempts": 1})])
    with opened() as other:
        assert other.take_over("r1", at=LATER, body={"recovered": []}) == 2
        for drafts, changes in (([done(2)], []), ([], [TaskChanged(task="t", state="merged")])):
            with pytest.raises(Fenced, match="another engine has taken this run over"):
                store.append("r1", drafts, changes)
        with pytest.raises(Fenced):
            store.checkpoint("r1", LATER)
        other.append("r1", [done(2)], [TaskChanged(task="t", state="merged", body={"commit": "c"})])
        assert other.tasks("r1") == [
            TaskRow(task="t", state="merged", body={"attempts": 1, "commit": "c"})
        ]
        assert [entry.epoch for entry in other.entries("r1")] == [1, 1, 2, 2]
        stands(other)


def test_two_writers_of_one_epoch_cannot_both_append(store, opened):
    with opened() as other:
        other._live["r1"] = store._live["r1"]  # a bug that no lock or epoch would stop
        store.append("r1", [done(1)])
        with pytest.raises(Fenced):
            other.append("r1", [done(2)])
    stands(store)


def test_a_run_is_written_only_after_it_was_taken_over(store, opened):
    with opened() as other:
        with pytest.raises(StoreError, match="expected take_over before the first append"):
            other.append("r1", [done(1)])
        with pytest.raises(StoreError, match="there is no run r7"):
            other.take_over("r7", at=AT)


def test_a_ledger_that_ends_elsewhere_is_not_taken_over(store, opened):
    store.append("r1", [done(1), done(2)])
    with store._database.writing() as connection:
        connection.execute("UPDATE run SET entries = 2, peaks = substr(peaks, 1, 32)")
    with opened() as other, pytest.raises(IntegrityError, match="does not end where the run says"):
        other.take_over("r1", at=LATER)


# --- checkpoints -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draft",
    [
        note(EntryType.MERGE_AUTHORIZED, AT, MOVE),
        note(EntryType.ROLLBACK_AUTHORIZED, AT, MOVE),
        note(EntryType.RUN_FINISHED, AT, {"status": "completed"}),
    ],
    ids=lambda draft: draft.type,
)
def test_what_must_be_witnessed_is_signed_in_its_own_transaction(store, draft):
    sealed = store.append("r1", [done(1), draft])
    assert [entry.draft.type for entry in sealed][1:] == [draft.type, EntryType.CHECKPOINT_SIGNED]
    (signed,) = store.checkpoints("r1")
    found = verify_checkpoint(signed, ensure_key(store.home).key_line("r1"))
    assert found.size == 3
    stands(store)


def test_a_checkpoint_is_signed_every_thousand_entries_and_on_demand(store):
    store.append("r1", [done(n) for n in range(998)])
    assert store.checkpoints("r1") == []
    store.append("r1", [done(998)])
    assert len(store.checkpoints("r1")) == 1
    size, root = store.root("r1")
    signed = store.checkpoint("r1", LATER)
    assert store.checkpoints("r1")[1] == signed
    found = verify_checkpoint(signed, ensure_key(store.home).key_line("r1"))
    assert (found.size, found.root) == (size, root)
    assert len(store.append("r1", [done(1000)], checkpoint=True)) == 2
    stands(store)


# --- state -------------------------------------------------------------------------------------------


def test_instances_open_and_close_once(store):
    opened = [
        InstanceOpened(instance="0", process="orchestration"),
        InstanceOpened(instance="0.W#1[1]", process="deliver_wave", parent="0"),
    ]
    store.append("r1", [done(1)], opened)
    store.append("r1", [done(2)], [InstanceClosed(instance="0.W#1[1]", state="completed")])
    assert store.open_instances("r1") == [
        InstanceRow(instance="0", process="orchestration", parent="", state="active")
    ]
    for change in (opened[0], InstanceClosed(instance="0.W#1[1]", state="failed")):
        with pytest.raises(IntegrityError):
            store.append("r1", [done(3)], [change])
    assert store.head("r1").seq == 3


def test_an_effect_is_done_once_and_a_void_one_may_be_tried_again(store):
    intended = EffectIntended(key="merge-1", kind="merge", body={"old": "a"})
    store.append("r1", [], [intended])
    assert store.effects("r1") == [
        Effect(key="merge-1", kind="merge", state="intent", body={"old": "a"})
    ]
    with pytest.raises(IntegrityError):
        store.append("r1", [], [intended])
    store.append("r1", [], [EffectVoided(key="merge-1", reason="stale")])
    store.append("r1", [], [intended])
    store.append("r1", [], [EffectDone(key="merge-1", body={"new": "b"})])
    assert store.effects("r1", state="done") == [
        Effect(key="merge-1", kind="merge", state="done", body={"old": "a", "new": "b"})
    ]
    assert store.effects("r1", state="void")[0].body == {"old": "a", "reason": "stale"}
    for change in (
        EffectDone(key="merge-1"),
        EffectVoided(key="merge-1", reason="x"),
        EffectDone(key="unknown"),
        intended,
    ):
        with pytest.raises(IntegrityError):
            store.append("r1", [], [change])
    with (
        pytest.raises(IntegrityError, match="contradict"),
        store._database.writing() as connection,
    ):
        connection.execute("UPDATE effect SET state = 'done'")
    assert store.effects("r1") == []


def test_state_and_entries_commit_together_or_not_at_all(store):
    store.append("r1", [done(1)], [EffectIntended(key="k", kind="merge")])
    before = (store.head("r1"), store.root("r1"), store.effects("r1"), store.tasks("r1"))
    with pytest.raises(IntegrityError):
        store.append(
            "r1",
            [done(2)],
            [TaskChanged(task="t", state="merged"), EffectDone(key="k"), EffectDone(key="k")],
        )
    assert (store.head("r1"), store.root("r1"), store.effects("r1"), store.tasks("r1")) == before
    store.append(
        "r1", [done(2)], [TaskChanged(task="t", state="merged", body={"n": Decimal("0.5")})]
    )
    assert store.tasks("r1") == [TaskRow(task="t", state="merged", body={"n": Decimal("0.5")})]
    stands(store)


def test_a_command_is_offered_until_it_is_taken(store, opened):
    with opened() as other:
        first = other.send_command("r1", "approve", {"element": "Review"}, AT)
        second = other.send_command("r1", "stop", {}, LATER)
    assert store.commands("r1") == [
        Command(id=first, kind="approve", body={"element": "Review"}, sent_at=AT),
        Command(id=second, kind="stop", body={}, sent_at=LATER),
    ]
    received = note(EntryType.COMMAND_RECEIVED, AT, {"kind": "approve", "answer": "taken"})
    store.append("r1", [received], [CommandTaken(command=first)])
    assert [command.id for command in store.commands("r1")] == [second]
    with pytest.raises(IntegrityError, match="CommandTaken does not fit the state"):
        store.append("r1", [received], [CommandTaken(command=first)])
    with pytest.raises(StoreError, match="there is no run r9"):
        store.send_command("r9", "stop", {}, AT)


def test_an_empty_append_is_nothing(store):
    assert store.append("r1", []) == []
    assert store.head("r1").seq == 1


def test_a_closed_and_reopened_store_goes_on(opened):
    with opened() as store:
        store.create_run("r1", feature="shop", bundle="0" * 64, at=AT)
        store.append("r1", [done(1)])
        head = store.head("r1")
    with opened() as store:
        assert store.head("r1") == head
        store.take_over("r1", at=LATER)
        assert store.head("r1") == replace(store.head("r1"), epoch=2, seq=3)
        store.check()
        stands(store)
