# `just` alone lists these. Nothing here does more than it says.

_default:
    @just --list --unsorted

# Build the binary
build:
    cargo build

# Run all tests
test:
    cargo test --workspace

# Run all tests, and every case of the kill and fault matrices; `test` takes a sample of these
test-all:
    WSCHAT_TEST_ALL=1 cargo test --workspace

# Bring the chat app up on the local cloud
up *ARGS:
    cargo run --quiet -- up --local {{ARGS}}

# Chat: one client, on stdin and stdout
chat:
    npx --yes wscat --connect "$(cargo run --quiet -- url --local)"

# Take the chat app down
down:
    cargo run --quiet -- down --local

# Format, lint, and look at the walls
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- --deny warnings
    .ci/walls

# Make the stripped binary, its archive and the npm packages, in target/dist
dist *TARGET:
    packaging/dist {{TARGET}}

# All that is checked before a change is taken in
ci:
    .ci/run
