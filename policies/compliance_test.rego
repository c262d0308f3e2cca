package compliance_test

import data.compliance

good := {"gates": {"results": [{"name": "a", "result": "na", "reason_code": "DISABLED"}]}, "tasks": [{"task": "t", "state": "verified", "commit": "1"}]}

codes(input_) := {reason.code | some reason in compliance.deny with input as input_}

test_explained_results_are_complete if compliance.allow with input as good

test_an_empty_input_is_denied if not compliance.allow with input as {}

test_a_skip_is_denied if {
	codes(json.patch(good, [{"op": "replace", "path": "/gates/results/0/result", "value": "skipped"}])) == {"UNKNOWN_RESULT"}
}

test_na_without_reason_is_denied if {
	codes(json.patch(good, [{"op": "remove", "path": "/gates/results/0/reason_code"}])) == {"UNEXPLAINED_NA"}
}

test_a_verified_task_without_commit_is_denied if {
	codes(json.patch(good, [{"op": "remove", "path": "/tasks/0/commit"}])) == {"NO_EVIDENCE"}
}
