"""Circuit breaker: from a tool's history of results, propose whether to call it again. The core acts.

Closed: calls go through, and `failures` failures in a row within `window_s` open it. Open: nothing goes through for
`cooldown_s`; results that come late change nothing. Half open: probes go through; `probes` successes close it, one
failure opens it again. Time comes with the input: the same input always gives the same proposal.
"""

import json
import sys
from datetime import datetime, timedelta

RULE = {"failures": 5, "window_s": 3600, "cooldown_s": 600, "probes": 1}


class Refused(Exception):
    """The call cannot be carried out: reason code and sentence."""


def propose(given):
    rule = {**RULE, **given.get("rule", {})}
    now = moment(given["now"])
    history = sorted(
        ((moment(result["at"]), result["result"]) for result in given["history"]),
        key=lambda r: r[0],
    )
    if history and history[-1][0] > now:
        raise Refused(
            "FROM_THE_FUTURE", f"expected results up to {given['now']}, but one is later."
        )
    state = Breaker(rule)
    for at, result in history:
        state.take(at, result == "ok")
    return state.proposal(now)


class Breaker:
    """The state after the results taken so far."""

    def __init__(self, rule):
        self.rule = rule
        self.opened_at = None  # None: closed
        self.failed_at = []  # failures in a row
        self.successes = 0  # probes that went well since it may be half open

    def take(self, at, is_ok):
        if self.opened_at is None:
            self.count(at, is_ok)
        elif at >= self.retry_at():
            self.probe(at, is_ok)

    def count(self, at, is_ok):
        earliest = at - timedelta(seconds=self.rule["window_s"])
        self.failed_at = [] if is_ok else [t for t in self.failed_at if t >= earliest] + [at]
        if len(self.failed_at) >= self.rule["failures"]:
            self.open(at)

    def probe(self, at, is_ok):
        self.successes += is_ok
        if not is_ok:
            self.open(at)
        elif self.successes >= self.rule["probes"]:
            self.opened_at, self.failed_at, self.successes = None, [], 0

    def open(self, at):
        self.opened_at, self.successes = at, 0

    def retry_at(self):
        return self.opened_at + timedelta(seconds=self.rule["cooldown_s"])

    def proposal(self, now):
        if self.opened_at is None:
            reason = f"{len(self.failed_at)} failures in a row, fewer than {self.rule['failures']}."
            return self.answer("closed", "allow", reason)
        if now >= self.retry_at():
            reason = f"the pause of {self.rule['cooldown_s']} s is over: one probe may go through."
            return self.answer("half_open", "probe", reason)
        return self.answer(
            "open", "deny", f"{self.rule['failures']} failures in a row, or a failed probe."
        )

    def answer(self, state, action, reason):
        return {
            "state": state,
            "proposal": action,
            "failures": len(self.failed_at),
            "opened_at": self.opened_at and self.opened_at.isoformat(),
            "retry_at": self.opened_at and self.retry_at().isoformat(),
            "reason": reason,
        }


def moment(text):
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(
            "NOT_A_TIME", f"expected a time such as 2024-01-01T12:00:00Z, but got {text}."
        ) from error
    if at.tzinfo is None:
        raise Refused("NOT_A_TIME", f"expected a time with its zone, but got {text}.")
    return at


def main():
    request = json.load(sys.stdin)
    try:
        answer = {"result": "ok", "output": propose(request["input"])}
    except Refused as refused:
        code, reason = refused.args
        answer = {"result": "failed", "reason_code": code, "reason": reason}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
