# `make` alone lists what there is.  Needs Python 3.10 or newer and nothing else: the rest is
# installed into .venv, and again only when a requirements file has changed.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install --quiet --require-hashes -r
ARGS   ?=
# Tests wait for servers half of their time: two at a time for each core.
JOBS   ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) * 2)))
# What needs the same slow thing to be started is a group, which one of them does.
SIDE_BY_SIDE = -n $(JOBS) --dist loadgroup

# Compiled tests are kept: every process of the suite would take four seconds to compile them.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv install install-dev lock run dev test test-threading test-engine-off test-pythons soak test-postgresql test-cluster test-browser test-guides cluster lint audit fuzz types check format bench bench-scale bench-scaling screenshots clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Stamps are written last, so a step that was interrupted is done again.
$(VENV)/.created:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "No $(PYTHON) here: install Python 3.10 or newer, or name one: make PYTHON=python3.12 …" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "$$("$(PYTHON)" --version 2>&1) is too old: Python 3.10 or newer is needed; name one: make PYTHON=python3.12 …" >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }
	@echo "Creating $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed: requirements.txt | $(VENV)/.created
	@echo "Installing requirements.txt (once; under a minute)"
	@$(INSTALL) requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt | $(VENV)/.created
	@echo "Installing requirements-dev.txt (once; a minute or so)"
	@$(INSTALL) requirements-dev.txt
	@touch $(VENV)/.installed $@

venv: $(VENV)/.created  ## Create .venv

install: $(VENV)/.installed  ## Install what the server needs

install-dev: $(VENV)/.installed-dev  ## Install what the tests and checks need as well

# One resolution for Python 3.10 and newer and for every platform. What is pinned already stays as it
# is unless an .in file says otherwise (ARGS=--upgrade raises the rest); the development one comes
# first, so that all have the same versions.
UV := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-strip-markers --custom-compile-command "make lock"
lock: install-dev  ## Pin what the requirements*.in files ask for, and all that needs, with hashes
	@$(UV) --python-version 3.10 $(ARGS) -o requirements-dev.txt requirements-dev.in
	@$(UV) --python-version 3.10 -c requirements-dev.txt $(ARGS) -o requirements.txt requirements.in
	@$(UV) --python-version 3.10 -c requirements-dev.txt $(ARGS) -o requirements-otel.txt requirements-otel.in
	@$(UV) --python-version 3.11 -c requirements-dev.txt $(ARGS) -o requirements-fuzz.txt requirements-fuzz.in
	@$(UV) --python-version 3.11 $(ARGS) -o bench/requirements.txt bench/requirements.in

# exec: Ctrl-C and TERM reach the server itself, and its exit status is the target's.
run: install  ## Start the server on http://localhost:5000 (settings come from the environment)
	@exec $(BIN)/python app.py $(ARGS)

dev: install  ## Start it for working on it: anew at each change, tracebacks as pages, loopback only
	@exec $(BIN)/python app.py --dev $(ARGS)

test: install-dev  ## Run the suite of the server (ARGS="-k name" narrows it)
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-threading: install-dev  ## Run the whole suite without eventlet
	@ASYNC_MODE=threading $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-engine-off: install-dev  ## Run the whole suite with a greenlet for each WebSocket
	@ENGINE=off $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-pythons:  ## Run the suite on each Python from 3.10 to 3.13 that is here
	@failed=; for version in 3.10 3.11 3.12 3.13; do \
	  if python$$version -c "" 2>/dev/null; then \
	    echo "=== Python $$version"; \
	    $(MAKE) PYTHON=python$$version VENV=.venv-$$version test || failed="$$failed $$version"; \
	  else echo "=== Python $$version is not here"; fi; done; \
	if [ -n "$$failed" ]; then echo "Failed on$$failed"; exit 1; fi

# There is no atheris for some platforms and Pythons: its row is not measured then, and says so.
soak: install-dev  ## Break it in every known way for 35 minutes, into docs/reliability.md (ARGS=--minutes=3)
	@$(MAKE) --no-print-directory $(VENV)/.installed-fuzz || echo "Going on without the fuzzer" >&2
	@$(BIN)/python -m tests.faults.soak $(ARGS)

test-postgresql: install-dev  ## Run the whole suite on a private PostgreSQL
	@DATABASE=postgresql $(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-cluster: install-dev  ## Run the tests of a whole installation: six processes behind nginx
	@$(BIN)/python -m pytest -m cluster tests/cluster $(ARGS)

test-browser: install-dev  ## Run the tests of the board, in Chromium
	@$(BIN)/python -m pytest -m browser tests/browser $(ARGS)

test-guides: install-dev  ## Do what the documents tell to do: examples, commands, back-ups, walk-throughs
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m guide $(ARGS)

cluster: install-dev  ## Start a whole installation on free ports, and say where its gateway is
	@exec $(BIN)/python -m deploy.cluster

lint: install-dev  ## Style, known mistakes, insecure calls, and the floors imports may cross
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml app.py config.py task_app deploy tools

audit: install-dev  ## Ask whether a vulnerability is known in what is installed
	@$(BIN)/python -m tools.audit

$(VENV)/.installed-fuzz: requirements-fuzz.txt $(VENV)/.installed-dev
	@$(INSTALL) requirements-fuzz.txt --only-binary :all:
	@touch $@

fuzz: $(VENV)/.installed-fuzz  ## Look for input that breaks what reads bytes (ARGS="frames --seconds=600 --keep")
	@$(BIN)/python -m tests.fuzz.run $(ARGS)

types: install-dev  ## Check the types
	@$(BIN)/mypy

check: lint audit types test test-cluster test-browser test-guides  ## Lint, audit, types and every test, as the server comes (eventlet, SQLite)

format: install-dev  ## Format the code and mend what can be mended mechanically
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: $(VENV)/.created  ## Side by side with other servers, into docs/benchmarks.md (half an hour; needs cc)
	@$(BIN)/python bench/run.py $(ARGS)

bench-scale: install-dev  ## What a million tasks cost, into docs/scale.md (some ten minutes)
	@$(BIN)/python bench/scale.py $(ARGS)

bench-scaling: $(VENV)/.created  ## What more processes bring, into docs/scaling.md (ten minutes; needs PostgreSQL, Redis, cc)
	@$(BIN)/python bench/scaling.py $(ARGS)

screenshots: install-dev  ## Photograph the board for the README (needs Chromium)
	@$(BIN)/python -m tools.screenshots $(ARGS)

clean:  ## Remove .venv and every cache; instance/ keeps its data
	@rm -rf $(VENV) .venv-3.* bench/.venv bench/.build bench/peers/node/node_modules
	@rm -rf tests/node/node_modules examples/node/node_modules
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
