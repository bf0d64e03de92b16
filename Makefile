# Two targets matter: `make demo` shows the main job, `make test` passes the
# tests. Everything they need is built or installed, with progress, on first use.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MODE ?= auto
TOOL := go tool -modfile=$(CURDIR)/go.tool.mod
WORKFLOWS = $(shell git ls-files --cached --others --exclude-standard --deduplicate '*.github/workflows/*.yml' '*.github/workflows/*.yaml')
# Of the lab's module, because the tools' needs another version of a YAML library.
ACTIONLINT = go run github.com/rhysd/actionlint/cmd/actionlint -shellcheck= -pyflakes=
GO_FILES = $(shell git ls-files --cached --others --exclude-standard --deduplicate '*.go')
GOLANGCI = $(TOOL) golangci-lint run --allow-parallel-runners --config $(CURDIR)/.golangci.yml
CONTROLLER_GEN = $(TOOL) controller-gen object crd:maxDescLen=400 paths=./api/...

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

.PHONY: demo
demo: need-demo bin/lab ## the main job on a real Kubernetes (MODE=kwok|real, CHAOS=1 kills the agent, KEEP=1 leaves it up)
	bin/lab demo --install --mode $(MODE) $(if $(CHAOS),--chaos) $(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep)

.PHONY: test
test: need-test lint unit reproducible stories ## all tests that this machine can run; says what it skips, and why
	@echo "make test: all passed"

.PHONY: unit
unit: ## tests without cluster, root or network; a sample of the longest with the race detector
	INHAUL_NO_SKIP= go test ./... # those that need a cluster are for `stories`
	INHAUL_NO_SKIP= go test -race -short ./...
	cd lab && go test -race ./...

.PHONY: lab
lab: need-demo bin/lab ## a Kubernetes with the agent, a registry and a GitHub on this machine, and the program inhaul (MODE=kwok|real)
	bin/lab up --install --mode $(MODE) $(if $(LAB_DIR),--dir "$(LAB_DIR)")
	bin/lab agent install $(if $(LAB_DIR),--dir "$(LAB_DIR)")
	go build -o bin/inhaul ./cmd/inhaul

.PHONY: stories
stories: bin/lab ## integration and end-to-end tests against the lab
	hack/stories

.PHONY: lint
lint: drift ## golangci-lint, staticcheck, gofumpt, actionlint, and what `make generate` would change
	@unformatted=$$($(TOOL) gofumpt -l $(GO_FILES)); \
	test -z "$$unformatted" || { echo "gofumpt would change (make fmt):"; echo "$$unformatted"; exit 1; }
	$(GOLANGCI) ./...
	$(TOOL) staticcheck ./...
	cd lab/parts/act && $(ACTIONLINT) $(abspath $(WORKFLOWS))
	cd lab && $(GOLANGCI) ./...
	cd lab && $(TOOL) staticcheck ./...

# What is generated has to be what its sources say.
.PHONY: drift
drift:
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(CONTROLLER_GEN) output:crd:dir=$$fresh/crds output:object:dir=$$fresh/object; \
	diff -r deploy/crds $$fresh/crds && diff api/v1alpha1/zz_generated.deepcopy.go $$fresh/object/zz_generated.deepcopy.go || \
	{ echo "api/v1alpha1 and what was generated from it differ: make generate"; exit 1; }

.PHONY: reproducible
reproducible: ## builds the three programs twice, in two folders and surroundings: the same bytes? (COLD=1 shares no cache)
	hack/release/reproducible $(if $(COLD),--cold)

.PHONY: release-check
release-check: bin/lab ## rehearses a release in a clone: tag, goreleaser, the Action that downloads it; checks the workflows
	bin/lab build goreleaser act
	$$(bin/lab path actionlint) .github/workflows/*.yml
	go test -count=1 -run 'Released|Release|Workflow' .
	hack/release/reproducible --cold
	GORELEASER=$$(bin/lab path goreleaser) hack/release/rehearse

.PHONY: gallery
gallery: bin/lab ## what GitHub shows, every state of it: bin/gallery/index.html, and pictures by Chromium (STORIES=failed for some)
	@STORIES="$(STORIES)" hack/gallery

.PHONY: fmt
fmt: ## format all Go code
	$(TOOL) gofumpt -w $(GO_FILES)

.PHONY: generate
generate: ## custom resource definitions and deep copies, from api/v1alpha1
	$(CONTROLLER_GEN) output:crd:dir=deploy/crds

.PHONY: bench
bench: bin/lab ## a deploy's steps beside the cluster's own floor (N=20 deploys)
	hack/bench

.PHONY: zero-downtime
zero-downtime: bin/lab ## 20 releases under constant load on real containers: counts failed requests (needs root)
	hack/zero-downtime

.PHONY: faults
faults: bin/lab ## every cause of a failed deploy on real containers: its check, in time (ONLY=crash for some; needs root)
	@ONLY="$(ONLY)" RECORD="$(abspath $(RECORD))" hack/faults

.PHONY: walls
walls: bin/lab ## what a preview reaches, and what it does not, with NetworkPolicies in force on real containers (needs root)
	hack/walls

.PHONY: chaos
chaos: bin/lab ## breaks everything around the agent N times (200), at the worst moments: nothing may be lost, doubled or untrue (SEED=)
	hack/chaos chaos

.PHONY: previews
previews: bin/lab ## N pull requests (30) come and go, events get lost, the agent is killed: exactly the right previews are left (SEED=, SWEEP=3s)
	hack/previews all

.PHONY: previews-time
previews-time: bin/lab ## N previews (10) on real containers: image published until it answers, closed until it is gone (needs root)
	hack/previews times

.PHONY: pairs
pairs: bin/lab ## N pairs of pushes (50) in any order and doubled: the newest one is live; a bad release holds up nobody
	hack/chaos pairs

.PHONY: soak
soak: bin/lab ## releases without a pause for MINUTES (15): does the agent's memory grow?
	hack/chaos soak

.PHONY: contract
contract: ## all that the client says to GitHub, against a Prism mock of GitHub's full API description
	@hack/need go node npm
	hack/contract

.PHONY: clean
clean: ## remove bin/; the lab's cached parts stay in ~/.cache/inhaul-lab
	rm -rf bin

# Says what the machine lacks before anything fails half-way.
.PHONY: need-demo need-test
need-demo:
	@hack/need go git node npm
need-test:
	@hack/need go cc git node npm

bin/lab: FORCE
	@go build -C lab -o ../bin/lab .

.PHONY: FORCE
FORCE:
