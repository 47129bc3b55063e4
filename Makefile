# Bare `make` explains itself. Nothing here needs more than gcc (or Xcode's
# command line tools), make, Python >= 3.11 and Rust.
SHELL := bash
# For make 4. Apple's make 3.81 does not know it: recipes of several commands say $(STRICT) themselves.
.SHELLFLAGS := -euo pipefail -c
STRICT := set -euo pipefail
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
JAX ?= jax==0.10.2
ARGS ?=

PY := $(VENV)/bin/python
# Where bindgen, prost and MLX find what they need: the packages in $(VENV).
ENVIRONMENT = environment="$$($(PY) build_backend/jax_mps_build.py)" || exit 1; eval "$$environment"
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)
# What pip and cargo read; a change of any of these builds the wheel anew.
SOURCES := $(shell find src crates proto python build_backend build.rs \
	Cargo.toml Cargo.lock pyproject.toml -type f \
	-not -name '*.pyc' -not -name '*.so' -not -name '*.dylib' -not -path '*/target/*' 2>/dev/null)

.PHONY: help venv build demo test lint test-rust test-python test-places test-metal test-mlir smoke bench bench-dispatch soak fuzz check-macos ops-document clean

help: ## show this text
	@echo "jax-mps: JAX on MLX"; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s%s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "  PYTHON=$(PYTHON) makes the environment in VENV=$(VENV) with JAX=$(JAX);"
	@echo "  ARGS=... goes to the example, the benchmarks or pytest."

demo: build ## build, install and train a small network on the device
	$(PY) examples/digits/train.py $(ARGS)

test: lint test-rust test-python ## format, clippy, Rust tests, Python tests (what CI runs)

bench: build ## time the plugin against MLX's own Python and XLA:CPU
	$(PY) benches/run.py $(ARGS)

venv: $(VENV)/.ready ## make the virtual environment with all that is needed

build: $(VENV)/.built ## build the wheel (release) and install it in the environment

lint: $(VENV)/.ready ## cargo fmt and clippy, warnings are errors; the CI workflows
	cargo fmt --all --check
	$(ENVIRONMENT); cargo clippy --locked --all-targets -- -D warnings
	$(ENVIRONMENT); cargo clippy --locked --lib --features python -- -D warnings
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/zizmor --offline --quiet --no-progress .github/workflows

test-rust: $(VENV)/.ready ## Rust tests (nextest if it is installed)
ifneq ($(NEXTEST),)
	$(ENVIRONMENT); cargo nextest run --locked --no-fail-fast
else
	$(ENVIRONMENT); cargo test --locked --no-fail-fast
endif

# What the tests of the ops compile, which keeps tests/data/op_coverage.tsv true.
OP_PROGRAMS := $(abspath target/op-programs)

test-python: build ## Python tests against the installed wheel
	rm -rf $(OP_PROGRAMS)
	JAX_MPS_OP_PROGRAMS=$(OP_PROGRAMS) $(PY) -m pytest -n 2 tests/python $(ARGS)
	$(if $(ARGS),,$(ENVIRONMENT) && cargo run --locked --example op_coverage -- $(OP_PROGRAMS) \
		--check tests/data/op_coverage.tsv)

# Where a step runs, and what it may be given, shows in these; `METAL_TESTS=tests/python/ops` for all.
METAL_TESTS ?= $(addprefix tests/python/ops/test_,x64.py gather.py scatter.py select_and_scatter.py sort.py fft.py \
	linalg.py decompositions.py control_flow.py mlx_traps.py donation.py)

test-places: build ## tests of the ops, all by MLX, and all by native code that can
	JAX_MPS_PLACE=device $(PY) -m pytest -n 2 tests/python/ops $(ARGS)
	JAX_MPS_PLACE=host $(PY) -m pytest -n 2 tests/python/ops $(ARGS)

test-metal: build ## tests with the CPU in Metal's place: its placements and refusals
	$(ENVIRONMENT); JAX_MPS_CAPABILITIES=metal cargo $(if $(NEXTEST),nextest run,test) --locked --no-fail-fast
	JAX_MPS_PLACE=device JAX_MPS_CAPABILITIES=metal $(PY) -m pytest -n 2 $(METAL_TESTS)
	JAX_MPS_PLACE=device JAX_MPS_CAPABILITIES=cuda $(PY) -m pytest -n 2 tests/python/ops/test_convolution.py

