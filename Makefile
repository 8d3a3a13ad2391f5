# The targets that developers and .ci/run call. "make help" lists them.

.DEFAULT_GOAL := help
.PHONY: help demo test test-cgo test-nocgo test-go test-arch test-kernel test-gvisor test-libc \
	test-shims shims cross cross-go cross-c cross-cgo fuzz fuzz-long fuzz-corpora mutate load \
	soak lint lint-go lint-c lint-workflows api-diff licences vulncheck bench-check systems \
	bench tag-check reproducible dist sboms rename

# A workspace of the user does not apply here.
export GOWORK := off

# Code with further dependencies is in a module of its own.
MODULES := . grpcpeer benchmarks proving
comma := ,
in_modules = @for module in $(MODULES); do echo "-- module $$module"; (cd $$module && $(1)) || exit 1; done

GOTESTSUM   := go run gotest.tools/gotestsum@v1.13.0 --format pkgname --format-hide-empty-pkg
GOLANGCI    := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT  := go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GOVULNCHECK := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
GO_LICENSES := go run github.com/google/go-licenses@v1.6.0
CYCLONEDX   := go run -trimpath github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
APIDIFF     := go run golang.org/x/exp/cmd/apidiff@v0.0.0-20261113113407-e3970619a1a4
# Zig, installed outside the tree.
ZIG_DIR ?= $(or $(shell .ci/pip ziglang),$(error .ci/pip failed))

##@ See

help: ## list the targets
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## /{printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## show a server that learns who connects, through both implementations
	@for cgo in 1 0; do echo "== CGO_ENABLED=$$cgo"; \
		if test $$cgo = 1 && ! command -v $$(go env CC) >/dev/null; then echo "left out: there is no C compiler"; continue; fi; \
		CGO_ENABLED=$$cgo go run ./cmd/peercred demo || exit 1; done

##@ Test here

test: test-cgo test-nocgo ## run all tests with CGO_ENABLED=1 (under the race detector) and CGO_ENABLED=0

# Skipped tests are counted by reason.
SKIPS = --hide-summary=skipped --jsonfile "$$(mktemp)" --post-run-command $(CURDIR)/.ci/skipped

# Empty it on a system for which Go has no race detector.
RACE ?= -race

test-cgo: ## run all tests with CGO_ENABLED=1, under the race detector
	@echo "== CGO_ENABLED=1, both implementations$(if $(RACE),$(comma) race detector)"
	$(call in_modules,CGO_ENABLED=1 $(GOTESTSUM) $(SKIPS) -- $(RACE) -count=1 ./...)

test-nocgo: ## run all tests with CGO_ENABLED=0
	@echo "== CGO_ENABLED=0, native alone"
	$(call in_modules,CGO_ENABLED=0 $(GOTESTSUM) $(SKIPS) -- -count=1 ./...)

# The releases that Go supports. Go fetches them from the module proxy.
GO_RELEASES := go1.26.11 go1.27.4

test-go: ## run all tests under both releases of Go that are supported
	@for release in $(GO_RELEASES); do echo "== $$release"; GOTOOLCHAIN=$$release $(MAKE) --no-print-directory test || exit 1; done

##@ Test elsewhere

test-arch: ## run the tests for other processors under qemu-user, or for some: ARCH=arm64,s390x (needs root)
	@GOTESTSUM="$(GOTESTSUM)" ZIG_DIR="$(ZIG_DIR)" proving/arch.sh $(subst $(comma), ,$(ARCH))

test-kernel: ## run the tests on Debian's kernels, in virtual machines: all boots, or those that match BOOT=quick
	@cd proving && go run ./kernels -boot '$(BOOT)'

test-gvisor: ## run the tests on gVisor: the installed release, which answers for the caller, and a current one (needs root)
	@proving/gvisor/gvisor.sh runsc
	@proving/gvisor/gvisor.sh current

test-libc: ## run the tests with glibc and musl, gcc and clang, and under the sanitizers (needs root)
	@GOTESTSUM="$(GOTESTSUM)" proving/libc.sh

CROSS = go -C proving run ./cross -zig $(ZIG_DIR)/ziglang

test-shims: ## run the C shims of all systems on a fake kernel, beside native's decoders
	@$(WITH_SHIMS) go test -count=1 -tags shims -run '^TestShims' ./native

# PEERCRED_SHIMS is the folder of the programs that the tests ask.
WITH_SHIMS = set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; $(CROSS) kernel "$$dir"; export PEERCRED_SHIMS="$$dir";

# The same programs in SHIMS, of the shims in SHIM_SOURCES, which mutate changes.
shims:
	@$(CROSS) -sources "$(abspath $(or $(SHIM_SOURCES),cpeercred))" kernel "$(abspath $(SHIMS))"

##@ Compile and link for other systems

cross: cross-go cross-c cross-cgo ## vet for every port that Go knows, compile the C shims for every system, and link

cross-go: ## vet the Go code, which compiles it, for every port that Go knows
	@proving/cross/ports.sh $(filter-out . proving,$(MODULES))

cross-c: ## compile the C shims for every system, and check which of its calls they refer to
	@$(CROSS) c

cross-cgo: ## link the command and the tests with cgo for macOS, the BSDs and Windows, with Zig
	@$(CROSS) cgo

##@ Attack

