//! Every setting of an experiment file as it takes effect, by its key.

use std::io::{self, Write};

use super::words;
use crate::experiment::file::Source;
use crate::experiment::plan::{Plan, Point};
use crate::protocol::Election;
use crate::report::table::fold;
use crate::runtime::net::{Congestion, Layout, Protocol};
use crate::time::Span;
use crate::workload::{Arrival, Keys};

/// The value of one key at a point.
type Value = fn(&Point) -> String;

/// The keys that have one value for all variants and faults, each with its value.
pub(super) const SETTINGS: [(&str, Value); 53] = [
    ("topology.profile", |point| point.profile.clone()),
    ("topology.replicas", |point| point.links.replica_regions.join(", ")),
    ("topology.clients", |point| super::clients(point).join(", ")),
    ("topology.jitter", |point| if point.links.vary() { "profile" } else { "none" }.to_owned()),
    ("topology.correlation", |point| if_any(point.links.vary(), point.network.correlation)),
    ("workload.arrival", |point| arrival(&point.workload.arrival)),
    ("workload.warmup", |point| words::length(point.warmup)),
    ("workload.duration", |point| words::length(point.duration)),
    ("workload.drain", |point| words::length(point.drain)),
    ("workload.interval", |point| words::length(point.interval)),
    ("workload.retry_after", |point| words::length(point.retry_after)),
    ("workload.keys", |point| keys(&point.workload.keys)),
    ("workload.conflicts", |point| {
        or(point.workload.conflicts, "none: the regions share all keys")
    }),
    ("workload.value_bytes", |point| point.workload.value_bytes.to_string()),
    ("workload.reads", |point| point.workload.reads.to_string()),
    ("clock.bound", |point| {
        let bound = point.variants.iter().find_map(|variant| variant.mode.clock_bound());
        bound.map_or_else(|| NONE.to_owned(), words::length)
    }),
    ("clock.error", |point| {
        let has_clocks = point.variants.iter().any(|it| it.mode.clock_bound().is_some());
        if_any(has_clocks, point.clock_error)
    }),
    ("control.no-quorum", |point| point.control.is_some().to_string()),
    ("control.rate_per_s", |point| {
        point.control.map_or_else(|| NONE.to_owned(), |it| it.rate_per_s.to_string())
    }),
    ("durability.mode", |point| words::durability(point.durability)),
    ("election.mode", |point| match point.election {
        Election::Fixed => "fixed".to_owned(),
        Election::Timeout(_) => "timeout".to_owned(),
    }),
    ("election.heartbeat", |point| detector(point, |it| words::length(it.heartbeat))),
    ("election.misses", |point| detector(point, |it| it.misses.to_string())),
    ("election.spread", |point| detector(point, |it| words::length(it.spread))),
    ("log.retained_slots", |point| or(point.retention.slots, "all")),
    ("transport.protocol", |point| match point.transport.protocol {
        Protocol::Quic => "quic".to_owned(),
        Protocol::Tcp => "tcp".to_owned(),
    }),
    ("transport.streams", |point| match point.transport.streams {
        Layout::One => "one".to_owned(),
        Layout::PerMessage => "per-message".to_owned(),
        Layout::Datagrams => "datagrams".to_owned(),
    }),
    ("transport.congestion", |point| point.transport.congestion.name().to_owned()),
    ("transport.congestion_window_bytes", |point| match point.transport.congestion {
        Congestion::Fixed { window_bytes } => window_bytes.to_string(),
        _ => NONE.to_owned(),
    }),
    ("transport.stream_window_bytes", |point| point.transport.stream_window_bytes.to_string()),
    ("transport.send_window_bytes", |point| point.transport.send_window_bytes.to_string()),
    ("transport.mtu_bytes", |point| point.transport.mtu_bytes.to_string()),
    ("transport.initial_rtt", |point| {
        point.transport.initial_rtt.map_or_else(|| "that of the link".to_owned(), words::length)
    }),
    ("transport.keep_alive", |point| {
        words::length(Span::from_millis(point.transport.keep_alive_ms))
    }),
    ("transport.idle_timeout", |point| {
        words::length(Span::from_millis(point.transport.idle_timeout_ms))
    }),
    ("transport.ack_every", |point| or(point.transport.ack_every, "as the peer likes")),
    ("transport.ack_delay", |point| {
        point.transport.ack_delay.map_or_else(|| "as the peer likes".to_owned(), words::length)
    }),
    ("probe.tolerance", |point| words::length(point.probe.tolerance)),
    ("probe.tolerance_share", |point| point.probe.tolerance_share.to_string()),
    ("probe.time", |point| words::length(point.probe.time)),
    ("probe.attempts", |point| point.probe.attempts.to_string()),
    ("emulation.spin", |point| words::length(point.precision.spin)),
    ("emulation.realtime", |point| point.precision.realtime.to_string()),
    ("emulation.awake", |point| point.precision.awake.to_string()),
    ("emulation.quantum", |point| words::length(point.precision.quantum)),
    ("service", |point| {
        let said = words::service(&point.sim.service);
        if said.is_empty() { "no time, unless a calibration says more".to_owned() } else { said }
    }),
    ("host", |point| {
        let said = words::host(point.sim.host.as_ref());
        if said.is_empty() { "each member has its own".to_owned() } else { said }
    }),
    ("network.bandwidth_mbit_per_s", |point| {
        mbit_per_s(point.network.conditions.bandwidth_bits_per_s)
    }),
    ("network.uplink_mbit_per_s", |point| mbit_per_s(point.network.uplink_bits_per_s)),
    ("network.queue_bytes", |point| or(point.network.conditions.queue_bytes_max, "unlimited")),
    ("network.loss", |point| match point.network.conditions {
        conditions if conditions.loss > 0.0 => {
            format!("{} in bursts of {}", conditions.loss, conditions.loss_burst)
        }
        _ => "0".to_owned(),
    }),
    ("network.duplication", |point| point.network.conditions.duplication.to_string()),
    ("network.reordering", |point| words::length(point.network.conditions.reordering)),
];

