# Everything a developer or CI runs. What takes more than five lines lives in tools/.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON := .venv/bin/python
READY := .venv/.ready
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo)

HOSTS ?= 4
VMS ?= 8
ARGS ?=

.PHONY: help
help: ## Show this list
	@echo "ballastd: make TARGET"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  lab-up takes HOSTS=$(HOSTS) VMS=$(VMS); test takes ARGS='-k evacuation' and the like."

# the stamp keeps a second `make test` from doing the set-up again
$(READY): pyproject.toml uv.lock tools/setup.sh tools/uv.sh
	tools/setup.sh
	@touch $@

.PHONY: setup
setup: $(READY) ## Install system packages (Debian 12; root or sudo) and the locked .venv

.PHONY: demo
demo: $(READY) ## Hosts, VMs and a failing fan on this machine: watch an evacuation (root or sudo)
	$(AS_ROOT) $(PYTHON) -m tests.demo

.PHONY: lab-up
lab-up: $(READY) ## Start a lab of real libvirtd hosts in network namespaces (root or sudo)
	$(AS_ROOT) $(PYTHON) -m tests.lab up --hosts $(HOSTS) --vms $(VMS)

.PHONY: lab-down
lab-down: ## Take the lab down again (root or sudo)
	$(AS_ROOT) $(PYTHON) -m tests.lab down

.PHONY: test
test: $(READY) ## Run all tests: unit, property, contracts, integration; as root also the lab
	tools/test.sh $(ARGS)

.PHONY: check
check: $(READY) ## Lint, types, floors, lock file, systemd units, shell scripts
	tools/check.sh

.PHONY: pages
pages: $(READY) ## Make the schema and the reference of policies anew from the models
	.venv/bin/ballastctl policy schema >policies/schema.json
	.venv/bin/ballastctl policy reference >docs/policy-reference.md

.PHONY: bench-planner
bench-planner: $(READY) ## Plans beside bounds, an exact solver, hbal and ProxLB: a table and JSON (ARGS='--hosts 10'; see benchmarks/)
	$(PYTHON) -m benchmarks.planner $(ARGS)

SEEDS ?= 20
FIRST ?= 1
.PHONY: sim
sim: $(READY) ## Rehearse nights of pretend clusters, SEEDS of them in parallel; prints how to repeat what breaks a rule
	$(PYTHON) -m tests.simulation --seeds $(SEEDS) --first $(FIRST) $(ARGS)

.PHONY: accept
accept: $(READY) ## Accept what the scenarios do now: review the difference like code
	$(PYTHON) -m tests.scenarios accept

.PHONY: mutants
mutants: $(READY) ## Throw seeded faults at the tests and show which net catches each (hours; ARGS='--out FILE' goes on)
	$(PYTHON) -m tests.mutants $(ARGS)

.PHONY: chaos
chaos: $(READY) ## Break something in the middle of real migrations, again and again (root or sudo; ARGS='--rounds 40'; see docs/chaos.md)
	$(AS_ROOT) $(PYTHON) -m tests.chaos $(ARGS)

.PHONY: clean
clean: ## Remove the venv, caches and build products (system packages stay)
	rm -rf .venv .uv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find daemon tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
