# Two commands on a fresh machine: `make demo` and `make test`. Each sets up what it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO ?= build/demo

.PHONY: demo test check bench chaos clean format lock

demo: $(STAMP) ## six tasks in three waves, from nothing to a verified ledger
	@rm -rf $(DEMO)
	@$(BIN)/engine demo $(DEMO)

test: $(STAMP) ## the whole suite; says which tests were left out and why
	$(BIN)/python -m pytest -n 2 -q

check: $(STAMP) ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(STAMP) ## measurements beside the peers, as ratios
	$(BIN)/python -m benchmarks

chaos: $(STAMP) ## every fault of tests/crash (hours), 10,000 tamperings, 1,000 planted secrets, every answer at every gateway, mutants of what merges, generated tests in full
	$(BIN)/python -m tests.crash
	$(BIN)/python -m tests.audit.tampering --count 10000
	$(BIN)/python -m tests.acceptance.planted 1000
	$(BIN)/python -m tests.policy.mutation
	DEEP=1 $(BIN)/python -m pytest -n 2 -q tests/decisions tests/feel tests/audit/test_verifier.py
	GATEWAYS=all $(BIN)/python -m pytest -n 2 -q tests/runtime/test_policy_gateways.py

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(STAMP) ## write requirements.lock anew from pyproject.toml
	$(BIN)/pip install -q pip-tools
	$(BIN)/pip-compile -q --extra dev --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras -o requirements.lock pyproject.toml

clean:
	rm -rf build dist $(VENV)

$(STAMP): pyproject.toml requirements.lock
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)
