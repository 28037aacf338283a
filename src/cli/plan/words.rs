//! The settings of a point and what goes wrong, in words.

use crate::deployment::{
    Durability, FaultKind, Network, Role, Scheduled, Target, Trigger, Unsynced,
};
use crate::experiment::plan::Point;
use crate::protocol::SendPolicy;
use crate::registry::Mode;
use crate::sim::{Host, Service};
use crate::time::Span;
use crate::workload::{Arrival, Control};

pub(super) fn length(span: Span) -> String {
    humantime::format_duration(span.into()).to_string()
}

pub(super) fn arrival(arrival: &Arrival) -> String {
    match arrival {
        Arrival::Poisson { rate_per_s } => format!("{rate_per_s} a second in total, Poisson"),
        Arrival::Fixed { rate_per_s } => format!("{rate_per_s} a second in total, evenly spaced"),
        Arrival::Closed { clients } => {
            format!("{clients} outstanding in total, from staggered starts")
        }
    }
}

/// How many operations touch the key that all client regions share; empty if they share all keys.
pub(super) fn conflicts(share: Option<f64>) -> String {
    match share {
        None => String::new(),
        Some(share) if share > 0.0 => {
            // Conflict rates of applications are below 1 %: four digits of them are shown.
            format!(", {} on the key that all regions share", rounded(share, 4))
        }
        Some(_) => ", no key that two regions touch".to_owned(),
    }
}

pub(super) fn control(control: Control) -> String {
    format!("{} a second from each client region, which take no quorum", control.rate_per_s)
}

pub(super) fn durability(mode: Durability) -> String {
    match mode {
        Durability::Memory => "memory".to_owned(),
        Durability::Fsync => "fsync".to_owned(),
    }
}

pub(super) const fn send(policy: SendPolicy) -> &'static str {
    match policy {
        SendPolicy::All => "all",
        SendPolicy::Quorum => "quorum",
    }
}

/// What simulated work costs; empty if it costs nothing.
pub(super) fn service(service: &Service) -> String {
    let costs = [
        (service.receive, "a message that arrives"),
        (service.send, "a message that leaves"),
        (service.sync, "a sync"),
        (service.mebibyte, "a MiB at each end"),
        (service.checkpoint, "a checkpoint"),
    ];
    let costs = costs.into_iter().filter(|(span, _)| *span > Span::ZERO);
    let texts: Vec<String> =
        costs.map(|(span, what)| format!("{} for {what}", length(span))).collect();
    texts.join(", ")
}

/// The machine that simulated members share; empty if each has its own.
pub(super) fn host(host: Option<&Host>) -> String {
    let Some(Host { cores, costs, one_disk }) = host else { return String::new() };
    let costs = [
        (costs.wake_up, "a turn"),
        (costs.packet, "a packet at each end"),
        (costs.sync, "a sync"),
        (costs.slice, "a time slice"),
    ];
    let costs = costs.into_iter().filter(|(span, _)| *span > Span::ZERO);
    let costs = costs.map(|(span, what)| format!("{} for {what}", length(span)));
    let cores = format!("{cores} core{} for all members", if *cores == 1 { "" } else { "s" });
    let disk = one_disk.then(|| "one disk".to_owned());
    let texts: Vec<String> = std::iter::once(cores).chain(disk).chain(costs).collect();
    texts.join(", ")
}

/// What links do besides delaying, and how their delays vary if they do; empty if nothing.
pub(super) fn network(network: &Network, vary: bool) -> String {
    let Network { conditions, uplink_bits_per_s, correlation } = network;
    let mut texts = Vec::new();
    if vary && *correlation == Span::ZERO {
        texts.push("delays drawn anew for each message".to_owned());
    } else if vary {
        texts.push(format!("delays vary slowly, remembered for {}", length(*correlation)));
    }
    if let Some(bits_per_s) = conditions.bandwidth_bits_per_s {
        texts.push(format!("{} Mbit/s in each direction of a link", bits_per_s as f64 / 1e6));
    }
    if let Some(bits_per_s) = uplink_bits_per_s {
        texts.push(format!("{} Mbit/s for all that a replica sends", *bits_per_s as f64 / 1e6));
    }
    if let Some(bytes) = conditions.queue_bytes_max {
        texts.push(format!("at most {bytes} bytes waiting for a wire"));
    }
    if conditions.loss > 0.0 {
        let burst = if conditions.loss_burst > 1.0 {
            format!(", {} in a row in the mean", conditions.loss_burst)
        } else {
            String::new()
        };
        texts.push(format!("{} of the messages lost{burst}", percent(conditions.loss)));
    }
    if conditions.duplication > 0.0 {
        texts.push(format!("{} of the messages twice", percent(conditions.duplication)));
    }
    if conditions.reordering > Span::ZERO {
        texts.push(format!("up to {} later, in any order", length(conditions.reordering)));
    }
    texts.join(", ")
}

