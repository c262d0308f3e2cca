"""Syntax tree to Python source. This is the seam for those who build faster things out of expressions.

    generator = Generator(dialect="dmn")
    code = generator.expression(parse("a + 1"), Scope({"a": "x"}))     # "add(r, x, k0)"
    exec(compile(generator.module(f"def f(r, x):\\n return {code}"), "<feel>", "exec"), space := generator.globals())

Invariants
- The source is made from the tree alone: text of the user (strings, names, numbers) is only ever a constant `k0`, `k1`
  …, which `globals()` holds. Names in the source are `r` (the `Run`), `v` (the variables), `k…`, `v…` (variables
  that were read), `_…` (local), `h…` (parts moved to functions of their own) and those of `OPERATIONS`.
- The code is one Python expression, with lambdas for bodies. Where it would nest deeper than Python can read, a part
  becomes a function.
- Traced code computes the same values and tells `Run.at` the span of every part that may have become null.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from engine.feel import ast, operations, traversal
from engine.feel.ast import Node
from engine.feel.builtins import Builtin, builtins_of
from engine.feel.run import Run
from engine.feel.types import conforms
from engine.feel.values import NATIVE, Function, Parameter, Value, native
from engine.frozen import dataclass

NESTING: Final = 10  #: levels of the tree in one Python expression
TERMS: Final = 20  #: terms of a sum in one Python expression

#: what generated code may call
OPERATIONS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "__builtins__": {},
        "type": type,
        "str": str,
        "bool": bool,
        "D": Decimal,
        "NATIVE": NATIVE,
        "Function": Function,
        "native": native,
        "conforms": conforms,
        **{
            function.__name__: function
            for function in (
                operations.add,
                operations.subtract,
                operations.multiply,
                operations.divide,
                operations.power,
                operations.negate,
                operations.equal,
                operations.unequal,
                operations.less,
                operations.at_most,
                operations.greater,
                operations.at_least,
                operations.between,
                operations.holds,
                operations.answer,
                operations.answer_or_true,
                operations.in_range,
                operations.operator_range,
                operations.make_range,
                operations.undecided,
                operations.condition,
                traversal.read,
                traversal.path,
                traversal.at_position,
                traversal.select,
                traversal.pick,
                traversal.loop,
                traversal.loop_one,
                traversal.some,
                traversal.every,
                traversal.steps,
                traversal.snapshot,
                traversal.call,
                traversal.external,
            )
        },
    }
)
_ARITHMETIC: Final = {
    "+": "add",
    "-": "subtract",
    "*": "multiply",
    "/": "divide",
    "**": "power",
}
_COMPARISONS: Final = {
    "=": "equal",
    "!=": "unequal",
    "<": "less",
    "<=": "at_most",
    ">": "greater",
    ">=": "at_least",
}
_PYTHON: Final = {"=": "=="}  #: where Python's operator differs
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
_BOOLEAN: Final = (
    ast.Comparison,
    ast.Logic,
    ast.In,
    ast.Between,
    ast.InstanceOf,
    ast.Quantified,
)
_LOCAL: Final = re.compile(r"\b(?:_[0-9]+|v[0-9]+)\b")
_SIMPLE: Final = re.compile(r"[_vk][0-9]+")


@dataclass(frozen=True, slots=True)
class Scope:
    """Names and the Python code that gives their value; what is not here is a variable.

    `entries` is the code of a context whose entries are names too: the item of a filter.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    outer: Scope | None = None
    entries: str = ""


