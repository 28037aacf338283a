//! What carries the messages: every layout of QUIC, and TCP, with the same protocol above.

use flexpaxos::runtime::net::namespace;
use flexpaxos::runtime::net::{Congestion, Protocol, Transport};
use nix::unistd::Uid;

use super::*;

/// Whether this host lets TCP have its namespaces; where it does not, the reason is printed, and a
/// host that must is no such host.
pub(super) fn tcp_is_possible() -> bool {
    let congestion = Congestion::NewReno;
    let tcp = Transport { protocol: Protocol::Tcp, congestion, ..Transport::default() };
    let Err(error) = namespace::check(&tcp) else { return true };
    let may = Uid::effective().is_root() && Path::new("/dev/net/tun").exists();
    assert!(!may, "root with /dev/net/tun cannot have TCP: {error}");
    eprintln!("skipped: {error}");
    false
}

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
    site.run(&["--launcher", "in-process"]).check(0, &["6 of 6"]);
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
    for trial in [1, 2] {
        assert_eq!(site.members(trial)["r2"].start_count, Some(2));
    }
}

#[test]
fn tcp_over_the_same_links_carries_a_deployment() {
    if !tcp_is_possible() {
        return;
    }
    let tables = "[sweep]\ntransport.protocol = [\"quic\", \"tcp\"]\n";
    let site = site("uniform:4ms", tables);
    site.run(&["--launcher", "in-process"]).check(0, &["2/2"]);
    check_transports(&site, &["quic/one/fixed", "tcp/one/cubic"]);
    // Its packets were delayed by the emulation, as QUIC's were.
    for trial in site.trials() {
        assert!(trial.link_datagram_count > Some(300), "{trial:?}");
    }
    check_members(&site, 2);
}

#[test]
fn a_process_that_crashes_is_dialled_again_over_tcp() {
    if !tcp_is_possible() {
        return;
    }
    let tables = r#"
[transport]
protocol = "tcp"
congestion = "new-reno"

[[fault]]
at = "100ms"
crash = "b"
restart_after = "100ms"
"#;
    let site = Site::new(&small("fsync", &format!("{MULTI}{tables}")));
    site.run(&[]).check(0, &["1/1"]);
    check_transports(&site, &["tcp/one/new-reno"]);
    let members = site.members(1);
    assert_eq!(members["r1"].start_count, Some(2));
    assert_eq!(members["r1"].executed_count, members["r0"].executed_count);
}

/// Asserts that nobody was lost in any trial.
#[track_caller]
fn check_members(site: &Site, trials: u32) {
    for trial in 1..=trials {
        let members = site.members(trial);
        assert!(members.values().all(|member| member.outcome == "finished"), "{members:?}");
    }
}

/// Root without the right to make namespaces stands for whoever is not root.
#[test]
fn a_host_that_does_not_allow_tcp_says_so_before_anything_runs() {
    let tables = format!("[transport]\nprotocol = \"tcp\"\n{MULTI}");
    let site = Site::new(&small("memory", &tables));
    let run = site.command(&[]);
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_admin,-net_admin", "--inh-caps", "-all", "--"]);
    command.arg(run.get_program()).args(run.get_args()).env("NO_COLOR", "1");
    if Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("skipped: no setpriv to take rights away with");
        return;
    }
    Ended::of(command)
        .check(1, &["cannot make a network namespace", "CAP_SYS_ADMIN", "nothing was started"]);
    assert!(!site.out().exists());
}
