# METADATA
# title: May this candidate be merged?
# description: |
#   Asked for exactly one candidate, after its gates. The safety kernel asks for its own five verdicts besides.
#   input: candidate{old, sources[], tree, commit, clean, changed[], undeclared[]}, gates{commit, result, results[]},
#   tasks[{task, state, commit}], tier{tier, max_level}, settings, wave, feature, waivers[]
package merge

import data.security
import data.shapes
import data.waivers

default allow := false

allow if count(deny) == 0

# METADATA
# title: What is found, less what valid waivers take away
deny contains reason if some reason in waivers.left(findings)

waived contains reason if some reason in waivers.taken(findings)

# METADATA
# title: A fact that the policy needs is missing
findings contains {"code": "MISSING_FACT", "msg": sprintf("nothing is known about %s", [name]), "path": sprintf("/%s", [name])} if {
	some name in ["candidate", "gates", "tasks", "tier", "settings"]
	not input[name]
}

findings contains {"code": "MISSING_FACT", "msg": sprintf("%s is no list", [path]), "path": path} if {
	some path in {"/candidate/undeclared", "/candidate/sources", "/gates/results", "/settings/gates", "/tasks"} - lists
}

lists contains "/candidate/undeclared" if is_array(input.candidate.undeclared)

lists contains "/candidate/sources" if is_array(input.candidate.sources)

lists contains "/gates/results" if is_array(input.gates.results)

lists contains "/settings/gates" if is_array(input.settings.gates)

lists contains "/tasks" if is_array(input.tasks)

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
	count(shapes.items(input.candidate.sources)) > 0
}

# METADATA
# title: The gates judged another commit
findings contains {"code": "OTHER_COMMIT", "msg": "the gates did not judge this very commit", "path": "/gates/commit"} if {
	not input.gates.commit == input.candidate.commit
}

# METADATA
# title: The gates did not pass
findings contains {"code": "GATES", "msg": sprintf("the gates ended with %v", [object.get(input.gates, "result", "nothing")]), "path": "/gates/result"} if {
	not input.gates.result == "ok"
}

findings contains {"code": "GATE", "msg": sprintf("required gate %s ended with %v", [object.get(gate, "name", "without a name"), object.get(gate, "result", "nothing")]), "path": sprintf("/gates/results/%d", [index])} if {
	some index, gate in shapes.items(input.gates.results)
	not gate.required == false
	not gate_is_open(gate)
}

gate_is_open(gate) if gate.result == "ok"

# METADATA
# title: A required gate of the configuration did not run
findings contains {"code": "GATE_MISSING", "msg": sprintf("gate %s has no result for this commit", [object.get(gate, "name", "without a name")]), "path": "/gates/results"} if {
	some gate in shapes.items(input.settings.gates)
	gate.stage == "pre_merge"
	not has_result(gate)
}

has_result(gate) if gate.name in {result.name | some result in shapes.items(input.gates.results); result.commit == input.candidate.commit}

# METADATA
# title: A source is not a verified task
findings contains {"code": "UNVERIFIED", "msg": sprintf("commit %s is not the verified result of a task", [source]), "path": "/candidate/sources"} if {
	some source in shapes.items(input.candidate.sources)
	not source in {task.commit | some task in shapes.items(input.tasks); task.state == "verified"}
}

# METADATA
# title: Undeclared writes where the manifest blocks
findings contains {"code": "UNDECLARED_WRITE", "msg": sprintf("%s was written without being declared", [path]), "path": path} if {
	input.settings.manifest.enforcement == "block"
	some path in shapes.items(input.candidate.undeclared)
}

# METADATA
# title: What the security policy denies is never merged
findings contains reason if some reason in security.findings

findings contains {"code": "NO_TIER", "msg": "no gate tier was decided", "path": "/tier/max_level"} if {
	not tier_is_known
}

tier_is_known if is_number(input.tier.max_level)
