# Clickwrap Relay. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BACKEND ?= embedded
PORT ?= 8080
export BACKEND PORT REQUEST

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(STAMP): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: apt-get install python3-venv"; exit 1; }
	@echo "installing into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.PHONY: setup
setup: $(STAMP) ## Install what is needed into .venv (done by the other targets too)

.PHONY: demo
demo: $(STAMP) ## A request lives its whole life in seconds (BACKEND=embedded or emulators)
	@$(BIN)/python -m local.demo

.PHONY: run
run: $(STAMP) ## The whole system on http://127.0.0.1:8080 until Ctrl-C (BACKEND, PORT, any setting)
	@$(BIN)/python -m local.stack

.PHONY: test
test: $(STAMP) ## All tests, on the embedded backend and on Google's emulators, with coverage
	@$(BIN)/python -m pytest -q --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE)

COVERAGE ?= 95

.PHONY: lint
lint: $(STAMP) ## Formatter, linter, type checker, the walls between the layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@for main in functions/*/main.py; do $(BIN)/mypy $$main || exit 1; done
	@$(BIN)/lint-imports --no-cache

.PHONY: format
format: $(STAMP) ## Format and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: probe
probe: $(STAMP) ## What the API of your account says of one request (REQUEST=id, CLICKWRAP_API_TOKEN)
	@BACKEND=gcp $(BIN)/python -m local.probe

.PHONY: clean
clean: ## Drop the local state
	@rm -rf .local
