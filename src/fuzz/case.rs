//! A case: everything about one run, drawn from one seed.

use std::fmt;

use super::address::{Address, Draws};
use super::fault_mix::{self, FaultMix, Scene};
use super::limits::Limits;
use super::places;
use super::random_stream::{Purpose, RandomStream};
use super::system::{self, member};
use super::triggers::{self, TriggeredFault};
use super::words;
use crate::client;
use crate::deployment::{Deployment, Durability, Fault, Network};
use crate::link::Conditions;
use crate::protocol::{Bounds, Capacity, Config, Election, Retention, Timing};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::sabotage::Rule;
use crate::sim::{Connection, Service, Settings};
use crate::time::Span;
use crate::workload::{Arrival, Keys, Workload};

/// Answers are waited for so long after the last operation: longer than any run that makes progress.
const DRAIN: Span = Span::from_millis(3_600_000);

/// Clients ask again after twelve round trips, and this at least: the faults are about replicas, and what
/// clients were told is checked whatever their patience is.
const RETRY_LEAST: Span = Span::from_millis(2_000);

/// As many records as a live replica writes between two checkpoints: none in so short a run.
const USUAL_CHECKPOINT_RECORDS: u64 = 4096;

/// Everything about one run.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it was drawn from.
    pub address: Address,
    /// The rule that replicas break.
    pub rule: Option<Rule>,
    /// What kinds of faults it has.
    pub fault_mix: FaultMix,
    /// Replicas, clients, links and load: all of it in the warm-up, since nothing is measured.
    pub deployment: Deployment,
    /// What goes wrong, by the time since the first operation.
    pub faults: Vec<Fault>,
    /// What goes wrong when a replica does something.
    pub triggered: Vec<TriggeredFault>,
    /// What work costs.
    pub settings: Settings,
    /// How long replicas wait.
    pub timing: Timing,
    /// They make a checkpoint after so many records.
    pub checkpoint_records: u64,
    /// How much they remember, send and forget at once.
    pub bounds: Bounds,
    /// From the first operation on, the time when all faults are over.
    pub faults_over_after: Span,
    /// Those that crash for good: quorums of both phases stay alive.
    pub dead: NodeSet,
    /// Who is told to lead when the faults are over and nobody does.
    pub candidate: NodeId,
}

impl Case {
    /// The case of a seed.
    pub fn draw(seed: u64, limits: &Limits) -> Self {
        Self::drawn(seed.into(), &seed.into(), limits)
    }

