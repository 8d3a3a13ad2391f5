# The targets that developers and .ci/run call. "make help" lists them.

.DEFAULT_GOAL := help

# A workspace around this folder is the user's affair, not ours.
export GOWORK := off

# What needs other dependencies is a module of its own.
MODULES := . grpcpeer benchmarks proving
comma := ,
in_modules = @for module in $(MODULES); do (cd $$module && $(1)) || exit 1; done

GOTESTSUM   := go run gotest.tools/gotestsum@v1.13.0 --format pkgname --format-hide-empty-pkg \
	--hide-summary=skipped --post-run-command $(CURDIR)/.ci/skipped
GOLANGCI    := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
ACTIONLINT  := go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GOVULNCHECK := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
GO_LICENSES := go run github.com/google/go-licenses@v1.6.0
CYCLONEDX   := go run -trimpath github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
APIDIFF     := go run golang.org/x/exp/cmd/apidiff@v0.0.0-20261113113407-e3970619a1a4
FUZZTIME    ?= 30s

STRICT := -std=c11 -Wall -Wextra -Wpedantic -Werror -Wconversion

# What is installed outside the tree.
PYTHON  ?= python3
OUTSIDE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/peercred

# folder_of names the folder for what a file of pip's requirements names, after what is
# in that file: another version, or another hash, is installed anew.
folder_of = $(OUTSIDE)/$(1)-$(firstword $(shell cksum <.ci/$(1).txt))

ZIG_DIR := $(or $(ZIG_DIR),$(call folder_of,ziglang))
ZIG     := PYTHONPATH=$(ZIG_DIR) $(PYTHON) -m ziglang

# install puts what a file of pip's requirements names, with hashes, into a folder.
define install
echo "installing $(2) in $(1)"; rm -rf "$(1).part"; \
$(PYTHON) -m pip install --quiet --root-user-action=ignore --no-deps --require-hashes --target "$(1).part" -r $(2) && mv "$(1).part" "$(1)"
endef

$(ZIG_DIR)/ziglang:
	@$(call install,$(ZIG_DIR),.ci/ziglang.txt)

##@ See

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^##@ /{printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## /{printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## show a server that learns who connects, through both implementations
	@for cgo in 1 0; do \
		echo "== CGO_ENABLED=$$cgo"; \
		if test $$cgo = 1 && ! command -v $$(go env CC) >/dev/null; then \
			echo "left out: there is no C compiler ($$(go env CC))"; continue; fi; \
		CGO_ENABLED=$$cgo go run ./cmd/peercred demo || exit 1; done

##@ Test here

.PHONY: test
test: test-cgo test-nocgo ## run all tests with CGO_ENABLED=1 (under the race detector) and CGO_ENABLED=0

# Empty it on a system for which Go has no race detector.
RACE ?= -race

.PHONY: test-cgo
test-cgo: ## run all tests with CGO_ENABLED=1, under the race detector
	@echo "== CGO_ENABLED=1, both implementations$(if $(RACE),$(comma) race detector)"
	$(call in_modules,CGO_ENABLED=1 $(GOTESTSUM) -- $(RACE) -count=1 ./...)

.PHONY: test-nocgo
test-nocgo: ## run all tests with CGO_ENABLED=0
	@echo "== CGO_ENABLED=0, native alone"
	$(call in_modules,CGO_ENABLED=0 $(GOTESTSUM) -- -count=1 ./...)

# The two that Go supports. They are fetched as Go fetches them: by the module proxy,
# held against the checksum database.
GO_RELEASES := go1.26.11 go1.27.4

.PHONY: test-go
test-go: ## run all tests under both releases of Go that are supported
	@for release in $(GO_RELEASES); do \
		echo "== $$release"; GOTOOLCHAIN=$$release $(MAKE) --no-print-directory test || exit 1; done

.PHONY: cover
cover: ## show which share of each function the tests reach, in both settings
	@for cgo in 1 0; do \
		echo "== CGO_ENABLED=$$cgo"; \
		CGO_ENABLED=$$cgo go test -count=1 -coverpkg=./... -coverprofile=cover.$$cgo ./... >/dev/null && \
		CGO_ENABLED=$$cgo go tool cover -func=cover.$$cgo || exit 1; \
	done

