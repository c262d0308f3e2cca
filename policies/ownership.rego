# METADATA
# title: Did each task write its own files only?
# description: |
#   Folded into `merge`; may be asked at a gateway of its own. Where the manifest does not block, it finds nothing.
#   input: candidate{changed[{path, tasks[]}], undeclared[]}, owners[{task, files{create[], modify[]}}],
#   settings{manifest{enforcement}}
package ownership

default allow := false

allow if count(deny) == 0

# METADATA
# title: All that is found; nothing of it can be waived
deny contains reason if some reason in findings

# METADATA
# title: A fact that the policy needs is missing
findings contains {"code": "MISSING_FACT", "msg": sprintf("%s is not known", [path]), "path": path} if {
	some path in {"/owners", "/candidate/changed", "/candidate/undeclared"} & data.shapes.missing
}

findings contains {"code": "MISSING_FACT", "msg": "it is not known what the manifest does", "path": "/settings/manifest/enforcement"} if {
	not mode_is_known
}

mode_is_known if input.settings.manifest.enforcement in {"off", "warn", "block"}

# METADATA
# title: A write that the snapshot of the task found undeclared
findings contains {"code": "UNDECLARED_WRITE", "msg": sprintf("%v was written without being declared", [path]), "path": sprintf("%v", [path])} if {
	input.settings.manifest.enforcement == "block"
	some path in data.shapes.undeclared
}

# METADATA
# title: A file of the candidate is not among the files of the task that changed it
findings contains {"code": "NOT_DECLARED", "msg": sprintf("task %v has not declared %v", [task, change.path]), "path": sprintf("%v", [change.path])} if {
	some change in suspicious
	declared := declaring(change.path)
	some task in data.shapes.items(change.tasks)
	not task in declared
}

findings contains {"code": "MISSING_FACT", "msg": "a changed file has no name", "path": "/candidate/changed"} if {
	some change in suspicious
	not change in named
}

named contains change if {
	some change in suspicious
	is_string(change.path)
}

# METADATA
# title: No task has made this change, so merging made it
findings contains {"code": "NO_OWNER", "msg": sprintf("no task has changed %v", [data.shapes.told(change, "path", "a file without a name")]), "path": "/candidate/changed"} if {
	some change in suspicious
	not change in changed_by_somebody
}

# METADATA
# title: Two tasks of one candidate changed one file
findings contains {"code": "TWO_OWNERS", "msg": sprintf("%v was changed by %s", [change.path, concat(" and ", change.tasks)]), "path": sprintf("%v", [change.path])} if {
	some change in suspicious
	count(data.shapes.items(change.tasks)) > 1
}

# METADATA
# title: Every change but those of one task that has declared the file
suspicious := [change |
	input.settings.manifest.enforcement == "block"
	some index, change in data.shapes.changed
	not index in proper # for speed
]

proper contains index if { # for speed
	some [index, task, path] in sole
	[task, path] in declared
}

proper contains index if { # for speed
	some [index, task, path] in sole
	some [owner, folder] in folders
	startswith(path, folder)
	owner == task
}

sole := [[index, change.tasks[0], change.path] |
	some index, change in data.shapes.changed
	is_array(change.tasks)
	count(change.tasks) == 1
]

changed_by_somebody contains change if {
	some change in suspicious
	count(data.shapes.items(change.tasks)) > 0
}

# METADATA
# title: The tasks that have declared a file, by its name or by a folder that ends in /
declaring(path) := named_by | within if {
	named_by := {task | some [task, entry] in declared; entry == path}
	within := {task | some [task, folder] in folders; startswith(path, folder)}
}

# Looked up by task and name; only folders are searched. A candidate may have hundreds of changes, and its tasks hundreds of files.
declared contains [task, entry] if {
	some owner in data.shapes.owners
	task := owner.task
	some kind in ["create", "modify"]
	some entry in data.shapes.items(owner.files[kind])
}

folders contains [task, entry] if {
	some [task, entry] in declared
	endswith(entry, "/")
}
