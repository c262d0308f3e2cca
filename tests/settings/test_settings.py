"""Configuration: precedence, origins, and sentences about what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.settings import Settings, load_project
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
    ],
)
def test_what_is_wrong_is_said_with_its_place(project: Path, text: str, says: str) -> None:
    write(project, text)
    with pytest.raises(UsageError, match=re.escape(says)) as caught:
        load_project(project, environment={})
    assert str(project) in str(caught.value)


def test_the_contract_is_the_model() -> None:
    contract = json.loads((folder("contracts") / "config.v1.json").read_text("utf-8"))
    model = Settings.model_json_schema()
    assert {k: v for k, v in contract.items() if not k.startswith("$")} == {
        k: v for k, v in model.items() if not k.startswith("$")
    }
    assert contract["$defs"] == model["$defs"]


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
