# METADATA
# title: May the run start?
# description: |
#   Asked once, on the plan, before anything is carried out.
#   input: feature, plan{task_count, merged_before, widest, tools[], plugins[{plugin, for, problem}], approved}, waves[{number, tasks[]}], settings, waivers[]
package preflight

default allow := false

allow if count(deny) == 0

# METADATA
# title: What is found, less what valid waivers take away
deny contains reason if some reason in data.waivers.left(findings)

waived contains reason if some reason in data.waivers.taken(findings)

# METADATA
# title: A fact that the policy needs is missing
findings contains {"code": "MISSING_FACT", "msg": sprintf("the plan says nothing about %s", [name]), "path": sprintf("/%s", [name])} if {
	some name in ["feature", "plan", "waves", "settings"]
	not input[name]
}

findings contains {"code": "MISSING_FACT", "msg": "the tasks of the waves are no lists", "path": "/waves"} if {
	not waves_are_known
}

waves_are_known if {
	is_array(input.waves)
	every wave in input.waves {
		is_array(wave.tasks)
	}
}

findings contains {"code": "MISSING_FACT", "msg": "the gates of the configuration are no list", "path": "/settings/gates"} if {
	not gates_are_known
}

gates_are_known if is_array(input.settings.gates)

# METADATA
# title: There is nothing to do
findings contains {"code": "EMPTY_PLAN", "msg": "the plan has no tasks", "path": "/waves"} if {
	not has_tasks
}

has_tasks if {
	some wave in data.shapes.items(input.waves)
	count(data.shapes.items(wave.tasks)) > 0
}

has_tasks if { # an earlier run has merged them all
	is_number(input.plan.merged_before)
	input.plan.merged_before > 0
}

# METADATA
# title: A task that cannot be verified is never done
findings contains {"code": "NO_VERIFICATION", "msg": sprintf("task %v names no verification command", [data.shapes.told(task, "id", "without an id")]), "path": sprintf("/waves/%d", [wave.number])} if {
	some wave in data.shapes.items(input.waves)
	some task in data.shapes.items(wave.tasks)
	not task.verification.command
}

# METADATA
# title: A plugin that a task or a gate needs has a mistake, or is not there
findings contains {"code": "PLUGIN_BROKEN", "msg": sprintf("%v needs plugin %v: %v", [data.shapes.told(need, "for", "the run"), data.shapes.told(need, "plugin", "without a name"), data.shapes.told(need, "problem", "nothing is known about it")]), "path": "/plan/plugins"} if {
	some need in data.shapes.items(input.plan.plugins)
	not need.problem == ""
}

# METADATA
# title: A task has a size that one worker can carry out and one person can read
findings contains {"code": "TASK_SIZE", "msg": sprintf("task %v is estimated at %v minutes; expected %v to %v (tasks.min_minutes, tasks.max_minutes)", [data.shapes.told(task, "id", "without an id"), minutes, bounds.min, bounds.max]), "path": sprintf("/waves/%d", [wave.number])} if {
	bounds := input.settings.task_minutes
	some wave in data.shapes.items(input.waves)
	some task in data.shapes.items(wave.tasks)
	minutes := task.estimate_minutes
	minutes != null
	not fits(minutes, bounds)
}

fits(minutes, bounds) if { # only a number lies between two numbers
	minutes >= bounds.min
	minutes <= bounds.max
}

# METADATA
# title: In strict projects a plan needs an approval
findings contains {"code": "NOT_APPROVED", "msg": "the task graph is not marked as approved", "path": "/plan/approved"} if {
	input.settings.security.level == "strict"
	not input.plan.approved == true
}

# METADATA
# title: Security gates cannot be left out in strict projects
findings contains {"code": "NO_GATES", "msg": "a strict project needs at least one gate before the merge", "path": "/settings/gates"} if {
	input.settings.security.level == "strict"
	count([gate | some gate in data.shapes.gates; gate.stage == "pre_merge"; gate.enforcement == "block"]) == 0
}

# METADATA
# title: A strict project says what its workers may reach
findings contains {"code": "NETWORK_UNDECIDED", "msg": "a strict project says in security.network what workers may reach: none, internal, allowlist or host", "path": "/settings/security/network"} if {
	input.settings.security.level == "strict"
	not network_is_decided
}

network_is_decided if input.settings.security.network in {"none", "internal", "allowlist", "host"}
