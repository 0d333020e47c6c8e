# Names for scripts/; everything is done there. Arguments: make demo ARGS=--once
.DEFAULT_GOAL := help
.PHONY: help demo up down status logs env test chaos bench lint fmt sqlx-prepare images verify fire-drill backup restore fuzz-api

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { gsub(/\$$\$$/, "$$", $$2); printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: ## install what is missing, start everything, sync a real folder; ARGS=--once ends by itself
	@scripts/demo $(ARGS)

up: ## start servers, emulator and services in the background; PORT_OFFSET=n moves all ports
	@scripts/up

down: ## end every process that this checkout started; data stays in .run
	@scripts/down

status: ## one line per process; exit code 0 when all are ready
	@scripts/status

logs: ## follow the logs; ARGS="api sync-worker" picks, ARGS=--no-follow prints and ends
	@scripts/logs $(ARGS)

env: ## addresses as shell exports: eval "$$(make -s env)"
	@scripts/env

test: ## everything: lint, unit, property, integration, end to end; ARGS="-p store" runs less
	@scripts/test $(ARGS)

chaos: ## fault campaigns: jobs (CHAOS_JOBS_SEEDS=500), documents (CHAOS_SEEDS=300); CHAOS_SEED=s repeats
	@scripts/chaos

bench: ## all benchmarks, each with its ratio to a limit measured in the same run
	@scripts/bench $(ARGS)

lint: ## format check, clippy, shellcheck, dependency policy
	@scripts/lint

fmt: ## format the code
	@cargo fmt --all

sqlx-prepare: ## regenerate .sqlx after changing a query or a migration; ARGS=--check compares
	@scripts/sqlx-prepare $(ARGS)

backup: ## encrypted, verified backup of the database (docs/runbooks/backup.md)
	@scripts/backup $(ARGS)

restore: ## restore a backup and prove it; ARGS=--drill into a database that is dropped again
	@scripts/restore $(ARGS)

images: ## container images with buildah or docker: services, the same for Compose, emulator
	@scripts/images

verify: ## lint, manifests, compose, rules, routes, dashboards, runbooks; ARGS="rules routes" picks steps
	@scripts/verify $(ARGS)

fire-drill: ## break the provider of a running stack and watch the alerts arrive and end (5 minutes)
	@scripts/fire-drill

fuzz-api: ## judge the API of a running stack by its own description, with schemathesis (RATE_LIMIT_PER_MINUTE=1000000 make up)
	@scripts/fuzz-api $(ARGS)
