package merge_test

import data.merge

subject := {"old": "0", "sources": ["1"], "tree": "2", "commit": "3"}

verdict(kind, seq) := {"kind": kind, "verdict": "pass", "seq": seq, "commit": "3"}

good := {
	"candidate": object.union(subject, {
		"clean": true, "patch_complete": true, "undeclared": [], "tasks": ["a"],
		"changed": [{"path": "a.py", "kind": "created", "mode": "100644", "added_lines": ["x"], "tasks": ["a"]}],
	}),
	"gates": {"commit": "3", "result": "ok", "results": [{"name": "tests", "result": "ok", "required": true, "commit": "3", "tier": "L0", "milliseconds": 5}]},
	"verdicts": [verdict("conflict", 1), verdict("manifest", 2), verdict("budget", 3), verdict("validator", 9)],
	"audit": {"entries": 9, "whole": true, "signed": 4, "reason": ""},
	"evidence": [{"commit": "1", "captured": true, "verified": true}],
	"tasks": [{"task": "a", "state": "verified", "commit": "1"}],
	"owners": [{"task": "a", "files": {"create": ["a.py", "AGENTS.md"], "modify": []}}],
	"tier": {"tier": "L0", "max_level": 0, "review": false},
	"spent": {"tokens": 0, "cost_micros": 0},
	"settings": {
		"security": {"level": "standard"}, "manifest": {"enforcement": "block"},
		"budgets": {"mode": "block", "cost_micros_per_run": 10, "tokens_per_task": null},
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

test_a_candidate_without_sources_is_denied if "NO_CANDIDATE" in codes(change("/candidate/sources", []))

test_gates_on_another_commit_are_denied if codes(change("/gates/commit", "9")) == {"OTHER_COMMIT"}

test_failed_gates_are_denied if codes(change("/gates/result", "failed")) == {"GATES"}

test_a_failed_required_gate_is_denied if codes(change("/gates/results/0/result", "failed")) == {"GATE"}

test_a_required_gate_that_is_na_is_denied if "GATE" in codes(change("/gates/results/0/result", "na"))

test_a_gate_that_did_not_run_is_denied if codes(change("/gates/results", [])) == {"GATE_MISSING"}

test_the_result_of_another_gate_does_not_count if codes(change("/gates/results/0/name", "lint")) == {"GATE_MISSING"}

test_a_task_without_its_commit_hides_no_other if {
	codes(change("/tasks", [{"task": "b", "state": "verified"}, {"task": "a", "state": "verified", "commit": "1"}])) == {"NO_EVIDENCE"}
}

test_an_unverified_source_is_denied if codes(change("/tasks/0/state", "failed")) == {"UNVERIFIED"}

test_an_undeclared_write_is_denied if codes(change("/candidate/undeclared", ["b.py"])) == {"UNDECLARED_WRITE"}

test_what_security_denies_is_denied if codes(change("/candidate/changed/0/mode", "160000")) == {"SUBMODULE"}

test_a_missing_tier_is_denied if "NO_TIER" in codes(change("/tier", {"tier": "L0"}))

test_a_gate_that_only_warns_does_not_close if {
	merge.allow with input as json.patch(good, [
		{"op": "replace", "path": "/gates/results/0/result", "value": "failed"},
		{"op": "replace", "path": "/gates/results/0/required", "value": false},
		{"op": "replace", "path": "/settings/gates/0/enforcement", "value": "warn"},
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
	every path in ["/candidate/undeclared", "/candidate/sources", "/gates/results", "/settings/gates", "/tasks", "/verdicts"] {
		paths := {reason.path | some reason in merge.deny with input as change(path, null); reason.code == "MISSING_FACT"}
		path in paths
	}
}

test_each_of_the_kernels_verdicts_must_pass_this_very_commit if {
	every index in [0, 1, 2, 3] {
		every value in ["fail", "error", "undefined", "PASS", null, true] {
			codes(change(sprintf("/verdicts/%d/verdict", [index]), value)) == {"VERDICT"}
		}
		codes(json.patch(good, [{"op": "remove", "path": sprintf("/verdicts/%d", [index])}])) == {"VERDICT"}
	}
}

test_a_verdict_about_another_commit_does_not_count if codes(change("/verdicts/0/commit", "9")) == {"VERDICT"}

test_verdicts_that_contradict_each_other_count_for_nothing if {
	other := object.union(verdict("budget", 3), {"verdict": "fail"})
	codes(json.patch(good, [{"op": "add", "path": "/verdicts/-", "value": other}])) == {"VERDICT"}
}

test_the_last_verdict_counts if {
	later := object.union(verdict("budget", 10), {"verdict": "fail"})
	codes(json.patch(good, [{"op": "add", "path": "/verdicts/0", "value": later}])) == {"VERDICT"}
	earlier := object.union(verdict("budget", 1), {"verdict": "fail"})
	codes(json.patch(good, [{"op": "add", "path": "/verdicts/-", "value": earlier}])) == set()
	elsewhere := object.union(later, {"commit": "9"})
	codes(json.patch(good, [{"op": "add", "path": "/verdicts/-", "value": elsewhere}])) == set()
}

test_a_gate_of_the_tier_that_was_left_out_is_denied if {
	codes(json.patch(good, [
		{"op": "replace", "path": "/gates/results/0/result", "value": "na"},
		{"op": "add", "path": "/gates/results/0/reason_code", "value": "TIER_NOT_REQUIRED"},
		{"op": "replace", "path": "/gates/results/0/required", "value": false},
	])) == {"TIER"}
}

test_a_gate_that_is_switched_off_may_be_left_out if {
	every mode in ["off", "warn"] {
		merge.allow with input as json.patch(good, [
			{"op": "replace", "path": "/gates/results/0/result", "value": "na"},
			{"op": "add", "path": "/gates/results/0/reason_code", "value": "DISABLED"},
			{"op": "replace", "path": "/gates/results/0/required", "value": false},
			{"op": "replace", "path": "/settings/gates/0/enforcement", "value": mode},
		])
	}
}

test_the_excuse_of_another_gate_does_not_count if {
	codes(json.patch(good, [
		{"op": "replace", "path": "/gates/results/0/result", "value": "failed"},
		{"op": "replace", "path": "/gates/results/0/required", "value": false},
		{"op": "add", "path": "/settings/gates/-", "value": {"name": "lint", "stage": "final", "tier": "L5", "enforcement": "off"}},
	])) == {"TIER"}
}

test_failed_gates_need_no_validator_verdict_besides if {
	codes(json.patch(good, [{"op": "replace", "path": "/gates/result", "value": "failed"}, {"op": "remove", "path": "/verdicts/3"}])) == {"GATES"}
}

test_a_gate_above_the_tier_may_be_left_out if {
	merge.allow with input as json.patch(good, [
		{"op": "replace", "path": "/gates/results/0/result", "value": "na"},
		{"op": "add", "path": "/gates/results/0/reason_code", "value": "TIER_NOT_REQUIRED"},
		{"op": "replace", "path": "/gates/results/0/required", "value": false},
		{"op": "replace", "path": "/settings/gates/0/tier", "value": "L1"},
	])
}

test_a_gate_of_an_unknown_tier_must_pass if {
	merge.allow with input as change("/settings/gates/0/tier", "L9")
	codes(json.patch(good, [
		{"op": "replace", "path": "/gates/results/0/result", "value": "na"},
		{"op": "add", "path": "/gates/results/0/reason_code", "value": "TIER_NOT_REQUIRED"},
		{"op": "replace", "path": "/gates/results/0/required", "value": false},
		{"op": "replace", "path": "/settings/gates/0/tier", "value": "L9"},
	])) == {"TIER"}
}

test_every_level_is_known if {
	every level in ["L0", "L1", "L2", "L3", "L4", "L5"] {
		number := to_number(substring(level, 1, 1))
		left_out := [
			{"op": "replace", "path": "/gates/results/0/result", "value": "na"},
			{"op": "add", "path": "/gates/results/0/reason_code", "value": "TIER_NOT_REQUIRED"},
			{"op": "replace", "path": "/gates/results/0/required", "value": false},
			{"op": "replace", "path": "/settings/gates/0/tier", "value": level},
		]
		codes(json.patch(good, array.concat(left_out, [{"op": "replace", "path": "/tier/max_level", "value": number}]))) == {"TIER"}
		every lower in [below | some below in [0, 1, 2, 3, 4, 5]; below < number] {
			codes(json.patch(good, array.concat(left_out, [{"op": "replace", "path": "/tier/max_level", "value": lower}]))) == set()
		}
	}
}

test_a_tier_that_does_not_say_who_reviews_is_none if {
	codes(json.patch(good, [{"op": "remove", "path": "/tier/review"}])) == {"NO_TIER"}
	codes(change("/tier/max_level", 6)) == {"NO_TIER"}
}

reviewed(review) := json.patch(good, [
	{"op": "replace", "path": "/tier/review", "value": true},
	{"op": "add", "path": "/review", "value": review},
])

test_a_review_that_the_table_asks_for_must_be_of_this_very_commit if {
	merge.allow with input as reviewed({"commit": "3", "approved": true})
	every review in [null, {}, {"commit": "9", "approved": true}, {"commit": "3", "approved": false}, {"commit": "3", "approved": "true"}, {"commit": "3"}] {
		codes(reviewed(review)) == {"REVIEW"}
	}
	codes(change("/tier/review", true)) == {"REVIEW"}
}

test_what_the_other_policies_find_is_denied if {
	codes(change("/spent/cost_micros", 11)) == {"RUN_BUDGET"}
	codes(change("/audit/whole", false)) == {"AUDIT_BROKEN"}
	codes(change("/owners/0/files/create", [])) == {"NOT_DECLARED"}
	slow := change("/gates/results/0/milliseconds", 99999999)
	codes(json.patch(slow, [{"op": "replace", "path": "/settings/security/level", "value": "strict"}])) == {"SLOW_GATE"}
}

test_a_gate_that_passed_need_not_be_required if merge.allow with input as change("/gates/results/0/required", false)
