//! One run of a case, to its end or to its first violation.

use super::case::{Case, ms};
use super::encoded::Encoded;
use super::line::Line;
use super::observation::{Observation, Shared};
use super::situations::{Situation, Situations};
use super::tally::Tally;
use super::trace::Trace;
use super::triggers::Triggers;
use super::watch::Watch;
use crate::deployment::{FaultKind, MemberName};
use crate::history::{self, Check, Error, Options, Verdict, oracle};
use crate::monitor::{Finding, Invariant};
use crate::protocol::{Election, Order, Progress, Protocol};
use crate::quiet::quietly;
use crate::quorum::{NodeId, NodeSet};
use crate::registry::{Mode, Registration, Visitor};
use crate::sabotage::{Rule, Saboteur};
use crate::sim::{Outcome, World};
use crate::time::{Span, Time};

/// After the faults, whether everything is answered and whether somebody leads is looked at so often.
pub(super) const LOOK_EVERY: Span = Span::from_millis(1_000);

/// While nobody leads, somebody is told to so often.
///
/// It is longer than any phase 1, one of many votes that come a few at a time too: who campaigns again
/// before the last attempt is over never leads.
const CAMPAIGN_EVERY: Span = Span::from_millis(10_000);

/// After the faults, nothing is executed and nothing answered for so long: the run has stalled.
///
/// A client that asks in vain asks the next replica after two seconds, and rivals in classic Paxos that
/// lost many races wait for seconds.
pub(super) const PATIENCE: Span = Span::from_millis(60_000);

/// After the faults, everything is answered within this, however much is still going on.
const LONGEST: Span = Span::from_millis(600_000);

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The first thing that it should not have shown.
    pub violation: Option<Finding>,
    /// What happened in it.
    pub tally: Tally,
    /// Everything that happened in it, if that was asked for.
    pub trace: Vec<Line>,
    /// The situations that it was in, ascending, if that was asked for.
    pub(super) situations: Vec<Situation>,
}

/// What is kept of a run besides what is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Nothing,
    Trace,
    Situations,
}

/// Runs a case.
pub fn run(case: &Case) -> Ran {
    case.deployment.mode.visit(Run { case, kept: Kept::Nothing })
}

/// Runs a case and writes down everything that happens.
pub fn run_traced(case: &Case) -> Ran {
    case.deployment.mode.visit(Run { case, kept: Kept::Trace })
}

/// Runs a case and notes the situations that it is in.
pub(super) fn run_situated(case: &Case) -> Ran {
    case.deployment.mode.visit(Run { case, kept: Kept::Situations })
}

struct Run<'a> {
    case: &'a Case,
    kept: Kept,
}

impl Visitor for Run<'_> {
    type Output = Ran;

    fn visit<P: Registration>(self, mode: P::Mode) -> Ran {
        Trial::<P>::new(self.case, mode, self.kept).run()
    }
}

pub(super) struct Trial<'a, P: Registration> {
    pub(super) case: &'a Case,
    pub(super) world: World<Encoded<Saboteur<P>>>,
    pub(super) observation: Shared,
    /// When the first operation is issued.
    start: Time,
    /// When all faults are over.
    faults_over_at: Time,
    /// After the faults: when somebody was told to lead last.
    told_at: Option<Time>,
}

impl<'a, P: Registration> Trial<'a, P> {
    fn new(case: &'a Case, mode: P::Mode, kept: Kept) -> Self {
        let deployment = &case.deployment;
        let of = case.clone();
        let make = move |id| {
            let config = of.config(id);
            let replica = <P as Registration>::new(mode, config.clone());
            Encoded::new(Saboteur::new(replica, &config, of.rule))
        };
        let mut world = World::new(deployment, &case.settings, make);
        world.set_checkpoint_records(case.checkpoint_records);
        if let Some(defect) = case.rule.and_then(Rule::driver_defect) {
            world.set_broken_driver(defect);
        }
        let start = world.schedule().warmup_from;
        let trace = (kept == Kept::Trace).then(|| Trace::new(case, start));
        let situations = (kept == Kept::Situations).then(|| Situations::new(case, P::ORDER));
        let clients = deployment.links.client_regions.len();
        let is_own = deployment.retention.slots.is_some();
        let has_leaders = deployment.mode.leader().is_some();
        let watch = Watch::new(P::ORDER, &deployment.quorums, clients, is_own, has_leaders);
        let n = deployment.quorums.n();
        let triggers = Triggers::new(&case.triggered, n, case.dead);
        let observation = Shared::new(Observation::new(watch, trace, situations, triggers, n));
        world.observe = Some(Box::new(observation.clone()));
        Self {
            case,
            world,
            observation,
            start,
            faults_over_at: start + case.faults_over_after,
            told_at: None,
        }
    }

