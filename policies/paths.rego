# METADATA
# title: Classes of paths
# description: What is unsafe everywhere, and what is protected at which security level. No gateway asks it directly.
package paths

# METADATA
# title: A path that leaves the repository or is git's own
is_unsafe(path) if startswith(path, "/")

is_unsafe(path) if startswith(path, "~")

is_unsafe(path) if ".." in split(path, "/")

is_unsafe(path) if contains(path, "\\")

is_unsafe(path) if {
	some part in split(lower(path), "/")
	part == ".git"
}

# METADATA
# title: Names of the classes that protect a path at a security level
protected(path, level) := {class |
	some class in classes[level]
	regex.match(patterns[class], lower(path))
}

classes := {
	"minimal": set(),
	"standard": {"agent configuration", "continuous integration", "git control files"},
	"strict": {"agent configuration", "continuous integration", "git control files", "lock files"},
}

# METADATA
# title: What a class is, on the path in small letters
patterns := {
	"agent configuration": `(^|/)(\.claude|\.cursor|\.vscode|\.idea|\.aider\.conf\.yml|claude\.md|agents\.md|gemini\.md|\.cursorrules|\.mcp\.json)(/|$)`,
	"continuous integration": `^(\.github/|\.ci/|\.circleci/|\.gitlab-ci\.yml$|jenkinsfile$|azure-pipelines\.yml$|\.travis\.yml$|\.pre-commit-config\.yaml$)`,
	"git control files": `(^|/)(\.gitattributes|\.gitmodules|\.lfsconfig)(/|$)`,
	"lock files": `(^|/)(package-lock\.json|yarn\.lock|pnpm-lock\.yaml|poetry\.lock|pdm\.lock|uv\.lock|cargo\.lock|go\.sum|composer\.lock|gemfile\.lock|requirements\.lock)$`,
}

# One look, also at many paths on lines of their own, spares the look at each class: whatever is protected holds one of these.
hints := `(?m)(^|/)\.|\.md(/|$)|jenkinsfile|azure-pipelines|\.lock$|lock\.|go\.sum$`

# METADATA
# title: Files whose text agents take as instructions
is_read_by_agents(path) if regex.match(patterns["agent configuration"], lower(path))

is_read_by_agents(path) if {
	some ending in [".md", ".mdc", ".prompt", ".txt", ".rst"]
	endswith(lower(path), ending)
}
