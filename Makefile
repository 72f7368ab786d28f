# Every target is one line of what is done; `make help` lists them.
SHELL := /bin/bash
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: provision-cluster images cluster cluster-down help run run-with-supabase provision build test bench lint clean

help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Builds the sidecar and runs it on localhost:7475, its strand in ./boboyka-data.
	$(CARGO) run --release -p boboyka-sidecar

run-with-supabase: provision build ## The same beside a Supabase of this machine's own (Postgres and PostgREST).
	$(CARGO) run -p boboyka-tests --bin local-supabase

provision: ## Gets what the tests run on: PostgreSQL 15, PostgREST, strace; what is missing goes into a cache.
	@tests/provision.sh

provision-cluster: ## Gets what a Kubernetes is made of into the cache; ten minutes the first time.
	@tests/provision.sh --cluster

STATIC := RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$(CURDIR)=. --remap-path-prefix=$(HOME)=home" $(CARGO) build --target x86_64-unknown-linux-gnu --target-dir target/static

images: ## Builds the sidecar's image, and the tests' own, as OCI archives in target/images.
	$(STATIC) -p boboyka-sidecar -p boboyka-probe
	$(CARGO) run -p boboyka-cluster -- images

cluster: provision-cluster images ## Brings up a Kubernetes with two nodes and the product's images, in the background.
	@$(CARGO) run -q -p boboyka-cluster -- up

cluster-down: ## Ends it.
	@$(CARGO) run -q -p boboyka-cluster -- down

build: ## Builds the sidecar for the tests.
	$(CARGO) build -p boboyka-sidecar

test: provision provision-cluster build images ## Runs every test on the real thing and prints how many passed.
	@tests/run.sh

bench: ## Prints how durable ingest compares with an HTTP echo and a plain append file; some minutes.
	$(CARGO) build --release -p boboyka-sidecar -p boboyka-tests
	$(CARGO) run --release -p boboyka-tests --bin bench

lint: ## Checks format and lints; warnings are errors.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check bans licenses sources; else echo "lint: cargo-deny is not installed, so bans, licences and sources were NOT checked (cargo install cargo-deny --locked)"; fi

clean: ## Removes what was built; strands are kept.
	$(CARGO) clean
