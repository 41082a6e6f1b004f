# `make up` runs the product, `make test` its tests; each does its own set-up. `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m router_extproc
CONFIG ?= config/router.yaml
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help up test check audit alerts format bench fuzz soak protos envoy model train clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/run.stamp ## run the router, Envoy and a simulated pool here, until Ctrl-C
	@exec $(RUN) up --config $(CONFIG)

test: $(VENV)/dev.stamp ## set up, then run every test
	@$(RUN) models build
	$(BIN)/python -m pytest

check: $(VENV)/dev.stamp ## style, types, layers and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check
	$(BIN)/python -m deploy.supply.licences
	@set -e; for file in config/router.yaml config/examples/vsr-*.yaml \
		config/scenarios/{customer-service,code-assistance,knowledge-base}.yaml; do \
		$(RUN) check-config $$file > /dev/null; done
	$(RUN) render-envoy | diff - envoy.yaml
	$(BIN)/python -m deploy.kubernetes.generate --check

audit: $(VENV)/dev.stamp ## ask a database of advisories about every pinned version (exit code 3: none reached)
	@$(BIN)/python -m deploy.supply.advisories

alerts: ## evaluate the alert rules with Prometheus's own promtool
	@deploy/prometheus/check.sh

format: $(VENV)/dev.stamp ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/dev.stamp ## measure Envoy, the router, the cache and the judgements side by side
	@$(RUN) models build
	$(BIN)/python -m bench $(ARGS)

fuzz: $(VENV)/dev.stamp ## fuzz all that reads input: make fuzz ARGS="--seconds 600 chat"
	$(BIN)/pip install --quiet --editable '.[fuzz]' --constraint constraints.txt
	$(BIN)/python -m tests.fuzz $(ARGS)

soak: $(VENV)/dev.stamp ## ten minutes of load with faults; an hour: make soak ARGS="--seconds 3600"
	@$(RUN) models build
	$(BIN)/python -m bench.soak $(ARGS)

protos: $(VENV)/dev.stamp ## compile protos/ into router_extproc/_pb
	$(BIN)/python protos/generate.py

envoy: $(VENV)/run.stamp ## render envoy.yaml from the configuration, and those of the containers from theirs
	$(RUN) render-envoy --config $(CONFIG) --output envoy.yaml
	@set -e; for folder in config/compose/testing config/compose/gpu; do \
		$(RUN) render-envoy --config $$folder/router.yaml --output $$folder/envoy.yaml; done

train: $(VENV)/dev.stamp ## fit the heads again: make train DATA=folder
	$(BIN)/pip install --quiet --editable '.[train]' --constraint constraints.txt
	$(RUN) models pull
	$(RUN) models build
	$(BIN)/python -m training.words --data $(DATA)
	$(BIN)/python -m training.trunk --data $(DATA)
	$(RUN) models build
	$(BIN)/python -m training.calibrate --data $(DATA)
	$(RUN) models build
	$(BIN)/python -m training.complexity --data $(DATA)
	$(BIN)/python -m training.verifier --data $(DATA)
	$(RUN) models build
	$(BIN)/python -m training.reporting --data $(DATA)

clean: ## remove the virtual environment and everything the stack wrote here
	rm -rf $(VENV) .data .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

$(VENV)/bin/python:
	@echo "make: creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: Python 3.11 or newer is needed; set PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "make: installing the router, Envoy and Milvus Lite (about 900 MB unpacked; a minute or two)"
	@$(BIN)/pip install --quiet --upgrade pip
	@$(BIN)/pip install --editable '.[local,page]' --constraint constraints.txt | \
		awk '/^(Collecting|Installing|Successfully)/ {print "  " substr($$0, 1, 100); fflush()}'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	@echo "make: installing what the tests and checks need"
	@$(BIN)/pip install --quiet --editable '.[local,page,dev]' --constraint constraints.txt
	@touch $@
