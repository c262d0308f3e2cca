# METADATA
# title: May this candidate be merged?
# description: |
#   Asked for exactly one candidate, after its gates. The safety kernel asks for its own five verdicts besides, whatever is said here.
#   input: candidate{old, sources[], tree, commit, clean, changed[], undeclared[]}, gates{commit, result, results[]},
#   verdicts[{kind, verdict, commit, seq}], tasks[{task, state, commit}], tier{max_level, review}, review{commit, approved},
#   owners[{task, files}], audit{entries, whole, signed}, evidence[{commit, captured, verified}], spent{tokens, cost_micros},
#   settings, wave, feature, waivers[]
package merge

# Other packages are named in full (data.security.findings): behind `import data.security` the embedded engine would judge by every
# rule of the package, those for its own gateway too, before it looks at one.

default allow := false

allow if count(deny) == 0

# METADATA
# title: What is found, less what valid waivers take away
deny contains reason if some reason in data.waivers.left(findings)

waived contains reason if some reason in data.waivers.taken(findings)

# METADATA
# title: A fact that the policy needs is missing
findings contains {"code": "MISSING_FACT", "msg": sprintf("nothing is known about %s", [name]), "path": sprintf("/%s", [name])} if {
	some name in ["candidate", "gates", "tasks", "tier", "settings"]
	not input[name]
}

findings contains {"code": "MISSING_FACT", "msg": sprintf("%s is no list", [path]), "path": path} if {
	some path in {"/candidate/sources", "/gates/results", "/settings/gates", "/tasks", "/verdicts"} & data.shapes.missing
}

# METADATA
# title: The candidate is no clean merge
findings contains {"code": "NO_CANDIDATE", "msg": "there is no clean merge commit to judge", "path": "/candidate"} if {
	not clean
}

clean if {
	input.candidate.clean == true
	is_string(input.candidate.commit)
	is_string(input.candidate.old)
	is_string(input.candidate.tree)
	count(data.shapes.sources) > 0
}

# METADATA
# title: The gates judged another commit
findings contains {"code": "OTHER_COMMIT", "msg": "the gates did not judge this very commit", "path": "/gates/commit"} if {
	not input.gates.commit == input.candidate.commit
}

# METADATA
# title: The gates did not pass
findings contains {"code": "GATES", "msg": sprintf("the gates ended with %v", [data.shapes.told(input.gates, "result", "nothing")]), "path": "/gates/result"} if {
	not input.gates.result == "ok"
}

findings contains {"code": "GATE", "msg": sprintf("required gate %v ended with %v", [data.shapes.told(gate, "name", "without a name"), data.shapes.told(gate, "result", "nothing")]), "path": sprintf("/gates/results/%d", [index])} if {
	some index, gate in data.shapes.results
	not gate.required == false
	not gate.result == "ok"
}

# METADATA
# title: A required gate of the configuration did not run
findings contains {"code": "GATE_MISSING", "msg": sprintf("gate %v has no result for this commit", [data.shapes.told(gate, "name", "without a name")]), "path": "/gates/results"} if {
	some gate in data.shapes.gates
	gate.stage == "pre_merge"
	not has_result(gate)
}

has_result(gate) if {
	some result in data.shapes.results
	result.name == gate.name
	result.commit == input.candidate.commit
}

# METADATA
# title: A source is not a verified task
findings contains {"code": "UNVERIFIED", "msg": sprintf("commit %s is not the verified result of a task", [source]), "path": "/candidate/sources"} if {
	some source in data.shapes.sources
	not source in verified
}

verified contains commit if {
	some task in data.shapes.tasks
	task.state == "verified"
	commit := task.commit
}

# METADATA
# title: What the security policy denies is never merged
findings contains reason if some reason in data.security.findings

# METADATA
# title: Nor what the other policies deny
findings contains reason if some reason in data.budget.findings

findings contains reason if some reason in data.compliance.findings

findings contains reason if some reason in data.ownership.findings

findings contains reason if some reason in data.performance.findings

# METADATA
# title: The safety kernel's verdicts about this very commit
# description: Five open a merge. Four are recorded before the policy is asked; the fifth is its own answer.
findings contains {"code": "VERDICT", "msg": sprintf("no recorded %s verdict passes this very commit", [kind]), "path": "/verdicts"} if {
	some kind in awaited - passed
}

awaited contains kind if some kind in ["conflict", "manifest", "budget"]

# Without gates that passed there is no validator verdict to wait for, and GATES says so.
awaited contains "validator" if input.gates.result == "ok"

# The id of a commit names its tree and its parents, so nothing else need be compared.

# METADATA
# title: The kinds whose last verdict about this very commit is pass, and nothing besides
passed contains kind if {
	some kind in {"conflict", "manifest", "budget", "validator"}
	of_kind := [given | some given in about_it; given.kind == kind]
	last := max([given.seq | some given in of_kind])
	said := {given.verdict | some given in of_kind; given.seq == last}
	said == {"pass"}
}

about_it := [given |
	some given in data.shapes.verdicts
	given.commit == input.candidate.commit
]

# METADATA
# title: No gate tier was decided
findings contains {"code": "NO_TIER", "msg": "no gate tier was decided", "path": "/tier"} if {
	not tier_is_known
}

tier_is_known if {
	input.tier.max_level in {0, 1, 2, 3, 4, 5}
	is_boolean(input.tier.review)
}

# METADATA
# title: A gate that the tier asks for was treated as if it were not required
findings contains {"code": "TIER", "msg": sprintf("gate %v is not excused by the tier or the configuration, and ended with %v", [data.shapes.told(gate, "name", "without a name"), data.shapes.told(gate, "result", "nothing")]), "path": sprintf("/gates/results/%d", [index])} if {
	some index, gate in data.shapes.results
	gate.required == false
	not gate.result == "ok"
	not is_excused(gate)
}

is_excused(result) if {
	some gate in data.shapes.gates
	gate.name == result.name
	gate.enforcement in {"off", "warn"}
}

is_excused(result) if {
	some gate in data.shapes.gates
	gate.name == result.name
	levels[gate.tier] > input.tier.max_level
}

levels := {"L0": 0, "L1": 1, "L2": 2, "L3": 3, "L4": 4, "L5": 5}

# METADATA
# title: The tier asks for a review of this very commit
findings contains {"code": "REVIEW", "msg": "the gate tier table asks for a review, and nobody has approved this very commit", "path": "/review"} if {
	input.tier.review == true
	not is_reviewed
}

is_reviewed if {
	input.review.approved == true
	input.review.commit == input.candidate.commit
}
