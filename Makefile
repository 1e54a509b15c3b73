# Every command of the project. `make` alone lists them. Needs Python 3.11 to 3.13, make and git; nothing else.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BUILD := build
# Whatever imports onnxruntime here reports nothing to its maker.
export ORT_DISABLE_TELEMETRY := 1
# Absolute, so that the recipes work from any folder and after `cd`.
BIN := $(CURDIR)/$(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

# Where the recordings and texts for the `data` tests are: set ANTIPHON_DATA, or lay them out beside the checkout.
ANTIPHON_DATA ?= $(wildcard $(CURDIR)/../shared/data)
ifneq ($(strip $(ANTIPHON_DATA)),)
export ANTIPHON_DATA
endif

# What a machine without a GPU, a Triton server, a Kubernetes cluster or a day to spare cannot run.
ELSEWHERE := gpu or triton or k8s or training
PYTEST := $(BIN)/python -m pytest

GRPCURL_VERSION := v1.9.3
PROTOC_GEN_GO_VERSION := v1.36.11
PROTOC_GEN_GO_GRPC_VERSION := v1.6.1
TOOLS := $(CURDIR)/$(BUILD)/bin

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- environment ------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(VENV)/.installed ## Make the environment in .venv from the hashed locks

# Made anew whenever the lock changes: what an older lock had installed must not linger.
$(VENV)/.locked: requirements/dev.txt tools/find-python.sh
	@python=$$(tools/find-python.sh); \
	echo "[1/3] making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
	@echo "[2/3] installing the locked packages (about 300 MB, once)"
	@$(PIP) install --require-hashes --requirement requirements/dev.txt
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@echo "[3/3] installing antiphon itself, editable"
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: lock
lock: ## Write requirements/*.txt anew (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv on PATH" >&2; exit 1; }
	@compile() { uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCKFLAGS) "$$@"; }; \
	compile pyproject.toml --extra dev --output-file requirements/dev.txt; \
	compile pyproject.toml --extra serve --extra asr --extra nlu --extra learning --extra triton --extra tts --extra skills --constraint requirements/dev.txt \
		--output-file requirements/serve.txt; \
	compile pyproject.toml --extra train --constraint requirements/dev.txt --output-file requirements/train.txt; \
	compile pyproject.toml --extra train-torch --constraint requirements/dev.txt \
		--output-file requirements/train-torch.txt; \
	compile requirements/triton.in --output-file requirements/triton.txt; \
	compile requirements/build.in --constraint requirements/dev.txt --output-file requirements/build.txt; \
	compile requirements/go.in --output-file requirements/go.txt

.PHONY: train-setup
train-setup: ## Make the environment of the training recipes in build/train
	@python=$$(tools/find-python.sh); "$$python" -m venv --clear $(BUILD)/train
	@$(BUILD)/train/bin/python -m pip install --require-hashes --requirement requirements/train.txt

.PHONY: train-torch-setup
train-torch-setup: ## Make the environment of the recipes that need torch in build/train-torch (about 5 GB)
	@python=$$(tools/find-python.sh); "$$python" -m venv --clear $(BUILD)/train-torch
	@$(BUILD)/train-torch/bin/python -m pip install --require-hashes --requirement requirements/train-torch.txt

.PHONY: triton-setup
triton-setup: $(BUILD)/triton/.installed ## Make the environment of the local Triton server in build/triton (about 500 MB)

$(BUILD)/triton/.installed: requirements/triton.txt
	@python=$$(tools/check-triton.sh); "$$python" -m venv --clear $(BUILD)/triton
	@$(BUILD)/triton/bin/python -m pip --disable-pip-version-check --no-input install --require-hashes \
		--requirement requirements/triton.txt
	@touch $@

# --- use --------------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: setup ## Start the platform, run one spoken turn, stop (WAV=file, MIC=1, LOCALE=tag)
	@$(BIN)/python -m services.demo $(if $(WAV),--wav "$(WAV)") $(if $(MIC),--microphone) \
		$(if $(LOCALE),--locale "$(LOCALE)")

.PHONY: bench
bench: setup ## Measure the figures in benchmarks/, each as a ratio within one run
	@$(BIN)/python -m benchmarks $(BENCH)

# --- checks -----------------------------------------------------------------------------------------------------------

.PHONY: test
test: setup ## Run every test that needs no GPU, Triton or cluster (TEST=path and options)
	@$(PYTEST) -m "not ($(ELSEWHERE))" --ignore=tests/clients --junitxml=$(BUILD)/reports/tests.xml $(TEST)

.PHONY: test-unit
test-unit: setup ## Run the unit tests alone
	@$(PYTEST) -m unit $(TEST)

