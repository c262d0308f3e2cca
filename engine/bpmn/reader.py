"""BPMN 2.0 XML in any of three dialects to the typed model, or every reason why not.

Invariants
- What this reader does not know is refused, never skipped. Lanes, data objects, annotations, groups,
  associations, messages between pools, documentation and diagram data are known to have no meaning for execution.
- A document is returned only when there is not one finding.
- Order of flows that leave a gateway is the order of its `outgoing` elements (the order of the sequence flows when
  it has none): conditions are tried in that order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from engine.bpmn import camunda, spiff, zeebe
from engine.bpmn.checks import check_process
from engine.bpmn.collector import Collector
from engine.bpmn.dialect import COLLABORATION, DRAWN_ROOTS, REFUSED, ROOTS
from engine.bpmn.errors import BpmnDefinitionError
from engine.bpmn.extensions import CAMUNDA, SPIFF, ZEEBE, Extensions, report_foreign
from engine.bpmn.model import Document, Process
from engine.bpmn.nodes import Nodes, Roots
from engine.bpmn.texts import Dialect, Texts
from engine.bpmn.xml import BPMN, Element, children, label, line, name_of, parse, split
from engine.frozen import dataclass

__all__ = ["dialect_of", "read", "read_extensions"]

MAX_FLOW_NODES: Final = 2_000  #: flow nodes of one file


def read(xml: bytes, file: str) -> Document:
    """Return the executable processes of a BPMN file; `file` names it in findings.

    Raises BpmnDefinitionError, whose `findings` are everything that is wrong, in file order.
    """
    root = parse(xml, file)
    collector = Collector(file)
    texts = Texts(file=file, dialect=dialect_of(root), collector=collector)
    document = _Reader(root, texts).document()
    if collector.findings:
        raise BpmnDefinitionError(collector.findings)
    return document


def dialect_of(root: Element) -> Dialect:
    """Return the dialect whose extensions the file uses; Camunda 8 when it uses none."""
    if _uses(root, ZEEBE):
        return "zeebe"
    if _uses(root, CAMUNDA):
        return "camunda"
    return "spiffworkflow" if _uses(root, SPIFF) else "zeebe"


def _uses(root: Element, namespace: str) -> bool:
    """Whether an element or an attribute of the file is of `namespace`."""
    if next(root.iter(f"{{{namespace}}}*"), None) is not None:
        return True
    return bool(root.xpath("boolean(//@*[namespace-uri() = $namespace])", namespace=namespace))


def read_extensions(element: Element, texts: Texts) -> Extensions:
    """Return what the extensions of `element` say in all dialects, Camunda 8 first."""
    report_foreign(element, texts)
    found = zeebe.read(element, texts)
    return found.over(camunda.read(element, texts).over(spiff.read(element, texts)))


@dataclass(frozen=True)
class _Reader:
    """Reads one file: what its processes share first, then each process."""

    root: Element
    texts: Texts

    def document(self) -> Document:
        self._check_known(self.root, ROOTS | DRAWN_ROOTS)
        self._check_ids()
        if self._too_many():
            return Document(file=self.texts.file, processes=())
        processes = tuple(self._processes())
        return Document(
            file=self.texts.file,
            processes=processes,
            participants=self._participants(),
        )

    def _check_known(self, parent: Element, known: frozenset[str]) -> None:
        for child in children(parent):
            name = split(child)[1]
            if name not in known:
                self._refuse(
                    child,
                    "unsupported-element" if name in REFUSED else "unknown-element",
                    f"found bpmn:{name}, which this engine does not execute",
                    REFUSED.get(name, "Remove it."),
                )

    def _check_ids(self) -> None:
        seen: dict[str, Element] = {}
        for top in children(self.root):
            for element in top.iter(f"{{{BPMN}}}*"):
                if self.texts.collector.is_full:
                    return
                id_ = element.get("id")
                if id_ is None:
                    continue
                if id_ in seen:
                    self._refuse(
                        element,
                        "duplicate-id",
                        f"this id is used already in line {line(seen[id_])}",
                        "Give each element an id of its own.",
                    )
                seen.setdefault(id_, element)

    def _too_many(self) -> bool:
        count = sum(1 for _ in self.root.iter(f"{{{BPMN}}}sequenceFlow"))
        nodes = sum(1 for element in self.root.iter(f"{{{BPMN}}}*") if Nodes.knows(element))
        if max(count // 2, nodes) <= MAX_FLOW_NODES:
            return False
        self._refuse(
            self.root,
            "too-large",
            f"expected at most {MAX_FLOW_NODES} flow nodes, but found {nodes} with {count} flows",
            "Split the diagram into processes that call each other.",
        )
        return True

    def _processes(self) -> Iterator[Process]:
        elements = list(children(self.root, "process"))
        executable = [
            e for e in elements if e.get("isExecutable", "true").strip() not in {"false", "0"}
        ]
        if not elements:
            self._refuse(self.root, "no-process", "found no process", "Draw one.")
        for element in [] if executable else elements:
            self._refuse(
                element,
                "not-executable",
                'found isExecutable="false", so nothing may run it',
                'Tick "Executable" in the properties panel of the process.',
            )
        roots = self._roots()
        for element in executable or elements:
            yield self._process(element, roots)

    def _process(self, element: Element, roots: Roots) -> Process:
        extensions = read_extensions(element, self.texts)
        process = Process(
            id=self._process_id(element),
            name=name_of(element),
            executable=element.get("isExecutable", "true").strip() not in {"false", "0"},
            scope=Nodes(self.texts, roots, read_extensions).scope(element),
            position=self.texts.position(element),
            properties=extensions.properties,
            version_tag=extensions.version_tag,
        )
        check_process(process, self.texts.collector)
        return process

    def _process_id(self, element: Element) -> str:
        id_ = element.get("id") or ""
        if not id_:
            self._refuse(element, "missing-id", "has no id", "Give it one; runs are started by it.")
        return id_

    def _roots(self) -> Roots:
        return Roots(
            messages=self._by_id("message"),
            signals=self._by_id("signal"),
            errors=self._by_id("error"),
            escalations=self._by_id("escalation"),
        )

    def _by_id(self, local: str) -> Mapping[str, Element]:
        return {e.get("id") or "": e for e in children(self.root, local)}

    def _participants(self) -> Mapping[str, str]:
        """Return {pool: process id}; pools without a process are pictures of somebody else."""
        known = {e.get("id") for e in children(self.root, "process")}
        found: dict[str, str] = {}
        for collaboration in children(self.root, "collaboration"):
            self._check_known(collaboration, COLLABORATION)
            for pool in children(collaboration, "participant"):
                reference = (pool.get("processRef") or "").rpartition(":")[2]
                if reference and reference not in known:
                    self._refuse(
                        pool,
                        "dangling-reference",
                        f'its process "{reference}" is not in the file',
                        "Draw the pool again.",
                    )
                elif reference:
                    found[name_of(pool) or pool.get("id") or ""] = reference
        return found

    def _refuse(self, element: Element, rule: str, message: str, hint: str) -> None:
        self.texts.collector.add(
            rule,
            line(element),
            f"{label(element)}: {message}",
            hint,
            element=element.get("id") or "",
        )
