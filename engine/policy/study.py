"""What a policy did: rules, lines and statements that its tests reach, and why a decision closed.

Both measure the policies on the embedded engine with a statement a line (`spread`); they decide nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from engine.core.model import Json, Ruling, Verdict
from engine.frozen import dataclass
from engine.policy import PolicySet, input_text
from engine.policy.embedded import Embedded, session_of, syntax_tree
from engine.policy.spread import Body, Spread, Statement, spread
from engine.policy.tree import module_of

_NO_DOCUMENT: Final = {"EVALUATION", "NO_PACKAGE_NAME", "TIMEOUT"}
#: sets whose rules find what denies: what stands in `findings` is denied unless a waiver takes it away
DENYING: Final = ("deny", "findings")
_NEVER: Final = " contains {} if false"  #: behind a name: a rule in place of one that is taken away, so that the set is there
_TESTS: Final = re.compile(r"^test_\w+", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class RuleCoverage:
    """One rule, or one `else` of it: where it begins (1-based), whether it ever held, statements never looked at."""

    name: str
    line: int
    column: int
    last: int
    reached: bool
    missed: tuple[Statement, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FileCoverage:
    """Lines of one policy of which all was reached, lines of which something was not, and its rules."""

    file: str
    covered: tuple[int, ...]
    missed: tuple[int, ...]
    rules: tuple[RuleCoverage, ...]

    @property
    def percent(self) -> int:
        """Whole percent of the lines that can be reached, rounded down."""
        total = len(self.covered) + len(self.missed)
        return 100 * len(self.covered) // total if total else 100


@dataclass(frozen=True, kw_only=True)
class Place:
    """A rule of a file (1-based): one that held, or, with `statement`, one that got no further than that."""

    file: str
    line: int
    column: int
    name: str
    statement: str = ""


@dataclass(frozen=True, kw_only=True)
class Denial:
    """One denial; it goes when any of the rules `by` is taken away. `because` stopped, and should have held."""

    code: str
    message: str
    path: str
    by: tuple[Place, ...]
    because: tuple[Place, ...]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a package decided as it did.

    The smallest set of denials whose removal opens the gateway is always all of `denials`, for one is enough to close
    it; when not even that opens it, `stopped` says how far each `allow` of the package gets then.
    """

    verdict: Verdict
    rules: tuple[Place, ...]  #: every rule that held, file by file
    denials: tuple[Denial, ...]
    stopped: tuple[Place, ...]


def coverage(modules: Mapping[str, str]) -> tuple[FileCoverage, ...]:
    """Return what the tests in `modules` (path → text) reach of the other files. Raises DefinitionError, RegoError."""
    tests = {path for path, text in modules.items() if _TESTS.search(text)}
    Embedded(modules, {})  # says what is wrong with them
    measured = _Measured(modules, [path for path in modules if path not in tests])
    for package in measured.packages(tests):
        measured.ask(package, "{}")
    return tuple(_file(path, *found) for path, found in sorted(measured.reached().items()))


def explain(modules: Mapping[str, str], package: str, input_: Json, now: datetime) -> Explanation:
    """Return why `package` answers as it does on `input_` at `now`. Raises DefinitionError."""
    verdict = PolicySet.load(modules).decide(package, input_, now)
    if any(reason.code in _NO_DOCUMENT for reason in verdict.reasons):
        return Explanation(verdict=verdict, rules=(), denials=(), stopped=())
    text = input_text(input_, now)
    measured = _Measured(modules, list(modules))
    measured.ask(package, text)
    held, stuck = measured.bodies()
    return Explanation(
        verdict=verdict,
        rules=tuple(_place(path, body) for path, body in held),
        denials=tuple(_denials(modules, package, text, held, stuck)),
        stopped=() if verdict.ruling is Ruling.PASS else _stopped(modules, package, text, held),
    )


def stops(modules: Mapping[str, str], path: str, package: str) -> dict[str, str]:
    """Return {rule of the file `path` that did not hold: how far it got} for an empty input. Raises RegoError."""
    measured = _Measured(modules, [path])
    measured.ask(package, "{}")
    return {
        body.name: f"stopped at line {part.line}: {part.text}"
        for _, body, part in reversed(measured.bodies()[1])
    }


# --- measuring ----------------------------------------------------------------------------------------

_Lines = tuple[
    Spread, set[int], set[int]
]  #: what was measured, lines of it that were reached, those that were not


