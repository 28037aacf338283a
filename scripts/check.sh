#!/usr/bin/env bash
# Everything that must hold, exactly as CI runs it. Writes nothing outside target/; R, and in CI Chromium, is
# installed if it is missing and this is root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

step() {
    printf '\n== %s\n' "$*" >&2
    "$@"
}

need() {
    if ! cargo "$1" --version >/dev/null 2>&1; then
        printf 'check: `cargo %s` is missing; install it with `rustup component add %s`\n' "$1" "$2" >&2
        exit 1
    fi
}

if ! command -v cargo >/dev/null; then
    printf 'check: cargo is missing; install Rust from https://rustup.rs\n' >&2
    exit 1
fi
need fmt rustfmt
need clippy clippy

# pandas, matplotlib, R and Chromium are installed meanwhile.
mkdir -p target
{ scripts/check_loaders.sh --install && scripts/check_page.py --install; } > target/install.log 2>&1 &
install=$!

# Nothing is built twice in a fresh clone, so what the next build could use again would only take time; so would the
# lines of a backtrace, as a panic names its own.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0
# The lock file is part of what is checked: a stale one fails instead of being rewritten.
step cargo fmt --check
step cargo clippy --locked --all-targets -- -D warnings
# The library, the binary, the integration tests and the examples in the documentation.
# Live tests mostly wait: with two of them for each core the others go on meanwhile.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(getconf _NPROCESSORS_ONLN) * 2))}"
step cargo test --locked
# What the tests ran, for all that follows: a build of the program alone has other features and takes minutes.
export FLEXPAXOS="$PWD/target/debug/flexpaxos"
wait "$install" || { cat target/install.log >&2; exit 1; }
# Members on throw-away ssh hosts, and sweeps on a throw-away Slurm cluster, at once; without root or namespaces
# they are skipped, with the reason.
tests/cluster/slurm.sh "$FLEXPAXOS" > target/slurm.log 2>&1 &
slurm=$!
step tests/cluster/run.sh "$FLEXPAXOS"
wait "$slurm" || { cat target/slurm.log >&2; exit 1; }
tail -1 target/slurm.log >&2
# Every mutant of the list still has its place; no mutant is built or run.
step scripts/mutants.py --list > target/mutants.log
# Other languages read the results as they were written; a browser uses a page, and matplotlib draws the exported
# figures. None of them builds anything, so it is done beside what follows.
{ scripts/check_loaders.sh && scripts/check_pages.sh; } > target/readers.log 2>&1 &
readers=$!
# Each benchmark is run once, in the profile of the tests, so that it stays true.
step cargo test --locked --bench '*'
RUSTDOCFLAGS="-D warnings" step cargo doc --locked --no-deps --lib
wait "$readers" || { cat target/readers.log >&2; exit 1; }
tail -1 target/readers.log >&2

printf '\nall checks passed\n' >&2
