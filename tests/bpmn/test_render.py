"""Diagrams as pictures: everything that is drawn is there, names can be read, the shipped ones are tidy."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from lxml import etree

from engine import bpmn
from engine.bpmn.layout import laid_out
from engine.bpmn.picture import Box, Edge, Picture, Point, read_picture
from engine.bpmn.render import render
from engine.bpmn.render.shapes import label_box
from engine.bpmn.render.texts import shortened, width, wrapped
from engine.bpmn.xml import parse
from engine.cli import main
from engine.errors import DefinitionError
from tests.core.drawing import draw, draw_all
from tests.needs import missing

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "process").glob("*.bpmn"))
DRAWN = [*SHIPPED, *sorted((ROOT / "tests/process/people").glob("*.bpmn"))]
PLAIN = "start S\nuser Ask\nend E\nS -> Ask -> E"
SVG = "{http://www.w3.org/2000/svg}"


def svg_of(content: bytes, picture: Picture | None = None) -> etree._Element:
    """Return the outermost element of a drawing, which is well-formed by that."""
    return etree.fromstring(render(content, "p.bpmn", picture).encode())


def groups(root: etree._Element) -> dict[str, etree._Element]:
    """Return {id of a BPMN element: its group}."""
    return {e.get("data-element") or "": e for e in root.iter(f"{SVG}g") if e.get("data-element")}


def texts(root: etree._Element) -> str:
    return " ".join("".join(map(str, e.itertext())) for e in root.iter(f"{SVG}text"))


@pytest.mark.parametrize("file", DRAWN, ids=[file.stem for file in DRAWN])
def test_everything_drawn_is_there(file: Path) -> None:
    content = file.read_bytes()
    root = svg_of(content)
    assert set(groups(root)) == read_picture(parse(content, str(file))).drawn()
    for process in bpmn.read(content, str(file)).processes:
        for node in process.scope.nodes.values():
            for word in node.name.split():
                assert word in texts(root), node.id


def test_what_an_element_is_bound_to_stands_in_its_title() -> None:
    told = {
        id_: next(g.iter(f"{SVG}title")).text
        for id_, g in groups(svg_of(SHIPPED[1].read_bytes())).items()
    }
    assert (
        told["May_merge"]
        == 'exclusive gateway "May it be merged?" (May_merge), asks policy "merge"'
    )
    assert told["Merge"] == 'service task "Merge" (Merge), job type repository.merge'
    assert (
        told["Decide_gate_tier"]
        == 'business rule task "Decide gate tier" (Decide_gate_tier), decision gate_tier'
    )
    assert (
        told["Deliver_tasks"] == 'call activity "Deliver tasks" (Deliver_tasks), calls deliver_task'
    )
    assert (
        told["Flow_10_May_merge_Merge"]
        == 'sequence flow "yes" (Flow_10_May_merge_Merge), when =verdict = "pass"'
    )


def test_the_same_file_gives_the_same_bytes() -> None:
    content = SHIPPED[0].read_bytes()
    assert render(content, "p.bpmn") == render(content, "p.bpmn")


def test_names_are_text_and_never_markup() -> None:
    content = draw(PLAIN).replace(
        b'name="Ask"', b'name="&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"'
    )
    root = svg_of(content, laid_out(content, "p.bpmn"))
    assert not list(root.iter(f"{SVG}script"))
    assert "alert(1)" in texts(root)


def test_a_colour_that_is_no_colour_is_left_out() -> None:
    content = (
        SHIPPED[0]
        .read_bytes()
        .replace(
            b"<bpmndi:BPMNShape ",
            b'<bpmndi:BPMNShape xmlns:bioc="http://bpmn.io/schema/bpmn/biocolor/1.0" bioc:fill="url(http://x)" bioc:stroke="#ff0000" ',
            1,
        )
    )
    drawn = render(content, "p.bpmn")
    assert "url(" not in drawn
    assert "#ff0000" in drawn


def test_what_a_closed_sub_process_holds_stands_below_under_its_name() -> None:
    content = draw(
        "start S\nsub Inside\n  start T\n  user A\n  end U\n  T -> A -> U\nend E\nS -> Inside -> E"
    )
    picture = laid_out(content, "p.bpmn")
    assert [plane.element for plane in picture.planes] == ["p", "Inside"]
    root = svg_of(content, picture)
    assert set(groups(root)) == {
        "S",
        "Inside",
        "E",
        "S_to_Inside",
        "Inside_to_E",
        "T",
        "A",
        "U",
        "T_to_A",
        "A_to_U",
    }
    assert 'sub process "Inside" (Inside)' in texts(root)


def test_pools_are_laid_out_one_below_the_other() -> None:
    pools = (
        b'<bpmn:collaboration id="C"><bpmn:participant id="Us" name="Us" processRef="p"/>'
        b'<bpmn:participant id="Them" name="Them"/><bpmn:messageFlow id="m" sourceRef="Ask" targetRef="Them"/>'
        b"</bpmn:collaboration><bpmn:process "
    )
    content = draw(PLAIN).replace(b"<bpmn:process ", pools, 1)
    picture = laid_out(content, "p.bpmn")
    shapes = picture.shapes()
    assert shapes["Us"].box.holds(shapes["Ask"].box)
    assert shapes["Them"].box.y > shapes["Us"].box.bottom
    assert {"Us", "Them", "m"} <= set(groups(svg_of(content, picture)))


def test_several_processes_have_a_picture_each() -> None:
    picture = laid_out(
        draw_all(
            {"p": PLAIN, "q": PLAIN.replace("S", "S2").replace("Ask", "B").replace("E", "E2")}
        ),
        "p.bpmn",
    )
    assert [plane.element for plane in picture.planes] == ["p", "q"]


def test_a_file_that_is_too_large_is_not_laid_out() -> None:
    chain = " -> ".join(["S", *(f"T{n}" for n in range(500)), "E"])
    content = draw("\n".join(["start S", *(f"task T{n}" for n in range(500)), "end E", chain]))
    with pytest.raises(
        DefinitionError,
        match=r"expected at most 500 flow nodes, but got 502\. Draw it in a modeller",
    ):
        laid_out(content, "p.bpmn")


def test_long_names_break_and_end_in_an_ellipsis() -> None:
    name = "Check the claim with a very_long_identifier_that_does_not_break_by_itself"
    lines = wrapped(name, 90)
    assert "".join(lines).replace(" ", "") == name.replace(" ", "")
    assert max(map(width, lines)) <= 90
    assert wrapped(name, 90, lines=2)[-1].endswith("…")
    assert shortened("abc", 90) == "abc"
    assert wrapped("", 90) == []


# --- the shipped diagrams are tidy ---------------------------------------------------------------------------


@pytest.mark.parametrize("file", SHIPPED, ids=[file.stem for file in SHIPPED])
def test_no_flow_of_a_shipped_diagram_crosses_a_shape_or_a_name(file: Path) -> None:
    content = file.read_bytes()
    root = parse(content, str(file))
    names = {e.get("id") or "": e.get("name") or "" for e in root.iter("{*}*") if e.get("id")}
    ends = {
        e.get("id") or "": {e.get("sourceRef"), e.get("targetRef")}
        for e in root.iter("{*}sequenceFlow")
    }
    hosts = {e.get("id"): e.get("attachedToRef") for e in root.iter("{*}boundaryEvent")}
    (plane,) = read_picture(root).planes
    for edge in plane.edges:
        touched = ends[edge.element] | {hosts.get(end) for end in ends[edge.element]}
        for shape in plane.shapes:
            if shape.element not in touched:
                assert not crosses(edge, shape.box), (edge.element, shape.element)
            if shape.label is not None and names[shape.element]:
                label = label_box(names[shape.element], shape)
                middle = label.middle.x
                widest = max(map(width, wrapped(names[shape.element], label.width)))
                read = Box(x=middle - widest / 2, y=label.y, width=widest, height=label.height)
                assert not crosses(edge, read), (edge.element, f"the name of {shape.element}")


@pytest.mark.parametrize("file", SHIPPED, ids=[file.stem for file in SHIPPED])
def test_no_shape_of_a_shipped_diagram_lies_over_another(file: Path) -> None:
    root = parse(file.read_bytes(), str(file))
    hosts = {e.get("id"): e.get("attachedToRef") for e in root.iter("{*}boundaryEvent")}
    shapes = list(read_picture(root).shapes().values())
    for one in shapes:
        for other in shapes:
            if (
                one is not other
                and hosts.get(one.element) != other.element
                and hosts.get(other.element) != one.element
            ):
                assert not one.box.touches(other.box), (one.element, other.element)


def crosses(edge: Edge, box: Box) -> bool:
    """Whether a point of the line, one every two pixels, lies well inside of the box."""
    inner = Box(x=box.x + 1, y=box.y + 1, width=box.width - 2, height=box.height - 2)
    return any(inner.holds(Box(x=p.x, y=p.y, width=0, height=0)) for p in along(edge))


def along(edge: Edge) -> Iterator[Point]:
    for a, b in pairwise(edge.points):
        steps = int(max(abs(b.x - a.x), abs(b.y - a.y)) // 2) + 1
        for step in range(steps + 1):
            yield Point(x=a.x + (b.x - a.x) * step / steps, y=a.y + (b.y - a.y) * step / steps)


@pytest.mark.parametrize("file", SHIPPED, ids=[file.stem for file in SHIPPED])
def test_the_pictures_in_the_documentation_are_current(file: Path) -> None:
    """`engine process render process/NAME.bpmn -o docs/pictures/NAME.svg` draws them anew."""
    drawn = (ROOT / f"docs/pictures/{file.stem}.svg").read_text("utf-8")
    assert (
        drawn == f'<?xml version="1.0" encoding="UTF-8"?>\n{render(file.read_bytes(), str(file))}\n'
    )


# --- the command ------------------------------------------------------------------------------------------


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["process", "render", *arguments])
    told = capsys.readouterr()
    return int(end.value.code or 0), told.out, told.err


def test_the_command_writes_svg_and_html(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn, page = tmp_path / "a.svg", tmp_path / "a.html"
    assert run(str(SHIPPED[0]), "-o", str(drawn), capsys=capsys) == (0, f"wrote {drawn}\n", "")
    assert etree.fromstring(drawn.read_bytes()).tag == f"{SVG}svg"
    assert run(str(SHIPPED[0]), "-o", str(page), "--json", capsys=capsys)[0] == 0
    assert page.read_text("utf-8").startswith("<!doctype html>\n")
    assert re.search(r"<h1>deliver_task\.bpmn</h1>", page.read_text("utf-8"))
    assert {path.name for path in tmp_path.iterdir()} == {"a.svg", "a.html"}


def test_a_diagram_without_a_picture_is_laid_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.bpmn").write_bytes(draw(PLAIN))
    code, out, _ = run(
        str(tmp_path / "p.bpmn"), "-o", str(tmp_path / "p.svg"), "--json", capsys=capsys
    )
    assert code == 0
    assert json.loads(out) == {
        "schema": "engine.process-render/v1",
        "file": str(tmp_path / "p.bpmn"),
        "written": str(tmp_path / "p.svg"),
        "laid_out": True,
    }


@pytest.mark.parametrize(
    ("file", "output", "code", "told"),
    [
        ("gone.bpmn", "a.svg", 2, "gone.bpmn"),
        ("deliver_task.bpmn", "a.gif", 2, 'an ending .svg, .html or .png, but got ".gif"'),
        ("broken.bpmn", "a.svg", 3, "[not-bpmn]"),
        ("deliver_task.bpmn", "gone/a.svg", 6, "cannot be written"),
    ],
)
def test_what_cannot_be_drawn(
    tmp_path: Path, file: str, output: str, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(SHIPPED[0], tmp_path)
    (tmp_path / "broken.bpmn").write_text("<x/>")
    got, out, err = run(str(tmp_path / file), "-o", str(tmp_path / output), capsys=capsys)
    assert (got, out) == (code, "")
    assert told in err


def test_pixels_need_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = run(str(SHIPPED[0]), "-o", str(tmp_path / "a.png"), capsys=capsys)
    assert code == 6
    assert "Install one of them, or render to .svg or .html" in err


@pytest.mark.browser
def test_pixels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not any(
        shutil.which(name)
        for name in ("rsvg-convert", "resvg", "inkscape", "chromium", "google-chrome")
    ):
        reason = "no program that draws SVG: install Chromium"
        missing(reason)
    made = tmp_path / "a.png"
    assert run(str(SHIPPED[2]), "-o", str(made), capsys=capsys)[0] == 0
    content = made.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    size = struct.unpack(">II", content[16:24])
    drawn = re.findall(r'viewBox="0 0 (\S+) (\S+)"', render(SHIPPED[2].read_bytes(), "p"))[0]
    assert [round(float(value)) for value in drawn] == list(size)
    assert len(content) > 5_000  # something is drawn
