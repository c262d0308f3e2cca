"""The wheel alone, in an environment of its own and away from the checkout, does the main job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.slow
def test_the_installed_wheel_runs_the_demonstration(tmp_path: Path) -> None:
    built = tmp_path / "dist"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            str(built),
            str(ROOT),
        ],
        check=True,
        capture_output=True,
    )
    (wheel,) = built.glob("poundlock-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "engine/bundled/process/orchestration.bpmn" in names
    assert "engine/bundled/contracts/task-graph.v1.json" in names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))]

    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    site = next((environment / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    # the dependencies of this environment, but not the checkout that it has installed
    dependencies = tmp_path / "dependencies"
    dependencies.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "poundlock" not in entry.name:
            (dependencies / entry.name).symlink_to(entry)

    done = subprocess.run(
        [
            str(environment / "bin" / "python"),
            "-c",
            "from engine.cli import main; main()",
            "demo",
            "sample",
            "--json",
        ],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(dependencies)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)["report"]
    assert [task["state"] for task in report["tasks"]] == ["merged"] * 6