/// What a key is called that has no meaning here.
const NONE: &str = "-";

/// Lists every setting as it takes effect, and whether the file says it.
pub(super) fn list(source: &Source, plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    // It was read before.
    let typed: toml::Table = toml::from_str(&source.text).unwrap_or_default();
    let swept: Vec<&str> =
        plan.points.iter().flat_map(|point| &point.settings).map(|(path, _)| &path[..]).collect();
    let origin = |key: &str| {
        let is_within = |path: &&str| path.starts_with(key) || key.starts_with(*path);
        if swept.iter().any(is_within) {
            "sweep"
        } else if has(&typed, key) {
            "file"
        } else {
            "default"
        }
    };
    let whole = [("seed", plan.seed.to_string()), ("trials", plan.repeats.to_string())];
    let whole = whole.map(|(key, value)| vec![key.to_owned(), value, origin(key).to_owned()]);
    let settings = SETTINGS.iter().map(|(key, value)| {
        let mut values: Vec<String> = Vec::new();
        for value in plan.points.iter().map(value) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        vec![(*key).to_owned(), values.join(" | "), origin(key).to_owned()]
    });
    let rows: Vec<Vec<String>> = whole.into_iter().chain(settings).collect();
    writeln!(out, "\n{:<34}{:<9}value", "setting", "from")?;
    for row in rows {
        writeln!(out, "{:<34}{:<9}{}", row[0], row[2], fold(&row[1], 43))?;
    }
    Ok(())
}

/// Whether a file says something of a key.
fn has(typed: &toml::Table, key: &str) -> bool {
    let mut keys = key.split('.');
    let first = keys.next().and_then(|key| typed.get(key));
    keys.try_fold(first, |value, key| value.map(|value| value.get(key))).flatten().is_some()
}

fn detector(point: &Point, value: impl Fn(&crate::protocol::Detector) -> String) -> String {
    match &point.election {
        Election::Timeout(detector) => value(detector),
        Election::Fixed => NONE.to_owned(),
    }
}

fn if_any(is_any: bool, span: Span) -> String {
    if is_any { words::length(span) } else { NONE.to_owned() }
}

fn or(value: Option<impl ToString>, absent: &str) -> String {
    value.map_or_else(|| absent.to_owned(), |value| value.to_string())
}

fn mbit_per_s(bits_per_s: Option<u64>) -> String {
    or(bits_per_s.map(|bits_per_s| bits_per_s as f64 / 1e6), "unlimited")
}

fn arrival(arrival: &Arrival) -> String {
    match arrival {
        Arrival::Poisson { rate_per_s } => format!("poisson, rate_per_s = {rate_per_s}"),
        Arrival::Fixed { rate_per_s } => format!("fixed, rate_per_s = {rate_per_s}"),
        Arrival::Closed { clients } => format!("closed, clients = {clients}"),
    }
}

fn keys(keys: &Keys) -> String {
    match keys {
        Keys::Uniform { count } => format!("uniform, count = {count}"),
        Keys::Zipf { count, exponent } => format!("zipf, count = {count}, exponent = {exponent}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::experiment::file;

    /// Keys that are said otherwise: of variants and faults, and what is part of another line.
    const ELSEWHERE: [&str; 11] = [
        "expect",
        "question",
        "prediction",
        "sweep",
        "smoke",
        "variant",
        "fault",
        // A permission, which the plan's judgement used.
        "durability.unsafe_restarts",
        // On the line of what is lost.
        "network.loss_burst",
        "service",
        "host",
    ];

    /// The keys of the sections of a file, from its schema.
    fn keys_of_schema() -> BTreeSet<String> {
        let schema = file::schema();
        let section = |value: &Value| {
            let pointer = ["/$ref", "/anyOf/0/$ref", "/allOf/0/$ref"];
            let found = pointer.iter().find_map(|path| value.pointer(path)?.as_str());
            let path = found?.strip_prefix('#')?;
            schema.pointer(path)?.get("properties")?.as_object().cloned()
        };
        let mut keys = BTreeSet::new();
        for (name, value) in schema["properties"].as_object().unwrap() {
            match section(value) {
                Some(section) if !ELSEWHERE.contains(&name.as_str()) => {
                    keys.extend(section.keys().map(|key| format!("{name}.{key}")));
                }
                _ => {
                    keys.insert(name.clone());
                }
            }
        }
        keys
    }

    #[test]
    fn settings_are_all_that_a_file_may_say() {
        let listed: BTreeSet<String> = SETTINGS.iter().map(|(key, _)| (*key).to_owned()).collect();
        let said = ["seed", "trials"].map(str::to_owned);
        let elsewhere = ELSEWHERE.map(str::to_owned);
        let all: BTreeSet<String> = listed.iter().cloned().chain(said).chain(elsewhere).collect();
        assert_eq!(keys_of_schema().difference(&all).collect::<Vec<_>>(), [""; 0]);
        assert_eq!(listed.len(), SETTINGS.len(), "each is listed once");
    }
}
