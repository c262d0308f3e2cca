"""Rules about a decision and the gateway after it: a value without a flow, a flow without a value. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from engine.bpmn.lint import reading
from engine.bpmn.lint.graph import Graph
from engine.bpmn.lint.rule import Case, Found, Outputs
from engine.bpmn.model import BusinessRuleTask, ExclusiveGateway, SequenceFlow

__all__ = ["asks_a_table", "flow_without_value", "value_without_flow"]


def value_without_flow(case: Case) -> Iterator[Found]:
    """A table can answer a value that no flow of the gateway after it asks for."""
    for task, gate, flows, texts in _asked(case):
        asked = frozenset().union(*(wanted for _, wanted in flows))
        open_ends = len(gate.outgoing) - len(flows)
        unasked = sorted(texts - asked)
        if unasked and open_ends == 0:
            yield Found(
                gate,
                f"decision {task.decision.decision_id.text} ({task.label}) can answer {_listed(unasked)}, "
                "for which no flow leaves",
                "Draw a flow for it, or make one flow the default.",
            )


def flow_without_value(case: Case) -> Iterator[Found]:
    """A flow asks for a value that the table before it never answers: often a typing error."""
    for task, _, flows, texts in _asked(case):
        for flow, wanted in flows:
            if not wanted & texts:
                yield Found(
                    flow,
                    f"asks for {_listed(sorted(wanted))}, which decision {task.decision.decision_id.text} "
                    f"({task.label}) never answers, so it is never taken",
                    f"The table answers {_listed(sorted(texts))}.",
                )


def asks_a_table(case: Case, gate: ExclusiveGateway) -> bool:
    """Whether every flow of `gate` asks for a value of the table before it: `value_without_flow` judges it."""
    return any(
        asking is gate and len(flows) == len(gate.outgoing) for _, asking, flows, _ in _asked(case)
    )


def _asked(
    case: Case,
) -> Iterator[
    tuple[
        BusinessRuleTask,
        ExclusiveGateway,
        list[tuple[SequenceFlow, frozenset[str]]],
        frozenset[str],
    ]
]:
    """Yield (task, gateway after it, flows with the texts they ask for, texts that the table can answer)."""
    for graph in case.graphs:
        for task in graph.scope.nodes.values():
            if not isinstance(task, BusinessRuleTask) or task.loop is not None:
                continue
            outputs = case.surroundings.decisions.get(task.decision.decision_id.text)
            for id_ in graph.after[task.id] if outputs else ():
                gate = graph.node(id_)
                if isinstance(gate, ExclusiveGateway) and len(gate.incoming) == 1 and outputs:
                    yield from _by_path(graph, task, gate, outputs)


def _by_path(
    graph: Graph, task: BusinessRuleTask, gate: ExclusiveGateway, outputs: Outputs
) -> Iterator[
    tuple[
        BusinessRuleTask,
        ExclusiveGateway,
        list[tuple[SequenceFlow, frozenset[str]]],
        frozenset[str],
    ]
]:
    paths: dict[str, list[tuple[SequenceFlow, frozenset[str]]]] = {}
    for id_ in gate.outgoing:
        flow = graph.scope.flows[id_]
        compared = reading.compared_texts(flow.condition.text) if flow.condition else None
        for path, texts in (compared or {}).items():
            paths.setdefault(path, []).append((flow, texts))
    for output, texts in outputs.texts.items():
        for path in _names(task, output):
            if path in paths:
                yield task, gate, paths[path], texts


def _names(task: BusinessRuleTask, output: str) -> Iterator[str]:
    """Yield what an output of the decision is called after the task."""
    result = task.decision.result_variable
    inner = f"{result}.{output}" if output else result
    if not task.outputs:
        yield inner
    for mapping in task.outputs:
        if mapping.source.text == inner:
            yield mapping.target
        elif mapping.source.text == result and output:
            yield f"{mapping.target}.{output}"


def _listed(texts: list[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
