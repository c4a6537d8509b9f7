# The one front; CMake presets lie beneath. `make help` lists it.
.DEFAULT_GOAL := help
JOBS ?= $(shell nproc)
DATA ?=
export CTEST_OUTPUT_ON_FAILURE := 1

.PHONY: help setup demo run weights test test-all soak bench bench-encoder bench-index bench-storage tidy docs clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: ## install the Debian packages that are missing
	@scripts/setup

# $(call build,PRESET): configure once, then build with progress.
define build
	@echo "== building $(1)"
	@cmake --preset $(1) >build-$(1).log 2>&1 && rm -f build-$(1).log || { cat build-$(1).log; rm -f build-$(1).log; exit 1; }
	@cmake --build build/$(1) --parallel $(JOBS)
endef
# $(call check,PRESET,LABELS): run its tests.
define check
	@echo "== testing $(1)"
	@ctest --test-dir build/$(1) --parallel $(JOBS) --label-regex '$(2)' --no-tests=error
endef

# The weights if they can be had; without them everything works with lexical vectors, and says so.
define weights_if_any
	@tools/fetch_weights.sh $(MODEL) || echo "weights: none to be had here; going on with lexical vectors"
endef

demo: setup ## build, start, answer real questions over gRPC, show the result, stop (DATA=file.tsv for your own)
	$(weights_if_any)
	$(call build,release)
	@scripts/demo build/release/bin $(DATA)

run: setup ## build and run the server in the foreground (ARGS="--grpc-listen ...")
	$(call build,release)
	@build/release/bin/reprise-server --embed-folder=build/models --storage-path=build/data $(ARGS)

MODEL ?= minilm-l6
weights: ## bring the embedding model into build/models (MODEL=bge-small-en for the larger one)
	@tools/fetch_weights.sh $(MODEL)

test: setup ## the suites of dev and asan, tidy and wire tests
	$(weights_if_any)
	$(call build,dev)
	$(call check,dev,unit|wire|tidy)
	$(call build,asan)
	$(call check,asan,unit|wire)

test-all: test ## the same, then clang's thread-safety analysis, tsan, fuzzing for 30 s a target, buf lint
	$(call build,clang)
	$(call build,tsan)
	$(call check,tsan,unit)
	@echo "== the index at length: a million operations, every byte of a snapshot"
	@REPRISE_CHURN_OPERATIONS=1000000 build/dev/tests/unit_index_churn
	@REPRISE_SNAPSHOT_STRIDE=1 build/dev/tests/unit_index_snapshot
	@echo "== the cache at length: a million calls over twenty namespaces"
	@REPRISE_CACHE_OPERATIONS=1000000 build/dev/tests/unit_cache_model
	@scripts/fuzz 30
	@scripts/lint-proto

soak: setup ## the long suites: 100,000 power cuts and ends of the process, a thousand kills under load
	$(call build,dev)
	@echo "== 100,000 seeds of power cuts, and as many of ends"
	@REPRISE_POWER_CUTS=100000 build/dev/tests/unit_storage_store_open 2>build/soak.log || { tail -40 build/soak.log; exit 1; }
	@echo "== 1000 kills under load"
	@REPRISE_BIN=$(CURDIR)/build/dev/bin REPRISE_SOURCE=$(CURDIR) REPRISE_KILL_ROUNDS=1000 /usr/bin/python3 -B tests/wire/test_kill.py -v

bench: ## measure against the anchors, write bench/RESULTS.md and bench/goals.tsv
	@scripts/setup bench
	$(call build,release)
	@bench/run build/release

bench-encoder: weights ## the encoder against ONNX Runtime and oneDNN, its start, its worth on labelled streams (fetches on the first run)
	@scripts/setup bench
	$(call build,release)
	@bench/encoder_run.py build/release
	@bench/texts_run.py build/release
	@bench/quality_run.py build/release

bench-index: ## the index against FAISS, hnswlib and usearch (PARTS="lookup churn" ROWS=1k,100k,1m; fetches on the first run)
	@scripts/setup bench
	$(call build,release)
	@bench/index_run.py build/release $(PARTS) $(if $(ROWS),--rows $(ROWS))

bench-storage: ## the journal, recovery and memory against Redis, memcached and plain calls (PARTS="commit redis recovery memory map")
	@scripts/setup bench
	$(call build,release)
	@bench/storage_run.py build/release $(PARTS)

tidy: ## the rules of the house alone
	@tests/tidy

docs: setup ## docs/configuration.md from the server's own option tables
	$(call build,dev)
	@scripts/docs build/dev/bin

clean: ## the build folders away, but for build/models and the data of make run
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name models ! -name data -exec rm -rf {} +
