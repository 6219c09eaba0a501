# Everything starts here. ARGS passes arguments on: make up ARGS="--port 7777"; make test ARGS="-k watch".
# NO_SYSTEM=1 keeps the system's package manager out of it; PYTHON=… chooses the interpreter of a new .venv.

.PHONY: up test check e2e long soak bench doctor clean help
export NO_SYSTEM PYTHON PEERS

help: ## show this
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /  make \1\t/' | expand -t 16

up: ## set up what is missing, then start the hive
	@scripts/setup run
	@exec .venv/bin/hyperhive up $(ARGS)

test: ## all checks and all tests
	@scripts/setup test
	@exec .venv/bin/python scripts/check.py --all $(ARGS)

check: ## the quick part: lint, format, types, imports, unit tests
	@scripts/setup test
	@exec .venv/bin/python scripts/check.py $(ARGS)

e2e: ## the tests with real Claude Code, containers and a browser only
	@scripts/setup test
	@exec .venv/bin/pytest -m "e2e and not long" $(ARGS)

long: ## the tests that take many minutes: 100 rounds of kills, wide fuzzing
	@scripts/setup test
	@exec .venv/bin/pytest -m long $(ARGS)

soak: ## an hour of a hive's life in compressed time; ARGS="--minutes 5" for a short one
	@scripts/setup test
	@exec .venv/bin/python -m soak $(ARGS)

bench: ## the measurements, as ratios, also to bench/results.json; PEERS=1 installs what it compares with
	@scripts/setup test
	@exec .venv/bin/python -m bench $(ARGS)

doctor: ## what works on this machine
	@scripts/setup run
	@exec .venv/bin/hyperhive doctor $(ARGS)

clean: ## remove what was installed and cached in this folder; never a hive's home
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +
	@find tests -name node_modules -prune -exec rm -rf {} +
