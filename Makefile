# Each target sets up .venv when it is missing or setup.cfg has changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
QUICKSTART := quickstart

.PHONY: help quickstart test long format

help:
	@echo "quickstart  synthetic corpus -> shards -> training of 6 runs -> report"
	@echo "test        layout checks (ruff) and the test suite"
	@echo "long        the tests that take minutes each"
	@echo "format      lets ruff lay out the code"
	@echo "help        this list"

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[prep,test]'
	touch $@

# Synthetic corpus -> shards -> MTEE on folds x seeds in one program -> report.
quickstart: $(VENV)/installed
	rm -rf $(QUICKSTART)
	$(BIN)/python -m mmer_jax.quickstart --out=$(QUICKSTART)

test: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n auto --dist=worksteal

long: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist=worksteal -m long

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