# MLIR's reader. Its plugin is built with little optimization, beside the installed one. What the tests of the ops
# compile meanwhile is collected, and then read and run with both readers.
MLIR_TESTS ?= $(addprefix tests/python/ops/test_,shapes.py dot_general.py gather.py scatter.py sort.py control_flow.py \
	linalg.py donation.py errors.py random_bits.py)
MLIR_PROGRAMS := $(abspath target/mlir-programs)
DYLIB := $(if $(filter Darwin,$(shell uname)),dylib,so)

test-mlir: build $(VENV)/.mlir ## MLIR's reader against our own, and tests of the ops with it
	$(STRICT); \
	if grep -q unavailable $(VENV)/.mlir; then cat $(VENV)/.mlir; exit 0; fi; \
	$(ENVIRONMENT); cargo clippy --locked --features mlir --all-targets -- -D warnings; \
	cargo build --locked --features mlir --lib; \
	rm -rf $(MLIR_PROGRAMS); \
	JAX_MPS_LIBRARY_PATH=$(abspath target/debug/libjax_mps.$(DYLIB)) JAX_MPS_READER=mlir \
		JAX_MPS_DUMP=$(MLIR_PROGRAMS) JAX_MPS_DUMP_STAGE=00-received $(PY) -m pytest -n 2 -q $(MLIR_TESTS) $(ARGS); \
	JAX_MPS_COLLECTED=$(MLIR_PROGRAMS) cargo test --locked --features mlir --lib -- \
		--include-ignored --nocapture mlir:: reader:: text_programs

ops-document: build ## make docs/ops.md anew from the op table and what the tests of the ops compile
	rm -rf $(OP_PROGRAMS)
	$(STRICT); JAX_MPS_OP_PROGRAMS=$(OP_PROGRAMS) $(PY) -m pytest -n 2 -q tests/python/ops tests/python/test_callbacks.py
	$(STRICT); $(ENVIRONMENT); cargo run --locked --example op_coverage -- $(OP_PROGRAMS) > tests/data/op_coverage.tsv; \
	JAX_MPS_BLESS=1 cargo test --locked --test ops_document

smoke: build ## the same wheel under the oldest, a middle and the newest JAX
	$(PY) scripts/smoke_matrix.py --wheel target/wheels/jax_mps-*.whl

bench-dispatch: $(VENV)/.ready ## the plugin's share of a cached call
	$(ENVIRONMENT); cargo bench --locked --bench dispatch

soak: build ## ten minutes of mixed programs on eight threads
	$(PY) scripts/soak.py $(ARGS)

fuzz: build ## random programs against XLA:CPU; ARGS='--seconds 3600' and others, see docs/fuzzing.md
	$(PY) scripts/fuzz $(ARGS)

check-macos: $(VENV)/.ready ## cross-build the wheel for macOS on Debian and inspect it
	$(PY) scripts/check_macos

clean: ## remove the environment and all that was built
	rm -rf $(VENV) target dist build python/jax_plugins/mps/libjax_mps.*

# Python 3.9, which Apple's tools bring, has to understand this.
PYTHON_IS_NEW := import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	"jax-mps needs Python 3.11 or newer, not %d.%d: make PYTHON=python3.12" % sys.version_info[:2])

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c '$(PYTHON_IS_NEW)'
	$(PYTHON) -m venv $(VENV)
	$(PY) -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
		print(*p["build-system"]["requires"], *p["dependency-groups"]["dev"], \
		*p["dependency-groups"]["suite"], sep="\n")' \
		> $(VENV)/requirements.txt
	$(PY) -m pip install --progress-bar off -r $(VENV)/requirements.txt '$(JAX)'
	touch $@

# Skipped only where PyPI has no MLIR for this machine and Python, and then `make test-mlir` says so.
$(VENV)/.mlir: $(VENV)/.ready build_backend/mlir_prefix.py
	$(STRICT); \
	set -- $$($(PY) -c 'import sys; sys.path.insert(0, "build_backend"); import mlir_prefix; print(*mlir_prefix.REQUIREMENTS)'); \
	if $(PY) -m pip install --progress-bar off "$$@" 2>&1 | tee $@.log; then echo "$$@" > $@; \
	elif grep -q 'No matching distribution found' $@.log; then \
		echo "test-mlir SKIPPED: unavailable on this platform: $$*" > $@; \
	else exit 1; fi

$(VENV)/.built: $(VENV)/.ready $(SOURCES)
	rm -rf target/wheels
	$(PY) -m pip wheel --no-deps --no-build-isolation --wheel-dir target/wheels .
	$(PY) -m pip install --quiet --no-deps --force-reinstall target/wheels/jax_mps-*.whl
	touch $@
