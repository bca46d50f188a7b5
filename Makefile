# Postern: what one can do with a fresh clone. `make run` and `make test` are the two that matter.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
SUITES ?= ../shared/suites
SWIFT ?= swift
# With Swift's own libraries inside: quicker, smaller in memory, and a host needs no Swift.
RELEASE := -c release --static-swift-stdlib
LINTED := Package.swift Sources Tests Benchmarks/Package.swift Benchmarks/Sources Fuzz/Package.swift Fuzz/Sources/fuzz
# Which targets `make fuzz` runs (nothing: all).
TARGETS ?=
# What `make bench` measures (nothing: everything), for how long each time, and how often.
ONLY ?=
BENCH_SECONDS ?= 4
BENCH_RUNS ?= 3

.PHONY: help install run test test-tsan conformance interop faults fuzz zones attacks bench format lint arrows clean

help:
	@echo "make run            build, bring up Kartapuce, send the use case, stay up until Ctrl-C (ONCE=1: end after it;"
	@echo "                    NETNS=1: every host in a network namespace, firewalls between the zones)"
	@echo "make test           install what is missing, build, run every test"
	@echo "make conformance    run third-party data through Postern (SUITES=folder)"
	@echo "make interop        install further servers and mail programs below .build-peers, and run the tests with real clients and peers"
	@echo "make faults         the tests of faults in their long form: hundreds of kills, thousands of connections (as root; about an hour)"
	@echo "make fuzz           let libFuzzer loose on everything that reads hostile octets (FUZZ_SECONDS=600 FUZZ_JOBS=2 TARGETS=\"smtp-server dns\")"
	@echo "make test-tsan      every test that needs no further process under the thread sanitizer (about an hour)"
	@echo "make bench          measure Postern beside Postfix and Dovecot, into bench.json (ONLY=relay,accept BENCH_SECONDS=4 BENCH_RUNS=3)"
	@echo "make zones          try every flow between the zones, and the systemd units' restrictions, only"
	@echo "make attacks        play attacks on the way to the provider, with and without DANE and MTA-STS (ONLY=expired/dane)"
	@echo "make format | lint  write | check the sources' format;  make arrows: check which target uses which"
	@echo "make clean          remove what was built"

install:
	@scripts/install-dependencies.sh

run: install
	@echo "Building postern (release); the first time takes some minutes"
	@$(SWIFT) build $(RELEASE) --product postern
	@exec "$$($(SWIFT) build $(RELEASE) --show-bin-path)/postern" lab run $(if $(filter-out 0 no false,$(ONCE)),--once) $(if $(filter-out 0 no false,$(NETNS)),--namespaces)

# One test after the other: many of them wait for servers and programs, and all of them at once would let each wait for the others.
test: install
	@echo "Building Postern and its tests"
	@$(SWIFT) build --build-tests
	@$(SWIFT) test --skip-build --no-parallel

# The suites are other people's data and stay outside the tree; the tests get the folder as an absolute path.
conformance: install
	@if [ ! -d "$(SUITES)" ]; then echo "conformance: no folder $(SUITES); nothing to run (set SUITES=folder)"; exit 0; fi; \
	suites="$$(cd "$(SUITES)" && pwd)"; echo "conformance: data from $$suites"; \
	$(SWIFT) build --build-tests; \
	POSTERN_SUITES="$$suites" $(SWIFT) test --skip-build --no-parallel --filter Conformance

# Exim, OpenSMTPD, Dovecot and the mail programs are installed into .build-peers and not into the system; the tests get that folder's name.
interop: install
	@scripts/install-dependencies.sh interop
	@$(SWIFT) build --build-tests
	@POSTERN_PEERS="$(CURDIR)/.build-peers" POSTERN_PEERS_PYTHON="$(CURDIR)/.build-peers/python/bin/python3" $(SWIFT) test --skip-build --no-parallel --filter Interop

# FILTER=Kill runs one suite of them; POSTERN_FAULTS_SEED replays a run.
faults: install
	@$(SWIFT) build --build-tests
	@POSTERN_FAULTS=long $(SWIFT) test --skip-build --no-parallel --filter '(FaultTests|SimulationTests).*$(FILTER)'

# Everything that is read from strangers, in a package of its own; Documentation/fuzzing.md.
fuzz: install
	@scripts/fuzz.sh $(TARGETS)

# The sanitizer makes everything five to fifteen times slower: a build folder of its own, and the tests that start a built postern stay out.
test-tsan: install
	@$(SWIFT) build --build-tests --sanitize thread --scratch-path .build-tsan
	@"$$(dirname "$$(readlink -f "$$(command -v $(SWIFT))")")/clang" -O1 -shared -fPIC -o .build-tsan/libtsan-mutex.so scripts/tsan-mutex.c -ldl
	@LD_PRELOAD="$$PWD/.build-tsan/libtsan-mutex.so" $(SWIFT) test --skip-build --no-parallel --sanitize thread --scratch-path .build-tsan --skip 'LabTests|FaultTests'

# The package of the benchmarks builds into the same folder as Postern, so that what both use is compiled once.
bench:
	@scripts/install-dependencies.sh bench
	@echo "Building postern and bench (release); the first time takes some minutes"
	@for product in postern bench; do $(SWIFT) build $(RELEASE) --package-path Benchmarks --scratch-path .build --product $$product; done
	@folder="$$($(SWIFT) build $(RELEASE) --package-path Benchmarks --scratch-path .build --show-bin-path)"; \
	exec "$$folder/bench" --postern "$$folder/postern" --only "$(ONLY)" --seconds $(BENCH_SECONDS) --runs $(BENCH_RUNS)

# The firewalls' rules with the whole matrix of who may reach whom, the use case between them, and what the units of deploy/systemd hold back.
zones: install
	@$(SWIFT) build --build-tests
	@POSTERN_ZONES=1 $(SWIFT) test --skip-build --no-parallel --filter 'Zone|SystemdUnit'

attacks: install
	@echo "Building postern (release); the first time takes some minutes"
	@$(SWIFT) build $(RELEASE) --product postern
	@exec "$$($(SWIFT) build $(RELEASE) --show-bin-path)/postern" lab attacks $(addprefix --only ,$(ONLY))

format:
	@$(SWIFT) format format --in-place --parallel --recursive $(LINTED)

lint:
	@$(SWIFT) format lint --strict --parallel --recursive $(LINTED)
	@echo "lint: the sources are formatted as .swift-format says"

arrows:
	@scripts/check-arrows.py

clean:
	@$(SWIFT) package clean
