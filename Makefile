# `make` or `make help` lists the commands. Everything runs from .venv, which `make setup` builds from hash-locked files.

SHELL := bash
.DEFAULT_GOAL := help

ARGS ?=
JOBS ?= 2
BIN := .venv/bin
READY := .venv/.ready
TYPED := libs services cli tests bench docs deploy/kafka/run.py

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo up test soak check format bench kafka docs examples lock clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## build .venv (Python 3.11 or later) from the locked requirements; quick when nothing changed

$(READY): requirements/dev.txt pyproject.toml
	@python=$$(deploy/find-python) || exit 1; \
	if [ -x $(BIN)/python ] && ! $(BIN)/python -c 'import pip' 2>/dev/null; then rm -rf .venv; fi; \
	[ -x $(BIN)/python ] || "$$python" -m venv .venv || { \
	  echo "the module venv is missing: install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## a living demo: the platform with a seeded store; ARGS=--once runs it through and ends
	@$(BIN)/opswire demo $(ARGS)

up: $(READY) ## the platform on this machine, ports 8001 to 8005; ARGS="--data DIR --json"
	@$(BIN)/opswire up $(ARGS)

test: $(READY) ## all tests but the long ones, on real PostgreSQL and real Kafka; ARGS="tests/kpi -k late"
	@$(BIN)/pytest -n $(JOBS) --dist loadfile -m "not soak" $(ARGS)

soak: $(READY) ## the long tests: full counts, full files, every crash point
	@$(BIN)/pytest -m soak --timeout 7200 $(ARGS)

check: $(READY) ## lint, format, types, import rules, generated files up to date
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy $(wildcard $(TYPED))
	@$(BIN)/lint-imports
	@$(BIN)/python -m docs.generate --check

format: $(READY) ## let ruff rewrite the code in house style
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format --quiet .

bench: $(READY) ## measure, each figure beside its limit or peer; ONLY=reserve for one
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

kafka: ## a real Apache Kafka broker in the foreground (Java 17, Maven); KAFKA_DATA=DIR keeps its log
	@exec $$(deploy/find-python) deploy/kafka/run.py $(ARGS)

docs: $(READY) ## write what the code can print: docs/reference, .env.example
	@$(BIN)/python -m docs.generate

examples: $(READY) ## write the frozen examples, JSON Schemas and the AsyncAPI document of new events
	@$(BIN)/python -m libs.events.examples

lock: $(READY) ## resolve requirements/*.in anew into the hash-locked *.txt
	@for name in runtime dev; do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make lock" requirements/$$name.in -o requirements/$$name.txt; done

clean: ## remove what can be made again (.venv, caches, Kafka's jars); keeps var/
	@rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache deploy/kafka/libs
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
