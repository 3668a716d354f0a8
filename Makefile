# `make` alone lists the targets.

# The operator's image. `make deploy IMG=registry.example/smooth-operator:v1` installs this one.
IMG ?= smooth-operator:dev
# What `make deploy` installs: default, or full, which has the webhook and metrics over HTTPS, too.
CONFIG ?= default
# The platforms of `make docker-buildx`.
PLATFORMS ?= linux/amd64,linux/arm64
# Arguments to pass on: `make run ARGS="--namespaces dev --log-level debug"`, `make test ARGS="reflector"`.
ARGS ?=
# Faults to inject in the playground: `make playground FAULTS="delay=50ms..500ms:0.3,cut-watches=5s,error-500:0.05"`.
# `make playground ARGS=--help` lists them.
FAULTS ?=

# How long `make fuzz` searches in each of these, in seconds.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= watch admission mcp mcpserver
# How long `make soak` takes after all servers are made.
MINUTES ?= 10

CARGO ?= cargo
# `make test` also takes several, separated by colons, and runs the playground's tests with each.
KUBECTL ?= kubectl
DOCKER ?= docker
KIND ?= kind
KIND_CLUSTER ?= smooth-operator

# The image that config/manager names, which `make deploy` replaces by $(IMG).
CONFIG_IMG := smooth-operator:dev
CRD := config/crd/mcp.mcp.dev_mcpservers.yaml

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
# Targets named together build on each other: `make kind-up install run`.
.NOTPARALLEL:
.DEFAULT_GOAL := help

