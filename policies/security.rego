# METADATA
# title: Is the change free of what must never be merged?
# description: |
#   Folded into `merge`; may be asked at a gateway of its own. `launch` asks it about variables.
#   input: candidate{changed[{path, kind, mode, added_lines[]}], patch_complete}, settings{security{level}}
package security

default allow := false

allow if count(deny) == 0

# METADATA
# title: What is found, less what valid waivers take away
deny contains reason if some reason in data.waivers.left(findings)

waived contains reason if some reason in data.waivers.taken(findings)

# METADATA
# title: The change cannot be read
findings contains {"code": "MISSING_FACT", "msg": "the changed files are not known", "path": "/candidate/changed"} if {
	not changes_are_known
}

changes_are_known if is_array(input.candidate.changed)

changed := [change |
	some change in data.shapes.changed
	is_string(change.path)
	is_string(change.mode)
	is_array(change.added_lines)
]

# METADATA
# title: What is added to each of the changed files, in their order, in one piece
texts := [concat("\n", change.added_lines) | some change in changed]

# One look at everything spares the look at each file: most changes hold nothing that any rule looks for.
everything := concat("\n", texts)

names := concat("\n", [change.path | some change in changed])

findings contains {"code": "MISSING_FACT", "msg": "what was changed in a file is not known", "path": "/candidate/changed"} if {
	count(changed) != count(data.shapes.changed)
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
	regex.match(hints, everything) # for speed
	some at, text in texts
	regex.match(hints, text) # for speed
	change := changed[at]
	some index, line in change.added_lines
	some kind in secret_kinds(line)
}

# One look at all lines of a file spares the look at each: whatever a detector finds holds one of these.
hints := `\[redacted:|AKIA|ASIA|gh[pousr]_|PRIVATE KEY|xox[abprs]-|sk-|glpat-|npm_|pypi-|AIza|[rs]k_|eyJ|://`

# METADATA
# title: A secret stands in the name of a file
findings contains {"code": "SECRET_NAME", "msg": sprintf("the name of a file looks like %s", [kind]), "path": "/candidate/changed"} if {
	regex.match(hints, names) # for speed
	some change in changed
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
	regex.match(data.paths.hints, lower(names)) # for speed
	some change in changed
	some class in data.paths.protected(change.path, input.settings.security.level)
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
	regex.match("[\u202a-\u202e\u2066-\u2069]", everything) # for speed
	some at, text in texts
	regex.match("[\u202a-\u202e\u2066-\u2069]", text) # for speed
	change := changed[at]
	some index, line in change.added_lines
	regex.match("[\u202a-\u202e\u2066-\u2069]", line)
}

# METADATA
# title: Characters that nobody sees, in files that agents read as instructions
findings contains {"code": "HIDDEN_TEXT", "msg": sprintf("line %d of what is added holds characters that are not shown", [index + 1]), "path": change.path} if {
	not input.settings.security.level == "minimal"
	regex.match(`[^\x00-\x7f]`, everything) # for speed
	some at, text in texts
	regex.match(`[^\x00-\x7f]`, text) # for speed
	change := changed[at]
	data.paths.is_read_by_agents(change.path)
	some index, line in change.added_lines
	regex.match(`[\x{ad}\x{200b}-\x{200f}\x{2060}-\x{2064}\x{feff}\x{e0000}-\x{e007f}]`, line)
}

# METADATA
# title: In strict projects, files that agents read are plain ASCII
findings contains {"code": "NON_ASCII", "msg": sprintf("line %d of what is added is not ASCII", [index + 1]), "path": change.path} if {
	input.settings.security.level == "strict"
	some change in changed
	data.paths.is_read_by_agents(change.path)
	some index, line in change.added_lines
	regex.match(`[^\x00-\x7f]`, line)
}

# METADATA
# title: A schema is loaded from a host that is not known
# description: Editors and agents fetch what `$schema` names; the list of hosts is part of the bundle.
findings contains {"code": "SCHEMA_HOST", "msg": sprintf("$schema names host %s", [host]), "path": change.path} if {
	not input.settings.security.level == "minimal"
	contains(everything, "$schema") # for speed
	some at, text in texts
	contains(text, "$schema") # for speed
	change := changed[at]
	some line in change.added_lines
	some found in regex.find_all_string_submatch_n(`\$schema["']?\s*[:=]\s*["']?[a-zA-Z]+://([^/"'\s]*)`, line, -1)
	host := lower(found[1])
	not host in schema_hosts
}

schema_hosts := {"json-schema.org", "www.json-schema.org", "json.schemastore.org", "schemas.zeebe.io"}

# METADATA
# title: What a variable of the environment must not do to a worker
# description: |
#   Findings about one name of a worker's `env_allow`; a name that ends in `*` stands for every name that begins so. Variables that
#   make programs load code or change what git and the engine do are never handed on; in strict projects neither is what looks like
#   a credential, but for those on the list.
variable(name, level) := {finding |
	some code in variable_codes[level]
	is_variable(code, upper(name))
	finding := {"code": code, "msg": sprintf("variable %s %s", [name, variable_reasons[code]]), "path": sprintf("/launchers/%s", [name])}
}

variable_codes := {"minimal": [], "standard": ["VARIABLE_FORBIDDEN"], "strict": ["VARIABLE_FORBIDDEN", "VARIABLE_SECRET"]}

variable_reasons := {
	"VARIABLE_FORBIDDEN": "changes which code programs load, or what git and the engine do",
	"VARIABLE_SECRET": "looks like a credential, or stands for names that nobody has seen",
}

is_variable("VARIABLE_FORBIDDEN", name) if {
	some prefix in steering_prefixes
	startswith(name, prefix)
}

is_variable("VARIABLE_FORBIDDEN", name) if name in steering_names

is_variable("VARIABLE_FORBIDDEN", name) if {
	endswith(name, "*")
	some steering in steering_prefixes | steering_names
	startswith(steering, trim_suffix(name, "*"))
}

is_variable("VARIABLE_SECRET", name) if {
	regex.match(`TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|_KEY|APIKEY|AUTH|COOKIE`, name)
	not name in known_credentials
}

is_variable("VARIABLE_SECRET", name) if endswith(name, "*")

steering_prefixes := {"LD_", "DYLD_", "GIT_", "ENGINE_"}

steering_names := {"BASH_ENV", "ENV", "PYTHONSTARTUP", "PYTHONPATH", "PYTHONHOME", "NODE_OPTIONS", "PERL5OPT", "PERL5LIB", "RUBYOPT", "JAVA_TOOL_OPTIONS"}

# METADATA
# title: Credentials that workers of strict projects may have
# description: The list is part of the bundle, so a configuration cannot write itself an exception.
known_credentials := {"ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"}
