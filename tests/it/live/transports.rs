//! What carries the messages: every layout of QUIC, and TCP, with the same protocol above.

use super::*;

/// Values longer than a datagram, next to messages that fit one.
fn site(profile: &str, tables: &str) -> Site {
    let workload = r#"arrival = { fixed = { rate_per_s = 100 } }
warmup = "200ms"
duration = "500ms"
keys = { uniform = { count = 10 } }
value_bytes = 4000
reads = 0.3"#;
    let tables = format!("[durability]\nmode = \"memory\"\n{MULTI}\n{tables}");
    Site::new(&experiment(profile, r#"["a", "b"]"#, workload, &tables))
}

/// Asserts that every trial is whole and that these carried them.
#[track_caller]
fn check_transports(site: &Site, transports: &[&str]) {
    let trials = site.trials();
    let mut ran: Vec<&str> = trials.iter().map(|trial| trial.transport.as_str()).collect();
    ran.sort_unstable();
    assert_eq!(ran, transports);
    for trial in &trials {
        assert!(trial.valid && trial.complete, "{trial:?}");
        assert_eq!(trial.issued_count, trial.acknowledged_count, "{trial:?}");
        assert!(trial.acknowledged_count > Some(0), "{trial:?}");
        assert_eq!(trial.violation_count, Some(0), "{trial:?}");
        assert_eq!(trial.refused_frame_count, Some(0), "{trial:?}");
    }
    for row in site.latencies() {
        assert!(row.latency_ns_min >= row.floor_ns_p50, "{row:?}");
    }
}

#[test]
fn every_layout_and_controller_carries_a_deployment() {
    let tables = r#"
[[sweep]]
transport.streams = ["one", "per-message", "datagrams"]

[[sweep]]
transport.congestion = ["cubic", "new-reno", "bbr"]
transport.ack_every = [10]
"#;
    let site = site("uniform:4ms", tables);
    site.run(&["--launcher", "in-process"]).check(0, &["6/6"]);
    let transports = [
        "quic/datagrams/fixed",
        "quic/one/bbr",
        "quic/one/cubic",
        "quic/one/fixed",
        "quic/one/new-reno",
        "quic/per-message/fixed",
    ];
    check_transports(&site, &transports);
}

#[test]
fn a_replica_that_crashes_is_dialled_again_on_every_layout() {
    let tables = r#"
[sweep]
transport.streams = ["per-message", "datagrams"]

[[fault]]
at = "100ms"
crash = "c"
restart_after = "100ms"
"#;
    let text = small("fsync", &format!("{MULTI}{tables}"));
    let site = Site::new(&text);
    site.run(&[]).check(0, &["2/2"]);
    check_transports(&site, &["quic/datagrams/fixed", "quic/per-message/fixed"]);
    for trial in [0, 1] {
        assert_eq!(site.members(trial)["r2"].start_count, Some(2));
    }
}
