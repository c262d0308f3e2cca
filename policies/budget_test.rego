package budget_test

import data.budget

good := {
	"spent": {"tokens": 5, "cost_micros": 9, "task_tokens": 5},
	"settings": {"budgets": {"mode": "block", "cost_micros_per_run": 10, "tokens_per_task": 6}},
	"task": {"budget": null},
}

change(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

codes(input_) := {reason.code | some reason in budget.deny with input as input_}

test_an_empty_input_is_denied if {
	budget.allow == false with input as {}
	codes({}) == {"MISSING_FACT"}
}

test_what_was_spent_must_be_known if {
	every path in ["/spent/tokens", "/spent/cost_micros"] {
		"MISSING_FACT" in codes(change(path, "much"))
	}
}

test_what_a_budget_does_must_be_known if codes(change("/settings/budgets/mode", "maybe")) == {"MISSING_FACT"}

test_a_run_over_its_budget_is_denied if codes(change("/spent/cost_micros", 11)) == {"RUN_BUDGET"}

test_a_worker_is_not_started_when_nothing_is_left if {
	codes(object.union(change("/spent/cost_micros", 10), {"attempt": 1})) == {"RUN_BUDGET"}
	codes(object.union(change("/spent/task_tokens", 6), {"attempt": 1})) == {"TASK_BUDGET"}
}

test_a_task_over_its_budget_is_denied if codes(change("/spent/task_tokens", 7)) == {"TASK_BUDGET"}

test_the_tasks_own_budget_wins if {
	codes(change("/task/budget", {"tokens": 4})) == {"TASK_BUDGET"}
	codes(json.patch(good, [
		{"op": "replace", "path": "/task/budget", "value": {"tokens": 9}},
		{"op": "replace", "path": "/spent/task_tokens", "value": 8},
	])) == set()
}

test_what_was_done_for_exactly_the_budget_counts if budget.allow with input as change("/spent/cost_micros", 10)

test_a_budget_that_warns_does_not_close if {
	budget.allow with input as json.patch(good, [
		{"op": "replace", "path": "/spent/cost_micros", "value": 99},
		{"op": "replace", "path": "/spent/task_tokens", "value": 99},
		{"op": "replace", "path": "/settings/budgets/mode", "value": "warn"},
	])
}

test_without_limits_nothing_is_used_up if {
	budget.allow with input as object.union(good, {"settings": {"budgets": {"mode": "block", "cost_micros_per_run": null, "tokens_per_task": null}}})
}

test_within_its_budget_it_is_open if budget.allow with input as good
