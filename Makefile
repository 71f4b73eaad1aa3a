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
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-19s %s\n", $$1, $$2}'

$(STAMP): requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: set PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: apt-get install python3-venv"; exit 1; }
	@echo "installing into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@echo "$(CURDIR)" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/clickwrap-relay.pth"
	@touch $@

.PHONY: setup
setup: $(STAMP) ## Install the requirements into .venv (the other targets do this too)

.PHONY: demo
demo: $(STAMP) ## Run two weeks of one request in 15 seconds (BACKEND, SMS_PROVIDER, EMAIL_PROVIDER, TEMPLATES_LANGUAGE)
	@$(BIN)/python -m local.demo

.PHONY: run
run: $(STAMP) ## Run the whole system on http://127.0.0.1:8080 until Ctrl-C (BACKEND, PORT, any setting)
	@$(BIN)/python -m local.stack

.PHONY: trigger
trigger: $(STAMP) ## Bring about an event at the sandbox of `make run` (EVENT=signed REQUEST=id; ONLY=1: its webhook alone)
	@EVENT=$(EVENT) ONLY=$(ONLY) $(BIN)/python -m local.trigger

# Hundreds of processes start there: without bytecode on disk each would compile all that it imports.
.PHONY: test
test: $(STAMP) ## Run all tests, on the embedded backend and on Google's emulators, with coverage
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE)

.PHONY: test-quick
test-quick: $(STAMP) ## Run the unit and contract tests (PYTHON=python3.13 VENV=.local/on-3.13 for another Python)
	@$(BIN)/python -m pytest -q -n $(WORKERS) -m "not emulators" tests/unit tests/contract

COVERAGE ?= 95
# More workers than processors, because most tests wait for a time-out or another process.
WORKERS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

.PHONY: forged-events
forged-events: $(STAMP) ## Print what each forged webhook does, were the webhook's token public
	@$(BIN)/python -m tests.security.forged_events

.PHONY: soak
soak: $(STAMP) ## Run the fault suite at full size (SEED repeats a run, SIZE=300 for fewer requests)
	@SEED=$(SEED) SIZE=$(SIZE) $(BIN)/python -m tests.faults

.PHONY: simulate
simulate: $(STAMP) ## Run random simulations (SEEDS=20000 or 5-9, MINUTES, WORKERS; SEED=7 shows that run call by call)
	@SEEDS=$(SEEDS) SEED=$(SEED) MINUTES=$(MINUTES) $(BIN)/python -m tests.simulation

.PHONY: simulate-exhaustive
simulate-exhaustive: $(STAMP) ## Simulate every case of a small scope (PART=-2 to 23 for a part, WORKERS)
	@PART=$(PART) $(BIN)/python -m tests.simulation.exhaustive

.PHONY: simulate-faults
simulate-faults: $(STAMP) ## Put faults into the relay, one at a time, and show how the simulation finds each (FAULTS=name)
	@FAULTS="$(FAULTS)" $(BIN)/python -m tests.simulation.faults

.PHONY: mutate
mutate: $(STAMP) ## Change the rules one operator at a time, and show what no test finds (MODULES=file or folder, SHARE=4 for each fourth, LIMIT, WORKERS, TESTS, AGAIN)
	@MODULES="$(MODULES)" SHARE=$(SHARE) LIMIT=$(LIMIT) $(BIN)/python -m tests.mutation

.PHONY: restore-drill
restore-drill: $(STAMP) ## Lose the database of a running relay on emulators, restore it from an export, and go on
	@$(BIN)/python -m pytest -q tests/e2e/test_restore.py

.PHONY: screenshots
screenshots: $(STAMP) ## Take the screenshots in docs/ from the local stack with a browser (chromium)
	@$(BIN)/python -m tests.browser.screenshots

