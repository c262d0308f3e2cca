"""A DMN file with its imports, ready to answer questions.

>>> model = DecisionModel.load(b'''<definitions xmlns="https://www.omg.org/spec/DMN/20230324/MODEL/"
...     id="d" name="d" namespace="urn:d"><inputData id="i" name="age"><variable name="age" typeRef="number"/>
...     </inputData><decision id="adult" name="adult"><variable name="adult"/><informationRequirement>
...     <requiredInput href="#i"/></informationRequirement><literalExpression><text>age &gt;= 18</text>
...     </literalExpression></decision></definitions>''')
>>> model.evaluate("adult", {"age": 20})
True
>>> model.explain("adult", {"age": "x"}).warnings[0]
'input age: expected number, but got x'
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Protocol

from engine.decisions.explanation import DecisionRecord, Explanation, Outcome
from engine.decisions.graph import Graph, Key, Node, link
from engine.decisions.item_types import ItemTypes
from engine.decisions.logic import Compiler, declared, multi_word
from engine.decisions.model import (
    DecisionElement,
    Definitions,
    Dialect,
    Element,
    InputElement,
    KnowledgeModel,
    ServiceElement,
    Text,
)
from engine.decisions.plan import (
    DecisionStep,
    HitPolicyViolation,
    InputStep,
    Plan,
    Step,
    decision_step,
    generate,
    input_step,
)
from engine.decisions.reader import read
from engine.decisions.tables import DecisionRun
from engine.decisions.terms import Eval, Externals, Names, Scope
from engine.decisions.xml import MAX_BYTES
from engine.errors import DefinitionError
from engine.feel import Function, Parameter, Run, Value
from engine.feel.types import FunctionOf, Type, coerce
from engine.frozen import dataclass


class PathLike(Protocol):
    """A path, without importing os."""

    def __fspath__(self) -> str:
        """Return the path as text."""
        ...


Source = bytes | str | PathLike  #: the content itself, or where it is


@dataclass(frozen=True, eq=False)
class Decision:
    """One decision, compiled; calling it with inputs gives its value."""

    id: str
    name: str
    plan: Plan

    def __call__(self, inputs: Mapping[str, Value]) -> Value:
        """Return the value. Raises HitPolicyViolation and FeelError."""
        return self.function(inputs)

    @cached_property
    def function(self) -> Callable[[Mapping[str, Value]], Value]:
        """The generated Python function behind it."""
        return generate(self.plan)

    @property
    def inputs(self) -> dict[str, str]:
        """Return the inputs it needs, directly or through other decisions: name → type reference."""
        elements = [s.node.element for s in self.plan.steps if isinstance(s, InputStep)]
        return {e.variable.name: e.variable.type_ref or "Any" for e in elements}


class DecisionModel:
    """A DMN file with what it imports."""

    def __init__(
        self, graph: Graph, *, externals: Externals | None = None, strict: bool = True
    ) -> None:
        """`graph` comes from `graph.link`; see `load` for the rest."""
        self.graph = graph
        self.definitions = graph.main
        self.externals: Externals = externals or {}
        self.compilers = _compilers(graph, self.externals, strict)
        self._functions: dict[Key, Function] = {}
        self._steps: dict[Key, Step] = {}
        self._decisions: dict[str, Decision] = {}
        self._services: dict[Key, Plan] = {}
        if strict:
            for node in graph.nodes.values():
                self._check(node)

    @classmethod
    def load(
        cls,
        source: Source,
        imports: Iterable[Source] = (),
        *,
        dialect: Dialect | None = None,
        externals: Externals | None = None,
        strict: bool = True,
        name: str = "",
    ) -> DecisionModel:
        """Return the model of a file, given as path or content, with the files it imports.

        `imports` may hold more than is needed. `dialect` None: by the tool that wrote each file. `externals` are the
        functions outside of FEEL that may be called, by `class.method(types)`; none by default. `strict` False: a
        broken expression spoils only the decisions that use it. `name` is what messages call the file when its
        content is given.
        Raises DefinitionError with `file:line` and element id.
        """
        main = read(*_content(source, name), dialect)
        wanted = imports if main.imports else ()
        others = [read(*_content(other, ""), dialect) for other in wanted]
        return cls(link(main, others), externals=externals, strict=strict)

    @property
    def decision_ids(self) -> tuple[str, ...]:
        """Return the ids of the decisions of the main file, in file order."""
        return tuple(decision.id for decision in self.definitions.decisions)

    @property
    def dialect(self) -> Dialect:
        """Return how FEEL is read."""
        return self.definitions.dialect

    def decision(self, name: str) -> Decision:
        """Return a decision by name or id, compiled. Raises DefinitionError when there is none."""
        found = self._decisions.get(name)
        if found is None:
            node = self._find(name, DecisionElement, "decisions", self.definitions.decisions)
            plan = self._plan([node.key])
            found = self._decisions[name] = Decision(node.element.id, node.element.name, plan)
        return found

    def evaluate(self, name: str, inputs: Mapping[str, Value], *, now: object = None) -> Value:
        """Return the value of a decision, asked by name or id; null when no rule matches.

        `inputs` are by name; names that are not needed are not looked at. A value that does not fit the type of its
        input is null. `now`, a datetime, is what `now()` and `today()` answer; without it they take the input `now`.
        Raises HitPolicyViolation when rules contradict each other, FeelError when an evaluation exceeds a bound.
        """
        found = self._decisions.get(name) or self.decision(name)
        return found.function(inputs) if now is None else found.plan.evaluate(inputs, now)

    def evaluate_service(
        self, name: str, inputs: Mapping[str, Value], *, now: object = None
    ) -> Value:
        """Return the value of a decision service: of its output decision, or a context when it has several.

        `inputs` hold values for its input data and its input decisions, by name.
        """
        node = self._find(name, ServiceElement, "decision services", self.definitions.services)
        service, plan = node.element, self._service_plan(node)
        assert isinstance(service, ServiceElement)
        run = plan.run(inputs, now)
        given = {key: self._given(key, inputs, run) for key in _service_inputs(node)}
        value = coerce(self._serve(node, given, run), self._result_type(node), run)
        if run.violations is not None:
            raise HitPolicyViolation("; ".join(run.violations), where=node.where)
        return value

    def service_outputs(self, name: str) -> int:
        """Return how many output decisions a service has."""
        node = self._find(name, ServiceElement, "decision services", self.definitions.services)
        assert isinstance(node.element, ServiceElement)
        return len(node.element.outputs)

    def explain(self, name: str, inputs: Mapping[str, Value], *, now: object = None) -> Explanation:
        """Return the value of a decision with every decision on the way, the rules that matched, and the reasons of
        every null. A broken hit policy is an outcome here, not an error.
        """
        decision = self.decision(name)
        run = decision.plan.run(inputs, now)
        run.notes = []
        records: list[DecisionRecord] = []
        decision.plan.follow(inputs, run, records=records)
        asked = records[-1]
        return Explanation(
            decision=asked.id,
            value=asked.value,
            outcome=Outcome.VIOLATION if run.violations is not None else asked.outcome,
            decisions=tuple(records),
            warnings=(
                *(note.message for note in run.notes),
                *(f"{record.name}: {warning}" for record in records for warning in record.warnings),
            ),
        )

    def names_in_scope(self, node: Node) -> Names:
        """Return the names that the logic of a decision or knowledge model may use."""
        variables = (
            name
            for path, names, _ in (
                self._sees(node) if isinstance(node.element, DecisionElement) else ()
            )
            for name in ((path,) if path else names)
        )
        return frozenset(variables) | frozenset(self._knowledge(node))

    def types_in_scope(self, node: Node) -> dict[str, str]:
        """Return the variables that the logic of an element may use, with their type references."""
        if isinstance(node.element, KnowledgeModel):
            function = node.element.function
            return {p.name: p.type_ref for p in function.parameters} if function else {}
        elements = (
            self.graph.nodes[key].element
            for key in node.requires
            if key.namespace == node.key.namespace
        )
        kinds = InputElement | DecisionElement
        return {e.variable.name: e.variable.type_ref for e in elements if isinstance(e, kinds)}

    # --- what an element needs ---

    def _find(self, name: str, kind: type, what: str, known: Iterable[Element]) -> Node:
        for node in self.graph.find(name):
            if isinstance(node.element, kind):
                return node
        names = [element.name for element in known]
        close = difflib.get_close_matches(name, names, 1)
        raise DefinitionError(
            where=self.definitions.source,
            expected=f"one of the {what} {', '.join(names)}" if names else f"{what} in the file",
            got=repr(name),
            hint=f"Did you mean {close[0]}?" if close else "",
        )

    def _check(self, node: Node) -> None:
        """Compile an element, so that its faults are found when the file is loaded."""
        match node.element:
            case DecisionElement() | InputElement():
                self._step(node)
            case KnowledgeModel() | ServiceElement():
                self._function(node.key)

    def _plan(self, targets: list[Key], given: frozenset[Key] = frozenset()) -> Plan:
        return Plan(
            steps=tuple(self._step(node) for node in self.graph.order(targets, given)),
            targets=tuple(targets),
            externals=self.externals,
        )

    def _step(self, node: Node) -> Step:
        if node.key not in self._steps:
            make = self._input if isinstance(node.element, InputElement) else self._decision
            self._steps[node.key] = make(node)
        return self._steps[node.key]

    def _input(self, node: Node) -> InputStep:
        names = tuple(dict.fromkeys((node.element.variable.name, node.element.name)))
        return input_step(node, names, self._paths(node.key.namespace), self._type_of(node))

    def _paths(self, namespace: str) -> tuple[str, ...]:
        """Return the names under which files of the model import the file of `namespace`."""
        if namespace == self.definitions.namespace:
            return ()
        return tuple(
            dict.fromkeys(
                i.name
                for file in self.graph.files.values()
                for i in file.imports
                if i.namespace == namespace and i.name
            )
        )

    def _decision(self, node: Node) -> DecisionStep:
        element = node.element
        assert isinstance(element, DecisionElement)
        compiler = self.compilers[node.key.namespace]
        logic: Eval | None = None
        if element.logic is not None:
            logic = compiler.expression(element.logic, self.names_in_scope(node))
        return decision_step(
            node,
            logic=logic,
            type_=self._type_of(node),
            sees=self._sees(node),
            knowledge=self._knowledge(node),
        )

    def _sees(self, node: Node) -> tuple[tuple[str, tuple[str, ...], Key], ...]:
        """Return the required inputs and decisions: import name or "", names in scope, key."""
        camunda = node.file.dialect == "camunda"
        return tuple(
            (self._path(node, key), _visible_names(other, camunda), key)
            for key in node.requires
            if isinstance(other := self.graph.nodes[key].element, InputElement | DecisionElement)
        )

    def _type_of(self, node: Node) -> Type | None:
        variable = node.element.variable
        compiler = self.compilers[node.key.namespace]
        return compiler.refer(variable.type_ref, variable.line, variable.id or node.element.id)

    def _path(self, node: Node, key: Key) -> str:
        """Return the import name under which `node` sees `key`, empty for its own file."""
        if key.namespace == node.key.namespace:
            return ""
        return next((i.name for i in node.file.imports if i.namespace == key.namespace), "")

    # --- functions ---

    def _knowledge(self, node: Node) -> Scope:
        """Return the functions that `node` may call, by name, imported ones under the import's name.

        A knowledge model may call itself.
        """
        found: Scope = {}
        if isinstance(node.element, KnowledgeModel):
            found[node.element.name] = self._function(node.key)
        for key in node.requires:
            other = self.graph.nodes[key].element
            if isinstance(other, KnowledgeModel | ServiceElement):
                path = self._path(node, key)
                into = found.setdefault(path, {}) if path else found
                for name in dict.fromkeys((other.variable.name, other.name)):
                    into[name] = self._function(key)
        return found

    def _function(self, key: Key) -> Function:
        if key not in self._functions:
            node = self.graph.nodes[key]
            if isinstance(node.element, ServiceElement):
                self._functions[key] = self._service_function(node)
            else:
                self._make_knowledge(node)
        return self._functions[key]

    def _make_knowledge(self, node: Node) -> None:
        """Make the function of a knowledge model; it is known before its body, for those that call themselves."""
        model = node.element
        assert isinstance(model, KnowledgeModel)
        compiler = self.compilers[node.key.namespace]
        if model.function is None:
            self._functions[node.key] = Function((), lambda run: None, None, model.name)
            return
        parameters = tuple(map(compiler.parameter, model.function.parameters))
        result = self._result_type(node)
        inner: list[Function] = []

        def call(run: Run, *arguments: Value) -> Value:
            return inner[0].body(run, *arguments)

        self._functions[node.key] = Function(parameters, call, result, model.name)
        scope = self._knowledge(node)
        made = compiler.function(model.function, frozenset(scope), model.name)(Run(), scope)
        if isinstance(made, Function):
            inner.append(made)
            self._functions[node.key] = Function(
                made.parameters, call, result or made.result, model.name
            )
        else:
            self._functions[node.key] = Function((), lambda run: None, None, model.name)

    def _service_function(self, node: Node) -> Function:
        keys = _service_inputs(node)
        parameters = tuple(
            Parameter(self.graph.nodes[key].element.name, self._type_of(self.graph.nodes[key]))
            for key in keys
        )

        def call(run: Run, *arguments: Value) -> Value:
            return self._serve(node, dict(zip(keys, arguments, strict=True)), run)

        return Function(parameters, call, self._result_type(node), node.element.name)

    def _result_type(self, node: Node) -> Type | None:
        """Return the type of what a function gives; its variable names that type, or the function's own."""
        found = self._type_of(node)
        return found.result if isinstance(found, FunctionOf) else found

    def _service_plan(self, node: Node) -> Plan:
        if node.key not in self._services:
            service = node.element
            assert isinstance(service, ServiceElement)
            outputs = list(node.requires[: len(service.outputs)])
            self._services[node.key] = self._plan(outputs, frozenset(_service_inputs(node)))
        return self._services[node.key]

    def _serve(self, node: Node, given: Mapping[Key, Value], run: Run) -> Value:
        """Return the answer of a service whose inputs are `given`; nothing else can be seen inside."""
        plan = self._service_plan(node)
        inner = run if isinstance(run, DecisionRun) else plan.run({})
        values = plan.follow({}, inner, given)
        if len(plan.targets) == 1:
            return values[plan.targets[0]]
        return {self.graph.nodes[key].element.name: values[key] for key in plan.targets}

    def _given(self, key: Key, inputs: Mapping[str, Value], run: Run) -> Value:
        """Return the value of a service's input, found by name and coerced."""
        return self._input(self.graph.nodes[key]).read(inputs, run)


