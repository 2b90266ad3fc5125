# make demo and make test are all that a newcomer needs; each makes .venv when it is missing.
# A torch of the system that works is used (a Jetson's own must never be replaced); otherwise a pinned one is installed. What is
# installed beside it follows from `saetui doctor --constraints`.

PYTHON ?= python3
TORCH := torch==2.13.0
OLD_TORCH := torch==2.5.1
SAELENS := sae-lens==6.54.12
SPARSIFY := eai-sparsify==1.3.3
DICTIONARY_LEARNING := dictionary-learning==0.1.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PEERS := .venv-peers
BARE_VENV := .venv-bare
OLD_VENV := .venv-old
STAMP := $(VENV)/installed
DEVELOPER := $(VENV)/developer

# Without kept byte code every trainer compiles the 2,500 modules that it imports again: 11 s of a start instead of 6.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all install lint types test-bare test-old-torch peers saelens bench bench-quality bench-terminal soak shots clean

demo: $(STAMP)
	$(BIN)/saetui demo

test: $(DEVELOPER)
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow"

# The long proofs too: kills of real trainers, every architecture and every moment, comparisons with peers that are installed.
test-all: $(DEVELOPER)
	$(BIN)/python -m pytest -n 2 --dist loadscope

install: $(DEVELOPER)

# --no-compile: writing byte code for all of torch takes longer than for the modules that are used, when they are.
$(STAMP): pyproject.toml
	@if $(PYTHON) -c 'import torch; torch.ones(2, 2) @ torch.ones(2, 2)' 2>/dev/null; then \
	  echo "Using the torch of this system."; \
	  $(PYTHON) -m venv --system-site-packages $(VENV); \
	else \
	  echo "Installing torch and saetui into $(VENV)."; \
	  $(PYTHON) -m venv $(VENV) && $(PIP) install -q --no-compile $(TORCH); \
	fi
	$(PIP) install -q --no-compile -e .
	$(BIN)/saetui doctor --constraints > $(VENV)/constraints.txt
	$(PIP) install -q --no-compile -c $(VENV)/constraints.txt -e '.[training]'
	touch $@

$(DEVELOPER): $(STAMP)
	$(PIP) install -q --upgrade "pip>=25.1"
	$(PIP) install -q --no-compile -c $(VENV)/constraints.txt --group dev
	touch $@

lint: $(DEVELOPER)
	$(BIN)/ruff check saetui tests
	$(BIN)/ruff format --check saetui tests
	$(BIN)/lint-imports

types: $(DEVELOPER)
	$(BIN)/mypy

