# METADATA
# title: What a fact must be to be looked through
# description: |
#   The engines differ about `some x in null`: one says nothing, which would deny nothing, the other fails. Policies therefore look
#   through `items(…)`, and deny MISSING_FACT for each list that is not there. No gateway asks this package.
package shapes

# METADATA
# title: The list itself; undefined for anything else
items(value) := value if is_array(value)
