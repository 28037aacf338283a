//! The rows of one trial, made from what its members reported.

use super::evidence;
use super::histories::Allowance;
use super::links::{self, Knowledge};
use super::recovery;
use super::residual;
use super::rows::{Measured, Rows};
use super::saturation;
use super::verify::Findings;
use crate::deployment::{Durability, FaultKind, MemberName};
use crate::experiment::plan::{Plan, Point, Variant};
use crate::experiment::trial::Trial;
use crate::history::Staleness;
use crate::measure::rows::{
    Flag, LatencyRow, MemberRow, PercentileRow, PhaseRow, TimelineRow, TrialKey, TrialRow,
};
use crate::measure::{Error, Omission, OperationKind, Phase};
use crate::protocol::{Order, SendPolicy};
use crate::quorum::QuorumSystem;
use crate::registry::Mode;
use crate::runtime::machine::{Usage, Watched};
use crate::runtime::wan::EmulationReport;
use crate::seed::Seed;
use crate::time::Span;
use crate::topology::Floor;
use crate::trial::number::number;
use crate::trial::{Backend, Outcome, ProbedNetwork, RoleReport};
use crate::workload::Arrival;

/// The outcome of a member that ended without being told to.
pub const LOST: &str = "lost";

/// The rows of a trial; one whose findings are bad has no numbers.
pub fn rows(
    plan: &Plan,
    trial: &Trial,
    backend: Backend,
    outcome: &Outcome,
    findings: &Findings,
) -> Result<Rows, Error> {
    let key = TrialKey {
        trial: trial.number(),
        variant: plan.variant(trial).name.clone(),
        point: plan.point(trial).label.clone(),
        backend: backend.name().into(),
    };
    let mut rows = Rows {
        trial: trial_row(plan, trial, backend, &key, outcome, findings),
        members: member_rows(plan.point(trial), &plan.variant(trial).quorums, &key, outcome),
        histories: evidence::rows(&key, backend, &findings.files),
        links: outcome.network.as_ref().map_or_else(Vec::new, |found| links::rows(&key, found)),
        probes: outcome.network.as_ref().and_then(ProbedNetwork::good_attempts),
        scheduling: emulations(outcome).map(|emulation| emulation.scheduling.clone()).collect(),
        ..Rows::default()
    };
    let network = Knowledge::of(backend, outcome).word();
    rows.trial.network = network.into();
    if findings.is_valid() {
        client_rows(plan, trial, &key, outcome, &mut rows)?;
        rows.latency.iter_mut().for_each(|row| row.network = network.into());
        flag_unanswered(&mut rows);
        phase_rows(plan.point(trial), &key, outcome, &mut rows)?;
        count_attempts(plan.variant(trial).mode, &mut rows);
        recovery_rows(plan, trial, &key, outcome, &mut rows);
        rows.disagreements = residual::disagreements(plan, trial, backend, &rows);
        for found in &rows.disagreements {
            rows.trial.add(&found.note());
        }
    } else {
        rows.trial.invalidate(&findings.reason());
    }
    Ok(rows)
}

