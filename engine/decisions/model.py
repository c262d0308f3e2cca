"""A DMN file as one immutable value: what is written, with ids and source lines, nothing evaluated.

The words are those of the standard (DMN 1.5, sections 6 to 10). FEEL stays text here; `engine.feel` reads it later.
Every element carries the line it stands on, so that an error can say `file:line` and name the element.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

from engine.frozen import dataclass

Dialect = Literal["dmn", "camunda"]


class HitPolicy(Enum):
    """What a table answers when several rules match; the values are those of the XML attribute."""

    UNIQUE = "UNIQUE"
    FIRST = "FIRST"
    PRIORITY = "PRIORITY"
    ANY = "ANY"
    COLLECT = "COLLECT"
    RULE_ORDER = "RULE ORDER"
    OUTPUT_ORDER = "OUTPUT ORDER"

    @property
    def is_single(self) -> bool:
        """Whether the table answers one rule's output rather than a list."""
        return self not in (HitPolicy.COLLECT, HitPolicy.RULE_ORDER, HitPolicy.OUTPUT_ORDER)


class Aggregator(Enum):
    """How a COLLECT table folds its outputs into one number."""

    SUM = "SUM"
    COUNT = "COUNT"
    MIN = "MIN"
    MAX = "MAX"


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A piece of FEEL as written."""

    text: str  #: stripped; may be empty
    id: str = ""  #: element id, empty when the file gives none
    line: int = 0  #: source line of the element


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """An information item: a name and a type."""

    name: str
    type_ref: str = ""  #: empty means Any
    id: str = ""
    line: int = 0


# --- boxed expressions ------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Boxed:
    """What all boxed expressions share."""

    id: str = ""
    line: int = 0
    type_ref: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LiteralExpression(Boxed):
    """One FEEL expression."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextEntry:
    """One row of a boxed context; without a variable it is the result."""

    variable: Variable | None
    value: Expression


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxedContext(Boxed):
    """Named expressions evaluated from top to bottom, each seeing those above."""

    entries: tuple[ContextEntry, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxedList(Boxed):
    """A list of expressions."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation(Boxed):
    """A list of contexts written as a grid."""

    columns: tuple[Variable, ...]
    rows: tuple[tuple[Expression, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionDefinition(Boxed):
    """A boxed function; `kind` is FEEL, Java or PMML."""

    parameters: tuple[Variable, ...]
    body: Expression | None
    kind: str = "FEEL"


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """One named argument of an invocation."""

    parameter: str
    value: Expression | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation(Boxed):
    """A call of a function by name with named arguments."""

    function: Expression
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditional(Boxed):
    """Boxed if, then, else."""

    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxedFor(Boxed):
    """Boxed for: one value for each item of a list."""

    iterator: str
    source: Expression
    body: Expression
    iterator_type: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantified(Boxed):
    """Boxed some (`every` is False) or every."""

    every: bool
    iterator: str
    source: Expression
    satisfies: Expression
    iterator_type: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxedFilter(Boxed):
    """Boxed filter: the items of a list that match."""

    source: Expression
    match: Expression


# --- decision tables --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class InputClause:
    """One input column."""

    id: str
    line: int
    label: str
    expression: Text
    type_ref: str = ""
    values: Text | None = None  #: allowed values as unary tests


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputClause:
    """One output column."""

    id: str
    line: int
    name: str  #: empty is allowed when there is one column
    label: str = ""
    type_ref: str = ""
    values: Text | None = None  #: allowed values in order of priority, highest first
    default: Text | None = None  #: answer when no rule matches


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One row; as many inputs and outputs as the table has columns."""

    id: str
    row: int  #: counted from 1
    line: int
    inputs: tuple[Text, ...]
    outputs: tuple[Text, ...]
    annotations: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionTable(Boxed):
    """A decision table."""

    hit_policy: HitPolicy
    aggregator: Aggregator | None
    inputs: tuple[InputClause, ...]
    outputs: tuple[OutputClause, ...]
    rules: tuple[Rule, ...]
    annotation_names: tuple[str, ...] = ()
    output_label: str = ""


Expression = (
    LiteralExpression
    | BoxedContext
    | BoxedList
    | Relation
    | FunctionDefinition
    | Invocation
    | Conditional
    | BoxedFor
    | Quantified
    | BoxedFilter
    | DecisionTable
)

# --- the requirement graph --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A requirement: points to an element of this or an imported file."""

    namespace: str  #: empty means this file
    id: str
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemDefinition:
    """A named type, or a component of one."""

    name: str
    id: str = ""
    line: int = 0
    type_ref: str = ""
    is_collection: bool = False
    allowed_values: Text | None = (
        None  #: constraint on the value itself, or on each item of a collection
    )
    type_constraint: Text | None = (
        None  #: constraint on the whole value, collection included (DMN 1.5)
    )
    components: tuple[ItemDefinition, ...] = ()
    function: FunctionType | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionType:
    """Signature of a function-valued item definition."""

    parameters: tuple[Variable, ...]
    result: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputElement:
    """An input data element."""

    id: str
    name: str
    line: int
    variable: Variable


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionElement:
    """A decision: a question, what it needs, and the logic that answers it."""

    id: str
    name: str
    line: int
    variable: Variable
    logic: Expression | None  #: None: the answer must be given as an input
    requires_inputs: tuple[Reference, ...] = ()
    requires_decisions: tuple[Reference, ...] = ()
    requires_knowledge: tuple[Reference, ...] = ()
    question: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnowledgeModel:
    """A business knowledge model: a function that decisions may call."""

    id: str
    name: str
    line: int
    variable: Variable
    function: FunctionDefinition | None
    requires_knowledge: tuple[Reference, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceElement:
    """A decision service: some decisions offered as one function."""

    id: str
    name: str
    line: int
    variable: Variable
    outputs: tuple[Reference, ...]
    encapsulated: tuple[Reference, ...] = ()
    input_decisions: tuple[Reference, ...] = ()
    input_data: tuple[Reference, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """Another file whose names are reached as `name.…`."""

    name: str
    namespace: str
    line: int
    kind: str = ""  #: import type; empty or a DMN namespace for models
    location: str = ""


Element = InputElement | DecisionElement | KnowledgeModel | ServiceElement


@dataclass(frozen=True, kw_only=True, slots=True)
class Definitions:
    """One DMN file."""

    source: str  #: file name for messages
    id: str
    name: str
    namespace: str
    version: str  #: "1.1" … "1.5"
    dialect: Dialect
    items: tuple[ItemDefinition, ...] = ()
    inputs: tuple[InputElement, ...] = ()
    decisions: tuple[DecisionElement, ...] = ()
    knowledge: tuple[KnowledgeModel, ...] = ()
    services: tuple[ServiceElement, ...] = ()
    imports: tuple[Import, ...] = ()

    def elements(self) -> tuple[Element, ...]:
        """Return all elements of the requirement graph, in file order by kind."""
        return (*self.inputs, *self.decisions, *self.knowledge, *self.services)

    def at(self, line: int, id: str = "") -> str:
        """Return `file:line (element id)` for messages."""
        return f"{self.source}:{line}" + (f" ({id})" if id else "")
