# hexdicom: two commands do everything. `make demo` shows it working; `make test` proves it.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# A CPU build of torch is enough; on a machine with an NVIDIA GPU the same version brings CUDA.
TORCH  ?= torch==2.13.0

.DEFAULT_GOAL := help
# Folder or file for `make demo`; a beating heart is made where none is given.
SERIES ?=
export HEXDICOM_DEMO_SERIES := $(SERIES)

.PHONY: help setup demo faults test check clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: $(VENV)/.ready ## virtual environment with hexdicom in it

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "hexdicom needs Python 3.11 or later; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "No virtual environment could be made. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "installing hexdicom into $(VENV) (some minutes the first time)"
	@quiet=$$([ -t 2 ] || echo --quiet); $(BIN)/python -m pip install $$quiet --upgrade pip \
	  && $(BIN)/python -m pip install $$quiet '$(TORCH)' && $(BIN)/python -m pip install $$quiet --editable '.[dev]'
	@touch $@

demo: $(VENV)/.ready ## send, archive, restore and prove a series; SERIES=/a/folder takes yours
	@if [ -n "$$HEXDICOM_DEMO_SERIES" ]; then exec $(BIN)/hexdicom demo --out demo -- "$$HEXDICOM_DEMO_SERIES"; else exec $(BIN)/hexdicom demo --out demo; fi

check: $(VENV)/.ready ## style, types and import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check hexdicom services tests
	@$(BIN)/mypy
	@$(BIN)/lint-imports

faults: $(VENV)/.ready ## kill, fill, tear and damage a node at every step, and count what is lost (as root: with small disks)
	@$(BIN)/python -m pytest tests/faults -q --numprocesses 0

test: $(VENV)/.ready ## everything that is checked: style, types, import contracts, tests
	@if $(MAKE) --no-print-directory check && $(BIN)/python -m pytest --numprocesses 2 --dist worksteal; \
	then echo "make test: everything passed"; else echo "make test: FAILED, see above"; exit 1; fi

clean: ## remove the virtual environment and everything that was made
	@rm -rf $(VENV) demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