    fn run(mut self) -> Ran {
        let progress = quietly(|| self.go_on());
        let seen = self.observation.look(|observation| observation.violation.take());
        let Self { case, world, observation, .. } = self;
        let virtual_time = world.now().since(Time::ZERO);
        let outcome = world.finish();
        let assertion = outcome.violation.clone().map(broken);
        let judged = quietly(|| judge(&outcome, case.deployment.mode));
        let (verdict, unlawful) = match judged {
            Ok(Ok((verdict, unlawful))) => (Some(verdict), unlawful),
            Ok(Err(error)) => (None, Some(broken(error.to_string()))),
            Err(panic) => (None, Some(broken(panic.message))),
        };
        let progress = progress.unwrap_or_else(|panic| Err(broken(panic.message)));
        let tally = Tally {
            histories: 1,
            issued: verdict.as_ref().map_or(0, |verdict| verdict.operation_count),
            acknowledged: verdict.as_ref().map_or(0, |verdict| verdict.acknowledged_count),
            slots: verdict.as_ref().map_or(0, |verdict| verdict.slot_count),
            virtual_time,
            overtaken: observation.look(|observation| observation.overtaken_count),
            dead: case.dead.len() as u64,
            triggered: observation.look(|observation| observation.triggers.begun_count),
            counts: outcome.counts,
        };
        // What is wrong with what was done comes before what was not done.
        let violation = seen.or(assertion).or(unlawful).or(progress.err());
        let trace = observation.look(|observation| observation.trace.take()).map(Trace::finish);
        let situations = observation.look(|observation| observation.situations.take());
        let situations = situations.map(Situations::finish).unwrap_or_default();
        Ran { violation, tally, trace: trace.unwrap_or_default(), situations }
    }

    /// Through the faults, and then until everything is answered.
    fn go_on(&mut self) -> Result<(), Finding> {
        for fault in &self.case.faults {
            self.run_until(self.start + fault.at);
            self.world.inject(&fault.kind, fault.heals_after);
        }
        self.run_until(self.faults_over_at);
        let asked_until = self.world.schedule().measure_until;
        let waits_from = self.faults_over_at.max(asked_until);
        let (mut advanced_at, mut state) = (waits_from, self.advance());
        let mut end = None;
        while self.world.violation().is_none() {
            let now = self.world.now();
            let is_answered = now >= asked_until
                && self.observation.look(|observation| observation.watch.outstanding().is_empty());
            if is_answered && (!self.must_be_level() || self.is_level_with(&mut end)) {
                self.check_stored()?;
                self.recover()?;
                return self.check_stored();
            }
            let advance = self.advance();
            if advance != state {
                (advanced_at, state) = (now.max(waits_from), advance);
            }
            if now >= advanced_at + PATIENCE || now >= waits_from + LONGEST {
                return Err(self.stalled(is_answered));
            }
            self.supervise();
            self.world.run_until(now + LOOK_EVERY);
        }
        Ok(())
    }

