#!/usr/bin/env bash
# Runs experiments and makes their results the committed reference: results/NAME/reference/.
#
#   scripts/reproduce.sh              every experiment, in order, then the figures
#   scripts/reproduce.sh quickstart   one of them
#   scripts/reproduce.sh --list       what each takes: time, disk, memory, and the claim that rests on it
#   scripts/reproduce.sh --figures    only the figure of the README and the pages of all references
#
# It can be run twice, and goes on where it was cut short: a run that was interrupted is resumed in its folder.
# quic-vs-tcp needs root: each member's TCP has a network namespace of its own. Live experiments need a machine that
# does nothing else. A reference has no histories (they are checked, and then they are large) and replaces the one
# before only when every trial is valid.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Name, backend, minutes on two cores, disk in MB while it runs (with histories), memory in MB of all members.
costs() {
    cat <<'TABLE'
quickstart        both   3    10   320  phase 1 once, and a smaller phase-2 quorum
lan               live   3    10   160  the quorum choice inside one data centre
commit-path       live   4   350   820  what this machine and this code add
wan-load          live   4   150   750  a sustained load over five regions
wan-hops          both   8    10   290  the distance from the floor for each hop
azure-13          live  16    10   700  thirteen regions
jitter            sim    1    10   100  delays that vary
long-link         live   2   350   600  a long link limits nothing
quic-vs-tcp       live  20    10   250  the transport, when packets are lost
paper-fig-n8      sim    1   400   200  the setting of the published evaluation
failover          both   8    10   600  commit against takeover
election-timeout  both  14    10   440  the time-out and phase 1
thrifty-follower  both   2    10   210  a follower that is asked alone is lost
duel              sim    1     1   100  two proposers race
registers         sim    1     5   100  registers without a log
tradeoff-5        sim    1    10   100  every family over five regions, commit and takeover
tradeoff-9-zones  sim    1    10   100  three regions of three: local commits or the loss of a region
tradeoff-13-azure sim    1    10   100  every family over thirteen regions
even-6            sim    1    10   100  six replicas: 4/4, 4/3, and five with an observer
witness           sim    1    10   100  witnesses near and far
TABLE
}

# The backend of an experiment.
backend_of() { costs | awk -v name="$1" '$1 == name { print $2 }'; }

figures() {
    target/release/flexpaxos report results/failover/reference --figure trade-off -o docs/trade-off.svg
    mkdir -p target/pages
    for folder in results/*/reference; do
        name="$(basename "$(dirname "$folder")")"
        target/release/flexpaxos report "$folder" -o "target/pages/$name.html" ||
            printf 'reproduce: no page of %s\n' "$name" >&2
    done
    printf 'reproduce: pages are in target/pages, the figure of the README in docs/trade-off.svg\n' >&2
}

case "${1:-}" in
    --list)
        printf '%-17s %-8s %7s %8s %10s  %s\n' experiment backend minutes 'disk MB' 'memory MB' claim
        costs | while read -r name backend minutes disk memory claim; do
            printf '%-17s %-8s %7s %8s %10s  %s\n' "$name" "$backend" "$minutes" "$disk" "$memory" "$claim"
        done
        exit 0
        ;;
    --figures)
        cargo build --locked --release
        figures
        exit 0
        ;;
    -*)
        printf 'reproduce: there is no option %s; see the top of this script\n' "$1" >&2
        exit 2
        ;;
esac

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    mapfile -t names < <(costs | awk '{ print $1 }')
fi
for name in "${names[@]}"; do
    if [ -z "$(backend_of "$name")" ]; then
        printf 'reproduce: there is no experiment %s; --list names them\n' "$name" >&2
        exit 2
    fi
done
cargo build --locked --release
for name in "${names[@]}"; do
    folder="results/$name"
    new="$folder/new-reference"
    options=(--backend "$(backend_of "$name")" --no-report)
    # Sixteen processes are too many for a small machine; sixteen threads are not.
    if [ "$name" = azure-13 ]; then options+=(--launcher in-process); fi
    if [ -d "$new/parts" ] &&
        target/release/flexpaxos run "experiments/$name.toml" "${options[@]}" --resume "$new"; then
        :
    else
        rm -rf "$new"
        target/release/flexpaxos run "experiments/$name.toml" "${options[@]}" --out "$new"
    fi
    rm -rf "$new/histories"
    # A reference is small: what figures draw of many short intervals is read compressed as well.
    find "$new" -name '*.csv' -size +150k -exec gzip -9n {} +
    rm -rf "$folder/reference"
    mv "$new" "$folder/reference"
done
if [ $# -eq 0 ]; then figures; fi
