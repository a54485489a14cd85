# Everything runs in .venv, made from requirements locked with hashes. `make help` lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
# Four for two cores: half of their time the tests wait for processes that they started.
TESTERS ?= 4
LOCK   := UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --quiet --generate-hashes --no-emit-index-url
WIDELY := --universal --python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help env demo test lint unit integration mutants simulate fault faults faults-report bench lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

env: $(STAMP) ## make .venv from the locked requirements

$(STAMP): requirements/dev.txt pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Isthmus needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another one: make $(MAKECMDGOALS) PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: env ## the flights of January 2013, from a back office to a front office, checked by an oracle
	$(BIN)/isthmus demo $(ARGS)

test: env lint unit ## every check and every test

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: env
	$(BIN)/python -m pytest --numprocesses $(TESTERS) --dist loadfile --no-loadscope-reorder $(ARGS)

integration: env ## store, stream, queue and KCL suites on LocalStack: one that runs, or its own
	$(BIN)/python -m tests.localstack --numprocesses $(TESTERS) --dist loadfile $(ARGS)

mutants: env ## plant bugs in a copy of the code: each must be caught by a test
	$(BIN)/python -m tests.mutants $(ARGS)

simulate: env ## seeded histories of the whole pipeline on virtual time, under faults
	$(BIN)/python -m tests.simulation $(ARGS)

fault: env ## one row of the fault matrix, e.g. make fault F=F13
	$(BIN)/python -m tests.faults $(F) $(ARGS)

faults: env ## every row of the fault matrix; goes on where it was interrupted
	$(BIN)/python -m tests.faults --all $(ARGS)

faults-report: env ## write docs/faults.md from the results so far
	$(BIN)/python -m tests.faults --report

bench: env ## figures beside the alternatives, from one run; also in build/bench.json
	$(BIN)/python -m benchmarks $(ARGS)

lock: ## lock the requirements anew (needs uv)
	$(LOCK) $(WIDELY) --override requirements/override.in pyproject.toml requirements/dev.in --output-file requirements/dev.txt
	$(LOCK) $(WIDELY) --extra kcl --extra postgres --constraint requirements/dev.txt pyproject.toml requirements/image.in --output-file requirements/image.txt
	$(LOCK) $(WIDELY) --constraint requirements/dev.txt requirements/image-build.in --output-file requirements/image-build.txt
	$(LOCK) --python-version 3.13 requirements/localstack.in --output-file isthmus/console/dev/localstack.txt

clean: ## remove what was built
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
