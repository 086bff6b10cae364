# Everything a person or CI does with this repository. `make` lists the targets.

GO       ?= go
FUZZTIME ?= 20s

# The tools have a go.mod of their own, so that the proxy does not depend on
# what they depend on. The first use compiles them.
TOOL := $(GO) tool -modfile=tools/go.mod

VERSION ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),dev)
COMMIT  ?= $(or $(shell git rev-parse --verify -q HEAD 2>/dev/null),unknown)
# The commit's time, not the build's: the same commit gives the same binary.
DATE    ?= $(or $(shell git log -1 --format=%cI 2>/dev/null),unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the static binary bin/mqttward
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/mqttward ./cmd/mqttward

.PHONY: test
test: ## Vet, and run every test with the race detector; installs the brokers, databases and tools that they talk to
	./e2e/install.sh
	$(GO) vet ./...
	$(GO) test -race ./...

.PHONY: lint
lint: fmt-check golangci tidy-check vulncheck ## Check format, code, go.mod and known vulnerabilities

.PHONY: fmt
fmt: ## Format the code
	$(TOOL) gofumpt -l -w .

.PHONY: fmt-check
fmt-check:
	@files=$$($(TOOL) gofumpt -l .) || exit; \
	test -z "$$files" || { $(TOOL) gofumpt -d $$files; echo 'Not formatted; make fmt does it.'; exit 1; }

.PHONY: golangci
golangci:
	$(TOOL) golangci-lint run ./...

.PHONY: tidy-check
tidy-check:
	$(GO) mod tidy -diff

.PHONY: vulncheck
vulncheck:
	TOOL='$(TOOL)' tools/vulncheck.sh

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (20s)
	GO='$(GO)' FUZZTIME='$(FUZZTIME)' tools/fuzz.sh

# What a packet costs on its way: codec, matching, decisions, limiters, and all of it
# together in internal/app.
BENCHED  := ./packets/... ./filters/authz ./filters/strict ./filters/quota ./ratelimit ./internal/app
RECORDED := bench/recorded/micro.txt
RUNBENCH  = $(GO) test -run '^$$' -bench '^Benchmark(Next|Use|AppendPublish|Match|Covers|Filter|FilterAgain|Delivery|DeliveryAgain|Publish|Publish0|Take|Allow|Admit|Forward)$$' \
	-benchmem -benchtime 20ms -count 6 $(BENCHED)

.PHONY: bench
bench: ## Run the micro-benchmarks, and compare them with the recorded run
	@mkdir -p bin
	$(RUNBENCH) > bin/micro.txt || { cat bin/micro.txt; exit 1; }
	$(TOOL) benchstat $(RECORDED) bin/micro.txt

.PHONY: bench-record
bench-record: ## Run the micro-benchmarks, and record them
	@mkdir -p bin
	$(RUNBENCH) > bin/micro.txt || { cat bin/micro.txt; exit 1; }
	cp bin/micro.txt $(RECORDED)

.PHONY: bench-peers
bench-peers: build ## Measure CPU, latency and memory beside HAProxy, nginx, stunnel and Mosquitto (Linux); installs them
	./bench/install.sh
	$(GO) run ./bench $(BENCHFLAGS)

.PHONY: bench-floods
bench-floods: build ## Attack a broker with and without the proxy beside honest clients (Linux); installs Mosquitto
	./bench/install.sh
	$(GO) build -o bin/floods ./bench/floods
	bin/floods $(FLOODFLAGS)

.PHONY: demo
demo: ## Show the proxy at work in front of an embedded broker
	$(GO) run ./cmd/mqttward demo

.PHONY: check-unit
check-unit: ## Check the systemd unit and the Dockerfile
	$(GO) test -count=1 -v ./deploy
