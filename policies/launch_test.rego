package launch_test

import data.launch

good := {
	"task": {"id": "a", "tool": "shell", "files": {"create": ["src/a.py"], "modify": [], "read": []}},
	"selection": {"kind": "worker", "plugin": "shell"},
	"workspace": {"base": "1", "branch": "engine/shop/a"},
	"attempt": 1,
	"spent": {"tokens": 0, "cost_micros": 0},
	"settings": {"security": {"level": "standard"}, "budgets": {"mode": "block", "cost_micros_per_run": null}},
}

with_files(paths) := json.patch(good, [{"op": "replace", "path": "/task/files/create", "value": paths}])

codes(input_) := {reason.code | some reason in launch.deny with input as input_}

test_a_known_worker_on_plain_files_may_start if launch.allow with input as good

test_an_empty_input_is_denied if not launch.allow with input as {}

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
		"settings": {"security": {"level": "standard"}, "budgets": {"mode": "block", "cost_micros_per_run": 5}},
	})) == {"RUN_BUDGET"}
}
