# Two commands on a bare Debian 12, as root: make demo, make test.

CARGO ?= cargo
BINARIES = $(CARGO) build --locked --workspace --bins

.PHONY: help demo test bench lint setup clean

help:
	@echo 'make demo         record, archive, mount, list, play and verify a sample card'
	@echo 'make demo KEEP=1  the same, and leave it mounted until Ctrl-C'
	@echo 'make test         run every test'
	@echo 'make bench        measure, each figure beside a peer'
	@echo 'make lint         formatting, clippy, licences, shell scripts'

# Installs what is missing; does nothing where nothing is.
setup:
	@sh tests/setup

demo: setup
	$(BINARIES) --release
	KEEP=$(KEEP) target/release/demo

# The end-to-end tests start the programs that stand beside them.
test: setup
	$(BINARIES)
	@bash tests/run

bench: setup
	@sh tests/setup bench
	$(BINARIES) --release
	target/release/bench-capture
	target/release/bench-archive
	target/release/bench-fs

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@# What other systems than this one would build is looked at too.
	$(CARGO) fetch --locked
	$(CARGO) deny --locked --offline check bans licenses sources
	shellcheck tests/setup tests/run .ci/run .ci/lint-tools tests/rig/vm-run tests/rig/make-initramfs tests/rig/guest/*.sh

clean:
	$(CARGO) clean
