package performance_test

import data.performance

good := {
	"task": {"timeout_seconds": 60, "verification": {"timeout_seconds": 60}},
	"gates": {"results": [{"name": "tests", "tier": "L1", "milliseconds": 1000}]},
	"settings": {"security": {"level": "strict"}},
}

change(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

codes(input_) := {reason.code | some reason in performance.deny with input as input_}

test_an_empty_input_is_denied if {
	performance.allow == false with input as {}
	codes({}) == {"MISSING_FACT"}
}

test_limits_that_are_not_said_close if {
	every name in ["enforced_at", "task_timeout_s", "verification_timeout_s", "gate_ms"] {
		"MISSING_FACT" in codes(good) with data.performance.limits as object.remove(data.performance.limits, [name])
		wrong := [reason | some reason in performance.deny; reason.path == "/settings/security/level"] with input as good
			with data.performance.limits as object.union(data.performance.limits, {name: "long"})
		count(wrong) == 1
	}
}

test_a_task_that_wants_too_much_time_is_denied if {
	codes(change("/task/timeout_seconds", data.performance.limits.task_timeout_s + 1)) == {"TIMEOUT_TOO_LONG"}
	codes(change("/task/verification/timeout_seconds", data.performance.limits.verification_timeout_s + 1)) == {"TIMEOUT_TOO_LONG"}
}

test_exactly_the_limit_is_free if {
	codes(change("/task/timeout_seconds", data.performance.limits.task_timeout_s)) == set()
	codes(change("/task/verification/timeout_seconds", data.performance.limits.verification_timeout_s)) == set()
	codes(change("/gates/results/0/milliseconds", data.performance.limits.gate_ms.L1)) == set()
}

test_a_slow_gate_is_denied if codes(change("/gates/results/0/milliseconds", data.performance.limits.gate_ms.L1 + 1)) == {"SLOW_GATE"}

test_a_gate_whose_time_is_not_known_is_denied if {
	codes(change("/gates/results/0", {"name": "tests", "tier": "L1"})) == {"MISSING_FACT"}
	codes(change("/gates/results/0/tier", "L9")) == {"MISSING_FACT"}
}

test_other_levels_are_not_held_to_it if {
	every level in ["minimal", "standard"] {
		performance.allow with input as json.patch(good, [
			{"op": "replace", "path": "/gates/results/0/milliseconds", "value": 999999999},
			{"op": "add", "path": "/gates/results/1", "value": {"name": "lint", "tier": "L9"}},
			{"op": "replace", "path": "/task/timeout_seconds", "value": 999999999},
			{"op": "replace", "path": "/task/verification/timeout_seconds", "value": 999999999},
			{"op": "replace", "path": "/settings/security/level", "value": level},
		])
	}
}

test_what_keeps_its_time_is_free if performance.allow with input as good

test_what_is_no_number_asks_for_no_time if {
	codes(change("/task/timeout_seconds", "99999999")) == set()
	codes(change("/task/verification/timeout_seconds", "99999999")) == set()
}

test_a_waived_finding_is_said if {
	waiver := {
		"id": "W-1",
		"scope": {"code": "SLOW_GATE", "feature": "shop", "task": null, "path": null},
		"expires": "2026-01-08T00:00:00Z",
		"request": {"by": "alice", "key": "1", "at": "2026-01-01T00:00:00Z"},
		"approval": {"by": "bob", "key": "2", "at": "2026-01-01T00:00:00Z"},
	}
	asked := object.union(change("/gates/results/0/milliseconds", 99999999), {"feature": "shop", "now": "2026-01-02T00:00:00Z", "waivers": [waiver]})
	performance.allow with input as asked
	said := performance.waived with input as asked
	{[reason.code, reason.waiver] | some reason in said} == {["SLOW_GATE", "W-1"]}
}