fn trial_row(
    plan: &Plan,
    trial: &Trial,
    backend: Backend,
    key: &TrialKey,
    outcome: &Outcome,
    findings: &Findings,
) -> TrialRow {
    let (variant, point) = (plan.variant(trial), plan.point(trial));
    let small = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let leader = variant.mode.asked();
    let mut row = TrialRow {
        trial: key.trial,
        variant: key.variant.clone(),
        point: key.point.clone(),
        backend: key.backend.clone(),
        protocol: variant.mode.name().into(),
        n: small(variant.quorums.n()),
        q1: small(variant.quorums.phase1().min_size()),
        q2: small(variant.quorums.phase2().min_size()),
        send: match variant.send {
            SendPolicy::All => "all".into(),
            SendPolicy::Quorum => "quorum".into(),
        },
        reads_need: if point.workload.reads > 0.0 {
            variant.mode.reads_need()
        } else {
            String::new()
        },
        durability: match point.durability {
            Durability::Memory => "memory".into(),
            Durability::Fsync => "fsync".into(),
        },
        transport: match backend {
            Backend::Live => point.transport.label(),
            Backend::Sim => String::new(),
        },
        arrival: match point.workload.arrival {
            Arrival::Poisson { rate_per_s } => format!("poisson:{rate_per_s}"),
            Arrival::Fixed { rate_per_s } => format!("fixed:{rate_per_s}"),
            Arrival::Closed { clients } => format!("closed:{clients}"),
        },
        client_regions: point.links.client_regions.join(";"),
        replica_regions: point.links.replica_regions.join(";"),
        leader: leader.map(|id| MemberName::Replica(id).to_string()).unwrap_or_default(),
        leader_region: leader.map(|id| point.region(id).to_owned()).unwrap_or_default(),
        repetition: trial.repetition(),
        seed: Seed(trial.seed),
        warmup_ns: point.warmup.0,
        duration_ns: point.duration.0,
        valid: true,
        complete: outcome.is_complete() && findings.gaps.is_empty(),
        clocks_apart_ns: outcome.clocks_apart().map(|apart| apart.0),
        ..TrialRow::default()
    };
    count_operations(point, outcome, &mut row);
    count_cost(point, outcome, &mut row);
    count_network(outcome, &mut row);
    row.violation_count = findings.violation_count();
    if let Some(verdict) = &findings.verdict {
        row.unverified_count = Some(verdict.unverified_count);
        row.unlogged_count = Some(verdict.unlogged_count);
        count_staleness(&verdict.staleness, findings.allowance, &mut row);
    }
    row.logs_verdict = findings.logs_verdict().into();
    row.clients_verdict = findings.clients_verdict().into();
    findings.notes.iter().for_each(|note| row.add(note));
    let achieved_per_s = row.achieved_per_s.unwrap_or_default();
    let cause = saturation::cause(point, backend);
    let reasons = saturation::reasons(outcome, row.offered_per_s, achieved_per_s, &cause);
    // Whether a simulated closed loop is saturated nobody can say.
    let is_watched = outcome.reports.values().any(|report| report.watched.is_some());
    row.saturated = (is_watched || row.offered_per_s.is_some()).then_some(!reasons.is_empty());
    if !reasons.is_empty() {
        row.add(&Flag::Saturated.note(format!("saturated: {}", reasons.join(", "))));
    }
    if outcome.refusal().is_none() {
        flag_idle_faults(variant.faults.len(), outcome, &mut row);
    }
    let learners = variant.quorums.learners();
    let keeps_state = |member| match member {
        MemberName::Replica(id) => learners.contains(id),
        MemberName::Client(_) => false,
    };
    let executed = outcome.replicas().filter(|(member, _)| keeps_state(*member));
    let executed = executed.map(|(member, report)| (member, report.executed_below));
    // Without a common order a replica need not execute what others do.
    if variant.mode.order() == Order::Total
        && let Some(text) = behind(&executed.collect::<Vec<_>>(), on_its_way(variant.mode))
    {
        row.add(&Flag::Behind.note(text));
    }
    row
}

/// Faults, so many of them, that struck nothing: their replica was down already, nobody led, or too little was written.
fn flag_idle_faults(count: usize, outcome: &Outcome, row: &mut TrialRow) {
    let was_injected = |fault| outcome.injected.iter().any(|injected| injected.fault == fault);
    for fault in (0..count).filter(|fault| !was_injected(*fault)) {
        let text = format!("fault {} of {count} never struck", number(fault));
        row.add(&Flag::NeverStruck.note(text));
    }
    // A full disk stops a replica when it needs a file, and one that writes little never does.
    for injected in &outcome.injected {
        let FaultKind::FullDisk { replica } = injected.kind else { continue };
        let member = MemberName::Replica(replica);
        let has_started_once = outcome.recoveries.get(&member).map_or(0, Vec::len) == 1;
        if has_started_once && outcome.reports.contains_key(&member) {
            let number = number(injected.fault);
            let text = format!(
                "fault {number} of {count} never struck: {member} needed no new file of its log, so offer more or let \
                 it last longer"
            );
            row.add(&Flag::NeverStruck.note(text));
        }
    }
}

