#!/usr/bin/env bash
# Runs one variant under two names many times, and counts how often `compare` finds a difference that is not there.
#
#   scripts/false_alarms.sh sim [RUNS]     in virtual time, with delays that vary (20 runs: half a minute)
#   scripts/false_alarms.sh live [RUNS]    over QUIC (20 runs: a quarter of an hour)
#   scripts/false_alarms.sh BACKEND --control    the second name stands for a smaller quorum: this must fail
#
# The experiment is the quickstart at its smoke size with five repeats; each run has a seed of its own.
# A run has one family of differences, and 5 % of the families may hold an alarm.
# Links are not measured first: how exact they are does not matter, and the machine may be a busy one.
# It fails if so many do that chance gives as many less than once in twenty times.
#
# FLEXPAXOS names the program (built in release mode if it is not given), KEEP a folder for the results (a temporary
# one otherwise).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

backend="${1:-}"
runs="${2:-20}"
second='quorums  = { majority = {} }'
if [ "$runs" = --control ]; then
    runs=5
    second='quorums  = { counts = { phase1 = 4, phase2 = 2 } }'
fi
vary=()
case "$backend" in
    sim) vary=(--set topology.profile=aws-2024-04 --set topology.jitter=profile --set topology.correlation=1s) ;;
    live) vary=(--no-probe) ;;
    *)
        printf 'false_alarms: say `sim` or `live`; see the top of this script\n' >&2
        exit 2
        ;;
esac
if ! [[ "$runs" =~ ^[1-9][0-9]*$ ]]; then
    printf 'false_alarms: RUNS must be a positive number, and is %s\n' "$runs" >&2
    exit 2
fi
if [ -z "${FLEXPAXOS:-}" ]; then
    cargo build --locked --release
    FLEXPAXOS=target/release/flexpaxos
fi
keep="${KEEP:-}"
if [ -z "$keep" ]; then
    keep="$(mktemp -d)"
    trap 'rm -rf "$keep"' EXIT
fi
mkdir -p "$keep"

# The quickstart up to its variants, then the same variant twice, then the smoke size.
experiment="$keep/twice.toml"
{
    sed '/^\[\[variant\]\]/,$d' experiments/quickstart.toml
    cat <<TOML
[[variant]]
name     = "one"
protocol = { multi = { leader = "us-east-1" } }
quorums  = { majority = {} }

[[variant]]
name     = "other"
protocol = { multi = { leader = "us-east-1" } }
$second

TOML
    sed -n '/^\[smoke\]/,$p' experiments/quickstart.toml
} > "$experiment"

# The number of alarms from which on chance alone would give as many in fewer than one of twenty series.
limit="$(awk -v n="$runs" 'BEGIN {
    p = 0.05; term = (1 - p) ^ n; below = 0
    for (k = 0; k <= n; k++) {
        if (1 - below < 0.05) { print k; exit }
        below += term
        term *= (n - k) / (k + 1) * p / (1 - p)
    }
    print n + 1
}')"

alarms=0
differences=0
for ((run = 1; run <= runs; run++)); do
    folder="$keep/$backend-$run"
    "$FLEXPAXOS" run "$experiment" --backend "$backend" --smoke --trials 5 --seed "$run" "${vary[@]}" \
        --no-report --out "$folder" > "$keep/$backend-$run.txt" 2>&1 || {
        cat "$keep/$backend-$run.txt" >&2
        printf 'false_alarms: run %s ended with an error\n' "$run" >&2
        exit 3
    }
    "$FLEXPAXOS" compare "$folder" --format csv > "$keep/$backend-$run.csv"
    found="$(grep -c -e ',better,' -e ',worse,' "$keep/$backend-$run.csv" || true)"
    judged="$(grep -c -e ',better,' -e ',worse,' -e ',inside-noise,' "$keep/$backend-$run.csv" || true)"
    differences=$((differences + judged))
    if [ "$found" -gt 0 ]; then alarms=$((alarms + 1)); fi
    printf 'run %s of %s: %s of %s differences are called real\n' "$run" "$runs" "$found" "$judged"
done
printf '%s: %s of %s runs with an alarm (%s differences); %s or more would be too many\n' \
    "$backend" "$alarms" "$runs" "$differences" "$limit"
if [ "$differences" -eq 0 ]; then
    printf 'false_alarms: nothing could be compared\n' >&2
    exit 3
fi
[ "$alarms" -lt "$limit" ]
