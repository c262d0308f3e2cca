# METADATA
# title: Is there money left?
# description: |
#   Folded into `launch` and `merge`; may be asked at a gateway of its own.
#   input: spent{tokens, cost_micros, task_tokens}, settings{budgets{mode, cost_micros_per_run, tokens_per_task}}, task{budget{tokens}}
package budget

default allow := false

allow if count(deny) == 0

# METADATA
# title: All that is found; nothing of it can be waived
deny contains reason if some reason in findings

# METADATA
# title: A fact that the policy needs is missing
findings contains {"code": "MISSING_FACT", "msg": "it is not known what was spent", "path": "/spent"} if {
	not spent_is_known
}

spent_is_known if {
	is_number(input.spent.cost_micros)
	is_number(input.spent.tokens)
}

findings contains {"code": "MISSING_FACT", "msg": "it is not known what a budget does", "path": "/settings/budgets/mode"} if {
	not mode_is_known
}

mode_is_known if input.settings.budgets.mode in {"warn", "block"}

# METADATA
# title: The run has used up its budget
# description: A worker is not started when nothing is left; what was done for exactly the budget may still be merged.
findings contains {"code": "RUN_BUDGET", "msg": sprintf("the run has cost %d of %d micro-units", [input.spent.cost_micros, limit]), "path": "/spent/cost_micros"} if {
	input.settings.budgets.mode == "block"
	limit := input.settings.budgets.cost_micros_per_run
	is_number(limit)
	is_used_up(input.spent.cost_micros, limit)
}

# METADATA
# title: The task has used up its budget
findings contains {"code": "TASK_BUDGET", "msg": sprintf("the task has used %d of %d tokens", [input.spent.task_tokens, limit]), "path": "/spent/task_tokens"} if {
	input.settings.budgets.mode == "block"
	limit := task_limit
	is_number(limit)
	is_used_up(input.spent.task_tokens, limit)
}

is_used_up(spent, limit) if spent > limit

is_used_up(spent, limit) if {
	input.attempt
	spent == limit
}

# METADATA
# title: The task's own budget wins
task_limit := input.task.budget.tokens if is_number(input.task.budget.tokens)

else := input.settings.budgets.tokens_per_task
