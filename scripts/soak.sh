#!/usr/bin/env bash
# Runs loads and faults in turn for many minutes, has every history checked twice, and watches what every
# member takes: memory, bytes on disk, open files and threads, once a second.
#
#   scripts/soak.sh [MINUTES] [SEED]      about so many minutes (30), with runs from SEED (1)
#   scripts/soak.sh --control [SEED]      one run whose replicas are told to keep all that they execute, so
#                                         that they grow, in memory and on disk: the watch must see it of each
#                                         of them, or this fails
#
# It fails if a run is not whole, if a check finds anything, or if a member grows.
#
# A kill begins a new process, so what is judged is a process, by itself and within one run: what is left
# behind from one run to the next would be in files, and all of those are deleted.
# The first half of its life is warm-up: caches, allocators and the part of the log that is kept fill up.
# The second half is cut into four quarters, each of which is stood for by its median. So one sample, and a
# burst after a fault, weigh nothing, and a saw-tooth (the log until its next checkpoint) little.
# It grows if no median is below the one before and the last is above the first by more than an allowance:
#
#   memory   4 MiB and a tenth       what allocators keep for themselves comes in steps
#   disk     24 MiB and a quarter    three segments, and the phase of a saw-tooth
#   files    2                       a connection that is made while another one ends
#   threads  2                       a pool that starts its last threads late
#
# A leak has its medians in order, whatever its size, also where an allocator hides it for a while; noise has
# them so one time in 24. The allowance decides how small a leak is seen, and the length of a run how slow.
# A process that lived for less than 40 seconds is not judged.
#
# FLEXPAXOS names the program (built in release mode if it is not given), KEEP a folder for the samples of all
# runs (soak.csv) and for what a failing run leaves (a temporary one otherwise), SECONDS_PER_RUN how long a run
# is measured (a sixth of MINUTES, from 60 to 300), KIND the only kind to run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

control=no
minutes=30
if [ "${1:-}" = --control ]; then
    control=yes
    seed="${2:-1}"
    minutes=1
else
    minutes="${1:-30}"
    seed="${2:-1}"
fi
for number in "$minutes" "$seed" "${SECONDS_PER_RUN:-60}"; do
    if ! [[ "$number" =~ ^[1-9][0-9]{0,5}$ ]]; then
        printf 'soak: %s is no number from 1 to 999999; usage: soak.sh [MINUTES] [SEED] | --control [SEED]\n' "$number" >&2
        exit 2
    fi
