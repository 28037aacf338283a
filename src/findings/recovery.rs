//! What losing a leader costs: the rows of every fault of a trial, from what its replicas said of
//! leadership and from what its clients saw.
//!
//! Both backends give the same: milestones, the faults as they were injected, and histories.
//! Nothing is sampled or estimated; what did not happen is left empty.
//! In a trial with a fault the timeline is made here too, from the histories: there a tenth of a second
//! is told from the next, where an interval of a trial without one is a second.

mod injected;
mod leader_changes;
mod view;

use std::fs::File;
use std::io::BufReader;

use crate::client;
use crate::client::Turns;
use crate::deployment::{FaultKind, InjectedFault, MemberName};
use crate::experiment::plan::Plan;
use crate::experiment::trial::Trial;
use crate::measure::rows::{Flag, Note, RecoveryRow, TimelineRow, TrialKey};
use crate::measure::{Figure, OperationKind, TimelinePoint, Window, timeline};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::time::{Span, Time};
use crate::topology::{Links, Site, nearest_first, phase1_span_among, quorum_span_among};
use crate::trial::Outcome;
use crate::trial::number::number;
use leader_changes::{LeaderChanges, Milestones, Successor};
use view::{Before, Operation, Story, View};

/// The length of an interval of the timeline of a trial with a fault, where the experiment asks for none.
const INTERVAL: Span = Span::from_millis(100);

/// After the last fault there is no next one.
const NEVER: Time = Time(u64::MAX);

/// What is said of the faults of one trial.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// One row for each fault and client region.
    pub(super) rows: Vec<RecoveryRow>,
    /// The timeline, with its faults.
    pub(super) timeline: Vec<TimelineRow>,
    /// Of each fault, where clients waited longer than the recovery took.
    pub(super) notes: Vec<Note>,
    /// What replicas and clients said and was not kept.
    pub(super) omitted_count: u64,
}

/// What is said of the faults of a trial; `None` if none was injected, or if no client is left to tell
/// of it.
pub(super) fn recovery(
    plan: &Plan,
    trial: &Trial,
    key: &TrialKey,
    outcome: &Outcome,
) -> Option<Recovery> {
    let first = outcome.injected.iter().map(|injected| injected.at).min()?;
    let (_, report) = outcome.clients().next()?;
    let window = report.recording.window;
    let point = plan.point(trial);
    let context = RecoveryContext {
        key,
        links: &point.links,
        quorums: &plan.variant(trial).quorums,
        injected: &outcome.injected,
        milestones: milestones(outcome),
        window,
        instants_apart: outcome.clocks_apart().map(|apart| apart + outcome.fault_delay),
        interval: if point.interval == client::INTERVAL { INTERVAL } else { point.interval },
        drain_until: window.to + point.drain,
    };
    let mut found = Recovery { omitted_count: omitted_count(outcome), ..Recovery::default() };
    let mut regions = Vec::new();
    for (member, report) in outcome.clients() {
        let MemberName::Client(client) = member else { continue };
        // A history that cannot be read has made the trial invalid already.
        let Some(story) = story(outcome, member) else { continue };
        let index = client.0 as usize;
        let name = context.links.client_regions[index].as_str();
        found.timeline.extend(context.timeline(name, &story));
        let asked = |operations: Vec<Operation>| {
            let before = Before::of(&operations, window, first);
            Asked { operations, before }
        };
        let (writes, reads) = (asked(story.writes), asked(story.reads));
        regions.push(Region { name, index, writes, reads, turns: &report.turns });
    }
    for injected in &outcome.injected {
        let rows = context.rows(injected, &regions);
        found.notes.extend(worst_wait(&rows).map(wait_note));
        found.rows.extend(rows);
    }
    Some(found)
}

/// Of these rows the one whose clients waited longest, if they waited longer than the recovery took.
pub fn worst_wait<'a>(rows: impl IntoIterator<Item = &'a RecoveryRow>) -> Option<&'a RecoveryRow> {
    let hides = |row: &&RecoveryRow| row.client_wait_ns > row.protocol_ns.or(Some(u64::MAX));
    rows.into_iter().filter(hides).max_by_key(|row| row.client_wait_ns)
}