/// How stale reads were, and what they might miss.
fn count_staleness(found: &Staleness, allowed: Allowance, row: &mut TrialRow) {
    let Allowance { may_miss, has_sessions, .. } = allowed;
    let is_bounded = may_miss > Span::ZERO;
    row.reads_may_miss_ns = is_bounded.then_some(may_miss.0);
    row.read_sessions = is_bounded.then_some(has_sessions);
    if found.read_count > 0 {
        row.session_break_count = (is_bounded && !has_sessions).then_some(found.session_count);
        row.stale_read_count = Some(found.stale.len() as u64);
        row.staleness_ns_p99 = found.quantile(0.99).map(|it| it.0);
        row.staleness_ns_max = found.quantile(1.0).map(|it| it.0);
    }
}

/// So many slots may be on their way to a replica whenever a trial ends: what an idle leader proposes in a second.
fn on_its_way(mode: Mode) -> u64 {
    let advance = mode.snapshot().and_then(|terms| terms.advance);
    advance.map_or(0, |advance| Span::from_millis(1_000).0.div_ceil(advance.0.max(1)))
}

/// Says which replicas ended with fewer slots executed than another, beyond what was on its way: nobody brought them
/// level.
fn behind(executed: &[(MemberName, u64)], on_its_way: u64) -> Option<String> {
    let most = executed.iter().map(|(_, slots)| *slots).max()?;
    let behind = executed.iter().filter(|(_, slots)| slots + on_its_way < most);
    let behind: Vec<String> = behind
        .map(|(member, slots)| format!("{member} executed {slots} of {most} slots"))
        .collect();
    (!behind.is_empty()).then(|| format!("behind in the end: {}", behind.join(", ")))
}

fn count_operations(point: &Point, outcome: &Outcome, row: &mut TrialRow) {
    let sum = |field: fn(&crate::client::Report) -> u64| {
        outcome.clients().map(|(_, report)| field(report)).sum::<u64>()
    };
    let duration_s = seconds(point.duration);
    let achieved_per_s = sum(|report| report.achieved_count) as f64 / duration_s;
    row.achieved_per_s = Some(achieved_per_s);
    if !matches!(point.workload.arrival, Arrival::Closed { .. }) {
        row.offered_per_s = Some(sum(|report| report.offered_count) as f64 / duration_s);
    }
    row.issued_count = Some(sum(|report| report.issued_count));
    row.acknowledged_count = Some(sum(|report| report.acknowledged_count));
    row.unknown_count = Some(sum(|report| report.unknown_count));
}

fn count_cost(point: &Point, outcome: &Outcome, row: &mut TrialRow) {
    row.disk_peak_bytes_max =
        outcome.replicas().filter_map(|(_, replica)| replica.disk_peak_bytes).max();
    row.no_idle_core_share = saturation::no_idle_core_share(outcome);
    let usages = || outcome.reports.values().filter_map(|report| report.usage);
    if usages().next().is_none() {
        return;
    }
    let cpu_s: f64 = usages().map(|usage| usage.cpu_s).sum();
    let operations = row.achieved_per_s.unwrap_or_default() * seconds(point.duration);
    row.cpu_ns_per_op = (operations > 0.0).then(|| nanoseconds(cpu_s / operations));
    let own = || std::thread::available_parallelism().map_or(1, usize::from);
    let cores = outcome.core_count.unwrap_or_else(own);
    row.cpu_share = Some(cpu_s / seconds(point.duration) / cores as f64);
    row.memory_peak_bytes_max = usages().filter_map(Usage::known_memory_peak_bytes).max();
}

