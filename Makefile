# Flotilla: build, run and prove. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
MAKEFLAGS += --no-print-directory

MODULE := github.com/flotilla-mail/flotilla
# raft-boltdb/v2 2.3.1 and memberlist 0.7.0 meet on hashicorp/go-metrics only with this tag.
TAGS := -tags hashicorpmetrics
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X $(MODULE)/internal/version.release=$(VERSION)

FUZZTIME ?= 30s
FUZZ ?=
FUZZPARALLEL ?= 1
FUZZHOLD ?=
MAILS ?= 100000
FAULTS ?= 200
MINUTES ?=
CLUSTERS ?=
SIM ?=
GOSSIP ?=
DRAINS ?= 100
KILLS ?=
FREEZES ?=
CUTS ?=
PLANTED ?=
SEED ?=
BENCH ?= .
RELEASE ?= $(firstword $(shell tail -n 1 deploy/RELEASES 2>/dev/null) v0.0.0)

export FLOTILLA_BIN := $(CURDIR)/bin/flotilla

# $(call phase,name,command): runs the command and says how long it took.
phase = @begin=$$(date +%s); echo "== $(1)"; { $(2); } || { echo "== $(1): FAILED after $$(( $$(date +%s) - begin )) s"; exit 1; }; echo "== $(1): $$(( $$(date +%s) - begin )) s"
# The packages below a folder, nothing if there are none.
packages = $$(go list $(TAGS) $(1) 2>/dev/null)

# $(call failover,kills,freezes,cuts): how long clients wait when an owner fails, held to DESIGN 4.
failover = $(call phase,fail-over,FLOTILLA_BENCH=1 FLOTILLA_KILLS=$(1) FLOTILLA_FREEZES=$(2) FLOTILLA_CUTS=$(3) go test -count=1 -v -timeout 6h $(TAGS) -run '^TestFailOver$$' ./test/bench)
# Bugs on purpose, in real processes; test/sim has them in simulated ones.
planted = $(call phase,planted bugs,FLOTILLA_PLANT=1 go test -count=1 -v -timeout 1h $(TAGS) -run '^TestPlanted$$' ./test/fault)

.PHONY: build run test install lint unit race system bench chaos fuzz upgrade-test fixture help go-check clean

build: go-check ## bin/flotilla
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -buildvcs=false $(TAGS) -ldflags '$(LDFLAGS)' -o bin/flotilla ./cmd/flotilla

run: build ## three nodes on this machine: bin/flotilla dev (ARGS= for its flags)
	bin/flotilla dev $(ARGS)

test: go-check install lint build unit race system ## everything CI runs, from a clean checkout; at most 25 minutes on two cores

install: ## the Debian packages the tests need (test/packages.txt)
	$(call phase,install,bash test/install.sh)

lint: go-check ## the style and the layers, gofmt, vet and staticcheck
	$(call phase,style,go run ./internal/lint)
	$(call phase,layers,go test $(TAGS) ./internal/arch)
	$(call phase,vet,go vet $(TAGS) ./...)
	$(call phase,staticcheck,go tool -modfile=internal/tools/go.mod staticcheck $(TAGS) ./...)

# Tests that run beside each other mostly wait, as those of internal/node do: more of them at a time than there are cores.
unit: go-check ## unit tests, properties and scripts of every package
	$(call phase,units,go test -p 2 -parallel 4 $(TAGS) $$(go list $(TAGS) ./... | grep -v '^$(MODULE)/test\(/\|$$\)'))

race: go-check ## the race detector on what agrees about bytes
	$(call phase,race,go test -p 2 -race -short $(TAGS) ./cluster/... ./exmdb/...)

system: build ## whole-system tests: real processes, one at a time
	$(call phase,system,list="$(call packages,./test/...)"; if [ -n "$$list" ]; then go test -p 1 -count=1 -timeout 20m $(TAGS) $$list; fi)

