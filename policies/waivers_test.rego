package waivers_test

import data.waivers

good := {
	"id": "W-20260101-00000000",
	"scope": {"code": "PROTECTED_PATH", "feature": "shop", "task": null, "path": "docs/"},
	"reason": "people must read this",
	"expires": "2026-01-08T00:00:00Z",
	"request": {"by": "alice", "key": "1", "at": "2026-01-01T00:00:00Z"},
	"approval": {"by": "bob", "key": "2", "at": "2026-01-01T01:00:00Z"},
}

facts(waiver) := {
	"waivers": [waiver],
	"feature": "shop",
	"now": "2026-01-02T00:00:00.123456+00:00",
	"settings": {"security": {"level": "standard"}},
	"task": {"id": "a"},
}

finding := {"code": "PROTECTED_PATH", "msg": "protected", "path": "docs/AGENTS.md"}

changed(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

codes(waiver) := {reason.code | some reason in waivers.deny with input as facts(waiver)}

left(waiver) := found if found := waivers.left({finding}) with input as facts(waiver)

test_a_waiver_of_two_people_takes_its_finding_away if {
	left(good) == set()
	codes(good) == set()
	taken := waivers.taken({finding}) with input as facts(good)
	taken == {object.union(finding, {"waiver": good.id})}
	waivers.allow with input as facts(good)
}

test_an_empty_input_is_denied if waivers.allow == false with input as {}

test_without_waivers_every_finding_is_left if {
	every input_ in [{}, {"waivers": null}, {"waivers": []}] {
		waivers.left({finding}) == {finding} with input as input_
	}
}

test_another_finding_is_left if {
	other := {"code": "SECRET", "msg": "secret", "path": "docs/a"}
	waivers.left({finding, other}) == {other} with input as facts(good)
}

bad := {
	"WAIVER_TIER_0": changed("/scope/code", "SECRET"),
	"WAIVER_OTHER_FEATURE": changed("/scope/feature", "other"),
	"WAIVER_UNAPPROVED": changed("/approval", null),
	"WAIVER_EXPIRED": changed("/expires", "2026-01-02T00:00:00Z"),
	"WAIVER_NOT_YET": changed("/approval/at", "2026-01-03T00:00:00Z"),
	"WAIVER_TOO_LONG": changed("/expires", "2026-02-01T00:00:00Z"),
	"WAIVER_ONE_PERSON": changed("/approval/by", "alice"),
}

test_each_fault_is_named_and_leaves_the_finding if {
	every code, waiver in bad {
		codes(waiver) == {code}
		left(waiver) == {finding}
	}
	count(bad) == count(waivers.requirements)
}

test_one_key_under_two_names_is_one_person if {
	codes(changed("/approval/key", "1")) == {"WAIVER_ONE_PERSON"}
	left(changed("/approval/key", "1")) == {finding}
}

test_a_request_from_the_future_does_not_count if codes(changed("/request/at", "2026-01-02T01:00:00Z")) == {"WAIVER_NOT_YET"}

test_a_code_that_nobody_listed_cannot_be_waived if codes(changed("/scope/code", "NEW")) == {"WAIVER_TIER_0"}

test_a_code_in_both_lists_cannot_be_waived if {
	codes(good) == {"WAIVER_TIER_0"} with waivers.tier_0 as {"PROTECTED_PATH": "here too"}
}

test_no_code_is_in_both_lists if object.keys(waivers.waivable) & object.keys(waivers.tier_0) == set()

test_the_end_itself_is_too_late if codes(changed("/expires", "2026-01-02T00:00:00.123456Z")) == {"WAIVER_EXPIRED"}

test_a_member_that_is_missing_meets_nothing if {
	every path in ["/scope/code", "/scope/feature", "/request/by", "/request/key", "/request/at", "/approval/by", "/approval/key", "/approval/at", "/expires", "/scope", "/request", "/approval"] {
		left(json.patch(good, [{"op": "remove", "path": path}])) == {finding}
	}
}

test_a_strict_project_wants_short_waivers if {
	long := changed("/expires", "2026-01-09T00:00:00Z")
	waivers.left({finding}) == {finding} with input as object.union(facts(long), {"settings": {"security": {"level": "strict"}}})
}

test_without_a_level_nothing_is_taken if waivers.left({finding}) == {finding} with input as object.union(facts(good), {"settings": {"security": {"level": "none"}}})

test_a_path_is_a_file_or_a_folder if {
	left(changed("/scope/path", "docs/AGENTS.md")) == set()
	left(changed("/scope/path", null)) == set()
	every path in ["docs", "doc", "docs/AGENTS", "AGENTS.md", "other/", ""] {
		left(changed("/scope/path", path)) == {finding}
	}
}

test_a_task_is_the_one_that_is_launched if {
	left(changed("/scope/task", "a")) == set()
	left(changed("/scope/task", "b")) == {finding}
}

candidate(owners) := object.union(object.remove(facts(changed("/scope/task", "a")), ["task"]), {"candidate": {
	"tasks": ["a", "b"],
	"changed": [{"path": "docs/AGENTS.md", "tasks": owners}, {"path": "other", "tasks": ["b"]}],
}})

test_in_a_candidate_the_task_is_who_changed_the_file if {
	waivers.left({finding}) == set() with input as candidate(["a"])
	waivers.left({finding}) == {finding} with input as candidate(["b"])
	waivers.left({finding}) == {finding} with input as candidate(["a", "b"])
	waivers.left({finding}) == {finding} with input as candidate([])
}

test_in_a_candidate_of_one_task_every_finding_is_its_own if {
	one := object.union(candidate(["b"]), {"candidate": {"tasks": ["a"], "changed": []}})
	waivers.left({object.union(finding, {"path": "docs/x"})}) == set() with input as one
}

test_a_finding_without_a_path_is_only_waived_for_every_path if {
	plain := {"code": "PROTECTED_PATH", "msg": "protected"}
	waivers.left({plain}) == {plain} with input as facts(good)
}

test_a_missing_fact_is_named if {
	paths := {reason.path | some reason in waivers.deny with input as {}}
	paths == {"/waivers", "/now", "/feature", "/settings"}
}

test_what_waives_is_whole if {
	every name in ["waivers", "now", "feature", "settings"] {
		waivers.left({finding}) == {finding} with input as object.remove(facts(good), [name])
	}
}

# Written out twice on purpose: what can be waived changes here and there, or not at all.
may_be_waived := {
	"PROTECTED_PATH", "SYMLINK", "BIDI", "HIDDEN_TEXT", "NON_ASCII", "SCHEMA_HOST", "NOT_APPROVED", "TASK_SIZE",
	"NETWORK", "VARIABLE_SECRET", "TIMEOUT_TOO_LONG", "SLOW_GATE",
}

may_never_be_waived := {
	"MISSING_FACT", "EMPTY_PLAN", "NO_VERIFICATION", "NO_GATES", "UNKNOWN_TOOL", "PLUGIN_BROKEN", "UNSAFE_PATH",
	"NO_CANDIDATE", "OTHER_COMMIT", "GATES", "GATE", "GATE_MISSING", "UNVERIFIED", "VERDICT", "NOT_DECLARED", "NO_OWNER",
	"TWO_OWNERS", "TIER", "REVIEW", "RELEASE_REVIEW", "NETWORK_UNDECIDED", "VARIABLE_FORBIDDEN", "AUDIT_BROKEN", "AUDIT_UNSIGNED",
	"UNDECLARED_WRITE", "RUN_BUDGET", "TASK_BUDGET", "NO_TIER", "SECRET", "SECRET_NAME", "DIFF_TOO_LARGE", "SUBMODULE",
	"UNKNOWN_RESULT", "UNEXPLAINED_NA", "NO_EVIDENCE",
}

test_what_can_be_waived_and_what_never if {
	{code | some code, _ in waivers.waivable} == may_be_waived
	{code | some code, _ in waivers.tier_0} == may_never_be_waived
}
