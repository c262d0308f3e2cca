"""An SVG as pixels, made by a program that is installed: the standard library cannot draw."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from engine.errors import EnvironmentFailure
from engine.programs import Program, clean_environment, run_program

CONVERTERS: Final = ("rsvg-convert", "resvg", "inkscape")
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
TIMEOUT_S: Final = 60.0


async def png(svg: str, width: int, height: int) -> bytes:
    """Return `svg` (`width` × `height` pixels) as PNG. Raises EnvironmentFailure when no program can."""
    with tempfile.TemporaryDirectory(prefix="engine-png-") as folder:
        drawn, made = Path(folder, "drawing.svg"), Path(folder, "drawing.png")
        drawn.write_text(svg, "utf-8")
        told = []
        for name in (*CONVERTERS, *BROWSERS):
            program = shutil.which(name)
            if program is None:
                continue
            argv = (program, *_arguments(name, drawn, made, width, height))
            outcome = await run_program(
                Program(
                    argv=argv,
                    cwd=Path(folder),
                    env=clean_environment(home=Path(folder)),
                    key="render",
                    timeout_s=TIMEOUT_S,
                )
            )
            if outcome.succeeded and made.is_file():
                return made.read_bytes()
            told.append(f"{name}: {outcome.reason}")
    raise EnvironmentFailure(
        "the picture cannot be made",
        expected=f"one of {', '.join((*CONVERTERS, *BROWSERS))}",
        got="; ".join(told) or "none of them on the PATH",
        hint="Install one of them, or render to .svg or .html.",
    )


def _arguments(name: str, drawn: Path, made: Path, width: int, height: int) -> tuple[str, ...]:
    if name == "rsvg-convert":
        return "--output", str(made), str(drawn)
    if name == "resvg":
        return str(drawn), str(made)
    if name == "inkscape":
        return "--export-type=png", f"--export-filename={made}", str(drawn)
    unboxed = ("--no-sandbox",) if os.geteuid() == 0 else ()  # the sandbox refuses to start as root
    return (
        "--headless", *unboxed, "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--hide-scrollbars", f"--user-data-dir={made.parent}/profile", f"--window-size={width},{height}",
        f"--screenshot={made}", drawn.as_uri(),
    )  # fmt: skip
