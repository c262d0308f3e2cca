"""Attestations: what a plain clone proves about a merge, and what it refuses to believe."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.ledger.checkpoints import SigningKey, ensure_key
from engine.ledger.dsse import pre_authentication, seal_envelope
from tests.acceptance.conftest import CLEAN, Answer, Project, task
from tests.runtime.conftest import Asked, carried_out

Statement = dict[str, Any]


@pytest.fixture
def clone(shop: Project, tmp_path: Path) -> Path:
    """A plain clone of the repository that the engine worked in."""
    shop.git("clone", "-q", str(shop.root), str(tmp_path / "clone"))
    return tmp_path / "clone"


@pytest.fixture
def verify(shop: Project, clone: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Return a function that verifies the merge of the run in the clone; the key is the right one unless told."""
    from engine.cli import _run

    def answer(*arguments: str, commit: str = "origin/engine/shop") -> Answer:
        known = arguments if {"--key", "--checkpoint"} & set(arguments) else (
            *("--key", str(ledger(shop) / "key.pub")), *arguments
        )  # fmt: skip
        capfd.readouterr()
        code = _run(["attest", "verify", commit, "--repo", str(clone), *known])
        told = capfd.readouterr()
        return Answer(code, told.out, told.err)

    return answer


def ledger(shop: Project) -> Path:
    (folder,) = (shop.root / ".engine" / "ledger").iterdir()
    return folder


def published(shop: Project) -> tuple[Statement, dict[str, Any]]:
    """Return the statement about the one merge, and its envelope."""
    text = shop.git("show", f"engine-attestations:{ledger(shop).name}.intoto.jsonl")
    envelope = json.loads(text)
    return json.loads(b64decode(envelope["payload"])), envelope


def test_a_plain_clone_proves_the_merge(
    shop: Project, verify: Callable[..., Answer], clone: Path
) -> None:
    told = verify("--json").json
    assert (told["ok"], told["commit"], told["tasks"]) == (
        *(True, shop.git("rev-parse", "engine/shop"), ["price"]),
    )
    assert not (clone / ".engine").exists()
    assert "holds: merged by run" in verify().out


def test_any_checkpoint_that_somebody_kept_is_enough(
    shop: Project, verify: Callable[..., Answer]
) -> None:
    kept = sorted((ledger(shop) / "checkpoints").iterdir())
    assert len(kept) >= 2
    told = [verify("--checkpoint", str(note), "--json").json for note in kept]
    assert [item["witnessed"] for item in told] == [int(note.name) for note in kept]


def test_the_statement_names_what_was_merged_and_by_which_definitions(shop: Project) -> None:
    statement, _ = published(shop)
    head, onto, work = shop.git("rev-list", "--parents", "-n1", "engine/shop").split()
    predicate = statement["predicate"]
    assert statement["subject"] == [
        {
            "name": f"refs/heads/engine/shop/{ledger(shop).name}",
            "digest": {"gitCommit": head},
        },
        {"name": "tree", "digest": {"gitTree": shop.git("rev-parse", "engine/shop^{tree}")}},
    ]
    dependencies = {
        d["name"]: d["digest"] for d in predicate["buildDefinition"]["resolvedDependencies"]
    }
    assert dependencies["onto"] == {"gitCommit": onto}
    assert dependencies["task price"] == {"gitCommit": work}
    assert "sha256" in dependencies["policies/merge.rego"]
    names = [part["name"] for part in predicate["runDetails"]["byproducts"]]
    assert sorted(names) == [
        *("checkpoint", "merge.authorized", "verdict budget", "verdict conflict"),
        *("verdict manifest", "verdict policy", "verdict validator"),
    ]


# --- what is not believed -------------------------------------------------------------------------------


def changed(statement: Statement, pointer: str, value: object) -> Statement:
    copy: Statement = json.loads(json.dumps(statement))
    place: Any = copy
    *parts, last = [int(part) if part.isdecimal() else part for part in pointer.split("/")]
    for part in parts:
        place = place[part]
    place[last] = value
    return copy


