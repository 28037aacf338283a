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
    local name=$1 log=$work/check.$BASHPID.log
    shift
    if "$@" > "$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok   $name"
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        sed 's/^/     /' "$log"
    fi
}

# says FILE TEXT...: all of these texts are in a file; lines that were folded are one.
says() {
    local file=$1 text said
    shift
    # What draws a diagnostic folds it and draws a margin.
    said=$(sed 's/^ *│//' "$file" | tr -s ' \n' ' ')
    for text in "$@"; do
        [[ $said == *"$text"* ]] || { echo "no \"$text\" in $file:"; cat "$file"; return 1; }
    done
}

# column FILE NAME: the values of a column.
column() {
    [ -e "$1" ] || return 0
    # A note may hold commas.
    python3 -c 'import csv, sys
for row in csv.DictReader(open(sys.argv[1])): print(row[sys.argv[2]])' "$1" "$2"
}

# medians NAME FILE NAME FILE: prints the medians of two runs beside one another.
medians() {
    paste <(column "$2" latency_ns_p50) <(column "$4" latency_ns_p50) | awk -v one="$1" -v other="$3" '
        $1 != "" && $2 != "" { printf "     median %.3f ms %s, %.3f ms %s: %+.3f ms, %+.1f %%\n",
            $1 / 1e6, one, $2 / 1e6, other, ($2 - $1) / 1e6, ($2 / $1 - 1) * 100 }'
}

# has_begun NAME: the first trial of a run has begun, as its members write.
has_begun() { grep -rqs --include=agent.log 'c0 starts' "$work/$1"; }

# are_valid TRIALS.CSV [COUNT]: so many trials, or one at least, and each is valid, or this machine was too busy for its
# network.
are_valid() {
    awk -F, -v count="${2:-}" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["valid"] != "true" && !/refused|datagrams left .* late|kernel dropped/ { print; bad = 1 }
        END { exit bad || NR < 2 || count && NR != count + 1 }' "$1"
}
