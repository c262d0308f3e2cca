"""What a gateway's policy may answer, and what then happens to the branch: only a literal pass moves it."""

from __future__ import annotations

import shutil
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.errors import DefinitionError, EnvironmentFailure
from engine.runtime.engine import Engine, RunResult
from engine.runtime.why import explain_task
from engine.shipped import folder
from tests.acceptance.conftest import Project, task
from tests.opa import free_port
from tests.policy.test_opa_server import Broken

PASSES = (
    "package merge\ndefault allow := false\nallow if count(deny) == 0\ndeny contains {} if false\n"
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with a bundle of its own and one task; copied for each case."""
    root = tmp_path_factory.mktemp("template") / "p"
    root.mkdir()
    project = Project(root)
    project.git("init", "-q", "-b", "main")
    (root / "README.md").write_text("x\n", "utf-8")
    project.git("add", "-A")
    project.git("-c", "user.name=T", "-c", "user.email=t@x", "commit", "-q", "-m", "first")
    for name in ("process", "decisions", "policies"):
        shutil.copytree(folder(name), root / ".engine" / "own" / name)
    (root / ".engine" / ".gitignore").write_text("*\n", "utf-8")
    project.write_graph([task("a")])
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Project:
    shutil.copytree(template, tmp_path / "p")
    project = Project(tmp_path / "p")
    project.configure('bundle = ".engine/own"\n')
    return project


def carry_out(project: Project) -> RunResult:
    return Engine.open(project.root).run_feature("shop")


def outcome(project: Project, result: RunResult) -> tuple[str, bool, str]:
    """Return (status, whether the branch moved, what `engine why` says)."""
    with Engine.open(project.root).store() as store:
        why = explain_task(store, result.run, "a")
    told = "\n".join([why.reason, *(f"{step.text} {' '.join(step.details)}" for step in why.steps)])
    return result.status, project.branch() != project.branch("main"), told


@pytest.mark.parametrize(
    ("policy", "status", "says"),
    [
        pytest.param(PASSES, "completed", "pass", id="pass"),
        pytest.param(
            "package merge\nallow := false\ndeny := [{'code': 'NO', 'msg': 'not today'}]\n".replace(
                "'", '"'
            ),
            "failed",
            "not today",
            id="deny",
        ),
        pytest.param("package merge\n", "failed", "expected allow", id="undefined"),
        pytest.param("package merge\nallow := true\n", "failed", "expected deny", id="missing key"),
        pytest.param(
            'package merge\nallow := "true"\ndeny := []\n',
            "failed",
            "expected allow to be true or false",
            id="wrong type",
        ),
        pytest.param(
            "package merge\nallow := x\ndeny := []\nx := 1\nx := 2 if input.wave == 1\n",
            "failed",
            "merge: error",
            id="runtime error",
        ),
    ],
)
def test_what_the_embedded_engine_says_decides(
    project: Project, policy: str, status: str, says: str
) -> None:
    (project.root / ".engine/own/policies/merge.rego").write_text(policy, "utf-8")
    found = outcome(project, carry_out(project))
    assert (found[0], found[1]) == (status, status == "completed")
    assert says in found[2]


def test_a_policy_that_does_not_compile_starts_nothing(project: Project) -> None:
    (project.root / ".engine/own/policies/merge.rego").write_text(
        "package merge\nallow if {", "utf-8"
    )
    with pytest.raises(DefinitionError, match=r"merge\.rego"):
        carry_out(project)
    assert project.branch() is None


def test_an_engine_that_is_missing_starts_nothing(project: Project) -> None:
    project.configure(
        f'bundle = ".engine/own"\n[policy]\nbackend = "opa"\nurl = "http://127.0.0.1:{free_port()}"\n'
    )
    with pytest.raises(EnvironmentFailure, match="the OPA server cannot be used"):
        carry_out(project)
    assert project.branch() is None


class AtTheMerge(Broken):
    """A server that is well until the merge policy is asked."""

    later = ""

    def do_POST(self) -> None:
        self.fault = self.later if self.path.partition("?")[0].endswith("/merge") else ""
        super().do_POST()


@pytest.mark.opa
@pytest.mark.parametrize(
    ("fault", "status", "says"),
    [
        ("", "completed", "pass"),
        ("closed", "failed", "UNREACHABLE"),
        ("hung", "failed", "TIMEOUT"),
        ("late", "failed", "TIMEOUT"),
        ("500", "failed", "it broke"),
        ("truncated", "failed", "no JSON"),
        ("html", "failed", "no JSON"),
        ("wrong digest", "failed", "another bundle"),
    ],
    ids=lambda value: value or "well",
)
def test_what_a_server_does_decides(
    project: Project, opa_url: str, fault: str, status: str, says: str
) -> None:
    handler = type(
        "Handler",
        (AtTheMerge,),
        {"upstream": opa_url, "later": fault, "waiting": threading.Event()},
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    project.configure(
        'bundle = ".engine/own"\n[policy]\nbackend = "opa"\ntimeout_s = 0.5\n'
        f'url = "http://127.0.0.1:{server.server_address[1]}"\n'
    )
    try:
        found = outcome(project, carry_out(project))
    finally:
        handler.waiting.set()  # type: ignore[attr-defined]  # of Broken
        server.shutdown()
        server.server_close()
    assert (found[0], found[1]) == (status, status == "completed")
    assert says in found[2]
