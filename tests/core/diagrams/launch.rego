package team.launch

import rego.v1

default allow := false

allow if count(deny) == 0

deny contains reason if {
	input.cost > 10
	reason := {"code": "TOO_DEAR", "message": sprintf("cost %v is more than 10", [input.cost])}
}
