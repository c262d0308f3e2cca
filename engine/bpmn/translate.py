"""Expressions of other dialects to FEEL, where the meaning is the same beyond doubt.

`from_juel` takes what stands inside `${…}` of a Camunda 7 file, `from_python` what SpiffWorkflow files hold. Both
return None for anything that is not plainly comparison, logic, arithmetic, names and literals: method calls,
beans, functions, comprehensions. A refused text is a finding; a wrong guess would be a wrong run.

>>> from_juel("amount > 100 && !approved")
'amount > 100 and not(approved)'
>>> from_juel("order.total()") is None
True
>>> from_python("count == 3 and data['state'] != 'done'")
'count = 3 and data.state != "done"'
"""

from __future__ import annotations

import ast
import json
import re
from typing import Final

__all__ = ["feel_string", "from_juel", "from_juel_text", "from_python"]

_JUEL_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<number>\d+(?:\.\d+)?)
      | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
      | (?P<sign>==|!=|<=|>=|&&|\|\||[-+*/()<>!?:])
    )""",
    re.VERBOSE,
)
_JUEL_SIGNS: Final = {"==": "=", "&&": "and", "||": "or"}
_JUEL_WORDS: Final = {
    "eq": "=",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "and": "and",
    "or": "or",
    "div": "/",
    "true": "true",
    "false": "false",
    "null": "null",
    "nrOfInstances": "numberOfInstances",
    "nrOfActiveInstances": "numberOfActiveInstances",
    "nrOfCompletedInstances": "numberOfCompletedInstances",
}
_UNCLEAR: Final = frozenset({"empty", "mod", "instanceof", "not", "execution"})
_LONGEST: Final = 2_000  #: characters of an expression that is worth translating


def feel_string(text: str) -> str:
    """Return the FEEL literal of a text."""
    return json.dumps(text, ensure_ascii=False)


def from_juel_text(text: str) -> str | None:
    """Return FEEL for a Camunda 7 text that may mix words with `${…}`, or None when that is unclear."""
    parts = re.split(r"[$#]\{([^{}]*)\}", text)
    if "${" in "".join(parts[::2]) or "#{" in "".join(parts[::2]):
        return None
    if len(parts) == 3 and not parts[0] and not parts[2]:
        return from_juel(parts[1])
    pieces = []
    for index, part in enumerate(parts):
        translated = feel_string(part) if index % 2 == 0 else from_juel(part)
        if translated is None:
            return None
        if part:
            pieces.append(translated if index % 2 == 0 else f"string({translated})")
    return " + ".join(pieces) or '""'


def from_juel(text: str) -> str | None:
    """Return FEEL for the inside of one `${…}`, or None when the meaning is not plain."""
    tokens = _juel_tokens(text) if len(text) <= _LONGEST else None
    if not tokens:
        return None
    try:
        words, rest = _juel_choice(tokens)
    except (IndexError, ValueError, RecursionError):
        return None
    return None if rest else words


def _juel_tokens(text: str) -> list[tuple[str, str]] | None:
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        found = _JUEL_TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            return None
        kind, value = found.lastgroup, found.group(found.lastgroup)
        if kind == "name" and value in _UNCLEAR:
            return None
        tokens.append((kind, value))
        position = found.end()
    return tokens


Tokens = list[tuple[str, str]]


def _juel_choice(tokens: Tokens) -> tuple[str, Tokens]:
    """`a ? b : c`, or a plain operand chain."""
    condition, rest = _juel_chain(tokens)
    if not rest or rest[0][1] != "?":
        return condition, rest
    then, rest = _juel_choice(rest[1:])
    if rest[0][1] != ":":
        raise ValueError
    otherwise, rest = _juel_choice(rest[1:])
    return f"if {condition} then {then} else {otherwise}", rest


def _juel_chain(tokens: Tokens) -> tuple[str, Tokens]:
    """Operands and operators in their order: JUEL and FEEL rank these operators alike."""
    words, rest = _juel_operand(tokens)
    compared = False
    while rest and rest[0][1] not in {")", "?", ":"}:
        sign = _JUEL_SIGNS.get(rest[0][1], _JUEL_WORDS.get(rest[0][1], rest[0][1]))
        if sign in {"=", "!=", "<", "<=", ">", ">="}:
            if compared:
                raise ValueError  # a chain of comparisons reads differently in the two languages
            compared = True
        elif sign in {"and", "or"}:
            compared = False
        elif sign not in {"+", "-", "*", "/"}:
            raise ValueError
        operand, rest = _juel_operand(rest[1:])
        words = f"{words} {sign} {operand}"
    return words, rest


def _juel_operand(tokens: Tokens) -> tuple[str, Tokens]:
    (kind, value), rest = tokens[0], tokens[1:]
    if kind == "number":
        return value, rest
    if kind == "text":
        return feel_string(re.sub(r"\\(.)", r"\1", value[1:-1])), rest
    if kind == "name":
        if value in _JUEL_WORDS and not _JUEL_WORDS[value][0].isalpha():
            raise ValueError
        if rest and rest[0][1] == "(":
            raise ValueError  # a method call
        return _JUEL_WORDS.get(value, value), rest
    if value == "!":
        operand, rest = _juel_operand(rest)
        return f"not({operand})", rest
    if value == "-":
        operand, rest = _juel_operand(rest)
        return f"-{operand}", rest
    if value == "(":
        inner, rest = _juel_choice(rest)
        if rest[0][1] != ")":
            raise ValueError
        return f"({inner})", rest[1:]
    raise ValueError


_COMPARE: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "=",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_ARITHMETIC: Final[dict[type[ast.operator], str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}


def from_python(text: str) -> str | None:
    """Return FEEL for a Python expression, or None when it is not trivially the same."""
    if len(text) > _LONGEST:
        return None
    try:
        return _python(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _python(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=value):
            return _python_constant(value)
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=owner, attr=name):
            return f"{_python(owner)}.{name}"
        case ast.Subscript(value=owner, slice=ast.Constant(value=str(key))) if key.isidentifier():
            return f"{_python(owner)}.{key}"
        case ast.List(elts=items):
            return f"[{', '.join(_python(item) for item in items)}]"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return f"not({_python(operand)})"
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"-{_python_part(operand)}"
        case ast.BoolOp(op=operator, values=values):
            word = " and " if isinstance(operator, ast.And) else " or "
            return word.join(_python_part(value) for value in values)
        case ast.BinOp(left=left, op=arithmetic, right=right) if type(arithmetic) in _ARITHMETIC:
            sign = _ARITHMETIC[type(arithmetic)]
            return f"{_python_part(left)} {sign} {_python_part(right)}"
        case ast.Compare(left=left, ops=[sign], comparators=[right]) if type(sign) in _COMPARE:
            return f"{_python_part(left)} {_COMPARE[type(sign)]} {_python_part(right)}"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return f"if {_python(test)} then {_python(body)} else {_python(orelse)}"
    raise ValueError


def _python_part(node: ast.expr) -> str:
    """Return an operand; what binds more loosely than its operator keeps its brackets."""
    words = _python(node)
    loose = isinstance(node, ast.BoolOp | ast.BinOp | ast.IfExp)
    return f"({words})" if loose else words


def _python_constant(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return feel_string(value)
    if isinstance(value, int | float):
        return repr(value)
    raise ValueError
