"""Configuration: precedence, origins, and sentences about what is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from engine.errors import UsageError
from engine.settings import Settings, _as_it_stands, load_project
from engine.shipped import folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".engine").mkdir()
    (tmp_path / ".git").mkdir()
    return tmp_path


def write(project: Path, text: str) -> None:
    (project / ".engine" / "engine.toml").write_text(text, "utf-8")


def test_flag_wins_over_variable_over_file_over_default(project: Path) -> None:
    write(project, "[run]\nworkers = 2\nmax_workers = 3\nmode = 'dag'\n")
    loaded = load_project(
        project,
        flags={"run.workers": 5},
        environment={"ENGINE_RUN_WORKERS": "4", "ENGINE_RUN_MAX_WORKERS": "7"},
    )
    origins = {o.key: (o.value, o.source) for o in loaded.origins if o.key.startswith("run.")}
    assert origins == {
        "run.workers": (5, "flag run.workers"),
        "run.max_workers": (7, "ENGINE_RUN_MAX_WORKERS"),
        "run.mode": ("dag", str(project / ".engine" / "engine.toml")),
        "run.context_threshold": (0.7, "default"),
        "run.base_branch": (None, "default"),
        "run.promote": ("none", "default"),
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("[run]\nworker = 2\n", "unknown setting run.worker", id="a misspelt key"),
        pytest.param("[rum]\n", "unknown setting rum", id="a misspelt section"),
        pytest.param("[run]\nworkers = 0\n", "run.workers", id="too few workers"),
        pytest.param("[run]\nworkers = 'x'\n", "run.workers", id="no number"),
        pytest.param("[[gates]]\nname = 'g'\n", "gates.0.command", id="a gate without command"),
        pytest.param(
            "[[plugin_gates]]\nname = 'g'\nplugin = 'x'\nplugins = 'x'\n",
            "unknown setting plugin_gates.0.plugins",
            id="a misspelt key of a plugin gate",
        ),
        pytest.param(
            "[[gates]]\nname = 'g'\ncommand = 'x'\n[[plugin_gates]]\nname = 'g'\nplugin = 'x'\n",
            "two gates are called 'g'",
            id="two gates of one name",
        ),
        pytest.param(
            "[tasks]\nmin_minutes = 40\n",
            "min_minutes is more than max_minutes",
            id="an empty range",
        ),
        pytest.param(
            "[manifest]\nenforcement = 'maybe'\n", "manifest.enforcement", id="an unknown word"
        ),
        pytest.param("[run\n", "cannot be read", id="no TOML"),
        pytest.param(
            "[[gates]]\nname = 'g'\ncommand = 'x'\ncoverage_threshold = 80\n",
            "gates.0: coverage_threshold and coverage_report are given together",
            id="half of a threshold",
        ),
        pytest.param(
            "[http]\nallow = ['https://api.example.org/']\n",
            "http: 'https://api.example.org/' is no origin; say 'https://api.example.org'",
            id="no origin",
        ),
        pytest.param("[http]\nallow = ['x']\n", "http: 'x' is no origin", id="no URL"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(project: Path, text: str, says: str) -> None:
    write(project, text)
    with pytest.raises(UsageError, match=re.escape(says)) as caught:
        load_project(project, environment={})
    assert str(project) in str(caught.value)


def test_the_contract_is_the_model() -> None:
    contract = json.loads((folder("contracts") / "config.v1.json").read_text("utf-8"))
    model = TypeAdapter(Settings).json_schema()
    assert {k: v for k, v in contract.items() if not k.startswith("$")} == {
        k: v for k, v in model.items() if not k.startswith("$")
    }
    assert contract["$defs"] == model["$defs"]


NAMES = st.sampled_from(["g", "h", "g\n", "", "a b"])
VALUES: dict[str, dict[str, st.SearchStrategy[object]]] = {
    "run": {
        "workers": st.sampled_from([1, 1024, 0, 1025, "4", "x", 4.0, True, None]),
        "context_threshold": st.sampled_from([0.5, 0.9, 1, 0, "0.7", 0.95]),
        "mode": st.sampled_from(["waves", "dag", "other", None]),
        "worker": st.just(2),
    },
    "timeouts": {"task_s": st.sampled_from([1, 0, 1800.0, "5"])},
    "tasks": {
        "min_minutes": st.sampled_from([0, 31, 1441]),
        "max_minutes": st.sampled_from([0, 30, -1]),
    },
    "policy": {"timeout_s": st.sampled_from([2, 2.0, 0, 61.0]), "url": st.just("http://x")},
    "http": {
        "allow": st.lists(st.sampled_from(["http://a", "http://a/", "ftp://a", "a"]), max_size=2)
    },
    "waivers": {"people": st.lists(st.sampled_from([f"a+{'0' * 8}+{'A' * 44}", "a"]), max_size=1)},
    "store": {"url": st.sampled_from([None, "x", 1])},
}
GATE = st.fixed_dictionaries(
    {"name": NAMES, "command": st.sampled_from(["true", ""])},
    optional={
        "tier": st.sampled_from(["L0", "L9"]),
        "coverage_threshold": st.sampled_from([80, 80.0, 101.0]),
        "coverage_report": st.just("c.xml"),
    },
)
WORKERS = st.dictionaries(
    NAMES, st.fixed_dictionaries({"command": st.lists(NAMES, max_size=2)}), max_size=1
)
CONFIGURATIONS = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.fixed_dictionaries({}, optional=keys) for name, keys in VALUES.items()},
        "gates": st.lists(GATE, max_size=2),
        "workers": WORKERS,
        "bundle": st.sampled_from([None, "b", 1]),
        "rum": st.just({}),
    },
)


@given(CONFIGURATIONS)
def test_what_is_taken_as_it_stands_is_what_pydantic_reads(given: dict[str, object]) -> None:
    taken = _as_it_stands(given)
    if taken is not None:
        read = TypeAdapter(Settings).validate_python(given)
        assert (taken, repr(taken)) == (read, repr(read))  # 1 == 1.0


def test_most_configurations_need_no_pydantic(project: Path) -> None:
    write(
        project,
        """[run]
workers = 4
[[gates]]
name = "unit"
command = "pytest -q"
coverage_threshold = 80.0
coverage_report = "c.xml"
[workers.mine]
command = ["mine", "--json"]
""",
    )
    code = (
        "import sys, engine.runtime.engine; from pathlib import Path; from engine.settings import load_project; "
        "load_project(Path(), flags={'run.workers': 8}, environment={}); print('pydantic' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    assert told.stdout == "False\n"


def test_every_setting_is_in_the_reference() -> None:
    page = (folder("contracts").parent / "docs" / "reference" / "configuration.md").read_text(
        "utf-8"
    )
    keys = [o.key for o in load_project(Path("/"), environment={}).origins]
    assert [
        key
        for key in keys
        if f"`{key}`" not in page and key not in {"gates", "plugin_gates", "workers"}
    ] == []
