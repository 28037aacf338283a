# Shared by the cluster tests, which source it: how they skip, install, wait and count. `work` is their folder.

passed=0
failed=0

# skip REASON: ends the test where this machine does not permit it.
skip() {
    echo "$0: $1" >&2
    rm -rf "$work"
    echo 'skipped'
    exit 0
}

# install PACKAGE...: one test after the other, because the package manager refuses two at once.
install() {
    export DEBIAN_FRONTEND=noninteractive
    { flock 9 && apt-get update && apt-get install -y --no-install-recommends "$@"; } > "$work/apt.log" 2>&1 \
        9> /tmp/flexpaxos-apt.lock || skip "cannot install $*: $(tail -1 "$work/apt.log")"
}

is() { [ "$1" = "$2" ] || { echo "it is $1 and not $2"; return 1; }; }

# within SECONDS COMMAND...: it succeeds by then.
within() {
    local until=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $until ] || { echo "not within the time: $*"; return 1; }
        sleep 0.1
    done
}

# check NAME COMMAND...: counts it as passed if the command succeeds.
check() {
    local name=$1
    shift
    if "$@" > "$work/check.log" 2>&1; then
        passed=$((passed + 1))
        echo "ok   $name"
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        sed 's/^/     /' "$work/check.log"
    fi
}
