#!/usr/bin/env bash
# Loads simulated results with scripts/load.py and scripts/load.R, and compares every trial, latency and
# recovery that they read with the text of the CSV files.
#
#   scripts/check_loaders.sh --install     installs what it needs, and ends
#   scripts/check_loaders.sh     FLEXPAXOS names the program; the dev build is used if it is not given
#
# It also tries the JSON schema of experiment files.
# Writes to target/loaders. It installs pandas, jsonschema and matplotlib there, and R if that is missing and this is root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=target/loaders
python="$work/venv/bin/python"
mkdir -p "$work"

fail() {
    printf 'check_loaders: %s\n' "$*" >&2
    exit 1
}

if ! "$python" -c 'import pandas, jsonschema, matplotlib' 2>/dev/null; then
    command -v python3 >/dev/null || fail 'python3 is missing; install it'
    python3 -m venv "$work/venv" || fail 'python3 cannot make a venv; install its package `venv`'
    "$work/venv/bin/pip" install --quiet pandas jsonschema matplotlib || fail 'pip cannot install pandas, jsonschema and matplotlib'
fi
if ! command -v Rscript >/dev/null; then
    [ "$(id -u)" = 0 ] || fail 'Rscript is missing; install R (Debian: r-base-core)'
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends r-base-core; } >&2 ||
        fail 'Rscript is missing, and apt-get cannot install r-base-core'
fi

if [ "${1:-}" = --install ]; then exit 0; fi

# A small experiment with what is easily read wrongly: a region called NA, one with a comma, values that are
# absent, swept keys and seeds of 64 bits; with the seed $1.
experiment() {
    cat <<TOML
question = "Do other languages read what was written?"
prediction = "Yes, to the nanosecond."
seed = $1
trials = 2

[topology]
profile = "uniform:20ms"
replicas = ["NA", "b", "c"]
clients = ["NA", "x, y"]

[workload]
arrival = { poisson = { rate_per_s = 100 } }
warmup = "200ms"
duration = "1500ms"
reads = 0.2
retry_after = "300ms"

[[variant]]
name = "multi"
protocol = { multi = { leader = "NA" } }
quorums = { majority = {} }

[[fault]]
at = "500ms"
crash = "leader"
restart_after = "200ms"

[sweep]
workload.value_bytes = [16, 64]
TOML
}

