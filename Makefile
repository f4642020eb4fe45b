# Everything runs in the virtual environment .venv of this checkout. The stamps in it remember what
# was installed from which files, so that a second run starts at once. `make PYTHON=… demo` names
# the interpreter to make it from.
BIN := .venv/bin
SOURCES := src tests runtime strategies
.DEFAULT_GOAL := help
.PHONY: help demo install check test clean

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: .venv/installed-cpu  ## install the CPU build of vLLM and watch a race
	@$(BIN)/frontrunner demo

install: .venv/installed-cpu  ## install Frontrunner with the CPU build of vLLM

check: .venv/installed-dev  ## lint, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

# Everything runs even if something complains, so that one run shows it all; any of it fails it. Tests
# of the real engine run by themselves, since it takes all cores; the others side by side. A test
# that hangs takes pytest down with it, before it wrote its report.
JOBS := 2
REPORT := .venv/tests
test: .venv/installed-dev  ## install everything, check, run the whole test suite
	@rm -f $(REPORT)-*.xml
	@$(MAKE) --no-print-directory check || checks=failed; \
	$(BIN)/python -m pytest -m "not engine" -n $(JOBS) --dist worksteal --junit-xml=$(REPORT)-1.xml \
		|| tests=failed; \
	$(BIN)/python -m pytest -m engine --junit-xml=$(REPORT)-2.xml || engine=failed; \
	test -z "$$checks" || echo "checks: 0 passed, 1 failed (ruff or pyright; see above)"; \
	test -z "$$tests" || echo "tests without an engine: failed (see above)"; \
	test -z "$$engine" || echo "tests of the engine: failed (see above)"; \
	for part in 1 2; do \
		test -e $(REPORT)-$$part.xml || echo "tests: 0 passed, 1 failed (pytest died before it could count)"; \
	done; \
	test -z "$$checks$$tests$$engine"

clean:  ## remove caches and build output, but keep .venv
	rm -rf build dist src/*.egg-info .pytest_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed-cpu: pyproject.toml .ci/install
	@.ci/install cpu
	@touch $@

.venv/installed-dev: .venv/installed-cpu
	@.ci/install dev
	@touch $@