fn emulations(outcome: &Outcome) -> impl Iterator<Item = &EmulationReport> {
    outcome.reports.values().filter_map(|report| report.emulation.as_ref())
}

fn count_network(outcome: &Outcome, row: &mut TrialRow) {
    let replicas = || outcome.replicas().map(|(_, report)| report);
    row.race_lost_count = Some(replicas().map(|report| report.phases.race_lost_count).sum());
    row.retransmitted_count =
        Some(replicas().map(|report| report.phases.retransmitted_count).sum());
    let undecodable = outcome.reports.values().map(|report| match &report.role {
        RoleReport::Replica(replica) => replica.undecodable_count,
        RoleReport::Client(client) => client.undecodable_count,
    });
    let refused = outcome.reports.values().map(|report| report.refused_count);
    let refused_count = refused.sum::<u64>() + outcome.refused_count;
    row.refused_frame_count = Some(undecodable.sum::<u64>() + refused_count);
    let emulations = || emulations(outcome);
    if emulations().next().is_none() {
        return;
    }
    let sum = |field: fn(&EmulationReport) -> u64| Some(emulations().map(field).sum());
    row.link_datagram_count = sum(|emulation| emulation.datagrams);
    row.link_drop_count = sum(|emulation| emulation.dropped);
    row.link_lost_count = sum(|emulation| emulation.lost);
    row.link_queue_drop_count = sum(|emulation| emulation.queue_dropped);
    row.link_duplicate_count = sum(|emulation| emulation.duplicated);
    row.link_reorder_count = sum(|emulation| emulation.reordered);
    // The worst member speaks for all: quantiles are not averaged.
    let worst = |field: fn(&EmulationReport) -> Option<Span>| {
        emulations().filter_map(field).max().map(|late| late.0)
    };
    row.link_late_ns_p50 = worst(|emulation| emulation.lateness_p50);
    row.link_late_ns_p99 = worst(|emulation| emulation.lateness_p99);
    row.link_late_ns_max = worst(|emulation| emulation.lateness_max);
}

/// Says how many operations have no answer: warm-up and drain are in one number, the window in the other.
fn flag_unanswered(rows: &mut Rows) {
    let (controls, load): (Vec<_>, Vec<_>) = rows.latency.iter().partition(|row| is_control(row));
    let unanswered =
        |rows: Vec<&LatencyRow>| rows.iter().map(|row| row.unanswered_count).sum::<u64>();
    let (ranked, controls) = (unanswered(load), unanswered(controls));
    if controls > 0 {
        let text = format!(
            "unanswered: {controls} control operations of the window, which rank as infinite"
        );
        rows.trial.add(&Flag::Unanswered.note(text));
    }
    let text = match rows.trial.unknown_count {
        Some(issued) if ranked.max(issued) > 0 => {
            format!("{issued} operations, {ranked} of them of the window, which rank as infinite")
        }
        None if ranked > 0 => format!("{ranked} operations of the window, which rank as infinite"),
        _ => return,
    };
    rows.trial.add(&Flag::Unanswered.note(format!("unanswered: {text}")));
}

fn client_rows(
    plan: &Plan,
    trial: &Trial,
    key: &TrialKey,
    outcome: &Outcome,
    rows: &mut Rows,
) -> Result<(), Error> {
    let point = plan.point(trial);
    let links = &point.links;
    rows.measured = links.client_regions.iter().map(|_| Measured::default()).collect();
    for (member, report) in outcome.clients() {
        let MemberName::Client(client) = member else { continue };
        let index = client.0 as usize;
        let region = &links.client_regions[index];
        let measured = measured(point, report)?;
        if let Some(Omission { blocked, p99, .. }) = measured.omission {
            let times = blocked.0 / p99.0.max(1);
            rows.trial.add(&Flag::Omits.note(format!(
                "omits: the closed loop of {region} had no answer for {blocked}, {times} times its usual p99"
            )));
        }
        for (operation, latencies) in &measured.latencies {
            let name = operation.name();
            let floors = floors(plan.variant(trial), *operation).get(index);
            let floors = floors.map(|floor| (floor.p50, floor.p99));
            let row = LatencyRow::new(key, region, name, latencies, floors);
            let open_loop = measured.as_open_loop(*operation, latencies);
            rows.latency.push(match (measured.omission, open_loop) {
                (Some(omission), Some(open_loop)) => row.with_omission(&open_loop, omission),
                _ => row,
            });
            rows.percentiles.extend(PercentileRow::of(key, region, name, latencies));
            for point in report.recording.timeline(*operation) {
                rows.timeline.push(TimelineRow::new(key, region, name, &point?));
            }
        }
        let floor = |operation| floors(plan.variant(trial), operation).get(index).copied();
        let known = OperationKind::ALL.into_iter().filter_map(|it| Some((it, floor(it)?)));
        rows.measured[index] = Measured { floors: known.collect(), ..measured }.packed();
    }
    Ok(())
}

