# METADATA
# title: Is the evidence complete?
# description: |
#   Every gate result must be one of the three results, and `na` must say why.
#   input: gates{results[{name, result, reason_code}]}, tasks[{task, state, commit}]
package compliance

import data.shapes

default allow := false

allow if count(deny) == 0

# METADATA
# title: Results are missing
deny contains {"code": "MISSING_FACT", "msg": "there are no gate results to look at", "path": "/gates/results"} if {
	not results_are_known
}

results_are_known if is_array(input.gates.results)

# METADATA
# title: A result that is none of the three
deny contains {"code": "UNKNOWN_RESULT", "msg": sprintf("gate %s ended with %v", [object.get(gate, "name", "without a name"), object.get(gate, "result", "nothing")]), "path": sprintf("/gates/results/%d", [index])} if {
	some index, gate in shapes.items(input.gates.results)
	not is_known(gate)
}

is_known(gate) if gate.result in {"ok", "failed", "na"}

# METADATA
# title: Nothing is left out without a reason
deny contains {"code": "UNEXPLAINED_NA", "msg": sprintf("gate %s does not say why it does not apply", [object.get(gate, "name", "without a name")]), "path": sprintf("/gates/results/%d", [index])} if {
	some index, gate in shapes.items(input.gates.results)
	gate.result == "na"
	object.get(gate, "reason_code", "") == ""
}

# METADATA
# title: A verified task without its commit
deny contains {"code": "NO_EVIDENCE", "msg": sprintf("task %s is verified, but no commit is named", [object.get(task, "task", "without a name")]), "path": "/tasks"} if {
	some task in shapes.items(input.tasks)
	task.state == "verified"
	not names_commit(task)
}

names_commit(task) if is_string(task.commit)
