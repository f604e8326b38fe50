# make setup | demo | test | check | lint | image | lock | schema | bench-quota | bench-latency
PYTHON ?= python3
ARGS ?= -n auto
export UV_PYTHON_DOWNLOADS := never
BIN := .venv/bin
STAMP := .venv/.installed
COMPILE := $(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
           --python-version 3.11 pyproject.toml

.PHONY: kill-matrix soak chaos-cluster bench bench-compare bench-journal bench-growth bench-sizing
.PHONY: setup demo test check lint lock schema browser image bench-quota bench-latency bench-telegram bench-discord bench-widget types-widget

setup: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## sandbox, gateway and a page to talk from: no keys, no network
	$(BIN)/sensay-gateway demo

browser:  # Chromium for the browser tests; as root on Debian it is installed, elsewhere the tests say loudly that they skip
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
	  chromium fonts-noto-color-emoji >/dev/null; } || \
	  echo "*** no Chromium here: the browser tests will be skipped ***"

test: setup browser  ## every test
	$(BIN)/python -m pytest $(ARGS)

lint: setup  ## everything of the gate but the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@mkdir -p build
	@for kind in "" -dev -image; do cp requirements$$kind.lock build/fresh$$kind.lock; done
	$(COMPILE) -o build/fresh.lock
	$(COMPILE) --group dev -o build/fresh-dev.lock
	$(filter-out pyproject.toml,$(COMPILE)) --group image -o build/fresh-image.lock
	@for kind in "" -dev -image; do diff -u requirements$$kind.lock build/fresh$$kind.lock || \
	  { echo "requirements$$kind.lock is stale: make lock"; exit 1; }; done

check: lint test  ## the gate

image: setup  ## build the image, run it locked down, judge it and the manifests: as root on Debian, else it says why not
	.ci/image

lock: setup  ## resolve the dependencies anew
	$(COMPILE) --upgrade -o requirements.lock
	$(COMPILE) --upgrade --group dev -o requirements-dev.lock
	$(filter-out pyproject.toml,$(COMPILE)) --upgrade --group image -o requirements-image.lock

schema: setup  ## the configuration's JSON Schema for editors
	$(BIN)/sensay-gateway config schema > config/schema.json

bench-quota: setup  ## a simulated day of quota and fairness
	$(BIN)/python bench/quota.py
	$(BIN)/python bench/quota_process.py

kill-matrix: setup  ## kill the process at every step on every channel; writes the table of docs/discussion/delivery.md
	$(BIN)/python -m tests.e2e.kill_matrix

soak: setup  ## SOAK_MESSAGES (10,000) on all channels with faults and SIGKILLs, counted from the users' side
	$(BIN)/python -m tests.e2e.soak

bench: setup  ## gateway, floors and the afternoon's script side by side: three minutes, on an otherwise quiet machine
	@mkdir -p build
	$(BIN)/python bench/throughput.py --json build/bench.json

bench-compare: setup  ## REV=…: an earlier revision beside this tree
	$(BIN)/python bench/compare.py $(REV)

chaos-cluster: setup  ## CHAOS_KILLS (10) of the process that holds most, of three with 50 bots; then all are replaced: five minutes
	$(BIN)/python -m tests.e2e.cluster_chaos

bench-journal: setup  ## turns per second through SQLite and Valkey, alone and with 64 at once, on slow disks too
	$(BIN)/python bench/journal.py

bench-growth: setup  ## CPU a turn from 1 to 4 pods and from 50 to 2,000 bots, with its picture: four to five minutes
	$(BIN)/python bench/growth.py

bench-sizing: setup  ## memory and idle CPU by number and kind of bots, bytes a message: three minutes
	$(BIN)/python bench/sizing.py

bench-latency: setup  ## added latency by channel, memory and idle CPU: about 80 seconds, on an otherwise quiet machine
	$(BIN)/python bench/latency.py

bench-widget: setup browser  ## what the widget costs a page on a slow phone, and 2,000 idle streams the gateway: a minute
	$(BIN)/python bench/widget.py

types-widget:  ## type-check the widget; fetches TypeScript from npm, so it is no part of the gate
	npx --yes --package typescript@5 tsc --noEmit --allowJs --checkJs --strict --target es2022 \
	  --lib es2023,dom,dom.iterable adapters/web/static/widget.js

bench-telegram: setup  ## 200 Telegram bots in one process beside the library's own way: about six minutes
	$(BIN)/python bench/telegram_bots.py

bench-discord: setup  ## 100 Discord bots in one process beside as many stock ones: about a minute
	$(BIN)/python bench/discord_bots.py