    /// Everything that happens up to `until`, with the faults that something triggers.
    fn run_until(&mut self, until: Time) {
        if self.observation.look(|observation| observation.triggers.is_empty()) {
            return self.world.run_until(until);
        }
        let observation = self.observation.clone();
        let next_at = || observation.look(|observation| observation.triggers.next_at());
        while self.world.violation().is_none() {
            let now = self.world.now();
            let due = observation.look(|observation| observation.triggers.take_due(now));
            if let Some((kind, lasts)) = due {
                // Behind the last fault nothing begins any more.
                let left = self.faults_over_at.since(now);
                if left > Span::ZERO {
                    self.world.inject(&kind, Some(lasts.min(left)));
                }
            } else if now >= until {
                return;
            } else {
                let stop = next_at().map_or(until, |at| at.min(until));
                self.world.run_until_enough(stop, &|| next_at().is_some_and(|at| at < stop));
            }
        }
    }

    /// What changes as long as there is progress: how much is unanswered, and how far everybody is.
    fn advance(&self) -> (usize, Vec<Progress>) {
        let open = self.observation.look(|observation| observation.watch.outstanding().len());
        (open, self.alive().map(|(_, it)| it.progress()).collect())
    }

    /// Somebody is told to lead if nobody does, unless leaders are elected.
    ///
    /// It is always the same one: with a quorum of each phase alive that is all that Paxos asks for.
    /// One that leads is left alone, however little comes of it.
    pub(super) fn supervise(&mut self) {
        let (deployment, now) = (&self.case.deployment, self.world.now());
        let is_time = self.told_at.is_none_or(|told_at| now >= told_at + CAMPAIGN_EVERY);
        if let (Some(_), Election::Fixed) = (deployment.mode.leader(), deployment.election)
            && is_time
            && !self.is_led()
        {
            self.told_at = Some(now);
            self.world.inject(&FaultKind::Campaign { replica: self.case.candidate }, None);
        }
    }

    /// Whether somebody leads with the highest ballot that anybody alive has promised.
    fn is_led(&self) -> bool {
        let highest = self.alive().map(|(_, it)| it.promised_highest()).max();
        let Some(highest) = highest else { return false };
        self.alive().any(|(id, it)| highest.proposer == id && it.leadership().is_some())
    }

    /// Whether what is chosen last was chosen after the faults: then the news of it reach everybody,
    /// unless messages still get lost.
    fn must_be_level(&self) -> bool {
        let end = self.observation.look(|observation| observation.watch.end_chosen_at());
        P::ORDER == Order::Total
            && !self.case.is_lossy()
            && end.is_some_and(|at| at > self.faults_over_at)
    }

    /// Whether everybody alive has executed equally much; where an idle leader goes on by no-ops, as much as anybody
    /// had when everything was answered, which is kept in `end`.
    fn is_level_with(&self, end: &mut Option<Progress>) -> bool {
        let learners = self.case.deployment.quorums.learners();
        let alive = self.alive().filter(|(id, _)| learners.contains(*id));
        let executed: Vec<Progress> = alive.map(|(_, it)| it.progress()).collect();
        let Some(most) = executed.iter().max().copied() else { return true };
        let advances = self.case.deployment.mode.snapshot().is_some();
        let end = if advances { *end.get_or_insert(most) } else { most };
        executed.into_iter().all(|below| below >= end)
    }

    /// Learners that are alive store what the slots that they executed wrote, whether anybody reads it or not.
    fn check_stored(&self) -> Result<(), Finding> {
        let learners = self.case.deployment.quorums.learners();
        let mut alive = self.alive().filter(|(id, _)| learners.contains(*id));
        alive.try_for_each(|(id, it)| {
            let (below, stored) = (P::ORDER.executed_below(it.progress()), it.stored());
            let Some(stored) = stored else { return Ok(()) };
            self.observation.look(|observation| observation.watch.check_stored(id, below, stored))
        })
    }

    pub(super) fn alive(&self) -> impl Iterator<Item = (NodeId, &Saboteur<P>)> {
        let everybody = NodeSet::all(self.case.deployment.quorums.n());
        everybody.iter().filter_map(|id| Some((id, self.world.protocol(id)?.inner())))
    }

