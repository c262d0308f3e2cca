# METADATA
# title: Does it keep its time?
# description: |
#   The limits are data: performance.yml. Folded into `launch` (what a task asks for) and `merge` (what gates took); may be asked
#   at a gateway of its own.
#   input: task{timeout_seconds, verification{timeout_seconds}}, gates{results[{name, tier, milliseconds}]}, settings{security{level}}
package performance

default allow := false

allow if count(deny) == 0

# METADATA
# title: What is found, less what valid waivers take away
deny contains reason if some reason in data.waivers.left(findings)

waived contains reason if some reason in data.waivers.taken(findings)

# METADATA
# title: Nobody says how long things may take
findings contains {"code": "MISSING_FACT", "msg": "performance.yml does not say what may take how long, and where it is enforced", "path": "/settings/security/level"} if {
	not limits_are_known
}

limits_are_known if {
	known := data.performance.limits
	is_array(known.enforced_at)
	is_number(known.task_timeout_s)
	is_number(known.verification_timeout_s)
	is_object(known.gate_ms)
	is_string(input.settings.security.level)
}

is_enforced if input.settings.security.level in data.performance.limits.enforced_at

# METADATA
# title: A task asks for more time than any may have
findings contains {"code": "TIMEOUT_TOO_LONG", "msg": sprintf("the task wants %d s, at most %d are given", [asked, limit]), "path": "/task/timeout_seconds"} if {
	is_enforced
	asked := input.task.timeout_seconds
	is_number(asked)
	limit := data.performance.limits.task_timeout_s
	asked > limit
}

findings contains {"code": "TIMEOUT_TOO_LONG", "msg": sprintf("the verification wants %d s, at most %d are given", [asked, limit]), "path": "/task/verification/timeout_seconds"} if {
	is_enforced
	asked := input.task.verification.timeout_seconds
	is_number(asked)
	limit := data.performance.limits.verification_timeout_s
	asked > limit
}

findings contains {"code": "MISSING_FACT", "msg": sprintf("it is not known how long gate %v took", [data.shapes.told(gate, "name", "without a name")]), "path": sprintf("/gates/results/%d", [index])} if {
	is_enforced
	some index, gate in data.shapes.results
	not index in timed
}

timed contains index if {
	some index, gate in data.shapes.results
	is_number(gate.milliseconds)
	is_number(data.performance.limits.gate_ms[gate.tier])
}

# METADATA
# title: A gate took longer than gates of its tier may
findings contains {"code": "SLOW_GATE", "msg": sprintf("gate %v took %d ms, at most %d are given to %v", [gate.name, gate.milliseconds, limit, gate.tier]), "path": sprintf("/gates/results/%d", [index])} if {
	is_enforced
	some index, gate in data.shapes.results
	limit := data.performance.limits.gate_ms[gate.tier]
	gate.milliseconds > limit
}
