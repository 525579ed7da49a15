# `make book` and `make test` do all of their own set-up; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Networks of this size gain nothing from threads, and on a busy machine threads that wait for each
# other cost minutes; with one, results do not depend on the number of cores either.
book check test test-browser test-launch notebooks: export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help book pdf check links test test-browser test-launch lab notebooks pins clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

book: $(READY) ## Execute what changed and build the HTML
	$(BIN)/python -m tools.book build

pdf: book ## The whole book as one PDF, with bookmarks
	$(BIN)/python -m tools.browser
	$(BIN)/python -m tools.pdf

check: $(READY) ## Lint, types, and what a change can affect, in two minutes; SINCE=main
	$(BIN)/python -m tools.check --since $(or $(SINCE),HEAD)

test: $(READY) ## Lint, type-check, and run every test, notebook and docstring's example
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist loadfile --nbval --nbval-current-env \
		--nbval-sanitize-with tests/nbval.cfg --nbval-cell-timeout 300 tests book

test-launch: $(READY) ## Run every notebook alone where localbook is missing (make test runs two)
	$(BIN)/python -m tools.fresh

test-browser: $(READY) ## Drive the built pages with a headless Chromium, installing one if there is none
	$(BIN)/python -m tools.browser
	$(BIN)/python -m pytest tests/browser

links: $(READY) ## Ask every address that the pages link to
	$(BIN)/python -m tools.book links

lab: $(READY) ## Open the book in JupyterLab
	$(BIN)/jupyter lab book

notebooks: $(READY) ## Execute every notebook in place, to commit its outputs
	$(BIN)/python -m tools.book refresh

pins: $(READY) ## Write constraints.txt from what is installed
	$(BIN)/python -m tools.pins

clean: ## Remove what was built, but not the environment, downloads or records
	rm -rf _build .mypy_cache .pytest_cache .ruff_cache .hypothesis dist

$(READY): requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"localbook needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt -c constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@
