package ownership_test

import data.ownership

good := {
	"candidate": {"undeclared": [], "changed": [{"path": "src/a.py", "tasks": ["a"]}, {"path": "docs/x.md", "tasks": ["b"]}]},
	"owners": [{"task": "a", "files": {"create": ["src/a.py"], "modify": []}}, {"task": "b", "files": {"create": [], "modify": ["docs/"]}}],
	"settings": {"manifest": {"enforcement": "block"}},
}

change(path, value) := json.patch(good, [{"op": "replace", "path": path, "value": value}])

codes(input_) := {reason.code | some reason in ownership.deny with input as input_}

test_an_empty_input_is_denied if {
	ownership.allow == false with input as {}
	paths := {reason.path | some reason in ownership.deny with input as {}}
	paths == {"/owners", "/candidate/changed", "/candidate/undeclared", "/settings/manifest/enforcement"}
}

test_what_is_no_list_is_a_missing_fact if {
	every path in ["/owners", "/candidate/changed", "/candidate/undeclared"] {
		"MISSING_FACT" in codes(change(path, null))
	}
	codes(change("/settings/manifest/enforcement", "maybe")) == {"MISSING_FACT"}
}

test_an_undeclared_write_is_denied if codes(change("/candidate/undeclared", ["b.py"])) == {"UNDECLARED_WRITE"}

test_a_file_of_another_task_is_denied if codes(change("/candidate/changed/0/tasks", ["b"])) == {"NOT_DECLARED"}

test_a_file_beside_the_declared_one_is_denied if {
	every path in ["src/a.pyc", "src/", "src", "docs", "x/docs/x.md"] {
		codes(change("/candidate/changed/0/path", path)) == {"NOT_DECLARED"}
	}
}

test_a_task_that_nobody_planned_is_denied if codes(change("/candidate/changed/0/tasks", ["z"])) == {"NOT_DECLARED"}

test_a_file_that_is_only_read_is_not_declared if codes(change("/owners/0/files", {"create": [], "modify": [], "read": ["src/a.py"]})) == {"NOT_DECLARED"}

test_files_that_are_no_list_declare_nothing if codes(change("/owners/0/files/create", null)) == {"NOT_DECLARED"}

test_a_change_of_no_task_is_denied if {
	codes(change("/candidate/changed/0/tasks", [])) == {"NO_OWNER"}
	codes(change("/candidate/changed/0/tasks", null)) == {"NO_OWNER"}
	codes(change("/candidate/changed/0", {"path": "src/a.py"})) == {"NO_OWNER"}
}

test_a_change_without_a_name_is_denied if codes(change("/candidate/changed/0", {"tasks": ["a"]})) == {"MISSING_FACT"}

test_two_tasks_on_one_file_are_denied if {
	both := [{"task": "a", "files": {"modify": ["src/a.py"]}}, {"task": "b", "files": {"modify": ["src/a.py", "docs/"]}}]
	codes(object.union(change("/candidate/changed/0/tasks", ["a", "b"]), {"owners": both})) == {"TWO_OWNERS"}
}

test_declared_files_of_their_own_tasks_are_free if ownership.allow with input as good

test_where_the_manifest_does_not_block_nothing_is_found if {
	every mode in ["off", "warn"] {
		ownership.allow with input as json.patch(good, [
			{"op": "replace", "path": "/candidate/undeclared", "value": ["b.py"]},
			{"op": "replace", "path": "/candidate/changed/0/tasks", "value": ["b", "z"]},
			{"op": "replace", "path": "/candidate/changed/1/tasks", "value": []},
			{"op": "replace", "path": "/settings/manifest/enforcement", "value": mode},
		])
	}
}

test_a_file_in_the_folder_of_another_task_is_denied if codes(change("/candidate/changed/1/tasks", ["a"])) == {"NOT_DECLARED"}
