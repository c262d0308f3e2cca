"""What differs between two versions of processes, in words, and what that means for a run. Pure.

Invariants
- Equal digests give no change; different digests give at least one, whatever the difference is.
- Layout, line numbers, order in the file and documentation of elements are not looked at: they mean nothing.
- A sequence flow is the same one when its ends are the same: modellers give new ids when a flow is drawn again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from engine.bpmn.diff.change import Change, Weight
from engine.bpmn.diff.consequences import consequences, merging
from engine.bpmn.diff.elements import element_changes
from engine.bpmn.diff.flows import flow_changes
from engine.bpmn.digest import process_digest
from engine.bpmn.model import Process

__all__ = ["Change", "Weight", "differences"]

_ORDER = ("gate", "behaviour", "wording")


def differences(before: Iterable[Process], after: Iterable[Process]) -> list[Change]:
    """Return the changes from `before` to `after`, process by process, what touches a gate or a merge first."""
    old = {process.id: process for process in before}
    new = {process.id: process for process in after}
    found = [*_renamed(old, new)]
    if found:
        old = {
            id_: replace(process, id=id_) for id_, process in zip(new, old.values(), strict=True)
        }
    found += _processes(old, new)
    for id_ in [id_ for id_ in old if id_ in new]:
        found += _process(old[id_], new[id_], old, new)
    return sorted(found, key=lambda change: (change.process, _ORDER.index(change.weight)))


def _renamed(old: Mapping[str, Process], new: Mapping[str, Process]) -> Iterator[Change]:
    """Yield one change when both versions are a single process under two names."""
    if len(old) == len(new) == 1 and old.keys() != new.keys():
        (was,), (now,) = old, new
        yield Change(
            process=now,
            element="",
            weight="behaviour",
            message=f"process {now}: this is its id now, it was {was}",
            means="What starts or calls it by the old id does not find it.",
        )


def _processes(old: Mapping[str, Process], new: Mapping[str, Process]) -> Iterator[Change]:
    for id_ in [id_ for id_ in old if id_ not in new]:
        merged = merging(old)
        yield Change(
            process=id_,
            element="",
            weight="gate" if id_ in merged else "behaviour",
            message=f"process {id_} is gone",
            means="Nothing can start or call it any more.",
        )
    for id_ in [id_ for id_ in new if id_ not in old]:
        yield Change(
            process=id_,
            element="",
            weight="gate" if id_ in merging(new) else "behaviour",
            message=f"process {id_} is new",
            means="It merges, or calls what merges." if id_ in merging(new) else "",
        )


def _process(
    old: Process, new: Process, before: Mapping[str, Process], after: Mapping[str, Process]
) -> list[Change]:
    is_same = process_digest(old) == process_digest(new)
    if is_same and merging(before) == merging(after):
        return []
    found = [
        *consequences(old, new, merging(before), merging(after)),
        *element_changes(old, new),
        *flow_changes(old, new),
    ]
    if not found and not is_same:
        found.append(
            Change(
                process=new.id,
                element="",
                weight="wording",
                message="ids of flows, or the order in which an element lists its flows, are others",
                means="No choice depends on them.",
            )
        )
    return found