# What the CSV files of the folder $1 say, as text.
facts_of_text() {
    python3 - "$1" <<'PYTHON'
import csv, sys


def rows(name):
    with open(f"{sys.argv[1]}/{name}.csv", newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def show(kind, row, *columns):
    print(kind, *(row[column] or "-" for column in columns), sep="|")


for row in rows("trials"):
    show("trial", row, "trial", "seed", "valid", "repetition", "swept_workload_value_bytes")
for row in rows("latency"):
    show("latency", row, "trial", "client_region", "operation", "answered_count", "latency_ns_p50",
        "latency_ns_p99", "residual_ns_p50")
for row in rows("recovery"):
    show("recovery", row, "trial", "fault", "target", "client_region", "new_leader", "recovered",
        "first_ack_ns", "delayed_count")
PYTHON
}

# The same as scripts/load.py reads it.
facts_of_pandas() {
    PYTHONPATH=scripts "$python" - "$1" <<'PYTHON'
import sys
import pandas as pd
from load import load

tables = load(sys.argv[1])
taken = {column for table in tables.values() for column in table if hasattr(pd.DataFrame, column)}
if taken:
    sys.exit(f"check_loaders: columns that pandas calls otherwise: {sorted(taken)}")


def show(kind, table, *columns):
    for row in tables[table][list(columns)].itertuples(index=False):
        values = ["-" if pd.isna(value) or value == "" else value for value in row]
        values = [str(v).lower() if pd.api.types.is_bool(v) else v for v in values]
        print(kind, *values, sep="|")


show("trial", "trials", "trial", "seed", "valid", "repetition", "swept_workload_value_bytes")
show("latency", "latency", "trial", "client_region", "operation", "answered_count", "latency_ns_p50",
    "latency_ns_p99", "residual_ns_p50")
show("recovery", "recovery", "trial", "fault", "target", "client_region", "new_leader", "recovered",
    "first_ack_ns", "delayed_count")
PYTHON
}

# The same as scripts/load.R reads it.
facts_of_r() {
    cat > "$work/facts.R" <<'R'
source("scripts/load.R")
tables <- load_results(commandArgs(trailingOnly = TRUE))
for (table in tables) stopifnot(make.names(names(table)) == names(table))
text <- function(values) {
    shown <- if (is.logical(values)) tolower(as.character(values))
        else if (is.numeric(values)) sprintf("%.0f", values)
        else values
    shown[is.na(values) | shown == ""] <- "-"
    shown
}
show <- function(kind, table, ...) {
    columns <- lapply(tables[[table]][c(...)], text)
    writeLines(do.call(paste, c(list(kind), unname(columns), sep = "|")))
}
show("trial", "trials", "trial", "seed", "valid", "repetition", "swept_workload_value_bytes")
show("latency", "latency", "trial", "client_region", "operation", "answered_count", "latency_ns_p50",
    "latency_ns_p99", "residual_ns_p50")
show("recovery", "recovery", "trial", "fault", "target", "client_region", "new_leader", "recovered",
    "first_ack_ns", "delayed_count")
R
    Rscript "$work/facts.R" "$1"
}

"$python" scripts/check_schema.py || fail 'the schema of experiment files is wrong'

if [ -z "${FLEXPAXOS:-}" ]; then
    cargo build --locked --quiet --bin flexpaxos
    FLEXPAXOS=target/debug/flexpaxos
fi
rm -rf "$work/one" "$work/two"
for name in one two; do
    if [ "$name" = one ]; then seed=1; else seed=2; fi
    experiment "$seed" > "$work/$name.toml"
    "$FLEXPAXOS" run "$work/$name.toml" --backend sim --quiet --out "$work/$name" > "$work/said" 2>&1 ||
        { cat "$work/said" >&2; fail 'the experiment failed'; }
    facts_of_text "$work/$name" > "$work/$name.text"
done
# References have their large tables compressed.
gzip -9n "$work/two/latency.csv"

grep -q '^latency|1|NA|write|' "$work/one.text" || fail 'the region NA is not in latency.csv'
grep -Eq '^trial\|1\|s[0-9]{17,20}\|true\|1\|' "$work/one.text" || fail 'no seed of 64 bits in trials.csv'
grep -q '|-' "$work/one.text" || fail 'no value is absent'
for name in one two; do
    facts_of_pandas "$work/$name" > "$work/$name.pandas"
    facts_of_r "$work/$name" > "$work/$name.r"
    for reader in pandas r; do
        diff "$work/$name.text" "$work/$name.$reader" >&2 ||
            fail "the loader for $reader reads other values than the CSV files have"
    done
done
# The comparison is one that can fail.
if diff -q "$work/one.text" "$work/two.r" >/dev/null; then fail 'two seeds have the same results'; fi

for said in "$("$python" scripts/load.py "$work/one")" "$(Rscript scripts/load.R "$work/one")"; do
    grep -q '^trials: 4 rows' <<< "$said" || fail "a loader does not print its tables: $said"
    grep -q ' NA ' <<< "$said" || fail "a loader does not print the medians of the region NA: $said"
done
if "$python" scripts/load.py src 2> "$work/said"; then fail 'load.py reads a folder without tables'; fi
grep -q 'has no columns.csv' "$work/said" || fail 'load.py does not say what is missing'
if Rscript scripts/load.R src 2> "$work/said"; then fail 'load.R reads a folder without tables'; fi
grep -q 'has no columns.csv' "$work/said" || fail 'load.R does not say what is missing'

printf 'pandas and R read %s rows as they were written\n' "$(wc -l < "$work/one.text")" >&2
