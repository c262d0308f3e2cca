"""docs/reference/job-types.md from the handlers: `python -m tests.service_tasks.page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.handlers import HandlerSpec, Header
from service_tasks import handlers

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "job-types.md"
HEAD = """# Job types

<!-- Made by `python -m tests.service_tasks.page` from the handlers; do not edit. -->

What a service task can ask for: the *type* of its task definition. A **header** is filled in by the designer and is the same in every
run; an input mapping of the same name gives it as FEEL instead. **Reads** are variables that the task looks for: map them in, or let
an earlier task set them. **Gives** are the variables of its answer: with an output mapping only what is mapped leaves the task.
`engine process templates -o DIR` writes a form for each, for the menu of Camunda Modeler and bpmn-js.

A job may be started again with the same key after a kill; what the engine itself does is then done once, a command or a request of
your own may be seen twice (`Idempotency-Key` tells the other side). A failed attempt is repeated while the task has retries, then a person is asked (`engine incidents`).
A package adds job types by the entry-point group `engine.service_tasks`.
"""


def page() -> str:
    """Return the page as it must be now."""
    general = [spec for spec in handlers.specs.values() if not spec.delivers]
    delivering = [spec for spec in handlers.specs.values() if spec.delivers]
    lines = [HEAD, "## In any process", "", *_all(general)]
    lines += ["## On the repository of a feature (`engine run --feature`)", "", *_all(delivering)]
    return "\n".join(lines).rstrip() + "\n"


def _all(specs: list[HandlerSpec]) -> Iterator[str]:
    for spec in sorted(specs, key=lambda spec: spec.type):
        yield from (f"### `{spec.type}`: {spec.title}", "", _text(spec.help), "")
        if spec.headers:
            yield from ("| header | |", "|---|---|", *map(_row, spec.headers), "")
        facts = [("Reads", spec.needs), ("Gives", spec.gives)]
        said = [f"{word}: {', '.join(f'`{n}`' for n in names)}." for word, names in facts if names]
        yield from (" ".join(said), "") if said else ()


def _text(help_: str) -> str:
    return "\n".join(line.strip() for line in help_.splitlines())


def _row(header: Header) -> str:
    required = " Required." if header.required else ""
    choices = f" One of {', '.join(f'`{c}`' for c in header.choices)}." if header.choices else ""
    return f"| `{header.name}` | {header.help}{choices}{required} |"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
