#!/usr/bin/env bash
# Runs sweeps on a throw-away Slurm cluster of two nodes, and kills one: each node is a network namespace with a host
# name of its own. Needs root; installs what is missing.
#
#   tests/cluster/slurm.sh [PROGRAM]     target/debug/flexpaxos if absent, which is built
#
# Where namespaces are not permitted it is skipped, with the reason.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

prefix=fpq$$-
net=10.215.$((64 + $$ % 128))
work=$(mktemp -d /tmp/flexpaxos-slurm.XXXXXX)
. tests/cluster/common.sh
export SLURM_CONF=$work/slurm.conf

stop() {
    local pids
    pids=$(ip netns pids "$prefix$1" 2>/dev/null)
    # shellcheck disable=SC2086
    [ -z "$pids" ] || kill "-$2" $pids 2>/dev/null
}

finish() {
    local name
    for name in ctl n1 n2; do stop $name TERM; done
    sleep 0.3
    for name in ctl n1 n2; do stop $name KILL; ip netns del "$prefix$name" 2>/dev/null; done
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

if [ $# -gt 0 ]; then
    program=$(readlink -f "$1")
else
    cargo build --locked --bin flexpaxos || exit 1
    program=$PWD/target/debug/flexpaxos
fi

# on HOST COMMAND...: with the network and the name of a host.
on() {
    local host=$1
    shift
    ip netns exec "$prefix$host" unshare --uts -- sh -c '
        hostname "$0" && mount --bind "$1" /etc/hosts && shift && exec "$@"' "$host" "$work/hosts" "$@"
}

mkdir -p "$work"/{state,n1,n2}
chmod 755 "$work"
head -c 128 /dev/urandom > "$work/munge.key"
chmod 400 "$work/munge.key"
munged --force --socket="$work/munge.sock" --key-file="$work/munge.key" --pid-file="$work/munged.pid" \
    --log-file="$work/munged.log" --seed-file="$work/munge.seed" 2> "$work/munged.err"
printf '127.0.0.1 localhost\n%s.254 ctl\n%s.1 n1\n%s.2 n2\n' "$net" "$net" "$net" > "$work/hosts"
ip -n "${prefix}ctl" link set lo up
ip -n "${prefix}ctl" link add br0 type bridge
ip -n "${prefix}ctl" addr add "$net.254/24" dev br0
ip -n "${prefix}ctl" link set br0 up
for k in 1 2; do
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
NodeName=n1 NodeAddr=$net.1 NodeHostname=n1 CPUs=2 RealMemory=2000
NodeName=n2 NodeAddr=$net.2 NodeHostname=n2 CPUs=2 RealMemory=2000
PartitionName=main Nodes=n[1-2] Default=YES State=UP
CONF
# Named, because slurmd looks for one that is mounted otherwise.
echo 'CgroupPlugin=cgroup/v1' > "$work/cgroup.conf"
on ctl slurmctld -c < /dev/null > "$work/slurmctld.out" 2>&1
within 20 on ctl scontrol ping
for k in 1 2; do on n$k slurmd -N n$k < /dev/null > "$work/slurmd-n$k.out" 2>&1; done
two_idle() { [ "$(on ctl sinfo -h -N -t idle -o %N | wc -l)" = 2 ]; }
within 30 two_idle || { echo 'tests/cluster/slurm: the nodes did not start' >&2; cat "$work"/*.out; failed=1; exit 1; }

sweep=(experiments/quickstart.toml --smoke --trials 8)
tables_are_the_same() {
    local table
    for table in "$work"/here/*.csv; do cmp "$table" "$work/$1/$(basename "$table")" || return 1; done
}
is_whole() { on ctl "$program" sweep status "$work/$1"; }
queue_is_empty() { [ -z "$(on ctl squeue -h)" ]; }
no_process() { ! pgrep -f "sweep run --shard .*$work"; }
has_begun() { on ctl squeue -h -t running -w n2 | grep -q . && ls "$work/$1"/parts/*.lock; }
submit() { local name=$1; shift; on ctl "$program" sweep submit --out "$work/$name" "$@"; }

"$program" run "${sweep[@]}" --backend sim --no-report -q --out "$work/here" > "$work/here.log" 2>&1
check 'a sweep is submitted' submit whole "${sweep[@]}" --shards 4
check 'a sweep: whole' within 60 is_whole whole
check 'a sweep: collected' "$program" sweep collect "$work/whole" --no-report
check 'a sweep: the tables of a run here' tables_are_the_same whole
within 20 queue_is_empty

check 'a sweep is submitted that is cancelled' submit lost "${sweep[@]}" --shards 4 -- --no-requeue
within 20 has_begun lost
on ctl scancel "$(ls "$work/lost/parts/jobs")"
check 'a cancelled sweep: the queue is empty' within 30 queue_is_empty
check 'a cancelled sweep: no process is left' within 10 no_process

check 'a cancelled sweep is submitted again' submit lost -- --no-requeue
within 20 has_begun lost
stop n2 KILL
check 'a lost node: the queue empties' within 60 queue_is_empty
check 'a lost node: trials are missing' eval '! is_whole lost'
check 'a lost node: what is missing is submitted again' submit lost
check 'a lost node: whole' within 60 is_whole lost
check 'a lost node: collected' "$program" sweep collect "$work/lost" --no-report
check 'a lost node: the tables of a run here' tables_are_the_same lost
check 'no process is left' within 10 no_process

[ "$failed" = 0 ] || echo "what they left is in $work"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