# $(call need,PROGRAM,REMEDY): a missing program is one line that says how to get it.
define need
command -v $(1) >/dev/null || { echo >&2 "make $@: $(1) is not installed; $(2)"; exit 1; }
endef
NEED_KUBECTL = @$(call need,$(firstword $(KUBECTL)),see https://kubernetes.io/docs/tasks/tools/)
NEED_DOCKER = @$(call need,$(firstword $(DOCKER)),see https://docs.docker.com/engine/install/)
NEED_KIND = @$(call need,$(firstword $(KIND)),see https://kind.sigs.k8s.io/docs/user/quick-start/#installation)
NEED_CARGO = @$(call need,$(firstword $(CARGO)),see https://rustup.rs)

##@ General

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

##@ Without a cluster

.PHONY: playground
playground: ## Run an API server and the operator in one process, to look at and for kubectl.
	$(NEED_CARGO)
	$(CARGO) run --locked --example playground -- $(if $(FAULTS),--faults '$(FAULTS)') $(ARGS)

.PHONY: bench
bench: build ## Measure the release with 1,000 and 10,000 MCPServers; prints a table.
	$(NEED_CARGO)
	$(CARGO) bench --locked --profile benchmark --bench operator -- $(ARGS)

.PHONY: bench-playground
bench-playground: ## Measure the playground: start-up, writes, 10,000 MCPServers; prints a table.
	$(NEED_CARGO)
	$(CARGO) bench --locked --package playground --profile benchmark --bench server -- $(ARGS)

# Run by itself, and not by cargo, which Ctrl-C would end before the verdict is there.
.PHONY: soak
soak: soak-minutes build ## Keep the release under a steady load for MINUTES=10, and say whether it stays as it is.
	@program=$$($(CARGO) bench --locked --profile benchmark --bench operator --no-run \
			--message-format=json-render-diagnostics | sed -n '/"kind":\["bench"\]/s/.*"executable":"\([^"]*\)".*/\1/p'); \
	exec "$$program" soak --minutes '$(MINUTES)' $(ARGS)

# Before anything is built.
.PHONY: soak-minutes
soak-minutes:
	@[[ '$(MINUTES)' =~ ^[1-9][0-9]{0,3}$$ ]] \
		|| { echo >&2 "make soak: MINUTES is a whole number from 1 to 9999, as in MINUTES=30"; exit 1; }

##@ Development

.PHONY: build
build: ## Build the release: target/release/smooth-operator.
	$(NEED_CARGO)
	$(CARGO) build --release --locked

.PHONY: test
test: ## Run all tests and the examples in the documentation. Needs no cluster.
	$(NEED_CARGO)
	$(CARGO) test --workspace --locked $(ARGS)

# Which seeds `make simulate` runs: so many from the first on, or one alone, with everything that happens in it.
SEEDS ?= 1000
FIRST ?= 1
SEED ?=

.PHONY: simulate
simulate: ## Run the operator through SEEDS=1000 worlds where everything goes wrong; SEED=7 shows one.
	$(NEED_CARGO)
	SEEDS='$(SEEDS)' FIRST='$(FIRST)' SEED='$(SEED)' $(CARGO) test --locked --profile simulation --test simulation -- \
		--ignored --exact simulate --nocapture

.PHONY: sieve
sieve: ## Crash the operator at each request of a server's life, and lose each event.
	$(NEED_CARGO)
	$(CARGO) test --locked --profile simulation --test simulation -- sieve

# Without a sanitizer: there is no unsafe code to be watched. So stable Rust will do.
.PHONY: fuzz
fuzz: ## Search for bytes that break a decoder, FUZZ_SECONDS=60 for each of FUZZ_TARGETS.
	$(NEED_CARGO)
	@$(call need,cargo-fuzz,cargo install --locked cargo-fuzz)
	@$(call need,c++,libFuzzer is C++: install g++ or clang)
	@[[ '$(FUZZ_SECONDS)' =~ ^[1-9][0-9]{0,6}$$ ]] \
		|| { echo >&2 "make fuzz: FUZZ_SECONDS is a whole number from 1 on, as in FUZZ_SECONDS=600"; exit 1; }
	for target in $(FUZZ_TARGETS); do \
		$(CARGO) fuzz run --sanitizer none "$$target" -- -max_total_time='$(FUZZ_SECONDS)' -print_final_stats=1 -verbosity=0 $(ARGS); \
	done

# No debug information and no shrinking: of a mutant, only whether a test fails is of interest.
.PHONY: mutants
mutants: ## Break the mechanisms in every small way, and see a test fail each time. Takes hours.
	$(NEED_CARGO)
	@$(call need,cargo-mutants,cargo install --locked cargo-mutants)
	CARGO_PROFILE_DEV_DEBUG=0 PROPTEST_MAX_SHRINK_ITERS=0 \
		$(CARGO) mutants --output target $(ARGS)

.PHONY: lint
lint: lint-rust lint-docs lint-config lint-deny ## Check format, code, documentation, manifests and dependencies.

.PHONY: lint-rust
lint-rust:
	$(NEED_CARGO)
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

.PHONY: lint-docs
lint-docs:
	$(NEED_CARGO)
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

# Building the manifests needs kubectl, but no cluster.
.PHONY: lint-config
lint-config:
	@if ! command -v $(KUBECTL) >/dev/null; then \
		echo "lint-config: skipped, kubectl is not installed"; exit 0; \
	fi; \
	for directory in default full namespaced prometheus grafana samples; do \
		$(KUBECTL) kustomize config/$$directory >/dev/null; \
		echo "config/$$directory builds"; \
	done
	@if command -v helm >/dev/null; then \
		helm lint --strict config/chart; \
		helm template smooth-operator config/chart --kube-version v1.36.0 --set prometheus.enabled=true >/dev/null; \
		helm template smooth-operator config/chart --kube-version v1.36.0 --set 'namespaces={a,b}' >/dev/null; \
	else \
		echo "lint-config: the chart is not rendered, helm is not installed"; \
	fi

# Advisories and licences need cargo-deny, and a network for the advisories.
.PHONY: lint-deny
lint-deny:
	@if command -v cargo-deny >/dev/null; then \
		$(CARGO) deny --workspace --locked check; \
	else \
		echo "lint-deny: skipped, cargo-deny is not installed (cargo install --locked cargo-deny)"; \
	fi

.PHONY: fmt
fmt: ## Format the code.
	$(NEED_CARGO)
	$(CARGO) fmt --all
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml

.PHONY: doc
doc: ## Build the book: target/doc/smooth_operator/index.html.
	$(NEED_CARGO)
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
	@echo "read target/doc/smooth_operator/index.html"

# Through a second file: if the program failed, a direct redirection would leave an empty CRD.
.PHONY: manifests
manifests: ## Generate the CRD from the Rust types, and the Helm chart from the manifests.
	$(NEED_CARGO)
	$(CARGO) run --quiet --locked -- crd > $(CRD).new
	mv $(CRD).new $(CRD)
	config/chart.sh

.PHONY: clean
clean: ## Remove everything that was built.
	$(NEED_CARGO)
	$(CARGO) clean

##@ On the cluster of the current kubeconfig

.PHONY: install
install: ## Install the CRD, and the roles for people who use it.
	$(NEED_KUBECTL)
	$(KUBECTL) apply --server-side -k config/crd
	$(KUBECTL) wait --for=condition=Established --timeout=60s crd/mcpservers.mcp.mcp.dev

.PHONY: uninstall
uninstall: ## Remove the CRD, and with it EVERY MCPServer in the cluster with its pods.
	$(NEED_KUBECTL)
	$(KUBECTL) delete --ignore-not-found -k config/crd

.PHONY: run
run: ## Run the operator on this machine, as you, until Ctrl-C. Not while one is deployed.
	$(NEED_CARGO)
	$(CARGO) run --locked -- run $(ARGS)

.PHONY: doctor
doctor: ## Ask the cluster, as you, whether the operator can run there.
	$(NEED_CARGO)
	$(CARGO) run --quiet --locked -- doctor $(ARGS)

.PHONY: deploy
deploy: ## Install the CRD, the permissions and the operator's image IMG.
	$(NEED_KUBECTL)
	$(KUBECTL) kustomize config/$(CONFIG) \
		| sed 's|image: $(CONFIG_IMG)$$|image: $(IMG)|' \
		| $(KUBECTL) apply --server-side -f -
	$(KUBECTL) -n smooth-operator-system rollout status deployment/smooth-operator --timeout=120s

# config/crd does not have this label, so the CRD, the roles for people and all MCPServers stay.
.PHONY: undeploy
undeploy: ## Remove the operator and its permissions. MCPServers stay and keep running.
	$(NEED_KUBECTL)
	$(KUBECTL) kustomize config/full \
		| $(KUBECTL) delete --ignore-not-found -l app.kubernetes.io/part-of=smooth-operator -f -

.PHONY: e2e
e2e: ## Run the acceptance tests against the current cluster. Not while an operator is deployed.
	$(NEED_CARGO)
	KUBECONFIG="$${KUBECONFIG:-$$HOME/.kube/config}" SMOOTH_E2E=1 $(CARGO) test --locked --test acceptance $(ARGS)

##@ Images

.PHONY: docker-build
docker-build: ## Build the image IMG for this machine's platform.
	$(NEED_DOCKER)
	$(DOCKER) build -t $(IMG) .

.PHONY: docker-push
docker-push: ## Push the image IMG.
	$(NEED_DOCKER)
	$(DOCKER) push $(IMG)

.PHONY: docker-buildx
docker-buildx: ## Build the image IMG for all PLATFORMS and push it.
	$(NEED_DOCKER)
	@$(DOCKER) buildx version >/dev/null 2>&1 || { echo >&2 "make $@: docker buildx is not installed; see https://docs.docker.com/build/buildx/"; exit 1; }
	$(DOCKER) buildx build --platform $(PLATFORMS) -t $(IMG) --push .

##@ A cluster on this machine

.PHONY: kind-up
kind-up: ## Start a kind cluster and make it the current one.
	$(NEED_KIND)
	$(NEED_DOCKER)
	@if $(KIND) get clusters 2>/dev/null | grep -qx "$(KIND_CLUSTER)"; then \
		$(KIND) export kubeconfig --name $(KIND_CLUSTER); \
	else \
		$(KIND) create cluster --name $(KIND_CLUSTER) --wait 2m; \
	fi

.PHONY: kind-load
kind-load: ## Load the image IMG into the kind cluster, without a registry.
	$(NEED_KIND)
	$(KIND) load docker-image $(IMG) --name $(KIND_CLUSTER)

.PHONY: kind-down
kind-down: ## Delete the kind cluster and everything in it.
	$(NEED_KIND)
	$(KIND) delete cluster --name $(KIND_CLUSTER)
