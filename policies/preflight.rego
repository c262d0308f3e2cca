# METADATA
# title: May the run start?
# description: |
#   Asked once, on the plan, before anything is carried out.
#   input: feature, plan{task_count, widest, tools[], approved}, waves[{number, tasks[]}], settings
package preflight

default allow := false

allow if count(deny) == 0

# METADATA
# title: A fact that the policy needs is missing
deny contains {"code": "MISSING_FACT", "msg": sprintf("the plan says nothing about %s", [name]), "path": sprintf("/%s", [name])} if {
	some name in ["feature", "plan", "waves", "settings"]
	not input[name]
}

# METADATA
# title: There is nothing to do
deny contains {"code": "EMPTY_PLAN", "msg": "the plan has no tasks", "path": "/waves"} if {
	not has_tasks
}

has_tasks if {
	some wave in input.waves
	count(wave.tasks) > 0
}

# METADATA
# title: A task that cannot be verified is never done
deny contains {"code": "NO_VERIFICATION", "msg": sprintf("task %s names no verification command", [object.get(task, "id", "without an id")]), "path": sprintf("/waves/%d", [wave.number])} if {
	some wave in input.waves
	some task in wave.tasks
	not task.verification.command
}

# METADATA
# title: In strict projects a plan needs an approval
deny contains {"code": "NOT_APPROVED", "msg": "the task graph is not marked as approved", "path": "/plan/approved"} if {
	input.settings.security.level == "strict"
	not input.plan.approved == true
}

# METADATA
# title: Security gates cannot be left out in strict projects
deny contains {"code": "NO_GATES", "msg": "a strict project needs at least one gate before the merge", "path": "/settings/gates"} if {
	input.settings.security.level == "strict"
	count([gate | some gate in input.settings.gates; gate.stage == "pre_merge"; gate.enforcement == "block"]) == 0
}
