# Needs python3 (3.11 or newer) and make; everything else goes into .venv.
PYTHON ?= python3
VENV ?= .venv
# Exact versions of everything; "make CONSTRAINTS=/dev/null" takes what pip finds instead.
CONSTRAINTS ?= constraints.txt

PIP = $(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --constraint $(CONSTRAINTS)
RUN = $(VENV)/bin/python
INSTALLED = $(VENV)/.installed
TEXTS = sola conf tests benchmarks tools docs data/README.md README.md CHANGELOG.md CONTRIBUTING.md
# Two processes, one thread each.
TWO = trainer.devices=2 trainer.strategy=ddp
DEMO_DIR = outputs/demo
DEMO_TRAINED = $(DEMO_DIR)/.trained
DEMO_IS_TRAINED = $(and $(wildcard $(DEMO_TRAINED)),$(wildcard $(DEMO_DIR)/best.ckpt))
# Those that need neither hours nor the runs of "make results".
BENCHMARKS = $(filter-out benchmarks/soak.py benchmarks/results.py benchmarks/cost.py benchmarks/tables.py benchmarks/errors.py benchmarks/unseen_words.py,$(shell grep -l __main__ benchmarks/*.py))

.DEFAULT_GOAL := help
.PHONY: help setup demo results ablations test test-slow test-devices test-all faults lint size docs docs-commands browser bench soak clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r target what; do \
		printf 'make %-10s %s\n' "$$target" "$$what"; done

setup: $(INSTALLED)  ## make .venv and install what is missing (minutes once, then nothing)

# torch first, so that sam2, a source package, builds beside it in seconds and without a CUDA compiler.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is %s. Try: make PYTHON=python3.12" % sys.version.split()[0])'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(PIP) setuptools wheel torch torchvision
	SAM2_BUILD_CUDA=0 $(PIP) --no-build-isolation sam2
	$(PIP) --editable '.[demo,dev,docs,groundingdino,app]'
	touch $@

demo: setup  ## the whole chain on small synthetic videos, on a CPU: tracks, training, scores, pictures
	$(RUN) generate.py dataset=moving_shapes split=train prompt_source=gt $(TWO)
	$(RUN) generate.py dataset=moving_shapes split=valid_u prompt_source=grid $(TWO)
	$(if $(DEMO_IS_TRAINED),@echo '$(DEMO_DIR)/best.ckpt is there: not trained again ("make clean" removes it)',rm -rf $(DEMO_DIR))
	$(if $(DEMO_IS_TRAINED),,$(RUN) train.py experiment=demo hydra.run.dir=$(DEMO_DIR))
	touch $(DEMO_TRAINED)
	$(RUN) evaluate.py dataset=moving_shapes ckpt_path=$(DEMO_DIR)/best.ckpt report=true hydra.run.dir=$(DEMO_DIR)/evaluation
	$(RUN) predict.py dataset=moving_shapes ckpt_path=$(DEMO_DIR)/best.ckpt hydra.run.dir=$(DEMO_DIR)/prediction

results: setup  ## the headline tables of docs/results.md: word_match and the baseline, with relations too, three seeds
	$(RUN) generate.py dataset=moving_shapes_large split=train prompt_source=gt $(TWO)
	for split in tune valid_u paraphrase; do \
		$(RUN) generate.py dataset=moving_shapes_large split=$$split prompt_source=grid $(TWO) || exit; done
	$(RUN) generate.py dataset=moving_shapes_relations split=train prompt_source=gt $(TWO)
	for split in tune valid_u; do \
		$(RUN) generate.py dataset=moving_shapes_relations split=$$split prompt_source=grid $(TWO) || exit; done
	$(RUN) benchmarks/results.py

ablations: results  ## the other tables of docs/results.md, among them the paper's network: many hours
	$(RUN) generate.py dataset=moving_shapes_large split=train prompt_source=grid $(TWO)
	$(RUN) benchmarks/results.py word_match alone with_grid half_the_videos
	$(RUN) benchmarks/results.py small paper_strides paper_gain paper_negatives
	$(RUN) benchmarks/results.py relations_baseline relations_word_match relations_alone relations_small
	$(RUN) benchmarks/cost.py

test: setup  ## every test but the slow ones, on all cores, with the coverage of sola/
	$(RUN) -m pytest -n auto --dist loadfile --durations 10 --cov=sola --cov-report=
	@echo "coverage of sola/: $$($(RUN) -m coverage report --format=total) %"

test-slow: setup  ## the slow tests, on all cores: full sizes; programs installed, killed, and as the documentation shows them
	$(RUN) -m pytest -n auto --dist loadfile -m 'slow and not devices' --durations 10

test-devices: setup  ## several processes and nodes, slow ones included: generation, training, evaluation
	$(RUN) -m pytest -m devices

test-all: test test-slow test-devices  ## every test

faults: setup  ## every test of a fault, and the table of docs/faults.md that they write
	$(RUN) -m pytest -m fault --write-faults

lint: setup  ## format, style, types and phrases
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	@if grep -rnE -f tools/phrases.txt $(TEXTS) --include='*.py' --include='*.md' --include='*.yaml'; then echo 'Use plain words instead (tools/phrases.txt).'; exit 1; fi

size:  ## lines of code by package, long functions and files, docstring coverage
	@python3 tools/size.py

docs: setup  ## the documentation as pages for any browser, outputs/docs/index.html; broken links are errors
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

docs-commands: setup  ## the commands of the quickstart, on what "make demo" left
	$(RUN) docs/site/run_commands.py docs/quickstart.md
	$(RUN) -m pytest -q tests/test_demo_answers.py

browser:  ## Chromium for the tests of pages, from Debian's packages (as root)
	{ command -v chromium && command -v chromedriver; } >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium chromium-driver; }

bench: demo  ## the benchmarks of speed and memory, one after the other
	@set -e; for script in $(BENCHMARKS); do echo "$(RUN) $$script"; $(RUN) $$script; done

MINUTES ?= 20
soak: setup  ## generation and training, killed at random for 20 minutes (MINUTES=...): nothing is lost
	$(RUN) benchmarks/soak.py --minutes $(MINUTES)

clean:  ## remove runs, caches and the synthetic videos with their tracks (not .venv, not other datasets)
	rm -rf outputs $(foreach name,moving_shapes moving_shapes_large moving_shapes_relations,data/$(name) data/tracks/$(name) data/prompts/$(name))
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