##@ Test elsewhere

.PHONY: test-arch
test-arch: $(ZIG_DIR)/ziglang ## run the tests for other processors under qemu-user, or for some: ARCH=arm64,s390x (needs root)
	@GOTESTSUM="$(GOTESTSUM)" ZIG_DIR="$(ZIG_DIR)" proving/arch.sh $(subst $(comma), ,$(ARCH))

.PHONY: test-kernel
test-kernel: ## run the tests on Debian's kernels, in virtual machines: all boots, or those that match BOOT=quick
	@cd proving && go run ./kernels -boot '$(BOOT)'

# gVisor's command, the machine's and a current one; Go's checksum database vouches
# for the latter.
RUNSC          ?= runsc
GVISOR_RELEASE := 20260905.0
GVISOR         := gvisor.dev/gvisor/runsc@v0.0.0-20260905035102-160fafc42237
GVISOR_DIR     := $(OUTSIDE)/gvisor-$(GVISOR_RELEASE)

.PHONY: test-gvisor
test-gvisor: ## run the tests on gVisor, an old one that answers for the caller and a current one (needs root)
	@proving/gvisor/gvisor.sh "$(RUNSC)"
	@$(MAKE) --no-print-directory $(GVISOR_DIR)/runsc
	@proving/gvisor/gvisor.sh $(GVISOR_DIR)/runsc

$(GVISOR_DIR)/runsc:
	@echo "building gVisor $(GVISOR_RELEASE) in $(GVISOR_DIR), which takes some minutes"
	@GOBIN="$(GVISOR_DIR)" CGO_ENABLED=0 go install -ldflags "-X gvisor.dev/gvisor/runsc/version.version=release-$(GVISOR_RELEASE)" $(GVISOR)

.PHONY: test-libc
test-libc: ## run the tests with glibc and musl, gcc and clang, and under the sanitizers (needs root)
	@GOTESTSUM="$(GOTESTSUM)" proving/libc.sh

CROSS = go -C proving run ./cross -zig $(abspath $(ZIG_DIR))/ziglang

.PHONY: test-shims
test-shims: $(ZIG_DIR)/ziglang ## run the C shims of all systems on a fake kernel, beside native's decoders
	@$(WITH_SHIMS) go test -count=1 -tags shims -v -run '^TestShims' ./native

# What follows finds the programs that it asks.
WITH_SHIMS = set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; $(CROSS) kernel "$$dir"; export PEERCRED_SHIMS="$$dir";

# The same programs in SHIMS, of the shims in SHIM_SOURCES, which mutate changes.
.PHONY: shims
shims: $(ZIG_DIR)/ziglang
	@$(CROSS) -sources "$(abspath $(or $(SHIM_SOURCES),cpeercred))" kernel "$(abspath $(SHIMS))"

##@ Compile and link for other systems

.PHONY: cross
cross: cross-go cross-c cross-cgo ## vet for every port that Go knows, compile the C shims for every system, and link

# go vet links a test program, which Go refuses on these without cgo. They are built, and
# vetted as the system that they are a variant of.
UNLINKABLE := android/386 android/amd64 android/arm ios/amd64 ios/arm64

# The ports of the other modules, whose dependencies are large.
MODULE_PORTS := darwin/arm64 freebsd/amd64 windows/amd64

.PHONY: cross-go
cross-go: ## vet the Go code, which compiles it, for every port that Go knows
	@go tool dist list | CGO_ENABLED=0 xargs -P 2 -n 1 sh -c 'GOOS=$${0%/*} GOARCH=$${0#*/} tags=; export GOOS GOARCH; \
		case " $(UNLINKABLE) " in *" $$0 "*) go build ./... || exit 255; tags=$$GOOS; case $$GOOS in android) GOOS=linux;; ios) GOOS=darwin;; esac;; esac; \
		go vet -tags=$$tags ./... || exit 255; echo "cross: $$0 vets"'
	@for module in $(filter-out .,$(MODULES)); do for port in $(MODULE_PORTS); do \
		(cd $$module && CGO_ENABLED=0 GOOS=$${port%/*} GOARCH=$${port#*/} go vet ./...) || exit 1; done; done
	@CGO_ENABLED=1 go vet ./...