done
if [ $# -gt 2 ]; then
    printf 'soak: too many arguments; usage: soak.sh [MINUTES] [SEED] | --control [SEED]\n' >&2
    exit 2
fi
if [ "${SECONDS_PER_RUN:-60}" -lt 60 ]; then
    printf 'soak: SECONDS_PER_RUN=%s is too short: a process that lives for less than 40 s is not judged\n' \
        "$SECONDS_PER_RUN" >&2
    exit 2
fi
if [ -n "${FLEXPAXOS:-}" ] && ! command -v "$FLEXPAXOS" > /dev/null; then
    printf 'soak: FLEXPAXOS=%s is no program\n' "$FLEXPAXOS" >&2
    exit 2
fi
seconds=$((minutes * 10))
if [ "$seconds" -lt 60 ]; then seconds=60; fi
if [ "$seconds" -gt 300 ]; then seconds=300; fi
seconds="${SECONDS_PER_RUN:-$seconds}"
if [ -z "${FLEXPAXOS:-}" ]; then
    cargo build --locked --release --quiet
    FLEXPAXOS=target/release/flexpaxos
fi

work="$(mktemp -d)"
samples="${KEEP:-$work}/soak.csv"
mkdir -p "$(dirname "$samples")"
printf 'run,kind,second,member,process,memory_bytes,disk_bytes,files,threads\n' > "$samples"
running=''

# Ends the run under way. Its members end by themselves some seconds after it, if it cannot end them.
stop() {
    if [ -n "$running" ] && kill -TERM "$running" 2> /dev/null; then
        for _ in $(seq 100); do
            kill -0 "$running" 2> /dev/null || break
            sleep 0.1
        done
        kill -KILL "$running" 2> /dev/null || true
        wait "$running" 2> /dev/null || true
    fi
    running=''
}
trap 'stop; rm -rf "$work"' EXIT
trap 'printf "soak: interrupted\n" >&2; exit 1' INT TERM

# The head of an experiment: profile $1, arrivals $2, size of values $3, share of reads $4, executed slots kept $5.
preamble() {
    cat <<TOML
question = "Does anything grow, stall or break when this goes on for long?"
prediction = "No: what is kept is bounded, whatever happens."
seed = $((seed * 1000 + runs))

[topology]
profile = "$1"
replicas = ["a", "b", "c"]
clients = ["a", "b"]

[workload]
arrival = $2
warmup = "1s"
duration = "${seconds}s"
drain = "10s"
keys = { uniform = { count = 100 } }
value_bytes = $3
reads = $4
retry_after = "300ms"

[durability]
mode = "fsync"

[log]
retained_slots = $5

[election]
mode = "timeout"
heartbeat = "50ms"
misses = 8
spread = "150ms"
TOML
}

# The one variant: protocol $1.
variant() { printf '\n[[variant]]\nname = "it"\nprotocol = { %s }\nquorums = { majority = {} }\n' "$1"; }

# A fault every $1 seconds from second $2 on; its lines are the other arguments.
every() {
    local at line period="$1"
    # The longest fault lasts eight seconds.
    for ((at = $2; at + 10 <= seconds; at += period)); do
        printf '\n[[fault]]\nat = "%ds"\n' "$at"
        for line in "${@:3}"; do printf '%s\n' "$line"; done
    done
}

# The experiment of kind $1.
experiment() {
    case "$1" in
        kills) # An open loop of small values; c is killed now and then, and whoever leads.
            preamble loopback '{ poisson = { rate_per_s = 1000 } }' 128 0.3 2000
            variant 'multi = { leader = "a" }'
            every 15 4 'crash = "c"' 'restart_after = "2s"'
            every 40 11 'crash = "leader"' 'restart_after = "1s"'
            ;;
        pauses) # A closed loop; everybody stands still now and then.
            preamble uniform:10ms '{ closed = { clients = 32 } }' 128 0.5 2000
            variant 'multi = { leader = "a" }'
            every 10 3 'pause = "b"' 'lasts = "700ms"'
            every 20 8 'pause = "leader"' 'lasts = "900ms"'
            ;;
        large) # Large values, on disks that are slow now and then.
            preamble loopback '{ fixed = { rate_per_s = 50 } }' 65536 0.2 200
            variant 'multi = { leader = "a" }'
            every 12 2 'slow_disk = { replica = "c", by = "5ms" }' 'lasts = "4s"'
            every 24 8 'slow_disk = { replica = "leader", by = "5ms" }' 'lasts = "4s"'
            ;;
        links) # Links that are cut, lose, and bring things twice and out of order.
            preamble uniform:20ms '{ poisson = { rate_per_s = 400 } }' 256 0.3 1000
            variant 'multi = { leader = "a" }'
            every 20 3 'partition = "c"' 'lasts = "2s"'
            every 40 13 'partition = "leader"' 'lasts = "2s"'
            every 20 8 'lose = { from = "leader", to = "b", share = 0.05 }' 'lasts = "2s"'
            every 20 16 'duplicate = { from = ["a", "b"], to = "c", share = 0.1 }' 'lasts = "1s"'
            ;;
        away) # A follower that is so long away that it needs the state; it comes back under load.
            preamble loopback '{ fixed = { rate_per_s = 2000 } }' 512 0.1 3000
            variant 'multi = { leader = "a" }'
            every 20 3 'crash = "c"' 'restart_after = "8s"'
            ;;
        registers) # No log at all: every register is a log of its own.
            preamble uniform:10ms '{ closed = { clients = 16 } }' 128 0.5 1000 |
                sed -e '/^\[election\]/,$d' -e '/^\[log\]/,/^retained_slots/d'
            variant 'caspaxos = {}'
            every 12 3 'pause = "b"' 'lasts = "700ms"'
            every 12 8 'slow_disk = { replica = "c", by = "5ms" }' 'lasts = "3s"'
            ;;
        keeps-all) # The control: all that is executed is kept.
            preamble loopback '{ fixed = { rate_per_s = 2000 } }' 2048 0.0 100000000
            variant 'multi = { leader = "a" }'
            ;;
        *)
            printf 'soak: KIND is kills, pauses, large, links, away or registers, not %s\n' "$1" >&2
            exit 2
            ;;
    esac
}

