# `make` lists the commands. Everything runs from this checkout, in a virtual environment of its own.

SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.complete
JOURNEY := $(VENV)/bin/journey
# Images often set this. Each of our many processes would then compile all modules again.
unexport PYTHONDONTWRITEBYTECODE
# Number of pytest processes of `test`. One of them mostly runs the simulation, in one more process per core.
LANES ?= 4
# The tests of `check`: no broker, no database, no other process. Those of these services, and the copies of
# the checkout that test_new_service.py makes, take too long for it.
SLOW_SERVICES := tests/unit/notification_svc tests/unit/user_svc
QUICK := $(filter-out tests/style/test_new_service.py,$(wildcard tests/style/*.py)) \
	tests/conformance/deciders/test_decision_tables.py tests/conformance/deciders/test_unremembered.py \
	tests/unit/contracts tests/unit/chassis/messaging $(filter-out $(SLOW_SERVICES),$(wildcard tests/unit/*_svc))

.DEFAULT_GOAL := help
.PHONY: help venv check test images compose-test simulate simulate-long scale updates chaos drills screenshots demo up down documents lock bench clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

venv: $(READY) $(JOURNEY) ## create .venv with all dependencies at the locked versions, and the command .venv/bin/journey

check: $(READY) ## style, types, layers, rules, workflows, decision tables and contracts: under a minute, no infrastructure
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/actionlint -shellcheck=$(VENV)/bin/shellcheck -pyflakes=
	$(VENV)/bin/zizmor --offline --quiet --persona=pedantic .github
	$(PYTHON) -m pytest -q -m "not real and not system" $(QUICK)

test: $(READY) ## every test; starts or finds the broker and the database that some need
	$(PYTHON) -m pytest -n $(LANES) --max-worker-restart 0

scale: $(READY) ## test the operators' tools with a million orders: SCALE_ORDERS; takes minutes and 1 GB of disk
	SCALE_ORDERS=$(or $(SCALE_ORDERS),1000000) $(PYTHON) -m pytest -q -s tests/scale

updates: $(READY) ## update and roll back each service under load, in other orders each time: UPDATE_ROUNDS, UPDATE_SEED
	UPDATE_ROUNDS=$(or $(UPDATE_ROUNDS),5) $(PYTHON) -m pytest -q -s tests/system/test_rolling_update.py

chaos: $(READY) ## inject faults into a shop under load: CHAOS_SEED, CHAOS_ORDERS, CHAOS_FAULTS; 23 minutes
	GROUND_NODES=3 $(PYTHON) -m pytest -q tests/chaos/test_environment.py
	$(PYTHON) -m tests.chaos
	$(PYTHON) -m tests.chaos --drills

drills: $(READY) ## set each service's database back under load, then lose the broker; minutes
	$(PYTHON) -m tests.chaos --drills

screenshots: $(READY) ## capture every page in build/screenshots, and the pictures of README
	$(PYTHON) -m tests.browser.screenshots

images: ## build the images of all services with Docker, and print their sizes
	docker compose build
	@docker image ls --format '{{printf "%-35s %s" .Repository .Size}}' 'order-journey/*'

compose-test: $(READY) ## test images and the shop in containers, single and clustered, with Docker; 20 minutes
	COMPOSE_TESTS=long $(PYTHON) -m pytest -q -s tests/containers

demo: $(JOURNEY) ## start the shop, place real orders, show what happens, stop the shop; KEEP=1 leaves it running
	$(JOURNEY) demo $(if $(KEEP),--keep)

up: $(JOURNEY) ## start the shop with articles, stock and two accounts, and leave it running
	$(JOURNEY) up

down: $(JOURNEY) ## stop the shop; its data is kept
	$(JOURNEY) down

simulate: $(READY) ## simulate one day with faults in virtual time: SEED=… STEPS=…
	$(PYTHON) -m tests.simulation --seed $(or $(SEED),0) --steps $(or $(STEPS),15)

simulate-long: $(READY) ## simulate 20,000 days, and every pair of faults of every scenario: half an hour
	$(PYTHON) -m tests.simulation --seeds $(or $(SEEDS),20000) --steps $(or $(STEPS),15) --pairs

bench: $(JOURNEY) ## compare the shop's throughput with that of a plain program
	$(JOURNEY) bench

# In an environment of its own: it needs other versions of our libraries.
CHECKOV := build/checkov

.PHONY: checkov
checkov: $(READY) $(CHECKOV)/.complete ## scan the Kubernetes manifests; exceptions are in deploy/kubernetes/checkov.yaml
	@for overlay in local production partitioned; do \
		mkdir -p build/kubernetes/$$overlay && \
		$(VENV)/bin/kubectl kustomize deploy/kubernetes/overlays/$$overlay > build/kubernetes/$$overlay/all.yaml && \
		$(CHECKOV)/bin/checkov --config-file deploy/kubernetes/checkov.yaml -f build/kubernetes/$$overlay/all.yaml || exit 1; \
	done

$(CHECKOV)/.complete: requirements/checkov.txt
	$(PYTHON) -m venv --clear $(CHECKOV)
	$(CHECKOV)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/checkov.txt
	touch $@

documents: $(READY) ## generate the schemas and the tables in the docs
	$(PYTHON) -m tests.support.documents

lock: ## resolve pyproject.toml into requirements/ (needs uv)
	@command -v uv >/dev/null || { echo 'uv is required to lock: https://docs.astral.sh/uv/' >&2; exit 1; }
	uv pip compile -q --generate-hashes --no-emit-index-url --universal \
		pyproject.toml -o requirements/services.txt
	uv pip compile -q --generate-hashes --no-emit-index-url --universal --extra cli --extra dev \
		pyproject.toml -o requirements/dev.txt
	uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 \
		requirements/checkov.in -o requirements/checkov.txt

clean: ## remove caches; .venv and the shop's data are kept
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .schemathesis build dist
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# The command `journey`, as an editable install would write it. No build backend is needed, and therefore nothing outside
# the lock. It runs the code of the checkout in whose .venv it is called, also if .venv is a symbolic link.
define LAUNCHER_SCRIPT
#!/bin/sh
'''exec' "$$(dirname "$$0")/python" "$$0" "$$@"
' '''
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from journey.cli.app import main

sys.exit(main())
endef

$(JOURNEY): export LAUNCHER := $(LAUNCHER_SCRIPT)
$(JOURNEY): Makefile | $(READY)
	@printf '%s\n' "$$LAUNCHER" > $@.new && chmod +x $@.new && mv $@.new $@

# The stamp is written last, so that an interrupted attempt is repeated. PYTHON3=… names a Python. By default it is the
# first that is new enough, preferring builds with optimisations (distributions have them; pyenv's default build does
# not, and is a fifth slower). uv is used if it is installed; else venv, which is installed on Debian and Ubuntu.
$(READY): requirements/dev.txt
	@set -e; \
	say() { printf 'make venv: %s\n' "$$*" >&2; }; \
	new_enough() { command -v "$$1" >/dev/null && "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }; \
	quick() { case $$(command -v $$1) in /usr/bin/*) "$$1" -c 'import ensurepip, venv' 2>/dev/null ;; \
		*) "$$1" -c 'import sys, sysconfig; sys.exit("--enable-optimizations" not in str(sysconfig.get_config_var("CONFIG_ARGS")))' ;; esac; }; \
	find_python() { names='python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3'; \
		for p in $$names; do if new_enough $$p && quick $$p; then echo $$p; return; fi; done; \
		for p in $$names; do if new_enough $$p; then echo $$p; return; fi; done; }; \
	if [ -n "$$PYTHON3" ] && ! new_enough "$$PYTHON3"; then \
		say "PYTHON3=$$PYTHON3 is not Python 3.11 or newer; correct it, or omit it to search for one"; exit 1; fi; \
	python=$${PYTHON3:-$$(find_python)}; [ -z "$$python" ] || say "using $$python ($$("$$python" --version))"; \
	if command -v uv >/dev/null && uv --version >/dev/null 2>&1; then \
		new_enough $(PYTHON) || uv venv -q --clear --python "$${python:->=3.11}" $(VENV); \
		uv pip install -q --python $(PYTHON) --require-hashes -r requirements/dev.txt; \
	else \
		sudo=; [ "$$(id -u)" = 0 ] || sudo='sudo -n'; \
		apt() { command -v apt-get >/dev/null && $$sudo true 2>/dev/null || return 1; say "installing $$*"; \
			{ $$sudo apt-get update -qq || say 'apt-get update failed; trying with the existing package lists'; }; \
			$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$$@" >&2; }; \
		if [ -z "$$python" ]; then apt python3 python3-venv || :; python=$$(find_python); fi; \
		if [ -z "$$python" ]; then \
			say 'Python 3.11 or newer is required. Install one (Debian 12, Ubuntu 24.04: apt-get install python3 python3-venv),'; \
			say 'or install uv (https://docs.astral.sh/uv/), which brings its own.'; exit 1; fi; \
		if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
			package=$$("$$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
			apt "$$package" || { say "$$python has no venv module; install it (apt-get install $$package) or install uv"; exit 1; }; fi; \
		"$$python" -m venv --clear $(VENV); \
		$(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt; \
	fi; \
	touch $(READY)
