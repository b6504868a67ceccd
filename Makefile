# `make` alone lists the targets. Needed: Node >= 20.19, npm, make, curl. Everything else is installed by these targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:

TSC := node node_modules/typescript/bin/tsc
N ?= 20000
J ?= 25
SECONDS ?= 60
MINUTES ?= 10
INSTALLED := node_modules/.installed
GENERATED := src/mesh/generated/.made

.PHONY: help build check test test-all demo run certs stress fuzz chaos soak bench bench-peers bench-hello clean

help: ## list the targets
	@node scripts/list-targets.mjs Makefile

# Not `npm ci`: it insists on lock entries for every platform's optional binaries, which not every registry carries.
$(INSTALLED): package.json package-lock.json
	npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@echo installed > $@

# The options must be those with which src/mesh/definition.ts loads the file.
$(GENERATED): proto/mesh.proto $(INSTALLED)
	node node_modules/@grpc/proto-loader/build/bin/proto-loader-gen-types.js --grpcLib=@grpc/grpc-js \
	  --outDir=src/mesh/generated --longs=String --enums=String --oneofs --defaults --importFileExtension=.js proto/mesh.proto
	@echo made > $@

build: $(GENERATED) ## install what is missing, generate the mesh types, compile to dist/
	@$(TSC) -p .

check: build ## types, lint and format, import floors, dead code, package, generated pages of docs/
	node node_modules/@biomejs/biome/bin/biome check .
	node scripts/check-floors.mjs
	node node_modules/knip/bin/knip.js
	node node_modules/publint/src/cli.js --strict
	node dist/scripts/settings-reference.js --check
	node dist/scripts/reasons-reference.js --check

test: build certs ## all quick tests (under 4 minutes)
	node dist/scripts/run-tests.js quick

test-all: build certs ## all tests, also the long ones, on Node 20 and 24 (under 30 minutes)
	node dist/scripts/run-tests.js all

demo: build certs ## a request through the whole path: internal server, both proxies, curl; then everything is stopped
	@node dist/examples/demo.js

run: build certs ## the same three processes, kept up until Ctrl-C
	@node dist/examples/demo.js --stay

certs: build ## certificates for development in certs/ (what is there and valid is kept)
	@node dist/scripts/make-certs.js

stress: build certs ## N requests through the pair, J at once: make stress N=20000 J=25
	@node dist/examples/demo.js --quiet -- sh examples/stress.sh $(N) $(J)

fuzz: build ## mutated ClientHellos for SECONDS, from SEED: make fuzz SECONDS=60
	node dist/test/fuzz/hello.js --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

chaos: build ## faults at random for SECONDS under checked transfers: make chaos SECONDS=60 SEED=1 ENGINE=epoll (docs/chaos.md)
	@node dist/test/chaos/main.js --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(if $(ENGINE),--engine $(ENGINE))

soak: build ## load for MINUTES, then everything must be as before: make soak MINUTES=10 ENGINE=node (docs/chaos.md)
	@node dist/test/soak/main.js --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(ENGINE),--engine $(ENGINE))

bench: build ## our pair and the peers side by side: make bench QUICK=1, ONLY=b,c ROUNDS=3, PROFILE=1 (bench/README.md)
	@ONLY=$(ONLY) ROUNDS=$(ROUNDS) QUICK=$(QUICK) PROFILE=$(PROFILE) ENGINES=$(ENGINES) AGAINST=$(AGAINST) node dist/bench/main.js

bench-peers: ## build or install the peers of the bench into bench/.peers
	@sh bench/install-peers.sh

bench-hello: build ## what reading a ClientHello costs
	node dist/bench/hello.js

clean: ## remove everything that was built (certificates stay)
	rm -rf dist src/mesh/generated run coverage .cache