LIES = {
    "another type": ("_type", "https://in-toto.io/Statement/v0.1"),
    "another predicate": ("predicateType", "https://example.org/other"),
    "another tree": ("subject/1/digest/gitTree", "0" * 40),
    "another parent": ("predicate/buildDefinition/resolvedDependencies/0/digest/gitCommit", "0" * 40),
    "another bundle": ("predicate/buildDefinition/internalParameters/bundle", "sha256:" + "0" * 64),
    "another run": ("predicate/buildDefinition/externalParameters/run", "20200101-000000-000000"),
    "other tasks": ("predicate/buildDefinition/externalParameters/tasks", ["price", "tax"]),
    "another place in the ledger": ("predicate/runDetails/byproducts/5/annotations/seq", 3),
    "a path that leads elsewhere": ("predicate/runDetails/byproducts/5/annotations/path/0", "0" * 64),
    "a verdict that is missing": ("predicate/runDetails/byproducts/0/name", "nothing"),
    "no form at all": ("predicate/runDetails", []),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed by the right key"])
def test_a_statement_that_says_something_else_is_refused(
    shop: Project, verify: Callable[..., Answer], tmp_path: Path, lie: str, signed: bool
) -> None:
    """Even the holder of the key cannot attest what is not in the ledger and in the commit."""
    statement, envelope = published(shop)
    payload = json.dumps(changed(statement, *LIES[lie])).encode()
    forged: Any = {**envelope, "payload": b64encode(payload).decode()}
    if signed:
        forged = seal_envelope(ensure_key(shop.root / ".engine"), payload)
    file = tmp_path / "forged.jsonl"
    file.write_text(json.dumps(forged), "utf-8")
    done = verify("--attestation", str(file))
    assert (done.code, done.out) == (5, "")
    assert done.err.startswith("engine: ")
    assert ("not signed by this key" in done.err) != signed


def test_another_key_is_refused(shop: Project, verify: Callable[..., Answer]) -> None:
    other = SigningKey(bytes(32)).key_line(ledger(shop).name)
    done = verify("--key", other)
    assert (done.code, done.out) == (5, "")
    assert "is not signed by this key" in done.err


def test_a_stranger_who_signs_everything_anew_is_refused(
    shop: Project, verify: Callable[..., Answer], tmp_path: Path
) -> None:
    statement, _ = published(shop)
    forged = seal_envelope(SigningKey(bytes(32)), json.dumps(statement).encode())
    (tmp_path / "forged").write_text(json.dumps(forged), "utf-8")
    done = verify("--attestation", str(tmp_path / "forged"))
    assert (done.code, done.out) == (5, "")


def test_another_commit_with_the_same_content_and_trailers_is_refused(
    shop: Project, clone: Path, verify: Callable[..., Answer]
) -> None:
    message = shop.git("log", "-1", "--format=%B", "engine/shop")
    tree = shop.git("rev-parse", "engine/shop^{tree}")
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-C", str(clone))
    forged = shop.git(*identity, "commit-tree", tree, "-p", "origin/main", "-m", message)
    done = verify(commit=forged)
    assert (done.code, done.out) == (5, "")
    assert "there is no attestation of this commit" in done.err


@pytest.mark.parametrize(
    ("arguments", "commit", "code", "sentence"),
    [
        pytest.param([], "origin/main", 5, "is no merge of the engine", id="not a merge"),
        pytest.param([], "nowhere", 2, "there is no such commit", id="no commit"),
        pytest.param(["--key", "poundlock/x+1+2"], "origin/engine/shop", 2, "--key: expected a key line", id="no key"),
        pytest.param(["--key", "/nowhere"], "origin/engine/shop", 2, "cannot be read", id="no file"),
        pytest.param(["--repo", "/"], "origin/engine/shop", 2, "no repository", id="no repository"),
    ],
)  # fmt: skip
def test_what_cannot_be_verified_says_so(
    verify: Callable[..., Answer], arguments: list[str], commit: str, code: int, sentence: str
) -> None:
    done = verify(*arguments, commit=commit)
    assert (done.code, done.out) == (code, "")
    assert sentence in done.err


def test_without_a_key_or_checkpoint_nothing_is_proved(asked: Asked, shop: Project) -> None:
    from engine.cli import _run

    assert _run(["attest", "verify", "engine/shop", "--repo", str(shop.root)]) == 2


def test_a_checkpoint_of_another_history_is_refused(
    shop: Project, verify: Callable[..., Answer], tmp_path: Path
) -> None:
    from engine.ledger.checkpoints import sign_checkpoint

    newest = max((ledger(shop) / "checkpoints").iterdir())
    forked = sign_checkpoint(
        ensure_key(shop.root / ".engine"), ledger(shop).name, int(newest.name), bytes(32)
    )
    (tmp_path / "forked").write_text(forked, "utf-8")
    done = verify("--checkpoint", str(tmp_path / "forked"))
    assert (done.code, done.out) == (5, "")
    assert "another history" in done.err


# --- publishing -----------------------------------------------------------------------------------------


def test_publishing_again_changes_nothing(shop: Project, asked: Asked) -> None:
    before = shop.git("rev-parse", "engine-attestations")
    done = asked(shop, "attest", "publish", "--json")
    assert (done.code, done.json["commit"]) == (0, before)


def test_what_is_signed_is_that_of_the_specification() -> None:
    """The example of the DSSE specification."""
    assert pre_authentication("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_what_a_killed_engine_did_not_come_to_is_attested_by_the_next_call(
    tmp_path: Path, asked: Asked
) -> None:
    project = carried_out(tmp_path / "p", "", [task("a")])
    published = project.git("rev-parse", "engine-attestations^{tree}")
    project.git("update-ref", "-d", "refs/heads/engine-attestations")
    done = asked(project, "run", "--feature", "shop")
    assert (done.code, "Nothing was left to do" in done.out) == (0, True)
    assert project.git("rev-parse", "engine-attestations^{tree}") == published


@pytest.fixture(scope="module")
def rotated(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A run whose key was changed between its two merges; both public keys and checkpoints are beside it."""
    place = tmp_path_factory.mktemp("rotated")
    tasks = [task("a"), task("b", dependencies=["a"], tags=["security"])]
    project = carried_out(place / "p", "", tasks)  # waits for the review of b
    keep(project, place, "old")
    assert project.engine("ledger", "rotate-key").code == 0
    (waits,) = json.loads(project.engine("tasks", "--json").out)["tasks"]
    project.engine("complete", waits["key"], "--var", "approved=true")
    assert project.engine("run", "--feature", "shop").code == 0
    keep(project, place, "new")
    project.git("clone", "-q", str(project.root), str(place / "clone"))
    return project


def keep(project: Project, place: Path, name: str) -> None:
    """Keep what an auditor would: the public key in use, and the newest checkpoint."""
    (place / f"{name}.pub").write_text(
        ensure_key(project.root / ".engine").key_line(ledger(project).name)
    )
    (place / f"{name}.checkpoint").write_bytes((ledger(project) / "checkpoint").read_bytes())


@pytest.mark.parametrize("commit", ["origin/engine/shop", "origin/engine/shop~1"])
@pytest.mark.parametrize("trust", ["--key {}/old.pub", "--key {}/new.pub", "--checkpoint {}/old.checkpoint", "--checkpoint {}/new.checkpoint"])  # fmt: skip
def test_either_key_of_a_run_whose_key_was_changed_proves_every_merge(
    rotated: Project, trust: str, commit: str, capfd: pytest.CaptureFixture[str]
) -> None:
    from engine.cli import _run

    place = rotated.root.parent
    words = trust.format(place).split(" ")
    code = _run(["attest", "verify", commit, "--repo", str(place / "clone"), *words])
    assert (code, capfd.readouterr().err) == (0, "")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(
            "FORGED", "a published change of the key is forged", id="signed by a stranger"
        ),
        pytest.param('["", 7]', "a published change of the key is forged", id="no note"),
        pytest.param("{}", "a published file is damaged", id="no list"),
        pytest.param("[", "a published file is damaged", id="torn"),
        pytest.param("[]", "not signed by this key", id="left out"),
        pytest.param("", "not signed by this key", id="empty"),
        pytest.param(None, "not signed by this key", id="missing"),
    ],
)
def test_who_trusts_the_old_key_believes_no_change_that_it_did_not_sign(
    rotated: Project,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    content: str | None,
    says: str,
) -> None:
    from engine.cli import _run

    rotated.git("clone", "-q", str(rotated.root), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.git("checkout", "-q", "engine-attestations")
    (file,) = clone.root.glob("**/*.rotations.json")
    (told,) = json.loads(file.read_text())
    stranger = b64encode(SigningKey(b"s" * 32).public).decode()
    forged = json.dumps([told.replace(told.split("\n")[2], stranger)])
    if content is None:
        file.unlink()
    else:
        file.write_text(forged if content == "FORGED" else content)
    clone.git(
        *("-c", "user.name=T", "-c", "user.email=t@example.org"),
        *("commit", "-aqm", "altered"),
    )
    clone.git("update-ref", "refs/remotes/origin/engine-attestations", "HEAD")
    key = str(rotated.root.parent / "old.pub")
    words = ("attest", "verify", "origin/engine/shop", "--repo", str(clone.root), "--key", key)

    assert _run(list(words)) == 5
    assert says in capfd.readouterr().err


def test_a_branch_that_cannot_be_moved_is_said_and_the_run_stands(
    tmp_path: Path, asked: Asked
) -> None:
    project = carried_out(tmp_path / "p", "", [task("a")])
    project.git("worktree", "add", "-q", str(tmp_path / "tree"), "engine-attestations")
    project.write_graph([task("b")])
    done = asked(project, "run", "--feature", "shop")
    assert (done.code, "completed" in done.out) == (0, True)
    assert "branch engine-attestations was not moved" in done.err
    refused = asked(project, "attest", "publish")
    assert refused.code == 2
    assert "is checked out in" in refused.err


def test_a_merge_commit_with_another_checkpoint_is_not_that_of_the_run(
    shop: Project, clone: Path, verify: Callable[..., Answer], tmp_path: Path
) -> None:
    """The trailer is part of the commit's id, so a statement about such a commit must be forged with the key itself."""
    statement, _ = published(shop)
    message = shop.git("log", "-1", "--format=%B", "engine/shop")
    parents = shop.git("rev-list", "--parents", "-n1", "engine/shop").split()[1:]
    forged = shop.git(
        *("-c", "user.name=T", "-c", "user.email=t@example.org", "-C", str(clone)),
        *("commit-tree", shop.git("rev-parse", "engine/shop^{tree}")),
        *(part for parent in parents for part in ("-p", parent)),
        *("-m", re.sub(r"(Ledger-Checkpoint: \d+/).*", r"\g<1>" + "0" * 64, message)),
    )
    payload = json.dumps(changed(statement, "subject/0/digest/gitCommit", forged)).encode()
    envelope = seal_envelope(ensure_key(shop.root / ".engine"), payload)
    (tmp_path / "forged").write_text(json.dumps(envelope), "utf-8")
    done = verify("--attestation", str(tmp_path / "forged"), commit=forged)
    assert (done.code, done.out) == (5, "")


def test_the_signature_is_verified_without_the_engine_as_the_reference_shows(
    shop: Project, clone: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "exports.md").read_text("utf-8")
    (script,) = re.findall(r"```python verify_merge.py\n(.*?)```", page, re.DOTALL)
    (clone / "verify_merge.py").write_text(script, "utf-8")
    key = (ledger(shop) / "key.pub").read_text("utf-8").strip()
    other = SigningKey(bytes(32)).key_line(ledger(shop).name)
    said = []
    for arguments in (("origin/engine/shop", key), ("origin/engine/shop", other), ("HEAD", key)):
        done = subprocess.run(
            [sys.executable, "-I", "verify_merge.py", *arguments],
            cwd=clone, env=CLEAN, capture_output=True, text=True,
        )  # fmt: skip
        said.append((done.returncode, done.stdout))
    head = shop.git("rev-parse", "engine/shop")
    assert said == [(0, f"signed: {head}\n"), (1, ""), (1, "")]
