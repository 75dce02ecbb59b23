# Make and Python 3.11+ are all that is assumed; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
PROTOS := $(shell find protos -name '*.proto' | LC_ALL=C sort)
SERVICES := $(filter %_service.proto,$(PROTOS))

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run web web-tools test edge-tests check protos types screenshots lock bench eval load faults hosts fuzz clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/.run ## install what `make run` needs into .venv, and build the web app
	@$(WEB) build --or-without

setup-dev: .venv/.dev ## install it with the tools of test, check and bench

# Installs and builds only what has changed.
WEB := $(BIN)/python -m stack.web

.venv/bin/uv: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Gaji needs Python 3.11 or newer; set PYTHON=...")'
	@$(PYTHON) -m venv .venv
	@grep -A 99 '^uv==' requirements.lock | awk 'NR > 1 && /^[a-z]/ {exit} {print}' > .venv/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r .venv/uv.lock
	@touch $@

.venv/.run: .venv/bin/uv requirements.lock pyproject.toml
	@echo "Installing what runs (once) ..."
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m stack.bytecode
	@touch $@

.venv/.dev: .venv/.run requirements-dev.lock
	@echo "Installing what tests and checks (once) ..."
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

run: setup ## start everything on this machine; Ctrl-C stops it
	@$(BIN)/gaji up

web-tools: setup-dev
	@$(WEB) install

web: web-tools ## build the web app into web/dist
	@$(WEB) build

test: web ## run the tests: those of the web app's parts, then all others
	@$(WEB) npm run --silent test; parts=$$?; $(BIN)/python -m pytest -n 2 && \
	if [ $$parts != 0 ]; then echo "web/tests: failed, see above"; exit 1; fi

edge-tests: web ## run the tests of the gateway and of the whole stack through Envoy, then through nginx
	@for edge in envoy nginx; do GAJI_TEST_EDGE=$$edge $(BIN)/python -m pytest -n 2 -rs tests/gateway tests/e2e || failed=1; done; exit $${failed:-0}

check: protos types web ## lint, types, contract, import rules, a clean tree after regeneration, no path slower
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet . && echo "ruff: clean"
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/buf lint && $(BIN)/buf format --diff --exit-code && echo "buf lint: clean"
	@$(WEB) npm run --silent check && $(WEB) npm run --silent weight
	@tools/check-breaking
	@tools/check-generated
	@$(BIN)/python -m benchmarks.guard

protos: setup-dev ## regenerate generated/ from protos/
	@mkdir -p .build/googleapis/google/api generated
	@cd "$$($(BIN)/python -c 'import google.api; print(list(google.api.__path__)[0])')" && cp annotations.proto http.proto httpbody.proto $(CURDIR)/.build/googleapis/google/api/
	@rm -rf generated/gaji && mkdir generated/gaji
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos -I.build/googleapis --python_out=generated --pyi_out=generated --descriptor_set_out=generated/gaji/descriptors.binpb --include_imports --include_source_info $(PROTOS)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iprotos -I.build/googleapis --grpc_python_out=generated --mypy_grpc_out=quiet:generated $(SERVICES)

types: web-tools ## write the web app's types of the API anew from the contract
	@mkdir -p .build && $(BIN)/python -m gateway.openapi >.build/openapi.json
	@$(WEB) npm run --silent types >/dev/null

screenshots: web ## photograph each page of a running stack into .build/screenshots; SHOTS=--help
	@tools/screenshots $(SHOTS)

lock: setup-dev ## resolve the dependencies anew into the two lock files
	@$(BIN)/uv pip compile pyproject.toml $(LOCK) --extra local --extra gemini --extra build -o requirements.lock
	@$(BIN)/uv pip compile pyproject.toml $(LOCK) --extra dev --extra bench --extra build -c requirements.lock -o requirements-dev.lock
LOCK := --quiet --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

bench: setup-dev ## run all benchmarks against their peers: tables, pictures, raw figures (45 minutes; BENCH=--help)
	@$(BIN)/python -m benchmarks $(BENCH)

eval: setup-dev ## find passages for known queries; NOVELS=folder QUERIES=file
	@$(BIN)/python -m benchmarks.eval --novels $(NOVELS) --queries $(QUERIES)
NOVELS := ../shared/novels
QUERIES := $(NOVELS)/queries-dev.jsonl

load: setup-dev ## put a stack under more load than it can bear
	@$(BIN)/python -m benchmarks.load

faults: setup-dev ## break everything in turn, check every reply, count what is answered (40 minutes; FAULTS=--help)
	@$(BIN)/python -m benchmarks.faults $(FAULTS)

hosts: setup-dev ## run it on five hosts, cut them off, lose them, upgrade them (8 minutes, as root; HOSTS=--help)
	@$(BIN)/python -m benchmarks.hosts $(HOSTS)

fuzz: setup-dev ## try 100,000 hostile inputs on the gateway and its decoders
	@GAJI_FUZZ_CASES=$(or $(CASES),17000) $(BIN)/python -m pytest -n 2 --timeout 3000 tests/hostile

clean: ## remove what was installed and built (data stays)
	@rm -rf .venv .build web/dist web/node_modules
