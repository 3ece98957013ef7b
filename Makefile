# Two commands do everything on a fresh machine: `make demo` and `make test`. The README gives the same without make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test lint build lab formgrader experiments claims mutation clean
.DEFAULT_GOAL := help

help:  ## Say what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: .venv/.ready  ## Make .venv and install the course

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/.ready-to-test: .venv/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

demo: .venv/.ready  ## Grade a made-up class; write gradebook, feedback and a report to demo-course/
	$(BIN)/autograder build
	$(BIN)/autograder demo --course demo-course

test: .venv/.ready-to-test  ## Run all tests
	$(BIN)/python -m pytest -n auto --dist loadgroup

lint: .venv/.ready-to-test  ## Run ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

build: .venv/.ready  ## Make the notebooks from the text notebooks
	$(BIN)/autograder build

lab: .venv/.ready  ## Open JupyterLab on the assignments
	$(BIN)/jupyter lab --notebook-dir=assignments

formgrader: .venv/.ready  ## Open nbgrader's formgrader on the demo course
	cd demo-course && ../$(BIN)/jupyter lab --LabApp.default_url=/formgrader

experiments: .venv/.ready  ## Run every experiment in full, store the results, write docs/claims.md
	$(BIN)/python -m nnlab.experiments

claims: .venv/.ready  ## Write docs/claims.md from the stored results
	$(BIN)/python -m nnlab.experiments --page

mutation: .venv/.ready  ## Try thousands of small mistakes on the checks, write docs/mutation.md
	$(BIN)/python -m benchmarks.mutation

clean:  ## Remove the demo course and caches; .venv stays
	rm -rf demo-course .pytest_cache .mypy_cache .ruff_cache build
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
