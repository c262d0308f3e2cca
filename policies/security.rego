# METADATA
# title: Is the change free of what must never be merged?
# description: |
#   Folded into `merge`; may be asked at a gateway of its own.
#   input: candidate{changed[{path, kind, mode, added_lines[]}], patch_complete}, settings{security{level}}
package security

import data.paths
import data.shapes
import data.waivers

default allow := false

allow if count(deny) == 0

# METADATA
# title: What is found, less what valid waivers take away
deny contains reason if some reason in waivers.left(findings)

waived contains reason if some reason in waivers.taken(findings)

# METADATA
# title: The change cannot be read
findings contains {"code": "MISSING_FACT", "msg": "the changed files are not known", "path": "/candidate/changed"} if {
	not changes_are_known
}

changes_are_known if is_array(input.candidate.changed)

changed contains change if {
	some change in shapes.items(input.candidate.changed)
	is_readable(change)
}

is_readable(change) if {
	is_string(change.path)
	is_string(change.mode)
	is_array(change.added_lines)
	every line in change.added_lines {
		is_string(line)
	}
}

findings contains {"code": "MISSING_FACT", "msg": "what was changed in a file is not known", "path": "/candidate/changed"} if {
	count(changed) != count({change | some change in shapes.items(input.candidate.changed)})
}

findings contains {"code": "MISSING_FACT", "msg": "the security level is not known", "path": "/settings/security/level"} if {
	not level_is_known
}

level_is_known if input.settings.security.level in {"minimal", "standard", "strict"}

# METADATA
# title: The change is too large to be searched for secrets
findings contains {"code": "DIFF_TOO_LARGE", "msg": "the difference was cut, so it was not searched for secrets", "path": "/candidate/patch_complete"} if {
	input.settings.security.level == "strict"
	not input.candidate.patch_complete == true
}

# METADATA
# title: A secret stands in the change
findings contains {"code": "SECRET", "msg": sprintf("line %d of what is added looks like %s", [index + 1, kind]), "path": change.path} if {
	regex.match(hints, added)
	some change in changed
	regex.match(hints, concat("\n", change.added_lines))
	some index, line in change.added_lines
	some kind in secret_kinds(line)
}

# One look at all that is added, and at all names, spares the look at each file.
added := concat("\n", [line | some change in changed; some line in change.added_lines])

# One look at all lines of a file spares the look at each: whatever a detector finds holds one of these.
hints := `\[redacted:|AKIA|ASIA|gh[pousr]_|PRIVATE KEY|xox[abprs]-|sk-|glpat-|npm_|pypi-|AIza|[rs]k_|eyJ|://`

# METADATA
# title: A secret stands in the name of a file
findings contains {"code": "SECRET_NAME", "msg": sprintf("the name of a file looks like %s", [kind]), "path": "/candidate/changed"} if {
	regex.match(hints, concat("\n", [change.path | some change in changed]))
	some change in changed
	regex.match(hints, change.path)
	some kind in secret_kinds(change.path)
}

# METADATA
# title: Published example values are no secrets
# description: The list is part of the bundle, so a worker cannot write itself an exception.
examples := {"AKIAIOSFODNN7EXAMPLE"}

secret_kinds(line) := {kind |
	some kind, pattern in detectors
	some found in regex.find_n(pattern, line, -1)
	not found in examples
}

