#!/usr/bin/env bash
# Kills replicas with SIGKILL at random instants of live runs over fsync, starts them again on their
# disks, and has every run checked: no acknowledged write may be lost.
#
#   scripts/kill_rounds.sh [COUNT] [SEED]     at least COUNT kills (1000), at instants from SEED (1)
#   scripts/kill_rounds.sh --control [SEED]   a kill of everybody at once, once without a disk and once
#                                             with disks that do not sync: the check must report losses
#                                             in both, or this fails
#
# SIGKILL leaves the page cache behind, so a sync that is missing would not show. Therefore each
# replica keeps what it has not synced in its own memory (`--break-disk all:lose-unsynced`), and a kill
# loses it as a power loss would.
#
# Runs of three kinds take turns:
#   random        single replicas, the leader among them, and now and then two at once; of three or of
#                 five. A kill hits a replica also while it starts, recovers or catches up.
#   reservation   a leader on a slow disk is killed soon after it began to lead, and again, together
#                 with the only replica that has its last proposals: it must never use a ballot twice.
#   announced     each ballot has a phase-2 quorum of its own, {a, b}. The others are killed one by one,
#                 and then a and b together: the others must remember which quorum was announced.
#
# FLEXPAXOS names the program (built in release mode if it is not given), KEEP a folder for what a
# failing run leaves (a temporary one otherwise), SECONDS_PER_RUN how long a run is measured (12), KIND
# the only kind to run.
# A thousand kills take about ten minutes on a machine that does nothing else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

control=no
if [ "${1:-}" = --control ]; then
    control=yes
    shift
    count=1
    seed="${1:-1}"
else
    count="${1:-1000}"
    seed="${2:-1}"
fi
seconds="${SECONDS_PER_RUN:-12}"
for number in "$count" "$seed" "$seconds"; do
    if ! [[ "$number" =~ ^[0-9]+$ ]]; then
        printf 'kill_rounds: %s is no number; usage: kill_rounds.sh [COUNT] [SEED] | --control [SEED]\n' \
            "$number" >&2
        exit 2
    fi
done
if [ -z "${FLEXPAXOS:-}" ]; then
    cargo build --locked --release --quiet
    FLEXPAXOS=target/release/flexpaxos
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
RANDOM=$((seed % 32768))

# A number from 0 to before $1.
draw() { drawn=$(((RANDOM * 32768 + RANDOM) % $1)); }

# The head of an experiment: profile $1, $2 replicas, clients $3, who ask again after $4 ms, durability $5.
preamble() {
    local regions='"a", "b", "c"'
    if [ "$2" = 5 ]; then regions='"a", "b", "c", "d", "e"'; fi
    cat <<TOML
question = "Is an acknowledged write ever lost when replicas are killed at any instant?"
prediction = "No: what was acknowledged was durable at a phase-2 quorum."
seed = $((seed * 1000 + runs))

[topology]
profile = "$1"
replicas = [$regions]
clients = [$3]

[workload]
arrival = { fixed = { rate_per_s = 200 } }
warmup = "300ms"
duration = "${seconds}s"
keys = { uniform = { count = 50 } }
value_bytes = 32
reads = 0.2
retry_after = "$4ms"

[durability]
mode = "$5"
unsafe_restarts = $(if [ "$5" = memory ]; then echo true; else echo false; fi)
TOML
}

# Leaders are elected; heartbeats $1 ms apart, of which $2 may be missed.
elected() { printf '\n[election]\nmode = "timeout"\nheartbeat = "%dms"\nmisses = %d\nspread = "50ms"\n' "$1" "$2"; }

# The one variant: quorums $1.
variant() { printf '\n[[variant]]\nname = "multi"\nprotocol = { multi = { leader = "a" } }\nquorums = { %s }\n' "$1"; }

# An experiment of the kind random, but for its kills; $1 replicas, durability $2.
experiment() {
    preamble loopback "$1" '"a"' 100 "$2"
    elected 20 5
    variant 'majority = {}'
}

