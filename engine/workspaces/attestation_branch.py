"""The branch `engine-attestations`: files about merges, beside the code, where a plain clone brings them along.

A clone copies branches, but neither notes nor refs of another kind (docs/adr/0005-attestations-on-a-branch.md). The branch has a
history of its own, shares no file with the code and only moves forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.errors import GitError, UsageError
from engine.frozen import dataclass
from engine.git import IDENTITY, Git, Place, check_name, check_oid, seconds
from engine.workspaces.model import Provenance, Published
from engine.workspaces.user_repository import UserRepository
from engine.workspaces.vault import Vault, commit_message

BRANCH = "engine-attestations"
REF = "refs/engine/attestations"  #: of the vault: what was last put on the branch


def publish_files(
    vault: Vault, user: UserRepository, files: Mapping[str, bytes], provenance: Provenance
) -> Published:
    """Put `files` (plain names) on the branch of the user's repository, beside what is there; or say why not."""
    tip = user.branch(BRANCH)
    if tip is not None:
        vault.fetch(user.git_dir, [tip])
    there = {name: _content(vault, tip, name) for name in files} if tip else {}
    if tip is not None and there == dict(files):
        return Published(branch=BRANCH, commit=tip, state="current")
    commit = _commit(vault, tip, files, provenance)
    return user.receive_on(tip, BRANCH, vault.folder, REF, commit)


def published_names(vault: Vault, user: UserRepository) -> frozenset[str]:
    """Return the names of the files on the branch; none when there is no branch."""
    tip = user.branch(BRANCH)
    if tip is None:
        return frozenset()
    listed = vault.git.run(
        *("cat-file", "-p", f"{check_oid(tip)}^{{tree}}"), at=Place(git_dir=user.git_dir)
    )
    return frozenset(line.partition("\t")[2] for line in listed.text.splitlines())


def _content(vault: Vault, tip: str, name: str) -> bytes | None:
    found = vault.reader.read(f"{tip}:{name}")
    return found.content if found else None


def _commit(
    vault: Vault, tip: str | None, files: Mapping[str, bytes], provenance: Provenance
) -> str:
    """Write a commit with `files` beside what `tip` has, and the ref at it: git-fast-import(1), one process for all."""
    name, address = IDENTITY
    stream = [
        f"commit {REF}\ncommitter {name} <{address}> {seconds(provenance.at)} +0000\n".encode(),
        _data(commit_message(provenance)),
        f"from {check_oid(tip)}\n".encode() if tip else b"",
    ]
    for file, content in files.items():
        stream += [f"M 100644 inline {check_name(file, 'file name')}\n".encode(), _data(content)]
    vault.git.run(
        *("fast-import", "--quiet", "--done", "--force", "--date-format=raw"),
        at=vault.place,
        stdin=b"".join([*stream, b"done\n"]),
    )
    commit = vault.resolve(REF)
    if commit is None:
        raise GitError(where=f"git fast-import in {vault.folder}", expected=REF, got="no such ref")
    return commit


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


# --- a plain clone --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CommitFacts:
    """What a commit says of itself."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    trailers: Mapping[str, str]


class Clone:
    """Any repository to read from: no vault, no engine home."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError when git finds no repository from `folder`, EnvironmentFailure without git."""
        self._git = Git()
        self._place = Place(folder=folder.resolve())
        self._folder = folder
        found = self._git.run(*("rev-parse", "--git-dir"), at=self._place, accept=(0, 128))
        if found.code != 0:
            raise UsageError("git finds no repository here", where=str(folder), got=found.err)

    def commit(self, revision: str) -> CommitFacts:
        """Return the commit that a person names. Raises UsageError when there is none."""
        answer = self._git.run(
            *("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"),
            at=self._place,
            accept=(0, 1, 128),
        )
        if answer.code != 0 or not answer.text:
            raise UsageError(
                "there is no such commit here", where=str(self._folder), got=repr(revision)
            )
        oid = check_oid(answer.text)
        text = self._git.run("cat-file", "commit", oid, at=self._place).out.decode(
            "utf-8", "replace"
        )
        return _read_commit(oid, text)

    def attested(self, name: str) -> bytes | None:
        """Return a file of the attestation branch: the local one, else that of a remote; None when none has it."""
        listed = self._git.run(
            "for-each-ref",
            "--format=%(refname)",
            f"refs/heads/{BRANCH}",
            f"refs/remotes/*/{BRANCH}",
            at=self._place,
        )
        for ref in listed.text.splitlines():
            try:
                found = self._git.run(
                    *("cat-file", "blob", f"{ref}:{check_name(name, 'file name')}"),
                    at=self._place,
                    accept=(0, 1, 128),
                )
            except GitError:
                continue
            if found.code == 0:
                return found.out
        return None


def _read_commit(oid: str, text: str) -> CommitFacts:
    head, _, message = text.partition("\n\n")
    lines = [line.partition(" ") for line in head.splitlines()]
    last = message.rstrip("\n").rpartition("\n\n")[2]
    trailers = (line.partition(": ") for line in last.splitlines())
    return CommitFacts(
        oid=oid,
        tree=next((value for name, _, value in lines if name == "tree"), ""),
        parents=tuple(value for name, _, value in lines if name == "parent"),
        trailers={name: value for name, colon, value in trailers if colon},
    )