fn wait_note(row: &RecoveryRow) -> Note {
    let [wait, protocol] = [row.client_wait_ns, row.protocol_ns].map(Option::unwrap_or_default);
    Flag::ClientWait.note(format!(
        "client wait: after {} {} the clients in {} waited {} for a retry or a redirect, longer than the \
         recovery took ({})",
        row.fault_kind,
        row.target_regions,
        row.client_region,
        Span(wait),
        Span(protocol)
    ))
}

/// What replicas said, by their number, in the order in which they did: the last words of one that was
/// killed may arrive after the first of the next.
fn milestones(outcome: &Outcome) -> Milestones {
    let said = outcome.milestones.iter().filter_map(|(member, said)| {
        let MemberName::Replica(id) = member else { return None };
        let mut said = said.clone();
        said.sort_by_key(|milestone| milestone.at);
        Some((*id, said))
    });
    said.collect()
}

fn omitted_count(outcome: &Outcome) -> u64 {
    let replicas = outcome.replicas().map(|(_, report)| report.phases.omitted_count);
    let clients = outcome.clients().map(|(_, report)| report.turns.omitted_count());
    replicas.chain(clients).sum()
}

fn story(outcome: &Outcome, member: MemberName) -> Option<Story> {
    let path = outcome.files.get(&member)?.first()?;
    Story::read(BufReader::with_capacity(1 << 20, File::open(path).ok()?)).ok()
}

/// The clients of one region.
struct Region<'a> {
    name: &'a str,
    index: usize,
    writes: Asked,
    reads: Asked,
    turns: &'a Turns,
}

/// The operations of one kind that the clients of a region asked for.
struct Asked {
    operations: Vec<Operation>,
    before: Before,
}

/// What the rows of all faults of a trial have in common.
struct RecoveryContext<'a> {
    key: &'a TrialKey,
    links: &'a Links,
    quorums: &'a QuorumSystem,
    injected: &'a [InjectedFault],
    milestones: Milestones,
    window: Window,
    /// How far off a time from a fault to what another host saw may be.
    instants_apart: Option<Span>,
    /// Of the timeline.
    interval: Span,
    drain_until: Time,
}

