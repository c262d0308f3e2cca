"""From the texts of a diagram to expressions and templates, each FEEL text checked where it stands.

A text that starts with "=" is FEEL. Without it, it is translated when the file is in a dialect whose language
is known and the meaning is plain (`translate`); everything else that must be an expression is a finding.
"""

from __future__ import annotations

import functools
import re
from typing import Final, Literal

from engine.bpmn import translate
from engine.bpmn.collector import Collector
from engine.bpmn.model import Expression, Position, Template
from engine.bpmn.xml import Element, label, line
from engine.errors import EngineError
from engine.frozen import dataclass

__all__ = ["Dialect", "Texts", "owner_id", "owner_of"]

Dialect = Literal["zeebe", "camunda", "spiffworkflow"]

LANGUAGES: Final = {"zeebe": "FEEL", "camunda": "JUEL", "spiffworkflow": "Python"}
LONGEST: Final = 20_000  #: characters of one FEEL text


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Makes expressions and templates of one file; what is wrong goes to `collector`."""

    file: str
    dialect: Dialect
    collector: Collector

    def position(self, element: Element) -> Position:
        return Position(file=self.file, line=line(element))

    def expression(self, element: Element, text: str, what: str) -> Expression | None:
        """Return FEEL that must be an expression (`what` names its place), or None with a finding."""
        feel = self._feel(text)
        if feel is None:
            self._not_feel(element, text, what)
            return None
        return self._checked(element, feel, what)

    def variable(self, element: Element, text: str, what: str) -> Expression | None:
        """As `expression`, but a bare name (as other dialects allow) is the variable of that name."""
        if self.dialect != "zeebe" and re.fullmatch(r"[A-Za-z_]\w*", text.strip()):
            return self._checked(element, text.strip(), what)
        return self.expression(element, text, what)

    def value(self, element: Element, text: str, what: str) -> Expression | None:
        """As `expression`, but text that is not FEEL stands for itself (a static mapping source)."""
        plain = self.dialect != "spiffworkflow" and not text.startswith(("=", "${", "#{"))
        if plain and "${" not in text and "#{" not in text:
            return Expression(text=translate.feel_string(text), position=self.position(element))
        return self.expression(element, text, what)

    def template(self, element: Element, text: str, what: str) -> Template | None:
        """Return plain text or FEEL, or None with a finding."""
        text = text.strip()
        is_feel = text.startswith("=") or (
            self.dialect == "camunda" and ("${" in text or "#{" in text)
        )
        if not is_feel:
            return Template(text=text, is_feel=False, position=self.position(element))
        found = self.expression(element, text, what)
        if found is None:
            return None
        return Template(text=found.text, is_feel=True, position=found.position)

    def _feel(self, text: str) -> str | None:
        text = text.strip()
        if text.startswith("="):
            return text[1:].strip()
        if text.startswith(("${", "#{")) or (self.dialect == "camunda" and "${" in text):
            return translate.from_juel_text(text)
        return translate.from_python(text) if self.dialect == "spiffworkflow" else None

    def _not_feel(self, element: Element, text: str, what: str) -> None:
        shown = f'"{_short(text)}"'
        if not text.strip():
            message, hint = f"{what} is empty", 'Write FEEL with a leading "=".'
        elif self.dialect == "zeebe" and not text.strip().startswith(("${", "#{")):
            message = f"{what} is {shown}, which is not FEEL"
            hint = f'Write it as FEEL with a leading "=", for example "= {_short(text.strip())}".'
        else:
            message = f"{what} is {shown}, whose meaning in FEEL is not plain"
            hint = 'Write it as FEEL with a leading "=".'
        self.collector.add(
            "not-feel",
            line(element),
            f"{label(owner_of(element))}: {message}",
            hint,
            element=owner_id(element),
        )

    def _checked(self, element: Element, feel: str, what: str) -> Expression | None:
        problem = _problem(feel)
        if problem is None:
            return Expression(text=feel, position=self.position(element))
        owner = owner_of(element)
        self.collector.add(
            "feel-error",
            line(element),
            f'{label(owner)}: {what} "{_short(feel)}" is not FEEL: {problem}',
            "Mend the expression.",
            element=owner_id(element),
        )
        return None


def owner_of(element: Element) -> Element:
    """Return the nearest element at or above that has an id: what a designer can click on."""
    current: Element | None = element
    while current is not None:
        if current.get("id"):
            return current
        current = current.getparent()
    return element


def owner_id(element: Element) -> str:
    return owner_of(element).get("id") or ""


@functools.lru_cache(maxsize=4096)
def _problem(feel: str) -> str | None:
    """Return what is wrong with a FEEL text, or None."""
    if not feel:
        return "it is empty"
    try:
        from engine.feel import compile_expression
    except ImportError:
        return None
    if len(feel) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    try:
        compile_expression(feel, dialect="camunda")
    except EngineError as error:
        return str(error)
    return None


def _short(text: str, limit: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
