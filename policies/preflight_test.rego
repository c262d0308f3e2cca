package preflight_test

import data.preflight

task := {"id": "a", "verification": {"command": "true"}}

good := {
	"feature": "shop",
	"plan": {"task_count": 1, "widest": 1, "approved": null},
	"waves": [{"number": 1, "tasks": [task]}],
	"settings": {"security": {"level": "standard"}, "gates": []},
}

codes(input_) := {reason.code | some reason in preflight.deny with input as input_}

test_a_plan_with_verified_tasks_may_start if preflight.allow with input as good

test_an_empty_input_is_denied if not preflight.allow with input as {}

test_an_empty_plan_is_denied if codes(object.union(good, {"waves": []})) == {"EMPTY_PLAN"}

test_a_task_without_verification_is_denied if {
	codes(object.union(good, {"waves": [{"number": 1, "tasks": [{"id": "a"}]}]})) == {"NO_VERIFICATION"}
}

test_strict_projects_need_approval_and_a_gate if {
	strict := object.union(good, {"settings": {"security": {"level": "strict"}, "gates": []}})
	codes(strict) == {"NOT_APPROVED", "NO_GATES"}
}
