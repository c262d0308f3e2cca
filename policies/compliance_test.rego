package compliance_test

import data.compliance

good := {
	"gates": {"results": [{"name": "a", "result": "na", "reason_code": "DISABLED"}]},
	"tasks": [{"task": "t", "state": "verified", "commit": "1"}],
	"candidate": {"sources": ["1"]},
	"audit": {"entries": 9, "whole": true, "signed": 9, "reason": ""},
	"evidence": [{"commit": "1", "captured": true, "verified": true}],
}

change(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

codes(input_) := {reason.code | some reason in compliance.deny with input as input_}

test_an_empty_input_is_denied if compliance.allow == false with input as {}

test_every_missing_fact_is_named if {
	paths := {reason.path | some reason in compliance.deny with input as {}}
	paths == {"/gates/results", "/tasks", "/candidate/sources", "/audit", "/evidence"}
	every name in ["gates", "tasks", "candidate", "audit", "evidence"] {
		"MISSING_FACT" in codes(object.remove(good, [name]))
		"MISSING_FACT" in codes(object.union(good, {name: null}))
	}
	every path in ["/audit/entries", "/audit/signed", "/audit/whole"] {
		"MISSING_FACT" in codes(change(path, "yes"))
	}
}

test_a_ledger_that_was_altered_is_denied if codes(change("/audit/whole", false)) == {"AUDIT_BROKEN"}

test_a_ledger_that_nobody_witnessed_is_denied if codes(change("/audit/signed", 0)) == {"AUDIT_UNSIGNED"}

test_a_checkpoint_over_more_than_there_is_is_denied if codes(change("/audit/signed", 10)) == {"AUDIT_UNSIGNED"}

test_a_skip_is_denied if codes(change("/gates/results/0/result", "skipped")) == {"UNKNOWN_RESULT"}

test_a_gate_without_result_is_denied if {
	codes(change("/gates/results/0", {"name": "a"})) == {"UNKNOWN_RESULT"}
	codes(change("/gates/results/0", "ok")) == {"UNKNOWN_RESULT"}
}

test_na_without_reason_is_denied if {
	codes(json.patch(good, [{"op": "remove", "path": "/gates/results/0/reason_code"}])) == {"UNEXPLAINED_NA"}
	codes(change("/gates/results/0/reason_code", null)) == {"UNEXPLAINED_NA"}
}

test_a_verified_task_without_commit_is_denied if {
	codes(json.patch(good, [{"op": "remove", "path": "/tasks/0/commit"}])) == {"NO_EVIDENCE"}
}

test_a_source_that_is_not_proven_is_denied if {
	every part in ["captured", "verified"] {
		codes(change(sprintf("/evidence/0/%s", [part]), false)) == {"NO_EVIDENCE"}
		codes(json.patch(good, [{"op": "remove", "path": sprintf("/evidence/0/%s", [part])}])) == {"NO_EVIDENCE"}
	}
	codes(change("/evidence", [])) == {"NO_EVIDENCE"}
	codes(change("/evidence/0/commit", "2")) == {"NO_EVIDENCE"}
}

test_evidence_without_its_commit_hides_no_other if {
	codes(change("/evidence", [{"captured": true, "verified": true}, {"commit": "1", "captured": true, "verified": true}])) == set()
}

test_explained_results_and_proven_sources_are_complete if compliance.allow with input as good

test_a_failed_task_needs_no_commit if {
	compliance.allow with input as change("/tasks/0", {"task": "t", "state": "failed", "commit": null})
}

test_a_ledger_of_which_nothing_is_known_is_not_called_altered if codes(change("/audit", null)) == {"MISSING_FACT"}