class Generator:
    """Makes Python code for any number of expressions that will live in one module."""

    def __init__(
        self,
        *,
        dialect: str = "dmn",
        traced: bool = False,
        names: Collection[str] = frozenset(),
    ) -> None:
        """`names` are variables known to exist, so that a variable may have the name of a function."""
        self.camunda = dialect == "camunda"
        self.builtins = builtins_of(dialect)
        self.traced = traced
        self.declared = names
        self.needs: set[str] = set()  #: "now", "seed"
        self.read: dict[str, str] = {}  #: variables and the local that holds each
        self.certain: set[str] = set()  #: names that can only be variables
        self.in_filters: set[str] = set()  #: names that are variables or entries of an item
        self._constants: list[object] = []
        self._known: dict[tuple[type, object], str] = {}
        self._functions: list[str] = []
        self._locals = 0
        self._depth = 0

    # ---------------------------------------------------------------- what others use

    def expression(self, node: Node, scope: Scope | None = None) -> str:
        """Return the code of a value."""
        return self._expression(node, scope or Scope())

    def tests(self, node: ast.UnaryTests, value: str, scope: Scope | None = None) -> str:
        """Return the code of unary tests on `value`, the name of a Python local: True, False or None."""
        scope = Scope({"?": value}, scope or Scope())
        code = self._any_of([self._test(t, value, scope, unary=True) for t in node.tests])
        if literal := _literals(node.tests):
            code = self._one_of(value, literal)
        if not node.negated:
            return code
        name = self._local()
        return f"(None if ({name} := {code}) is None else not {name})"

    def prologue(self) -> list[str]:
        """Return the statements that read the variables from `v` into locals."""
        lines = []
        for name, local in self.read.items():
            lines.append(f"{local} = v.get({self.constant(name)})")
            lines.append(f"if type({local}) not in NATIVE: {local} = native({local})")
        return lines

    def constant(self, value: object) -> str:
        """Return the name of a constant."""
        key: tuple[type, object] | None = None
        if isinstance(value, str | bool | Decimal | int | type(None)):
            key = (type(value), value if not isinstance(value, Decimal) else value.as_tuple())
            if key in self._known:
                return self._known[key]
        name = f"k{len(self._constants)}"
        self._constants.append(value)
        if key is not None:
            self._known[key] = name
        return name

    def globals(self) -> dict[str, object]:
        """Return what the module needs as its globals."""
        return dict(OPERATIONS) | {f"k{i}": value for i, value in enumerate(self._constants)}

    def module(self, source: str) -> str:
        """Return `source` with the functions that parts of it became."""
        return "\n".join([*self._functions, source])

    # ---------------------------------------------------------------- expressions

    def _expression(self, node: Node, scope: Scope) -> str:
        self._depth += 1
        moved = self._depth % NESTING == 0
        first = self._locals
        code = self._emit(node, scope)
        if self.traced and not isinstance(node, ast.Literal):
            code = f"r.at({node.start}, {node.end}, {code})"
        self._depth -= 1
        return self._function(code, first) if moved else code

    def _function(self, code: str, first: int) -> str:
        """Move code into a function and return the call; locals made since `first` are its own."""
        outside = sorted(
            {n for n in _LOCAL.findall(code) if n[0] == "v" or int(n[1:]) < first},
        )
        name = f"h{len(self._functions)}"
        parameters = ", ".join(["v", "r", *outside])
        self._functions.append(f"def {name}({parameters}):\n return {code}")
        return f"{name}({parameters})"

    def _emit(self, node: Node, scope: Scope) -> str:
        match node:
            case ast.Literal(value=value):
                return str(value) if value is None or type(value) is bool else self.constant(value)
            case ast.Name(name=name):
                return self._name(name, scope)
            case ast.Path(source=source, name=name):
                return f"path(r, {self._expression(source, scope)}, {self.constant(name)})"
            case ast.Comparison(operator=operator, left=left, right=right):
                return self._comparison(operator, left, right, scope)
            case ast.Arithmetic():
                return self._arithmetic(node, scope)
            case ast.Logic():
                return self._logic(node, scope)
            case ast.Call():
                return self._call(node, scope)
            case ast.Filter():
                return self._filter(node, scope)
            case ast.In(value=value, tests=tests):
                return self._in(value, tests, scope)
            case ast.If(condition=condition, yes=yes, no=no):
                test = self._expression(condition, scope)
                if self.traced:
                    test = f"r.at({condition.start}, {condition.end}, condition(r, {test}))"
                return f"({self._expression(yes, scope)} if {test} is True else {self._expression(no, scope)})"
            case ast.For():
                return self._for(node, scope)
            case ast.Quantified(quantifier=quantifier, iterators=iterators, condition=condition):
                domains, names, inner = self._domains(iterators, scope)
                body = self._expression(condition, inner)
                return f"{quantifier}(r, {domains}, lambda {', '.join(names)}: {body})"
            case ast.ContextLiteral():
                return self._context(node, scope)
            case ast.ListLiteral(items=items):
                return f"[{', '.join(self._expression(item, scope) for item in items)}]"
            case ast.Negation(operand=operand):
                return f"negate(r, {self._expression(operand, scope)})"
            case ast.Between(value=value, low=low, high=high):
                return self._between(value, low, high, scope)
            case ast.RangeLiteral():
                return self._range(node, scope)
            case ast.ComparisonTest(operator=operator, operand=operand):
                value = self._expression(operand, scope)
                return f"operator_range(r, {self.constant(operator)}, {value})"
            case ast.InstanceOf(value=value, type=type_):
                code = self._expression(value, scope)
                if type_ is None:
                    return f"r.null({self.constant('the type is not known')})"
                return f"conforms({code}, {self.constant(type_)})"
            case ast.FunctionDefinition():
                return self._definition(node, scope)
            case _:
                raise TypeError(f"{type(node).__name__} is no expression")

    def _name(self, name: str, scope: Scope) -> str:
        place: Scope | None = scope
        filters: list[str] = []
        while place is not None:
            if place.entries:
                filters.append(place.entries)
            if name in place.names:
                code = place.names[name]
                break
            place = place.outer
        else:
            code = self._variable(name, inside_filter=bool(filters))
        key = self.constant(name)
        for entries in reversed(filters):
            code = f"({entries}[{key}] if {key} in {entries} else {code})"
        return code

    def _variable(self, name: str, inside_filter: bool) -> str:
        builtin = self.builtins.get(name)
        if builtin is not None and name not in self.declared:
            return self._builtin_value(builtin)
        if inside_filter:
            self.in_filters.add(name)
        elif name != "?":
            self.certain.add(name)
        if self.traced:
            return f"read(r, v, {self.constant(name)})"
        return self.read.setdefault(name, f"v{len(self.read)}")

    def _builtin_value(self, builtin: Builtin) -> str:
        if builtin.needs:
            self.needs.add(builtin.needs)
        return self.constant(builtin.as_value())

    def _arithmetic(self, node: ast.Arithmetic, scope: Scope) -> str:
        """Go down the left side of a long sum in a loop, for it may be longer than the stack is deep."""
        chain = [node]
        while isinstance(chain[-1].left, ast.Arithmetic):
            chain.append(chain[-1].left)
        first = self._locals
        code = self._expression(chain[-1].left, scope)
        for index, link in enumerate(reversed(chain), 1):
            right = self._expression(link.right, scope)
            code = f"{_ARITHMETIC[link.operator]}(r, {code}, {right})"
            if self.traced and link is not node:
                code = f"r.at({link.start}, {link.end}, {code})"
            if index % TERMS == 0:
                code = self._function(code, first)
        return code

    def _comparison(self, operator: str, left: Node, right: Node, scope: Scope) -> str:
        if isinstance(left, ast.Literal) and not isinstance(right, ast.Literal):
            left, right, operator = right, left, _MIRRORED[operator]
        value = self._expression(left, scope)
        return self._compared(operator, value, right, scope)

    def _compared(self, operator: str, value: str, right: Node, scope: Scope) -> str:
        """Compare with a literal in place when the kinds agree, else by a call."""
        other = self._expression(right, scope)
        call = _COMPARISONS[operator]
        if not isinstance(right, ast.Literal) or type(right.value) not in (str, Decimal):
            if isinstance(right, ast.Literal) and right.value is None and operator in ("=", "!="):
                return f"({value} is{' not' if operator == '!=' else ''} None)"
            return f"{call}(r, {value}, {other})"
        kind = "str" if type(right.value) is str else "D"
        bound, name = self._bound(value)
        python = _PYTHON.get(operator, operator)
        return (
            f"({name} {python} {other} if type({bound}) is {kind} else {call}(r, {name}, {other}))"
        )

    def _bound(self, code: str) -> tuple[str, str]:
        """Return code that binds a value to a name, and the name."""
        if _SIMPLE.fullmatch(code):
            return code, code
        name = self._local()
        return f"{name} := {code}", name

    def _between(self, value: Node, low: Node, high: Node, scope: Scope) -> str:
        code = self._expression(value, scope)
        a, b = self._expression(low, scope), self._expression(high, scope)
        if not (_is_number(low) and _is_number(high)):
            return f"between(r, {code}, {a}, {b})"
        bound, name = self._bound(code)
        return f"({a} <= {name} <= {b} if type({bound}) is D else between(r, {name}, {a}, {b}))"

    def _logic(self, node: ast.Logic, scope: Scope) -> str:
        decisive, other = ("False", "True") if node.operator == "and" else ("True", "False")
        names = [self._local() for _ in node.operands]
        values = [
            f"({name} := {self._expression(operand, scope)}) is {decisive}"
            for name, operand in zip(names, node.operands, strict=True)
        ]
        all_other = " and ".join(f"{name} is {other}" for name in names)
        return (
            f"({decisive} if {' or '.join(values)} else {other} if {all_other} "
            f"else undecided(r, {', '.join(names)}))"
        )

    def _call(self, node: ast.Call, scope: Scope) -> str:
        arguments = "".join(f"{self._expression(a, scope)}, " for a in node.arguments)
        names = "" if node.names is None else f", {self.constant(node.names)}"
        if not isinstance(node.function, ast.Name) or node.function.name not in self.builtins:
            return f"call(r, {self._expression(node.function, scope)}, ({arguments}){names})"
        name = node.function.name
        builtin = self.builtins[name]
        if builtin.needs:
            self.needs.add(builtin.needs)
        if name in self.declared or self._is_local(name, scope):  # it counts if it is a function
            own = self._builtin_value(builtin)
            bound, variable = self._bound(self._name(name, scope))
            chosen = f"{variable} if type({bound}) is Function else {own}"
            return f"call(r, {chosen}, ({arguments}){names})"
        return f"{self.constant(builtin.call)}(r, ({arguments}){names})"

    @staticmethod
    def _is_local(name: str, scope: Scope | None) -> bool:
        while scope is not None:
            if name in scope.names:
                return True
            scope = scope.outer
        return False

    def _filter(self, node: ast.Filter, scope: Scope) -> str:
        source = self._expression(node.source, scope)
        if isinstance(node.source, ast.Name) and (raw := _RESULTS.fullmatch(source)):
            source = raw[1]
        if _is_number(node.condition):
            return f"at_position(r, {source}, {self._expression(node.condition, scope)})"
        item, entries = self._local(), self._local()
        inner = Scope({"item": item}, scope, entries)
        condition = self._expression(node.condition, inner)
        boolean = isinstance(node.condition, _BOOLEAN) or (
            isinstance(node.condition, ast.Literal) and type(node.condition.value) is bool
        )
        return (
            f"{'select' if boolean else 'pick'}(r, {source}, lambda {item}, {entries}: {condition})"
        )

    def _for(self, node: ast.For, scope: Scope) -> str:
        partial = any(isinstance(n, ast.Name) and n.name == "partial" for n in ast.walk(node.body))
        if len(node.iterators) == 1 and not partial:
            iterator = node.iterators[0]
            domain = self._domain(iterator, scope)
            name = self._local()
            body = self._expression(node.body, Scope({iterator.name: name}, scope))
            return f"loop_one(r, {domain}, lambda {name}: {body})"
        domains, names, inner = self._domains(node.iterators, scope)
        results = self._local()
        inner = Scope({"partial": f"snapshot(r, {results})"}, inner)
        body = self._expression(node.body, inner)
        return f"loop(r, {domains}, lambda {', '.join([results, *names])}: {body})"

    def _domains(
        self, iterators: Sequence[ast.Iterator], scope: Scope
    ) -> tuple[str, list[str], Scope]:
        """Return the code of all domains, the locals of the variables, and the scope that has them."""
        codes: list[str] = []
        names: list[str] = []
        for iterator in iterators:
            codes.append(f"lambda {', '.join(names)}: {self._domain(iterator, scope)}, ")
            names.append(self._local())
            scope = Scope({iterator.name: names[-1]}, scope)
        return f"({''.join(codes)})", names, scope

    def _domain(self, iterator: ast.Iterator, scope: Scope) -> str:
        domain = self._expression(iterator.domain, scope)
        if iterator.upto is None:
            return domain
        return f"steps(r, {domain}, {self._expression(iterator.upto, scope)})"

    def _context(self, node: ast.ContextLiteral, scope: Scope) -> str:
        if len({entry.key for entry in node.entries}) < len(node.entries) and not self.camunda:
            return f"r.null({self.constant('the context has two entries with one key')})"
        parts: list[str] = []
        for entry in node.entries:
            name = self._local()
            inner = Scope({entry.key: name}, scope)
            recursive = isinstance(entry.value, ast.FunctionDefinition)
            value = self._expression(entry.value, inner if recursive else scope)
            parts.append(f"{self.constant(entry.key)}: ({name} := {value})")
            scope = inner
        return f"{{{', '.join(parts)}}}"

    def _range(self, node: ast.RangeLiteral, scope: Scope) -> str:
        low, high = node.low, node.high
        if isinstance(low, ast.Literal) and isinstance(high, ast.Literal):
            range_ = operations.make_range(
                Run(), low.value, high.value, node.low_included, node.high_included
            )
            if range_ is not None:
                return self.constant(range_)
        return (
            f"make_range(r, {self._expression(low, scope)}, {self._expression(high, scope)}, "
            f"{node.low_included}, {node.high_included})"
        )

    def _definition(self, node: ast.FunctionDefinition, scope: Scope) -> str:
        parameters = self.constant(tuple(Parameter(p.name, p.type) for p in node.parameters))
        if node.external:
            return f"external(r, {parameters}, {self._expression(node.body, scope)})"
        names = {parameter.name: self._local() for parameter in node.parameters}
        body = self._expression(node.body, Scope(names, scope))
        return f"Function({parameters}, lambda {', '.join(['r', *names.values()])}: {body})"

    # ---------------------------------------------------------------- tests

    def _in(self, value: Node, tests: Sequence[Node], scope: Scope) -> str:
        code = self._expression(value, scope)
        if _SIMPLE.fullmatch(code):
            return self._tested(code, tests, scope)
        name = self._local()
        return f"({self._tested(name, tests, scope)} if (({name} := {code}) is None or True) else None)"

    def _tested(self, name: str, tests: Sequence[Node], scope: Scope) -> str:
        if literals := _literals(tests):
            return self._one_of(name, literals)
        return self._any_of([self._test(test, name, scope) for test in tests])

    def _any_of(self, codes: Sequence[str]) -> str:
        """Return the code that is true if one of the codes is, and null if it may be."""
        if not codes:
            return "True"
        if len(codes) == 1:
            return codes[0]
        names = [self._local() for _ in codes]
        values = [f"({n} := {code}) is True" for n, code in zip(names, codes, strict=True)]
        known = " and ".join(f"{name} is False" for name in names)
        return f"(True if {' or '.join(values)} else False if {known} else None)"

    def _one_of(self, name: str, literals: Sequence[Value]) -> str:
        """Return the code of membership in literals of one kind."""
        kind = "str" if type(literals[0]) is str else "D"
        members = self.constant(frozenset(literals))
        return f"({name} in {members} if type({name}) is {kind} else holds(r, {name}, {self.constant(list(literals))}))"

    def _test(self, test: Node, value: str, scope: Scope, unary: bool = False) -> str:
        """Return the code of one test on the local `value`."""
        code = self._plain_test(test, value, scope, unary)
        return f"r.at({test.start}, {test.end}, {code})" if self.traced else code

    def _plain_test(self, test: Node, value: str, scope: Scope, unary: bool) -> str:
        match test:
            case ast.ComparisonTest(operator=operator, operand=operand):
                return self._compared(operator, value, operand, scope)
            case ast.Literal():
                return self._compared("=", value, test, scope)
            case ast.RangeLiteral(low=low, high=high) if _same_literals(low, high):
                return self._in_literal_range(test, value, scope)
            case ast.ListLiteral(items=items) if literals := _literals(items):
                return self._one_of(value, literals)
        wanted = self._expression(test, scope)
        if unary and ast.mentions_value(test):
            return f"answer(r, {value}, {wanted})"
        if unary and self.camunda:
            return f"answer_or_true(r, {value}, {wanted})"
        return f"holds(r, {value}, {wanted})"

    def _in_literal_range(self, node: ast.RangeLiteral, value: str, scope: Scope) -> str:
        assert isinstance(node.low, ast.Literal)
        low, high = self._expression(node.low, scope), self._expression(node.high, scope)
        range_ = self._range(node, scope)
        kind = "str" if type(node.low.value) is str else "D"
        first, last = "<=" if node.low_included else "<", "<=" if node.high_included else "<"
        return f"({low} {first} {value} {last} {high} if type({value}) is {kind} else in_range(r, {value}, {range_}))"

    def _local(self) -> str:
        self._locals += 1
        return f"_{self._locals - 1}"


_RESULTS: Final = re.compile(r"snapshot\(r, (_[0-9]+)\)")


def _is_number(node: Node) -> bool:
    return isinstance(node, ast.Literal) and type(node.value) is Decimal


def _literals(nodes: Sequence[Node]) -> list[Value]:
    """Return the values of two or more literals that are all strings or all numbers, else nothing."""
    values = [node.value for node in nodes if isinstance(node, ast.Literal)]
    if len(values) < 2 or len(values) < len(nodes) or len({type(v) for v in values}) > 1:
        return []
    return values if type(values[0]) in (str, Decimal) else []


def _same_literals(low: Node, high: Node) -> bool:
    return bool(_literals((low, high)))