    pub(super) fn stalled(&self, is_answered: bool) -> Finding {
        let executed: Vec<(NodeId, Progress)> =
            self.alive().map(|(id, it)| (id, it.progress())).collect();
        let ends: Vec<String> =
            executed.iter().map(|(id, below)| format!("{id} below {}", below.0)).collect();
        let what = if is_answered {
            "somebody stays behind".to_owned()
        } else {
            self.observation.look(|observation| {
                let open = observation.watch.outstanding();
                let first = open.first().map(|request| {
                    format!(", first request {} of c{}", request.sequence, request.client.0)
                });
                format!("{} unanswered{}", open.len(), first.unwrap_or_default())
            })
        };
        let waited = ms(self.world.now().since(self.faults_over_at));
        let sentence = format!("{waited} after the faults: {what}; executed: {}", ends.join(", "));
        Finding::new(Invariant::Progress, sentence)
    }
}

fn broken(sentence: String) -> Finding {
    Finding::new(Invariant::Assertions, sentence)
}

/// What the histories say: those of all members, and those of clients by themselves.
fn judge(outcome: &Outcome, mode: Mode) -> Result<(Verdict, Option<Finding>), Error> {
    let (may_miss, has_sessions) = (mode.may_miss(), mode.has_sessions());
    let mut check = Check::new(Options { may_miss, has_sessions, ..Options::default() });
    for (member, histories) in &outcome.histories {
        for history in histories {
            match member {
                MemberName::Client(_) => check.add_client(|| Ok(history.as_slice()))?,
                MemberName::Replica(_) => check.add_replica(history.as_slice())?,
            }
        }
    }
    let verdict = check.finish()?;
    assert!(verdict.cut_count == 0, "a simulated history is cut off");
    let clients =
        outcome.histories.iter().filter(|(name, _)| matches!(name, MemberName::Client(_)));
    let clients = clients.flat_map(|(_, histories)| histories).map(Vec::as_slice);
    let seen = oracle::check(clients, oracle::Options { may_miss, ..oracle::Options::default() })?;
    assert!(seen.undecided_count == 0, "{}", seen.undecided().unwrap_or_default());
    let unlawful = verdict.violations.first();
    let unlawful = unlawful.map(|it| Finding::new(broken_by(it), it.to_string()));
    let inexplicable = seen.violations.first();
    let inexplicable =
        inexplicable.map(|it| Finding::new(Invariant::Linearizability, it.to_string()));
    Ok((verdict, unlawful.or(inexplicable)))
}

/// The invariant that a finding of the history check breaks.
const fn broken_by(violation: &history::Violation) -> Invariant {
    use history::Violation as Of;
    match violation {
        Of::Disagreement { .. }
        | Of::Rewritten { .. }
        | Of::Order { .. }
        | Of::StateDiffers { .. }
        | Of::StateUnfounded { .. }
        | Of::Missing { .. } => Invariant::Agreement,
        Of::NotIssued { .. } | Of::Changed { .. } => Invariant::Validity,
        Of::StaleRead { .. } | Of::RealTime { .. } | Of::ReadUnfounded { .. } => {
            Invariant::Linearizability
        }
        Of::AppliedTwice { .. }
        | Of::AppliedLate { .. }
        | Of::NotApplied { .. }
        | Of::Lost { .. }
        | Of::WrongSlot { .. }
        | Of::IssuedTwice(_)
        | Of::ReturnedTwice(_)
        | Of::ReturnedUnissued(_) => Invariant::ExactlyOnce,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::Limits;

    #[test]
    fn the_same_seed_gives_the_same_run() {
        let mut situation_count = 0;
        for seed in 0..4 {
            let case = Case::draw(seed, &Limits::default());
            let (first, second) = (run_traced(&case), run_traced(&case));
            assert!(first.trace.len() > 50, "{} lines", first.trace.len());
            assert_eq!(first.trace, second.trace);
            // To be watched changes nothing.
            assert_eq!(run(&case).tally, first.tally);
            let [one, other] = [(); 2].map(|()| run_situated(&case));
            assert_eq!((one.tally, &one.situations), (first.tally, &other.situations));
            assert!(!one.situations.is_empty() && first.situations.is_empty());
            situation_count += one.situations.len();
        }
        assert!(situation_count > 40, "{situation_count}");
    }
}
