#!/usr/bin/env bash
# Runs sweeps and live experiments on a throw-away Slurm cluster, and breaks it: each node is a network namespace with
# a host name and a monotonic clock of its own, hours ahead of the others. Needs root; installs what is missing.
# Nothing that is asserted depends on how fast this machine is.
#
#   tests/cluster/slurm.sh [PROGRAM]     target/debug/flexpaxos if absent, which is built
#
# Where namespaces are not permitted it is skipped, with the reason.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

prefix=fpq$$-
net=10.215.$((64 + $$ % 128))
work=$(mktemp -d /tmp/flexpaxos-slurm.XXXXXX)
nodes=8
. tests/cluster/common.sh
export SLURM_CONF=$work/slurm.conf

stop() {
    local pids
    pids=$(ip netns pids "$prefix$1" 2>/dev/null)
    # shellcheck disable=SC2086
    [ -z "$pids" ] || kill "-$2" $pids 2>/dev/null
}

names() { echo ctl; for ((k = 1; k <= nodes; k++)); do echo "n$k"; done; }

finish() {
    local name signal
    for pid in $(jobs -p); do kill "$pid" 2>/dev/null; done
    for signal in TERM KILL; do
        for name in $(names); do stop "$name" $signal; done
        sleep 0.3
    done
    for name in $(names); do ip netns del "$prefix$name" 2>/dev/null; done
    [ ! -f "$work/munged.pid" ] || kill "$(cat "$work/munged.pid")" 2>/dev/null
    [ "$failed" != 0 ] || rm -rf "$work"
}

[ "$(id -u)" = 0 ] || skip 'it must be root to make network namespaces'
for tool in slurmctld slurmd sbatch munged ip; do
    command -v $tool > /dev/null && continue
    install slurmctld slurmd slurm-client munge iproute2
    break
done
ip netns add "${prefix}ctl" 2> "$work/try.log" || skip "no network namespaces: $(cat "$work/try.log")"
trap finish EXIT
unshare --uts --time --monotonic 100 --fork true 2> "$work/try.log" \
    || skip "no namespaces of names and clocks: $(cat "$work/try.log")"

