#!/usr/bin/env bash
# Runs experiments and makes their results the committed reference: results/NAME/reference/.
#
#   scripts/reproduce.sh              every experiment, in order
#   scripts/reproduce.sh quickstart   one of them
#
# quic-vs-tcp needs root: each member's TCP has a network namespace of its own.
#
# A reference has no histories (they are checked, and then they are large) and replaces the one
# before only when every trial is valid.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    names=(quickstart lan commit-path wan-hops azure-13 jitter long-link quic-vs-tcp paper-fig-n8
        failover election-timeout thrifty-follower duel registers)
fi
cargo build --locked --release
for name in "${names[@]}"; do
    live=()                                             # options that only live trials heed
    case "$name" in
        # prediction, simulation and measurement side by side
        quickstart | wan-hops | failover | election-timeout | thrifty-follower) backend=both ;;
        paper-* | jitter | duel | registers) backend=sim ;;         # what is asked is a question to the network alone
        *) backend=live ;;
    esac
    # Sixteen processes are too many for a small machine; sixteen threads are not.
    if [ "$name" = azure-13 ]; then live=(--launcher in-process); fi
    folder="results/$name"
    new="$folder/new-reference"
    rm -rf "$new"
    target/release/flexpaxos run "experiments/$name.toml" \
        --backend "$backend" ${live[@]+"${live[@]}"} --no-report --out "$new"
    rm -rf "$new/histories"
    # A reference is small: what figures draw of many short intervals is read compressed as well.
    find "$new" -name '*.csv' -size +150k -exec gzip -9n {} +
    rm -rf "$folder/reference"
    mv "$new" "$folder/reference"
done
