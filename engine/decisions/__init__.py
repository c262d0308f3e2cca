"""DMN 1.1 to 1.5: read, evaluate, explain and analyse decisions. A library without side effects.

model = DecisionModel.load("decisions/retry_policy.dmn")
model.evaluate("retry_policy", {"failure_class": "timeout", "failure_count": 1, "tags": []})
model.explain("retry_policy", {...}).to_json()
analyse(model)
"""

from __future__ import annotations

from engine.decisions.analysis import analyse
from engine.decisions.evaluation import Decision, DecisionModel
from engine.decisions.explanation import DecisionRecord, Explanation, MatchedRule, Outcome
from engine.decisions.findings import Finding
from engine.decisions.plan import HitPolicyViolation

__all__ = [
    "Decision",
    "DecisionModel",
    "DecisionRecord",
    "Explanation",
    "Finding",
    "HitPolicyViolation",
    "MatchedRule",
    "Outcome",
    "analyse",
]
