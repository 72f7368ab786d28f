# Every target is one line of what is done; `make help` lists them.
SHELL := /bin/bash
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help run run-with-supabase toolchain provision build test bench bench-sdk lint clean

help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: toolchain ## Builds the sidecar and runs it on localhost:7475, its strand in ./boboyka-data.
	$(CARGO) run --release -p boboyka-sidecar

run-with-supabase: provision build ## The same beside a Supabase of this machine's own (Postgres and PostgREST); nothing of it is kept.
	target/debug/local-supabase

toolchain: ## Makes sure of Rust and a C compiler; installs Debian's compiler when it is missing.
	@tests/toolchain.sh

provision: ## Gets what the tests run on: PostgreSQL 15, PostgREST, strace; what is missing goes into a cache.
	@tests/provision.sh

build: toolchain ## Builds everything for the tests.
	$(CARGO) build --workspace

test: provision build ## Runs every test on the real thing and prints how many passed.
	@tests/run.sh

bench: provision toolchain ## Prints how durable ingest compares with an HTTP echo and a plain append file; some minutes.
	$(CARGO) build --release -p boboyka-sidecar -p boboyka-tests
	$(CARGO) run --release -p boboyka-tests --bin bench

bench-sdk: provision toolchain ## Prints how the Python client compares with a bare httpx loop.
	$(CARGO) build --release -p boboyka-sidecar
	@tests/python.sh --bench

lint: toolchain ## Checks format and lints; warnings are errors.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check bans licenses sources; else echo "lint: cargo-deny is not installed, so bans, licences and sources were NOT checked (cargo install cargo-deny --locked)"; fi

clean: ## Removes what was built; strands are kept.
	$(CARGO) clean
