#!/usr/bin/env bash
# Machines that ssh reaches, on one machine: each is a network namespace with an address, a host name, a home, an
# sshd with a host key, and a monotonic clock of its own. The operator's machine is one more.
#
#   hosts.sh up DIR [N]         N machines h1 to hN, and the operator's
#   hosts.sh run DIR CMD...     runs a command on the operator's machine
#   hosts.sh on DIR K CMD...    runs a command on machine K
#   hosts.sh pids DIR K         the processes there; K is a number or `op`
#   hosts.sh kill DIR K         ends every process of machine K but its sshd
#   hosts.sh cut|join DIR K     pulls its cable, and plugs it in again
#   hosts.sh down DIR           ends everything
#
# Needs root, openssh-server, openssh-client and iproute2. They share this machine's cores, so the work is real.
set -euo pipefail

prefix=${FPX_TEST_PREFIX:-fpxt-}
net=${FPX_TEST_NET:-10.213.79}
command=$1
dir=$(readlink -m "$2")
shift 2

# Machine K runs 28 hours ahead of the one before it: an instant that crosses machines unaligned is found at once.
hours_ahead() { echo $(($1 * 100000)); }

# Runs a command on a machine: its network, its host name, its hosts file, and a home of its own.
on() {
    local host=$1
    shift
    ip netns exec "$prefix$host" unshare --uts -- sh -c '
        hostname "$0" && mount --bind "$1/hosts" /etc/hosts && mount --bind "$1/home/$0" "$2" &&
        export HOME="$2" && shift 2 && exec "$@"' "$host" "$dir" /root "$@"
}

names() { ip netns list | awk '{print $1}' | grep "^$prefix" || true; }

pids() { ip netns pids "$prefix$1" 2>/dev/null || true; }

up() {
    local n=${1:-3} k
    umask 077
    mkdir -p "$dir/home/op" /run/sshd
    ssh-keygen -q -t ed25519 -N '' -C flexpaxos-test -f "$dir/id"
    cp "$dir/id.pub" "$dir/authorized_keys"
    printf '127.0.0.1 localhost\n%s.254 op\n' "$net" > "$dir/hosts"
    : > "$dir/known_hosts"
    cat > "$dir/ssh_config" <<CONFIG
Host h*
  User root
  IdentityFile $dir/id
  IdentitiesOnly yes
  UserKnownHostsFile $dir/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
CONFIG
    ip netns add "${prefix}op"
    ip -n "${prefix}op" link set lo up
    ip -n "${prefix}op" link add br0 type bridge
    ip -n "${prefix}op" addr add "$net.254/24" dev br0
    ip -n "${prefix}op" link set br0 up
    for ((k = 1; k <= n; k++)); do
        echo "$net.$k h$k" >> "$dir/hosts"
        mkdir -p "$dir/home/h$k"
        ssh-keygen -q -t ed25519 -N '' -C "h$k" -f "$dir/key-h$k"
        echo "h$k,$net.$k $(cut -d' ' -f1,2 "$dir/key-h$k.pub")" >> "$dir/known_hosts"
        ip netns add "${prefix}h$k"
        ip -n "${prefix}h$k" link set lo up
        ip link add "p$k" netns "${prefix}op" type veth peer name eth0 netns "${prefix}h$k"
        ip -n "${prefix}op" link set "p$k" master br0 up
        ip -n "${prefix}h$k" addr add "$net.$k/24" dev eth0
        ip -n "${prefix}h$k" link set eth0 up
    done
    for ((k = 1; k <= n; k++)); do
        on "h$k" unshare --time --monotonic "$(hours_ahead "$k")" --fork -- /usr/sbin/sshd -f /dev/null \
            -E "$dir/sshd-h$k.log" -h "$dir/key-h$k" -o ListenAddress="$net.$k" -o PidFile="$dir/sshd-h$k.pid" \
            -o AuthorizedKeysFile="$dir/authorized_keys" -o StrictModes=no -o UsePAM=no \
            -o PermitRootLogin=prohibit-password -o PasswordAuthentication=no -o MaxStartups=100
    done
    for ((k = 1; k <= n; k++)); do
        for _ in {1..100}; do
            on op ssh -F "$dir/ssh_config" "h$k" true 2>/dev/null && continue 2
            sleep 0.05
        done
        echo "hosts.sh: machine h$k does not answer" >&2
        cat "$dir/sshd-h$k.log" >&2
        return 1
    done
}

case $command in
up) up "$@" ;;
run) on op "$@" ;;
on) host=$1; shift; on "$host" "$@" ;;
pids) pids "$1" ;;
kill)
    sshd=$(cat "$dir/sshd-$1.pid")
    for pid in $(pids "$1"); do
        [ "$pid" = "$sshd" ] || kill -KILL "$pid" 2>/dev/null || true
    done
    ;;
cut) ip -n "${prefix}op" link set "p${1#h}" down ;;
join) ip -n "${prefix}op" link set "p${1#h}" up ;;
down)
    for signal in TERM KILL; do
        for name in $(names); do
            pids=$(pids "${name#"$prefix"}")
            # shellcheck disable=SC2086
            [ -z "$pids" ] || kill "-$signal" $pids 2>/dev/null || true
        done
        sleep 0.2
    done
    for name in $(names); do ip netns del "$name"; done
    ;;
*)
    echo "usage: $0 up|run|on|pids|kill|cut|join|down DIR ..." >&2
    exit 2
    ;;
esac