# Against build/triton, or the environment that ANTIPHON_TRITON_SERVER names.
.PHONY: test-triton
test-triton: setup $(if $(ANTIPHON_TRITON_SERVER),,triton-setup) ## Run the tests that need a real Triton server
	@$(PYTEST) tests/triton -m "triton and not gpu" --junitxml=$(BUILD)/reports/triton.xml $(TEST)

.PHONY: test-gpu
test-gpu: setup ## Run the smoke test against a Triton on a GPU, at ANTIPHON_TRITON_URL (tests/gpu/README.md)
	@test -n "$(ANTIPHON_TRITON_URL)" || { echo "set ANTIPHON_TRITON_URL=HOST:PORT; tests/gpu/README.md says how to start it" >&2; exit 1; }
	@$(PYTEST) tests/gpu -m gpu --junitxml=$(BUILD)/reports/gpu.xml $(TEST)

.PHONY: test-clients
test-clients: setup tools go-client ## Run the stock clients (grpcurl, Go, the examples in the docs) against the platform
	@PATH="$(TOOLS):$(BIN):$$PATH" $(PYTEST) tests/clients --junitxml=$(BUILD)/reports/clients.xml

.PHONY: lint
lint: setup ## Check style, formatting and the import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache

.PHONY: format
format: setup ## Format, and mend what can be mended
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

.PHONY: types
types: setup ## Check types
	@$(BIN)/mypy

# --- contract ---------------------------------------------------------------------------------------------------------

.PHONY: proto
proto: setup ## Generate the Python stubs from protos/
	@$(BIN)/python tools/generate.py

.PHONY: contract
contract: setup ## Check the contract: stubs without drift, lint, nothing broken since the baseline
	@$(BIN)/python tools/generate.py --check
	@PATH="$(BIN):$$PATH" tools/check-contract.sh

.PHONY: baseline
baseline: setup ## Take the contract as it is as the one that must not break
	@$(BIN)/python tools/generate.py --check
	@PATH="$(BIN):$$PATH" tools/check-contract.sh --take-baseline

# --- stock clients ----------------------------------------------------------------------------------------------------

.PHONY: tools
tools: ## Build grpcurl and the Go plugins into build/bin
tools: $(TOOLS)/.grpcurl-$(GRPCURL_VERSION) $(TOOLS)/.protoc-gen-go-$(PROTOC_GEN_GO_VERSION) \
	$(TOOLS)/.protoc-gen-go-grpc-$(PROTOC_GEN_GO_GRPC_VERSION)

# $(call go-install,PACKAGE@VERSION): checksums come from Go's own database; no other toolchain is fetched.
go-install = @mkdir -p $(TOOLS); go=$$(tools/find-go.sh "$$(tools/find-python.sh)" $(CURDIR)/$(BUILD)/go); \
	echo "building $(1)"; GOTOOLCHAIN=local GOBIN=$(TOOLS) "$$go" install $(1); ln -sf "$$go" $(TOOLS)/go; touch $@

$(TOOLS)/.grpcurl-$(GRPCURL_VERSION):
	$(call go-install,github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION))

$(TOOLS)/.protoc-gen-go-$(PROTOC_GEN_GO_VERSION):
	$(call go-install,google.golang.org/protobuf/cmd/protoc-gen-go@$(PROTOC_GEN_GO_VERSION))

$(TOOLS)/.protoc-gen-go-grpc-$(PROTOC_GEN_GO_GRPC_VERSION):
	$(call go-install,google.golang.org/grpc/cmd/protoc-gen-go-grpc@$(PROTOC_GEN_GO_GRPC_VERSION))

# The stock client of tests/clients/go, built beside its generated stubs so that the source tree stays clean.
.PHONY: go-client
go-client: setup tools
	@$(BIN)/python tools/generate.py --check
	@mkdir -p $(BUILD)/go-client && cp tests/clients/go/main.go tests/clients/go/go.mod tests/clients/go/go.sum $(BUILD)/go-client/
	@PATH="$(TOOLS):$(BIN):$$PATH" buf generate protos --template tests/clients/go/buf.gen.yaml
	@cd $(BUILD)/go-client && GOTOOLCHAIN=local GOFLAGS=-mod=readonly $(TOOLS)/go build -o $(TOOLS)/antiphon-go-client .

# --- clean ------------------------------------------------------------------------------------------------------------

.PHONY: clean
clean: ## Remove what make made
	@chmod -R u+w $(BUILD) 2>/dev/null || true
	@rm -rf $(VENV) $(BUILD) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache reply.wav
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
