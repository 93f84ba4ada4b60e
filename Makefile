# Platen's make targets; `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := $(CURDIR)/bin
TOOLS := $(CURDIR)/hack/tools
IMAGES := $(CURDIR)/bin/images

# The user's own cluster, if KUBECONFIG is set; the development cluster otherwise.
OWN_CLUSTER := $(KUBECONFIG)
export KUBECONFIG := $(or $(KUBECONFIG),$(CURDIR)/.devcluster/kubeconfig)

CONTROLLER_GEN := $(BIN)/controller-gen
KUSTOMIZE := $(BIN)/kustomize
GOLANGCI_LINT := $(BIN)/golangci-lint
CRD_REF_DOCS := $(BIN)/crd-ref-docs
GOVULNCHECK := $(BIN)/govulncheck
GOTESTSUM := $(BIN)/gotestsum

##@ General

.PHONY: help
help: ## Show this list.
	@awk 'BEGIN {FS = ":.*##"} /^[a-zA-Z_-]+:.*##/ {printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2} /^##@/ {printf "\n%s\n", substr($$0, 5)}' $(MAKEFILE_LIST)

##@ Development

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Generate deep copies.
	$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: manifests
manifests: $(CONTROLLER_GEN) ## Generate CRDs and RBAC from the markers in the code.
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd/bases
	$(CONTROLLER_GEN) rbac:roleName=platen-manager paths=./controllers/... paths=./cmd/manager/... output:rbac:dir=config/rbac

.PHONY: docs
docs: $(CRD_REF_DOCS) ## Generate the reference of the API, the metrics and the reasons of storage failures.
	$(CRD_REF_DOCS) --source-path=api --config=hack/tools/crd-ref-docs.yaml --renderer=markdown --output-path=docs/reference/v1alpha1.md --log-level=ERROR
	go run ./hack/docs docs/reference

.PHONY: vendor-ui
vendor-ui: ## Copy what the web page takes from npm, at the version that hack/ui/package-lock.json pins.
	hack/ui/vendor.sh

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the code.
	$(GOLANGCI_LINT) fmt ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters, and the Kubernetes API linter on api/.
	@echo "==> linting"
	$(GOLANGCI_LINT) run ./...
	$(GOLANGCI_LINT) run -c .golangci-kal.yml ./api/...

.PHONY: verify
verify: $(CONTROLLER_GEN) $(KUSTOMIZE) $(CRD_REF_DOCS) $(GOVULNCHECK) lint ## Check that everything generated is up to date, and the architecture.
	hack/verify.sh
	@echo "==> verify: ok"

.PHONY: build
build: ## Build the binaries into bin/.
	CGO_ENABLED=0 go build -trimpath -o $(BIN)/ ./cmd/...

##@ Tests

.PHONY: test
test: test-unit test-e2e ## Run every test: unit, API server, end to end on a cluster.
	@echo "==> test: all passed"

.PHONY: test-unit
test-unit: $(GOTESTSUM) sdk ## Run the unit tests, and those against a real API server.
	@echo "==> unit and API server tests"
	KUBEBUILDER_ASSETS="$$(go run ./hack/devcluster binaries --only kube-apiserver,etcd)" \
	$(GOTESTSUM) --format pkgname-and-test-fails -- $$(go list ./... | grep -v -e /test/e2e)

.PHONY: test-e2e
test-e2e: $(GOTESTSUM) sdk deploy ## Run the end-to-end tests on the cluster.
	@echo "==> end-to-end tests"
	$(GOTESTSUM) --format standard-verbose -- -count=1 -timeout 20m ./test/e2e/...

.PHONY: sdk
sdk: test/sdk/node_modules/.package-lock.json ## Install the SDKs that the tests use.

test/sdk/node_modules/.package-lock.json: test/sdk/package.json test/sdk/package-lock.json
	@echo "==> installing the SDKs that the tests use"
	npm ci --prefix test/sdk --no-audit --no-fund
	@touch $@

.PHONY: bench-shim
bench-shim: deploy ## Load the REST shim: many requests at a time, and one after the other.
	go run ./test/bench/shim

.PHONY: bench-latency
bench-latency: deploy ## Measure a cold job against the same work as a batch/v1 Job.
	go run ./test/bench/latency

.PHONY: bench-render
bench-render: ## Measure the renderer, without a cluster, against plain chromedp.
	go run ./test/bench/render

.PHONY: bench-upload
bench-upload: ## Measure the upload engine, without a cluster, against rclone.
	go run ./test/bench/upload

##@ Cluster

.PHONY: cluster-up
cluster-up: ## Start the development cluster, unless KUBECONFIG names another.
ifeq ($(OWN_CLUSTER),)
	go run ./hack/devcluster up
else
	@echo "==> using the cluster of KUBECONFIG=$(OWN_CLUSTER)"
endif

.PHONY: cluster-down
cluster-down: ## Stop the development cluster and remove what it left.
	go run ./hack/devcluster down

.PHONY: images
images: ## Build the container images, without a container engine.
	go run ./hack/images -o $(IMAGES)
	go run ./hack/images -o $(IMAGES) -only manager -tags failpoints -tag failpoints

.PHONY: load-images
load-images: images cluster-up ## Load the images into the cluster.
ifeq ($(OWN_CLUSTER),)
	go run ./hack/devcluster load-image $(IMAGES)/*.tar
else
	@context="$$(kubectl config current-context)"; \
	if [[ $$context == kind-* ]]; then for image in $(IMAGES)/*.tar; do kind load image-archive --name "$${context#kind-}" "$$image"; done; \
	else echo "==> push the images in $(IMAGES) to a registry that $$context can pull from, and set their names with kustomize"; fi
endif

.PHONY: deploy
deploy: load-images ## Install Platen and the Dropbox simulator.
	@echo "==> installing Platen and the Dropbox simulator"
	kubectl apply --server-side --force-conflicts -k config/simulator
	kubectl -n platen-system rollout restart deployment/platen-manager deployment/platen-shim deployment/dropboxsim
	kubectl -n platen-system rollout status deployment/platen-manager --timeout=120s
	kubectl -n platen-system rollout status deployment/platen-shim --timeout=120s
	kubectl -n platen-system rollout status deployment/dropboxsim --timeout=120s

.PHONY: undeploy
undeploy: ## Remove Platen, with all jobs.
	kubectl delete --ignore-not-found -k config/simulator

.PHONY: demo
demo: deploy ## Run the main job on the samples and show the outcome.
	go run ./hack/demo

##@ Tools

# Each is built when its module files are newer than the binary.
$(CONTROLLER_GEN) $(KUSTOMIZE) $(CRD_REF_DOCS) $(GOVULNCHECK) $(GOTESTSUM) &: $(TOOLS)/go.mod $(TOOLS)/go.sum
	@echo "==> building tools"
	@mkdir -p $(BIN)
	go build -C $(TOOLS) -o $(BIN)/ tool
	@touch $(CONTROLLER_GEN) $(KUSTOMIZE) $(CRD_REF_DOCS) $(GOVULNCHECK) $(GOTESTSUM)

$(GOLANGCI_LINT): $(TOOLS)/golangci-lint/go.mod $(TOOLS)/golangci-lint/go.sum $(TOOLS)/golangci-lint/main.go
	@echo "==> building golangci-lint with the Kubernetes API linter; the first time takes some minutes"
	go build -C $(TOOLS)/golangci-lint -o $(BIN)/golangci-lint .
