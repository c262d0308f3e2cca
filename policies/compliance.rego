# METADATA
# title: Is the audit trail complete, untouched, and is all evidence there?
# description: |
#   Folded into `merge`; may be asked at a gateway of its own. Every gate result must be one of the three results, and `na` must
#   say why; the chain of the run's ledger is whole and witnessed by a signed checkpoint; each source of the candidate was taken
#   from its workspace and verified.
#   input: gates{results[{name, result, reason_code}]}, tasks[{task, state, commit}], candidate{sources[]},
#   audit{entries, whole, signed, reason}, evidence[{commit, captured, verified}]
package compliance

default allow := false

allow if count(deny) == 0

# METADATA
# title: All that is found; nothing of it can be waived
deny contains reason if some reason in findings

# METADATA
# title: A fact that the policy needs is missing
findings contains {"code": "MISSING_FACT", "msg": sprintf("%s is not known", [path]), "path": path} if {
	some path in {"/gates/results", "/tasks", "/candidate/sources", "/evidence"} & data.shapes.missing
}

findings contains {"code": "MISSING_FACT", "msg": "/audit is not known", "path": "/audit"} if not audit_is_known

audit_is_known if {
	is_number(input.audit.entries)
	is_number(input.audit.signed)
	is_boolean(input.audit.whole)
}

# METADATA
# title: The ledger of the run was altered
findings contains {"code": "AUDIT_BROKEN", "msg": sprintf("the ledger of the run does not hold: %v", [data.shapes.told(input.audit, "reason", "nobody says why")]), "path": "/audit/whole"} if {
	is_object(input.audit)
	not input.audit.whole == true
}

# METADATA
# title: No checkpoint witnesses the ledger, so that entries could be replaced unseen
findings contains {"code": "AUDIT_UNSIGNED", "msg": "no signed checkpoint covers the ledger of the run", "path": "/audit/signed"} if {
	is_object(input.audit)
	not is_witnessed
}

is_witnessed if {
	input.audit.signed > 0
	input.audit.signed <= input.audit.entries
}

# METADATA
# title: A result that is none of the three
findings contains {"code": "UNKNOWN_RESULT", "msg": sprintf("gate %v ended with %v", [data.shapes.told(gate, "name", "without a name"), data.shapes.told(gate, "result", "nothing")]), "path": sprintf("/gates/results/%d", [index])} if {
	some index, gate in data.shapes.results
	not index in known_results
}

known_results contains index if {
	some index, gate in data.shapes.results
	gate.result in {"ok", "failed", "na"}
}

# METADATA
# title: Nothing is left out without a reason
findings contains {"code": "UNEXPLAINED_NA", "msg": sprintf("gate %v does not say why it does not apply", [data.shapes.told(gate, "name", "without a name")]), "path": sprintf("/gates/results/%d", [index])} if {
	some index, gate in data.shapes.results
	gate.result == "na"
	data.shapes.told(gate, "reason_code", "") in {"", null}
}

# METADATA
# title: A verified task without its commit
findings contains {"code": "NO_EVIDENCE", "msg": sprintf("task %v is verified, but no commit is named", [data.shapes.told(task, "task", "without a name")]), "path": sprintf("/tasks/%d", [index])} if {
	some index, task in data.shapes.tasks
	task.state == "verified"
	not index in with_commit
}

with_commit contains index if {
	some index, task in data.shapes.tasks
	is_string(task.commit)
}

# METADATA
# title: A source whose work was not taken, or whose verification is not recorded
findings contains {"code": "NO_EVIDENCE", "msg": sprintf("nothing in the ledger shows that commit %v was taken and verified", [source]), "path": sprintf("/candidate/sources/%d", [index])} if {
	some index, source in data.shapes.sources
	not source in proven
}

proven contains commit if {
	some item in data.shapes.evidence
	item.captured == true
	item.verified == true
	commit := item.commit
}
