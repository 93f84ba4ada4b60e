# Platen's make targets; `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := $(CURDIR)/bin
TOOLS := $(CURDIR)/hack/tools
IMAGES := $(CURDIR)/bin/images

# If KUBECONFIG is set, it names the user's own cluster. Otherwise the targets use the development cluster, which brings its kubectl. A make
# that this one calls gets both variables from it.
ifndef MAKE_BEGAN
export OWN_CLUSTER := $(KUBECONFIG)
export MAKE_BEGAN := $(shell date +%s.%N)
endif
export KUBECONFIG := $(or $(KUBECONFIG),$(CURDIR)/.devcluster/kubeconfig)
export PATH := $(BIN):$(PATH)

# The same flags for everything, so that Go compiles each package once.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath
# The compiler collects garbage less often: it saves an eighth of the CPU time, at the cost of memory.
GO_BUILD := env GOGC=400 go build

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
manifests: $(CONTROLLER_GEN) ## Generate CRDs and RBAC from the markers in the code, and with them the Helm chart's.
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd/bases
	$(CONTROLLER_GEN) rbac:roleName=platen-manager paths=./controllers/... paths=./cmd/manager/... output:rbac:dir=config/rbac
	go run ./hack/chart config charts/platen

.PHONY: docs
docs: $(CRD_REF_DOCS) ## Generate the reference of the API, metrics and storage reasons, and the table of packages.
	$(CRD_REF_DOCS) --source-path=api --config=hack/tools/crd-ref-docs.yaml --renderer=markdown --output-path=docs/reference/v1alpha1.md --log-level=ERROR
	go run ./hack/docs docs charts/platen/values.schema.json
	go run ./hack/layers docs/design/packages.md

.PHONY: site
site: ## Build the pages of docs/ as a site in bin/site, without a network.
	@hack/setup site
	mkdocs build -f hack/site/mkdocs.yml
	@echo "==> open bin/site/index.html"

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
verify: $(CONTROLLER_GEN) $(KUSTOMIZE) $(CRD_REF_DOCS) $(GOVULNCHECK) lint ## Run the linters, and check generated files and the architecture.
	@hack/setup test
	hack/verify.sh
	@echo "==> verify: ok"

.PHONY: preview
preview: ## Render the samples' banner on this machine, without a cluster.
	@hack/setup browser & hack/step preview "two minutes the first time, a second afterwards" $(GO_BUILD) -o $(BIN)/ ./cmd/kubectl-platen && wait $$!
	@$(BIN)/kubectl-platen preview banner -f config/samples/marketing.yaml -o $(BIN)/banner.png

.PHONY: build
build: ## Build the binaries into bin/.
	go build -o $(BIN)/ ./cmd/...

##@ Tests

.PHONY: test
test: export PLAN := setup unit-tests images cluster load install end-to-end-tests
test: test-unit test-e2e ## Run every test: unit, API server, end to end on a cluster.
	@hack/step --report
	@echo "==> test: all passed"

.PHONY: test-unit
test-unit: setup-tests $(GOTESTSUM) sdk ## Run the unit tests, and those against a real API server.
	@hack/step unit-tests "with a real API server; about ten minutes" $(MAKE) --no-print-directory run-unit-tests

# The packages that take longest begin first: one that begins last would run alone. Most of them wait for processes half of the time, so more of them
# run than there are processors. Without vet, which type-checks each package once more: make lint runs it. Go keeps results, and does not see the programs
# of Debian that tests run: the digest of the list of packages makes other tests of them after an upgrade.
LONG_TESTS := ./internal/render/browser ./test/bench/soak ./test/shim ./test/attacks ./test/ui ./test/handover ./test/plugin ./controllers/... ./test/...
.PHONY: run-unit-tests
run-unit-tests:
	KUBEBUILDER_ASSETS="$$(go run ./hack/devcluster binaries --only kube-apiserver,etcd)" \
	$(GOTESTSUM) --format pkgname-and-test-fails -- -vet=off -timeout 30m -p $$(($$(nproc) * 3 / 2)) \
		-ldflags "-X=main.debian=$$(dpkg-query --show | sha256sum | cut -c 1-16)" $$(go list $(LONG_TESTS) ./... | grep -v -e /test/e2e -e /test/flux)

