# Every command of the project. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Unless the caller says otherwise, the service keeps everything in one file below var/.
export DATABASE_URL ?= sqlite:var/concert.db

.PHONY: help run run-full services-up services-down test test-embedded ci bench bench-quick bench-smoke schemathesis fuzz fmt fmt-check lint domain-gate deny docs docs-check docs-update up down docker-check clean-data

help: ## list these commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

run: ## build the release binary and serve the API with demo data (no server, no Docker, no root)
	@cargo build --release --locked -p concert-app --bin concert
	@mkdir -p var
	@SEED_DEMO=$${SEED_DEMO:-true} exec target/release/concert serve

run-full: ## the same on MySQL, Redis and Kafka, which `make services-up` has started
	@scripts/services status >/dev/null 2>&1 || { echo "run-full: MySQL, Redis or Kafka is down; run: make services-up" >&2; exit 1; }
	@cargo build --release --locked -p concert-app --bin concert
	@source var/services/env && SEED_DEMO=$${SEED_DEMO:-true} exec target/release/concert serve

services-up: ## start MySQL, Redis and Kafka without Docker (installed once), print and save their URLs
	@scripts/services up

services-down: ## stop them; data stays below var/services
	@scripts/services down

test: ## all tests, on every engine, with servers of their own that are gone afterwards
	@scripts/services run -- scripts/test.sh

test-embedded: ## the tests that need no server
	@scripts/test.sh embedded

ci: fmt-check lint domain-gate deny docker-check test schemathesis bench-smoke docs docs-check ## what .ci/run calls: every gate and every test
	@echo "ci: all gates passed"

bench: ## measure everything on MySQL, Redis and Kafka for some 20 minutes, and make docs/BENCHMARKS.md
	cargo build --release --locked -p concert-app --bin concert
	@scripts/services run -- scripts/bench.sh full

bench-quick: ## the same in a few minutes; the page in target/bench is not the real one
	cargo build --release --locked -p concert-app --bin concert
	@scripts/services run -- scripts/bench.sh quick

bench-smoke: ## every benchmark for a moment, on whichever binary is built, to see that it works
	@[ -x target/debug/concert ] || [ -x target/release/concert ] || cargo build --locked -p concert-app --bin concert
	@scripts/services run -- scripts/bench.sh smoke

schemathesis: ## hard input made from the OpenAPI document, on the embedded engine and on MySQL, Redis and Kafka (two minutes)
	@scripts/schemathesis.sh embedded
	@scripts/services run -- scripts/schemathesis.sh full

fuzz: ## every fuzz target for FUZZ_SECONDS (30); needs the nightly compiler (fuzz/README.md)
	@scripts/fuzz.sh

fmt: ## format all code
	cargo fmt --all

fmt-check: ## fail if code is not formatted
	cargo fmt --all --check

lint: ## clippy on all targets, warnings are errors
	cargo clippy --workspace --all-targets --locked -- -D warnings

domain-gate: ## fail if the domain crate reaches for a dependency, a clock, random numbers or IO
	scripts/domain-gate.sh

deny: ## licences, duplicate crates, sources, yanked crates, advisories
	scripts/deny.sh

docs: ## rustdoc of our crates, warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

docs-check: ## fail if made pages are out of date, or pages and README say what is not so
	scripts/docs.sh check
	scripts/readme-walk.sh check

docs-update: ## write docs/API.md and docs/ERD.md anew
	scripts/docs.sh update

up: ## MySQL, Redis, Kafka and three instances of the service in Docker Compose (docker/README.md)
	@docker compose --file docker/compose.yml up --build --detach --wait

down: ## stop what `make up` started; its data stays in Docker's volumes
	@docker compose --file docker/compose.yml down

docker-check: ## fail if the containers and the tests would not run the same versions
	docker/check.sh

clean-data: ## remove the embedded engine's files below var/ (all data!)
	rm -f var/concert.db{,-wal,-shm} var/embedded.db{,-wal,-shm}
