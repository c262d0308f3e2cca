package paths_test

import data.paths

members := {
	"agent configuration": {".claude/settings.json", "a/.cursor/rules/x.mdc", ".vscode/tasks.json", ".idea/x", ".aider.conf.yml", "CLAUDE.md", "docs/AGENTS.md", "GEMINI.md", ".cursorrules", ".mcp.json", "agents.md/x"},
	"continuous integration": {".github/workflows/a.yml", ".ci/run", ".circleci/config.yml", ".gitlab-ci.yml", "Jenkinsfile", "azure-pipelines.yml", ".travis.yml", ".pre-commit-config.yaml"},
	"git control files": {".gitattributes", "a/.gitmodules", ".lfsconfig"},
	"lock files": {"package-lock.json", "a/yarn.lock", "pnpm-lock.yaml", "poetry.lock", "pdm.lock", "uv.lock", "Cargo.lock", "go.sum", "composer.lock", "Gemfile.lock", "requirements.lock"},
}

test_each_class_protects_its_members_at_strict if {
	every class, names in members {
		every name in names {
			paths.protected(name, "strict") == {class}
		}
	}
}

test_lock_files_are_free_at_standard if {
	every name in members["lock files"] {
		paths.protected(name, "standard") == set()
	}
	every class in ["agent configuration", "continuous integration", "git control files"] {
		every name in members[class] {
			paths.protected(name, "standard") == {class}
		}
	}
}

test_minimal_protects_nothing if {
	every _, names in members {
		every name in names {
			paths.protected(name, "minimal") == set()
		}
	}
}

test_other_files_are_free if {
	every name in ["src/claude.py", "README.md", "my.github/x", "docs/jenkinsfile", "agents.mdx", "go.summary", "unlock.json", ".env", "a/.ci/run"] {
		paths.protected(name, "strict") == set()
	}
}

test_what_leaves_the_repository_is_unsafe if {
	every name in ["/etc/passwd", "~/x", "../x", "a/../../x", "a\\b", ".git/config", "a/.GIT/hooks/x"] {
		paths.is_unsafe(name)
	}
	every name in ["a.py", ".gitignore", "a..b", "git/x"] {
		count([1 | paths.is_unsafe(name)]) == 0
	}
}

test_instructions_are_found_by_name_and_place if {
	every name in ["a.md", "x.MDC", "p.prompt", "n.txt", "d.rst", ".cursor/x.json"] {
		paths.is_read_by_agents(name)
	}
	every name in ["a.py", "md"] {
		count([1 | paths.is_read_by_agents(name)]) == 0
	}
}

test_every_level_says_what_it_protects if {
	count(paths.classes.minimal) == 0
	count(paths.classes.standard) == 3
	count(paths.classes.strict) == 4
}

test_the_look_at_all_names_finds_every_member if {
	every _, names in members {
		every name in names {
			regex.match(paths.hints, lower(concat("\n", ["src/a.py", name, "src/b.py"])))
		}
	}
}
