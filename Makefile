# `make` lists what there is. The binary and the tests need Go alone; the servers that the tests want, scripts/servers brings.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export CGO_ENABLED := 0

FUZZTIME ?= 10s
TESTFLAGS ?=
# The longest first, so that none of them is left alone at the end.
PKG ?= ./internal/test/pages ./internal/test/openid ./internal/test/doctor ./internal/test/... ./cmd/... ./...
TOOLS := .cache/bin

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## start a server for development on 127.0.0.1:8000
	go run ./cmd/gatehouse serve

.PHONY: build
build: ## build bin/gatehouse
	go build -trimpath -ldflags '-s -w' -o bin/gatehouse ./cmd/gatehouse

# No test that uses a server is answered from go's cache: its URL is another one each time, and go caches by the environment.
.PHONY: test
test: ## run all tests, or those of PKG=./internal/test/recovery, on SQLite and on throwaway PostgreSQLs (TESTFLAGS='-run …')
	scripts/servers go test -timeout 30m $(TESTFLAGS) $(PKG)

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (10s), guided by coverage
	FUZZTIME='$(FUZZTIME)' scripts/fuzz

.PHONY: check
check: lint ## what must pass before a commit: form, linters, modules, tests under the race detector
	go mod tidy -diff
	CGO_ENABLED=1 scripts/servers go test -race -timeout 60m $(TESTFLAGS) $(PKG)

.PHONY: docs
docs: ## write anew the documents that are made from the code (metrics, events, settings, checks, guides, privacy, ASVS)
	go test ./internal/base/config ./internal/feature/event ./internal -run 'TestDocs|TestRefusals|TestLOG1_TheCatalogueIsDocumented|TestASVS_ThePageIsTheTable|ThePageIsTheInventory' -count 1 -args -update
	scripts/servers go test ./internal/test/admin ./internal/test/doctor -run 'TestTheMetricsAreDocumented|TestChecksAreDocumented|TestComplianceIsDocumented' -count 1 -args -update
	scripts/servers go test ./internal/test/proxies -run TestCaseF1_Guides -count 1 -args -update-guides

.PHONY: lint
lint: vet $(TOOLS)/golangci-lint ## gofmt, go vet, golangci-lint
	$(TOOLS)/golangci-lint run

.PHONY: vet
vet: ## gofmt and go vet alone: quick, and without tools
	@unformed=$$(gofmt -l .); test -z "$$unformed" || { printf 'not gofmt-ed:\n%s\n' "$$unformed"; exit 1; }
	go vet ./...

.PHONY: bench
bench: build ## measure every goal against the machine, into docs/performance.md (BENCH=name,… prints some alone)
	mkdir -p .cache && go build -o .cache/bench ./bench
	SERVERS_DURABLE=1 scripts/servers .cache/bench $(BENCHFLAGS) $(if $(BENCH),-only $(BENCH))

.PHONY: micro
micro: ## run the Go benchmarks of the packages
	packages=$$(scripts/targets Benchmark | cut -d ' ' -f 1 | sort -u); \
	SERVERS_DURABLE=1 scripts/servers go test -run '^$$' -bench . -benchmem -timeout 1h $$packages

.PHONY: soak
soak: ## the long proofs: the tests with GATEHOUSE_SOAK=1, for up to 3 hours
	GATEHOUSE_SOAK=1 scripts/servers go test -count=1 -timeout 3h $(TESTFLAGS) $(PKG)

.PHONY: scan
scan: vulnerabilities secrets $(TOOLS)/golangci-lint ## look for vulnerabilities, unsafe code, secrets in the history, and licences
	$(TOOLS)/golangci-lint run --timeout 1h --enable-only gosec,staticcheck
	scripts/licencekinds
	scripts/npmaudit

.PHONY: sqlmap
sqlmap: ## try to inject SQL into every operation and form, on both databases (SQLMAP_LEVEL=5 SQLMAP_RISK=3 SQLMAP_ONLY=…)
	scripts/servers scripts/sqlmap

.PHONY: webscan
webscan: ## point wapiti, sslscan and slowhttptest at a throwaway server
	scripts/webscan

.PHONY: vulnerabilities
vulnerabilities: $(TOOLS)/govulncheck # known ones, in what the code calls; CI runs it
	scripts/govulncheck $(TOOLS)/govulncheck

.PHONY: secrets
secrets: $(TOOLS)/gitleaks # in the history; CI runs it
	scripts/secrets $(TOOLS)/gitleaks

.PHONY: sbom
sbom: build ## write bin/gatehouse.cdx.json: what the binary is made of (CycloneDX)
	go -C tools/sbom run . $(CURDIR)/bin/gatehouse >bin/gatehouse.cdx.json

.PHONY: site
site: ## write site/: the documentation as pages, for any web server (gatehouse docs serves the same)
	go run ./cmd/gatehouse docs --out site

VERSION ?= $(shell git describe --tags --match 'v*' --exact-match 2>/dev/null || echo v0.0.0-dev)

.PHONY: release
release: ## write dist/: binaries, archives, packages, the container and their checksums, of VERSION=v1.2.3, signed with RELEASE_KEY_FILE
	@test -z "$$(git status --porcelain)" || { echo 'there are changes that are not committed: a release is of a commit'; exit 1; }
	go -C tools/release run . -root $(CURDIR) -out $(CURDIR)/dist -version $(VERSION) -commit $$(git rev-parse HEAD) \
	  -time $$(git log -1 --format=%ct) -key '$(RELEASE_KEY_FILE)' -key-password '$(RELEASE_KEY_PASSWORD_FILE)'

.PHONY: notices
notices: ## write bin/LICENCES: the licences of everything linked into the binary
	@mkdir -p bin
	scripts/licences >bin/LICENCES

.PHONY: tools
tools: $(addprefix $(TOOLS)/,golangci-lint govulncheck gitleaks benchstat) ## build the programs of tools/ into .cache/bin

$(TOOLS)/golangci-lint: PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TOOLS)/govulncheck: PACKAGE := golang.org/x/vuln/cmd/govulncheck
$(TOOLS)/benchstat: PACKAGE := golang.org/x/perf/cmd/benchstat
$(TOOLS)/golangci-lint $(TOOLS)/govulncheck $(TOOLS)/benchstat: tools/go.mod
	cd tools && go build -o ../$@ $(PACKAGE)

$(TOOLS)/gitleaks: tools/gitleaks/go.mod
	cd tools/gitleaks && go build -o ../../$@ github.com/zricethezav/gitleaks/v8

# Caddy, for the tests. It takes minutes the first time.
$(TOOLS)/caddy: tools/caddy/go.mod tools/caddy/main.go
	cd tools/caddy && go build -trimpath -ldflags '-s -w' -o ../../$@ .