def _content(source: Source, name: str) -> tuple[bytes, str]:
    """Return content and name of a file. Opening it is the only thing this package does with the world."""
    if isinstance(source, bytes):
        return source, name or "<bytes>"
    path = source if isinstance(source, str) else source.__fspath__()
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1), name or path
    except OSError as cause:
        raise DefinitionError(
            where=path, expected="a file to read", got=cause.strerror or str(cause)
        ) from cause


def _compilers(graph: Graph, externals: Externals, strict: bool) -> dict[str, Compiler]:
    """Return a compiler for each file, by namespace."""
    types: dict[str, ItemTypes] = {}
    compilers: dict[str, Compiler] = {}
    members = multi_word(name for file in graph.files.values() for name in _member_names(file))

    def make(namespace: str) -> ItemTypes:
        if namespace not in types:
            file = graph.files[namespace]
            imported: dict[str, ItemTypes] = {}
            types[namespace] = ItemTypes(file, imported, lambda text: constraint(namespace, text))
            imported.update({i.name: make(i.namespace) for i in file.imports})
        return types[namespace]

    def constraint(namespace: str, text: Text) -> Callable[[Value], bool | None]:
        test = compilers[namespace].test(text, frozenset())
        return lambda value: test.holds(Run(), value, {})

    for namespace, file in graph.files.items():
        own = make(namespace)
        compilers[namespace] = Compiler(own, file.dialect, members, externals, strict)
    return compilers


def _member_names(file: Definitions) -> Iterable[str]:
    """Return the names that paths may mention: components, entries, columns, and elements for importers."""
    for element in file.elements():
        yield element.name
        yield element.variable.name
        if isinstance(element, DecisionElement):
            yield from declared(element.logic)
        if isinstance(element, KnowledgeModel):
            yield from declared(element.function)
    waiting = list(file.items)
    while waiting:
        item = waiting.pop()
        yield from (part.name for part in item.components)
        waiting.extend(item.components)


def _visible_names(element: Element, camunda: bool) -> tuple[str, ...]:
    """Return the names under which a requirement is in scope; Camunda goes by id."""
    names = [element.variable.name, element.name]
    if camunda and element.id.isidentifier():
        names.append(element.id)
    return tuple(dict.fromkeys(names))


def _service_inputs(node: Node) -> tuple[Key, ...]:
    """Return the inputs of a service in the order of its parameters: input data, then decisions."""
    service = node.element
    assert isinstance(service, ServiceElement)
    first = len(service.outputs) + len(service.encapsulated)
    decisions = node.requires[first : first + len(service.input_decisions)]
    return (*node.requires[first + len(service.input_decisions) :], *decisions)