.PHONY: cross-c
cross-c: $(ZIG_DIR)/ziglang ## compile the C shims for every system, and check which of its calls they refer to
	@$(CROSS) c

.PHONY: cross-cgo
cross-cgo: $(ZIG_DIR)/ziglang ## link the command and the tests with cgo for macOS, the BSDs and Windows, with Zig
	@$(CROSS) cgo

##@ Attack

FUZZ_DIR := $(OUTSIDE)/fuzz

.PHONY: fuzz
fuzz: ## fuzz every target, Go's and the C shims', for FUZZTIME (30s)
	@$(MAKE) --no-print-directory -j2 fuzz-go fuzz-c

.PHONY: fuzz-long
fuzz-long: ## fuzz every target for 10 minutes
	@$(MAKE) --no-print-directory fuzz FUZZTIME=10m

# Go reports the end of the time as a failure if it comes within an execution
# (golang.org/issue/75804).
.PHONY: fuzz-go
fuzz-go: $(ZIG_DIR)/ziglang
	@$(WITH_SHIMS) grep -roE --include='*_test.go' '^func Fuzz[A-Za-z]+' . | sed 's/:func / /' >"$$dir/targets"; \
	test -s "$$dir/targets"; while read -r file target; do \
		(cd $$(dirname $$file) && go test -tags shims -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x -parallel 1 .) </dev/null >"$$dir/log" 2>&1 || \
		grep -A1 -m1 '^--- FAIL' "$$dir/log" | grep -qx ' *context deadline exceeded' || { cat "$$dir/log"; exit 1; }; \
		echo "fuzz: $$target: $$(grep -o 'execs: [0-9]*' "$$dir/log" | tail -1)"; done <"$$dir/targets"

# each_fuzzer goes through those of libFuzzer, one a system. What they learn is kept.
each_fuzzer = set -e; for fuzzer in $$(find $(FUZZ_DIR) -maxdepth 1 -type f -perm -u+x); do system=$$(basename $$fuzzer)
UNPACK := import sys, pathlib; [pathlib.Path(sys.argv[1], str(n)).write_bytes(bytes.fromhex(line)) for n, line in enumerate(sys.stdin)]

