# The commands of this repository; `make` alone lists them. Every target does its own set-up, once.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Test processes side by side, each with one thread: one more than there are cores, for many of them wait for a service.
JOBS   ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$n -gt 7 ] && n=7; echo $$((n + 1)))
# Options of the three commands that start something: `make demo DEMO='--accounts 300'`.
DEMO   ?=
SERVE  ?=
UI     ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test faults check format docs bench serve ui lock sbom audit clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## a sample CRM in, ranked leads with reasons out: the whole line once, under 4 minutes
	@$(BIN)/callsheet demo $(DEMO)

test: $(STAMP) ## every test
	@$(BIN)/python -m compileall -q callsheet.py features models serving training
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder tests

faults: $(STAMP) ## what `make test` has no time for: kills, damage, floods, races and swaps by the hundred; about an hour
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -rsP -n 2 --dist loadfile -m "faults and not alone" tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -rsP -m "faults and alone" tests

check: $(STAMP) ## format, lint, types, imports between the rooms, generated docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir .cache/import_linter
	$(BIN)/python docs/generate.py --check

format: $(STAMP) ## put right what `make check` says of format, imports and docs
	$(BIN)/ruff check --fix-only -q .
	$(BIN)/ruff format -q .
	$(BIN)/python docs/generate.py

bench: $(STAMP) ## speed and scale against peers, by hand: some minutes on an idle machine
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

serve: $(STAMP) ## the service on loopback; SERVE='--data crm' for advice on a snapshot
	@$(BIN)/callsheet serve $(SERVE)

ui: $(STAMP) ## MLflow on the local store, on loopback
	@$(BIN)/callsheet ui $(UI)

lock: $(STAMP) ## resolve pyproject.toml into requirements.lock again
	$(BIN)/uv pip compile -q --universal --generate-hashes --all-extras --upgrade --no-emit-index-url \
	  --custom-compile-command 'make lock' pyproject.toml -o requirements.lock

sbom: $(STAMP) ## what requirements.lock would install, as CycloneDX: sbom.json
	$(BIN)/python .ci/sbom.py > sbom.json

audit: $(STAMP) ## ask the public advisories about every pin of the lock; needs the network, and fails without it
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock

clean: ## remove the virtual environment, caches and what the demo wrote
	rm -rf $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .callsheet/demo build dist *.egg-info

setup: $(STAMP) ## install everything into .venv (the other commands do it themselves)

$(STAMP): requirements.lock pyproject.toml
	@PYTHON='$(PYTHON)' VENV='$(VENV)' sh .ci/setup