class _Measured:
    """Policies of which the files `paths` are measured with a statement a line."""

    def __init__(self, modules: Mapping[str, str], paths: list[str]) -> None:
        found = [module_of(item) for item in syntax_tree(modules)]
        self._package = {module.file: module.package.removeprefix("data.") for module in found}
        self._spread = {module.file: spread(module) for module in found if module.file in paths}
        texts = {path: one.text for path, one in self._spread.items()}
        self._session = session_of({**modules, **texts}, measured=True)

    def packages(self, paths: set[str]) -> list[str]:
        return sorted({self._package[path] for path in paths})

    def ask(self, package: str, text: str) -> None:
        self._session.document(package, text)

    def reached(self) -> dict[str, _Lines]:
        """Return {path: what of it was reached by all questions so far}."""
        return {
            file["path"]: (
                self._spread[file["path"]],
                set(file["covered"]),
                set(file["not_covered"]),
            )
            for file in self._session.covered()["files"]
            if file["path"] in self._spread
        }

    def bodies(self) -> tuple[list[tuple[str, Body]], list[tuple[str, Body, Statement]]]:
        """Return the bodies that held, and those that were looked at in vain with the statement they got to."""
        held, stuck = [], []
        for path, (one, covered, _) in sorted(self.reached().items()):
            for body in one.bodies:
                seen = [part for part in body.statements if covered & set(part.at)]
                if body.held_at in covered:
                    held.append((path, body))
                elif seen:
                    stuck.append((path, body, seen[-1]))
        return held, stuck


def _file(path: str, one: Spread, covered: set[int], missed: set[int]) -> FileCoverage:
    reached_lines = {one.lines[line] for line in covered}
    missed_lines = {one.lines[line] for line in missed}
    return FileCoverage(
        file=path,
        covered=tuple(sorted(reached_lines - missed_lines)),
        missed=tuple(sorted(missed_lines)),
        rules=tuple(
            RuleCoverage(
                name=body.name,
                line=body.line,
                column=body.column,
                last=body.last,
                reached=body.held_at in covered,
                missed=tuple(
                    part
                    for part in body.statements
                    if missed & set(part.at) and not covered & set(part.at)
                ),
            )
            for body in one.bodies
        ),
    )


# --- explaining ---------------------------------------------------------------------------------------


def _denials(
    modules: Mapping[str, str],
    package: str,
    text: str,
    held: list[tuple[str, Body]],
    stuck: list[tuple[str, Body, Statement]],
) -> Iterator[Denial]:
    """Yield each denial with the rules without which it is not there."""
    rules = [one for one in held if _denies(one[1])]
    without = {one: _deny(_without(modules, [one]), package, text) for one in rules}
    for item in _deny(modules, package, text):
        by = [one for one in rules if item not in without[one]]
        by = [one for one in by if one[1].name != "deny"] or by  # it hands on what the others found
        awaited = {name.rpartition(".")[2] for _, body in by for name in body.negates}
        yield Denial(
            code=str(item.get("code", "")),
            message=str(item.get("msg", "")),
            path=str(item.get("path", "")),
            by=tuple(_place(path, body) for path, body in by),
            because=tuple(
                _place(path, body, part.text) for path, body, part in stuck if body.name in awaited
            ),
        )


def _stopped(
    modules: Mapping[str, str], package: str, text: str, held: list[tuple[str, Body]]
) -> tuple[Place, ...]:
    """Return how far each `allow` gets without any denial; nothing when one of them then holds."""
    left = _without(modules, [one for one in held if _denies(one[1])])
    measured = _Measured(left, list(left))
    measured.ask(package, text)
    own = {path for path in left if measured.packages({path}) == [package]}
    open_, stuck = measured.bodies()
    if any(body.name == "allow" and path in own for path, body in open_):
        return ()
    return tuple(
        _place(path, body, part.text)
        for path, body, part in stuck
        if body.name == "allow" and path in own
    )


def _denies(body: Body) -> bool:
    return body.name in DENYING and body.collects


def _without(modules: Mapping[str, str], rules: list[tuple[str, Body]]) -> dict[str, str]:
    """Return `modules` with `rules` taken away."""
    left = {path: text.encode() for path, text in modules.items()}
    for path, body in sorted(rules, key=lambda one: one[1].start, reverse=True):
        left[path] = (
            left[path][: body.start] + (body.name + _NEVER).encode() + left[path][body.end :]
        )
    return {path: text.decode() for path, text in left.items()}


def _deny(
    modules: Mapping[str, str], package: str, text: str
) -> list[dict[str, Any]]:  # Any: JSON of a policy
    document = session_of(modules).document(package, text)
    found = document.get("deny") if isinstance(document, dict) else None
    return [item for item in found or () if isinstance(item, dict)]


def _place(path: str, body: Body, statement: str = "") -> Place:
    return Place(file=path, line=body.line, column=body.column, name=body.name, statement=statement)
