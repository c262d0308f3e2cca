# METADATA
# title: Which waivers count, and for what?
# description: |
#   The other policies give their findings here and deny what is left. Asked itself, it says of each waiver why it does not count.
#   The engine shows only waivers whose signatures are right and which were not revoked; everything else is decided here.
#   input: waivers[{id, scope{code, feature, task, path}, reason, expires, request{by, key, at}, approval{by, key, at}}],
#   feature, now, settings{security{level}}, and the facts of the gateway: task, candidate{tasks[], changed[{path, tasks[]}]}
package waivers

default allow := false

allow if count(deny) == 0

# METADATA
# title: Codes that a waiver may take away, and what the second person has to look at
waivable := {
	"PROTECTED_PATH": "the change of the protected file itself, line by line",
	"SYMLINK": "where the link leads",
	"BIDI": "the line as bytes, not as an editor shows it",
	"HIDDEN_TEXT": "the line as bytes, not as an editor shows it",
	"NON_ASCII": "that the text is what an agent may read as instructions",
	"SCHEMA_HOST": "who serves the schema",
	"NOT_APPROVED": "the task graph",
	"TASK_SIZE": "why the task cannot be cut, or put together with another",
	"NETWORK": "what the worker may reach, and why it must",
	"VARIABLE_SECRET": "what the variable gives access to",
	"TIMEOUT_TOO_LONG": "why it takes so long",
	"SLOW_GATE": "why it takes so long",
}

# METADATA
# title: Tier 0, what no waiver takes away, and why
tier_0 := {
	"MISSING_FACT": "what is not known cannot be excused",
	"EMPTY_PLAN": "there is nothing that could be done",
	"NO_VERIFICATION": "work that nothing verifies is never done",
	"NO_GATES": "evidence would be missing",
	"UNKNOWN_TOOL": "nobody could do the work",
	"PLUGIN_BROKEN": "nobody could do the work, or judge it",
	"UNSAFE_PATH": "the path leads out of the repository, or to git itself",
	"NO_CANDIDATE": "a conflict: there is no commit that could be merged",
	"OTHER_COMMIT": "the evidence is about another commit",
	"GATES": "the validator verdict is not pass: the safety kernel refuses anyhow",
	"GATE": "the validator verdict is not pass: the safety kernel refuses anyhow",
	"GATE_MISSING": "evidence is missing",
	"UNVERIFIED": "done means verified",
	"VERDICT": "a verdict of the safety kernel is missing or not pass: the kernel refuses anyhow",
	"NOT_DECLARED": "the manifest verdict would not be pass",
	"NO_OWNER": "nobody has verified what no task has made",
	"TWO_OWNERS": "nobody has verified the file that two tasks made together",
	"TIER": "evidence is missing",
	"REVIEW": "evidence is missing: a waiver is no review",
	"RELEASE_REVIEW": "evidence is missing: a waiver is no review",
	"NETWORK_UNDECIDED": "it is decided in the configuration, once for all",
	"VARIABLE_FORBIDDEN": "the worker could change what the engine and git do",
	"AUDIT_BROKEN": "nothing that is recorded could be believed",
	"AUDIT_UNSIGNED": "evidence is missing",
	"UNDECLARED_WRITE": "the manifest verdict is not pass: the safety kernel refuses anyhow",
	"RUN_BUDGET": "the budget verdict is not pass: the safety kernel refuses anyhow",
	"TASK_BUDGET": "the budget verdict is not pass: the safety kernel refuses anyhow",
	"NO_TIER": "evidence is missing",
	"SECRET": "a secret that was merged is known for ever",
	"SECRET_NAME": "a secret that was merged is known for ever",
	"DIFF_TOO_LARGE": "nobody has looked for secrets",
	"SUBMODULE": "the text of another repository would be merged unseen",
	"UNKNOWN_RESULT": "evidence is missing",
	"UNEXPLAINED_NA": "evidence is missing",
	"NO_EVIDENCE": "evidence is missing",
}