    /// The case of these draws.
    pub(super) fn drawn(address: Address, draws: &Draws, limits: &Limits) -> Self {
        let quorums = system::observers(draws, system::quorums(draws, limits), limits);
        let n = quorums.n();
        let mut load = draws.stream(Purpose::Load);
        let client_count = 1 + load.index(3);
        let links = places::links(draws, n, client_count);
        let round_trip = places::longest_round_trip(&links);
        let (workload, duration) = load_of(&mut load, round_trip);
        let acceptors = quorums.acceptors();
        let (mode, send_policy, mut protocol) = system::protocol(draws, limits, acceptors);
        let picked = system::reads(draws, mode, (workload.reads, round_trip), limits);
        let (mode, reads, clock_error) = system::snapshots(draws, picked, limits);
        let workload = Workload { reads, ..workload };
        let mut timing = system::timing(&mut protocol, round_trip);
        let (service, network) = costs(draws);
        let settings = Settings { service, connection: system::connection(draws), host: None };
        let Service { receive, send: sending, .. } = service;
        let mut patience = Span::ZERO;
        let is_thin = network.conditions.bandwidth_bits_per_s.is_some();
        if is_thin || receive > Span::ZERO || sending > Span::ZERO {
            // Impatience with a thin link or a busy processor is a jam that never ends.
            let link_bits_per_s = network.conditions.bandwidth_bits_per_s;
            let capacity = Capacity { link_bits_per_s, ..Capacity::UNLIMITED };
            timing = Timing::for_round_trip(round_trip).on(capacity, Span::ZERO);
            patience = timing.retransmit_after;
        }
        let answer = round_trip + network.conditions.reordering.times(2) + service.sync + patience;
        // Twice the way of an answer, and more where processors are busy.
        let busy = Span::from_millis(if patience > Span::ZERO { 50 } else { 10 });
        let hasty = (round_trip + network.conditions.reordering + service.sync).times(2) + busy;
        let election = system::election(draws, answer, timing);
        let quorums = match (mode.leader(), election) {
            (Some(_), Election::Timeout(_)) => system::per_ballot(draws, quorums, limits),
            _ => quorums,
        };
        let quorums = system::witnesses(draws, quorums, mode, limits);
        let mode = system::responders(draws, mode, &quorums, limits);
        let mut kinds = draws.stream(Purpose::FaultMix);
        let fault_mix = FaultMix::draw(&mut kinds);
        let is_memory = kinds.one_in(3) && !fault_mix.has_crashes();
        let durability = if is_memory { Durability::Memory } else { Durability::Fsync };
        let checkpoint_records = match kinds.below(3) {
            0 => USUAL_CHECKPOINT_RECORDS,
            _ => kinds.between(4, 100),
        };
        let (retention, hurry) = retention(draws);
        let checkpoint_records = hurry.unwrap_or(checkpoint_records);
        let faults_over_after = Span(duration.0 / 4 * kinds.between(2, 6));
        let mut ending = draws.stream(Purpose::FaultsEnd);
        let dead = dead(&mut ending, &quorums, fault_mix);
        let candidate = member(&mut ending, quorums.candidates().difference(dead));
        let scene = Scene { n, mode, faults_over_after, dead };
        let faults = fault_mix::faults(&mut draws.stream(Purpose::Faults), fault_mix, &scene);
        let has_leaders = mode.leader().is_some();
        let moments = triggers::Scene { has_leaders, durability, round_trip };
        let mut triggered = triggers::draw(&mut draws.stream(Purpose::Triggers), &moments);
        if fault_mix == FaultMix::NoFaults {
            triggered.clear();
        }
        let mut deployment = Deployment {
            mode,
            quorums,
            election,
            send: send_policy,
            links,
            network,
            workload,
            control: None,
            clock_error,
            durability,
            retention,
            seed: draws.stream(Purpose::World).word(),
            warmup: duration,
            duration: Span::ZERO,
            drain: DRAIN,
            interval: client::INTERVAL,
            retry_after: system::retry_after(draws, hasty),
            faults: Vec::new(),
        };
        let patient = RETRY_LEAST.max(round_trip.times(12)) + deployment.transmission().times(4);
        deployment.retry_after.get_or_insert(patient);
        let is_crash = |it: &TriggeredFault| matches!(it.blow, triggers::Blow::Crash(_));
        let has_crashes = fault_mix.has_crashes() || triggered.iter().any(is_crash);
        let bounds = bounds(draws, has_crashes);
        let rule = limits.rule;
        let case = Self {
            address,
            rule,
            fault_mix,
            deployment,
            faults,
            triggered,
            settings,
            timing,
            checkpoint_records,
            bounds,
            faults_over_after,
            dead,
            candidate,
        };
        case.contested(draws, hasty)
    }

    /// What one replica is told.
    pub(super) fn config(&self, id: NodeId) -> Config {
        Config { timing: self.timing, bounds: self.bounds, ..self.deployment.config(id) }
    }

    /// Whether the least latency of an operation is known, and what it may take besides that: a leader
    /// proposes, links are constant, and nothing is lost, late or in a queue.
    pub(super) fn work(&self) -> Option<Span> {
        let Deployment { mode, links, network, .. } = &self.deployment;
        let Conditions { reordering, bandwidth_bits_per_s, .. } = network.conditions;
        let is_known = mode.leader().is_some()
            && !links.vary()
            && !self.is_lossy()
            && reordering == Span::ZERO
            && bandwidth_bits_per_s.is_none();
        let Service { receive, send, sync, .. } = self.settings.service;
        // A sync may wait for another one, here and there; and every message of a heartbeat and of its
        // answers for the processor.
        let messages = 8 * self.deployment.quorums.n() as u64;
        let work = Span::from_millis(1) + sync.times(4) + (receive + send).times(messages);
        is_known.then_some(work)
    }

    /// Whether messages get lost even when the faults are over.
    pub(super) fn is_lossy(&self) -> bool {
        self.deployment.network.conditions.loss > 0.0
    }
}