bench: build ## time and counts, written to docs/measurements (BENCH=regexp)
	$(call phase,bench,list="$(call packages,./test/bench/...)"; if [ -n "$$list" ]; then FLOTILLA_BENCH=1 go test -p 1 -count=1 -v -timeout 3h $(TAGS) -run '$(BENCH)' $$list; fi)
	$(call phase,micro,go test -p 1 $(TAGS) -run '^$$' -bench '$(BENCH)' -benchmem ./cluster/... ./exmdb/... ./placement/... ./internal/... ./frontends/...)

chaos: build ## faults under load, long form: SEED=1 MAILS=100000 FAULTS=200 DRAINS=100 and what follows; alone: MINUTES=60 by time, KILLS=200 FREEZES=100 CUTS=100 fail-overs timed, PLANTED=1 bugs on purpose, SIM=10000 simulated seeds, GOSSIP=1h fifty members that lose packets, CLUSTERS=100000 random clusters for the planner
ifneq ($(CLUSTERS),)
	$(call phase,planner,SEED='$(or $(SEED),1)' FLOTILLA_CLUSTERS='$(CLUSTERS)' FLOTILLA_RECORD=1 go test -count=1 -v -timeout 24h $(TAGS) -run '^(TestClusters|TestANodeMoreTakesItsShare)$$' ./placement/planner)
else ifneq ($(SIM),)
	$(call phase,simulation,go test -count=1 -v -timeout 24h $(TAGS) ./test/sim -run '^TestSim$$' -seeds $(SIM) -from '$(or $(SEED),1)')
else ifneq ($(GOSSIP),)
	$(call phase,gossip,SEED='$(or $(SEED),1)' FLOTILLA_GOSSIP='$(GOSSIP)' go test -count=1 -v -timeout 24h $(TAGS) -run '^TestAFleetThatLosesPackets$$' ./cluster/gossip)
else ifneq ($(MINUTES),)
	$(call phase,chaos,SEED='$(or $(SEED),1)' FLOTILLA_SELFTEST_MINUTES=$(MINUTES) FLOTILLA_RECORD=1 go test -count=1 -v -timeout 24h $(TAGS) -run '^TestPromises$$' ./test/fault)
else ifneq ($(KILLS)$(FREEZES)$(CUTS),)
	$(call failover,$(or $(KILLS),0),$(or $(FREEZES),0),$(or $(CUTS),0))
else ifneq ($(PLANTED),)
	$(planted)
else
	$(call phase,chaos,SEED='$(or $(SEED),1)' FLOTILLA_MAILS='$(MAILS)' FLOTILLA_FAULTS='$(FAULTS)' FLOTILLA_MINUTES=240 FLOTILLA_RECORD=1 go test -count=1 -v -timeout 24h $(TAGS) -run '^TestNothingAcknowledgedIsLost$$' ./test/fault)
	$(call phase,drains,FLOTILLA_DRAINS='$(DRAINS)' FLOTILLA_RECORD=1 go test -count=1 -v -timeout 2h $(TAGS) ./test/drain)
	$(call failover,200,100,100)
	$(planted)
endif

fuzz: go-check ## every FuzzX in the tree, FUZZTIME=30s each, into docs/measurements: FUZZ=regexp of "folder FuzzX", FUZZPARALLEL=2 at a time
	$(call phase,fuzz,go run ./internal/fuzz $(TAGS) -time $(FUZZTIME) -parallel $(FUZZPARALLEL) -only '$(FUZZ)' -hold '$(FUZZHOLD)')

upgrade-test: go-check ## old programs of deploy/RELEASES, or this tree as one, and this program in one cluster under load
	$(call phase,upgrade,FLOTILLA_UPGRADE=1 go test -p 1 -count=1 -v -timeout 1h $(TAGS) ./test/upgrade/...)

fixture: build ## the data folder of a small cluster as this program writes it, into test/fixtures: RELEASE=version, the newest of deploy/RELEASES
	$(call phase,fixture,FLOTILLA_FIXTURE='$(RELEASE)' go test -count=1 -v -timeout 10m $(TAGS) -run '^TestMake$$' ./test/fixtures)

clean: ## bin and the data of `make run`
	rm -rf bin data

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "  %-14s %s\n", $$1, $$2 }'

go-check:
	@bash internal/tools/go-check.sh
