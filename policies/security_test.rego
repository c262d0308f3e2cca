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

test_an_empty_input_is_denied if not security.allow with input as {}

test_an_aws_key_is_found if codes(with_line(concat("", ["key = AKIA", "ABCDEFGHIJKLMNOP"]))) == {"SECRET"}

test_a_private_key_is_found if codes(with_line(concat("", ["-----BEGIN ", "PRIVATE KEY-----"]))) == {"SECRET"}

test_a_redacted_secret_is_found if codes(with_line("token = [redacted:github_token]")) == {"SECRET"}

test_a_submodule_is_found if codes(with_change("mode", "160000")) == {"SUBMODULE"}

test_agent_configuration_is_found if codes(with_change("path", "AGENTS.md")) == {"PROTECTED_PATH"}

test_direction_marks_are_found if codes(with_line("a\u202eb")) == {"BIDI"}
