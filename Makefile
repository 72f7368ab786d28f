# `make help` lists the targets.
SHELL := /bin/bash
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help run run-with-supabase toolchain provision provision-verifiers provision-objects provision-cluster provision-browser build images plugin krew dist test-images cluster cluster-down deploy generate docs test upgrade torture fuzz bench bench-sdk bench-operator lint mutants clean

help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: toolchain ## Builds the sidecar and runs it on localhost:7475 with examples/integration.yaml, its strand in ./boboyka-data.
	$(CARGO) run --release -p boboyka-sidecar -- --integration examples/integration.yaml

run-with-supabase: provision toolchain ## Does the same beside a local Supabase (Postgres and PostgREST), which is discarded at the end.
	$(CARGO) build -p boboyka-sidecar -p boboyka-tests --bins
	target/debug/local-supabase

toolchain: ## Checks for Rust and a C compiler; installs Debian's compiler when it is missing.
	@tools/toolchain.sh

provision: ## Installs PostgreSQL 15, PostgREST and strace into a cache where they are missing.
	@tools/provision.sh

provision-verifiers: ## Builds programs of others that check logs into the cache; some minutes the first time.
	@tools/provision.sh --verifiers

provision-objects: ## Builds an object store of others with S3's protocol into the cache; some minutes the first time.
	@tools/provision.sh --objects

provision-cluster: ## Installs the programs of a Kubernetes into the cache; ten minutes the first time.
	@tools/provision.sh --cluster

provision-browser: ## Unpacks Chromium, Playwright and axe-core into the cache.
	@tools/provision.sh --browser

# Static programs without paths of the machine that built them. Other flags rebuild every crate, so this build has a
# target folder of its own.
STATIC_BUILD := RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$(CURDIR)=. --remap-path-prefix=$(HOME)=home" \
  $(CARGO) build --locked --target-dir target/static
STATIC_FOR := $(STATIC_BUILD) -p boboyka-sidecar -p boboyka-operator --target
STATIC := $(STATIC_FOR) x86_64-unknown-linux-gnu

images: toolchain ## Builds the sidecar's and the operator's image, for amd64 and arm64, as OCI archives in target/images.
	$(STATIC) --release
	tools/arm64.sh env $(STATIC_FOR) aarch64-unknown-linux-gnu --release
	$(CARGO) run -q -p boboyka-images
	BOBOYKA_ARM64_RUN=$$(tools/provision.sh --arm64)/usr/bin/qemu-aarch64-static $(CARGO) test -q -p boboyka-images -- --ignored

plugin: toolchain ## Builds kubectl-boboyka as a static program in target/plugin.
	$(STATIC_BUILD) -p boboyka-plugin --target x86_64-unknown-linux-gnu --release
	mkdir -p target/plugin
	cp target/static/x86_64-unknown-linux-gnu/release/kubectl-boboyka target/plugin/
	ln -sf kubectl-boboyka target/plugin/boboyka

PLUGIN_URL ?= https://example.com/boboyka
krew: plugin ## Packs kubectl-boboyka for amd64 and arm64 with a manifest for krew; PLUGIN_URL is where the archives will be.
	tools/arm64.sh env $(STATIC_BUILD) -p boboyka-plugin --target aarch64-unknown-linux-gnu --release
	tools/krew.sh '$(PLUGIN_URL)'

dist: images krew ## Puts everything that a release needs into target/dist, reproducibly; half an hour the first time.
	tools/dist.sh target/dist '$(PLUGIN_URL)'

# Without debug information, which would be most of what each node unpacks.
test-images: toolchain
	CARGO_PROFILE_DEV_DEBUG=none $(STATIC) -p boboyka-probe

cluster: provision-cluster test-images ## Starts a Kubernetes with two nodes and the product's images, in the background.
	@$(CARGO) run -q -p boboyka-cluster -- up

cluster-down: ## Stops the cluster.
	@$(CARGO) run -q -p boboyka-cluster -- down

deploy: provision-cluster ## Installs the operator into the cluster of `make cluster`, or of KUBECONFIG, and prints the next step.
	@tools/deploy.sh

generate: toolchain provision-cluster ## Generates docs/openapi.json, docs/reference, the resources' definitions and charts/install.yaml from the source.
	$(CARGO) run -q -p boboyka-sidecar --example openapi docs/openapi.json
	$(CARGO) run -q -p boboyka-crds --bin crdgen -- crds/yaml
	$(CARGO) run -q -p boboyka-reference -- docs docs/reference
	tools/generate.sh

docs: toolchain ## Makes a book of the documents: target/book/docs/index.html.
	@tools/docs.sh

# With the tests' own dependencies, whose features then are those of every program: without them all would be built twice.
build: toolchain ## Builds everything for the tests.
	$(CARGO) build --workspace --lib --bins --examples --tests

test: provision provision-verifiers provision-objects provision-cluster provision-browser build test-images ## Runs every test and prints how many passed.
	@tests/run.sh

# A commit whose charts, pods and strands are of the form before today's.
BEFORE ?= e8c695255838feb5b9930990d2ef3039fdb760d0
upgrade: provision provision-cluster test-images ## Upgrades the product from the commit BEFORE while agents post, and looks for every record; needs root; a quarter of an hour.
	@tests/upgrade.sh $(BEFORE)

ROUNDS ?= 1
SEED ?= 1
torture: toolchain ## Tampers with strands; cuts the power, fails disks, damages files, kills, and starts the sidecar on what is left; ROUNDS, SEED; forty minutes.
	PHASE_STEPS=1000000 $(CARGO) test -q -p boboyka-crds --test phases
	$(CARGO) build -p boboyka-sidecar -p boboyka-torture
	$(CARGO) run -q -p boboyka-torture -- tamper --count $$((100000 * $(ROUNDS))) --folders $$((2000 * $(ROUNDS))) --seed $(SEED)
	$(CARGO) run -q -p boboyka-torture -- run --rounds $(ROUNDS) --seed $(SEED)

fuzz: toolchain ## Runs every fuzz target under cargo-fuzz, FUZZ_SECONDS (600) each; needs nightly Rust.
	@tools/fuzz.sh

bench: provision toolchain ## Prints how durable ingest compares with an HTTP echo and a plain append file; some minutes.
	$(CARGO) build --release -p boboyka-sidecar -p boboyka-tests
	$(CARGO) run --release -p boboyka-tests --bin bench

bench-sdk: provision toolchain ## Prints how the Python client compares with a bare httpx loop.
	$(CARGO) build --release -p boboyka-sidecar
	@tests/python.sh --bench

bench-operator: provision provision-cluster ## Measures the operator: admission, a fleet, a change of phase, pods ready; a quarter of an hour.
	$(STATIC) -p boboyka-probe --release
	$(CARGO) bench -p boboyka-cluster --bench operator

lint: toolchain ## Checks format, lints and dependencies; warnings are errors.
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@tools/dependencies.sh

mutants: toolchain ## Lists small changes to the pure modules that no test notices; some hours.
	@tools/mutants.sh

clean: ## Removes what was built and keeps strands.
	$(CARGO) clean
