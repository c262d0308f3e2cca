package security_test

import data.security

base := {
	"candidate": {"changed": [{"path": "src/a.py", "kind": "created", "mode": "100644", "added_lines": ["x = 1"]}], "patch_complete": true},
	"settings": {"security": {"level": "standard"}},
}

with_line(line) := json.patch(base, [{"op": "replace", "path": "/candidate/changed/0/added_lines", "value": [line]}])

with_change(key, value) := json.patch(base, [{"op": "replace", "path": sprintf("/candidate/changed/0/%s", [key]), "value": value}])

codes(input_) := {reason.code | some reason in security.deny with input as input_}

test_a_plain_change_is_free if security.allow with input as base

test_an_empty_input_is_denied if security.allow == false with input as {}

test_an_aws_key_is_found if codes(with_line(concat("", ["key = AKIA", "ABCDEFGHIJKLMNOP"]))) == {"SECRET"}

test_a_private_key_is_found if codes(with_line(concat("", ["-----BEGIN ", "PRIVATE KEY-----"]))) == {"SECRET"}

test_a_redacted_secret_is_found if codes(with_line("token = [redacted:github_token]")) == {"SECRET"}

test_a_submodule_is_found if codes(with_change("mode", "160000")) == {"SUBMODULE"}

test_agent_configuration_is_found if codes(with_change("path", "AGENTS.md")) == {"PROTECTED_PATH"}

test_direction_marks_are_found if codes(with_line("a\u202eb")) == {"BIDI"}

at_level(level, path, line) := {
	"candidate": {"changed": [{"path": path, "kind": "created", "mode": "100644", "added_lines": [line]}], "patch_complete": true},
	"settings": {"security": {"level": level}},
}

test_every_detector_finds_its_kind if {
	word := "abcdefghijklmnopqrstuvwxyz0123456789"
	lines := {
		"a GitHub token": concat("", ["ghp", "_", word]),
		"a GitLab token": concat("", ["glpat", "-", word]),
		"an npm token": concat("", ["npm", "_", word]),
		"a PyPI token": concat("", ["pypi", "-", word]),
		"a Google API key": concat("", ["AI", "za", substring(word, 0, 35)]),
		"a Stripe key": concat("", ["sk", "_live_", word]),
		"a Slack token": concat("", ["xox", "b-", word]),
		"an API key": concat("", ["s", "k-", word]),
		"a JSON web token": concat("", ["ey", "J", word, ".", word, "."]),
		"a password in a URL": concat("", ["https://user", ":", "hunter22@", "example.org"]),
	}
	every kind, line in lines {
		kind in security.secret_kinds(line)
		codes(with_line(line)) == {"SECRET"}
	}
}

test_a_published_example_is_no_secret if security.allow with input as with_line("AKIAIOSFODNN7EXAMPLE")

test_an_example_beside_a_secret_does_not_hide_it if {
	codes(with_line(concat("", ["AKIAIOSFODNN7EXAMPLE AKIA", "ABCDEFGHIJKLMNOP"]))) == {"SECRET"}
}

test_a_secret_in_a_file_name_is_found if codes(with_change("path", "[redacted:github-token].txt")) == {"SECRET_NAME"}

test_hidden_text_in_instructions_is_found if codes(at_level("standard", "docs/a.md", "a\u200bb")) == {"HIDDEN_TEXT"}

test_umlauts_in_a_manual_are_free_at_standard if security.allow with input as at_level("standard", "a.md", "für")

test_umlauts_in_a_manual_are_found_at_strict if codes(at_level("strict", "a.md", "für")) == {"NON_ASCII"}

test_umlauts_in_code_are_free if security.allow with input as at_level("strict", "a.py", "für")

test_a_strange_schema_host_is_found if {
	codes(at_level("standard", "a.json", `{"$schema": "https://evil.example/x.json"}`)) == {"SCHEMA_HOST"}
}

test_a_known_schema_host_is_free if {
	security.allow with input as at_level("standard", "a.json", `{"$schema": "https://json-schema.org/draft/2020-12/schema"}`)
}

test_lock_files_are_protected_at_strict_only if {
	codes(at_level("strict", "uv.lock", "x")) == {"PROTECTED_PATH"}
	security.allow with input as at_level("standard", "uv.lock", "x")
}

test_symbolic_links_are_denied_at_strict if {
	codes(json.patch(at_level("strict", "a.py", "x"), [{"op": "replace", "path": "/candidate/changed/0/mode", "value": "120000"}])) == {"SYMLINK"}
}

test_minimal_still_finds_secrets if {
	codes(at_level("minimal", "a.py", concat("", ["AKIA", "ABCDEFGHIJKLMNOP"]))) == {"SECRET"}
}

test_an_unknown_level_is_denied if codes(at_level("none", "a.py", "x")) == {"MISSING_FACT"}

