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
protected(path, level) := {class | some class in classes[level]; matches(path, class)}

# One look at a name in small letters, or at many, spares the look for each class: whatever is protected holds one of these.
hints := `claude|cursor|vscode|idea|aider|agents|gemini|mcp|github|\.ci/|gitlab|jenkins|azure|travis|pre-commit|\.gita|\.gitm|lock|go\.sum`

classes := {
	"minimal": set(),
	"standard": {"agent configuration", "continuous integration", "git control files"},
	"strict": {"agent configuration", "continuous integration", "git control files", "lock files"},
}

matches(path, "agent configuration") if {
	some part in split(lower(path), "/")
	part in {".claude", ".cursor", ".vscode", ".idea", ".aider.conf.yml", "claude.md", "agents.md", "gemini.md", ".cursorrules", ".mcp.json"}
}

matches(path, "continuous integration") if startswith(lower(path), ".github/")

matches(path, "continuous integration") if startswith(lower(path), ".ci/")

matches(path, "continuous integration") if lower(path) in {".gitlab-ci.yml", "jenkinsfile", "azure-pipelines.yml", ".travis.yml", ".pre-commit-config.yaml"}

matches(path, "git control files") if {
	some part in split(lower(path), "/")
	part in {".gitattributes", ".gitmodules"}
}

matches(path, "lock files") if {
	parts := split(lower(path), "/")
	parts[count(parts) - 1] in {"package-lock.json", "yarn.lock", "pnpm-lock.yaml", "poetry.lock", "uv.lock", "cargo.lock", "go.sum", "requirements.lock"}
}

# METADATA
# title: Files whose text agents take as instructions
is_read_by_agents(path) if matches(path, "agent configuration")

is_read_by_agents(path) if {
	some ending in [".md", ".mdc", ".prompt", ".txt", ".rst"]
	endswith(lower(path), ending)
}
