# Two commands do all set-up on a fresh machine: `make up` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 4
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup up demo test test-fast test-slow test-platform lint hooks format status bench lock docs site clean
.PHONY: docker-build docker-up docker-down docker-logs docker-clean docker-test

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## Install everything into .venv from the lock file

# uv is installed first, pinned by hash like all the rest. Bytecode is compiled here, once: else the first processes, which
# start side by side, compile the same modules each for itself, and so does every process that may not write bytecode.
$(STAMP): requirements.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Atlas needs Python 3.11 or newer: make PYTHON=python3.12 setup")'
	@test -x $(BIN)/python || { echo "creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing dependencies, then compiling them (a few minutes on a first run)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@$(BIN)/uv pip sync --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .
	@touch $(STAMP)

up: setup ## Sample data to gold tables, then the Dagster UI until Ctrl-C
	@exec $(BIN)/atlas up

demo: setup ## The main job without a server: materialize everything once, print the table
	@$(BIN)/atlas demo

test: test-fast test-slow ## Run all tests but the platform's, the fast ones first

# Tests wait more than they compute, so there are more processes than most machines have cores.
test-fast: setup ## Run the tests that take seconds
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "not slow"

test-slow: setup ## Run the tests that start servers, kill processes or open a browser
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "slow and not platform"

test-platform: setup ## Start all services of the compose file without docker, and break them (minutes; takes root)
	@$(BIN)/pytest -s -m platform

lint: setup ## Run every check of .pre-commit-config.yaml on all files
	@$(BIN)/pre-commit run --all-files

hooks: setup ## Run the same checks at each commit of this checkout
	@$(BIN)/pre-commit install

format: setup ## Put the code into style
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

status: setup ## Show tables and services
	@$(BIN)/atlas status

bench: setup ## Run the benchmarks against their rivals (minutes)
	@missed=0; for script in benchmarks/bench_*.py benchmarks/pii.py benchmarks/quality.py benchmarks/backup.py benchmarks/alerts.py benchmarks/telemetry.py; do $(BIN)/python $$script || missed=1; done; exit $$missed

docs: setup ## Regenerate the generated parts of the documentation
	@$(BIN)/python docs/generate.py

site: setup ## Build the documentation as a web site in site/, and check its links
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock: setup ## Resolve the dependencies and write the lock files
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --extra azure --extra connectors --extra gcs --extra sftp --group dev pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --constraint requirements.lock --extra azure --extra connectors --extra gcs --extra sftp pyproject.toml -o docker/requirements.lock
	@echo "uv" | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header - -o requirements-uv.lock

# The platform in containers; MONITORING=1 adds what watches it. docs/deployment.md has the way from nothing.
COMPOSE := docker compose -f docker/compose.yaml $(if $(MONITORING),-f docker/compose.monitoring.yaml)

define NEEDS_DOCKER
@docker compose version >/dev/null 2>&1 || { echo "Docker with its plugin compose (2.24 or newer) is not installed here: https://docs.docker.com/engine/install" >&2; exit 1; }
@test -e docker/.env || { echo "docker/.env is missing: cp docker/env/production.env.example docker/.env, and fill it in" >&2; exit 1; }
endef

docker-build: ## Build the images of the platform, and print what they take
	$(NEEDS_DOCKER)
	@BUILD_VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) BUILD_REVISION=$$(git rev-parse HEAD) \
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
	BUILD_CREATED=$$(TZ=UTC0 git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ) $(COMPOSE) build
	@for image in $$($(COMPOSE) config --images migrate gateway | sort -u | grep -vE 'postgres|redis'); do echo "$$image:"; \
	docker run --rm --entrypoint sh --volume $(CURDIR)/docker/image-size:/image-size:ro $$image /image-size /; done

docker-up: ## Make missing secrets, then start the platform in containers
	$(NEEDS_DOCKER)
	@docker/make-secrets
	@$(COMPOSE) up --detach && $(COMPOSE) ps

docker-down: ## Stop the platform; its data stays
	$(NEEDS_DOCKER)
	@$(COMPOSE) down

docker-logs: ## Follow the platform's logs, or one service's: SERVICE=code
	$(NEEDS_DOCKER)
	@$(COMPOSE) logs --follow --tail=100 $(SERVICE)

docker-clean: ## Remove the platform with its databases, backups and landing files
	$(NEEDS_DOCKER)
	@printf 'This removes the databases, backups and landing files of the platform. Type atlas to go on: '; \
	read -r answer; test "$$answer" = atlas || { echo "nothing was removed"; exit 1; }
	@$(COMPOSE) down --volumes --remove-orphans

docker-test: setup ## Build the images without a container engine, and test them
	@docker/chroot-test

clean: ## Remove the virtual environment and all data of this checkout
	@rm -rf $(VENV) .atlas site