# Writes down what every member of the run under way takes now.
sample() {
    local child folder status
    for child in $(pgrep -P "$running" 2> /dev/null || true); do
        folder="$({ cat "/proc/$child/cmdline" 2> /dev/null || true; } | tr '\0' '\n' | sed -n '/^--folder$/{n;p;}')"
        if [ -z "$folder" ]; then continue; fi
        # A process that ends meanwhile has no line, or one without memory, which is left out.
        status="$(awk '/^VmRSS:/ { rss = $2 * 1024 } /^Threads:/ { threads = $2 } END { if (rss) print rss, threads }' \
            "/proc/$child/status" 2> /dev/null || true)"
        if [ -z "$status" ]; then continue; fi
        printf '%s,%s,%s,%s,%s,%s,%s,%s,%s\n' "$runs" "$kind" "$second" "${folder##*/}" "$child" "${status% *}" \
            "$(du -sb "$folder/acceptor" 2> /dev/null | cut -f1 || true)" \
            "$(ls "/proc/$child/fd" 2> /dev/null | wc -l)" "${status#* }" >> "$samples"
    done
}

# Prints what grows among the processes of run $1, one a line; nothing if nothing does.
growth() {
    awk -F, -v run="$1" '
        # The median of the values from place `from` to before `to` of process `p`, quantity `q`.
        function median(p, q, from, to,    i, j, n, x, sorted) {
            n = 0
            for (i = from; i < to; i++) {
                x = value[p, q, i]
                for (j = n++; j > 0 && sorted[j - 1] > x; j--) sorted[j] = sorted[j - 1]
                sorted[j] = x
            }
            return sorted[int(n / 2)]
        }
        NR == 1 { split("memory disk files threads", name, " "); next }
        $1 != run { next }
        {
            p = $4 "," $5
            if (!(p in count)) { order[++processes] = p; count[p] = 0 }
            for (q = 1; q <= 4; q++) value[p, q, count[p]] = $(q + 5) + 0
            count[p]++
        }
        END {
            fixed[1] = 4 * 1048576; share[1] = 0.10
            fixed[2] = 24 * 1048576; share[2] = 0.25
            fixed[3] = 2; share[3] = 0
            fixed[4] = 2; share[4] = 0
            for (k = 1; k <= processes; k++) {
                p = order[k]
                n = count[p]
                if (n < 40) continue
                judged++
                for (q = 1; q <= 4; q++) {
                    rises = 1
                    for (i = 0; i < 4; i++) {
                        m[i] = median(p, q, int(n * (4 + i) / 8), int(n * (5 + i) / 8))
                        if (i > 0 && m[i] < m[i - 1]) rises = 0
                    }
                    if (rises && m[3] - m[0] > fixed[q] + share[q] * m[0])
                        printf "%s (process %s): %s grows: %d %d %d %d\n", substr(p, 1, index(p, ",") - 1), \
                            substr(p, index(p, ",") + 1), name[q], m[0], m[1], m[2], m[3]
                }
            }
            if (!judged) print "no process of this run lived for 40 seconds, so nothing was judged"
        }' "$samples"
}

