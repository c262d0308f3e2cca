"""The runtime: wires core, store, git, workers and policies into runs. See ARCHITECTURE.md."""