/// How much of the log is kept, and after how many records a checkpoint is made, if not as drawn elsewhere.
///
/// Where little is kept, checkpoints are frequent: nothing is forgotten without one.
fn retention(draws: &Draws) -> (Retention, Option<u64>) {
    let mut stream = draws.stream(Purpose::Retention);
    let is_short = stream.one_in(3);
    let slots = stream.pick(&[0, 0, 1, 2, 3, 5, 10, 20]);
    // So that a state of a few short values is several parts, and a promise of a few votes too.
    let part_bytes = stream.pick(&[1 << 20, 64, 200]);
    let checkpoint_records = stream.pick(&[1, 1, 2, 4, 10, 40]);
    if is_short {
        (Retention { slots: Some(slots), part_bytes }, Some(checkpoint_records))
    } else {
        (Retention { part_bytes, ..Retention::ALL }, None)
    }
}

/// For one case of three, bounds so small that a short run reaches them.
///
/// A horizon must reach further than what a crash takes back: what was voted for beyond it nobody would be told of, if
/// all that knew the slots before it had crashed. So it stays as it is where replicas crash.
fn bounds(draws: &Draws, has_crashes: bool) -> Bounds {
    let mut stream = draws.stream(Purpose::Bounds);
    let is_small = stream.one_in(3);
    let usual = Bounds::USUAL;
    let small = Bounds {
        horizon: stream.pick(&[usual.horizon, 100, 20, 5, 2]),
        answer_bytes: stream.pick(&[usual.answer_bytes, 1_000, 200, 1]),
        resent_bytes: stream.pick(&[usual.resent_bytes, 1_000, 200, 1]),
        lag: stream.pick(&[usual.lag, 20, 5, 1, 0]),
        forgotten_at_once: stream.pick(&[usual.forgotten_at_once, 10, 2, 1]),
    };
    let horizon = if has_crashes { usual.horizon } else { small.horizon };
    if is_small { Bounds { horizon, ..small } } else { usual }
}

/// Those that crash for good, if any: as many as leave a quorum of each phase alive.
fn dead(stream: &mut RandomStream, quorums: &QuorumSystem, fault_mix: FaultMix) -> NodeSet {
    let mut dead = NodeSet::EMPTY;
    let everybody = NodeSet::all(quorums.n());
    let tries = if stream.one_in(3) { stream.between(1, 6) } else { 0 };
    for _ in 0..tries {
        let more = dead.with(member(stream, everybody));
        if quorums.survives(more) {
            dead = more;
        }
    }
    if fault_mix.has_crashes() { dead } else { NodeSet::EMPTY }
}

/// What clients ask, and for how long: some twenty to two hundred operations.
fn load_of(stream: &mut RandomStream, round_trip: Span) -> (Workload, Span) {
    let operation_count = stream.between(15, 120);
    let brief = Span::from_millis(stream.between(50, 400));
    let long = Span::from_millis(stream.between(1_000, 8_000));
    let duration = if stream.below(5) < 2 { long } else { brief };
    let outstanding = stream.between(1, 8);
    let seconds = duration.as_millis_f64() / 1e3;
    let rate_per_s = operation_count as f64 / seconds;
    let arrival = match stream.below(3) {
        0 => Arrival::Fixed { rate_per_s },
        1 => Arrival::Poisson { rate_per_s },
        _ => Arrival::Closed { clients: u32::try_from(outstanding).expect("at most eight") },
    };
    let duration = match arrival {
        Arrival::Closed { .. } => {
            duration.min(round_trip.times(operation_count / outstanding).max(brief))
        }
        _ => duration,
    };
    let key_count = stream.between(1, 5);
    let keys = match stream.below(4) {
        0 => Keys::Zipf { count: 8, exponent: 0.99 },
        _ => Keys::Uniform { count: key_count },
    };
    let (value_bytes, reads) = (stream.pick(&[8, 8, 16, 40]), stream.pick(&[0.0, 0.1, 0.3, 0.6]));
    let workload =
        Workload { arrival, keys, value_bytes, reads, weights: Vec::new(), conflicts: None };
    (workload, duration)
}

