# `make help` says what there is. Each target sets up what it needs (scripts/setup) and says so.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
RELEASE := $(TARGET_DIR)/release/portillon
# cargo may have been installed a minute ago, in a shell that does not know it yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

section = @printf '\n==== %s\n' "$(1)"

# The sections of a run are read one after the other.
.NOTPARALLEL:

.PHONY: help
help: ## Show this help
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

.PHONY: demo
demo: ## See an agent log in and a legacy application receive who they are
	@scripts/setup build
	@echo "building portillon (some five minutes the first time)"
	@$(CARGO) build --locked
	@$(CARGO) run -q --locked -- demo

.PHONY: test
test: setup-test lint unit doc e2e systemd ## Everything that must hold, as CI runs it
	$(call section,everything holds)

.PHONY: setup-test
setup-test:
	$(call section,set-up)
	@scripts/setup test

.PHONY: lint
lint: ## Formatting and clippy, warnings are errors
	$(call section,formatting)
	$(CARGO) fmt --all --check
	$(call section,clippy)
	$(CARGO) clippy --all-targets --locked -- -D warnings

.PHONY: unit
unit: ## The Rust tests
	$(call section,Rust tests)
	$(CARGO) test --locked

.PHONY: doc
doc: ## The API documentation, warnings are errors
	$(call section,documentation)
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked

.PHONY: e2e
e2e: ## End to end: a real provider, a real application, a real browser
	$(call section,end to end)
	@scripts/setup test
	$(CARGO) build --locked
	@cd tests/e2e && npm test --silent

.PHONY: systemd
systemd: ## The unit's sandbox, scored by systemd
	$(call section,systemd)
	@tests/systemd.sh

.PHONY: bench
bench: ## Measure beside nginx and bare pingora; writes bench/RESULTS.md (the release build takes minutes)
	@scripts/setup bench
	@echo "building for release (several minutes the first time)"
	$(CARGO) build --release --locked --bin portillon --examples
	@bench/run

$(RELEASE): Cargo.toml Cargo.lock $(shell find src -type f)
	@scripts/setup build
	@echo "building for release (several minutes the first time)"
	$(CARGO) build --release --locked --bin portillon

.PHONY: release
release: $(RELEASE) ## Build what `make install` installs

.PHONY: install
install: $(RELEASE) ## Install the binary, the unit and the example (PREFIX, DESTDIR)
	install -D -m 0755 $(RELEASE) $(DESTDIR)$(PREFIX)/bin/portillon
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,/usr/bin/portillon,$(PREFIX)/bin/portillon,; s,/usr/share,$(PREFIX)/share,' systemd/portillon.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/portillon.service
	chmod 0644 $(DESTDIR)$(PREFIX)/lib/systemd/system/portillon.service
	install -D -m 0644 systemd/portillon.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/portillon.conf
	install -D -m 0644 systemd/portillon.socket $(DESTDIR)$(PREFIX)/share/doc/portillon/portillon.socket
	install -D -m 0644 config.example.toml $(DESTDIR)$(PREFIX)/share/doc/portillon/config.example.toml
	install -m 0644 docs/*.md LICENSE CHANGELOG.md $(DESTDIR)$(PREFIX)/share/doc/portillon/
	install -d $(DESTDIR)$(PREFIX)/share/doc/portillon/verify
	install -m 0644 docs/verify/* $(DESTDIR)$(PREFIX)/share/doc/portillon/verify/
	@echo "Next: the account, the secret and the configuration: $(PREFIX)/share/doc/portillon/operations.md"
