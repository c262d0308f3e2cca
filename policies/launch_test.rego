package launch_test

import data.launch

good := {
	"task": {"id": "a", "tool": "shell", "files": {"create": ["src/a.py"], "modify": [], "read": []}},
	"selection": {"kind": "worker", "plugin": "shell"},
	"workspace": {"base": "1", "branch": "engine/shop/a"},
	"attempt": 1,
	"spent": {"tokens": 0, "cost_micros": 0},
	"launchers": {"shell": {"launcher": "subprocess", "network": "host", "variables": ["LANG"]}},
	"settings": {"security": {"level": "standard", "network": null}, "budgets": {"mode": "block", "cost_micros_per_run": null}},
}

change(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

with_files(paths) := json.patch(good, [{"op": "replace", "path": "/task/files/create", "value": paths}])

codes(input_) := {reason.code | some reason in launch.deny with input as input_}

test_a_known_worker_on_plain_files_may_start if launch.allow with input as good

test_an_empty_input_is_denied if launch.allow == false with input as {}

test_an_unknown_tool_is_denied if {
	codes(json.patch(good, [{"op": "replace", "path": "/selection/kind", "value": "unknown"}])) == {"UNKNOWN_TOOL"}
}

test_escaping_paths_are_denied if codes(with_files(["../x"])) == {"UNSAFE_PATH"}

test_absolute_paths_are_denied if codes(with_files(["/etc/passwd"])) == {"UNSAFE_PATH"}

test_git_itself_is_denied if codes(with_files([".git/config"])) == {"UNSAFE_PATH"}

test_agent_configuration_is_protected if codes(with_files(["CLAUDE.md"])) == {"PROTECTED_PATH"}

test_ci_files_are_protected if codes(with_files([".github/workflows/x.yml"])) == {"PROTECTED_PATH"}

test_a_spent_budget_is_denied if {
	codes(object.union(good, {
		"spent": {"tokens": 0, "cost_micros": 5},
		"settings": {"budgets": {"cost_micros_per_run": 5}},
	})) == {"RUN_BUDGET"}
}

test_every_missing_fact_is_denied if {
	every name in ["task", "selection", "workspace", "attempt", "settings", "spent", "launchers"] {
		"MISSING_FACT" in codes(object.remove(good, [name]))
	}
	every path in ["/task/files/create", "/task/files/modify", "/settings/security/level", "/launchers/shell/network", "/launchers/shell/variables"] {
		"MISSING_FACT" in codes(change(path, null))
	}
}

test_a_worker_of_which_nothing_is_known_is_denied if "MISSING_FACT" in codes(change("/selection/plugin", "other"))

level(name, network) := json.patch(good, [
	{"op": "replace", "path": "/settings/security/level", "value": name},
	{"op": "replace", "path": "/settings/security/network", "value": network},
])

test_more_network_than_the_project_allows_is_denied if {
	every network in ["none", "internal", "allowlist"] {
		codes(level("standard", network)) == {"NETWORK"}
		codes(level("minimal", network)) == {"NETWORK"}
	}
	codes(json.patch(level("standard", "internal"), [{"op": "replace", "path": "/launchers/shell/network", "value": "allowlist"}])) == {"NETWORK"}
}

test_a_strict_project_that_does_not_say_has_no_network if {
	codes(level("strict", null)) == {"NETWORK"}
	codes(level("strict", "host")) == set()
}

test_an_unknown_network_is_denied if {
	codes(change("/launchers/shell/network", "wifi")) == {"NETWORK"}
	codes(level("standard", "wifi")) == {"NETWORK"}
}

test_as_much_network_as_allowed_is_free if {
	every network in ["none", "internal", "allowlist", "host"] {
		launch.allow with input as json.patch(level("strict", network), [{"op": "replace", "path": "/launchers/shell/network", "value": network}])
	}
}

test_a_variable_that_steers_programs_is_denied if codes(change("/launchers/shell/variables", ["LD_PRELOAD"])) == {"VARIABLE_FORBIDDEN"}

test_a_plugin_has_no_launcher if {
	launch.allow with input as json.patch(good, [
		{"op": "replace", "path": "/selection", "value": {"kind": "plugin", "plugin": "git-inspector"}},
		{"op": "replace", "path": "/launchers", "value": {}},
	])
}

test_what_other_policies_find_is_denied if {
	strict := level("strict", "host")
	codes(json.patch(strict, [{"op": "add", "path": "/task/timeout_seconds", "value": 99999999}])) == {"TIMEOUT_TOO_LONG"}
}

test_a_waived_finding_is_said if {
	waiver := {
		"id": "W-1",
		"scope": {"code": "PROTECTED_PATH", "feature": "shop", "task": "a", "path": "CLAUDE.md"},
		"expires": "2026-01-08T00:00:00Z",
		"request": {"by": "alice", "key": "1", "at": "2026-01-01T00:00:00Z"},
		"approval": {"by": "bob", "key": "2", "at": "2026-01-01T00:00:00Z"},
	}
	asked := object.union(with_files(["CLAUDE.md"]), {"feature": "shop", "now": "2026-01-02T00:00:00Z", "waivers": [waiver]})
	launch.allow with input as asked
	said := launch.waived with input as asked
	{reason.waiver | some reason in said} == {"W-1"}
}

test_an_unknown_level_is_said if {
	said := {reason.msg | some reason in launch.deny} with input as change("/settings/security/level", "none")
	"the security level is not known" in said
}

test_what_a_task_reads_is_free if launch.allow with input as change("/task/files/read", ["CLAUDE.md", "../x"])

test_a_plugin_of_a_worker_s_name_reaches_no_network if {
	launch.allow with input as json.patch(level("standard", "none"), [{"op": "replace", "path": "/selection/kind", "value": "plugin"}])
}