impl RecoveryContext<'_> {
    /// The rows of one fault, one for each client region.
    fn rows(&self, injected: &InjectedFault, regions: &[Region<'_>]) -> Vec<RecoveryRow> {
        let reach = injected::reach(injected, self.injected, NEVER);
        let changes = LeaderChanges::of(&self.milestones, reach);
        let shared = self.shared(injected, &changes);
        let row = |region: &Region<'_>| {
            let successor = changes.successor.as_ref();
            self.with_view(shared.clone(), region, reach, successor)
        };
        regions.iter().map(row).collect()
    }

    /// What the rows of all client regions have in common.
    fn shared(&self, injected: &InjectedFault, changes: &LeaderChanges) -> RecoveryRow {
        let TrialKey { trial, variant, point, backend } = self.key.clone();
        let region = |id: NodeId| self.links.replica_regions[usize::from(id.0)].clone();
        let name = |id| MemberName::Replica(id).to_string();
        let (kind, target) = injected::words(&injected.kind);
        let leader = leader_changes::leader_at(&self.milestones, injected.at);
        let row = RecoveryRow {
            trial,
            variant,
            point,
            backend,
            fault: number(injected.fault),
            fault_kind: kind.into(),
            target: injected::names(target),
            target_regions: injected::regions(target, &self.links.replica_regions),
            struck_at_ns: injected.at.since(self.window.from).0,
            ended_at_ns: injected.ended_at.map(|at| at.since(self.window.from).0),
            instants_apart_ns: ns(self.instants_apart),
            catch_up_ns: injected
                .ended_at
                .zip(injected.caught_up_at)
                .map(|(ended_at, caught_up_at)| caught_up_at.since(ended_at).0),
            leader: leader.map(name).unwrap_or_default(),
            leader_region: leader.map(region).unwrap_or_default(),
            first_suspected_ns: ns(changes.first_suspected),
            attempt_count: changes.attempt_count,
            ..RecoveryRow::default()
        };
        let Some(new) = &changes.successor else { return row };
        RecoveryRow {
            new_leader: name(new.leader),
            new_leader_region: region(new.leader),
            detection_ns: ns(new.detection),
            election_ns: ns(new.election),
            phase1_ns: Some(new.phase1.0),
            floor_phase1_ns: ns(self.floor_phase1(new, leader, injected.at)),
            adopted_count: Some(new.adopted_count),
            filled_count: Some(new.filled_count),
            leading_ns: Some(new.led_at.since(injected.at).0),
            transfer_ns: ns(new.transfer),
            first_commit_ns: ns(new.first_commit),
            ..row
        }
    }

    /// The least that phase 1 of this leader can take with those that it could reach.
    ///
    /// Where each ballot announces a phase-2 quorum of its own, it meets that of the leader before it: the
    /// nearest of those that this one could reach when it began to lead.
    fn floor_phase1(
        &self,
        new: &Successor,
        old: Option<NodeId>,
        injected_at: Time,
    ) -> Option<Span> {
        let everybody: NodeSet = self.links.replicas().collect();
        let began_at = Time(new.led_at.0.saturating_sub(new.phase1.0));
        let reachable =
            injected::reachable(new.leader, self.injected, everybody, began_at, new.led_at);
        let announced = old.and_then(|old| {
            let led_at = leader_changes::led_since(&self.milestones, old, injected_at)?;
            let allies = injected::reachable(old, self.injected, everybody, led_at, led_at);
            let near = nearest_first(self.links, old).into_iter();
            let near: Vec<NodeId> = near.filter(|id| allies.contains(*id)).collect();
            self.quorums.announced_in(&near)
        });
        phase1_span_among(self.links, self.quorums, new.leader, reachable, announced.as_slice())
    }

    fn reachable(&self, leader: NodeId, from: Time, to: Time) -> NodeSet {
        let everybody: NodeSet = self.links.replicas().collect();
        injected::reachable(leader, self.injected, everybody, from, to)
    }

    /// The time from the fault to the first acknowledgement in two parts: until the new leader could
    /// answer these clients, and how long they were without an answer that it could have given by then.
    ///
    /// It could have answered a write that waited for it as it led: after a phase-2 quorum, or after all
    /// that was open was executed and the leases of those before it were over, if that was later, and the way back; and a write that came only then,
    /// after its way there. Links take their medians.
    fn parts(
        &self,
        new: &Successor,
        region: &Region<'_>,
        began_at: Time,
        first_ack: Option<Span>,
    ) -> Option<(Span, Option<Span>)> {
        // One that never executed anything could not answer within the trial.
        new.transfer.or(new.first_commit)?;
        let (replica, client) = (Site::Replica(new.leader), Site::Client(region.index));
        let [there, back] = [(client, replica), (replica, client)]
            .map(|(from, to)| self.links.between(from, to).median());
        let reachable = self.reachable(new.leader, new.led_at, new.led_at);
        let vote = quorum_span_among(self.links, new.leader, self.quorums.phase2(), reachable)?;
        let ready_at = new.led_at + vote.max(new.transfer.unwrap_or(Span::ZERO)) + back;
        let after = region
            .writes
            .operations
            .iter()
            .map(|write| write.intended_at)
            .filter(|at| *at >= began_at);
        let first_at = after.min()? + there + vote + back;
        let protocol = ready_at.since(began_at);
        let wait = |ack: Span| (began_at + ack).since(ready_at.max(first_at));
        Some((first_ack.map_or(protocol, |ack| protocol.min(ack)), first_ack.map(wait)))
    }

    fn with_view(
        &self,
        row: RecoveryRow,
        region: &Region<'_>,
        reach: Window,
        successor: Option<&Successor>,
    ) -> RecoveryRow {
        let Region { name, writes, reads, turns, .. } = region;
        let view = |of: &Asked| View::of(&of.operations, &of.before, reach, self.window.to);
        let (before, reads_before) = (&writes.before, &reads.before);
        let (view, reads) = (view(writes), view(reads));
        let answer =
            |new: &Successor| Some(turns.first_answer(new.leader, new.led_at)?.since(new.led_at));
        let parts = successor.and_then(|new| self.parts(new, region, reach.from, view.first_ack));
        let percentile =
            |of: &Before, share| of.latencies.percentile(share).and_then(Figure::known);
        RecoveryRow {
            client_region: (*name).to_owned(),
            redirect_ns: ns(successor.and_then(answer)),
            first_ack_ns: ns(view.first_ack),
            protocol_ns: ns(parts.map(|(protocol, _)| protocol)),
            client_wait_ns: ns(parts.and_then(|(_, wait)| wait)),
            recovered: view.recovered,
            unavailable_ns: ns(view.unavailable),
            usual_gap_ns: ns(before.gap),
            before_ns_p50: ns(percentile(before, 0.5)),
            before_ns_p99: ns(percentile(before, 0.99)),
            delayed_above_ns: ns(before.delayed_above),
            delayed_count: view.delayed_count,
            unknown_count: Some(view.unknown_count),
            reads_before_ns_p50: ns(percentile(reads_before, 0.5)),
            reads_first_ack_ns: ns(reads.first_ack),
            reads_recovered: reads.recovered,
            reads_unavailable_ns: ns(reads.unavailable),
            reads_usual_gap_ns: ns(reads_before.gap),
            ..row
        }
    }

    /// The timeline of one client region.
    fn timeline(&self, region: &str, story: &Story) -> Vec<TimelineRow> {
        let operations = [&story.writes, &story.reads];
        OperationKind::ALL
            .into_iter()
            .zip(operations)
            .flat_map(|(operation, all)| self.timeline_of(region, operation, all))
            .collect()
    }

    fn timeline_of(
        &self,
        region: &str,
        operation: OperationKind,
        all: &[Operation],
    ) -> Vec<TimelineRow> {
        if all.is_empty() {
            return Vec::new();
        }
        let mut bins: Vec<Bin> = Vec::new();
        bins.resize_with(timeline(self.window, self.interval).count(), Bin::default);
        for write in all {
            let counts = self.window.contains(write.intended_at);
            let at = write.acknowledged_at.unwrap_or(write.intended_at);
            // What is answered in the drain is in no interval.
            let Some(bin) = bins.get_mut(self.interval(at)).filter(|_| self.window.contains(at))
            else {
                continue;
            };
            bin.returned_count += u64::from(write.acknowledged_at.is_some());
            match write.acknowledged_at {
                Some(at) if counts => bin.latencies.push(at.since(write.intended_at)),
                None => bin.waits.push(self.drain_until.since(write.intended_at)),
                Some(_) => {}
            }
        }
        let row = |(index, (bin, mut point)): (usize, (Bin, TimelinePoint))| {
            point.returned_count = bin.returned_count;
            bin.latencies.into_iter().for_each(|latency| point.latencies.record(latency));
            bin.waits.into_iter().for_each(|waited| point.latencies.record_unanswered(waited));
            let mut row = TimelineRow::new(self.key, region, operation.name(), &point);
            row.faults = self.faults_at(index);
            row
        };
        bins.into_iter().zip(timeline(self.window, self.interval)).enumerate().map(row).collect()
    }

    /// The interval of the timeline that holds this instant.
    fn interval(&self, at: Time) -> usize {
        usize::try_from(at.since(self.window.from).0 / self.interval.0).unwrap_or(usize::MAX)
    }

    /// The faults that begin or last in this interval.
    fn faults_at(&self, index: usize) -> String {
        let lasts = |injected: &&InjectedFault| {
            let last = match injected.kind {
                FaultKind::Campaign { .. } => Some(injected.at),
                _ => injected.ended_at,
            };
            self.interval(injected.at) <= index
                && last.is_none_or(|last| index <= self.interval(last))
        };
        let label = |injected: &InjectedFault| {
            let (kind, target) = injected::words(&injected.kind);
            format!("{kind} {}", injected::names(target))
        };
        let labels: Vec<String> = self.injected.iter().filter(lasts).map(label).collect();
        labels.join(";")
    }
}

/// What is in one interval of a timeline.
#[derive(Default)]
struct Bin {
    returned_count: u64,
    latencies: Vec<Span>,
    waits: Vec<Span>,
}

fn ns(span: Option<Span>) -> Option<u64> {
    span.map(|span| span.0)
}
