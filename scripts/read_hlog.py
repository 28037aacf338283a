#!/usr/bin/env python3
"""Percentiles of an interval log, read by another implementation of HdrHistogram.

    pip install hdrhistogram
    scripts/read_hlog.py FILE.hlog [FILE.hlog ...]

Prints one CSV row for each tag, all its intervals of all files merged, with the columns of
latency.csv that are read from a histogram. The two must agree to the nanosecond.
"""

import csv
import sys

try:
    from hdrh.histogram import HdrHistogram
    from hdrh.log import HistogramLogReader
except ImportError:
    sys.exit("read_hlog.py needs the package hdrhistogram: pip install hdrhistogram")

HOUR_NS = 3_600_000_000_000
PERCENTILES = [("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("p999", 99.9)]
SAMPLES_OF_P999 = 10_000


def histogram():
    """One with the bounds of flexpaxos."""
    return HdrHistogram(1, HOUR_NS, 3)


def merged(paths):
    """The histogram of each tag."""
    totals = {}
    for path in paths:
        log = HistogramLogReader(path, histogram())
        while (interval := log.get_next_interval_histogram()) is not None:
            totals.setdefault(interval.get_tag() or "", histogram()).add(interval)
        log.close()
    return totals


def row(tag, total):
    count = total.get_total_count()
    values = {name: total.get_value_at_percentile(share) for name, share in PERCENTILES}
    if count < SAMPLES_OF_P999:
        values["p999"] = ""
    return {
        "tag": tag,
        "count": count,
        "latency_ns_min": total.get_min_value(),
        "latency_ns_mean": round(total.get_mean_value()),
        **{f"latency_ns_{name}": value for name, value in values.items()},
        "latency_ns_max": total.get_max_value(),
    }


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: read_hlog.py FILE.hlog [FILE.hlog ...]")
    rows = [row(tag, total) for tag, total in sorted(merged(sys.argv[1:]).items())]
    if not rows:
        sys.exit("no interval in " + ", ".join(sys.argv[1:]))
    writer = csv.DictWriter(sys.stdout, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


if __name__ == "__main__":
    main()
