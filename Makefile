# The targets that people and pipelines use; each makes what it needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV_VERSION := 0.13.9

# The first of these that is Python 3.11 to 3.13; PYTHON=... says which to take.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && command -v $$p && break; done)
# Like pip, trust what the machine trusts, where it says so: companies put their own certificate there.
export UV_SYSTEM_CERTS ?= $(if $(wildcard /etc/ssl/certs/ca-certificates.crt),1,0)
BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet
UV := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python

.PHONY: help run test lint format bench lock migration env-example clean

help: ## This list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: .venv/.installed ## Start everything on http://127.0.0.1:8000 (PORT and DATA_DIR move it).
	@exec $(BIN)/loancheck run

test: .venv/.dev ## All tests, with their coverage gates.
	@$(BIN)/python -m pytest -n 2 --cov --cov-report= tests
	@$(BIN)/coverage report --fail-under=85
	@$(BIN)/coverage report --fail-under=100 --include="$$(tr '\n' ',' < tests/critical.txt)"

lint: .venv/.dev ## Format, lint, types, import rules.
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: .venv/.dev ## Format and mend what can be mended by itself.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/.dev ## The figures that the product promises, as a table.
	@$(BIN)/python -m tests.performance

lock: .venv/.uv ## Compile the locks from requirements*.in; what is run is what is tested.
	@$(COMPILE) requirements-dev.in -o requirements-dev.txt
	@$(COMPILE) requirements.in -c requirements-dev.txt -o requirements.txt
	@$(COMPILE) requirements-legacy.in -o requirements-legacy.txt

migration: .venv/.dev ## A new migration from the tables; NAME=what_changes.
	@$(BIN)/python -m common.database.migrations "$(NAME)"

env-example: .venv/.installed ## .env.example from the settings.
	@$(BIN)/loancheck settings > .env.example

clean: ## Take away what the targets made, the local state excepted.
	@rm -rf .venv .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.venv/.uv: Makefile
	@test -n "$(PYTHON)" || { echo "LoanCollateralCheck needs Python 3.11, 3.12 or 3.13: install one, or say where it is with PYTHON=..." >&2; exit 2; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv || { rm -rf .venv; \
		echo "Python's venv module is not complete; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venv/.installed: .venv/.uv requirements.txt pyproject.toml
	@echo "Installing the packages of requirements.txt into .venv ..."
	@$(UV) --require-hashes -r requirements.txt
	@$(UV) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.installed requirements-dev.txt
	@$(UV) --require-hashes -r requirements-dev.txt
	@touch $@
