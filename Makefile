# make demo   compare the restorers on footage (../shared/data or DATA=folder where given, else bundled photographs)
# make test   run the tests
#
# VENV=path   the environment to make or reuse; a torch that it already has is kept
# DATA=path   a folder of your own clips for the demo

VENV ?= .venv
PYTHON3 ?= python3
PYTHON := $(VENV)/bin/python
DATA ?=

.PHONY: demo test lint env clean help

help:
	@sed -n '1,6p' Makefile

demo:
	@$(PYTHON3) tools/setup_env.py $(VENV) demo
	@VRESTORE_DATA="$(DATA)" $(PYTHON) tools/demo.py

test: env
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist worksteal -q

lint: env
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

env:
	@$(PYTHON3) tools/setup_env.py $(VENV) all

clean:
	rm -rf work_dirs outputs build dist .pytest_cache .mypy_cache .ruff_cache
