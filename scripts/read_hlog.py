#!/usr/bin/env python3
"""Percentiles of an interval log, read by another implementation of HdrHistogram.

    pip install hdrhistogram
    scripts/read_hlog.py FILE.hlog [FILE.hlog ...]
    scripts/read_hlog.py --folder RESULTS

The first prints one CSV row for each tag, all its intervals of all files merged, with the columns of
latency.csv that are read from a histogram; the second compares every trial of a results folder
with its latency.csv, and fails on a difference.

An interval log cannot hold operations that were never answered. latency.csv counts them, and the second
ranks them behind all others; the first knows nothing of them.
"""

import csv
import math
import sys
from urllib.parse import unquote

try:
    from hdrh.histogram import HdrHistogram
    from hdrh.log import HistogramLogReader
except ImportError:
    sys.exit("read_hlog.py needs the package hdrhistogram: pip install hdrhistogram")

HOUR_NS = 3_600_000_000_000
PERCENTILES = [("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("p999", 99.9)]
# A percentile is told with so many operations beyond it.
SAMPLES_BEYOND = 10


def histogram():
    """One with the bounds of flexpaxos."""
    return HdrHistogram(1, HOUR_NS, 3)


def merged(paths):
    """The histogram of each tag."""
    totals = {}
    for path in paths:
        log = HistogramLogReader(path, histogram())
        while (interval := log.get_next_interval_histogram()) is not None:
            totals.setdefault(unquote(interval.get_tag() or ""), histogram()).add(interval)
        log.close()
    return totals


def at_percentile(total, share, unanswered_count):
    """The value that at least this share of the operations does not exceed; empty if it is not known.

    This library rounds to the nearest rank; those of Java and Rust take the next one, which is the
    definition. So the share is that of the rank, and then the libraries agree.
    """
    count = total.get_total_count()
    ranked_count = count + unanswered_count
    rank = max(1, math.ceil(round(share / 100 * ranked_count, 9)))
    if rank > count or (share > 50 and ranked_count * (100 - share) / 100 < SAMPLES_BEYOND - 1e-6):
        return ""
    return total.get_value_at_percentile(100 * rank / count)


def row(tag, total, unanswered_count=0):
    values = {name: at_percentile(total, share, unanswered_count) for name, share in PERCENTILES}
    is_whole = unanswered_count == 0
    return {
        "tag": tag,
        "answered_count": total.get_total_count(),
        "latency_ns_min": total.get_min_value(),
        "latency_ns_mean": round(total.get_mean_value()) if is_whole else "",
        **{f"latency_ns_{name}": value for name, value in values.items()},
        "latency_ns_max": total.get_max_value() if is_whole else "",
    }


def told(folder):
    """What latency.csv says, by trial, backend and tag."""
    with open(f"{folder}/latency.csv", newline="") as table:
        return {
            (
                (int(line["trial"]), line["backend"]),
                f"{line['client_region']}:{line['operation']}",
            ): line
            for line in csv.DictReader(table)
        }


def compare(folder):
    """Compares every histogram of a results folder with latency.csv; gives the differences."""
    rows = told(folder)
    differences = []
    for trial in sorted({trial for trial, _ in rows}):
        number, backend = trial
        for tag, total in merged([f"{folder}/trial-{number:03}.{backend}.hlog"]).items():
            line = rows.pop((trial, tag), None)
            if line is None:
                differences.append(f"trial {trial} {tag}: not in latency.csv")
                continue
            unanswered_count = int(line["unanswered_count"])
            for name, value in row(tag, total, unanswered_count).items():
                # The mean is rounded differently in the last digits by the two libraries.
                if name in ("tag", "latency_ns_mean"):
                    continue
                # Less may be known than ranks say: how long the others were waited for is in no log.
                if unanswered_count and line[name] == "":
                    continue
                if str(value) != line[name]:
                    differences.append(f"trial {trial} {tag} {name}: {value} here, {line[name]} there")
    # Where nothing was answered, there is nothing to log.
    answered = [key for key, line in rows.items() if int(line["answered_count"]) > 0]
    differences += [f"trial {trial} {tag}: in no .hlog" for trial, tag in answered]
    return differences


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--folder":
        count = len(told(sys.argv[2]))
        differences = compare(sys.argv[2])
        print("\n".join(differences) or f"all {count} rows of latency.csv agree")
        sys.exit(1 if differences else 0)
    if len(sys.argv) < 2:
        sys.exit("usage: read_hlog.py FILE.hlog [FILE.hlog ...] | --folder RESULTS")
    rows = [row(tag, total) for tag, total in sorted(merged(sys.argv[1:]).items())]
    if not rows:
        sys.exit("no interval in " + ", ".join(sys.argv[1:]))
    writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


if __name__ == "__main__":
    main()
