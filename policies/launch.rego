# METADATA
# title: May this worker be started on this task?
# description: |
#   Asked before each attempt.
#   input: task{id, tool, files{create, modify, read}, …}, selection{kind, plugin}, workspace{base, branch},
#   attempt, spent{tokens, cost_micros}, settings, feature, waivers[]
package launch

import data.paths
import data.shapes
import data.waivers

default allow := false

allow if count(deny) == 0

# METADATA
# title: What is found, less what valid waivers take away
deny contains reason if some reason in waivers.left(findings)

waived contains reason if some reason in waivers.taken(findings)

# METADATA
# title: A fact that the policy needs is missing
findings contains {"code": "MISSING_FACT", "msg": sprintf("nothing is known about %s", [name]), "path": sprintf("/%s", [name])} if {
	some name in ["task", "selection", "workspace", "attempt", "settings"]
	not input[name]
}

findings contains {"code": "MISSING_FACT", "msg": sprintf("the files that the task wants to %s are no list", [kind]), "path": sprintf("/task/files/%s", [kind])} if {
	some kind in {"create", "modify"} - known_files
}

known_files contains kind if {
	some kind in ["create", "modify"]
	is_array(input.task.files[kind])
}

# METADATA
# title: Nobody can do the work
findings contains {"code": "UNKNOWN_TOOL", "msg": sprintf("no worker or plugin is known for tool %v", [object.get(input, ["task", "tool"], "without a name")]), "path": "/task/tool"} if {
	not kind_is_known
}

kind_is_known if input.selection.kind in {"worker", "plugin"}

# METADATA
# title: A declared path leaves the repository or is git's own
findings contains {"code": "UNSAFE_PATH", "msg": sprintf("%s is not a path inside the repository", [path]), "path": path} if {
	some path in declared
	paths.is_unsafe(path)
}

# METADATA
# title: A task may not declare protected files
findings contains {"code": "PROTECTED_PATH", "msg": sprintf("%s is protected (%s)", [path, class]), "path": path} if {
	some path in declared
	some class in paths.protected(path, input.settings.security.level)
}

# METADATA
# title: The run has used up its budget
findings contains {"code": "RUN_BUDGET", "msg": sprintf("the run has cost %d of %d micro-units", [input.spent.cost_micros, limit]), "path": "/spent/cost_micros"} if {
	input.settings.budgets.mode == "block"
	limit := input.settings.budgets.cost_micros_per_run
	is_number(limit)
	input.spent.cost_micros >= limit
}

declared contains path if {
	some kind in ["create", "modify"]
	some path in shapes.items(input.task.files[kind])
}
