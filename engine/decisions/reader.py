"""DMN XML, versions 1.1 to 1.5, to `model.Definitions`.

Invariants:
- Nothing outside the given bytes is read: no DTD, no entity, no network. A DOCTYPE is refused.
- Size, depth and the nesting of boxed expressions are bounded.
- What this reader does not know is refused with `file:line` and element id, never skipped,
  except diagrams, extension elements, artifacts and knowledge sources, which carry no logic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypedDict

from lxml import etree

from engine.decisions.model import (
    Aggregator,
    Binding,
    BoxedContext,
    BoxedFilter,
    BoxedFor,
    BoxedList,
    Conditional,
    ContextEntry,
    DecisionElement,
    DecisionTable,
    Definitions,
    Dialect,
    Expression,
    FunctionDefinition,
    FunctionType,
    HitPolicy,
    Import,
    InputClause,
    InputElement,
    Invocation,
    ItemDefinition,
    KnowledgeModel,
    LiteralExpression,
    OutputClause,
    Quantified,
    Reference,
    Relation,
    Rule,
    ServiceElement,
    Text,
    Variable,
)
from engine.decisions.xml import FEEL_LANGUAGES, XmlReader, line_of, local_name, parse_xml

MAX_NESTING: Final = 40  #: boxed expressions inside each other

VERSIONS: Final = {
    "http://www.omg.org/spec/DMN/20151101/dmn.xsd": "1.1",
    "http://www.omg.org/spec/DMN/20151101/dmn11.xsd": "1.1",
    "http://www.omg.org/spec/DMN/20180521/MODEL/": "1.2",
    "https://www.omg.org/spec/DMN/20191111/MODEL/": "1.3",
    "https://www.omg.org/spec/DMN/20211108/MODEL/": "1.4",
    "https://www.omg.org/spec/DMN/20230324/MODEL/": "1.5",
}
#: Names of types in older versions and in Camunda Modeler, to the names of DMN 1.5.
TYPE_NAMES: Final = {
    "any": "Any",
    "integer": "number",
    "long": "number",
    "double": "number",
    "dateTime": "date and time",
    "dayTimeDuration": "days and time duration",
    "yearMonthDuration": "years and months duration",
}
IGNORED: Final = frozenset(
    {
        "description",
        "extensionElements",
        "knowledgeSource",
        "businessContextElement",
        "performanceIndicator",
        "organizationUnit",
        "group",
        "textAnnotation",
        "association",
        "elementCollection",
    }
)


def read(content: bytes, source: str = "<bytes>", dialect: Dialect | None = None) -> Definitions:
    """Return the DMN file `content` as a value.

    `source` names the file in messages. `dialect` None: found from the exporter and namespaces.
    Raises DefinitionError with `file:line` and the element id.
    """
    return _Reader(parse_xml(content, source), source, dialect).definitions()


class Head(TypedDict):
    """The arguments that all boxed expressions share."""

    id: str
    line: int
    type_ref: str


class _Reader(XmlReader):
    """Reads one parsed file; methods follow the order of the standard's schema."""

    def __init__(self, root: etree._Element, source: str, dialect: Dialect | None) -> None:
        super().__init__(root, source)
        name = etree.QName(root)
        if name.localname != "definitions" or self.ns not in VERSIONS:
            raise self.error(
                root, "<definitions> of DMN 1.1 to 1.5", f"<{name.localname}> in {self.ns!r}"
            )
        self.namespace = root.get("namespace", "")
        self.dialect: Dialect = dialect or _dialect(root)
        self.imports = tuple(self.read_import(e) for e in self.children(root, "import"))
        self.nesting = 0
        self.expressions: dict[str, Callable[[etree._Element], Expression]] = {
            "literalExpression": self.literal,
            "decisionTable": self.table,
            "context": self.context,
            "list": self.boxed_list,
            "relation": self.relation,
            "functionDefinition": self.function,
            "invocation": self.invocation,
            "conditional": self.conditional,
            "for": self.iterator_for,
            "some": self.quantified,
            "every": self.quantified,
            "filter": self.filter,
        }

    def definitions(self) -> Definitions:
        self.check_language(self.root)
        self.check_known()
        return Definitions(
            source=self.source,
            id=self.root.get("id", ""),
            name=self.root.get("name", ""),
            namespace=self.namespace,
            version=VERSIONS[self.ns],
            dialect=self.dialect,
            items=tuple(self.item(e) for e in self.children(self.root, "itemDefinition")),
            inputs=tuple(self.input(e) for e in self.children(self.root, "inputData")),
            decisions=tuple(self.decision(e) for e in self.children(self.root, "decision")),
            knowledge=tuple(
                self.knowledge(e) for e in self.children(self.root, "businessKnowledgeModel")
            ),
            services=tuple(self.service(e) for e in self.children(self.root, "decisionService")),
            imports=self.imports,
        )

    def check_known(self) -> None:
        known = IGNORED | {
            "import",
            "itemDefinition",
            "inputData",
            "decision",
            "businessKnowledgeModel",
            "decisionService",
        }
        for element in self.children(self.root):
            if local_name(element) not in known:
                raise self.error(element, "an element of DMN 1.5", f"<{local_name(element)}>")

    # --- requirement graph ---

    def read_import(self, e: etree._Element) -> Import:
        return Import(
            name=e.get("name", ""),
            namespace=self.attribute(e, "namespace"),
            line=line_of(e),
            kind=e.get("importType", ""),
            location=e.get("locationURI", ""),
        )

    def input(self, e: etree._Element) -> InputElement:
        name = self.name(e)
        return InputElement(
            id=e.get("id") or name, name=name, line=line_of(e), variable=self.variable_of(e, name)
        )

    def decision(self, e: etree._Element) -> DecisionElement:
        name = self.name(e)
        logic = self.optional_expression(
            e,
            skip=(
                "variable",
                "question",
                "allowedAnswers",
                "informationRequirement",
                "knowledgeRequirement",
                "authorityRequirement",
                "supportedObjective",
                "impactedPerformanceIndicator",
                "decisionMaker",
                "decisionOwner",
                "usingProcess",
                "usingTask",
            ),
        )
        return DecisionElement(
            id=e.get("id") or name,
            name=name,
            line=line_of(e),
            variable=self.variable_of(e, name),
            logic=logic,
            requires_inputs=self.required(e, "informationRequirement", "requiredInput"),
            requires_decisions=self.required(e, "informationRequirement", "requiredDecision"),
            requires_knowledge=self.required(e, "knowledgeRequirement", "requiredKnowledge"),
            question=self.child_text(e, "question"),
            description=self.child_text(e, "description"),
        )

    def knowledge(self, e: etree._Element) -> KnowledgeModel:
        name = self.name(e)
        logic = self.child(e, "encapsulatedLogic")
        return KnowledgeModel(
            id=e.get("id") or name,
            name=name,
            line=line_of(e),
            variable=self.variable_of(e, name),
            function=None if logic is None else self.function(logic),
            requires_knowledge=self.required(e, "knowledgeRequirement", "requiredKnowledge"),
        )

    def service(self, e: etree._Element) -> ServiceElement:
        name = self.name(e)
        return ServiceElement(
            id=e.get("id") or name,
            name=name,
            line=line_of(e),
            variable=self.variable_of(e, name),
            outputs=self.references(e, "outputDecision"),
            encapsulated=self.references(e, "encapsulatedDecision"),
            input_decisions=self.references(e, "inputDecision"),
            input_data=self.references(e, "inputData"),
        )

    def required(self, e: etree._Element, requirement: str, kind: str) -> tuple[Reference, ...]:
        return tuple(
            self.reference(target)
            for group in self.children(e, requirement)
            for target in self.children(group, kind)
        )

    def references(self, e: etree._Element, kind: str) -> tuple[Reference, ...]:
        return tuple(self.reference(target) for target in self.children(e, kind))

    def reference(self, e: etree._Element) -> Reference:
        namespace, hash_, id_ = self.attribute(e, "href").rpartition("#")
        if not hash_ or not id_:
            raise self.error(e, "href of the form '#id'", repr(e.get("href")))
        if namespace == self.namespace:
            namespace = ""
        return Reference(namespace=namespace, id=id_, line=line_of(e))

    # --- types ---

    def item(self, e: etree._Element) -> ItemDefinition:
        self.check_language(e, "typeLanguage")
        ref = self.child(e, "typeRef")
        function = self.child(e, "functionItem")
        return ItemDefinition(
            name=self.name(e),
            id=e.get("id", ""),
            line=line_of(e),
            type_ref=self.type_name(e, (ref.text or "").strip()) if ref is not None else "",
            is_collection=e.get("isCollection") in ("true", "1"),
            allowed_values=self.unary_text(e, "allowedValues"),
            type_constraint=self.unary_text(e, "typeConstraint"),
            components=tuple(self.item(c) for c in self.children(e, "itemComponent")),
            function=None if function is None else self.function_type(function),
        )

    def function_type(self, e: etree._Element) -> FunctionType:
        return FunctionType(
            parameters=tuple(self.variable(p) for p in self.children(e, "parameters")),
            result=self.type_name(e, e.get("outputTypeRef", "")),
        )

    def type_name(self, e: etree._Element, raw: str) -> str:
        """Return a type reference as `name` or `import.name`; resolves the QNames of DMN 1.1."""
        raw = " ".join(raw.split())
        prefix, colon, local = raw.partition(":")
        namespace = e.nsmap.get(prefix) if colon else None
        if namespace is None:
            return TYPE_NAMES.get(raw, raw)
        if namespace in FEEL_LANGUAGES:
            return TYPE_NAMES.get(local, local)
        if namespace == self.namespace:
            return local
        owner = next((i for i in self.imports if i.namespace == namespace), None)
        if owner is None:
            raise self.error(e, "the prefix of an imported namespace", repr(raw))
        return f"{owner.name}.{local}"

    def variable(self, e: etree._Element) -> Variable:
        return Variable(
            name=self.name(e),
            type_ref=self.type_name(e, e.get("typeRef", "")),
            id=e.get("id", ""),
            line=line_of(e),
        )

    def variable_of(self, e: etree._Element, name: str) -> Variable:
        found = self.child(e, "variable")
        if found is None:
            return Variable(name=name, line=line_of(e))
        return Variable(
            name=" ".join(found.get("name", "").split()) or name,
            type_ref=self.type_name(found, found.get("typeRef", "")),
            id=found.get("id", ""),
            line=line_of(found),
        )

    # --- boxed expressions ---

    def head(self, e: etree._Element) -> Head:
        """Return what all boxed expressions share."""
        return {
            "id": e.get("id", ""),
            "line": line_of(e),
            "type_ref": self.type_name(e, e.get("typeRef", "")),
        }

    def expression(self, e: etree._Element) -> Expression:
        read = self.expressions.get(local_name(e))
        if read is None or etree.QName(e).namespace != self.ns:
            raise self.error(e, "a boxed expression of DMN 1.5", f"<{local_name(e)}>")
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.error(
                e, f"at most {MAX_NESTING} boxed expressions inside each other", "more"
            )
        found = read(e)
        self.nesting -= 1
        return found

    def optional_expression(
        self, e: etree._Element, skip: tuple[str, ...] = ()
    ) -> Expression | None:
        ignored = {"description", "extensionElements", *skip}
        found = [c for c in self.children(e) if local_name(c) not in ignored]
        if len(found) > 1:
            raise self.error(
                found[1], "one boxed expression", f"a second one, <{local_name(found[1])}>"
            )
        return self.expression(found[0]) if found else None

    def only_expression(self, e: etree._Element, skip: tuple[str, ...] = ()) -> Expression:
        found = self.optional_expression(e, skip)
        if found is None:
            raise self.error(e, "a boxed expression", "none")
        return found

    def part(self, e: etree._Element, name: str) -> Expression:
        found = self.child(e, name)
        if found is None:
            raise self.error(e, f"<{name}>", "none")
        return self.only_expression(found)

    def literal(self, e: etree._Element) -> LiteralExpression:
        self.check_language(e)
        if self.child(e, "importedValues") is not None:
            raise self.error(e, "FEEL text", "<importedValues>, which is not supported")
        return LiteralExpression(
            text=self.child_text(e, "text"),
            **self.head(e),
        )

    def context(self, e: etree._Element) -> BoxedContext:
        entries = []
        for entry in self.children(e, "contextEntry"):
            variable = self.child(entry, "variable")
            entries.append(
                ContextEntry(
                    variable=None if variable is None else self.variable(variable),
                    value=self.only_expression(entry, skip=("variable",)),
                )
            )
        if any(entry.variable is None for entry in entries[:-1]):
            raise self.error(e, "the entry without a variable to be the last", "another position")
        return BoxedContext(
            entries=tuple(entries),
            **self.head(e),
        )

    def boxed_list(self, e: etree._Element) -> BoxedList:
        return BoxedList(
            items=self.all_expressions(e),
            **self.head(e),
        )

    def all_expressions(self, e: etree._Element) -> tuple[Expression, ...]:
        skip = ("description", "extensionElements")
        return tuple(self.expression(c) for c in self.children(e) if local_name(c) not in skip)

    def relation(self, e: etree._Element) -> Relation:
        columns = tuple(self.variable(c) for c in self.children(e, "column"))
        rows = []
        for row in self.children(e, "row"):
            cells = self.all_expressions(row)
            if len(cells) != len(columns):
                raise self.error(row, f"{len(columns)} cells", f"{len(cells)}")
            rows.append(cells)
        return Relation(
            columns=columns,
            rows=tuple(rows),
            **self.head(e),
        )

    def function(self, e: etree._Element) -> FunctionDefinition:
        kind = e.get("kind", "FEEL")
        if kind not in ("FEEL", "Java", "PMML"):
            raise self.error(e, "function kind FEEL, Java or PMML", repr(kind))
        return FunctionDefinition(
            parameters=tuple(self.variable(p) for p in self.children(e, "formalParameter")),
            body=self.optional_expression(e, skip=("formalParameter",)),
            kind=kind,
            **self.head(e),
        )

    def invocation(self, e: etree._Element) -> Invocation:
        return Invocation(
            function=self.only_expression(e, skip=("binding",)),
            bindings=tuple(self.binding(b) for b in self.children(e, "binding")),
            **self.head(e),
        )

    def binding(self, e: etree._Element) -> Binding:
        parameter = self.child(e, "parameter")
        if parameter is None:
            raise self.error(e, "<parameter>", "none")
        return Binding(
            parameter=self.name(parameter), value=self.optional_expression(e, skip=("parameter",))
        )

    def conditional(self, e: etree._Element) -> Conditional:
        return Conditional(
            condition=self.part(e, "if"),
            then=self.part(e, "then"),
            otherwise=self.part(e, "else"),
            **self.head(e),
        )

    def iterator_for(self, e: etree._Element) -> BoxedFor:
        return BoxedFor(
            iterator=self.attribute(e, "iteratorVariable"),
            iterator_type=self.part_type(e),
            source=self.part(e, "in"),
            body=self.part(e, "return"),
            **self.head(e),
        )

    def quantified(self, e: etree._Element) -> Quantified:
        return Quantified(
            every=local_name(e) == "every",
            iterator=self.attribute(e, "iteratorVariable"),
            iterator_type=self.part_type(e),
            source=self.part(e, "in"),
            satisfies=self.part(e, "satisfies"),
            **self.head(e),
        )

    def part_type(self, e: etree._Element) -> str:
        source = self.child(e, "in")
        return "" if source is None else self.type_name(source, source.get("typeRef", ""))

    def filter(self, e: etree._Element) -> BoxedFilter:
        return BoxedFilter(
            source=self.part(e, "in"),
            match=self.part(e, "match"),
            **self.head(e),
        )

    # --- decision tables ---

    def table(self, e: etree._Element) -> DecisionTable:
        inputs = tuple(self.input_clause(c) for c in self.children(e, "input"))
        outputs = tuple(self.output_clause(c) for c in self.children(e, "output"))
        if not outputs:
            raise self.error(e, "at least one output column", "none")
        if len(outputs) > 1:
            self.check_output_names(e, outputs)
        return DecisionTable(
            hit_policy=self.hit_policy(e),
            aggregator=self.aggregator(e),
            inputs=inputs,
            outputs=outputs,
            rules=tuple(
                self.rule(r, row, len(inputs), len(outputs))
                for row, r in enumerate(self.children(e, "rule"), start=1)
            ),
            annotation_names=tuple(a.get("name", "") for a in self.children(e, "annotation")),
            output_label=e.get("outputLabel", ""),
            **self.head(e),
        )

    def check_output_names(self, e: etree._Element, outputs: tuple[OutputClause, ...]) -> None:
        names = [o.name for o in outputs]
        if not all(names) or len(set(names)) != len(names):
            raise self.error(e, "a different name on every output column", repr(names))

    def hit_policy(self, e: etree._Element) -> HitPolicy:
        written = e.get("hitPolicy", "UNIQUE")
        try:
            return HitPolicy(written)
        except ValueError:
            known = ", ".join(p.value for p in HitPolicy)
            raise self.error(e, f"hit policy {known}", repr(written)) from None

    def aggregator(self, e: etree._Element) -> Aggregator | None:
        written = e.get("aggregation")
        if written is None:
            return None
        try:
            return Aggregator(written)
        except ValueError:
            raise self.error(e, "aggregation SUM, COUNT, MIN or MAX", repr(written)) from None

    def input_clause(self, e: etree._Element) -> InputClause:
        expression = self.child(e, "inputExpression")
        if expression is None:
            raise self.error(e, "<inputExpression>", "none")
        self.check_language(expression)
        return InputClause(
            id=e.get("id", ""),
            line=line_of(e),
            label=e.get("label", ""),
            expression=self.text(expression),
            type_ref=self.type_name(expression, expression.get("typeRef", "")),
            values=self.unary_text(e, "inputValues"),
        )

    def output_clause(self, e: etree._Element) -> OutputClause:
        default = self.child(e, "defaultOutputEntry")
        return OutputClause(
            id=e.get("id", ""),
            line=line_of(e),
            name=e.get("name", ""),
            label=e.get("label", ""),
            type_ref=self.type_name(e, e.get("typeRef", "")),
            values=self.unary_text(e, "outputValues"),
            default=None if default is None else self.text(default),
        )

    def rule(self, e: etree._Element, row: int, inputs: int, outputs: int) -> Rule:
        entries = {
            kind: tuple(self.cell(c) for c in self.children(e, kind))
            for kind in ("inputEntry", "outputEntry")
        }
        for kind, wanted in (("inputEntry", inputs), ("outputEntry", outputs)):
            if len(entries[kind]) != wanted:
                raise self.error(e, f"{wanted} <{kind}>", f"{len(entries[kind])}")
        notes = [self.child_text(c, "text") for c in self.children(e, "annotationEntry")]
        notes.append(self.child_text(e, "description"))
        return Rule(
            id=e.get("id") or f"rule_{row}",
            row=row,
            line=line_of(e),
            inputs=entries["inputEntry"],
            outputs=entries["outputEntry"],
            annotations=tuple(n.strip() for n in notes if n.strip()),
        )

    def cell(self, e: etree._Element) -> Text:
        self.check_language(e)
        return self.text(e)


def _dialect(root: etree._Element) -> Dialect:
    """Camunda when a Camunda or bpmn.io tool wrote the file, by its exporter or its namespaces."""
    exporter = root.get("exporter", "").lower()
    if exporter.startswith(("camunda", "dmn-js")):
        return "camunda"
    namespaces = (*root.nsmap.values(), root.get("namespace"))
    if any("://camunda.org/schema/" in (uri or "") for uri in namespaces):
        return "camunda"
    return "dmn"