FUZZTIME ?= 30s
FUZZ = $(WITH_SHIMS) CROSS="$(CROSS)" FUZZTIME=$(FUZZTIME) proving/fuzz.sh

fuzz: ## fuzz every target, Go's and the C shims', for FUZZTIME (30s)
	@$(FUZZ)

fuzz-long: ## fuzz every target for 10 minutes
	@$(MAKE) --no-print-directory fuzz FUZZTIME=10m

fuzz-corpora: ## fuzz the C shims, then minimise what was learnt into the corpora of this tree
	@$(FUZZ) corpora

mutate: ## show which changes of conditions the tests do not notice: make mutate MUTATE="-package guard -kind statements" (needs root; -help for more)
	@cd proving && go run ./mutate $(MUTATE)

load: ## ask about 30,000 connections, 20,000 of them guarded, of clients that die and come again (needs root)
	@cd proving && for cgo in 1 0; do CGO_ENABLED=$$cgo go run ./soak -connections 30000 || exit 1; done

# How long, and how many connections, at least, in each setting.
SOAKTIME        ?= 5m
SOAKCONNECTIONS ?= 500000

soak: ## the same with a million connections, for 10 minutes in all (needs root)
	@cd proving && for cgo in 1 0; do CGO_ENABLED=$$cgo go run ./soak -time $(SOAKTIME) -connections $(SOAKCONNECTIONS) || exit 1; done

##@ Check the source and what it depends on

lint: lint-go lint-c lint-workflows ## check the Go code, the C shims and the workflows

lint-go: ## check format, and what .golangci.yml lists: go vet, staticcheck and more
	@bad=$$(gofmt -l $$(git ls-files '*.go')) && test -z "$$bad" || { echo "not formatted: $$bad"; exit 1; }
	$(call in_modules,for cgo in 1 0; do CGO_ENABLED=$$cgo $(GOLANGCI) run --allow-parallel-runners ./... || exit 1; done)

lint-c: ## check the C shims with the strict warnings of gcc and clang
	@for cc in gcc clang; do for file in inetdiag_linux linux message_linux socket unsupported; do \
		$$cc -std=c11 -Wall -Wextra -Wpedantic -Werror -Wconversion -c -o /dev/null cpeercred/$$file.c || exit 1; done; done

lint-workflows: ## check the workflows, for mistakes and for what an attacker could do with them
	@$(ACTIONLINT)
	@$$(.ci/pip zizmor)/bin/zizmor --offline --quiet --persona=pedantic .github

# The modules that are meant to be imported.
IMPORTED := . grpcpeer

BASE ?= HEAD

api-diff: ## show what the changes since BASE (HEAD, or make api-diff BASE=v1.0.0) do to those who import the modules
	@APIDIFF="$(APIDIFF)" .ci/api-diff $(BASE) $(IMPORTED)

licences: ## check that the licences of all dependencies ask for no more than ours does
	@ours=$$(go list -m) && for module in $(MODULES); do \
		(cd $$module && $(GO_LICENSES) check --include_tests --ignore $$ours \
			--allowed_licenses=Apache-2.0,BSD-2-Clause,BSD-3-Clause,ISC,MIT ./...) || exit 1; \
		echo "licences: $$module is clean"; done

# A release is built and checked with the newest.
vulncheck reproducible dist: export GOTOOLCHAIN := $(lastword $(GO_RELEASES))

# Without the internet: make vulncheck VULNDB="file://$$(.ci/vulndb)"
VULNDB ?= https://vuln.go.dev

# govulncheck reports nothing if its database is empty. So the database must know an old
# vulnerability of net/http first.
vulncheck: ## look for known vulnerabilities in the code that is called, also in Go itself
	@$(GOVULNCHECK) -db="$(VULNDB)" -mode=query -json stdlib@v1.18.0 | grep -q CVE-2022-27664 || \
		{ echo "vulncheck: $(VULNDB) does not know CVE-2022-27664"; exit 1; }
	$(call in_modules,$(GOVULNCHECK) -db="$(VULNDB)" ./...)

bench-check: ## compare allocations, system calls and instructions with benchmarks/baseline.json (BASELINE=update writes it)
	@cd benchmarks && go run . $(or $(BASELINE),check)

##@ Write what is committed

systems: ## write the table of docs/systems.md from systems.go
	@go test -count=1 -run '^TestSystemsDocument$$' . -update

bench: ## measure what a question costs, beside other libraries, into benchmarks/ (ROUNDS=20 BENCHTIME=200ms)
	@benchmarks/bench.sh

##@ Release

tag-check: ## check that HEAD may get a tag: make tag-check TAG=grpcpeer/v1.0.0
	@.ci/tag-check "$(TAG)"

# The files of a release are put here.
DIST ?= bin

reproducible: ## build the command of HEAD in two folders, once with an empty cache, and compare
	@.ci/reproducible

dist: ## build the files of a release in DIST (bin): the command for each system, and checksums
	@.ci/dist "$(DIST)"

sboms: ## write a CycloneDX bill of materials of each module that is imported in DIST (bin)
	@CYCLONEDX="$(CYCLONEDX)" .ci/sboms "$(DIST)" $(IMPORTED)

rename: ## rename the module throughout: make rename MODULE=host/path
	@.ci/rename "$(MODULE)" $(MODULES)