test_a_redacted_variable_is_found if codes(with_line("x = [redacted:SERVICE_TOKEN_1]")) == {"SECRET"}

test_a_cut_difference_is_denied_at_strict if {
	codes(json.patch(at_level("strict", "a.py", "x"), [{"op": "replace", "path": "/candidate/patch_complete", "value": false}])) == {"DIFF_TOO_LARGE"}
}

found(name, level) := {finding.code | some finding in security.variable(name, level)}

test_variables_that_steer_programs_are_found if {
	every name in ["LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "GIT_SSH_COMMAND", "ENGINE_WAIVER_KEY", "BASH_ENV", "PYTHONPATH", "NODE_OPTIONS", "ld_preload"] {
		found(name, "standard") == {"VARIABLE_FORBIDDEN"}
		"VARIABLE_FORBIDDEN" in found(name, "strict")
		found(name, "minimal") == set()
	}
}

test_a_pattern_that_lets_them_through_is_found if {
	every name in ["LD_*", "GI*", "E*", "PYTHON*"] {
		found(name, "standard") == {"VARIABLE_FORBIDDEN"}
	}
}

test_credentials_are_found_at_strict_only if {
	every name in ["DEPLOY_TOKEN", "db_password", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "AWS_*"] {
		found(name, "strict") == {"VARIABLE_SECRET"}
		found(name, "standard") == set()
	}
}

test_known_credentials_and_plain_names_are_free if {
	every name in ["ANTHROPIC_API_KEY", "LANG", "TERM", "HOME"] {
		found(name, "strict") == set()
	}
}

test_a_change_that_cannot_be_read_is_denied if {
	every key in ["path", "mode", "added_lines"] {
		"MISSING_FACT" in codes(with_change(key, null))
	}
	"MISSING_FACT" in codes({"settings": {"security": {"level": "standard"}}, "candidate": {"changed": ["x"]}})
}

test_changes_that_are_not_known_are_said if {
	said := {reason.msg | some reason in security.deny} with input as {"settings": {"security": {"level": "standard"}}}
	said == {"the changed files are not known"}
}

test_what_only_strict_denies_is_free_below_it if {
	every level in ["minimal", "standard"] {
		security.allow with input as json.patch(at_level(level, "a.py", "x"), [{"op": "replace", "path": "/candidate/patch_complete", "value": false}])
		security.allow with input as json.patch(at_level(level, "a.py", "x"), [{"op": "replace", "path": "/candidate/changed/0/mode", "value": "120000"}])
		security.allow with input as at_level(level, "a.md", "für")
	}
}

test_what_is_free_at_minimal if {
	every line in ["a\u202eb", "a\u200bb", `{"$schema": "https://evil.example/x.json"}`] {
		security.allow with input as at_level("minimal", "a.md", line)
	}
}

test_hidden_text_in_code_is_free if security.allow with input as at_level("standard", "a.py", "a\u200bb")

# A file of three lines, of which the second is found; and a file beside it, in which nothing is.
test_the_line_and_the_file_are_named if {
	cases := {
		"BIDI": ["standard", "a.md", "a\u202eb"],
		"HIDDEN_TEXT": ["standard", "a.md", "a\u200bb"],
		"NON_ASCII": ["strict", "a.md", "für"],
		"SECRET": ["standard", "a.md", concat("", ["AKIA", "ABCDEFGHIJKLMNOP"])],
	}
	every code, given in cases {
		[level, path, line] := given
		asked := json.patch(at_level(level, path, "x"), [
			{"op": "replace", "path": "/candidate/changed/0/added_lines", "value": ["x", line, "y"]},
			{"op": "add", "path": "/candidate/changed/1", "value": {"path": "b.md", "kind": "created", "mode": "100644", "added_lines": ["z"]}},
		])
		said := {[reason.code, reason.path, substring(reason.msg, 0, 7)] | some reason in security.deny} with input as asked
		said == {[code, "a.md", "line 2 "]}
	}
}

test_a_name_that_only_begins_one_is_free if {
	every name in ["L", "G", "PYTHON", "BASH"] {
		found(name, "standard") == set()
	}
}

test_a_waived_finding_is_said if {
	waiver := {
		"id": "W-1",
		"scope": {"code": "PROTECTED_PATH", "feature": "shop", "task": null, "path": "AGENTS.md"},
		"expires": "2026-01-08T00:00:00Z",
		"request": {"by": "alice", "key": "1", "at": "2026-01-01T00:00:00Z"},
		"approval": {"by": "bob", "key": "2", "at": "2026-01-01T00:00:00Z"},
	}
	asked := object.union(with_change("path", "AGENTS.md"), {"feature": "shop", "now": "2026-01-02T00:00:00Z", "waivers": [waiver]})
	security.allow with input as asked
	said := security.waived with input as asked
	{[reason.code, reason.waiver] | some reason in said} == {["PROTECTED_PATH", "W-1"]}
}
