"""node with its packages, and Chromium: what a modeller is made of. In CI they must be there."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.needs import missing

HERE = Path(__file__).parent
Task = dict[str, Any]  # Any: JSON
HOWTO = HERE.parents[1] / "docs/howto/model-with-bpmn-js.md"
FONTS = tuple(f"--loader:.{ending}=dataurl" for ending in ("woff", "woff2", "ttf", "eot", "svg"))
PACKAGES = (
    "bpmn-js-properties-panel",
    "@bpmn-io/properties-panel",
    "bpmn-moddle",
    "zeebe-bpmn-moddle",
    "bpmn-js",
    "bpmn-js-element-templates",
    "camunda-bpmn-js-behaviors",
    "esbuild",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def modules() -> Path:
    """The folder with the packages (NODE_PATH)."""
    found = os.environ.get("NODE_PATH")
    missing = [name for name in PACKAGES if found is None or not (Path(found) / name).is_dir()]
    if missing or shutil.which("node") is None:
        missing(f"no node, or no {', '.join(missing)}: npm install them and set NODE_PATH")
    return Path(found or "")


@pytest.fixture(scope="session")
def resave(modules: Path) -> Callable[[bytes], bytes]:
    """Return a file as bpmn-moddle saves it."""

    def saved(content: bytes) -> bytes:
        program = ["node", str(HERE / "resave.cjs")]
        done = subprocess.run(
            program,
            input=content,
            capture_output=True,
            env={**os.environ, "NODE_PATH": str(modules)},
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return saved


@pytest.fixture(scope="session")
def modeller(
    modules: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Sequence[Task]], list[Task]]:
    """Carry out tasks in bpmn-js in a headless browser; see page.js."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        missing("no browser: install Chromium")
    folder = tmp_path_factory.mktemp("modeller")
    (code,) = re.findall(r"```js modeller\.js\n(.*?)```", HOWTO.read_text("utf-8"), re.DOTALL)
    (folder / "modeller.js").write_text(code, "utf-8")
    shutil.copy(HERE / "page.js", folder / "source.js")
    program = [
        str(modules / ".bin/esbuild"),
        str(folder / "source.js"),
        "--bundle",
        "--minify",
        *FONTS,
    ]
    environment = {**os.environ, "NODE_PATH": str(modules)}
    made = subprocess.run(
        [*program, f"--outfile={folder / 'page.js'}"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert made.returncode == 0, made.stderr

    def carry_out(tasks: Sequence[Task]) -> list[Task]:
        given = json.dumps(list(tasks)).replace("</", "<\\/")
        page = folder / "page.html"
        page.write_text(
            f'<!doctype html><meta charset="utf-8"><body><script>window.TASKS={given}</script><script src="page.js"></script>',
            "utf-8",
        )
        flags = (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        )
        program = [
            str(browser),
            *flags,
            f"--user-data-dir={folder}/profile",
            "--virtual-time-budget=120000",
            "--dump-dom",
        ]
        done = subprocess.run(
            [*program, page.as_uri()], capture_output=True, text=True, timeout=180
        )
        answers = re.search(r'<pre id="answers">([^<]*)</pre>', done.stdout)
        assert answers is not None, done.stderr[-2000:]
        found: list[Task] = json.loads(base64.b64decode(answers.group(1)))
        assert [answer["failed"] for answer in found if "failed" in answer] == []
        return found

    return carry_out