.PHONY: test-e2e
# With -p=1, because test/e2e kills the manager that test/e2e/docs needs. Its specs run one after the other: beside others, a pod with a fault may be ended for
# its CPU before the fault is made.
test-e2e: setup-tests $(GOTESTSUM) sdk deploy ## Run the end-to-end tests on the cluster.
	@hack/step end-to-end-tests "about ten minutes" $(GOTESTSUM) --format standard-verbose -- -vet=off -count=1 -p=1 -timeout 20m ./test/e2e/...

MINORS := $(notdir $(wildcard hack/devcluster/minors/*))
.PHONY: test-minors
test-minors: setup-tests sdk ## Run the tests that need only an API server against those of the two minors of Kubernetes before.
	@for minor in $(MINORS); do \
		assets="$$(go run ./hack/devcluster binaries --only kube-apiserver,etcd --minor $$minor)"; \
		echo "==> testing with $$("$$assets"/kube-apiserver --version)"; \
		KUBEBUILDER_ASSETS="$$assets" go test ./test/apivalidation ./test/manifests ./test/shim ./controllers/...; \
	done

.PHONY: test-stores
test-stores: ## Run the tests of buckets against fake-gcs-server and Azurite; some minutes the first time.
	@hack/setup test
	npm ci --prefix test/stores --no-audit --no-fund
	PLATEN_TEST_STORES=true go test -count=1 -timeout 20m -run 'TestServersKeepTheContract|TestGCSServer|TestAzureServer' ./internal/content ./internal/storage/blobstore

.PHONY: test-gitops
test-gitops: deploy ## Let Flux's own controllers bring the samples from git to the cluster, and to an API server with faults; a quarter of an hour the first time.
	KUBEBUILDER_ASSETS="$$(go run ./hack/devcluster binaries --only kube-apiserver,etcd)" go test -count=1 -timeout 40m ./test/flux

FUZZ_TIME ?= 1m
.PHONY: fuzz
fuzz: ## Send random input to what reads the input of others, each target for FUZZ_TIME=1m.
	@git grep '^func Fuzz' -- '*_test.go' | sed -E 's#^(.*)/[^/]*:func (Fuzz[A-Za-z0-9]*).*#\1 \2#' | while read -r folder name; do \
		echo "==> $$folder $$name"; go test "./$$folder" -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZ_TIME) </dev/null; \
	done

.PHONY: test-bare
test-bare: ## Run the commands of the README's first screen on a fresh Debian, and time them.
	test/bare/run

# Go compiles the tests while apt installs Debian's packages.
.PHONY: setup-tests
setup-tests:
	@hack/step setup "Debian's packages, and compiling the tests; three minutes the first time" \
		bash -c 'hack/setup browser site test & packages=$$!; go list -test -deps -export ./... >/dev/null; go -C hack/tools/helm tool -n helm >/dev/null; go -C hack/tools/manifests tool -n kubeconform >/dev/null; go -C hack/tools/manifests tool -n kube-score >/dev/null; go -C hack/tools/prometheus run -tags=remove_all_sd github.com/prometheus/prometheus/cmd/promtool --version >/dev/null; wait $$packages'

# In the user's cache, so that a new checkout need not install it again.
SDK = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/platen/npm/$(shell cat test/sdk/package.json test/sdk/package-lock.json | sha256sum | cut -c 1-12)
.PHONY: sdk
sdk: $(SDK)/node_modules/.package-lock.json ## Install what the tests use from npm.
	@ln -sfn $(SDK)/node_modules test/sdk/node_modules

$(SDK)/node_modules/.package-lock.json: | setup-tests
	@echo "==> installing what the tests use from npm"
	mkdir -p $(SDK)
	cp test/sdk/package.json test/sdk/package-lock.json $(SDK)
	npm ci --prefix $(SDK) --no-audit --no-fund

.PHONY: bench-shim
bench-shim: deploy ## Load the REST shim: many requests at a time, and one after the other.
	go run ./test/bench/shim

.PHONY: bench-latency
bench-latency: deploy ## Measure cold and warm jobs against the same work as a batch/v1 Job.
	go run ./test/bench/latency

.PHONY: bench-queue
bench-queue: deploy ## Measure fairness between namespaces, and what a quota costs the API server.
	go run ./test/bench/queue

ROUNDS ?= 20
JOBS ?= 500
.PHONY: bench-chaos
bench-chaos: deploy ## Kill the manager, render pods and the simulator at random while jobs run: ROUNDS=20 JOBS=500.
	go run ./test/bench/chaos -rounds $(ROUNDS) -jobs $(JOBS) $(if $(SEED),-seed $(SEED))

.PHONY: bench-scale
bench-scale: ## Measure how many jobs one manager carries, without a cluster, against the floor: JOBS_FINISHED=1000,5000,10000, BUCKET=1, SHARDS=2.
	KUBEBUILDER_ASSETS="$$(go run ./hack/devcluster binaries --only kube-apiserver,etcd)" \
	go run ./test/bench/scale $(if $(JOBS_FINISHED),-jobs $(JOBS_FINISHED)) $(if $(BUCKET),-bucket) $(if $(SHARDS),-shards $(SHARDS))

.PHONY: bench-soak
bench-soak: ## Run 20,000 jobs with faults, without a cluster, and measure what is left of them: SOAK_JOBS=20000.
	KUBEBUILDER_ASSETS="$$(go run ./hack/devcluster binaries --only kube-apiserver,etcd)" go run ./test/bench/soak $(if $(SOAK_JOBS),-jobs $(SOAK_JOBS))

.PHONY: bench-render
bench-render: ## Measure the renderer, without a cluster, against plain chromedp, takumi-js and ffmpeg.
	@hack/setup browser test
	go test ./internal/render/browser -run '^$$' -bench BesideChromiumAlone -benchtime 5x
	go run ./test/bench/render

.PHONY: bench-isolation
bench-isolation: ## Compare 20,000 random pairs of pages with the same pages alone; a quarter of an hour.
	@hack/setup browser
	go test ./internal/render/browser -run LooksAsIf -pairs 20000 -seed 0 -timeout 5h -v

.PHONY: bench-model
bench-model: ## Run the control plane through 10,000 seeds of simulated faults, without a cluster.
	go test ./test/model -run TestSeeds -timeout 2h -model.seeds 10000 -model.figures -v | grep -vE '^ *(=== RUN|--- PASS)'

.PHONY: bench-upload
bench-upload: ## Measure the upload engine, without a cluster, against rclone.
	go run ./test/bench/upload

##@ Cluster

.PHONY: cluster-up
cluster-up: ## Start the development cluster, unless KUBECONFIG names another.
ifeq ($(OWN_CLUSTER),)
	@hack/step cluster "six minutes the first time, when Kubernetes is compiled; 20 seconds afterwards" go run ./hack/devcluster up
else
	@echo "==> using the cluster of KUBECONFIG=$(OWN_CLUSTER)"
endif

.PHONY: cluster-down
cluster-down: ## Stop the development cluster and remove everything that it left.
	go run ./hack/devcluster down

# The end-to-end tests kill a manager that has failpoints.
.PHONY: images
images: ## Build the container images, without a container engine.
	@$(PREFETCH) & hack/step images "three minutes the first time, seconds afterwards" go run ./hack/images -o $(IMAGES) || { wait; exit 1; }; wait
	@$(if $(filter test test-e2e,$(MAKECMDGOALS)),go run ./hack/images -o $(IMAGES) -only manager -tags failpoints -tag failpoints)

# PREFETCH downloads the cluster's packages and modules while the images are built.
PREFETCH := true
ifeq ($(OWN_CLUSTER),)
deploy: PREFETCH := hack/prefetch
endif

.PHONY: load-images
load-images: images cluster-up ## Load the images into the cluster.
ifeq ($(OWN_CLUSTER),)
	@hack/step load "ten seconds the first time" go run ./hack/devcluster load-image $(IMAGES)/*.tar
else
	@context="$$(kubectl config current-context)"; \
	if [[ $$context == kind-* ]]; then for image in $(IMAGES)/*.tar; do kind load image-archive --name "$${context#kind-}" "$$image"; done; \
	else echo "==> push the images in $(IMAGES) to a registry that $$context can pull from, and set their names with kustomize"; fi
endif

.PHONY: deploy
deploy: load-images ## Install Platen and the Dropbox simulator.
	@hack/step install "Platen and the Dropbox simulator, ten seconds" $(MAKE) --no-print-directory install

.PHONY: install
install:
	kubectl apply --server-side --force-conflicts -k config/simulator
	kubectl -n platen-system rollout restart deployment/platen-manager deployment/platen-shim deployment/dropboxsim
	kubectl -n platen-system rollout status deployment/platen-manager --timeout=120s
	kubectl -n platen-system rollout status deployment/platen-shim --timeout=120s
	kubectl -n platen-system rollout status deployment/dropboxsim --timeout=120s

.PHONY: undeploy
undeploy: ## Remove Platen, with all jobs.
	kubectl delete --ignore-not-found -k config/simulator

.PHONY: demo
demo: export PLAN := images cluster load install samples
demo: deploy ## Render the samples and show the outcome.
	@$(GO_BUILD) -o $(BIN)/ ./cmd/kubectl-platen
	@hack/step samples "20 seconds" go run ./hack/demo
	@hack/step --report

##@ Release

# Images are called $(IMAGE_PREFIX)/manager:$(VERSION) and so on. IMAGE_DIGESTS=false leaves the digests out of install.yaml, for a
# cluster that loads dist/images/*.tar. SIGNING_KEY is the file of the private key that signs the checksums of all files
# and their provenance, which names the BUILDER. PACKAGES names a file with further Debian packages for the renderer, such as hack/images/web-fonts.txt.
VERSION ?= $(shell git describe --tags --exact-match 2>/dev/null || echo v0.0.0-g$$(git rev-parse --short HEAD))
IMAGE_PREFIX ?= platen.dev
IMAGE_DIGESTS ?= true
SIGNING_KEY ?=
BUILDER ?= https://platen.dev/local-build
PLUGIN_PLATFORMS ?=
PACKAGES ?=

.PHONY: dist
dist: $(KUSTOMIZE) ## Make a release in dist/: install.yaml, the Helm chart, the images and the plugin for each platform.
	@$(if $(SIGNING_KEY),git diff --quiet HEAD || { echo "make dist: commit your changes first: the provenance of a release names its commit" >&2; exit 1; })
	@hack/setup images
	@rm -rf dist
	go run ./hack/images -check-after 0s -o dist/images -only manager,shim,renderer $(if $(PACKAGES),-packages $(PACKAGES)) -prefix $(IMAGE_PREFIX) -tag $(VERSION) -version $(VERSION)
	rm -r dist/images/binaries-*
	cp -r charts/platen dist/chart && sed -i 's#"default": "platen.dev"#"default": "$(IMAGE_PREFIX)"#' dist/chart/values.schema.json && go run ./hack/chart config dist/chart
	go -C hack/tools/helm tool helm package $(CURDIR)/dist/chart -d $(CURDIR)/dist --version $(patsubst v%,%,$(VERSION)) --app-version $(VERSION) && rm -r dist/chart
	$(KUSTOMIZE) build config/default | \
		go run ./hack/dist -version $(VERSION) -built "$$(git log -1 --format=%cI)" -commit "$$(git rev-parse HEAD)" -builder $(BUILDER) -digests=$(IMAGE_DIGESTS) $(if $(SIGNING_KEY),-key $(SIGNING_KEY)) $(if $(PLUGIN_PLATFORMS),-platforms=$(PLUGIN_PLATFORMS)) dist/images/*.tar
	@echo "==> push the images as they are: skopeo copy --preserve-digests oci-archive:dist/images/manager-$(VERSION).tar docker://$(IMAGE_PREFIX)/manager:$(VERSION)"

##@ Tools

# make builds a tool when its module files are newer than the binary.
$(CONTROLLER_GEN): TOOL := sigs.k8s.io/controller-tools/cmd/controller-gen
$(KUSTOMIZE): TOOL := sigs.k8s.io/kustomize/kustomize/v5
$(CRD_REF_DOCS): TOOL := github.com/elastic/crd-ref-docs
$(GOVULNCHECK): TOOL := golang.org/x/vuln/cmd/govulncheck
$(GOTESTSUM): TOOL := gotest.tools/gotestsum
$(CONTROLLER_GEN) $(KUSTOMIZE) $(CRD_REF_DOCS) $(GOVULNCHECK) $(GOTESTSUM): $(TOOLS)/go.mod $(TOOLS)/go.sum
	@echo "==> building $(@F)"
	@mkdir -p $(BIN)
	go build -C $(TOOLS) -o $@ $(TOOL)
	@touch $@

$(GOLANGCI_LINT): $(TOOLS)/golangci-lint/go.mod $(TOOLS)/golangci-lint/go.sum $(TOOLS)/golangci-lint/main.go
	@echo "==> building golangci-lint with the Kubernetes API linter; the first time takes some minutes"
	go build -C $(TOOLS)/golangci-lint -o $(BIN)/golangci-lint .
