//! Interval logs are read by other programs as we read them.
//!
//! `fixtures/latencies.hlog` is what [`log`] makes, and `fixtures/latencies.csv` is what
//! `scripts/read_hlog.py` printed of it with the Python package hdrhistogram 0.10.8.
//! So the tests need no Python: they hold our writer to the bytes that Python read, and our
//! statistics to the numbers it found.
//! After a deliberate change of the format write the log anew, and let the script print the rest:
//!
//!     UPDATE=1 cargo test --test it hlog
//!     scripts/read_hlog.py tests/it/fixtures/latencies.hlog > tests/it/fixtures/latencies.csv

use std::path::PathBuf;
use std::time::Duration;

use flexpaxos::measure::{
    Latencies, OperationKind, Recorder, Recording, Summary, Window, hlog, store, write_log,
};
use flexpaxos::time::{Span, Time};
use serde::Deserialize;

/// A row as the script prints it.
#[derive(Debug, Deserialize)]
struct Row {
    tag: String,
    answered_count: u64,
    latency_ns_min: u64,
    latency_ns_mean: u64,
    latency_ns_p50: u64,
    latency_ns_p90: Option<u64>,
    latency_ns_p95: Option<u64>,
    latency_ns_p99: Option<u64>,
    latency_ns_p999: Option<u64>,
    latency_ns_max: u64,
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(name)
}

/// Three seconds of a client: 12,000 writes around 70 ms with a long tail, and 300 fast reads.
fn recording() -> Recording {
    let window = Window { from: Time(5_000_000_000), to: Time(8_000_000_000) };
    let length = Span::from_millis(1000);
    let mut recorder = Recorder::new(window, length);
    for index in 0..12_000_u64 {
        let intended_at = window.from + Span(index * 250_000);
        // Spread by a multiplier, so that the values are neither sorted nor round.
        let spread = index.wrapping_mul(2_654_435_761) % 10_007;
        let tail = if spread > 9_900 { (spread - 9_900) * 4_321_987 } else { 0 };
        let latency = Span(69_612_345 + spread * 431 + tail);
        recorder.record(OperationKind::Write, intended_at, intended_at + latency);
        if index % 40 == 0 {
            let latency = Span(1_234 + spread * 3);
            recorder.record(OperationKind::Read, intended_at, intended_at + latency);
        }
    }
    let mut recording = Recording::new(window, length);
    recording.finish(recorder);
    recording
}

/// The interval log of that client.
fn log() -> Vec<u8> {
    let mut bytes = Vec::new();
    write_log(&mut bytes, Duration::from_millis(1_760_000_000_125), &[("us-east-1", &recording())])
        .expect("the log is written to memory");
    bytes
}

/// The lines of a log with their histograms decoded: what it means, whoever compressed it.
fn meaning(bytes: &[u8]) -> (Duration, Vec<hlog::Line>) {
    hlog::read(bytes).expect("a log that we wrote is read")
}

#[test]
fn the_log_that_python_read_is_the_log_we_write() {
    let path = fixture("latencies.hlog");
    let log = log();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &log).unwrap();
    }
    assert_eq!(meaning(&log), meaning(&std::fs::read(&path).unwrap()));
}

#[test]
fn python_finds_the_percentiles_that_we_find() {
    let (_, lines) = meaning(&std::fs::read(fixture("latencies.hlog")).unwrap());
    let rows: Vec<Row> = store::read_csv(&fixture("latencies.csv")).unwrap();
    assert_eq!(
        rows.iter().map(|row| row.tag.as_str()).collect::<Vec<_>>(),
        ["us-east-1:read", "us-east-1:write"]
    );
    for row in rows {
        let of_tag = lines.iter().filter(|line| line.tag == row.tag);
        let total: Latencies = of_tag.map(|line| &line.latencies).collect();
        let ours = Summary::of(&total);
        assert_eq!(ours.count, row.answered_count, "{}", row.tag);
        let values = [
            (ours.min, row.latency_ns_min),
            (ours.mean, row.latency_ns_mean),
            (ours.p50, row.latency_ns_p50),
            (ours.max, row.latency_ns_max),
        ];
        for (ours, python) in values {
            assert_eq!(ours, Some(python), "{}", row.tag);
        }
        let tail = [ours.p90, ours.p95, ours.p99, ours.p999];
        let of_python =
            [row.latency_ns_p90, row.latency_ns_p95, row.latency_ns_p99, row.latency_ns_p999];
        assert_eq!(tail, of_python, "{}", row.tag);
    }
}

#[test]
fn the_intervals_of_the_log_sum_up_to_the_totals_of_the_recording() {
    let (_, lines) = meaning(&log());
    for operation in OperationKind::ALL {
        let tag = format!("us-east-1:{}", operation.name());
        let of_tag = lines.iter().filter(|line| line.tag == tag);
        let total: Latencies = of_tag.map(|line| &line.latencies).collect();
        assert_eq!(total, recording().total(operation).unwrap());
    }
}
