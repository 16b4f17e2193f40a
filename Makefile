# One command per action. Each sets up what it needs by itself, in .venv; nothing is installed outside.
#
#   make serve PYTHON=/usr/bin/python3.12     another Python
#   make test ARGS="-k mime -x"               arguments for the command behind the target
#   HAMLET_PORT=9000 make serve               settings pass through the environment

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help serve test lint format train report bench image corpora clean

# Mail to train on and to test with; tests that need it are skipped where it is not there.
HAMLET_CORPORA ?= ../shared/corpora

VENV ?= .venv
BIN := $(VENV)/bin
IMAGE ?= hamlet
# The bundled model, which models/active names.
MODEL ?= models/$(shell cat models/active 2>/dev/null)
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(VENV)/service.installed ## start the service on 127.0.0.1:8000
	@echo "== serving on http://$${HAMLET_HOST:-127.0.0.1}:$${HAMLET_PORT:-8000}, Ctrl-C ends it"
	@exec $(BIN)/python -m service $(ARGS)

test: export HAMLET_CORPORA := $(HAMLET_CORPORA)
test: $(VENV)/dev.installed ## run the tests
	@echo "== testing"
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/dev.installed ## style, types and import contracts
	@echo "== ruff: style"
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@echo "== mypy: types"
	@$(BIN)/mypy
	@echo "== import-linter: who may import whom"
	@$(BIN)/lint-imports

format: $(VENV)/dev.installed ## bring the code into shape
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

train: $(VENV)/training.installed corpora ## train on HAMLET_CORPORA, into runs/default
	@echo "== training on $(HAMLET_CORPORA), into runs/default"
	@$(BIN)/python -m training fit --preset default --data "$(HAMLET_CORPORA)" --out runs/default $(ARGS)

report: $(VENV)/training.installed corpora ## measure MODEL on the test part of HAMLET_CORPORA: reports/bundled/report.html
	@echo "== measuring $(MODEL) on $(HAMLET_CORPORA)"
	@$(BIN)/python -m training evaluate --model "$(MODEL)" --data "$(HAMLET_CORPORA)" --part test --studies \
	    --out reports/bundled $(ARGS)

bench: export HAMLET_CORPORA := $(HAMLET_CORPORA)
bench: $(VENV)/dev.installed corpora ## measure speed and memory, beside others: docs/benchmarks.md
	@echo "== measuring"
	@$(BIN)/python -m tests.benchmarks $(ARGS)

image: ## build the container image of the service, with docker
	docker build --build-arg VERSION=$(VERSION) --tag $(IMAGE):$(VERSION) --tag $(IMAGE):latest $(ARGS) .

corpora: ## check that the mail is where HAMLET_CORPORA says
	@test -d "$(HAMLET_CORPORA)" || { echo "No folder at $(HAMLET_CORPORA): set HAMLET_CORPORA to the folder with the mail." >&2; exit 1; }

clean: ## remove what make has made; runs stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find classifier service training tests -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up ------------------------------------------------------------------------------------------------

PIP := $(BIN)/python -m pip --disable-pip-version-check

# One venv for all; each extra is installed when the first target asks for it, and again when the pins change.
$(VENV)/%.installed: pyproject.toml constraints.txt torch-cpu.txt $(VENV)/made
	@echo "== installing torch into $(VENV) (the CPU build, about 200 MB)"
	@# Few retries: an index out of reach would otherwise cost 8 s, a silent one minutes.
	@$(PIP) install --no-deps --retries 1 --timeout 15 -c constraints.txt -r torch-cpu.txt
	@echo "== installing what else '$*' needs into $(VENV) (a minute or so)"
	@$(PIP) install --quiet -c constraints.txt --editable '.[$*]'
	@touch $@

# A venv that works is kept. For a new one: the first Python that is new enough, 3.11 before the others, as it
# is what was tested.
$(VENV)/made:
	@new_enough='import sys; sys.exit(sys.version_info < (3, 11))'; \
	if $(BIN)/python -c "$$new_enough" >/dev/null 2>&1 && $(PIP) --version >/dev/null 2>&1; then \
	    echo "== keeping $(VENV), $$($(BIN)/python --version)"; touch $@; exit 0; \
	fi; \
	for python in $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3 python); do \
	    if "$$python" -c "$$new_enough" >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "Need Python 3.11 or newer$(if $(PYTHON), and $(PYTHON) is not)." \
	        "Install it, or say where it is: make PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	if ! "$$found" -c 'import ensurepip, venv' >/dev/null 2>&1; then \
	    echo "$$found lacks the venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	echo "== making $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv --clear $(VENV) && touch $@
