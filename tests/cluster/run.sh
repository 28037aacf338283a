#!/usr/bin/env bash
# Runs experiments on throw-away ssh hosts, and breaks them: each host is a network namespace with an sshd and a
# clock of its own, hours ahead of the others (hosts.sh). Needs root; installs what is missing.
# Nothing that is asserted depends on how fast this machine is: times are printed, and only what the configuration
# guarantees is checked. Cases on different hosts run side by side.
#
#   tests/cluster/run.sh [PROGRAM]     target/debug/flexpaxos if absent, which is built
#
# Where namespaces are not permitted it is skipped, with the reason.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

export FPX_TEST_PREFIX=fpx$$-
export FPX_TEST_NET=10.213.$((64 + $$ % 128))
here=tests/cluster
work=$(mktemp -d /tmp/flexpaxos-cluster.XXXXXX)
. tests/cluster/common.sh
hosts=$work/hosts

finish() {
    for pid in $(jobs -p); do kill "$pid" 2>/dev/null; done
    "$here/hosts.sh" down "$hosts" 2>/dev/null
    [ "$failed" = 0 ] && rm -rf "$work"
}

[ "$(id -u)" = 0 ] || skip 'it must be root to make network namespaces'
missing=()
[ -x /usr/sbin/sshd ] || missing+=(openssh-server)
command -v ssh > /dev/null || missing+=(openssh-client)
command -v ip > /dev/null || missing+=(iproute2)
[ ${#missing[@]} = 0 ] || install "${missing[@]}"
ip netns add "${FPX_TEST_PREFIX}try" 2> "$work/try.log" || skip "no network namespaces: $(cat "$work/try.log")"
ip netns del "${FPX_TEST_PREFIX}try"
unshare --uts --time --monotonic 100 --fork true 2> "$work/try.log" \
    || skip "no namespaces of names and clocks: $(cat "$work/try.log")"

if [ $# -gt 0 ]; then
    program=$1
else
    cargo build --locked --bin flexpaxos || exit 1
    program=target/debug/flexpaxos
fi
# Without what a debugger reads it is a quarter of the size, and it is copied to each host.
strip -o "$work/flexpaxos" "$program" 2>/dev/null || cp "$program" "$work/flexpaxos"
program=$work/flexpaxos

trap finish EXIT
"$here/hosts.sh" up "$hosts" 11 || { echo 'tests/cluster: the hosts did not start' >&2; exit 1; }
ssh_command="ssh -F $hosts/ssh_config"

# flexpaxos on the operator's machine.
operator() { "$here/hosts.sh" run "$hosts" "$program" "$@"; }

# run NAME HOSTFILE EXPERIMENT OPTION...: on hosts, into $work/NAME; what it prints is in $work/NAME.log, and its exit
# code in $work/NAME.exit.
run() {
    local name=$1 file=$2 experiment=$3
    shift 3
    operator run "$experiment" --engine ssh --hosts "$file" --ssh-command "$ssh_command" --no-report \
        --out "$work/$name" "$@" > "$work/$name.log" 2>&1
    ended=$?
    echo "$ended" > "$work/$name.exit"
    return "$ended"
}

# is_sound NAME: a run ended as it should, with 1 if a trial is not valid, because this machine was too busy.
is_sound() {
    local ended expected=0
    ended=$(cat "$work/$1.exit")
    ! column "$work/$1/trials.csv" valid | grep -q false || expected=1
    are_valid "$work/$1/trials.csv" && is "$ended" "$expected" && return
    cat "$work/$1.log"
    return 1
}

# The processes of flexpaxos on the machines.
members() {
    local machine pid
    for machine in "$@"; do
        for pid in $("$here/hosts.sh" pids "$hosts" "$machine"); do
            tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -E '/flexpaxos/[0-9a-f]{64} (agent|supervise)' \
                | sed "s/^/$machine: $pid /"
        done
    done
}

no_member() {
    local found
    found=$(members "$@")
    [ -z "$found" ] || { echo "$found"; return 1; }
}

has_member() {
    local host
    for host in "$@"; do ! no_member "$host" || { echo "none on $host"; return 1; }; done
}

# notice NAME HOST: prints how soon the loss of a host was noticed, by the coordinator's clock; not before the time in
# which a host may be silent.
notice() {
    python3 - "$work/$1/manifest.json" "$2" > "$work/notice" <<'PYTHON'
import json, sys
losses = [loss for loss in json.load(open(sys.argv[1]))["hosts_lost"] if loss["host"] == sys.argv[2]]
for loss in losses:
    print("noticed %.3f s after the last sign of %s" % (loss["silent_ns"] / 1e9, loss["host"]))
sys.exit(len(losses) != 1 or losses[0]["silent_ns"] < 2e9)
PYTHON
    check "a lost host ($1): noticed, and not before its time" is $? 0
    sed 's/^/     /' "$work/notice"
}

# shaped FILE COLUMN: in a profile of the shaped links, both rows of a pair together take no less than was shaped.
shaped() {
    python3 - "$1" "$2" > "$work/shaped.now" <<'PYTHON'
import csv, sys
rows = list(csv.DictReader(line for line in open(sys.argv[1]) if not line.startswith("#")))
taken = {frozenset((row["from"], row["to"])): [] for row in rows if row["from"] != row["to"]}
for row in rows:
    if row["from"] != row["to"]:
        taken[frozenset((row["from"], row["to"]))].append(float(row[sys.argv[2]]))
asked = {frozenset("ab"): 60, frozenset("ac"): 90, frozenset("bc"): 130}
for pair, shaped in asked.items():
    mean = sum(taken[pair]) / 2
    print("%s: %s %.3f ms, shaped %d ms: %+.3f ms, %+.1f %%" %
        ("-".join(sorted(pair)), sys.argv[2], mean, shaped, mean - shaped, (mean / shaped - 1) * 100))
sys.exit(any(len(taken[pair]) != 2 or sum(taken[pair]) < 2 * shaped for pair, shaped in asked.items()))
PYTHON
    local is_right=$?
    cat "$work/shaped.now"
    cat "$work/shaped.now" >> "$work/shaped"
    return "$is_right"
}

# in_order FILE: the medians of the shaped links are in the order of their delays.
in_order() {
    awk -F, '/^(a|b|c),/ && $1 < $2 { rtt[$1 $2] = $3 }
        END { for (pair in rtt) print pair, rtt[pair]; exit !(rtt["ab"] < rtt["ac"] && rtt["ac"] < rtt["bc"]) }' "$1"
}

# has_rows NAME COUNT: so many trials of a run are on disk.
has_rows() { [ "$(column "$work/$1/trials.csv" trial | wc -l)" -ge "$2" ]; }

cat > "$hosts/three.txt" <<'HOSTS'
h1 region=us-east-1,ca-central-1
h2 region=us-west-2,eu-west-1
h3 region=ap-northeast-1,ap-southeast-2
HOSTS
printf 'h1\nh2\nh3\n' > "$hosts/bare.txt"
printf 'h4\nh5\nh6\n' > "$hosts/others.txt"
printf 'h9 region=a\nh10 region=b\nh11 region=c\n' > "$hosts/shaped.txt"
printf 'h4 region=a,b\nh6 region=c expendable=true\n' > "$hosts/expendable.txt"
# These three share the folder that the program is copied to, as homes on NFS do.
mkdir "$hosts/shared"
for k in 1 2 3; do ln -s "$hosts/shared" "$hosts/home/h$k/.cache"; done

small=tests/cluster/small.toml

# Two hosts between which nothing passes.
"$here/hosts.sh" on "$hosts" h7 ip route add blackhole "$FPX_TEST_NET.8/32"
printf 'h7 region=a,b\nh8 region=c\n' > "$hosts/walled.txt"
run walled "$hosts/walled.txt" "$small" --no-probe &
walled=$!

# A cable that is pulled; then that of a host whose loss the host file allows: the run goes on without it.
cut_cable() {
    run cut "$hosts/others.txt" "$small" --no-probe --set 'trials=2' &
    within 60 has_begun cut
    "$here/hosts.sh" cut "$hosts" h6
    wait $!
    within 10 no_member h4 h5
    within 20 no_member h6
    no_member h4 h5 h6 > "$work/cut.left"
    "$here/hosts.sh" join "$hosts" h6
    run expended "$hosts/expendable.txt" "$small" --set 'trials=4' --set 'probe.tolerance="1s"' &
    within 60 has_begun expended
    "$here/hosts.sh" cut "$hosts" h6
    # It comes back when two trials went without it.
    within 90 has_rows expended 2
    "$here/hosts.sh" join "$hosts" h6
    wait $!
    # Power fails: the others hear nothing of its end.
    run dead "$hosts/others.txt" "$small" --no-probe &
    within 60 has_begun dead
    "$here/hosts.sh" cut "$hosts" h5
    "$here/hosts.sh" kill "$hosts" h5
    wait $!
    within 10 no_member h4 h5 h6
    no_member h4 h5 h6 > "$work/dead.left"
}
cut_cable &
cables=$!

# Real links with delays.
subnet=10.214.${FPX_TEST_NET##*.}
"$here/shaped_links.py" "$subnet" "${FPX_TEST_PREFIX}h9=9" "${FPX_TEST_PREFIX}h10=10" "${FPX_TEST_PREFIX}h11=11" \
    -- 9:10:30 9:11:45 10:11:65 > "$work/shaper" 2>&1 &

# measure NAME TIME: measures these links for so long, into $work/NAME.csv.
measure() {
    operator measure-links --hosts "$hosts/shaped.txt" --ssh-command "$ssh_command" --subnet "$subnet.0/24" \
        --for "$2" --out "$work/$1.csv" > "$work/$1.log" 2>&1
    echo $? > "$work/$1.exit"
}

# Whole, and ended by Ctrl-C long before its time.
measure_links() {
    within 10 grep -q ready "$work/shaper"
    measure links 5s
    measure cut-links 1h &
    within 60 grep -q '^10 of 3600 s: ' "$work/cut-links.log"
    for process in $("$here/hosts.sh" pids "$hosts" op); do
        if tr '\0' ' ' < "/proc/$process/cmdline" 2>/dev/null | grep -q -- "measure-links .*--out $work/cut-links"; then
            kill -INT "$process"
        fi
    done
    wait $!
}
measure_links &
links=$!

# Mistakes of a host file: all at once, and nothing is started.
printf 'h1 regoin=a\nh2 region=a role=acceptor\n\n=h3\n' > "$hosts/mistakes.txt"
run mistakes "$hosts/mistakes.txt" "$small"
check 'mistakes of a host file: exit 2' is $? 2
check 'mistakes of a host file: each with its line' says "$work/mistakes.log" \
    'mistakes.txt:1: there is no key "regoin" (did you mean region?)' \
    'mistakes.txt:2: there is no role "acceptor"' 'mistakes.txt:4: "=h3"'
printf 'h1 region=a\nh2 region=b\n' > "$hosts/homeless.txt"
run homeless "$hosts/homeless.txt" "$small"
check 'a region without a host: exit 2' is $? 2
check 'a region without a host: its name' says "$work/homeless.log" 'no host takes r2 in region c'

run homeless-dry "$hosts/homeless.txt" "$small" --dry-run
check 'a dry run without a host for all: exit 2' is $? 2
check 'a dry run without a host for all: who has one, and who has not' says "$work/homeless-dry.log" \
    'r1 b h2 2' 'r2 c - -' 'no host takes r2 in region c'
run dry "$hosts/bare.txt" "$small" --dry-run
check 'a dry run: exit 0' is $? 0
check 'a dry run: each member with its host, and nothing is started' says "$work/dry.log" \
    'r0 a h1 1 c0' 'r2 c h3 3' 'nothing was started'
check 'a dry run: no results' is "$(ls -d "$work/dry" 2>/dev/null)" ''

# Another host key than the known one: nothing is started, and nobody switches the check off.
cp "$hosts/known_hosts" "$hosts/known_hosts.good"
sed -i "/^h2,/s/ .*/ $(cut -d' ' -f1,2 "$hosts/key-h3.pub" | sed 's,/,\\/,g')/" "$hosts/known_hosts"
run wrong-key "$hosts/bare.txt" "$small"
check 'a wrong host key: exit 4' is $? 4
check 'a wrong host key: the host and what ssh says' says "$work/wrong-key.log" \
    'h2 cannot be used' 'Host key verification failed'
cp "$hosts/known_hosts.good" "$hosts/known_hosts"
check 'a wrong host key: nothing runs' within 10 no_member h1 h2 h3

# Two experiments at once on the same hosts, with faults of every kind.
cat "$small" - > "$work/faults.toml" <<'FAULTS'
[[fault]]
at = "300ms"
crash = "r1"
restart_after = "300ms"
[[fault]]
at = "1200ms"
pause = "r2"
lasts = "300ms"
[[fault]]
at = "2s"
partition = "r2"
lasts = "300ms"
FAULTS
# Six uploads to one place.
rm -rf "$hosts/shared/flexpaxos"
run other "$hosts/bare.txt" "$small" --no-probe &
other=$!
run faults "$hosts/bare.txt" "$work/faults.toml" --no-probe
check 'faults on hosts: as it should' is_sound faults
check 'faults on hosts: all three began' is "$(column "$work/faults/recovery.csv" fault_kind | xargs)" \
    'crash pause partition'
wait "$other"
check 'two experiments at once: as they should' is_sound other
check 'two experiments at once: one program, whole' is \
    "$(cd "$hosts/shared/flexpaxos" && echo *)" "$(sha256sum < "$program" | cut -d' ' -f1) scratch"
check 'a run leaves nothing behind' within 10 no_member h1 h2 h3
check 'a run leaves no files behind' is \
    "$(find "$hosts/shared/flexpaxos/scratch" -mindepth 1 | wc -l)" 0
# A round trip that takes longer than a host may be silent does not happen.
column "$work/other/members.csv" clock_error_ns > "$work/errors"
check 'clocks that are 28 hours apart: known' awk '
    $1 == "" || $1 >= 2000000000 { print; bad = 1 } END { exit bad || NR != 4 }' "$work/errors"
awk '{ printf "     within %.3f ms\n", $1 / 1e6 }' "$work/errors"
# Nothing is taken off the delays without a probe, and no datagram leaves early; histograms have three digits.
paste <(column "$work/other/latency.csv" latency_ns_p50) <(column "$work/other/latency.csv" floor_ns_p50) > "$work/floors"
check 'medians without a probe: none below its floor' awk '
    $1 != "" && $1 < $2 * 0.998 { print; bad = 1 } END { exit bad }' "$work/floors"
awk '$1 != "" { printf "     median %.3f ms, floor %.3f ms\n", $1 / 1e6, $2 / 1e6 }' "$work/floors"
operator verify "$work/other" > "$work/verify.log" 2>&1
check 'histories of three clocks are checked again' is $? 0
check 'the bound of the clocks lies beside the histories' is \
    "$(cat "$work/other/histories/trial-001.live/clocks_apart_ns")" "$(column "$work/other/trials.csv" clocks_apart_ns)"

# A member that is killed.
run killed "$hosts/bare.txt" "$small" --no-probe &
pid=$!
within 60 has_begun killed
check 'a run: its members are seen on every host' has_member h1 h2 h3
# shellcheck disable=SC2046
kill -KILL $(members h3 | grep ' agent ' | awk '{print $2}')
wait "$pid"
check 'a killed member: exit 3' is $? 3
check 'a killed member: partial, with its name' says "$work/killed.log" 'lost r2'
check 'a killed member: partial results' is "$(column "$work/killed/trials.csv" complete)" false
check 'a killed member: nothing is left' within 10 no_member h1 h2 h3

# A coordinator that is killed: what its ssh started ends by itself.
run orphans "$hosts/bare.txt" "$small" --no-probe &
pid=$!
within 60 has_begun orphans
for process in $("$here/hosts.sh" pids "$hosts" op); do
    # The coordinator itself; not the ssh of this and other runs.
    if tr '\0' ' ' < "/proc/$process/cmdline" 2>/dev/null | grep -q -- "run $small .*--out $work/orphans"; then
        kill -KILL "$process"
    fi
done
wait "$pid"
check 'a killed coordinator: exit 137' is $? 137
check 'a killed coordinator: no orphan on any host' within 20 no_member h1 h2 h3
check 'a killed coordinator: what a client measured stays' is \
    "$(find "$hosts/shared/flexpaxos/scratch" -name '*.hlog' | wc -l)" 1

# The quickstart as it stands, on this machine; that on three hosts comes when these have nothing else to do.
quickstart=(experiments/quickstart.toml --smoke --set 'probe.tolerance="20ms"')
operator run "${quickstart[@]}" --no-calibrate --no-report --out "$work/local" > "$work/local.log" 2>&1 &
at_home=$!

wait "$cables"
check 'a lost host: exit 3' is "$(cat "$work/cut.exit")" 3
check 'a lost host: its name' says "$work/cut.log" 'host h6 is lost'
check 'a lost host: the trial is kept, and flagged' is "$(column "$work/cut/trials.csv" complete)" false
check 'a lost host: nothing of the run is left on any' is "$(cat "$work/cut.left")" ''
notice cut h6
check 'an expendable host: the run goes on' is_sound expended
check 'an expendable host: complete without it' is "$(column "$work/expended/trials.csv" complete | xargs)" \
    'true true true true'
lost_or_there() { column "$1" flag_codes | awk '{ print /lost-host/ ? "lost" : "there" }' | xargs; }
check 'an expendable host: the rows say so, until it is back' \
    grep -qE '^lost lost (lost )?there' <(lost_or_there "$work/expended/trials.csv")
check 'an expendable host: the others probe their links without it' is \
    "$(awk -F, '$1 == 2 && /,r2,/' "$work/expended/links.csv" | wc -l) of $(awk -F, '$1 == 2' "$work/expended/links.csv" | wc -l)" \
    '0 of 6'
notice expended h6
check 'a dead host: exit 3' is "$(cat "$work/dead.exit")" 3
check 'a dead host: its name' says "$work/dead.log" 'host h5 is lost'
check 'a dead host: the trial is kept, and flagged' is "$(column "$work/dead/trials.csv" complete)" false
check 'a dead host: nothing of the run is left on any' is "$(cat "$work/dead.left")" ''
printf 'h4 region=a expendable=true\nh6\n' > "$hosts/expendable-client.txt"
run expendable-client "$hosts/expendable-client.txt" "$small"
check 'an expendable host with a client: exit 2' is $? 2
check 'an expendable host with a client: its line' says "$work/expendable-client.log" \
    'expendable-client.txt:1: h4 is expendable, and c0 runs there'

wait "$walled"
check 'two hosts that cannot reach each other: exit 4' is "$(cat "$work/walled.exit")" 4
check 'two hosts that cannot reach each other: the pair, and what to open' says "$work/walled.log" \
    'on h7 at' 'on h8 at' 'cannot reach each other: let UDP pass between the two, ports'

wait "$links"
check 'measure-links: exit 0' is "$(cat "$work/links.exit")" 0
check 'measure-links: no round trip below the delays' shaped "$work/links.csv" min_ms
check 'measure-links: links in their order' in_order "$work/links.csv"
check 'measure-links: each ping is answered or lost' awk '
    / answered, / { all[$5 + $7]++; links++ } END { for (n in all) print n, all[n]; exit links != 6 || all[250] != 6 }' \
    "$work/links.csv"
check 'measure-links: the table and the file' says "$work/links.log" 'p99 (ms)' "profile in $work/links.csv"
check 'measure-links: Ctrl-C: exit 3' is "$(cat "$work/cut-links.exit")" 3
check 'measure-links: Ctrl-C: what was measured is there, and said to be cut' says "$work/cut-links.csv" \
    ', then interrupted' 'a,b,'
check 'measure-links: Ctrl-C: no round trip below the delays' shaped "$work/cut-links.csv" min_ms
check 'measure-links: nothing is left' within 10 no_member h9 h10 h11
wait "$at_home"
# As the profile of a run that injects nothing, and then of the simulator, which is told what the machine adds.
operator calibrate --quick --out "$work/machine.json" > "$work/calibrate.log" 2>&1
run native "$hosts/shaped.txt" "$small" --subnet "$subnet.0/24" --set 'topology.profile="native"' \
    --set 'topology.clients=["a", "c"]'
operator run "$small" --backend sim --no-report --out "$work/simulated" --calibration "$work/machine.json" \
    --set "topology.profile=\"$work/native/native.csv\"" --set 'topology.clients=["a", "c"]' > "$work/simulated.log" 2>&1
simulated=$?
check 'native links: as it should' is_sound native
# Each row is twice a one-way time of two clocks; in the two rows of a pair, what these are apart cancels.
check 'native links: no pair below its delays' shaped "$work/native/native.csv" rtt_ms
check 'native links: in their order' in_order "$work/native/native.csv"
check 'native links: the simulator takes them' is "$simulated" 0
sed 's/^/     /' "$work/shaped"
medians simulated "$work/simulated/latency.csv" live "$work/native/latency.csv"

# The transport of the kernel, which has a network of its own for each member.
run tcp "$hosts/bare.txt" "$small" --no-probe --set 'transport.protocol="tcp"'
check 'TCP on hosts: as it should' is_sound tcp
check 'TCP on hosts: the rows say so' is "$(column "$work/tcp/trials.csv" transport 2>/dev/null | xargs)" tcp/one/cubic

# The quickstart as it stands, on three hosts.
run quickstart "$hosts/three.txt" "${quickstart[@]}"
check 'the quickstart on three hosts: as it should' is_sound quickstart
medians here "$work/local/latency.csv" there "$work/quickstart/latency.csv"
check 'the quickstart on three hosts: every path was measured' awk -F, '
    NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    $at["measured_count"] == 0 { print; bad = 1 } END { exit bad || NR < 2 }' "$work/quickstart/links.csv"
check 'the quickstart on three hosts: the manifest lists them' is \
    "$(grep -cs '"host": "h[123]"' "$work/quickstart/manifest.json")" 3

[ "$failed" = 0 ] || echo "what they left is in $work"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
