# Two commands do it all: `make demo` and `make test`. Both set up .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The lock holds exact versions for Python 3.11; other versions resolve freely.
LOCK := $(shell $(PYTHON) -c 'import sys; print("-c requirements.lock" if sys.version_info[:2] == (3, 11) else "")')
WORKERS ?= 2

.PHONY: demo test slow lint types imports docs format clean help

help:            ## list the targets
	@grep -E '^[a-z]+: .*##|^[a-z]+:  *##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml requirements.lock | $(BIN)/python
	$(PIP) $(LOCK) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml requirements.lock | $(BIN)/python
	$(PIP) $(LOCK) -e '.[dev]'
	@touch $@ $(VENV)/.runtime

demo: $(VENV)/.runtime   ## the main job on the built-in benchmark; results in runs/demo/
	$(BIN)/whyact demo

test: $(VENV)/.dev       ## all fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -q

slow: $(VENV)/.dev       ## tests that train for minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -q -m slow

lint: $(VENV)/.dev       ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev     ## apply the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev      ## strict type check
	$(BIN)/mypy

imports: $(VENV)/.dev    ## layers import downwards only
	$(BIN)/lint-imports

docs: $(VENV)/.dev       ## build the documentation, warnings are errors
	$(BIN)/mkdocs build --strict --quiet

clean:           ## remove caches and built pages; keeps .venv, data and runs
	rm -rf site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
