# One command each: `make run` to use it, `make check` before a commit. Everything happens in .venv and var.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test check format lock clean
.NOTPARALLEL:

# The first Python that is new enough; choose another with `make run PYTHON=/path/to/python`.
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$name >/dev/null 2>&1 && \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes
LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

help:
	@echo "make run      start everything: http://localhost:8000 (PRODWORTHY_PORT=8001 make run for another port)"
	@echo "make test     run the tests; they bring their own PostgreSQL and Valkey"
	@echo "make check    format, lint, types, contracts, migrations, templates, and the tests"
	@echo "make format   put the code into shape"
	@echo "make lock     pin what requirements.in and requirements-dev.in ask for"
	@echo "make clean    remove .venv and caches; your data in var stays"

run: .venv/made
	@cmp -s requirements.lock .venv/requirements.lock || { \
		echo "Installing packages; this happens once and takes a minute or two."; \
		$(PIP) -r requirements.lock && cp requirements.lock .venv/requirements.lock; }
	@exec $(BIN)/python manage.py up $(ARGS)

test: .venv/dev
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@# Tests of the running product are about time and kill processes: they get the machine to themselves.
	@$(BIN)/python -m pytest -q -m "not stack" --numprocesses auto --dist loadfile
	@$(BIN)/python -m pytest -q -m stack
endif

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@mkdir -p .venv/check
	PRODWORTHY_VAR=.venv/check PRODWORTHY_URL=https://prodworthy.example.com \
		$(BIN)/python manage.py check --deploy --fail-level WARNING
	PRODWORTHY_VAR=.venv/check $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(BIN)/djlint templates --lint --quiet
	@$(MAKE) --no-print-directory test

format: .venv/dev
	$(BIN)/ruff check --fix --quiet --exit-zero .
	$(BIN)/ruff format .

lock: .venv/dev
	$(LOCK) requirements.in -o requirements.lock
	$(LOCK) -c requirements.lock requirements-dev.in -o requirements-dev.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +

# A virtual environment whose Python was removed or moved is made again.
.PHONY: .venv/made .venv/dev
.venv/made:
	@if ! $(BIN)/python -c '' 2>/dev/null; then \
		if [ -z "$(PYTHON)" ]; then \
			echo "Prodworthy needs Python 3.11 or newer, and none was found. Install it, or say where it is:" >&2; \
			echo "  make run PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
		if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
			echo "Prodworthy needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version)." >&2; exit 1; fi; \
		if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then \
			echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; fi; \
		rm -rf .venv && $(PYTHON) -m venv .venv; fi

.venv/dev: .venv/made
	@cmp -s requirements-dev.lock .venv/requirements-dev.lock || { \
		echo "Installing packages for development; this happens once and takes a minute or two."; \
		$(PIP) -r requirements-dev.lock && cp requirements-dev.lock requirements.lock .venv/; }
