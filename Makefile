# `make test` is everything that CI runs. Each part says how long it took.

PART := tools/part
.PHONY: test tools format lint features release unit doc example python rivals book bench soak dist

test: format lint features release unit doc example python rivals
	@echo "== all parts passed"

tools:
	@tools/install-missing

format:
	@tools/install-missing
	@$(PART) format cargo fmt --all --check

lint:
	@$(PART) lint cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

# Each feature by itself, so that none needs another one silently.
features:
	@$(PART) "features: none" cargo check --locked -q -p rate_limited -p rate_limited_sim
	@$(PART) "features: the journal alone" cargo check --locked -q -p rate_limited --features journal
	@$(PART) "features: the layer alone" cargo check --locked -q -p rate_limited --features tower
	@$(PART) "features: the stream alone" cargo check --locked -q -p rate_limited --features stream
	@$(PART) "features: logs alone" cargo check --locked -q -p rate_limited --features tracing
	@$(PART) "features: the calendar alone" cargo check --locked -q -p rate_limited --features calendar
	@$(PART) "features: the report alone" cargo check --locked -q -p rate_limited --features report
	@$(PART) "features: no simulator in the command" cargo check --locked -q -p rate_limited_cli --no-default-features

# That all places agree on the version, and the tools that releases are made with.
release:
	@$(PART) "the version, everywhere" tools/release --check
	@$(PART) "the tools for releases" python3 -m unittest discover -q -s tools/tests

# Those that start processes wait more than they work: four at a time.
unit:
	@tools/fetch-nginx
	@$(PART) "unit, property, simulation and process tests" \
		env RUST_TEST_THREADS=4 cargo test --locked --workspace --all-features

doc:
	@$(PART) "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked -q --workspace --all-features --no-deps

# The first command of the README, as a newcomer types it but for the release build; the links and the commands of README
# and docs; and the pictures of docs/concepts, which are drawn from runs.
example:
	@$(PART) "the example of the README" tools/check-example
	@$(PART) "links and commands of the documentation" tools/check-docs
	@$(PART) "pictures of the documentation" tools/pictures --check

# The Python package, installed as a user would, in a fresh virtual environment.
python:
	@$(PART) "the Python package" tools/check-python

# The comparison with other tools, in short: that it runs, not what it measures.
rivals:
	@$(PART) "the comparison, in short" benches/check

# The documentation as a book, into target/book; needs mdBook. Not part of the tests.
book:
	tools/book

# The figures of the README and of docs/benchmarks.md. Not part of the tests: machines differ. About an hour and a quarter on two
# idle cores; each part ends at its bound. It takes 10 GB of disk for a while.
bench:
	@benches/all

# All that is published, in dist/, checked and tried. CONTRIBUTING.md has the steps around it.
dist:
	@tools/install-missing
	@tools/dist

# The long versions of what `make test` proves in short: about an hour.
soak:
	RATE_LIMITED_SOAK=1 cargo test --locked -p rate_limited_store -- --nocapture
	RATE_LIMITED_SOAK=1 cargo test --locked -p rate_limited_cli -- --nocapture
	RATE_LIMITED_SOAK=1 cargo test --locked -p rate_limited --all-features
	RATE_LIMITED_KILLS=3000 RATE_LIMITED_SIGINT_POINTS=200 tools/check-python
	tools/fuzz 60
