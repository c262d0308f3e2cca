package shapes_test

import data.shapes

lists := {
	"candidate": {"changed": [1], "sources": [2], "undeclared": [3]},
	"evidence": [4], "gates": {"results": [5]}, "owners": [6], "settings": {"gates": [7]}, "tasks": [8], "verdicts": [9],
}

places := {
	"/candidate/changed", "/candidate/sources", "/candidate/undeclared", "/evidence", "/gates/results", "/owners",
	"/settings/gates", "/tasks", "/verdicts",
}

found := [
	shapes.changed, shapes.sources, shapes.undeclared, shapes.evidence, shapes.results, shapes.owners, shapes.gates, shapes.tasks,
	shapes.verdicts,
]

test_each_list_is_itself if {
	found == [[1], [2], [3], [4], [5], [6], [7], [8], [9]] with input as lists
}

test_nothing_is_missing_where_all_are_lists if {
	shapes.missing == set() with input as lists
}

test_an_empty_list_is_not_missing if {
	every place in places {
		shapes.missing == set() with input as json.patch(lists, [{"op": "replace", "path": place, "value": []}])
	}
}

test_each_place_is_missing_by_itself if {
	every place in places {
		shapes.missing == {place} with input as json.patch(lists, [{"op": "remove", "path": place}])
		every value in [null, "x", 1, {"a": 1}, true, false] {
			shapes.missing == {place} with input as json.patch(lists, [{"op": "replace", "path": place, "value": value}])
		}
	}
}

test_what_is_no_list_is_not_looked_through if {
	not shapes.evidence with input as {"evidence": "x"}
	not shapes.owners with input as {"owners": "x"}
	not shapes.tasks with input as {"tasks": "x"}
	not shapes.verdicts with input as {"verdicts": "x"}
	not shapes.changed with input as {"candidate": {"changed": "x"}}
	not shapes.sources with input as {"candidate": {"sources": "x"}}
	not shapes.undeclared with input as {"candidate": {"undeclared": "x"}}
	not shapes.results with input as {"gates": {"results": "x"}}
	not shapes.gates with input as {"settings": {"gates": "x"}}
	{item | some item in shapes.items([1, 2])} == {1, 2}
	{item | some item in shapes.items("x")} == set()
}

test_a_member_is_told_and_what_is_missing_is_not if {
	shapes.told({"name": "a"}, "name", "nobody") == "a"
	shapes.told({"name": null}, "name", "nobody") == null
	shapes.told({}, "name", "nobody") == "nobody"
	shapes.told("x", "name", "nobody") == "nobody"
	shapes.told(null, "name", "nobody") == "nobody"
	shapes.told(["a"], 0, "nobody") == "nobody"
}
