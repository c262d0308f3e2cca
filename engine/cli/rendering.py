"""`engine process render`: a diagram as a picture."""

from __future__ import annotations

import asyncio
import re
from html import escape
from pathlib import Path
from typing import Annotated

import typer

from engine.cli import show
from engine.cli.common import AsJson
from engine.cli.files import write_whole

FORMS = (".svg", ".html", ".png")
_STYLE = (
    "body{margin:0;font:14px/1.5 system-ui,sans-serif;background:#fff;color:#1f2933}"
    "header{padding:12px 24px;border-bottom:1px solid #d9dee3}h1{font-size:16px;margin:0}"
    "main{overflow:auto}svg{display:block}g[data-element]:hover>*{filter:drop-shadow(0 0 2px #3b82f6)}"
)


def render(
    file: Annotated[Path, typer.Argument(help="A .bpmn file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write: .svg, .html or .png.")
    ],
    as_json: AsJson = False,
) -> int:
    """Draw a diagram as a picture; one without diagram data is laid out."""
    from engine.errors import UsageError

    form = output.suffix.lower()
    if form not in FORMS:
        got = f'"{output.suffix}"' if output.suffix else "no ending"
        expected = "an ending .svg, .html or .png"
        raise UsageError(
            "the form of the picture is not known", where=str(output), expected=expected, got=got
        )
    svg, was_laid_out = _svg(file)
    write_whole(output, _content(svg, form, file), "the picture")
    if as_json:
        body = {"file": str(file), "written": str(output), "laid_out": was_laid_out}
        show.as_json("process-render", body)
    else:
        how = " (it has no picture of its own, so it was laid out)" if was_laid_out else ""
        show.line(show.plain(f"wrote {output}{how}"))
    return 0


def _svg(file: Path) -> tuple[str, bool]:
    from engine.bpmn.layout import laid_out
    from engine.bpmn.picture import read_picture
    from engine.bpmn.render import render as drawn
    from engine.bpmn.xml import parse
    from engine.cli.definition_files import content_of

    content = content_of(file)
    has_picture = any(plane.shapes for plane in read_picture(parse(content, str(file))).planes)
    picture = None if has_picture else laid_out(content, str(file))
    return drawn(content, str(file), picture), not has_picture


def _content(svg: str, form: str, file: Path) -> bytes:
    if form == ".svg":
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'.encode()
    if form == ".html":
        return _page(svg, file.name).encode()
    from engine.runtime.pictures import png

    width, height = (
        round(float(value)) for value in re.findall(r'viewBox="0 0 (\S+) (\S+)"', svg)[0]
    )
    return asyncio.run(png(svg, width, height))


def _page(svg: str, name: str) -> str:
    title = escape(name)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><header><h1>{title}</h1></header><main>{svg}</main></body></html>\n"
    )
