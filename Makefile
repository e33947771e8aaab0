# Two commands: `make run` (archive to served model on the sample) and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
WORLD ?= $(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
BIN := .venv/bin
UV := $(BIN)/uv
INSTALLED := .venv/.installed-$(WORLD)

SIDE_BY_SIDE := -n auto --maxprocesses 4 # each imports torch and MLflow: a gigabyte
FILE_BY_FILE := -n 2 --dist loadfile --no-loadscope-reorder # a file makes its models once; whole runs first, or one worker ends with them alone

export HF_HUB_OFFLINE := 1
export TRANSFORMERS_OFFLINE := 1
export VLLM_NO_USAGE_STATS := 1
export RAGAS_DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true
export OMP_NUM_THREADS ?= 1

.PHONY: help install run test check lab bench-prepare bench-gate bench-label bench-train bench-quality bench-serve bench-swap lock golden clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

install: $(INSTALLED) ## Create .venv with the locked set

$(INSTALLED): pyproject.toml locks/$(WORLD).txt install.sh
	./install.sh $(PYTHON) $(WORLD)
	@touch $@

run: $(INSTALLED) ## From the sample archive to a served, reviewed model
	$(BIN)/mailroom run

test: $(INSTALLED) ## All tests
	$(BIN)/python -m pytest -m "not slow" $(SIDE_BY_SIDE)
	$(BIN)/python -m pytest -m slow $(FILE_BY_FILE)

check: $(INSTALLED) ## Lint, types, import rules and unit tests: the fast inner loop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not slow" $(SIDE_BY_SIDE)

lab: $(INSTALLED) ## JupyterLab on notebooks/
	$(UV) pip install --quiet --python $(BIN)/python -r locks/lab.txt
	$(BIN)/jupyter labextension disable @jupyterlab/apputils-extension:announcements # it would ask for news
	$(BIN)/jupyter lab --notebook-dir=notebooks

bench-prepare: $(INSTALLED) ## Prepare 500 MB of made-up mail, beside datatrove and polars (an hour)
	$(UV) pip install --quiet --python $(BIN)/python -r locks/bench.txt
	$(BIN)/python -m tests.benchmarks.prepare

bench-gate: $(INSTALLED) ## How often the gate is wrong: 50 seeds of nine kinds of challenger (15 minutes)
	$(BIN)/python -m tests.benchmarks.gate

bench-label: $(INSTALLED) ## Label the sample, and research sets in datasets/, in four ways (ten minutes)
	$(BIN)/python -m tests.benchmarks.active_learning

bench-train: $(INSTALLED) ## Train a classifier beside transformers.Trainer, SetFit and frozen vectors (a quarter of an hour)
	$(UV) pip install --quiet --python $(BIN)/python -r locks/bench.txt
	$(BIN)/python -m tests.benchmarks.train

DATASETS ?= datasets
bench-quality: $(INSTALLED) ## Recipes and search on public data in DATASETS, beside baselines (hours)
	$(BIN)/python -m tests.benchmarks.public_sets $(DATASETS)
	$(BIN)/python -m tests.benchmarks.public_search $(DATASETS)

bench-serve: $(INSTALLED) ## Load on the gateway of the live bundle, closed and open loop, beside engine and libraries alone (eight minutes)
	$(BIN)/python -m tests.benchmarks.serve

bench-swap: $(INSTALLED) ## Swap, roll back and kill an engine of a copy of the live bundle under load (six minutes)
	$(BIN)/python -m tests.benchmarks.swap

lock: ## Resolve the locks again from pyproject.toml
	./locks/lock.sh $(PYTHON)

golden: $(INSTALLED) ## Write what tests hold to be up to date: the compiled graphs, the page of commands
	$(BIN)/mailroom compile --output tests/pipelines/golden/retrain.yaml
	$(BIN)/mailroom compile --search --output tests/pipelines/golden/search.yaml
	$(BIN)/typer pipelines.cli utils docs --name mailroom --output docs/commands.md

clean: ## Remove the workspace (.mailroom) and the caches, not .venv
	rm -rf .mailroom .mypy_cache .ruff_cache .pytest_cache