# Two places: a and b in one, c, d and e in the other, 60 ms away.
network() {
    printf 'from,to,rtt_ms\n'
    local from to
    for from in a b c d e; do
        for to in a b c d e; do
            case "$from$to" in
                aa | bb | cc | dd | ee) ;;
                ab | ba | cd | dc | ce | ec | de | ed) printf '%s,%s,1\n' "$from" "$to" ;;
                *) printf '%s,%s,60\n' "$from" "$to" ;;
            esac
        done
    done
}

# A crash of region $1 at $2 ms, and its restart $3 ms later.
crash() { printf '\n[[fault]]\nat = "%dms"\ncrash = "%s"\nrestart_after = "%dms"\n' "$2" "$1" "$3"; }

# Crashes until the end of a run among $1 replicas, $2 of them at most; sets planned.
crashes() {
    local names=(a b c d e) at=200 victims victim after last=$((seconds * 1000 - 500))
    local -A down_until=()
    planned=0
    while [ "$planned" -lt "$2" ]; do
        draw 200
        at=$((at + 100 + drawn))
        if [ "$at" -gt "$last" ]; then break; fi
        # Every fourth time two at once.
        draw 4
        victims=1
        if [ "$drawn" = 0 ]; then victims=2; fi
        while [ "$victims" -gt 0 ] && [ "$planned" -lt "$2" ]; do
            victims=$((victims - 1))
            draw "$1"
            victim="${names[$drawn]}"
            # One that is down cannot be killed.
            if [ "${down_until[$victim]:-0}" -ge "$at" ]; then continue; fi
            draw 100
            after=$((50 + drawn))
            down_until[$victim]=$((at + after))
            crash "$victim" "$at" "$after" >> "$file"
            planned=$((planned + 1))
        done
    done
}

# An experiment of the kind reservation; sets planned.
reservation() {
    local at jitter
    network > "$work/net.csv"
    { preamble net.csv 5 '"a", "c"' 300 fsync; variant 'majority = {}'; } > "$file"
    printf '\n[[fault]]\nat = "0ms"\nslow_disk = { replica = "a", by = "1s" }\n' >> "$file"
    planned=0
    for ((at = 1500; at + 3500 <= seconds * 1000; at += 3500)); do
        draw 300
        jitter="$drawn"
        # It leads within this time, and its own promise takes a second to be durable.
        { crash a "$at" 50; crash a $((at + 700 + jitter)) 50; crash b $((at + 700 + jitter)) 1000; } >> "$file"
        planned=$((planned + 3))
    done
}

# An experiment of the kind announced; sets planned.
announced() {
    local at jitter
    network > "$work/net.csv"
    { preamble net.csv 5 '"a", "c"' 300 fsync; elected 50 6; variant 'per_ballot = { phase2 = 2 }'; } > "$file"
    planned=0
    for ((at = 500; at + 5500 <= seconds * 1000; at += 5500)); do
        draw 300
        jitter="$drawn"
        { crash c "$at" 50; crash d $((at + 400)) 50; crash e $((at + 800)) 50; } >> "$file"
        { crash a $((at + 1600 + jitter)) 1800; crash b $((at + 1600 + jitter)) 1800; } >> "$file"
        printf '\n[[fault]]\nat = "%dms"\ncampaign = "a"\n' $((at + 4700)) >> "$file"
        planned=$((planned + 5))
    done
}

# The column $1 of the one trial of the last run.
column() {
    awk -F, -v name="$1" '
        NR == 1 { for (field = 1; field <= NF; field++) if ($field == name) wanted = field }
        NR == 2 { print wanted ? $wanted : "" }' "$out/short.csv"
}

# Runs $file with these arguments; sets code, acknowledged, lost and violations.
run() {
    out="$work/results.$runs"
    code=0
    "$FLEXPAXOS" run "$file" --out "$out" --no-probe --no-calibrate --quiet "$@" \
        > "$work/said.$runs" 2>&1 || code=$?
    acknowledged=0
    lost="$(grep -c 'VIOLATION: .* is in no replica' "$work/said.$runs" || true)"
    violations="$(grep -c 'VIOLATION: ' "$work/said.$runs" || true)"
    if [ -f "$out/trials.csv" ]; then
        # Notes are sentences with commas, in quotes; nothing else here has any.
        sed 's/"[^"]*"/quoted/g' "$out/trials.csv" > "$out/short.csv"
        acknowledged="$(column acknowledged_count)"
        acknowledged="${acknowledged:-0}"
    fi
}