# METADATA
# title: What a waiver must be for it to count, and what is said when it is not
requirements := {
	"WAIVER_TIER_0": "its code cannot be waived",
	"WAIVER_OTHER_FEATURE": "it is for another feature",
	"WAIVER_UNAPPROVED": "no second person has approved it",
	"WAIVER_ONE_PERSON": "the person who asked for it has approved it",
	"WAIVER_EXPIRED": "it has expired",
	"WAIVER_NOT_YET": "it was asked for or approved at a time that has not come",
	"WAIVER_TOO_LONG": "it lasts longer than the security level allows",
}

# METADATA
# title: For how many days a waiver may last at a security level
longest_days := {"minimal": 90, "standard": 30, "strict": 7}

# Each requirement is met only by what is there: a member that is missing meets nothing.
met(waiver, "WAIVER_TIER_0") if {
	waivable[waiver.scope.code]
	count({code | some code, _ in tier_0; code == waiver.scope.code}) == 0
}

met(waiver, "WAIVER_OTHER_FEATURE") if waiver.scope.feature == input.feature

met(waiver, "WAIVER_UNAPPROVED") if is_string(waiver.approval.by)

met(waiver, "WAIVER_ONE_PERSON") if {
	waiver.request.by != waiver.approval.by
	waiver.request.key != waiver.approval.key
}

met(waiver, "WAIVER_EXPIRED") if time.parse_rfc3339_ns(waiver.expires) > now

met(waiver, "WAIVER_NOT_YET") if {
	time.parse_rfc3339_ns(waiver.request.at) <= now
	time.parse_rfc3339_ns(waiver.approval.at) <= now
}

met(waiver, "WAIVER_TOO_LONG") if {
	lasts := time.parse_rfc3339_ns(waiver.expires) - time.parse_rfc3339_ns(waiver.request.at)
	lasts <= longest_days[input.settings.security.level] * 86400000000000
}

now := time.parse_rfc3339_ns(input.now)

# METADATA
# title: The requirements that a waiver does not meet
faults(waiver) := {code | some code, _ in requirements} - {code | some code, _ in requirements; met(waiver, code)}

shown := input.waivers if is_array(input.waivers)

# METADATA
# title: The findings that waivers which count take away, each with the waiver
taken(findings) := {object.union(finding, {"waiver": waiver.id}) |
	some finding in findings
	some waiver in shown
	waiver.scope.code == finding.code
	is_at(waiver.scope.path, finding.path)
	is_about(waiver.scope.task, finding.path)
	faults(waiver) == set()
}

# METADATA
# title: The findings that no waiver takes away
left(findings) := findings - {object.remove(finding, ["waiver"]) | some finding in taken(findings)}

is_at(scope, _) if scope == null

is_at(scope, path) if scope == path

is_at(scope, path) if {
	is_string(scope)
	endswith(scope, "/")
	startswith(path, scope)
}

is_about(task, _) if task == null

is_about(task, _) if task == input.task.id

is_about(task, path) if {
	owners := {owner | some change in input.candidate.changed; change.path == path; some owner in change.tasks}
	owners == {task}
}

is_about(task, _) if {
	names := {name | some name in input.candidate.tasks}
	names == {task}
}

# METADATA
# title: A waiver that does not count
deny contains {"code": code, "msg": sprintf("waiver %s: %s", [waiver.id, requirements[code]]), "path": sprintf("/waivers/%d", [index])} if {
	some index, waiver in shown
	some code in faults(waiver) - implied(faults(waiver))
}

# Without an approval there is no second person and no time of it: that need not be said three times.
implied(codes) := {"WAIVER_ONE_PERSON", "WAIVER_NOT_YET"} if "WAIVER_UNAPPROVED" in codes

else := set()

# METADATA
# title: A fact that the policy needs is missing
deny contains {"code": "MISSING_FACT", "msg": sprintf("nothing is known about %s", [name]), "path": sprintf("/%s", [name])} if {
	some name in ["waivers", "now", "feature", "settings"]
	not input[name]
}
