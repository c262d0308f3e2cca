package merge_test

import data.merge

good := {
	"candidate": {
		"clean": true, "old": "0", "tree": "2", "commit": "3", "sources": ["1"], "patch_complete": true, "undeclared": [],
		"changed": [{"path": "a.py", "kind": "created", "mode": "100644", "added_lines": ["x"]}],
	},
	"gates": {"commit": "3", "result": "ok", "results": [{"name": "tests", "result": "ok", "required": true, "commit": "3"}]},
	"tasks": [{"task": "a", "state": "verified", "commit": "1"}],
	"tier": {"tier": "L0", "max_level": 0},
	"settings": {
		"security": {"level": "standard"}, "manifest": {"enforcement": "block"},
		"gates": [{"name": "tests", "stage": "pre_merge", "tier": "L0", "enforcement": "block"}],
	},
}

change(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

codes(input_) := {reason.code | some reason in merge.deny with input as input_}

test_a_verified_gated_candidate_may_merge if merge.allow with input as good

test_an_empty_input_is_denied if merge.allow == false with input as {}

test_a_missing_fact_is_named if {
	paths := {reason.path | some reason in merge.deny with input as {}; reason.code == "MISSING_FACT"}
	{"/candidate", "/gates", "/tasks", "/tier", "/settings"} - paths == set()
}

test_every_missing_fact_is_denied if {
	every name in ["candidate", "gates", "tasks", "tier", "settings"] {
		"MISSING_FACT" in codes(object.remove(good, [name]))
	}
}

test_a_conflict_is_denied if codes(change("/candidate/clean", false)) == {"NO_CANDIDATE"}

test_a_candidate_without_its_ids_is_denied if {
	every name in ["commit", "old", "tree"] {
		"NO_CANDIDATE" in codes(change(sprintf("/candidate/%s", [name]), null))
	}
}

test_a_candidate_without_sources_is_denied if codes(change("/candidate/sources", [])) == {"NO_CANDIDATE"}

test_gates_on_another_commit_are_denied if codes(change("/gates/commit", "9")) == {"OTHER_COMMIT"}

test_failed_gates_are_denied if codes(change("/gates/result", "failed")) == {"GATES"}

test_a_failed_required_gate_is_denied if codes(change("/gates/results/0/result", "failed")) == {"GATE"}

test_a_required_gate_that_is_na_is_denied if codes(change("/gates/results/0/result", "na")) == {"GATE"}

test_a_gate_that_did_not_run_is_denied if codes(change("/gates/results", [])) == {"GATE_MISSING"}

test_an_unverified_source_is_denied if codes(change("/tasks/0/state", "failed")) == {"UNVERIFIED"}

test_an_undeclared_write_is_denied if codes(change("/candidate/undeclared", ["b.py"])) == {"UNDECLARED_WRITE"}

test_what_security_denies_is_denied if codes(change("/candidate/changed/0/mode", "160000")) == {"SUBMODULE"}

test_a_missing_tier_is_denied if codes(change("/tier", {"tier": "L0"})) == {"NO_TIER"}

test_a_gate_that_only_warns_does_not_close if {
	merge.allow with input as json.patch(good, [
		{"op": "replace", "path": "/gates/results/0/result", "value": "failed"},
		{"op": "replace", "path": "/gates/results/0/required", "value": false},
	])
}

test_a_gate_of_another_stage_is_not_awaited if {
	final := {"name": "final", "stage": "final", "tier": "L0", "enforcement": "block"}
	merge.allow with input as json.patch(good, [{"op": "add", "path": "/settings/gates/-", "value": final}])
}

test_a_gate_result_of_another_commit_does_not_count if codes(change("/gates/results/0/commit", "9")) == {"GATE_MISSING"}

test_undeclared_writes_only_warn_where_the_manifest_warns if {
	merge.allow with input as json.patch(good, [
		{"op": "replace", "path": "/candidate/undeclared", "value": ["b.py"]},
		{"op": "replace", "path": "/settings/manifest/enforcement", "value": "warn"},
	])
}

waived := json.patch(good, [
	{"op": "replace", "path": "/candidate/changed/0/path", "value": "AGENTS.md"},
	{"op": "add", "path": "/feature", "value": "shop"},
	{"op": "add", "path": "/now", "value": "2026-01-02T00:00:00Z"},
	{"op": "add", "path": "/waivers", "value": [{
		"id": "W-1",
		"scope": {"code": "PROTECTED_PATH", "feature": "shop", "task": null, "path": "AGENTS.md"},
		"expires": "2026-01-08T00:00:00Z",
		"request": {"by": "alice", "key": "1", "at": "2026-01-01T00:00:00Z"},
		"approval": {"by": "bob", "key": "2", "at": "2026-01-01T00:00:00Z"},
	}]},
])

test_a_waived_finding_is_said_and_does_not_close if {
	merge.allow with input as waived
	said := merge.waived with input as waived
	{[reason.code, reason.path, reason.waiver] | some reason in said} == {["PROTECTED_PATH", "AGENTS.md", "W-1"]}
}

test_a_waiver_of_one_person_closes if {
	codes(json.patch(waived, [{"op": "replace", "path": "/waivers/0/approval/by", "value": "alice"}])) == {"PROTECTED_PATH"}
}

test_what_is_no_list_is_a_missing_fact if {
	every path in ["/candidate/undeclared", "/candidate/sources", "/gates/results", "/settings/gates", "/tasks"] {
		paths := {reason.path | some reason in merge.deny with input as change(path, null); reason.code == "MISSING_FACT"}
		path in paths
	}
}