# The parts that need no torch, under the oldest Python that is supported, where there is no torch at all. Pictures of the
# screens are compared once, by `make test`; the long proofs are made once, by `make test-all`.
PYTHON310 ?= $(shell for p in python3.10 $$HOME/.pyenv/versions/3.10*/bin/python3.10 /opt/*/bin/python3.10; do \
  "$$p" -c '' 2>/dev/null && echo "$$p" && break; done)

test-bare: $(BARE_VENV)/installed
	$(BARE_VENV)/bin/python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is not None)'
	$(BARE_VENV)/bin/python -m pytest -n 2 --dist loadscope -m "not slow" tests/formats tests/display tests/sources \
	  tests/catalog tests/spec tests/jobs tests/rundir tests/protocol tests/launch tests/supervisor tests/client \
	  tests/devices tests/docs tests/cli tests/tui tests/test_runner.py tests/test_imports.py tests/test_failpoints.py \
	  --ignore tests/tui/test_snapshots.py --ignore tests/tui/test_form_snapshots.py

$(BARE_VENV)/installed: pyproject.toml
	@test -n "$(PYTHON310)" || { echo "No Python 3.10 here: say where with PYTHON310=…"; exit 1; }
	$(PYTHON310) -m venv $(BARE_VENV)
	$(BARE_VENV)/bin/python -m pip install -q --upgrade "pip>=25.1"
	$(BARE_VENV)/bin/python -m pip install -q --no-compile -e . --group dev
	touch $@

# The torch of JetPack 6 (2.5, Python 3.10) with the newest transformers that it can serve and numpy 2; then with numpy 1.26 and
# the lowest versions of everything that pyproject.toml names. Its first installation takes three minutes and 5 GB.
OLD_PIP := $(OLD_VENV)/bin/python -m pip --disable-pip-version-check
OLD_PYTEST := $(OLD_VENV)/bin/python -m pytest -n 2 --dist loadscope -m "not slow"

test-old-torch: $(OLD_VENV)/installed
	$(OLD_PIP) install -q --no-compile -c $(OLD_VENV)/constraints.txt --upgrade --upgrade-strategy eager 'numpy>=2' -e '.[training]'
	$(OLD_PIP) freeze | grep -E '^(torch|transformers|tokenizers|huggingface_hub|safetensors|numpy)=='
	$(OLD_PYTEST) tests/sae tests/activations tests/training tests/test_torch_packages.py
	$(OLD_PIP) install -q --no-compile $(OLD_TORCH) -r $(OLD_VENV)/lowest.txt
	$(OLD_PIP) freeze | grep -E '^(torch|transformers|tokenizers|huggingface_hub|safetensors|numpy)=='
	$(OLD_PYTEST) tests/sae tests/activations tests/training/test_architectures.py tests/training/test_exact_resume.py \
	  tests/test_torch_packages.py tests/cli/test_train.py tests/cli/test_jobs.py tests/cli/test_download.py

$(OLD_VENV)/installed: pyproject.toml
	@test -n "$(PYTHON310)" || { echo "No Python 3.10 here: say where with PYTHON310=…"; exit 1; }
	$(PYTHON310) -m venv $(OLD_VENV)
	$(OLD_PIP) install -q --no-compile $(OLD_TORCH)
	$(OLD_PIP) install -q --upgrade "pip>=25.1"
	$(OLD_PIP) install -q --no-compile -e . --group dev
	@# This torch works with both numpys: the tests choose.
	$(OLD_VENV)/bin/saetui doctor --constraints | grep -v numpy > $(OLD_VENV)/constraints.txt
	sed -n '/^dependencies/,/^]/p; /^training/p' pyproject.toml | grep -oE '[a-z_]+>=[0-9.]+' | sed 's/>=/==/' > $(OLD_VENV)/lowest.txt
	touch $@

# Peers live in environments of their own: they pin what saetui must not.
peers: saelens $(PEERS)/sparsify/installed $(PEERS)/dictionary_learning/installed

saelens: $(PEERS)/saelens/installed

$(PEERS)/saelens/installed: PACKAGE = $(SAELENS)
$(PEERS)/sparsify/installed: PACKAGE = $(SPARSIFY)
$(PEERS)/dictionary_learning/installed: PACKAGE = $(DICTIONARY_LEARNING)

$(PEERS)/%/installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install -q --no-compile $(TORCH)
	echo "$(TORCH)" > $(@D)/constraints.txt
	$(@D)/bin/python -m pip install -q --no-compile -c $(@D)/constraints.txt $(PACKAGE)
	@# A torchvision that a peer brings is of another build than this torch, and breaks its import.
	$(@D)/bin/python -m pip uninstall -q -y torchvision
	touch $@

# One step of each architecture beside its matrix products and the peers; from text to SAE beside SAELens; then the memory
# estimates beside measured peaks. Over an hour on two cores.
bench: $(DEVELOPER)
	$(BIN)/python -m tests.benchmarks.step
	$(BIN)/python -m tests.benchmarks.end_to_end
	$(BIN)/python -m tests.benchmarks.memory

# FVU against L0 beside the peers, on a middle layer of two models, three seeds, with our defaults and with tuned rates. Some hours.
bench-quality: $(DEVELOPER)
	$(BIN)/python -m tests.benchmarks.quality

# The TUI in a terminal: bytes a second and processor time of every screen, key to screen, first content, a long history; then
# random bursts of keys at every text field. Some hours: most of it for BURSTS=200 at each of 12 places, with 4 pauses.
BURSTS ?= 200
bench-terminal: $(DEVELOPER)
	$(BIN)/python -m tests.benchmarks.terminal --bursts $(BURSTS)

# Short jobs and random kills of everything, for half an hour; CI does a minute.
SECONDS_OF_SOAK ?= 1800
soak: $(DEVELOPER)
	$(BIN)/python -m tests.reliability.soak --seconds $(SECONDS_OF_SOAK)

# Draws the pictures of every screen, 80×24 and 120×40, that the snapshot tests compare with.
shots: $(DEVELOPER)
	$(BIN)/python -m pytest -q tests/tui/test_snapshots.py tests/tui/test_form_snapshots.py --snapshot-update

clean:
	rm -rf $(VENV) $(BARE_VENV) $(OLD_VENV) .venv-peers build dist shots
