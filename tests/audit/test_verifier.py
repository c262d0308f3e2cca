"""The independent verifier: an honest ledger holds; every attack on it is found, at the level that names it."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import audit
from engine.audit import Finding, verify
from engine.audit import lines as reading
from engine.audit.batches import TAG
from engine.core.model import Failure, JobCompleted, JobFailed
from engine.ledger import Draft, EntryType, Head, note, seal, turn
from engine.ledger.checkpoints import SigningKey, sign_checkpoint
from engine.ledger.entries import after
from engine.ledger.merkle import Frontier
from tests.depth import examples

AT = datetime(2026, 11, 20, 23, 20, 42, 123456, tzinfo=UTC)
KEY = SigningKey(bytes(range(32)))
KEY_LINE = KEY.key_line("r1")
SUBJECT = {"old": "a" * 40, "sources": ["b" * 40], "tree": "c" * 40, "commit": "d" * 40}
NEXT = {"old": "d" * 40, "sources": ["e" * 40], "tree": "f" * 40, "commit": "1" * 40}
REF = "refs/heads/engine/shop"
CHECKS = ("budget", "validator", "manifest", "policy", "conflict")


def created() -> Draft:
    return note(EntryType.RUN_CREATED, AT, {"feature": "shop", "bundle": "0" * 64})


def completed(job: str, instance: str = "0") -> Draft:
    return turn(instance, JobCompleted(at=AT, job=job), [])


def verdicts(subject=SUBJECT, checks=CHECKS, **other: str) -> list[Draft]:
    said = {**dict.fromkeys(checks, "pass"), **other}
    return [
        note(
            EntryType.VERDICT_RECORDED,
            AT,
            {"kind": kind, "verdict": verdict, "subject": subject, "reasons": []},
        )
        for kind, verdict in said.items()
    ]


def authorized(subject=SUBJECT, job="m1", kind=EntryType.MERGE_AUTHORIZED) -> Draft:
    return note(kind, AT, {"job": job, "ref": REF, **subject})


def merged(subject=SUBJECT, job="m1", kind=EntryType.MERGE_COMPLETED) -> Draft:
    return note(kind, AT, {"job": job, "ref": REF, **subject})


def voided(job="m1") -> Draft:
    return note(EntryType.MERGE_VOIDED, AT, {"job": job, "reason": "stale"})


def resumed() -> Draft:
    return note(EntryType.RUN_RESUMED, AT, {})


def finished() -> Draft:
    return note(EntryType.RUN_FINISHED, AT, {"status": "completed"})


class Signed:
    """Stands for a checkpoint over everything before it."""


def ledger(*drafts: Draft | type[Signed] | int) -> list[bytes]:
    """Seal drafts into lines; a number sets the epoch from there on."""
    head, lines = Head("r1", 1), []
    for draft in drafts:
        if isinstance(draft, int):
            head = Head("r1", draft, head.seq, head.hash)
            continue
        if not isinstance(draft, Draft):
            root = Frontier().grown(lines).root()
            body = {
                "size": len(lines),
                "root": root.hex(),
                "note": sign_checkpoint(KEY, "r1", len(lines), root),
                "key": KEY_LINE,
            }
            draft = note(EntryType.CHECKPOINT_SIGNED, AT, body)
        sealed = seal(head, draft)
        head = after(head, sealed)
        lines.append(sealed.line)
    return lines


def witness(lines: list[bytes]) -> str:
    """Return a checkpoint over all of `lines`, as somebody else keeps it."""
    return sign_checkpoint(KEY, "r1", len(lines), Frontier().grown(lines).root())


HONEST = ledger(
    created(),
    completed("Plan#1.1"),
    turn("0", JobFailed(at=AT, job="Build#1.1", failure=Failure(message="x")), []),
    completed("Build#1.2"),
    *verdicts(budget="fail"),
    *verdicts(),
    authorized(),
    Signed,
    merged(),
    2,
    resumed(),
    *verdicts(NEXT),
    authorized(NEXT, "m2"),
    Signed,
    voided("m2"),
    *verdicts(NEXT),
    authorized(NEXT, "m2"),
    Signed,
    merged(NEXT, "m2"),
    *verdicts(
        {**NEXT, "old": "1" * 40, "sources": ["a" * 40], "commit": "2" * 40}, (), rollback="pass"
    ),
    finished(),
    Signed,
)
WITNESS = witness(HONEST)


def rechained(lines: list[bytes]) -> list[bytes]:
    """Return the lines sealed anew, as somebody who can write the database would."""
    head, result = Head("r1", 1), []
    for line in lines:
        record = orjson.loads(line)
        record["seq"], record["prev"] = head.seq + 1, head.hash.hex()
        new = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
        result.append(new)
        head = Head("r1", 1, head.seq + 1, sha256(TAG + head.hash + new).digest())
    return result


# --- honest ------------------------------------------------------------------------------------------


def test_an_honest_ledger_holds():
    report = verify(HONEST, [WITNESS], KEY_LINE)
    assert report.findings == ()
    assert (report.run, report.entries, report.ok) == ("r1", len(HONEST), True)
    assert (report.checkpoints, report.witnessed) == (5, len(HONEST))


def test_without_a_key_nothing_counts_as_witnessed():
    report = verify(HONEST, [WITNESS])
    assert (report.ok, report.checkpoints, report.witnessed) == (True, 0, 0)


def test_an_empty_ledger_has_an_empty_report():
    report = verify([])
    assert (report.entries, report.run, report.findings) == (0, "", ())


def test_the_slow_reader_agrees_with_the_quick_one():
    slow = verify(HONEST, [WITNESS], KEY_LINE, parse=reading.parse_slowly)
    assert slow == verify(HONEST, [WITNESS], KEY_LINE)


@pytest.mark.parametrize(
    "line",
    [b"1.5", b'{"a":1.0}', b'{"a":1e2}', b'{"a":NaN}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a": 1}',
     b'{"a":"\\u0041"}', b'{"a":9007199254740992}', b"[]", b"", b"\xff", b"[" * 5000,
     '{"\ue000":1,"\U0001f600":2}'.encode()],
)  # fmt: skip
def test_both_readers_refuse_what_is_not_canonical(line):
    assert reading.parse_slowly(line) is None
    assert reading.parser()(line) is None


def test_both_readers_sort_names_as_rfc_8785_does():
    line = '{"\U0001f600":2,"\ue000":1}'.encode()
    assert reading.parse_slowly(line) == reading.parser()(line) == {"\ue000": 1, "\U0001f600": 2}


# --- tampering ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attack", "level"),
    [
        pytest.param(lambda lines: lines[:-3], "L1", id="cut off the end"),
        pytest.param(lambda lines: lines[:5] + lines[6:], "L1", id="delete a line"),
        pytest.param(lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], "L1", id="swap"),
        pytest.param(lambda lines: [*lines[:6], lines[5], *lines[6:]], "L1", id="duplicate"),
        pytest.param(lambda lines: [*lines[:-1], lines[-1][:-9]], "L0", id="tear the last line"),
        pytest.param(lambda lines: [*lines[:4], lines[4].replace(b":", b": ", 1), *lines[5:]], "L0",
                     id="another spelling"),
        pytest.param(lambda lines: rechained(lines[:5] + lines[6:]), "L1", id="delete and chain anew"),
        pytest.param(lambda lines: rechained(lines[:-1]), "L1", id="cut off and chain anew"),
        pytest.param(lambda lines: rechained([line.replace(b'"fail"', b'"pass"') for line in lines]), "L1",
                     id="turn a verdict and chain anew"),
        pytest.param(lambda lines: ledger(created(), finished()), "L1", id="another ledger"),
        pytest.param(lambda lines: [*lines[:3], ledger(created(), resumed())[1], *lines[3:]], "L1",
                     id="a foreign entry"),
        pytest.param(lambda lines: [], "L1", id="everything gone"),
    ],
)  # fmt: skip
def test_tampering_is_found_with_one_checkpoint_from_outside(attack, level):
    report = verify(attack(list(HONEST)), [WITNESS], KEY_LINE)
    assert level in {finding.level for finding in report.findings}


def test_a_rewritten_ledger_is_only_betrayed_by_the_checkpoint_somebody_else_keeps():
    forged = ledger(created(), *verdicts(), authorized(), Signed, merged(), finished(), Signed)
    assert verify(forged, (), KEY_LINE).ok  # whoever has the key and the disk can write anything
    report = verify(forged, [WITNESS], KEY_LINE)
    message = f"a checkpoint covers {len(HONEST)} entries, but there are {len(forged)}: the end is missing"
    assert report.findings == (Finding(0, "L1", message),)


ATTACKS: tuple[Callable[[list[bytes], random.Random], list[bytes]], ...] = (
    lambda lines, rng: flipped(lines, rng),
    lambda lines, rng: rechained_quietly(flipped(lines, rng)),
    lambda lines, rng: without(lines, rng.randrange(len(lines))),
    lambda lines, rng: rechained_quietly(without(lines, rng.randrange(len(lines)))),
    lambda lines, rng: swapped(lines, *rng.sample(range(len(lines)), 2)),
    lambda lines, rng: rechained_quietly(swapped(lines, *rng.sample(range(len(lines)), 2))),
    lambda lines, rng: lines[: rng.randrange(len(lines))],
    lambda lines, rng: [*lines, rng.choice(lines)],
    lambda lines, rng: rechained_quietly([*lines[:7], rng.choice(lines), *lines[7:]]),
)


def flipped(lines: list[bytes], rng: random.Random) -> list[bytes]:
    index = rng.randrange(len(lines))
    line = bytearray(lines[index])
    line[rng.randrange(len(line))] ^= 1 << rng.randrange(8)
    return [*lines[:index], bytes(line), *lines[index + 1 :]]


def without(lines: list[bytes], index: int) -> list[bytes]:
    return lines[:index] + lines[index + 1 :]


def swapped(lines: list[bytes], one: int, other: int) -> list[bytes]:
    result = list(lines)
    result[one], result[other] = result[other], result[one]
    return result


def rechained_quietly(lines: list[bytes]) -> list[bytes]:
    try:
        return rechained(lines)
    except (ValueError, TypeError, KeyError):
        return lines


@given(st.integers(0, len(ATTACKS) - 1), st.integers())
@settings(max_examples=examples(400), deadline=None)
def test_random_tampering_is_always_found(attack, seed):
    lines = ATTACKS[attack](list(HONEST), random.Random(seed))
    report = verify(lines, [WITNESS], KEY_LINE)
    grew = lines[: len(HONEST)] == HONEST and len(lines) > len(HONEST)
    assert not report.ok or lines == HONEST, (attack, seed)
    assert not grew or not report.ok


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        (["nonsense"], "a checkpoint is malformed"),
        ([WITNESS.replace(str(len(HONEST)), "01", 1)], "a checkpoint is malformed"),
        ([sign_checkpoint(KEY, "r1", 5, bytes(32)).replace("\n5\n", "\n6\n")],
         f"the checkpoint over 6 entries is not signed by the key of {KEY.origin('r1')}"),
        ([sign_checkpoint(SigningKey(bytes(32)), "r1", 1, bytes(32))],
         f"the checkpoint over 1 entries is not signed by the key of {KEY.origin('r1')}"),
        ([sign_checkpoint(KEY, "r2", 1, bytes(32))],
         f"the checkpoint over 1 entries is not signed by the key of {KEY.origin('r1')}"),
        ([sign_checkpoint(KEY, "r1", 5, bytes(32))],
         "the first 5 entries are not those that a checkpoint has witnessed"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_does_not_fit_is_a_finding(notes, message):
    assert verify(HONEST, notes, KEY_LINE).findings == (Finding(0, "L1", message),)


def test_a_recorded_checkpoint_must_cover_the_entries_before_it():
    lines = ledger(created(), completed("A#1.1"), Signed, resumed())
    record = orjson.loads(lines[2])
    record["body"]["size"] = 1
    lines[2] = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    messages = [finding.message for finding in verify(rechained(lines), (), KEY_LINE).findings]
    assert messages == ["the checkpoint is not the root of the 2 entries before it"]


def test_large_values_are_checked_by_digest():
    blobs: dict[str, bytes] = {}

    def put(content: bytes) -> str:
        digest = f"sha256:{sha256(content).hexdigest()}"
        blobs[digest] = content
        return digest

    first = seal(Head("r1", 1), created())
    fact = JobCompleted(at=AT, job="A#1.1", variables={"text": "x" * 100_000})
    second = seal(after(Head("r1", 1), first), turn("0", fact, []), put)
    lines = [first.line, second.line]
    assert verify(lines, blob=blobs.get).ok
    (digest,) = blobs
    found = Finding(2, "L0", f"the content {digest} is missing or altered")
    assert verify(lines, blob={}.get).findings == (found,)
    assert verify(lines, blob=lambda _: b"other").findings == (found,)


# --- the course of a run -----------------------------------------------------------------------------


def one(job="m1", subject=SUBJECT):
    return [*verdicts(subject), authorized(subject, job), Signed, merged(subject, job)]


@pytest.mark.parametrize(
    ("drafts", "seq", "message"),
    [
        pytest.param([completed("A#1.1")], 1, "a run is created by its first entry and by no other", id="no beginning"),
        pytest.param([created(), created()], 2, "a run is created by its first entry and by no other", id="two beginnings"),
        pytest.param([created(), completed("A#1.1"), completed("A#1.1")], 3,
                     "job 0/A#1.1 has an outcome already, in entry 2", id="an outcome twice"),
        pytest.param([created(), 2, resumed(), 1, completed("A#1.1")], 3,
                     "the epoch goes down from 2 to 1", id="an old engine writes"),
        pytest.param([created(), 2, completed("A#1.1")], 2,
                     "a new epoch begins without run.resumed", id="an epoch without take-over"),
        pytest.param([created(), finished(), completed("A#1.1")], 3,
                     "the run ended with entry 2, yet goes on", id="after the end"),
        pytest.param([created(), finished()], 2,
                     "no checkpoint was signed over the end of the run: what followed is missing", id="the end unsigned"),
        pytest.param([created(), *verdicts(), authorized()], 7,
                     "no checkpoint was signed over an authorisation: what followed is missing", id="unsigned intent"),
        pytest.param([created(), finished(), Signed, Signed], 4,
                     "the run ended with entry 2, yet goes on", id="a second checkpoint over the end"),
        pytest.param([created(), merged()], 2,
                     "m1 was completed without an authorisation of the same commits", id="unauthorised merge"),
        pytest.param([created(), *verdicts(), authorized(), voided(), merged()], 9,
                     "m1 was completed without an authorisation of the same commits", id="merge after void"),
        pytest.param([created(), *verdicts(), authorized(), merged(NEXT)], 8,
                     "m1 was completed without an authorisation of the same commits", id="merge of other commits"),
        pytest.param([created(), *verdicts(checks=CHECKS[1:]), authorized()], 6,
                     "authorised although budget is not recorded for these commits", id="a verdict is missing"),
        pytest.param([created(), *verdicts(policy="undefined"), authorized()], 7,
                     "authorised although policy is undefined for these commits", id="a verdict is undefined"),
        pytest.param([created(), *verdicts(), *verdicts(checks=(), manifest="fail"), authorized()], 8,
                     "authorised although manifest is fail for these commits", id="a later verdict closes"),
        pytest.param([created(), *verdicts(NEXT), authorized()], 7,
                     "authorised although budget is not recorded for these commits", id="verdicts on other commits"),
        pytest.param([created(), authorized(), *verdicts()], 2,
                     "authorised although budget is not recorded for these commits", id="verdicts too late"),
        pytest.param([created(), *verdicts(), authorized(kind=EntryType.ROLLBACK_AUTHORIZED)], 7,
                     "authorised although rollback is not recorded for these commits", id="rollback without verdict"),
        pytest.param([created(), *one(), merged()], 10,
                     "m1 was completed already, in entry 9", id="a merge twice"),
        pytest.param([created(), *one(), *one("m2")], 17,
                     f"commit {'d' * 40} was merged already, in entry 9", id="a commit twice"),
        pytest.param([created(), *one(), *one("m2", {**NEXT, "old": "9" * 40})], 17,
                     f"{REF} stood at {'d' * 40}, yet the merge builds on {'9' * 40}", id="a merge beside the branch"),
    ],
)  # fmt: skip
def test_a_run_that_took_a_wrong_course_is_found(drafts, seq, message):
    findings = verify(ledger(*drafts), (), KEY_LINE).findings
    assert Finding(seq, "L2", message) in findings
    assert {finding.level for finding in findings} == {"L2"}


def test_a_subject_that_is_none_authorises_nothing():
    lines = ledger(created(), *verdicts(), authorized(), merged())
    for place in (1, 6, 7):
        strange = list(lines)
        for value in ([], {}, None, 5, ["x"]):
            record = orjson.loads(lines[place])
            body = record["body"].get("subject", record["body"])
            body["old"] = value
            strange[place] = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
            found = verify(rechained(strange), (), KEY_LINE).findings
            assert {finding.level for finding in found} == {"L2"}


# --- folders and the command -------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    from engine.ledger.export import Exporter

    Exporter(tmp_path / "r1", lambda n: HONEST[n:], segment_entries=10)
    return tmp_path / "r1"


def audited(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "engine.audit", *arguments]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_command_tells_what_it_checked(folder, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text(WITNESS)
    size = len(HONEST)
    expected = (
        f"run r1: {size} entries, 5 signed checkpoints (the newest covers {size}), "
        "levels L0 L1 L2: the ledger holds\n"
    )
    arguments = (str(folder), "--checkpoint", str(kept), "--key", KEY_LINE, "--level", "L2")
    assert audited(*arguments) == (0, expected)


def test_the_command_names_entry_and_level(folder):
    segment = sorted(folder.glob("*.jsonl"))[1]
    segment.chmod(0o644)
    segment.write_bytes(segment.read_bytes().replace(b'"pass"', b'"fail"', 1))
    code, told = audited(str(folder))
    assert code == 5
    assert "L1 entry 12: prev is not the hash of the entry before" in told
    assert "the ledger does NOT hold" in told


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda files: files[1].unlink(), "expected segment 000000000011.jsonl, but got 000000000021.jsonl"),
        (lambda files: files[-1].write_bytes(files[-1].read_bytes()[:-1]), "ends within a line"),
        (lambda files: (files[0].parent / "checkpoints" / "000000000014").write_text("x"), "a checkpoint is malformed"),
    ],
)  # fmt: skip
def test_files_that_do_not_belong_together_are_findings(folder, spoil, message):
    files = sorted(folder.glob("*.jsonl"))
    for path in files:
        path.chmod(0o644)
    spoil(files)
    report = audit.verify_folder(folder)
    assert any(message in finding.message for finding in report.findings), report.findings


def test_the_command_says_what_it_cannot_read(tmp_path):
    assert audited(str(tmp_path)) == (2, f"audit: {tmp_path}: there is no exported ledger here\n")


def test_a_key_that_is_none_is_said(folder):
    told = "audit: nonsense: expected a C2SP ed25519 key line name+id+base64\n"
    assert audited(str(folder), "--key", "nonsense") == (2, told)


def test_long_ledgers_are_read_by_several_processes_with_the_same_result():
    """Batches are joined as one pass would read them, also where a change lies at a border of two."""
    lines = ledger(created(), *(completed(f"A#{n}.1") for n in range(2600)), Signed)
    kept = witness(lines)
    for spoil in (None, 1024, 2047):
        shown = list(lines)
        if spoil is not None:
            shown[spoil] = shown[spoil].replace(b"2026", b"2027", 1)
        alone, shared = (verify(shown, [kept], KEY_LINE, processes=count) for count in (1, 2))
        assert alone == shared
        assert alone.ok == (spoil is None)