/// What work costs, and what links do all the time besides delaying.
fn costs(draws: &Draws) -> (Service, Network) {
    let mut stream = draws.stream(Purpose::Costs);
    let span = |stream: &mut RandomStream, most_us: u64| Span::from_micros(stream.below(most_us));
    let (receive, sending) = (span(&mut stream, 60), span(&mut stream, 30));
    let most_us = stream.pick(&[1_000, 5_000, 20_000]);
    let sync = span(&mut stream, most_us);
    let service = match stream.below(6) {
        0 => Service::default(),
        1 | 2 => Service { receive, send: sending, sync, ..Service::default() },
        _ => Service { sync, ..Service::default() },
    };
    let service = Service { checkpoint: checkpoint(draws), ..service };
    let (loss, duplication) = (stream.pick(&[0.005, 0.02, 0.05]), stream.pick(&[0.02, 0.2]));
    let reordering = span(&mut stream, 30_000);
    let bandwidth_bits_per_s = stream.between(5, 50) * 1_000_000;
    let mut conditions = Conditions::default();
    match stream.below(10) {
        0 => conditions.loss = loss,
        1 => conditions.duplication = duplication,
        2 => conditions.reordering = reordering,
        3 => conditions = Conditions { loss, duplication, reordering, ..conditions },
        4 => conditions.bandwidth_bits_per_s = Some(bandwidth_bits_per_s),
        _ => {}
    }
    (service, Network { conditions, ..Network::default() })
}

/// How long a checkpoint takes: nothing beyond its records, or so long that many a crash comes before its end.
fn checkpoint(draws: &Draws) -> Span {
    let mut stream = draws.stream(Purpose::Checkpoints);
    let most_us = stream.pick(&[1, 20_000, 500_000, 5_000_000]);
    Span::from_micros(stream.below(most_us))
}

/// The whole case in a few lines of 80 columns, and one for each fault.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.tell(&mut text)?;
        let options = textwrap::Options::new(80).subsequent_indent("    ").break_words(false);
        text.lines().try_for_each(|line| writeln!(f, "{}", textwrap::fill(line, &options)))
    }
}

impl Case {
    /// The same without folds.
    fn tell(&self, f: &mut impl fmt::Write) -> fmt::Result {
        let Deployment {
            mode,
            quorums,
            election,
            send,
            links,
            workload,
            durability,
            retention,
            warmup,
            ..
        } = &self.deployment;
        let Settings { service, connection, .. } = self.settings;
        let Service { receive, send: sending, sync, checkpoint, .. } = service;
        let Conditions { bandwidth_bits_per_s, loss, duplication, reordering, .. } =
            self.deployment.network.conditions;
        let Timing { retransmit_after, backoff, announce_after, fill_after, .. } = self.timing;
        let rule = self.rule.map_or_else(String::new, |rule| format!(", breaking {rule}"));
        let longest = places::longest_round_trip(links);
        writeln!(f, "seed {}: {}{rule}", self.address, self.fault_mix)?;
        writeln!(
            f,
            "{} replicas, phase 1: {}, phase 2: {}",
            quorums.n(),
            quorums.phase1(),
            quorums.phase2()
        )?;
        let roles = [("witnesses", quorums.witnesses()), ("observers", quorums.observers())];
        for (role, nodes) in roles.into_iter().filter(|(_, nodes)| !nodes.is_empty()) {
            writeln!(f, "{role} {nodes}")?;
        }
        let election = match election {
            Election::Timeout(detector) if mode.leader().is_some() => format!(
                ", elected by a heartbeat every {}, {} missed, and {} of chance",
                ms(detector.heartbeat),
                detector.misses,
                ms(detector.spread)
            ),
            _ => String::new(),
        };
        let clocks = match self.deployment.clock_error {
            Span::ZERO => String::new(),
            error => format!(", clocks off by up to {}", ms(error)),
        };
        let (send, durability) = (words::send(*send), words::durability(*durability));
        writeln!(f, "{mode}{election}, {send}, {durability}{clocks}")?;
        writeln!(
            f,
            "{} client regions, {} for {}; longest round trip {}",
            links.client_regions.len(),
            words::load(workload),
            ms(*warmup),
            ms(longest)
        )?;
        let work = [receive, sending, sync, checkpoint].map(ms);
        let [receive, sending, sync, checkpoint] = work;
        writeln!(f, "receive {receive}, send {sending}, sync {sync}, checkpoint {checkpoint}")?;
        if let Some(Connection { is_ordered, idle_timeout, .. }) = connection {
            let order = if is_ordered { "in order" } else { "in any order" };
            let idle = ms(idle_timeout);
            writeln!(f, "what is lost is sent again, {order}; a cut of {idle} loses a connection")?;
        }
        if let Some(after) = self.deployment.retry_after {
            writeln!(f, "clients ask again after {}", ms(after))?;
        }
        writeln!(
            f,
            "loss {loss}, duplication {duplication}, reordering {}, bandwidth {}",
            ms(reordering),
            bandwidth_bits_per_s
                .map_or_else(|| "unlimited".to_owned(), |bits| format!("{bits} bit/s"))
        )?;
        writeln!(
            f,
            "retransmit after {}, back off {}, announce after {}, fill after {}, checkpoint after {} records",
            ms(retransmit_after),
            ms(backoff),
            ms(announce_after),
            ms(fill_after),
            self.checkpoint_records
        )?;
        let Retention { slots, part_bytes } = retention;
        let slots = slots.map_or("all".to_owned(), |slots| slots.to_string());
        writeln!(f, "{slots} slots are retained, a part of a state has {part_bytes} B")?;
        if self.bounds != Bounds::USUAL {
            writeln!(f, "{}", words::bounds(&self.bounds))?;
        }
        writeln!(
            f,
            "faults are over {} after the first operation, from which these times count",
            ms(self.faults_over_after)
        )?;
        for Fault { at, kind, heals_after } in &self.faults {
            let until = heals_after.map_or_else(String::new, |span| format!(" for {}", ms(span)));
            writeln!(f, "  {:>12}  {}{until}", ms(*at), words::fault(kind))?;
        }
        for triggered in &self.triggered {
            writeln!(f, "  when {}", words::triggered(triggered))?;
        }
        Ok(())
    }
}

