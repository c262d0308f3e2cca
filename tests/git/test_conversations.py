"""Git processes that stay: what they answer, when they were killed, and what they refuse."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import GitError
from engine.git import COMMIT_DRAFT, Git, Place, TreeChange, conversations, read_tree

GIT = Git()
MISSING = "1" * 40


@pytest.fixture
def vault(tmp_path: Path) -> Place:
    place = Place(git_dir=tmp_path / "größer als 1 Wort.git")
    GIT.run("init", "--quiet", "--bare", "--template=", at=place)
    return place


def blob(vault: Place, content: bytes) -> str:
    return GIT.run("hash-object", "-w", "--stdin", at=vault, stdin=content).text


def kill(conversation: object) -> None:
    """Kill the process behind a conversation, as somebody short of memory would."""
    running = conversation._running  # type: ignore[attr-defined]
    running.proc.kill()
    running.proc.wait()


def folder(vault: Place) -> Path:
    assert vault.git_dir is not None
    return vault.git_dir


class TestTreeDiffer:
    """What two trees do not have alike."""

    def test_it_names_what_came_changed_and_went(self, vault: Place) -> None:
        one, two, binary = blob(vault, b"1\n"), blob(vault, b"1\n2\n"), blob(vault, b"\0\1")
        with (
            closing(GIT.tree_maker(folder(vault))) as maker,
            closing(GIT.differ(folder(vault))) as differ,
        ):
            inner = maker.make([("100644", one, b"deep")])
            old = maker.make([("100644", one, b"a"), ("100644", one, b"gone")])
            new = maker.make(
                [
                    ("100755", two, b"a"),
                    ("040000", inner, b"folder"),
                    ("100644", binary, "é\n\t:".encode()),
                ]
            )
            nothing = "0" * 40
            assert sorted(differ.diff(old, new), key=lambda change: change.path) == [
                TreeChange(path=b"a", status="M", mode="100755", oid=two, lines=(1, 0)),
                TreeChange(path=b"folder/deep", status="A", mode="100644", oid=one, lines=(1, 0)),
                TreeChange(path=b"gone", status="D", mode="000000", oid=nothing, lines=(0, 1)),
                TreeChange(path="é\n\t:".encode(), status="A", mode="100644", oid=binary),
            ]
            assert differ.diff(old, old) == []

    def test_a_name_cannot_end_the_answer(self, vault: Place) -> None:
        with (
            closing(GIT.tree_maker(folder(vault))) as maker,
            closing(GIT.differ(folder(vault))) as differ,
        ):
            name = b"x\nend 0123456789abcdef\n"
            empty = maker.make([])
            tree = maker.make([("100644", blob(vault, b""), name)])
            assert [change.path for change in differ.diff(empty, tree)] == [name]

    def test_what_is_no_tree_is_an_error_and_the_conversation_goes_on(self, vault: Place) -> None:
        with (
            closing(GIT.tree_maker(folder(vault))) as maker,
            closing(GIT.differ(folder(vault))) as differ,
        ):
            tree = maker.make([("100644", blob(vault, b"x"), b"x")])
            for wrong in (MISSING, blob(vault, b"y")):
                with pytest.raises(GitError, match="two trees that are there"):
                    differ.diff(tree, wrong)
            assert differ.diff(tree, tree) == []

    def test_an_object_that_is_missing_is_told_in_the_words_of_git(self, vault: Place) -> None:
        oid = blob(vault, b"x\n")
        with (
            closing(GIT.tree_maker(folder(vault))) as maker,
            closing(GIT.differ(folder(vault))) as differ,
        ):
            old, new = maker.make([]), maker.make([("100644", oid, b"x")])
            (folder(vault) / "objects" / oid[:2] / oid[2:]).unlink()
            with pytest.raises(GitError, match=f"git diff-tree in .* ended.* unable to read {oid}"):
                differ.diff(old, new)


class TestTreeMaker:
    """Trees from their entries."""

    def test_what_it_wrote_is_read_back_in_the_order_of_git(self, vault: Place) -> None:
        oid = blob(vault, b"x")
        with (
            closing(GIT.tree_maker(folder(vault))) as maker,
            closing(GIT.reader(folder(vault))) as reader,
        ):
            inner = maker.make([("100644", oid, b"x")])
            entries = [("100755", oid, b"run"), ("040000", inner, b"a"), ("120000", oid, b"a.b")]
            found = reader.read(maker.make(entries))
            assert found is not None
            assert list(read_tree(found.content, 20)) == [entries[2], entries[1], entries[0]]

    @pytest.mark.parametrize(
        "entry", [("100644", MISSING, b"x"), ("100644", "x", b"x"), ("040000", "2" * 40, b"d")]
    )
    def test_an_entry_that_is_not_there_is_an_error(
        self, vault: Place, entry: tuple[str, str, bytes]
    ) -> None:
        with closing(GIT.tree_maker(folder(vault))) as maker:
            with pytest.raises(GitError, match=r"git mktree in .* ended.* fatal: "):
                maker.make([entry])
            assert maker.make([])  # a new process answers


class TestCommitWriter:
    """Commits as git stores them."""

    def test_it_is_the_commit_that_git_would_write(self, vault: Place) -> None:
        where = folder(vault)
        with closing(GIT.tree_maker(where)) as maker, closing(GIT.commit_writer(where)) as writer:
            tree = maker.make([])
            head = f"tree {tree}\nauthor É <a@b> 1700000000 +0000\ncommitter É <a@b> 1700000000 +0000\n"
            oid = writer.write(f"{head}\nwhat\n\nA: b\n".encode())
        who = {
            f"GIT_{who}_{part}": value
            for who in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", "É"), ("EMAIL", "a@b"), ("DATE", "1700000000 +0000"))
        }
        command = ["git", f"--git-dir={where}", "commit-tree", tree, "-m", "what", "-m", "A: b"]
        by_git = subprocess.run(command, env=os.environ | who, capture_output=True, check=True)
        assert by_git.stdout.decode().strip() == oid
        assert [path for path in where.iterdir() if path.name.startswith(COMMIT_DRAFT)] == []

    @pytest.mark.parametrize("content", [b"", b"no commit", b"tree x\n\nmessage\n"])
    def test_what_is_no_commit_is_an_error_and_leaves_nothing(
        self, vault: Place, content: bytes
    ) -> None:
        with (
            closing(GIT.commit_writer(folder(vault))) as writer,
            pytest.raises(GitError, match=r"git hash-object in .* ended.* (fatal|error): "),
        ):
            writer.write(content)
        assert [
            path for path in folder(vault).iterdir() if path.name.startswith(COMMIT_DRAFT)
        ] == []


class TestRefMaker:
    """Refs that are made once."""

    def test_a_ref_is_made_and_never_moved(self, vault: Place) -> None:
        one, two = blob(vault, b"1"), blob(vault, b"2")
        with closing(GIT.ref_maker(folder(vault))) as maker:
            maker.make("refs/engine/kept/r/t/1.a", one)
            maker.make("refs/engine/kept/r/t/2.b", two)
            with pytest.raises(GitError, match="reference already exists"):
                maker.make("refs/engine/kept/r/t/1.a", two)
            maker.make("refs/engine/kept/r/t/3.c", two)
        listed = GIT.run("for-each-ref", "--format=%(refname:lstrip=5) %(objectname)", at=vault)
        assert listed.text.splitlines() == [f"1.a {one}", f"2.b {two}", f"3.c {two}"]


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(
            lambda git, where: [git.differ(where), lambda c: c.diff(*tree(where))], id="differ"
        ),
        pytest.param(lambda git, where: [git.tree_maker(where), lambda c: c.make([])], id="maker"),
        pytest.param(lambda git, where: [git.ref_maker(where), ref_after_ref(where)], id="refs"),
    ],
)
def test_one_that_was_killed_starts_again(vault: Place, ask: Callable[..., list]) -> None:
    conversation, question = ask(Git(), folder(vault))
    with closing(conversation):
        first = question(conversation)
        kill(conversation)
        assert question(conversation) == first


def test_a_process_is_changed_for_a_new_one_before_it_remembers_too_much(
    vault: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "_MOST_QUESTIONS", 3)
    with closing(GIT.tree_maker(folder(vault))) as maker:
        processes = [(maker.make([]), maker._running) for _ in range(7)]
    assert [len({id(p) for _, p in processes[n : n + 3]}) for n in (0, 3, 6)] == [1, 1, 1]
    assert len({id(process) for _, process in processes}) == 3
    assert len({oid for oid, _ in processes}) == 1


def test_one_that_does_not_answer_in_time_is_killed_and_asked_anew(
    vault: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "DEADLINE_S", 0.5)
    with closing(GIT.tree_maker(folder(vault))) as maker:
        first = maker.make([])
        running = maker._running
        assert running is not None
        assert running.proc is not None
        running.proc.send_signal(signal.SIGSTOP)
        assert maker.make([]) == first
        assert running.proc.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("fatal: write error: No space left on device", "Free some disk space and run again."),
        ("fatal: bad object", ""),
    ],
)
def test_a_full_disk_has_a_hint(message: str, hint: str) -> None:
    assert conversations.hint_of(message) == hint


def tree(where: Path) -> tuple[str, str]:
    with closing(GIT.tree_maker(where)) as maker:
        return maker.make([]), maker.make([])


def ref_after_ref(where: Path) -> Callable[..., None]:
    names: Iterator[str] = iter(["refs/x/1", "refs/x/2"])
    oid = blob(Place(git_dir=where), b"x")
    return lambda maker: maker.make(next(names), oid)
