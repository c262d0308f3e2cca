package release_test

import data.release

good := {
	"feature": "shop",
	"head": "m",
	"gates": {"commit": "m", "result": "ok", "results": [{"name": "smoke", "result": "ok", "commit": "m"}]},
	"release": {"stage": "review", "max_level": 5, "review": true},
	"review": {"commit": "m", "approved": true},
	"settings": {"gates": [{"name": "smoke", "stage": "final"}, {"name": "tests", "stage": "pre_merge"}]},
}

change(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

codes(input_) := {reason.code | some reason in release.deny with input as input_}

test_what_was_judged_and_approved_is_released if release.allow with input as good

test_an_empty_input_is_denied if {
	release.allow == false with input as {}
	paths := {reason.path | some reason in release.deny with input as {}; reason.code == "MISSING_FACT"}
	paths == {"/gates", "/release", "/settings", "/head", "/gates/results", "/settings/gates"}
}

test_what_is_no_list_is_a_missing_fact if {
	codes(change("/settings/gates", null)) == {"MISSING_FACT"}
	codes(change("/gates/results", null)) == {"MISSING_FACT", "GATE_MISSING"}
}

test_a_head_that_is_no_text_is_a_missing_fact if "MISSING_FACT" in codes(change("/head", null))

test_another_commit_is_denied if codes(change("/gates/commit", "n")) == {"OTHER_COMMIT"}

test_gates_that_did_not_pass_are_denied if {
	every result in ["failed", "na", null, true] {
		codes(change("/gates/result", result)) == {"GATES"}
	}
}

test_a_final_gate_without_a_result_is_denied if {
	codes(change("/gates/results", [])) == {"GATE_MISSING"}
	codes(change("/gates/results/0/commit", "n")) == {"GATE_MISSING"}
	codes(change("/gates/results/0/name", "tests")) == {"GATE_MISSING"}
}

test_without_an_approval_of_this_commit_it_is_denied if {
	codes(change("/review/approved", false)) == {"RELEASE_REVIEW"}
	codes(change("/review/approved", "true")) == {"RELEASE_REVIEW"}
	codes(change("/review/commit", "n")) == {"RELEASE_REVIEW"}
	codes(change("/review", null)) == {"RELEASE_REVIEW"}
}

test_a_table_that_does_not_say_asks_for_a_review if {
	codes(object.union(change("/release", {"stage": "final"}), {"review": null})) == {"RELEASE_REVIEW"}
}

test_where_the_table_asks_for_none_none_is_needed if {
	codes(object.union(change("/release", {"review": false}), {"review": null})) == set()
}