/// A span in milliseconds, as exact as it is.
pub(super) fn ms(span: Span) -> String {
    format!("{:.3} ms", span.as_millis_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::FaultKind;
    use std::collections::BTreeSet;

    fn cases(count: u64) -> impl Iterator<Item = Case> {
        (0..count).map(|seed| Case::draw(seed, &Limits::default()))
    }

    #[test]
    fn the_same_seed_draws_the_same_case() {
        for case in cases(20) {
            let again = Case::of(&case.address, &Limits::default());
            assert_eq!(format!("{case:?}"), format!("{again:?}"));
        }
    }

    #[test]
    fn every_fault_mix_comes_and_some_of_everything_else() {
        let all: Vec<Case> = cases(300).collect();
        let fault_mixes: BTreeSet<FaultMix> = all.iter().map(|case| case.fault_mix).collect();
        assert_eq!(fault_mixes.len(), 11, "{fault_mixes:?}");
        let count = |is: fn(&Case) -> bool| all.iter().filter(|case| is(case)).count();
        assert!(count(|case| case.deployment.mode.leader().is_none()) > 60);
        assert!(count(|case| case.deployment.durability == Durability::Memory) > 20);
        assert!(count(|case| !case.dead.is_empty()) > 15);
        let is_short = |case: &Case| case.deployment.retention.slots.is_some();
        assert!((80..120).contains(&count(is_short)));
        assert!(count(Case::is_lossy) > 30);
        assert!((60..130).contains(&count(|case| case.bounds != Bounds::USUAL)));
        let is_near = |case: &Case| case.bounds.horizon < Bounds::USUAL.horizon;
        assert!(count(is_near) > 15);
        assert!(all.iter().all(|case| !is_near(case) || !case.fault_mix.has_crashes()));
        assert!(count(|case| case.settings.service.sync > Span::ZERO) > 150);
        let is_closed =
            |case: &Case| matches!(case.deployment.workload.arrival, Arrival::Closed { .. });
        assert!(count(is_closed) > 60);
    }

    #[test]
    fn what_forgets_everything_never_crashes() {
        for case in cases(300) {
            let is_crash = |fault: &Fault| matches!(fault.kind, FaultKind::Crash { .. });
            let crashes = case.faults.iter().any(is_crash);
            assert!(!crashes || case.deployment.durability == Durability::Fsync);
        }
    }

    #[test]
    fn both_quorums_survive_the_dead() {
        for case in cases(300) {
            let quorums = &case.deployment.quorums;
            let alive = NodeSet::all(quorums.n()).difference(case.dead);
            assert!(quorums.is_phase1(alive) && quorums.is_phase2(alive));
            assert!(alive.contains(case.candidate));
        }
    }

    #[test]
    fn a_limit_changes_only_what_it_limits() {
        let broken = Limits { rule: Some(Rule::ForgetsVote), ..Limits::default() };
        for seed in 0..50 {
            let (honest, broken) =
                (Case::draw(seed, &Limits::default()), Case::draw(seed, &broken));
            assert_eq!(format!("{:?}", honest.deployment), format!("{:?}", broken.deployment));
            assert_eq!(honest.faults, broken.faults);
        }
    }
}
