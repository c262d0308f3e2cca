# METADATA
# title: What a fact must be to be looked through
# description: |
#   The engines differ about `some x in null`: one says nothing, which would deny nothing, the other fails. Policies therefore look
#   through `items(…)`, and deny MISSING_FACT for each list that is not there. No gateway asks this package.
package shapes

# METADATA
# title: The list itself; undefined for anything else
items(value) := value if is_array(value)

# METADATA
# title: A member for a sentence, or what to say when there is none
told(value, key, otherwise) := held if {
	is_object(value)
	held := value[key]
}

else := otherwise

# METADATA
# title: The facts that are lists; each undefined when it is none
changed := input.candidate.changed if is_array(input.candidate.changed)

evidence := input.evidence if is_array(input.evidence)

gates := input.settings.gates if is_array(input.settings.gates)

owners := input.owners if is_array(input.owners)

results := input.gates.results if is_array(input.gates.results)

sources := input.candidate.sources if is_array(input.candidate.sources)

tasks := input.tasks if is_array(input.tasks)

undeclared := input.candidate.undeclared if is_array(input.candidate.undeclared)

verdicts := input.verdicts if is_array(input.verdicts)

# METADATA
# title: The places of those that are none
missing contains "/candidate/changed" if not changed

missing contains "/candidate/sources" if not sources

missing contains "/candidate/undeclared" if not undeclared

missing contains "/evidence" if not evidence

missing contains "/gates/results" if not results

missing contains "/owners" if not owners

missing contains "/settings/gates" if not gates

missing contains "/tasks" if not tasks

missing contains "/verdicts" if not verdicts
