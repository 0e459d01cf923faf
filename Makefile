# Two commands do everything: `make demo` and `make test`. `make setup` is what both begin with.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCE ?=
SITE ?=
ARGS ?=

.PHONY: help setup setup-dev apt-demo apt-dev demo test check bench bench-fleet profile bench-model bench-events openapi metrics clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make setup     virtual environment in .venv with .venv/bin/kerbwatch
setup: $(VENV)/.ready

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Kerbwatch needs Python 3.11 or newer; $(PYTHON) is older: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory apt PACKAGES=python3-venv
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.ready-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.ready

setup-dev: $(VENV)/.ready-dev

# What tests of RTSP and of the page need from Debian; skipped with a message where apt is not to be had.
DEV_PACKAGES := chromium fonts-noto-cjk gir1.2-gst-rtsp-server-1.0 python3-gi python3-gst-1.0 \
	gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly

apt-dev:
	@dpkg -s $(DEV_PACKAGES) >/dev/null 2>&1 || $(MAKE) --no-print-directory apt PACKAGES="$(DEV_PACKAGES)" \
		|| echo "note: the browser and RTSP tests will be skipped: $(DEV_PACKAGES) could not be installed"

.PHONY: apt
apt:
	@if [ "$$(id -u)" = 0 ]; then S=; else S="sudo -n"; fi; \
		$$S apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$S apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null

## make demo      sets up, runs the main job on the demo clip, prints the cases and the page's address
##                (ARGS=--once stops after the clip; SOURCE=my.mp4 SITE=my.toml takes your own video)
demo: setup
	@$(BIN)/kerbwatch demo $(if $(SOURCE),--source "$(SOURCE)") $(if $(SITE),--site "$(SITE)") $(ARGS)

## make test      sets up, runs the tests
test: setup-dev apt-dev
	$(BIN)/pytest -n 2 --dist loadgroup $(ARGS)

## make check     lint, types, import contracts
check: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## make bench     prints the published figures of model and rules; what is not there is skipped with a sentence
BENCH := detect_latency events mining model
bench: setup-dev
	@for name in $(BENCH); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

## make bench-fleet  cameras per core, stages, floor, scaling, cameras by RTSP, rated load: 22 minutes on two quiet
##                cores, and some 5 more the first time, for its clips (QUICK=1: 6 minutes; ULTRALYTICS=an
##                interpreter that has ultralytics and onnx adds `yolo track`)
BENCH_FLEET := cameras_per_core stage_costs floor cpu_profile scaling rtsp_camera_cost rtsp_rated_load
ULTRALYTICS ?=
QUICK ?=
bench-fleet: setup
	@for name in $(BENCH_FLEET); do echo "== $$name"; \
		if [ $$name = cameras_per_core ] && [ -n "$(ULTRALYTICS)" ]; then more="--ultralytics-python $(ULTRALYTICS)"; else more=; fi; \
		$(BIN)/python benchmarks/$$name.py $(if $(QUICK),--quick) $$more || exit 1; done
	@echo "== rtsp_rated_load by substreams"
	@$(BIN)/python benchmarks/rtsp_rated_load.py --substream --no-faults $(if $(QUICK),--quick)

## make profile   writes benchmarks/PROFILE.md, where the CPU time goes, from what bench-fleet has measured
profile: setup
	@$(BIN)/python benchmarks/cpu_profile.py --page

## make bench-model  measures the model in use again and compares with its card (MODEL=street@1, SCENES=folder)
MODEL ?= street@production
SCENES ?=
bench-model: setup
	@$(BIN)/python benchmarks/model.py --model "$(MODEL)" $(if $(SCENES),--scenes "$(SCENES)")

## make bench-events prints precision, recall and time to alarm on the clips with truth
bench-events: setup
	@$(BIN)/python benchmarks/events.py --model "$(MODEL)"

## make openapi   writes api/openapi.json again
openapi: setup
	$(BIN)/python -m api.app > api/openapi.json

## make metrics   writes ingest/fleet/dashboards/METRICS.md again
metrics: setup
	$(BIN)/python -m api.metrics | $(BIN)/python -m ingest.fleet.reference > ingest/fleet/dashboards/METRICS.md

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
