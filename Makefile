# Every target is one line of what is done; `make help` lists them.
SHELL := /bin/bash
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help run run-with-supabase toolchain provision provision-cluster build images test-images cluster cluster-down deploy generate test bench bench-sdk bench-operator lint mutants clean

help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: toolchain ## Builds the sidecar and runs it on localhost:7475, its strand in ./boboyka-data.
	$(CARGO) run --release -p boboyka-sidecar

run-with-supabase: provision build ## The same beside a Supabase of this machine's own (Postgres and PostgREST); nothing of it is kept.
	target/debug/local-supabase

toolchain: ## Makes sure of Rust and a C compiler; installs Debian's compiler when it is missing.
	@tools/toolchain.sh

provision: ## Gets what the tests run on: PostgreSQL 15, PostgREST, strace; what is missing goes into a cache.
	@tools/provision.sh

provision-cluster: ## Gets what a Kubernetes is made of into the cache; ten minutes the first time.
	@tools/provision.sh --cluster

# Static programs that do not tell where they were built. They have a folder of their own, so that the flags, which
# count for everything that is built with them, don't have it all built again.
STATIC := RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$(CURDIR)=. --remap-path-prefix=$(HOME)=home" \
  $(CARGO) build --locked --target x86_64-unknown-linux-gnu --target-dir target/static -p boboyka-sidecar -p boboyka-operator

images: toolchain ## Builds the sidecar's and the operator's image as OCI archives in target/images.
	$(STATIC) --release
	$(CARGO) run -q -p boboyka-images

test-images: toolchain
	$(STATIC) -p boboyka-probe

cluster: provision-cluster test-images ## Brings up a Kubernetes with two nodes and our images, in the background.
	@$(CARGO) run -q -p boboyka-cluster -- up

cluster-down: ## Ends it.
	@$(CARGO) run -q -p boboyka-cluster -- down

deploy: provision-cluster ## Installs the operator into the cluster of `make cluster`, or KUBECONFIG's, and says the next step.
	@tools/deploy.sh

generate: toolchain provision-cluster ## Writes again what is generated from the source: the resources' definitions, and charts/install.yaml.
	$(CARGO) run -q -p boboyka-crds --bin crdgen -- crds/yaml
	tools/generate.sh

build: toolchain ## Builds everything for the tests.
	$(CARGO) build --workspace

test: provision provision-cluster build test-images ## Runs every test on the real thing and prints how many passed.
	@tests/run.sh

bench: provision toolchain ## Prints how durable ingest compares with an HTTP echo and a plain append file; some minutes.
	$(CARGO) build --release -p boboyka-sidecar -p boboyka-tests
	$(CARGO) run --release -p boboyka-tests --bin bench

bench-sdk: provision toolchain ## Prints how the Python client compares with a bare httpx loop.
	$(CARGO) build --release -p boboyka-sidecar
	@tests/python.sh --bench

bench-operator: provision provision-cluster ## Prints how the operator does: admission, a fleet, a phase obeyed, pods ready; a quarter of an hour.
	$(STATIC) -p boboyka-probe --release
	$(CARGO) bench -p boboyka-cluster --bench operator

lint: toolchain ## Checks format, lints and dependencies; warnings are errors.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@tools/dependencies.sh

mutants: toolchain ## Changes the pure modules in many small ways and lists the changes that no test notices; some hours for all.
	@tools/mutants.sh

clean: ## Removes what was built; strands are kept.
	$(CARGO) clean
