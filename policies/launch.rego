# METADATA
# title: May this worker be started on this task?
# description: |
#   Asked before each attempt.
#   input: task{id, tool, files{create, modify, read}, …}, selection{kind, plugin}, workspace{base, branch},
#   attempt, spent{tokens, cost_micros, task_tokens}, launchers{name: {network, variables[]}}, settings, feature, waivers[]
package launch

default allow := false

allow if count(deny) == 0

# METADATA
# title: What is found, less what valid waivers take away
deny contains reason if some reason in data.waivers.left(findings)

waived contains reason if some reason in data.waivers.taken(findings)

# METADATA
# title: A fact that the policy needs is missing
findings contains {"code": "MISSING_FACT", "msg": sprintf("nothing is known about %s", [name]), "path": sprintf("/%s", [name])} if {
	some name in ["task", "selection", "workspace", "attempt", "settings"]
	not input[name]
}

findings contains {"code": "MISSING_FACT", "msg": "the security level is not known", "path": "/settings/security/level"} if {
	not level_is_known
}

level_is_known if input.settings.security.level in {"minimal", "standard", "strict"}

findings contains {"code": "MISSING_FACT", "msg": sprintf("the files that the task wants to %s are no list", [kind]), "path": sprintf("/task/files/%s", [kind])} if {
	some kind in {"create", "modify"} - known_files
}

known_files contains "create" if is_array(input.task.files.create)

known_files contains "modify" if is_array(input.task.files.modify)

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
	data.paths.is_unsafe(path)
}

# METADATA
# title: A task may not declare protected files
findings contains {"code": "PROTECTED_PATH", "msg": sprintf("%s is protected (%s)", [path, class]), "path": path} if {
	some path in declared
	some class in data.paths.protected(path, input.settings.security.level)
}

# METADATA
# title: What the budget and the limits of time deny is never launched
findings contains reason if some reason in data.budget.findings

findings contains reason if some reason in data.performance.findings

# METADATA
# title: Nothing is known about how the worker would be started
findings contains {"code": "MISSING_FACT", "msg": sprintf("it is not known how worker %v is started", [input.selection.plugin]), "path": "/launchers"} if {
	input.selection.kind == "worker"
	not launcher_is_known
}

launcher_is_known if {
	is_string(launcher.network)
	is_array(launcher.variables)
}

launcher := input.launchers[input.selection.plugin]

# METADATA
# title: The worker would reach more of the network than the project allows
# description: By what the configuration says of it. The engine does not hold a process to that.
findings contains {"code": "NETWORK", "msg": sprintf("worker %v has network %v, allowed is %v", [input.selection.plugin, launcher.network, ceiling]), "path": "/launchers"} if {
	input.selection.kind == "worker"
	not network_is_allowed
}

network_is_allowed if networks[launcher.network] <= networks[ceiling]

networks := {"none": 0, "internal": 1, "allowlist": 2, "host": 3}

# METADATA
# title: A strict project says what may be reached; elsewhere the host's network is usual
default ceiling := "none"

ceiling := input.settings.security.network if is_string(input.settings.security.network)

ceiling := "host" if {
	input.settings.security.network == null
	input.settings.security.level in {"minimal", "standard"}
}

# METADATA
# title: The worker would be given variables that it may not have
findings contains reason if {
	some name in data.shapes.items(launcher.variables)
	some reason in data.security.variable(name, input.settings.security.level)
}

declared contains path if {
	some kind in ["create", "modify"]
	some path in data.shapes.items(input.task.files[kind])
}
