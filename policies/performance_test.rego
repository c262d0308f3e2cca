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
			{"op": "replace", "path": "/task/timeout_seconds", "value": 999999999},
			{"op": "replace", "path": "/settings/security/level", "value": level},
		])
	}
}

test_what_keeps_its_time_is_free if performance.allow with input as good
