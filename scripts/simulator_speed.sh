#!/usr/bin/env bash
# How fast the simulator is, as a whole command: commands answered in a second of processor time, on one
# thread, with recording, histories, their check and the results folder.
#
#   scripts/simulator_speed.sh [profile]      uniform:20ms if no other latency profile is named
#
# Multi-Paxos with majorities among n replicas, in memory; so many closed-loop clients beside each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile="${1:-uniform:20ms}"
commands=400000
regions=(us-east-1 us-west-2 eu-west-1 ap-northeast-1 ap-southeast-2 ca-central-1 eu-central-1
    sa-east-1 ap-south-1 us-east-2 eu-west-2 ap-southeast-1 us-west-1)
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cargo build --locked --release --quiet

printf 'commands/s of processor time, %s, one thread\n%-6s%12s%12s%12s%12s\n' "$profile" n 1 10 100 1000
for n in 3 5 9 13; do
    printf '%-6s' "$n"
    list="$(printf '"%s", ' "${regions[@]:0:$n}")"
    for clients in 1 10 100 1000; do
        total=$((n * clients))
        # About as many commands for each cell: a closed-loop client does about 30 a second.
        seconds=$((commands / (total * 30) + 1))
        cat > "$work/cell.toml" <<TOML
question = "How fast?"
prediction = "Flat in clients."
[topology]
profile = "$profile"
replicas = [${list%, }]
clients = [${list%, }]
[workload]
arrival = { closed = { clients = $total } }
warmup = "200ms"
duration = "${seconds}s"
[durability]
mode = "memory"
[[variant]]
name = "multi"
protocol = { multi = { leader = "us-east-1" } }
quorums = { majority = {} }
TOML
        rm -rf "$work/out"
        told="$(target/release/flexpaxos run "$work/cell.toml" --backend sim --threads 1 \
            --out "$work/out" 2>&1 >/dev/null | grep '^simulated')"
        rate="${told##*(}"
        printf '%12s' "${rate%%/*}"
    done
    printf '\n'
done