.PHONY: lint
lint: $(STAMP) ## Check format, style, types and the imports between the layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/bandit -q -ll -r shared functions
	@$(BIN)/mypy
	@for main in functions/*/main.py; do $(BIN)/mypy $$main || exit 1; done
	@$(BIN)/lint-imports --no-cache

.PHONY: format
format: $(STAMP) ## Format the code and apply the linter's fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: generate
generate: $(STAMP) ## Write anew what is made from the declared settings (.env.example, docs/settings.md, parts of infra/)
	@$(BIN)/python -m infra.generate

.PHONY: bench
bench: $(STAMP) ## Run the benchmarks (BENCH=receive,cold for some; WRITE=1 updates the table in docs/)
	@BENCH=$(BENCH) WRITE=$(WRITE) $(BIN)/python -m bench

.PHONY: rehearse
rehearse: $(STAMP) ## Run a bulk send and its fortnight in virtual time (SIZE=10000, SIGNERS, LOST, OPENED, LINKS, API, PROVIDER, QUEUES, SPREAD, DAYS, SEED, PICTURE=file.svg, ...)
	@$(BIN)/python -m bench.rehearsal

.PHONY: schedules
schedules: $(STAMP) ## Compare both schedules of rechecks over the same drawn losses (SIZE=2400 signers a row)
	@$(BIN)/python -m bench.rehearsal.schedules

.PHONY: preview
preview: $(STAMP) ## Write a page with every message, .local/preview.html (TEMPLATES_DIR, BRAND_NAME)
	@$(BIN)/python -m local.preview

.PHONY: probe
probe: $(STAMP) ## Show what your account's API returns for a request (REQUEST=id, CLICKWRAP_API_TOKEN)
	@BACKEND=gcp $(CLOUD).probe

# -- Google Cloud. All settings: relay.env (RELAY_ENV=prod.env for another). Those of the deployment, like PROJECT and REGION, also on the command line.
# DRY_RUN=1 only prints the commands; FUNCTIONS="receive links" selects functions; FORCE=1 confirms every question but that of rotate-token.
export PROJECT REGION STATE_BUCKET PLAN CANARY MIN_INSTANCES PRIVATE_INGRESS RELAY_ENV DRY_RUN FUNCTIONS FORCE SINCE RENEW OPERATORS ALERT_EMAILS PUBLIC_BY_IAM BILLING_ACCOUNT MONTHLY_BUDGET
CLOUD := $(BIN)/python -m infra.ops
ON = $(filter-out 0 no false,$(1))

.PHONY: bootstrap
bootstrap: $(STAMP) ## Make what Terraform needs: services, the bucket of its state, Google's service agents
	@$(CLOUD).bootstrap

.PHONY: infra
infra: $(STAMP) ## Terraform: plan, ask, apply (PLAN=file applies a plan that was reviewed)
	@$(CLOUD).infra

.PHONY: plan
plan: $(STAMP) ## Terraform: show what `make infra` would change
	@$(CLOUD).infra plan

.PHONY: lock
lock: $(STAMP) ## Update the locked packages of each function, after a change of requirements.txt
	@$(CLOUD).lock

.PHONY: bundle
bundle: $(STAMP) ## Write a folder and a zip for each function to dist/
	@$(CLOUD).bundle

.PHONY: bundle-check
bundle-check: $(STAMP) ## Install each bundle separately, start it as the cloud does, and call it
	@$(CLOUD).bundle_check

.PHONY: sbom
sbom: $(STAMP) ## Write what each bundle consists of to dist/sbom/ (CycloneDX)
	@$(CLOUD).sbom

.PHONY: audit
audit: $(STAMP) ## Ask for known faults in the packages of each bundle (needs the network)
	@$(CLOUD).sbom audit

.PHONY: secrets
secrets: $(STAMP) ## Ask for each secret without a value (RENEW=CLICKWRAP_API_TOKEN asks for a new value)
	@$(CLOUD).secrets

.PHONY: deploy
deploy: $(STAMP) ## Bundle and deploy (FUNCTIONS for some, CANARY=10 to try 10 of 100 calls first)
	@$(CLOUD).deploy

.PHONY: rollback
rollback: $(STAMP) ## Let the revisions of the last release that passed `make smoke` answer again, without a build
	@$(CLOUD).rollback

.PHONY: url
url: $(STAMP) ## Show what to enter in Clickwrap
	@$(CLOUD).url

.PHONY: smoke
smoke: $(STAMP) ## Send a test event and one call of each kind, and check them in the logs
	@$(CLOUD).smoke

.PHONY: doctor
doctor: $(STAMP) ## Show what is missing, and what to do about it
	@$(CLOUD).doctor

.PHONY: logs
logs: $(STAMP) ## Show the functions' logs (FUNCTIONS, SINCE=1h)
	@$(CLOUD).logs

.PHONY: console
console: $(STAMP) ## Open the console of the deployed relay on this machine
	@$(CLOUD).console

.PHONY: rotate-token
rotate-token: $(STAMP) ## Replace the webhook token: run it, change Clickwrap, run it again
	@$(CLOUD).rotate

.PHONY: destroy
destroy: $(STAMP) ## Delete the deployed relay (FORCE=1 even with live requests)
	@$(CLOUD).destroy

.PHONY: why
why: $(STAMP) ## Show what happened to a request, and why (REQUEST=id or part of a name; BACKEND=gcp for the cloud)
	@$(CLOUD).why

.PHONY: status
status: $(STAMP) ## Print the latest event of every request and message (REQUEST=id for one; BACKEND=gcp for the cloud)
	@$(CLOUD).status

.PHONY: evidence
evidence: $(STAMP) ## Write a request's evidence to a file that can be verified (REQUEST=id; BACKEND=gcp for the cloud)
	@$(CLOUD).evidence

.PHONY: verify-evidence
verify-evidence: ## Verify an evidence file (FILE=path, KEY=public.pem for a key you trust; needs openssl)
	@$(PYTHON) infra/ops/verify_evidence.py $(FILE) $(KEY)

.PHONY: forget
forget: $(STAMP) ## Delete what is known of a request with CONFIRM=1, else a dry run (REQUEST=id; BACKEND=gcp for the cloud)
	@CONFIRM=$(call ON,$(CONFIRM)) $(CLOUD).forget

.PHONY: dead-letters
dead-letters: $(STAMP) ## List the dead letters, and what a replay would do (BACKEND=gcp for the cloud)
	@$(CLOUD).replay $(addprefix --id=,$(ID))

.PHONY: replay
replay: $(STAMP) ## Replay the dead letters with CONFIRM=1, else a dry run (ID=... for one; DROP=1 deletes it)
	@$(CLOUD).replay $(if $(call ON,$(CONFIRM)),$(if $(call ON,$(DROP)),--drop,--replay)) $(addprefix --id=,$(ID))

.PHONY: clean
clean: ## Delete the local state
	@rm -rf .local