detectors := {
	"a redacted secret": `\[redacted:[A-Za-z0-9_. -]+\]`,
	"an AWS access key": `\b(AKIA|ASIA)[0-9A-Z]{16}\b`,
	"a GitHub token": `\bgh[pousr]_[A-Za-z0-9]{36,}\b`,
	"a GitLab token": `\bglpat-[A-Za-z0-9_-]{20,}`,
	"an npm token": `\bnpm_[A-Za-z0-9]{36}\b`,
	"a PyPI token": `\bpypi-[A-Za-z0-9_-]{32,}`,
	"a Google API key": `\bAIza[A-Za-z0-9_-]{35}`,
	"a Stripe key": `\b[rs]k_(live|test)_[A-Za-z0-9]{16,}`,
	"a JSON web token": `\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.`,
	"a password in a URL": `\b[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@$<{]+@`,
	"a private key": `-----BEGIN ([A-Z]+ )?PRIVATE KEY-----`,
	"a Slack token": `\bxox[abprs]-[A-Za-z0-9-]{10,}`,
	"an API key": `\bsk-(ant-)?[A-Za-z0-9_-]{20,}`,
}

# METADATA
# title: A protected file was changed
findings contains {"code": "PROTECTED_PATH", "msg": sprintf("%s is protected (%s)", [change.path, class]), "path": change.path} if {
	regex.match(paths.hints, lower(concat("\n", [change.path | some change in changed])))
	some change in changed
	some class in paths.protected(change.path, input.settings.security.level)
}

# METADATA
# title: Submodules and symbolic links
findings contains {"code": "SUBMODULE", "msg": sprintf("%s is a submodule", [change.path]), "path": change.path} if {
	some change in changed
	change.mode == "160000"
}

findings contains {"code": "SYMLINK", "msg": sprintf("%s is a symbolic link", [change.path]), "path": change.path} if {
	input.settings.security.level == "strict"
	some change in changed
	change.mode == "120000"
}

# METADATA
# title: Direction marks can hide what a line says
findings contains {"code": "BIDI", "msg": sprintf("line %d of what is added holds direction marks", [index + 1]), "path": change.path} if {
	not input.settings.security.level == "minimal"
	regex.match("[\u202a-\u202e\u2066-\u2069]", added)
	some change in changed
	regex.match("[\u202a-\u202e\u2066-\u2069]", concat("\n", change.added_lines))
	some index, line in change.added_lines
	regex.match("[\u202a-\u202e\u2066-\u2069]", line)
}

# METADATA
# title: Characters that nobody sees, in files that agents read as instructions
findings contains {"code": "HIDDEN_TEXT", "msg": sprintf("line %d of what is added holds characters that are not shown", [index + 1]), "path": change.path} if {
	not input.settings.security.level == "minimal"
	regex.match(`[^\x00-\x7f]`, added)
	some change in changed
	regex.match(`[^\x00-\x7f]`, concat("\n", change.added_lines))
	paths.is_read_by_agents(change.path)
	some index, line in change.added_lines
	regex.match(`[\x{ad}\x{200b}-\x{200f}\x{2060}-\x{2064}\x{feff}\x{e0000}-\x{e007f}]`, line)
}

# METADATA
# title: In strict projects, files that agents read are plain ASCII
findings contains {"code": "NON_ASCII", "msg": sprintf("line %d of what is added is not ASCII", [index + 1]), "path": change.path} if {
	input.settings.security.level == "strict"
	some change in changed
	paths.is_read_by_agents(change.path)
	some index, line in change.added_lines
	regex.match(`[^\x00-\x7f]`, line)
}

# METADATA
# title: A schema is loaded from a host that is not known
# description: Editors and agents fetch what `$schema` names; the list of hosts is part of the bundle.
findings contains {"code": "SCHEMA_HOST", "msg": sprintf("$schema names host %s", [host]), "path": change.path} if {
	not input.settings.security.level == "minimal"
	contains(added, "$schema")
	some change in changed
	contains(concat("\n", change.added_lines), "$schema")
	some line in change.added_lines
	some found in regex.find_all_string_submatch_n(`\$schema["']?\s*[:=]\s*["']?[a-zA-Z]+://([^/"'\s]*)`, line, -1)
	host := lower(found[1])
	not host in schema_hosts
}

schema_hosts := {"json-schema.org", "www.json-schema.org", "json.schemastore.org", "schemas.zeebe.io"}
