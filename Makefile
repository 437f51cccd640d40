# The one door for contributors. Everything stays in this folder: .venv/ (Python's environment) and
# .run/ (archives, benches, findings of the fuzzer).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
LOCALE := src/huisclos/web/locale
FUZZ_SECONDS ?= 60
FUZZ_INPUTS ?= 1000000
KILLS ?= 1000
SOAK_MINUTES ?= 60
GROWTH_INSTANCES ?= 1000000
EXAMPLES ?= 150
SCHEMATHESIS := 4.32.5

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# A user's own packages must not stand in for the pinned ones.
export PYTHONNOUSERSITE := 1

.DEFAULT_GOAL := help
.PHONY: help set-up run demo test lint format bench growth fuzz fuzz-long kills soak schemathesis docs picture i18n pin clean

help:
	@echo "make run     an archive of your own on this machine, and how to log in"
	@echo "make demo    an archive for looking around, with 20 studies"
	@echo "make test    every test"
	@echo "make lint    style, types and the walls between rooms"
	@echo "make format  lay out the code as 'make lint' wants it"
	@echo "make bench   speed, beside Debian's Orthanc in the same run"
	@echo "make growth  what storing and searching cost up to a million instances; GROWTH_INSTANCES=1000000"
	@echo "make fuzz    hostile bytes at every parser; FUZZ_SECONDS=60"
	@echo "make fuzz-long  a million inputs for each parser; FUZZ_INPUTS=1000000"
	@echo "make kills   kill -9 each process, over and over, under load; KILLS=1000"
	@echo "make soak    an hour of mixed work: memory, descriptors, latency; SOAK_MINUTES=60"
	@echo "make schemathesis  generated requests at the HTTP interface; EXAMPLES=150 for each operation"
	@echo "make docs    the command-line reference, from the program itself"
	@echo "make picture  the README's picture, anew from a demonstration of its own"
	@echo "make i18n    gather the sentences to translate and compile the translations"
	@echo "make pin     new versions and hashes in constraints.txt"
	@echo "make clean   remove what the above made, except archives in .run/"

# Done again only when a pinned version or the project's description changed.
$(STAMP): constraints.txt pyproject.toml hatch_build.py
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh packaging/set-up
	@touch $@

set-up: $(STAMP)
	@$(BIN)/python hatch_build.py > /dev/null

run: set-up
	@$(BIN)/huisclos run .run/archive

demo: set-up
	@$(BIN)/huisclos demo .run/demo

# Two at a time, a file each, since most tests wait for processes they started. Those of the doors look at
# whatever listens on this machine, so that nothing else may run beside them.
test: set-up
	$(BIN)/python -m pytest -n 2 --dist loadfile --ignore tests/doors
	$(BIN)/python -m pytest tests/doors

lint: set-up
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

format: set-up
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: set-up
	$(BIN)/python bench/run.py

growth: set-up
	$(BIN)/python bench/growth.py --most $(GROWTH_INSTANCES)

fuzz: set-up
	$(BIN)/python -m tests.fuzz.run --seconds $(FUZZ_SECONDS) --findings .run/fuzz

fuzz-long: set-up
	$(BIN)/python -m tests.fuzz.run --inputs $(FUZZ_INPUTS) --findings .run/fuzz

kills: set-up
	$(BIN)/python -m tests.soak.kills --kills $(KILLS) --json .run/kills.json

soak: set-up
	$(BIN)/python -m tests.soak.hour --minutes $(SOAK_MINUTES) --json .run/soak.json

# A tool of some thirty packages that nothing else needs: in an environment of its own.
.run/schemathesis/bin/schemathesis:
	$(PYTHON) -m venv .run/schemathesis
	.run/schemathesis/bin/python -m pip install --quiet schemathesis==$(SCHEMATHESIS)

schemathesis: set-up .run/schemathesis/bin/schemathesis
	$(BIN)/python -m tests.soak.interface --tool .run/schemathesis/bin/schemathesis --examples $(EXAMPLES)

docs: set-up
	$(BIN)/python docs/generate.py

picture: set-up
	$(BIN)/python packaging/picture.py

i18n: $(STAMP)
	$(BIN)/python packaging/translate.py
	@$(BIN)/python hatch_build.py

pin: $(STAMP)
	$(BIN)/python packaging/pin.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .run/fuzz .run/bench
	find src tests bench packaging -name __pycache__ -type d -prune -exec rm -rf {} +
	find src -name '*.mo' -delete
