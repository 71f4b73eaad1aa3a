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
	@echo "$(CURDIR)" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/clickwrap-relay.pth"
	@touch $@

.PHONY: setup
setup: $(STAMP) ## Install what is needed into .venv (done by the other targets too)

.PHONY: demo
demo: $(STAMP) ## A request lives its whole life in seconds (BACKEND, SMS_PROVIDER, EMAIL_PROVIDER)
	@$(BIN)/python -m local.demo

.PHONY: run
run: $(STAMP) ## The whole system on http://127.0.0.1:8080 until Ctrl-C (BACKEND, PORT, any setting)
	@$(BIN)/python -m local.stack

.PHONY: test
test: $(STAMP) ## All tests, on the embedded backend and on Google's emulators, with coverage
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE)

COVERAGE ?= 95
# More than there are processors: most tests wait for something.
WORKERS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

.PHONY: soak
soak: $(STAMP) ## The fault suite at full size, and its table (SEED repeats a run, SIZE=300 for fewer requests)
	@SEED=$(SEED) SIZE=$(SIZE) $(BIN)/python -m tests.faults

.PHONY: screenshots
screenshots: $(STAMP) ## The pictures in docs/, taken from the local stack in a browser (chromium)
	@$(BIN)/python -m tests.browser.screenshots

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

.PHONY: generate
generate: $(STAMP) ## Write anew what is made from the declared settings (.env.example, docs/settings.md, parts of infra/)
	@$(BIN)/python -m infra.generate

.PHONY: bench
bench: $(STAMP) ## Figures beside their floors (BENCH=receive,cold picks; WRITE=1 puts the table into the docs)
	@BENCH=$(BENCH) WRITE=$(WRITE) $(BIN)/python -m bench

.PHONY: preview
preview: $(STAMP) ## Every message on one page, .local/preview.html (TEMPLATES_DIR, BRAND_NAME)
	@$(BIN)/python -m local.preview

.PHONY: probe
probe: $(STAMP) ## What the API of your account says of one request (REQUEST=id, CLICKWRAP_API_TOKEN)
	@BACKEND=gcp $(CLOUD).probe

# -- Google Cloud. PROJECT, REGION and all settings: relay.env (RELAY_ENV=prod.env for another), or on the command line.
# DRY_RUN=1 prints the commands alone; FUNCTIONS="receive links" takes some; FORCE=1 answers yes.
export PROJECT REGION RELAY_ENV DRY_RUN FUNCTIONS FORCE SINCE RENEW OPERATORS ALERT_EMAILS PUBLIC_BY_IAM
CLOUD := $(BIN)/python -m infra.ops

.PHONY: infra
infra: $(STAMP) ## Terraform: plan, ask, apply
	@$(CLOUD).infra

.PHONY: plan
plan: $(STAMP) ## Terraform: show what `make infra` would change
	@$(CLOUD).infra plan

.PHONY: lock
lock: $(STAMP) ## What each function installs, with hashes, after a change of requirements.txt
	@$(CLOUD).lock

.PHONY: bundle
bundle: $(STAMP) ## A folder and a zip for each function in dist/
	@$(CLOUD).bundle

.PHONY: bundle-check
bundle-check: $(STAMP) ## Install each bundle alone, start it as the cloud does, call it
	@$(CLOUD).bundle_check

.PHONY: secrets
secrets: $(STAMP) ## Ask for each secret that has no value yet (RENEW=CLICKWRAP_API_TOKEN: for a new value)
	@$(CLOUD).secrets

.PHONY: deploy
deploy: $(STAMP) ## Bundle and deploy (FUNCTIONS="receive links" for some), then say who may call them
	@$(CLOUD).deploy

.PHONY: url
url: $(STAMP) ## What to enter in Clickwrap
	@$(CLOUD).url

.PHONY: smoke
smoke: $(STAMP) ## A test event through the door, and one call of each kind, followed into the logs
	@$(CLOUD).smoke

.PHONY: doctor
doctor: $(STAMP) ## What is missing, and what to do about it
	@$(CLOUD).doctor

.PHONY: logs
logs: $(STAMP) ## What the functions logged (FUNCTIONS, SINCE=1h)
	@$(CLOUD).logs

.PHONY: console
console: $(STAMP) ## The console of the deployed relay, on this machine
	@$(CLOUD).console

.PHONY: rotate-token
rotate-token: $(STAMP) ## A new webhook token: run it, change Clickwrap, run it again
	@$(CLOUD).rotate

.PHONY: destroy
destroy: $(STAMP) ## Delete the deployed relay (refuses with live requests unless FORCE=1)
	@$(CLOUD).destroy

.PHONY: why
why: $(STAMP) ## What happened to one request, and why (REQUEST=id; BACKEND=gcp for the cloud's)
	@$(CLOUD).why

.PHONY: dead-letters
dead-letters: $(STAMP) ## What nobody could handle, and what a replay would do now (BACKEND=gcp for the cloud)
	@$(CLOUD).replay $(addprefix --id=,$(ID))

.PHONY: replay
replay: $(STAMP) ## A dry run of that; CONFIRM=1 does it (ID=... for one, DROP=1 to forget it)
	@$(CLOUD).replay $(if $(CONFIRM),$(if $(DROP),--drop,--replay)) $(addprefix --id=,$(ID))

.PHONY: clean
clean: ## Drop the local state
	@rm -rf .local