if [ $# -gt 0 ]; then
    program=$1
else
    cargo build --locked --bin flexpaxos || exit 1
    program=target/debug/flexpaxos
fi
chmod 755 "$work"
# Without what a debugger reads it is a quarter of the size; and anybody may run it there.
strip -o "$work/flexpaxos" "$program" 2>/dev/null || cp "$program" "$work/flexpaxos"
program=$work/flexpaxos
chmod 755 "$program"

# on HOST COMMAND...: with the network and the name of a host, and a home that all hosts share.
on() {
    local host=$1
    shift
    ip netns exec "$prefix$host" unshare --uts -- sh -c '
        hostname "$0" && mount --bind "$1/hosts" /etc/hosts && export HOME="$1/home" && shift && exec "$@"' \
        "$host" "$work" "$@"
}

mkdir -p "$work"/{state,home}
head -c 128 /dev/urandom > "$work/munge.key"
chmod 400 "$work/munge.key"
munged --force --socket="$work/munge.sock" --key-file="$work/munge.key" --pid-file="$work/munged.pid" \
    --log-file="$work/munged.log" --seed-file="$work/munge.seed" 2> "$work/munged.err"
printf '127.0.0.1 localhost\n%s.254 ctl\n' "$net" > "$work/hosts"
ip -n "${prefix}ctl" link set lo up
ip -n "${prefix}ctl" link add br0 type bridge
ip -n "${prefix}ctl" addr add "$net.254/24" dev br0
ip -n "${prefix}ctl" link set br0 up
for ((k = 1; k <= nodes; k++)); do
    echo "$net.$k n$k" >> "$work/hosts"
    mkdir "$work/n$k"
    ip netns add "${prefix}n$k"
    ip -n "${prefix}n$k" link set lo up
    ip link add "p$k" netns "${prefix}ctl" type veth peer name eth0 netns "${prefix}n$k"
    ip -n "${prefix}ctl" link set "p$k" master br0 up
    ip -n "${prefix}n$k" addr add "$net.$k/24" dev eth0
    ip -n "${prefix}n$k" link set eth0 up
done
cat > "$SLURM_CONF" <<CONF
ClusterName=flexpaxos
SlurmctldHost=ctl($net.254)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.sock
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd-%n.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SlurmdTimeout=10
KillWait=3
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
MpiDefault=none
PartitionName=live Nodes=n[1-4] State=UP
PartitionName=sweeps Nodes=n[5-6] State=UP
PartitionName=main Nodes=n[7-8] Default=YES State=UP
CONF
for ((k = 1; k <= nodes; k++)); do
    echo "NodeName=n$k NodeAddr=$net.$k NodeHostname=n$k CPUs=2 RealMemory=2000" >> "$SLURM_CONF"
done
# Named, because slurmd looks for one that is mounted otherwise.
echo 'CgroupPlugin=cgroup/v1' > "$work/cgroup.conf"
on ctl slurmctld -c < /dev/null > "$work/slurmctld.out" 2>&1
within 60 on ctl scontrol ping
for ((k = 1; k <= nodes; k++)); do
    on "n$k" unshare --time --monotonic $((k * 100000)) --fork -- slurmd -N "n$k" < /dev/null > "$work/slurmd-n$k.out" 2>&1
done
all_idle() { [ "$(on ctl sinfo -h -N -t idle -o %N | sort -u | wc -l)" = $nodes ]; }
within 120 all_idle || { echo 'tests/cluster/slurm: the nodes did not start' >&2; cat "$work"/*.out; failed=1; exit 1; }

operator() { on ctl "$program" "$@"; }

# processes NAME...: those of flexpaxos on these machines.
processes() {
    local name pid
    for name in "$@"; do
        for pid in $(ip netns pids "$prefix$name" 2>/dev/null); do
            [ "$(readlink "/proc/$pid/exe")" != "${program}" ] && ! tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null \
                | grep -qE '/flexpaxos/[0-9a-f]{64} ' || echo "$name: $pid $(tr '\0' ' ' < "/proc/$pid/cmdline")"
        done
    done
}
no_process() {
    local found
    found=$(processes "$@")
    [ -z "$found" ] || { echo "$found"; return 1; }
}
queue_is_empty() { [ -z "$(on ctl squeue -h -p "$1")" ]; }
has_process() {
    local name
    for name in "$@"; do ! no_process "$name" || { echo "none on $name"; return 1; }; done
}
jobs_of() { on ctl squeue -h -p "$1" -t "$2" -o %A | sort -u; }

# Sweeps, on nodes of their own, beside the live runs.
sweeps() {
    local sweep=tests/cluster/sweep.toml
    tables_are_the_same() {
        local table
        for table in "$work"/here/*.csv; do cmp "$table" "$work/$1/$(basename "$table")" || return 1; done
    }
    is_whole() { operator sweep status "$work/$1"; }
    # It runs on the node that is to be lost, and has simulated something.
    has_simulated() { on ctl squeue -h -t running -w n6 | grep -q . && ls "$work/$1"/parts/*.part; }
    submit() { local name=$1; shift; operator sweep submit --out "$work/$name" "$@"; }
    "$program" run $sweep --backend sim --no-report -q --out "$work/here" > "$work/here.log" 2>&1
    check 'a sweep of 500 points is submitted' submit whole $sweep --shards 4 -- --partition=sweeps
    check 'a sweep: whole' within 300 is_whole whole
    check 'a sweep: collected' "$program" sweep collect "$work/whole" --no-report
    check 'a sweep: the tables of a run here' tables_are_the_same whole
    within 20 queue_is_empty sweeps

    check 'a sweep is submitted that is cancelled' submit lost $sweep --shards 4 -- --partition=sweeps --no-requeue
    within 300 has_simulated lost
    on ctl scancel "$(ls "$work/lost/parts/jobs")"
    check 'a cancelled sweep: the queue is empty' within 120 queue_is_empty sweeps
    check 'a cancelled sweep: no process is left' within 10 no_process n5 n6

    check 'a cancelled sweep is submitted again' submit lost -- --partition=sweeps --no-requeue
    within 300 has_simulated lost
    stop n6 KILL
    check 'a lost node: the queue empties' within 120 queue_is_empty sweeps
    check 'a lost node: trials are missing' eval '! is_whole lost'
    check 'a lost node: what is missing is submitted again' submit lost -- --partition=sweeps
    check 'a lost node: whole' within 300 is_whole lost
    check 'a lost node: collected' "$program" sweep collect "$work/lost" --no-report
    check 'a lost node: the tables of a run here' tables_are_the_same lost
    check 'sweeps: no process is left' within 10 no_process n5 n6
}

# One experiment as a job: by somebody who is not root; and one that its time limit ends, on two nodes.
submitted() {
    mkdir -m 777 "$work/nobody"
    as_nobody() { on ctl setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$work/nobody" "$@"; }
    check 'an experiment is submitted by nobody' as_nobody "$program" submit tests/cluster/small.toml \
        --set 'probe.tolerance="1s"' --out "$work/nobody/out" --script "$work/nobody/run.sbatch"
    has_ended() { grep -qs 'results in\|×' "$work"/nobody/out/job-*.log; }
    within 300 has_ended
    cp "$work"/nobody/out/job-*/trials.csv "$work/nobody.csv" 2>/dev/null
    check 'an experiment of nobody: valid' are_valid "$work/nobody.csv" 1
    check 'an experiment of nobody: its files are his' is "$(stat -c %U "$work"/nobody/out/job-*/trials.csv)" nobody
    check 'an experiment is submitted with a time limit' operator submit tests/cluster/small.toml --nodes 2 \
        --trials 200 --set 'probe.tolerance="1s"' --set 'workload.duration="500ms"' --out "$work/limited" \
        --script "$work/limited.sbatch" -- --time=30
    # The limit is lowered when there is something to keep, however long that took: Slurm warns a minute before it.
    has_finished() { ls "$work"/limited/job-*/parts/*.part; }
    check 'a time limit: a trial is finished' within 300 has_finished
    job=$(jobs_of main running)
    elapsed=$(on ctl squeue -h -j "$job" -o %M)
    on ctl scontrol update "JobId=$job" "TimeLimit=$((10#${elapsed%:*} + 2))"
    check 'a time limit: the job ends' within 300 queue_is_empty main
    check 'a time limit: trials are kept, and how to go on is said' grep -q 'go on with --resume' "$work"/limited/job-*.log
    cp "$work"/limited/job-*/trials.csv "$work/limited.csv" 2>/dev/null
    check 'a time limit: what is kept is sound, and as much as it says' are_kept "$work/limited.csv"
    check 'jobs: no process is left' within 10 no_process n7 n8
}

# are_kept TRIALS.CSV: each trial is valid, and there are as many as the job said.
are_kept() {
    local count=$(($(wc -l < "$1") - 1))
    says "$(echo "$work"/limited/job-*.log)" "$count of 200 trials are finished" && { [ $count = 0 ] || are_valid "$1" $count; }
}

# run NAME EXPERIMENT OPTION... [-- SALLOC OPTIONS]: on nodes of the partition, into $work/NAME.
run() {
    local name=$1 ended
    shift
    operator run "$@" > "$work/$name.log" 2>&1
    ended=$?
    echo "$ended" > "$work/$name.exit"
    return "$ended"
}
on_nodes=(--engine slurm --no-report)
live=(-- --partition=live)
small=(tests/cluster/small.toml --no-probe "${on_nodes[@]}")
# pid_of NAME: the coordinator of a run.
pid_of() {
    local pid
    for pid in $(ip netns pids "${prefix}ctl"); do
        tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -q -- "^$program run .*--out $work/$1 " && echo "$pid"
    done
}
gives_back() {
    check "$1: the nodes are given back" within 120 queue_is_empty live
    check "$1: no process is left" within 15 no_process n1 n2 n3 n4 ctl
}

sweeps > "$work/sweeps.out" &
sweeping=$!
submitted > "$work/submitted.out" &
submitting=$!

# In the queue for more nodes than there are.
run queued "${small[@]}" --out "$work/queued" -- --partition=live --nodes=3 --begin=now+1hour &
queueing=$!
within 120 grep -q 'job .* queued' "$work/queued.log"
check 'in the queue: said' says "$work/queued.log" 'asking Slurm for nodes' 'queued and waiting'
kill -INT "$(pid_of queued)"
wait $queueing
check 'in the queue: Ctrl-C: exit 3' is "$(cat "$work/queued.exit")" 3
gives_back 'in the queue'
check 'in the queue: no results' is "$(ls -d "$work/queued" 2>/dev/null)" ''

check 'no such partition: exit 1' is "$(run refused "${small[@]}" --out "$work/refused" -- --partition=none; echo $?)" 1
check 'no such partition: what salloc says' says "$work/refused.log" '`salloc` refused the job' 'invalid partition'
check 'options behind -- without Slurm: exit 2' is "$(run behind tests/cluster/small.toml --out "$work/behind" -- -N 3; echo $?)" 2
check 'options behind -- in a job: exit 2' is "$(on ctl env SLURM_JOB_ID=1 SLURM_JOB_NODELIST=n1 "$program" run \
    "${small[@]}" --out "$work/inside" -- --nodes=3 > "$work/inside.log" 2>&1; echo $?)" 2
check 'options behind -- in a job: why' says "$work/inside.log" 'job 1 has its nodes already'

check 'options behind --: --no-shell is refused' is "$(run shell "${small[@]}" --out "$work/shell" -- --no-shell; echo $?)" 1
check 'a part of the environment of a job: exit 2' is "$(on ctl env SLURM_JOB_ID=1 "$program" run \
    "${small[@]}" --out "$work/half" > "$work/half.log" 2>&1; echo $?)" 2
check 'a part of the environment of a job: why' says "$work/half.log" 'SLURM_JOB_NODELIST says nothing'
check 'a dry run: exit 0' is "$(run dry "${small[@]}" --dry-run -- --nodes=4; echo $?)" 0
check 'a dry run: the nodes that are asked for' says "$work/dry.log" 'r0 a node1 1' 'c0 a node4 4'
check 'more nodes than members: exit 2' is "$(operator submit tests/cluster/small.toml --nodes 5 --dry-run \
    --out "$work/many" --script "$work/many.sbatch" > "$work/many.log" 2>&1; echo $?)" 2
check 'more nodes than members: how many there are' says "$work/many.log" 'the experiment has 4 members'
# A site that greets, and a salloc that begins nothing.
mkdir "$work/greeting" "$work/empty"
printf '#!/bin/sh\necho Welcome to the cluster\nexec %s "$@"\n' "$(command -v salloc)" > "$work/greeting/salloc"
printf '#!/bin/sh\necho hello\n' > "$work/empty/salloc"
chmod 755 "$work"/{greeting,empty}/salloc
check 'a salloc that begins no job: exit 1' is "$(PATH=$work/empty:$PATH run empty "${small[@]}" --out "$work/none"; echo $?)" 1
check 'a salloc that begins no job: what it said' says "$work/empty.log" 'refused the job: hello; it ended with exit status: 0'

quickstart=(experiments/quickstart.toml --smoke --set 'probe.tolerance="20ms"')
operator run "${quickstart[@]}" --no-calibrate --no-report --out "$work/local" > "$work/local.log" 2>&1
run quickstart "${quickstart[@]}" "${on_nodes[@]}" --out "$work/quickstart" -- --partition=live --nodes=4
check 'the quickstart on four nodes: valid' are_valid "$work/quickstart/trials.csv" 3
check 'the quickstart on four nodes: the manifest lists them' is \
    "$(grep -cs '"host": "n[1234]"' "$work/quickstart/manifest.json")" 4
check 'the quickstart on four nodes: every path was measured' awk -F, '
    NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    $at["measured_count"] == 0 { print; bad = 1 } END { exit bad || NR < 2 }' "$work/quickstart/links.csv"
column "$work/quickstart/members.csv" clock_error_ns > "$work/errors"
check 'clocks that are 28 hours apart: known' awk '
    $1 == "" || $1 >= 2000000000 { print; bad = 1 } END { exit bad || NR != 21 }' "$work/errors"
gives_back 'the quickstart'
medians here "$work/local/latency.csv" there "$work/quickstart/latency.csv"

run cancelled "${small[@]}" --out "$work/cancelled" "${live[@]}" &
pid=$!
within 300 has_begun cancelled
check 'a run: its processes are seen on every node' has_process n1 n2 n3
on ctl scancel "$(jobs_of live running)"
wait "$pid"
check 'a cancelled run: exit 3' is "$(cat "$work/cancelled.exit")" 3
check 'a cancelled run: partial results' is "$(column "$work/cancelled/trials.csv" complete)" false
gives_back 'a cancelled run'

PATH=$work/greeting:$PATH run orphans "${small[@]}" --out "$work/orphans" "${live[@]}" &
pid=$!
within 300 has_begun orphans
kill -KILL "$(pid_of orphans)"
wait "$pid"
check 'a killed coordinator: exit 137' is "$(cat "$work/orphans.exit")" 137
gives_back 'a killed coordinator'

# The last one, because the node does not come back.
run dead "${small[@]}" --out "$work/dead" -- --partition=live --nodelist=n2,n3,n4 &
pid=$!
within 300 has_begun dead
stop n4 KILL
wait "$pid"
check 'a dead node: exit 3' is "$(cat "$work/dead.exit")" 3
check 'a dead node: its name' says "$work/dead.log" 'host n4 is lost'
check 'a dead node: partial results' is "$(column "$work/dead/trials.csv" complete)" false
check 'a dead node: the manifest names it' is "$(python3 -c 'import json, sys
print(*[loss["host"] for loss in json.load(open(sys.argv[1]))["hosts_lost"]])' "$work/dead/manifest.json")" n4
gives_back 'a dead node'

for part in "$sweeping" "$submitting"; do wait "$part"; done
for part in sweeps submitted; do
    cat "$work/$part.out"
    passed=$((passed + $(grep -c '^ok ' "$work/$part.out")))
    failed=$((failed + $(grep -c '^FAIL ' "$work/$part.out")))
done
[ "$failed" = 0 ] || echo "what they left is in $work"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
