# The front door. Every target sets up what it needs (tools/setup.sh says what
# it installs and skips what is there); CMake presets do the rest.

JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
export MANTISSA_JUDGE ?= $(CURDIR)/.deps/judge/bin/python
export MANTISSA_MODELS ?= $(CURDIR)/.deps/models
# libtorch of the torch half: the judges' environment has it; a demo without
# judges gets one of its own.
MANTISSA_TORCH ?= $(MANTISSA_JUDGE)
torch = $(firstword $(wildcard $(MANTISSA_TORCH)) $(CURDIR)/.deps/torch)

setup := tools/setup.sh
configure = cmake --preset $(1) -DMANTISSA_JUDGE=$(MANTISSA_JUDGE) \
  -DMANTISSA_MODELS=$(MANTISSA_MODELS)
ctest := ctest --test-dir build -j $(JOBS) --output-on-failure --no-tests=error

.DEFAULT_GOAL := help
.PHONY: help demo test nightly build bench fuzz tsan lint docs install clean \
  setup-build setup-test

help:
	@echo "make demo     set up, build, and take a real language model through"
	@echo "              the tool: convert, plan, quantize, verify, diff, eval,"
	@echo "              generate (./demo)"
	@echo "make test     set up, build, and run every test but the nightly ones"
	@echo "make nightly  the nightly tests too"
	@echo "make build    the tool at build/bin/mantissa"
	@echo "make bench    build and run the benchmarks"
	@echo "make fuzz     build the fuzz targets and run each for a minute"
	@echo "make tsan     build the torch half's threaded test under ThreadSanitizer"
	@echo "              and run it"
	@echo "make lint     format, clang-tidy on changed files, layers, sizes"
	@echo "make docs     the documentation in docs/_build/html"
	@echo "make install  build and install into PREFIX ($(PREFIX)); with the torch"
	@echo "              half where tools/setup.sh --torch has put libtorch"
	@echo "make clean    remove build output (not .deps)"

setup-build:
	@$(setup) --build

setup-test:
	@$(setup) --build --test --models --judge

build: setup-build
	@$(call configure,release) --log-level=WARNING
	cmake --build --preset release -j $(JOBS) --target mantissa
	@echo "built: build/bin/mantissa"

demo: setup-build
	@MANTISSA_TORCH=$(torch) $(setup) --models --torch
	@$(call configure,release) -DMANTISSA_TORCH=$(torch) --log-level=WARNING
	cmake --build --preset release -j $(JOBS) --target mantissa mantissa_torch_tool
	@tools/demo.sh

build/all: setup-test
	@$(call configure,release) -DMANTISSA_TORCH=$(MANTISSA_TORCH) \
	  --log-level=WARNING
	cmake --build --preset release -j $(JOBS)
.PHONY: build/all

# The second pass forces the scalar kernels through the rooms that have others.
scalar := MANTISSA_CPU=scalar $(ctest) \
  -L '^(primitives|kernels|formats)_test$$'

test: build/all
	$(scalar) -LE nightly
	$(ctest) -LE nightly

nightly: build/all
	$(scalar)
	$(ctest)

bench: setup-build
	@$(call configure,bench) -DMANTISSA_TORCH=$(torch) --log-level=WARNING
	cmake --build --preset bench -j $(JOBS)
	@tools/bench.sh

# libtorch and its OpenMP are not instrumented: tests/tsan.supp says what is
# left out and why.
tsan: setup-test
	@$(call configure,tsan) -DMANTISSA_TORCH=$(MANTISSA_TORCH) \
	  --log-level=WARNING
	cmake --build --preset tsan -j $(JOBS) --target torch_threads_test
	TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tsan.supp \
	  build-tsan/bin/torch_threads_test

fuzz: setup-build
	@$(setup) --lint
	@tools/fuzz.sh

lint: setup-build
	@$(setup) --lint
	@$(call configure,release) --log-level=WARNING
	@tools/lint.sh

docs:
	@$(setup) --docs
	@tools/docs.sh

install: setup-build
	@$(call configure,release) -DMANTISSA_TORCH=$(torch) --log-level=WARNING
	cmake --build --preset release -j $(JOBS) --target mantissa mantissa_core \
	  $(if $(wildcard $(torch)),mantissa_torch_tool)
	cmake --install build --prefix $(PREFIX)

clean:
	rm -rf build build-* docs/_build demo
