# METADATA
# title: May the finished feature be released?
# description: |
#   Asked where the table of release gates wants a person, after the review: nothing moves the base branch otherwise.
#   input: head, gates{commit, result, results[]}, release{max_level, review}, review{commit, approved}, settings{gates[]}, feature
package release

default allow := false

allow if count(deny) == 0

# METADATA
# title: All that is found; nothing of it can be waived
deny contains reason if some reason in findings

# METADATA
# title: A fact that the policy needs is missing
findings contains {"code": "MISSING_FACT", "msg": sprintf("nothing is known about %s", [name]), "path": sprintf("/%s", [name])} if {
	some name in ["gates", "release", "settings"]
	not input[name]
}

findings contains {"code": "MISSING_FACT", "msg": "it is not known which commit would be released", "path": "/head"} if {
	not head_is_known
}

head_is_known if is_string(input.head)

findings contains {"code": "MISSING_FACT", "msg": sprintf("%s is no list", [path]), "path": path} if {
	some path in {"/gates/results", "/settings/gates"} & data.shapes.missing
}

# METADATA
# title: The final gates judged another commit
findings contains {"code": "OTHER_COMMIT", "msg": "the final gates did not judge this very commit", "path": "/gates/commit"} if {
	not input.gates.commit == input.head
}

# METADATA
# title: The final gates did not pass
findings contains {"code": "GATES", "msg": sprintf("the final gates ended with %v", [data.shapes.told(input.gates, "result", "nothing")]), "path": "/gates/result"} if {
	not input.gates.result == "ok"
}

# METADATA
# title: A final gate of the configuration did not run
findings contains {"code": "GATE_MISSING", "msg": sprintf("final gate %v has no result for this commit", [data.shapes.told(gate, "name", "without a name")]), "path": "/gates/results"} if {
	some gate in data.shapes.gates
	gate.stage == "final"
	not has_result(gate)
}

has_result(gate) if {
	some result in data.shapes.results
	result.name == gate.name
	result.commit == input.head
}

# METADATA
# title: The table asks for a review of this very commit
findings contains {"code": "RELEASE_REVIEW", "msg": "the table of release gates asks for a review, and nobody has approved this very commit", "path": "/review"} if {
	not input.release.review == false
	not is_reviewed
}

is_reviewed if {
	input.review.approved == true
	input.review.commit == input.head
}