.PHONY: fuzz-c
fuzz-c: $(ZIG_DIR)/ziglang
	@mkdir -p $(FUZZ_DIR); $(CROSS) fuzzer $(FUZZ_DIR)
	@$(each_fuzzer); rm -rf $$fuzzer.corpus; mkdir -p $$fuzzer.corpus $$fuzzer.learnt; \
		grep -shv '^#' cpeercred/testdata/fuzz/*/$$system.hex | $(PYTHON) -c '$(UNPACK)' $$fuzzer.corpus; \
		$$fuzzer -max_total_time=$$(($(subst m,*60,$(FUZZTIME:s=)))) -max_len=512 -artifact_prefix=$$fuzzer- $$fuzzer.learnt $$fuzzer.corpus >$$fuzzer.log 2>&1 || \
		{ grep -v -e '^#' -e NEW_FUNC -e '^INFO' $$fuzzer.log; echo "fuzz: run $$fuzzer with that file"; exit 1; }; \
		echo "fuzz: the C shims of $$system: $$(tail -1 $$fuzzer.log)"; done

.PHONY: fuzz-corpora
fuzz-corpora: fuzz-c ## fuzz the C shims, then minimise what was learnt into the corpora of this tree
	@$(each_fuzzer); rm -rf $$fuzzer.merged; mkdir $$fuzzer.merged; \
		$$fuzzer -set_cover_merge=1 -max_len=512 -use_counters=0 $$fuzzer.merged $$fuzzer.corpus $$fuzzer.learnt 2>$$fuzzer.log; \
		for entry in $$fuzzer.merged/*; do od -An -v -tx1 $$entry | tr -d ' \n'; echo; done | awk '{ print length, $$0 }' | sort -k1n -k2 | cut -d' ' -f2 \
		>cpeercred/testdata/fuzz/corpus/$$system.hex; done

.PHONY: mutate
mutate: ## show which changes of conditions the tests do not notice: make mutate MUTATE="-package guard -kind statements" (needs root; -help for more)
	@cd proving && go run ./mutate $(MUTATE)

.PHONY: load
load: ## ask about 30,000 connections, 20,000 of them guarded, of clients that die and come again (needs root)
	@cd proving && for cgo in 1 0; do CGO_ENABLED=$$cgo go run ./soak -connections 30000 || exit 1; done

# How long, and how many connections, at least, in each setting.
SOAKTIME        ?= 5m
SOAKCONNECTIONS ?= 500000

.PHONY: soak
soak: ## the same with a million connections, for 10 minutes in all (needs root)
	@cd proving && for cgo in 1 0; do \
		CGO_ENABLED=$$cgo go run ./soak -time $(SOAKTIME) -connections $(SOAKCONNECTIONS) || exit 1; done

##@ Check the source and what it depends on

.PHONY: lint
lint: lint-go lint-c lint-workflows ## check the Go code, the C shims and the workflows

.PHONY: lint-go
lint-go: ## check format, and what .golangci.yml lists: go vet, staticcheck and more
	@bad=$$(gofmt -l $$(git ls-files '*.go')) && test -z "$$bad" || { echo "not formatted: $$bad"; exit 1; }
	$(call in_modules,for cgo in 1 0; do CGO_ENABLED=$$cgo $(GOLANGCI) run --allow-parallel-runners ./... || exit 1; done)

.PHONY: lint-c
lint-c: ## check the C shims with strict warnings
	@checked=; for cc in gcc clang; do \
		command -v $$cc >/dev/null || { echo "lint: no $$cc here, its warnings were left out"; continue; }; \
		for file in cpeercred/linux.c cpeercred/socket.c cpeercred/unsupported.c; do $$cc $(STRICT) -c -o /dev/null $$file || exit 1; done; \
		checked="$$checked $$cc"; \
	done; \
	test -n "$$checked" || { echo "lint: no C compiler here: apt-get install gcc libc6-dev clang"; exit 1; }; \
	echo "lint: the C shims are clean for$$checked"

ZIZMOR_DIR := $(call folder_of,zizmor)

.PHONY: lint-workflows
lint-workflows: $(ZIZMOR_DIR)/bin/zizmor ## check the workflows, for mistakes and for what an attacker could do with them
	@$(ACTIONLINT)
	@$(ZIZMOR_DIR)/bin/zizmor --offline --quiet --persona=pedantic .github

$(ZIZMOR_DIR)/bin/zizmor:
	@$(call install,$(ZIZMOR_DIR),.ci/zizmor.txt)

# The modules that are meant to be imported.
IMPORTED := . grpcpeer

BASE ?= HEAD

.PHONY: api-diff
api-diff: ## show what the changes since BASE (HEAD, or make api-diff BASE=v1.0.0) do to those who import the modules
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	mkdir "$$dir/base"; git archive $(BASE) | tar -x -C "$$dir/base"; \
	for module in $(IMPORTED); do \
		path=$$(cd $$module && go list -m); \
		(cd "$$dir/base/$$module" && $(APIDIFF) -m -w "$$dir/old" $$path); \
		(cd $$module && $(APIDIFF) -m "$$dir/old" $$path) >"$$dir/changes"; \
		echo "== $$path since $(BASE)"; if test -s "$$dir/changes"; then cat "$$dir/changes"; else echo "the same API"; fi; \
	done

.PHONY: licences
licences: ## check that the licences of all dependencies ask for no more than ours does
	@ours=$$(go list -m) && for module in $(MODULES); do \
		(cd $$module && $(GO_LICENSES) check --include_tests --ignore $$ours \
			--allowed_licenses=Apache-2.0,BSD-2-Clause,BSD-3-Clause,ISC,MIT ./...) || exit 1; \
		echo "licences: $$module is clean"; done

# What is released is built, and looked at, with this one, whatever is installed.
vulncheck reproducible dist: export GOTOOLCHAIN := $(lastword $(GO_RELEASES))

VULNDB ?= https://vuln.go.dev

# govulncheck reports nothing if its database is empty. So the database must know an old
# vulnerability of net/http first.
.PHONY: vulncheck
vulncheck: ## look for known vulnerabilities in the code that is called, also in Go itself
	@$(GOVULNCHECK) -db=$(VULNDB) -mode=query -json stdlib@v1.18.0 | grep -q CVE-2022-27664 || \
		{ echo "vulncheck: $(VULNDB) does not know CVE-2022-27664"; exit 1; }
	$(call in_modules,$(GOVULNCHECK) -db=$(VULNDB) ./...)

.PHONY: vulncheck-offline
vulncheck-offline: ## the same with a database from the module proxy
	@dir=$$(.ci/vulndb) && $(MAKE) --no-print-directory vulncheck VULNDB="file://$$dir"

.PHONY: bench-check
bench-check: ## hold allocations, system calls and instructions against benchmarks/baseline.json (BASELINE=update writes it)
	@cd benchmarks && go run . $(or $(BASELINE),check)

##@ Write what is committed

.PHONY: systems
systems: ## write the table of docs/systems.md from systems.go
	@go test -count=1 -run '^TestSystemsDocument$$' . -update

.PHONY: bench
bench: ## measure what a question costs, beside other libraries, into benchmarks/ (ROUNDS=20 BENCHTIME=200ms)
	@benchmarks/bench.sh

##@ Release

.PHONY: tag-check
tag-check: ## check that HEAD may get a tag: make tag-check TAG=grpcpeer/v1.0.0
	@.ci/tag-check "$(TAG)"

COMMAND := -trimpath -o

.PHONY: reproducible
reproducible: ## build the command of HEAD in two folders, once with an empty cache, and compare
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	for folder in here elsewhere/deeper; do git clone -q . "$$dir/$$folder"; done; \
	for cgo in 1 0; do \
		export CGO_ENABLED=$$cgo; \
		(cd "$$dir/here" && go build $(COMMAND) "$$dir/one" ./cmd/peercred); \
		(cd "$$dir/elsewhere/deeper" && GOCACHE="$$dir/cache" go build $(COMMAND) "$$dir/other" ./cmd/peercred); \
		cmp "$$dir/one" "$$dir/other"; \
		echo "reproducible: CGO_ENABLED=$$cgo, sha256 $$(sha256sum <"$$dir/one" | cut -c1-64)"; \
	done

# The files of a release are put here.
DIST       ?= bin
DIST_PORTS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 freebsd/amd64 netbsd/amd64 openbsd/amd64 \
	dragonfly/amd64 illumos/amd64

.PHONY: dist
dist: ## build the files of a release in DIST (bin): the command for each system, and checksums
	@mkdir -p "$(DIST)"; for port in $(DIST_PORTS); do \
		file="$(DIST)/peercred-$${port%/*}-$${port#*/}"; \
		CGO_ENABLED=0 GOOS=$${port%/*} GOARCH=$${port#*/} go build $(COMMAND) "$$file" ./cmd/peercred || exit 1; \
		echo "dist: $$file"; done
	@cd "$(DIST)" && rm -f SHA256SUMS && sha256sum * >SHA256SUMS

.PHONY: sboms
sboms: ## write a CycloneDX bill of materials of each module that is imported in DIST (bin)
	@mkdir -p "$(DIST)"; for module in $(IMPORTED); do \
		file="$(DIST)/$$(basename $$(cd $$module && go list -m)).cdx.json"; \
		$(CYCLONEDX) mod -json -noserial -notimestamp -type library -licenses -output "$$file" $$module || exit 1; \
		echo "sboms: $$file"; done

.PHONY: rename
rename: OLD = $(shell go list -m)
rename: ## rename the module throughout: make rename MODULE=host/path
	@test -n "$(MODULE)" || { echo "say how: make rename MODULE=host/path"; exit 2; }
	go mod edit -module "$(MODULE)"
	@git grep -lF '$(OLD)' | while read -r file; do \
		sed -i.renamed 's|$(OLD)|$(MODULE)|g' "$$file" && rm "$$file.renamed" || exit 1; done
	gofmt -w $$(git ls-files '*.go')
	$(call in_modules,go build ./...)
	@echo "renamed to $(MODULE); now rewrite \"Link it\" in README.md, and \"Reporting\" in SECURITY.md"
