//! What a trial cannot keep up with, whatever its faults are: floors that outlast it, and more load than
//! its wires carry.
//!
//! Both are lower bounds, so a warning is never wrong: the real latency lies above its floor, and a write
//! takes its value and a header at least on every wire that it must cross.
//! A closed loop asks for no more than is answered, so its load is not looked at.

use super::{Point, Variant};
use crate::protocol::SendPolicy;
use crate::quorum::{NodeId, NodeSet};
use crate::time::Span;
use crate::topology::{nearest_among, nearest_first};
use crate::workload::Arrival;

/// What a message takes on a wire beside its value, at least: the headers of IP, UDP and QUIC.
const HEADER_BYTES: f64 = 40.0;

/// What a variant cannot keep up with, a sentence each.
pub(super) fn of(point: &Point, variant: &Variant) -> Vec<String> {
    floors(point, variant).into_iter().chain(wires(point, variant)).collect()
}

/// Clients whose every answer comes after the end of the measured time.
fn floors(point: &Point, variant: &Variant) -> Vec<String> {
    let regions = point.links.client_regions.iter().zip(&variant.floors);
    let late = regions.filter(|(_, floor)| floor.p50 > point.duration);
    late.map(|(region, floor)| {
        let end = if floor.p50 > point.duration + point.drain {
            ": no operation of theirs is answered before the trial ends"
        } else {
            ""
        };
        let (floor, measured) = (text(floor.p50), text(point.duration));
        format!(
            "the floor of clients in {region}, {floor}, is longer than the {measured} that are measured\
             {end}"
        )
    })
    .collect()
}

/// The load that no wire carries, if there is some.
fn wires(point: &Point, variant: &Variant) -> Option<String> {
    let (rate_per_s, workload) = match point.workload.arrival {
        Arrival::Fixed { rate_per_s } | Arrival::Poisson { rate_per_s } => {
            (rate_per_s, &point.workload)
        }
        Arrival::Closed { .. } => return None,
    };
    let value_bytes = workload.value_bytes as f64 * (1.0 - workload.reads);
    let bits_per_s = rate_per_s * (value_bytes + HEADER_BYTES) * 8.0;
    let mut worst: Option<(f64, String)> = None;
    for (proposer, share) in proposers(point, variant) {
        let receivers = receivers(point, variant, proposer);
        let needs = bits_per_s * share;
        let of_link = point.network.conditions.bandwidth_bits_per_s.filter(|_| receivers > 0);
        let region = point.region(proposer);
        let demands = [
            (of_link, needs, format!("on each link from {region} to another replica")),
            (
                point.network.uplink_bits_per_s,
                needs * receivers as f64,
                format!("of the uplink of {region}"),
            ),
        ];
        for (carries, needs, whose) in demands {
            let Some(carries) = carries.map(|bits_per_s| bits_per_s as f64) else { continue };
            if needs > carries && worst.as_ref().is_none_or(|(excess, _)| needs / carries > *excess)
            {
                let said = format!(
                    "the load needs at least {:.2} Mbit/s {whose}, which carries {:.2}: what is sent \
                     waits longer and longer",
                    needs / 1e6,
                    carries / 1e6
                );
                worst = Some((needs / carries, said));
            }
        }
    }
    worst.map(|(_, said)| said)
}

/// Who proposes, each with its share of all operations.
fn proposers(point: &Point, variant: &Variant) -> Vec<(NodeId, f64)> {
    let clients = point.links.client_regions.len();
    if let Some(leader) = variant.mode.asked() {
        return vec![(leader, 1.0)];
    }
    let candidates = variant.quorums.candidates();
    let nearest: Vec<NodeId> =
        (0..clients).map(|client| nearest_among(&point.links, candidates, client)).collect();
    let share = |node: NodeId| {
        let asking = nearest.iter().enumerate().filter(|(_, other)| **other == node);
        asking.map(|(client, _)| point.workload.part(client, clients)).sum()
    };
    point.links.replicas().map(|node| (node, share(node))).collect()
}

/// How many others a proposer sends every value to.
fn receivers(point: &Point, variant: &Variant, proposer: NodeId) -> usize {
    let everybody = point.links.replica_regions.len();
    let asked = match variant.send {
        SendPolicy::All => everybody,
        SendPolicy::Quorum => {
            let order = nearest_first(&point.links, proposer);
            variant.quorums.phase2().first_in(&order).map_or(everybody, NodeSet::len)
        }
    };
    asked.saturating_sub(1)
}

fn text(span: Span) -> String {
    humantime::format_duration(span.into()).to_string()
}