/// The floors of a kind of operation, by client region.
fn floors(variant: &Variant, operation: OperationKind) -> &[Floor] {
    match operation {
        OperationKind::Write => &variant.floors,
        OperationKind::Read => &variant.read_floors,
        OperationKind::Control => &variant.control_floors,
    }
}

/// Whether the row is of control operations.
pub(super) fn is_control(row: &LatencyRow) -> bool {
    row.operation == OperationKind::Control.name()
}

/// What one client measured.
fn measured(point: &Point, report: &crate::client::Report) -> Result<Measured, Error> {
    let mut measured = Measured::default();
    for operation in OperationKind::ALL {
        let latencies = report.recording.total(operation)?;
        if !latencies.is_empty() {
            measured.latencies.push((operation, latencies));
        }
    }
    if let Arrival::Closed { .. } = point.workload.arrival {
        measured.omission = Omission::of(report.recording.longest_silence, &measured.load());
    }
    Ok(measured)
}

fn phase_rows(
    point: &Point,
    key: &TrialKey,
    outcome: &Outcome,
    rows: &mut Rows,
) -> Result<(), Error> {
    for (member, report) in outcome.replicas() {
        let MemberName::Replica(id) = member else { continue };
        let (name, region) = (member.to_string(), point.region(id));
        for phase in Phase::ALL {
            let spans = report.phases.latencies(phase)?;
            if !spans.is_empty() {
                rows.phases.push(PhaseRow::new(key, &name, region, phase, &spans));
            }
        }
    }
    Ok(())
}

/// How often a write of classic Paxos was proposed, in the mean.
fn count_attempts(mode: Mode, rows: &mut Rows) {
    if mode.leader().is_some() {
        return;
    }
    let phases = rows.phases.iter().filter(|row| row.phase == Phase::Phase2.name());
    let chosen = phases.map(|row| row.occurred_count).sum::<u64>() as f64;
    let lost = rows.trial.race_lost_count.unwrap_or_default() as f64;
    rows.trial.attempts_per_write = (chosen > 0.0).then_some(1.0 + lost / chosen);
}

/// What faults did; the timeline of a trial with one is finer, and says when.
fn recovery_rows(plan: &Plan, trial: &Trial, key: &TrialKey, outcome: &Outcome, rows: &mut Rows) {
    let Some(found) = recovery::recovery(plan, trial, key, outcome) else { return };
    rows.recovery = found.rows;
    if !found.timeline.is_empty() {
        // It is of histories, which hold no control operation.
        rows.timeline.retain(|row| row.operation == OperationKind::Control.name());
        rows.timeline.splice(..0, found.timeline);
    }
    found.notes.iter().for_each(|note| rows.trial.add(note));
    if found.omitted_count > 0 {
        let count = found.omitted_count;
        let text = format!("recovery: {count} changes of leadership or of replica not kept");
        rows.trial.add(&Flag::OmittedMilestones.note(text));
    }
}