# The peaks of run $1 over all replicas, and over all members.
peaks() {
    awk -F, -v run="$1" '
        $1 == run {
            if ($4 ~ /^r/ && $6 > memory) memory = $6
            if ($7 > disk) disk = $7
            if ($8 > files) files = $8
            if ($9 > threads) threads = $9
        }
        END { printf "at most %d MB of memory a replica, %d MB on disk, %d files, %d threads", \
            memory / 1e6, disk / 1e6, files, threads }' "$samples"
}

# Runs the experiment of kind $kind; sets code and out. It has a bound: its own length, and a minute to begin
# and to check.
run() {
    file="$work/run.$runs.toml"
    out="$work/results.$runs"
    experiment "$kind" > "$file"
    # In a session of its own: a Ctrl-C of the terminal is for this script, which then ends the run in peace; a
    # second signal would make it leave its members behind.
    setsid "$FLEXPAXOS" run "$file" --out "$out" --no-probe --no-calibrate --no-report --quiet \
        > "$work/said.$runs" 2>&1 &
    running=$!
    local from=$SECONDS
    while kill -0 "$running" 2> /dev/null; do
        second=$((SECONDS - from))
        sample
        if [ "$second" -gt $((seconds * 2 + 90)) ]; then
            printf 'soak: run %d does not end\n' "$runs" | tee -a "$work/said.$runs" >&2
            stop
            code=1
            return
        fi
        sleep 1
    done
    code=0
    wait "$running" || code=$?
    running=''
}

keep() {
    if [ -n "${KEEP:-}" ]; then
        cp -r "$file" "$work/said.$runs" "$KEEP/"
        if [ -e "$out" ]; then cp -r "$out" "$KEEP/"; fi
        printf 'soak: what it left is in %s\n' "$KEEP" >&2
    fi
    cat "$work/said.$runs" >&2
}

runs=1
if [ "$control" = yes ]; then
    kind=keeps-all
    run
    grown="$(growth "$runs")"
    printf 'control: all is kept: exit code %s, %s\n%s\n' "$code" "$(peaks "$runs")" "$grown"
    # What the machine did to the run is not what is asked here.
    if [ "$(grep -o '^r[0-2]' <<< "$grown" | sort -u | wc -l)" != 3 ]; then
        printf 'soak: the watch did not see that all replicas grow: it proves nothing when it is silent elsewhere\n' >&2
        keep
        exit 1
    fi
    exit 0
fi

kinds=(kills pauses large links away registers)
failed=0
began=$SECONDS
# Another run begins only if half of it is within the minutes asked for.
while [ $((SECONDS - began + seconds / 2)) -lt $((minutes * 60)) ]; do
    kind="${KIND:-${kinds[$(((runs - 1) % ${#kinds[@]}))]}}"
    run
    verified=0
    if [ "$code" = 0 ]; then
        timeout 300 "$FLEXPAXOS" verify "$out" > "$work/verified" 2>&1 || verified=$?
        if [ "$verified" != 0 ]; then cat "$work/verified" >> "$work/said.$runs"; fi
    fi
    grown="$(growth "$runs")"
    printf 'run %d (%s): exit code %d, verify %d, %s\n' "$runs" "$kind" "$code" "$verified" "$(peaks "$runs")" >&2
    if [ "$code" != 0 ] || [ "$verified" != 0 ] || [ -n "$grown" ]; then
        failed=$((failed + 1))
        if [ -n "$grown" ]; then printf '%s\n' "$grown" | tee -a "$work/said.$runs" >&2; fi
        keep
    fi
    rm -rf "$out"
    runs=$((runs + 1))
done

printf '%d runs of %d seconds in %d minutes: %d of them failed; %s\n' $((runs - 1)) "$seconds" \
    $(((SECONDS - began + 30) / 60)) "$failed" "$([ -n "${KEEP:-}" ] && printf 'samples in %s' "$samples" || printf 'KEEP=FOLDER keeps the samples')"
if [ "$failed" != 0 ] || [ "$runs" = 1 ]; then exit 1; fi