keep() {
    if [ -n "${KEEP:-}" ]; then
        mkdir -p "$KEEP"
        cp -r "$file" "$work/said.$runs" "$out" "$KEEP/"
        printf 'kill_rounds: what it left is in %s\n' "$KEEP" >&2
    fi
    cat "$work/said.$runs" >&2
}

runs=1
file="$work/run.$runs.toml"
if [ "$control" = yes ]; then
    seconds=3
    for disk in memory fsync; do
        file="$work/run.$runs.toml"
        experiment 3 "$disk" > "$file"
        for victim in a b c; do crash "$victim" 1500 200 >> "$file"; done
        if [ "$disk" = memory ]; then
            what="nothing on disk"
            run
        else
            what="disks that do not sync"
            run --break-disk all:ignore-syncs
        fi
        printf 'control: everybody killed at once, %s: exit code %s, %s violations, %s of them lost writes\n' \
            "$what" "$code" "$violations" "$lost"
        if [ "$code" != 5 ] || [ "$violations" = 0 ]; then
            printf 'kill_rounds: the check saw nothing: it proves nothing when it is silent elsewhere\n' >&2
            keep
            exit 1
        fi
        runs=$((runs + 1))
    done
    exit 0
fi

rounds=0
acknowledged_all=0
lost_all=0
violations_all=0
failed=0
kinds=(random random reservation announced)
# The other two need more time than a short run has.
if [ "$seconds" -lt 7 ]; then kinds=(random random random random); fi
while [ "$rounds" -lt "$count" ]; do
    kind="${KIND:-${kinds[$(((runs - 1) % 4))]}}"
    replicas=5
    file="$work/run.$runs.toml"
    case "$kind" in
        random)
            if [ $((runs % 2)) = 1 ]; then replicas=3; fi
            experiment "$replicas" fsync > "$file"
            crashes "$replicas" $((count - rounds))
            ;;
        reservation) reservation ;;
        announced) announced ;;
        *)
            printf 'kill_rounds: KIND is random, reservation or announced, not %s\n' "$kind" >&2
            exit 2
            ;;
    esac
    if [ "$planned" = 0 ]; then
        printf 'kill_rounds: %s seconds are too few for a run of kind %s\n' "$seconds" "$kind" >&2
        exit 2
    fi
    run --break-disk all:lose-unsynced
    lost_all=$((lost_all + lost))
    violations_all=$((violations_all + violations))
    acknowledged_all=$((acknowledged_all + acknowledged))
    printf 'run %d (%s): %d replicas, %d kills, %s acknowledged, %s lost, %s violations, exit code %s\n' \
        "$runs" "$kind" "$replicas" "$planned" "$acknowledged" "$lost" "$violations" "$code" >&2
    if [ "$code" != 0 ]; then
        failed=$((failed + 1))
        keep
        # A run that was not whole counts for nothing; ten of them are no accident.
        if [ "$failed" -ge 10 ]; then break; fi
    else
        rounds=$((rounds + planned))
    fi
    rm -rf "$out"
    runs=$((runs + 1))
done

printf '%d rounds in %d runs: %d acknowledged writes and reads, %d lost, %d violations, %d runs not whole\n' \
    "$rounds" $((runs - 1)) "$acknowledged_all" "$lost_all" "$violations_all" "$failed"
if [ "$violations_all" != 0 ] || [ "$lost_all" != 0 ] || [ "$failed" != 0 ]; then exit 1; fi
if [ "$acknowledged_all" = 0 ]; then
    printf 'kill_rounds: nothing was acknowledged, so nothing could be lost\n' >&2
    exit 1
fi