fn member_rows(
    point: &Point,
    quorums: &QuorumSystem,
    key: &TrialKey,
    outcome: &Outcome,
) -> Vec<MemberRow> {
    let replicas = point.links.replicas().map(MemberName::Replica);
    let clients = (0u32..)
        .zip(&point.links.client_regions)
        .map(|(id, _)| MemberName::Client(crate::command::ClientId(id)));
    replicas
        .chain(clients)
        .map(|member| {
            let report = outcome.reports.get(&member);
            let usage = report.and_then(|report| report.usage);
            let watched = report.and_then(|report| report.watched);
            let seen = |span: fn(&Watched) -> Option<Span>| {
                watched.as_ref().and_then(span).map(|span| span.0)
            };
            let (role, region) = match member {
                MemberName::Replica(id) => (quorums.role(id), point.region(id)),
                MemberName::Client(id) => {
                    ("client", point.links.client_regions[id.0 as usize].as_str())
                }
            };
            MemberRow {
                trial: key.trial,
                variant: key.variant.clone(),
                point: key.point.clone(),
                backend: key.backend.clone(),
                member: member.to_string(),
                region: region.into(),
                role: role.into(),
                host: outcome.hosts.get(&member).cloned().unwrap_or_default(),
                clock_error_ns: outcome.clock_errors.get(&member).map(|error| error.0),
                outcome: match (report, outcome.lost.get(&member)) {
                    (_, Some(_)) => LOST.into(),
                    (Some(_), None) => "finished".into(),
                    (None, None) if outcome.refusal().is_some() => "refused".into(),
                    (None, None) => "crashed".into(),
                },
                cpu_ns: usage.map(|usage| nanoseconds(usage.cpu_s)),
                memory_peak_bytes: usage.and_then(Usage::known_memory_peak_bytes),
                disk_peak_bytes: report.and_then(|report| match &report.role {
                    RoleReport::Replica(replica) => replica.disk_peak_bytes,
                    RoleReport::Client(_) => None,
                }),
                executed_count: report.and_then(|report| match &report.role {
                    RoleReport::Replica(replica) => Some(replica.executed_below),
                    RoleReport::Client(_) => None,
                }),
                sync_count: report.and_then(|report| match &report.role {
                    RoleReport::Replica(replica) => Some(replica.sync_count),
                    RoleReport::Client(_) => None,
                }),
                start_count: match member {
                    MemberName::Replica(_) => {
                        Some(outcome.recoveries.get(&member).map_or(0, Vec::len) as u64)
                    }
                    MemberName::Client(_) => None,
                },
                recovered_group_count: outcome
                    .recoveries
                    .get(&member)
                    .map(|starts| starts.iter().map(|start| start.group_count as u64).sum()),
                scheduling: report
                    .and_then(|report| report.emulation.as_ref())
                    .map(|emulation| emulation.scheduling.class.code().to_owned())
                    .unwrap_or_default(),
                watched_ns: watched.map(|watched| watched.over.0),
                run_queue_ns: seen(|watched| watched.run_queue_delay),
                timer_slip_ns_p50: seen(|watched| watched.timer_slip_p50),
                timer_slip_ns_p99: seen(|watched| watched.timer_slip_p99),
                timer_slip_ns_max: seen(|watched| watched.timer_slip_max),
                link_released_count: watched.and_then(|watched| watched.released_count),
                link_late_count: watched.and_then(|watched| watched.late_count),
                host_busy_share: watched.and_then(|watched| watched.host_busy_share),
                host_stolen_share: watched.and_then(|watched| watched.host_stolen_share),
                host_no_idle_core_share: watched
                    .and_then(|watched| watched.host_no_idle_core_share),
                cause: outcome.lost.get(&member).cloned().unwrap_or_default(),
            }
        })
        .collect()
}

fn seconds(span: Span) -> f64 {
    span.0 as f64 / 1e9
}

/// So many seconds, to the nanosecond.
fn nanoseconds(seconds: f64) -> u64 {
    Span::from_millis_f64(seconds * 1e3).0
}

#[cfg(test)]
mod tests;
