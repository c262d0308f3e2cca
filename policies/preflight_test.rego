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

test_an_empty_input_is_denied if preflight.allow == false with input as {}

test_an_empty_plan_is_denied if codes(object.union(good, {"waves": []})) == {"EMPTY_PLAN"}

test_an_empty_plan_may_start_when_all_of_it_is_merged if {
	merged := {"plan": {"task_count": 0, "widest": 0, "approved": null, "merged_before": 2}, "waves": []}
	preflight.allow with input as object.union(good, merged)
}

test_what_is_no_number_is_no_count_of_merged_tasks if {
	merged := {"plan": {"merged_before": "2"}, "waves": []}
	"EMPTY_PLAN" in codes(object.union(good, merged))
}

test_a_task_without_verification_is_denied if {
	codes(object.union(good, {"waves": [{"number": 1, "tasks": [{"id": "a"}]}]})) == {"NO_VERIFICATION"}
}

needing(need) := object.union(good, {"plan": {"plugins": [need]}})

test_a_plugin_that_is_needed_works if {
	preflight.allow with input as needing({"plugin": "quality-gate", "for": "tool ruff", "problem": ""})
	every need in [{"plugin": "quality-gate", "for": "gate lint", "problem": "it is not installed"}, {"plugin": "x"}, {}] {
		codes(needing(need)) == {"PLUGIN_BROKEN"}
	}
}

sized(minutes) := object.union(good, {
	"waves": [{"number": 1, "tasks": [object.union(task, {"estimate_minutes": minutes})]}],
	"settings": {"task_minutes": {"min": 5, "max": 30}},
})

test_a_task_has_a_size if {
	every minutes in [5, 17, 30, null] {
		preflight.allow with input as sized(minutes)
	}
	every minutes in [0, 4, 31, "5"] {
		codes(sized(minutes)) == {"TASK_SIZE"}
	}
}

test_strict_projects_need_approval_and_a_gate if {
	strict := object.union(good, {"settings": {"security": {"level": "strict"}, "gates": []}})
	codes(strict) == {"NOT_APPROVED", "NO_GATES", "NETWORK_UNDECIDED"}
}

test_what_is_no_list_is_a_missing_fact if {
	every input_ in [object.union(good, {"waves": null}), object.union(good, {"waves": [{"number": 1, "tasks": null}]}), object.union(good, {"settings": {"gates": null}})] {
		"MISSING_FACT" in codes(input_)
	}
}

test_a_strict_project_that_says_all_may_start if {
	gates := [{"name": "tests", "stage": "pre_merge", "enforcement": "block"}]
	preflight.allow with input as object.union(good, {
		"plan": {"approved": true},
		"settings": {"security": {"level": "strict", "network": "host"}, "gates": gates},
	})
}

test_an_approval_may_be_waived if {
	waiver := {
		"id": "W-1",
		"scope": {"code": "NOT_APPROVED", "feature": "shop", "task": null, "path": null},
		"expires": "2026-01-03T00:00:00Z",
		"request": {"by": "alice", "key": "1", "at": "2026-01-01T00:00:00Z"},
		"approval": {"by": "bob", "key": "2", "at": "2026-01-01T00:00:00Z"},
	}
	gates := [{"name": "tests", "stage": "pre_merge", "enforcement": "block"}]
	asked := object.union(good, {
		"settings": {"security": {"level": "strict", "network": "host"}, "gates": gates},
		"now": "2026-01-02T00:00:00Z",
		"waivers": [waiver],
	})
	preflight.allow with input as asked
	said := preflight.waived with input as asked
	{reason.code | some reason in said} == {"NOT_APPROVED"}
}

test_every_missing_fact_is_named if {
	every name in ["feature", "plan", "waves", "settings"] {
		said := {reason.msg | some reason in preflight.deny} with input as object.remove(good, [name])
		sprintf("the plan says nothing about %s", [name]) in said
	}
}

test_waves_are_a_list if {
	said := {reason.msg | some reason in preflight.deny} with input as json.patch(good, [{"op": "replace", "path": "/waves", "value": {"1": {"tasks": [task]}}}])
	"the tasks of the waves are no lists" in said
}

test_waves_without_tasks_are_an_empty_plan if codes(object.union(good, {"waves": [{"number": 1, "tasks": []}]})) == {"EMPTY_PLAN"}

test_nothing_merged_before_leaves_the_plan_empty if {
	codes(object.union(good, {"plan": {"merged_before": 0}, "waves": []})) == {"EMPTY_PLAN"}
}
