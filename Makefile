# Everything runs in .venv, made on first use. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt
REQUIREMENTS := pyproject.toml constraints.txt

# Test processes; each computes on one thread.
WORKERS ?= auto

# Benchmarks may be careless with types, not call what is no longer there.
NOT_OF_BENCHMARKS := arg-type assignment call-overload dict-item index misc operator return-value union-attr \
	unused-ignore var-annotated

# Options of a mutation run, such as `--sample 0` (all changes) or `--survivors`.
MUTANTS ?= --sample 220

SAMPLE := Resources/SampleData/ColinScouts/dicom
OUTPUT := output/sample

# What the site shows, under the paths that its links expect.
PAGES := build/pages
PAGES_FROM := README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md CITATION.cff docs Resources

# The lowest versions that pyproject.toml promises have wheels for Python 3.10 and 3.11 only.
VENV_MINIMUM := .venv-minimum
MINIMUM_OUTPUT := output/sample-minimum

.PHONY: help calibrate test quick test-minimum mutants docs pages lint clean
.DELETE_ON_ERROR:

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

calibrate: $(VENV)/.ready-run  ## Plan the sample scouts; the result lies in output/sample
	$(BIN)/autovolume calibrate $(SAMPLE) --output $(OUTPUT) --overwrite

test: lint  ## Lint, then all tests
	$(BIN)/python -m pytest -n $(WORKERS)

quick: $(VENV)/.ready-test  ## Only the tests that are quick
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not slow'

mutants: $(VENV)/.ready-test  ## Which small changes of the program the tests notice (docs/mutation_testing.md)
	$(PIP_INSTALL) -e '.[mutants]'
	nice -n 10 $(BIN)/python Testing/mutation/run_mutants.py $(MUTANTS)

test-minimum: $(VENV_MINIMUM)/.ready  ## Quick tests with the lowest versions promised (Python 3.10 or 3.11)
	$(VENV_MINIMUM)/bin/autovolume calibrate $(SAMPLE) --output $(MINIMUM_OUTPUT) --overwrite
	$(VENV_MINIMUM)/bin/python -m pytest Testing/core -m 'not slow'

docs: $(VENV)/.ready-docs pages  ## The documentation as a site: site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

pages:
	rm -rf $(PAGES) && mkdir -p $(PAGES)
	ln -s $(addprefix $(CURDIR)/,$(PAGES_FROM)) $(PAGES)

lint: $(VENV)/.ready-test  ## Style, format, types and likely bugs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy Testing/benchmarks $(addprefix --disable-error-code ,$(NOT_OF_BENCHMARKS))

clean:  ## Remove the environment, outputs and caches
	rm -rf $(VENV) $(VENV_MINIMUM) output build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: pip runs again only when what it would install has changed.
$(VENV)/.ready-run: $(REQUIREMENTS) | $(BIN)/python
	@echo "Installing into $(VENV): some minutes without a word"
	$(PIP_INSTALL) -e '.[standalone]'
	touch $@

# The test environment holds the other one, so this readies both.
$(VENV)/.ready-test: $(REQUIREMENTS) | $(BIN)/python
	$(PIP_INSTALL) -e '.[test]'
	touch $(VENV)/.ready-run $@

$(VENV)/.ready-docs: $(REQUIREMENTS) | $(BIN)/python
	$(PIP_INSTALL) -e '.[docs]'
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Without the other extras: what they need is not promised from a lowest version on.
$(VENV_MINIMUM)/.ready: pyproject.toml constraints-minimum.txt
	$(PYTHON) -m venv $(VENV_MINIMUM)
	$(VENV_MINIMUM)/bin/python -m pip install --disable-pip-version-check -q -c constraints-minimum.txt \
		-e '.[torch]' hypothesis pytest pytest-timeout
	touch $@
