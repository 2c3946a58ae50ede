# make serve   install, index the seeds, serve at http://127.0.0.1:8000
# make test    install, run the whole test suite
# make check   format, lint, types, tests: the one gate
# make bench   quality and speed; DATA=folder for a data set of your own in BEIR's layout
# make bench-scale  speed, memory, disk and quality from 1,000 to 1,000,000 passages, beside peers (hours, 20 GB)
# make audit   known vulnerabilities of what is pinned, where PyPI's advisories can be reached
# make browser end-to-end tests of the page in Chromium, which has to be there; CHROMIUM=path for another than /usr/bin/chromium
# make golden  write the golden files of the tests anew; read the diff
# make lock    write the lock files anew

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
DATA ?= bench/seeds
# Of this version there is a build for processors alone; others bring several GB for GPUs.
TORCH := 2.13.0

.PHONY: serve test check format lint types bench bench-scale audit browser golden lock

serve: .venv/installed
	$(BIN)/quoteline serve seeds

test: .venv/installed
	$(BIN)/python -m pytest

check: format lint types test

format: .venv/installed
	$(BIN)/ruff format --check .

lint: .venv/installed
	$(BIN)/ruff check .

types: .venv/installed
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/quoteline bench $(DATA)

bench-scale: .venv/installed
	$(BIN)/python -m bench.scale

audit: .venv/installed
	$(BIN)/pip-audit --no-deps --disable-pip -r requirements.lock

browser: .venv/installed
	$(BIN)/python -m pip install -q -c requirements.lock -e '.[browser]'
	$(BIN)/python -m pytest -m browser tests/browser

golden: .venv/installed
	QUOTELINE_GOLDEN=write $(BIN)/python -m pytest -q tests/service/test_golden.py

lock:
	rm -rf build/lock && mkdir -p build/lock
	$(PYTHON) -m venv build/lock/full
	build/lock/full/bin/pip install -q torch==$(TORCH)
	build/lock/full/bin/pip install -q hatchling -e '.[prepare,cluster,tracing,dev]'
	build/lock/full/bin/pip freeze --exclude quoteline | sed 's/+cpu$$//' > requirements.lock
	$(PYTHON) -m venv build/lock/serve
	build/lock/serve/bin/pip install -q -c requirements.lock '.[cluster]'
	build/lock/serve/bin/pip freeze --exclude quoteline > requirements-serve.lock

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --progress-bar off -r requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	touch $@