fn percent(share: f64) -> String {
    rounded(share, 2)
}

/// A share in percent with at most so many digits after the point, and none that are zero at the end.
fn rounded(share: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What goes wrong at a point, a line each; with the names of the variants where it is not the same in
/// all of them.
pub(super) fn faults(point: &Point) -> Vec<String> {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for variant in &point.variants {
        for fault in &variant.faults {
            let text = fault_text(point, variant.mode, fault);
            match lines.iter_mut().find(|(line, _)| *line == text) {
                // Two faults may read alike; the variant is named once.
                Some((_, names)) if names.last() == Some(&variant.name.as_str()) => {}
                Some((_, names)) => names.push(&variant.name),
                None => lines.push((text, vec![&variant.name])),
            }
        }
    }
    let line = |(text, names): (String, Vec<&str>)| {
        let is_common = names.len() == point.variants.len();
        if is_common { text } else { format!("{}: {text}", names.join(", ")) }
    };
    lines.into_iter().map(line).collect()
}

fn fault_text(point: &Point, mode: Mode, fault: &Scheduled) -> String {
    let names = |target: &Target| target_text(point, target);
    // The one that is configured to lead stands out when it is named.
    let subject = |target: &Target| match mode.leader() {
        Some(leader) if *target == Target::from(leader) => {
            format!("{}, the leader,", point.region(leader))
        }
        _ => names(target),
    };
    let verb = |target: &Target, one: &'static str, several: &'static str| {
        let is_many = |role: &Role| matches!(role, Role::Phase1Quorum | Role::Phase2Quorum);
        let is_one = target.replicas.len() + target.roles.len() == 1;
        if is_one && !target.roles.iter().any(is_many) { one } else { several }
    };
    let link = |from: &Target, to: &Target| format!("from {} to {}", names(from), names(to));
    let when = match fault.trigger {
        Trigger::At(at) => format!("at {}", length(at)),
        Trigger::AfterWrites(count) => format!("after {count} writes"),
    };
    let until = match fault.heals_after {
        Some(after) => format!("for {}", length(after)),
        None => "until the end".to_owned(),
    };
    let what = match &fault.kind {
        FaultKind::Crash { replica, unsynced } => {
            let records = match unsynced {
                Unsynced::Lost => "",
                Unsynced::Torn => ", with half of what is not synced",
                Unsynced::Written => ", with all that is not synced",
            };
            let restart = match fault.heals_after {
                None => verb(replica, "does not come back", "do not come back").to_owned(),
                Some(after) => {
                    let come = verb(replica, "comes", "come");
                    format!("{come} back {} later{records}", length(after))
                }
            };
            let crash = verb(replica, "crashes", "crash");
            return format!("{when} {} {crash} and {restart}", subject(replica));
        }
        FaultKind::Campaign { replica } => {
            let is = verb(replica, "is", "are");
            return format!("{when} {} {is} told to lead", subject(replica));
        }
        FaultKind::Pause { replica } => {
            format!("{} {}", subject(replica), verb(replica, "pauses", "pause"))
        }
        FaultKind::Partition { side } => format!("{} and the others are cut apart", names(side)),
        FaultKind::Cut { from, to } => format!("messages {} are lost", link(from, to)),
        FaultKind::Slow { from, to, by } => {
            format!("messages {} take {} longer", link(from, to), length(*by))
        }
        FaultKind::Lose { from, to, share } => {
            format!("{} of the messages {} are lost", percent(*share), link(from, to))
        }
        FaultKind::Duplicate { from, to, share } => {
            format!("{} of the messages {} arrive twice", percent(*share), link(from, to))
        }
        FaultKind::Reorder { from, to, spread } => {
            format!(
                "messages {} take up to {} longer, in any order",
                link(from, to),
                length(*spread)
            )
        }
        FaultKind::SlowDisk { replica, by } => {
            format!("every sync of {} takes {} longer", names(replica), length(*by))
        }
        FaultKind::FullDisk { replica } => {
            let has = verb(replica, "has", "have");
            format!("{} {has} a full disk and {}", subject(replica), verb(replica, "stops", "stop"))
        }
    };
    format!("{when} {what}, {until}")
}

/// The regions of those that are known, and the parts of the others.
fn target_text(point: &Point, target: &Target) -> String {
    let regions = target.replicas.iter().map(|node| point.region(node));
    let roles = target.roles.iter().map(|role| match role {
        Role::Leader => "whoever leads",
        Role::Phase1Quorum => "the leader's phase-1 quorum",
        Role::Phase2Quorum => "the leader's phase-2 quorum",
        Role::Phase2Follower => "the first follower in the leader's phase-2 quorum",
    });
    regions.chain(roles).collect::<Vec<_>>().join(", ")
}
