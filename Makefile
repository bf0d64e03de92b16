# Two targets matter: `make demo` shows the main job, `make test` passes the
# tests. Everything they need is built or installed, with progress, on first use.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MODE ?= auto
TOOL := go tool -modfile=$(CURDIR)/go.tool.mod
GO_FILES = $(shell git ls-files '*.go')

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

.PHONY: demo
demo: bin/lab ## the main job on a real Kubernetes (MODE=kwok|real, CHAOS=1 kills the agent, KEEP=1 leaves it up)
	bin/lab demo --install --mode $(MODE) $(if $(CHAOS),--chaos) $(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep)

.PHONY: test
test: lint unit stories ## all tests that this machine can run; says what it skips, and why
	@echo "make test: all passed"

.PHONY: unit
unit: ## tests without cluster, root or network, with the race detector
	INHAUL_NO_SKIP= go test -race ./... # those that need a cluster are for `stories`
	cd lab && go test -race ./...

.PHONY: stories
stories: bin/lab ## integration and end-to-end tests against the lab
	hack/stories

.PHONY: lint
lint: ## golangci-lint, staticcheck, gofumpt
	@test -z "$$($(TOOL) gofumpt -l $(GO_FILES))" || { echo "gofumpt would change:"; $(TOOL) gofumpt -l $(GO_FILES); exit 1; }
	$(TOOL) golangci-lint run ./...
	$(TOOL) staticcheck ./...
	cd lab && go vet ./...

.PHONY: fmt
fmt: ## format all Go code
	$(TOOL) gofumpt -w $(GO_FILES)

.PHONY: generate
generate: ## custom resource definitions and deep copies, from api/v1alpha1
	$(TOOL) controller-gen object crd:maxDescLen=400 paths=./api/... output:crd:dir=deploy/crds

.PHONY: bench
bench: bin/lab ## a deploy's steps beside the cluster's own floor (N=20 deploys)
	hack/bench

.PHONY: clean
clean: ## remove bin/; the lab's cached parts stay in ~/.cache/inhaul-lab
	rm -rf bin

bin/lab: FORCE
	@go build -C lab -o ../bin/lab .

.PHONY: FORCE
FORCE:
