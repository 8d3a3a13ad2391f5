# The targets that developers and .ci/run call. "make help" lists them.

# A workspace around this folder is the user's affair, not ours.
export GOWORK := off

# What needs other dependencies is a module of its own.
MODULES := . grpcpeer benchmarks
comma := ,
in_modules = @for module in $(MODULES); do (cd $$module && $(1)) || exit 1; done

GOTESTSUM   := go run gotest.tools/gotestsum@v1.13.0 --format pkgname
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 30s

STRICT := -std=c11 -Wall -Wextra -Wpedantic -Werror -Wconversion

# Zig's headers, installed outside the tree.
PYTHON  ?= python3
ZIG_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/peercred/ziglang-0.17.1
ZIG     := PYTHONPATH=$(ZIG_DIR) $(PYTHON) -m ziglang

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## show a server that learns who connects, through both implementations
	@go run ./internal/demo

.PHONY: test
test: test-cgo test-nocgo ## run all tests with CGO_ENABLED=1 (under the race detector) and CGO_ENABLED=0

.PHONY: test-cgo
test-cgo: ## run all tests with CGO_ENABLED=1, under the race detector
	@echo "== CGO_ENABLED=1, both implementations, race detector"
	$(call in_modules,CGO_ENABLED=1 $(GOTESTSUM) -- -race -count=1 ./...)

.PHONY: test-nocgo
test-nocgo: ## run all tests with CGO_ENABLED=0
	@echo "== CGO_ENABLED=0, native alone"
	$(call in_modules,CGO_ENABLED=0 $(GOTESTSUM) -- -count=1 ./...)

RUNSC := runsc --platform=ptrace --network=none --ignore-cgroups do

.PHONY: test-gvisor
test-gvisor: ## show that a kernel which answers for the caller (gVisor before November 2025) is refused
	@command -v runsc >/dev/null || { echo "test-gvisor needs runsc, and root: apt-get install runsc"; exit 1; }
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	for cgo in 1 0; do \
		echo "== gVisor, CGO_ENABLED=$$cgo"; \
		CGO_ENABLED=$$cgo go test -c -o "$$dir/$$cgo.test" .; \
		PEERCRED_TEST_KERNEL_ANSWERS_FOR_CALLER=1 $(RUNSC) "$$dir/$$cgo.test" -test.v -test.run '^TestTrap13Kernel$$' >"$$dir/log" 2>&1 || { cat "$$dir/log"; exit 1; }; \
		cat "$$dir/log"; \
		grep -q -e '^--- PASS: TestTrap13Kernel' "$$dir/log"; \
	done

.PHONY: load
load: ## put a guarded listener under load: 20,000 peers of three users, both settings (needs root)
	@for cgo in 1 0; do CGO_ENABLED=$$cgo go run ./internal/load || exit 1; done

.PHONY: bench
bench: ## measure what asking costs, beside every other library, into README.md and benchmarks/
	@cd benchmarks && go run .

.PHONY: bench-check
bench-check: ## check that asking takes no more allocations, system calls and instructions than it did
	@cd benchmarks && go run . -check

.PHONY: test-kernel
test-kernel: ## run the tests on Debian's kernel 6.1 under several security modules, in a virtual machine
	@go run ./internal/testkernel

.PHONY: lint
lint: ## check format, go vet, staticcheck, and the C shims with strict warnings
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(call in_modules,for cgo in 1 0; do CGO_ENABLED=$$cgo go vet ./... && CGO_ENABLED=$$cgo $(STATICCHECK) -checks all$(comma)-ST1000 ./... || exit 1; done)
	@for cc in gcc clang; do \
		command -v $$cc >/dev/null || { echo "lint: no $$cc here, its warnings were left out"; continue; }; \
		for file in cpeercred/*_linux.c cpeercred/socket.c; do $$cc $(STRICT) -c -o /dev/null $$file || exit 1; done; \
	done
	@echo "lint: ok"

# Every port that Go knows, then the C shims of other systems.
.PHONY: cross
cross: cross-go cross-c cross-cgo ## compile for every port that Go knows, and the C shims for every system

# go vet wants to link a test program even where there are no tests, which Go
# refuses for any package on these without cgo. The same files are vetted under
# the system that the port is a variant of.
UNLINKABLE := android/386 android/amd64 android/arm ios/amd64 ios/arm64

# The systems for which the other modules are compiled: their dependencies are large.
MODULE_PORTS := darwin/arm64 freebsd/amd64 windows/amd64

.PHONY: cross-go
cross-go: ## compile and vet the Go code for every port that Go knows
	@for port in $$(go tool dist list); do \
		os=$${port%/*} arch=$${port#*/} tags=; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build ./... || exit 1; \
		case " $(UNLINKABLE) " in *" $$port "*) \
			tags=$$os; case $$os in android) os=linux;; ios) os=darwin;; esac;; esac; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go vet -tags=$$tags ./... || exit 1; \
		echo "cross: $$port builds$${tags:+, and is vetted as $$os/$$arch with the tag $$tags,} and vets with CGO_ENABLED=0"; \
	done
	@for module in $(filter-out .,$(MODULES)); do for port in $(MODULE_PORTS); do \
		(cd $$module && CGO_ENABLED=0 GOOS=$${port%/*} GOARCH=$${port#*/} go vet ./...) || exit 1; \
		echo "cross: $$module vets for $$port"; \
	done; done
	@CGO_ENABLED=1 go build ./... && CGO_ENABLED=1 go vet ./... && \
		echo "cross: $$(go env GOOS)/$$(go env GOARCH) builds and vets with CGO_ENABLED=1"

# Newer headers than the machine's, for processors that number options their own way.
ZIG_LINUX   := x86_64-linux-gnu x86-linux-gnu aarch64-linux-gnu arm-linux-gnueabihf mips-linux-gnueabi \
	mips64el-linux-gnuabi64 powerpc64le-linux-gnu riscv64-linux-gnu s390x-linux-gnu loongarch64-linux-gnu \
	sparc64-linux-gnu x86_64-linux-musl
ZIG_DARWIN  := x86_64-macos aarch64-macos
ZIG_FREEBSD := x86_64-freebsd x86-freebsd aarch64-freebsd arm-freebsd-eabihf
ZIG_NETBSD  := x86_64-netbsd x86-netbsd aarch64-netbsd arm-netbsd-eabi
ZIG_OPENBSD := x86_64-openbsd x86-openbsd aarch64-openbsd arm-openbsd-eabi powerpc64-openbsd riscv64-openbsd
IMITATED    := cc $(STRICT) -U__linux__ -D_DEFAULT_SOURCE -c

.PHONY: cross-c
cross-c: $(ZIG_DIR)/ziglang ## compile the C shims for every system, with its headers where Zig has them
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	compile() { $(ZIG) cc $(STRICT) -c -o "$$dir/object.o" -target "$$@"; }; \
	all() { for file in $$(echo "$$3" socket); do compile $$1 cpeercred/$$file.c; done; echo "cross: $$2's shim compiles for $$1 with its own headers"; }; \
	for target in $(ZIG_LINUX); do all $$target linux "credentials_linux groups_linux securitylabel_linux process_linux testdata/linuxheaders"; done; \
	for target in $(ZIG_DARWIN); do all $$target darwin "credentials_darwin groups_xucred audittoken_darwin"; done; \
	for target in $(ZIG_FREEBSD); do all $$target freebsd "credentials_freebsd groups_xucred"; done; \
	for target in $(ZIG_NETBSD); do all $$target netbsd credentials_netbsd; done; \
	for target in $(ZIG_OPENBSD); do all $$target openbsd credentials_openbsd; done; \
	for file in credentials_dragonfly groups_xucred socket; do compile x86_64-freebsd -D__DragonFly__ cpeercred/$$file.c; done; \
	echo "cross: dragonfly's shim compiles with FreeBSD's headers, in want of its own"
	@for file in credentials groups; do $(IMITATED) -o /dev/null -D__sun -isystem cpeercred/testdata/solaris cpeercred/$${file}_solaris.c || exit 1; done
	@$(IMITATED) -o /dev/null -D__sun cpeercred/socket.c
	@$(IMITATED) -o /dev/null -D_AIX -isystem cpeercred/testdata/aix cpeercred/credentials_aix.c
	@$(IMITATED) -o /dev/null -D_AIX cpeercred/socket.c
	@echo "cross: solaris's and aix's shims compile with an imitation of their headers"

# The Go binding with its shim, on the systems whose libc Zig carries; and on
# Windows, which has no shim.
ZIG_PORTS := darwin/amd64=x86_64-macos darwin/arm64=aarch64-macos freebsd/amd64=x86_64-freebsd \
	netbsd/amd64=x86_64-netbsd openbsd/amd64=x86_64-openbsd windows/amd64=x86_64-windows-gnu

.PHONY: cross-cgo
cross-cgo: $(ZIG_DIR)/ziglang ## compile the packages with cgo for other systems, with Zig
	@for pair in $(ZIG_PORTS); do \
		port=$${pair%=*}; \
		PYTHONPATH=$(ZIG_DIR) CC="$(PYTHON) -m ziglang cc -target $${pair#*=} -Wno-unused-command-line-argument" \
			CGO_ENABLED=1 GOOS=$${port%/*} GOARCH=$${port#*/} go build . ./cpeercred || exit 1; \
		echo "cross: $$port builds with CGO_ENABLED=1"; \
	done

# The shims as objects that link here. Darwin's is compiled to ELF for that.
ZIG_INCLUDE = $(ZIG_DIR)/ziglang/lib/libc/include
OBJECT      := $(STRICT) -O1 -c
ZIG_OBJECT  = env $(ZIG) cc $(OBJECT)
DARWIN_OBJECT = env $(ZIG) clang $(OBJECT) -target x86_64-apple-macosx11-elf -nostdinc \
	-isystem $(ZIG_INCLUDE)/any-darwin-any -isystem $(ZIG_DIR)/ziglang/lib/include

.PHONY: test-shims
test-shims: ## run the C shims of all systems on a fake kernel, beside native's decoders
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	$(MAKE) --no-print-directory shims SHIMS="$$dir"; \
	PEERCRED_SHIMS="$$dir" go test -count=1 -tags shims -v -run '^TestShims' ./native; \
	PEERCRED_SHIMS="$$dir" go test -count=1 -tags shims -run '^$$' -fuzz '^FuzzShims$$' -fuzztime=$(FUZZTIME) -fuzzminimizetime=10x ./native

# The shims of all systems, each linked to the fake kernel, in SHIMS. (gcc takes it for
# possible that a call fails and errno is 0.)
SHIM_SOURCES ?= cpeercred

.PHONY: shims
shims: $(ZIG_DIR)/ziglang
	@set -e; dir="$(SHIMS)"; \
	with() { system=$$1 compiler=$$2; shift 2; for file; do $$compiler -o "$$dir/$$system.$$file.o" $(SHIM_SOURCES)/$$file.c; done; }; \
	with freebsd   "$(ZIG_OBJECT) -target x86_64-freebsd" credentials_freebsd groups_xucred; \
	with dragonfly "$(ZIG_OBJECT) -target x86_64-freebsd -D__DragonFly__" credentials_dragonfly groups_xucred; \
	with netbsd    "$(ZIG_OBJECT) -target x86_64-netbsd" credentials_netbsd; \
	with openbsd   "$(ZIG_OBJECT) -target x86_64-openbsd" credentials_openbsd; \
	with darwin    "$(DARWIN_OBJECT)" credentials_darwin groups_xucred audittoken_darwin; \
	with linux     "cc $(OBJECT)" credentials_linux groups_linux securitylabel_linux process_linux; \
	with linux     "cc $(OBJECT) -Wno-maybe-uninitialized" socket; \
	with solaris   "$(IMITATED) -D__sun -isystem cpeercred/testdata/solaris" credentials_solaris groups_solaris; \
	with aix       "$(IMITATED) -D_AIX -isystem cpeercred/testdata/aix" credentials_aix; \
	for system in linux darwin freebsd dragonfly openbsd netbsd solaris aix; do \
		cc -Wall -Wextra -Werror -no-pie -o "$$dir/$$system" cpeercred/testdata/fakekernel.c "$$dir/$$system".*.o; done

$(ZIG_DIR)/ziglang:
	@echo "installing Zig, for its headers, in $(ZIG_DIR)"
	@rm -rf "$(ZIG_DIR).part"
	@$(PYTHON) -m pip install --quiet --no-deps --require-hashes --target "$(ZIG_DIR).part" -r .ci/ziglang.txt
	@mv "$(ZIG_DIR).part" "$(ZIG_DIR)"

.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME (30s)
	@CGO_ENABLED=1 go test -run='^$$' -fuzz='^FuzzSocketStates$$' -fuzztime=$(FUZZTIME) -fuzzminimizetime=10x .
	@for target in FuzzDecode FuzzDecodeFacts; do \
		go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=10x ./native || exit 1; done

.PHONY: mutate
mutate: ## show the changes to conditions that the tests do not notice: make mutate MUTATE="-package guard" (needs root)
	@go run ./internal/mutate $(MUTATE)

.PHONY: cover
cover: ## show which share of each function the tests reach, in both settings
	@for cgo in 1 0; do \
		echo "== CGO_ENABLED=$$cgo"; \
		CGO_ENABLED=$$cgo go test -count=1 -coverpkg=./... -coverprofile=cover.$$cgo ./... >/dev/null && \
		CGO_ENABLED=$$cgo go tool cover -func=cover.$$cgo || exit 1; \
	done

.PHONY: readme
readme: ## write the README's table of systems from systems.go
	@go test -count=1 -run '^TestREADMESystems$$' . -update

.PHONY: rename
rename: OLD = $(shell go list -m)
rename: ## rename the module throughout: make rename MODULE=host/path
	@test -n "$(MODULE)" || { echo "say how: make rename MODULE=host/path"; exit 2; }
	go mod edit -module "$(MODULE)"
	@git grep -lF '$(OLD)' | while read -r file; do \
		sed -i.renamed 's|$(OLD)|$(MODULE)|g' "$$file" && rm "$$file.renamed" || exit 1; done
	gofmt -w .
	$(call in_modules,go build ./...)
	@echo "renamed to $(MODULE); now rewrite \"Linking it\" in README.md"
