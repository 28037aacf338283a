//! What a schedule of faults makes impossible: from when on nobody can lead, or nothing can be chosen.
//!
//! The [`Injector`] decides which fault begins and ends, when and on which replicas, as it does in a trial.
//! This module tells it who leads and how much is written, as [`Assumed`], and asks after each fault what is
//! still possible.
//! It knows nothing but who is up and who hears whom: a replica can be made the leader if it hears a
//! phase-1 quorum and a phase-2 quorum, itself included, and goes on leading as long as it hears a
//! phase-2 quorum.
//! Where each ballot announces a phase-2 quorum of its own, it is that one that the leader must hear, and
//! the phase 1 of the next leader must meet it; those of earlier ballots are taken to be forgotten.
//! That nobody can be made the leader is told when the leader is to be replaced, for however long; that
//! nothing can be chosen, when it is for good.
//! A fault that does nothing, because its replica is down then, is told, too.
//! It is told and not refused: what happens then may be what the experiment is to show.
//!
//! Where the leader changes, the one nearest to the last is taken for the new one, and not before the
//! time-out of an election has passed since the last fault.
//! Faults that are triggered by progress are taken to come after all others, in their order, and each
//! when the one before is over unless that is for good.
//! Losses and slow links are no obstacle, but for a link that loses everything.

use std::cell::Cell;

use super::{Point, Variant};
use crate::deployment::{
    Aim, Crash, FaultKind, Injector, Leader, Members, Order, Scheduled, Trigger,
};
use crate::protocol::{Detector, Election};
use crate::quorum::{Family, NodeId, NodeSet};
use crate::time::{Span, Time};
use crate::topology;

/// What is impossible under the faults of a variant, a sentence each.
pub(super) fn of(point: &Point, variant: &Variant) -> Vec<String> {
    let mut feasibility = Feasibility::new(point, variant);
    feasibility.follow_times();
    feasibility.follow_progress();
    feasibility.warnings
}

/// Why nothing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// A leader is to be replaced, and nobody hears a phase-1 quorum.
    Phase1,
    /// A leader is to be replaced, and nobody hears a phase-1 quorum and a member of what it announced.
    Announced,
    /// Nobody hears a phase-2 quorum.
    Phase2,
    /// Of those that are up nobody may lead: all are witnesses or observers.
    Candidate,
    /// Somebody hears the one and somebody else the other.
    Both,
    /// Who could lead is not told to.
    Election,
}

/// What members say when a fault is due, as the plan assumes it.
struct Assumed {
    /// How many of the faults that progress triggers are due: see [`one_by_one`].
    written: u64,
    /// Who leads, or would be elected; else who led last, as the number of replicas that are hit is the
    /// same.
    leader: Leader,
    /// Whether a fault depended on who leads.
    is_asked: Cell<bool>,
}

impl Members for Assumed {
    fn written(&self) -> u64 {
        self.written
    }

    fn leader(&self) -> Option<Leader> {
        self.is_asked.set(true);
        Some(self.leader)
    }

    fn is_lost(&self, _: NodeId) -> bool {
        false
    }

    fn executed(&self, _: NodeId) -> Option<u64> {
        None
    }

    fn furthest(&self) -> Option<u64> {
        None
    }
}

struct Feasibility<'a> {
    point: &'a Point,
    variant: &'a Variant,
    injector: Injector,
    /// From the start of the measured time.
    now: Time,
    /// Who leads, unless that is impossible or nobody needs to.
    leader: Option<NodeId>,
    /// Who led last.
    last: NodeId,
    /// The configured leader crashed: it campaigns when it is started again.
    campaigns_when_started: bool,
    /// The phase-2 quorum of the last ballot, where each has its own.
    announced: Option<NodeSet>,
    warnings: Vec<String>,
}

impl<'a> Feasibility<'a> {
    fn new(point: &'a Point, variant: &'a Variant) -> Self {
        let last = variant.mode.leader().unwrap_or(NodeId(0));
        let aim = Aim::new(&variant.quorums, &point.links);
        let mut injector = Injector::new(one_by_one(&variant.faults), aim);
        injector.start(Time::ZERO, Time(u64::MAX));
        let mut feasibility = Self {
            point,
            variant,
            injector,
            now: Time::ZERO,
            leader: Some(last),
            last,
            campaigns_when_started: false,
            announced: None,
            warnings: Vec::new(),
        };
        feasibility.install(feasibility.as_leader(last));
        feasibility
    }

    /// This replica as a leader that begins now.
    fn as_leader(&self, id: NodeId) -> Leader {
        let heard = self.heard_by(id);
        let near = topology::nearest_first(&self.point.links, id);
        let allies: Vec<NodeId> = near.into_iter().filter(|id| heard.contains(*id)).collect();
        Leader { id, announced: self.variant.quorums.announced_in(&allies) }
    }

    /// This replica leads now.
    fn install(&mut self, Leader { id, announced }: Leader) {
        (self.leader, self.last, self.announced) = (Some(id), id, announced);
    }

    /// The faults that begin at a time of their own.
    fn follow_times(&mut self) {
        let mut lack: Option<(Lack, Span)> = None;
        while let Some(now) = self.injector.next_at() {
            self.carry_out(now, 0);
            let found = self.judge(self.injector.next_at().map(|next| next.since(now)));
            let moment = now.since(Time::ZERO);
            if let Some((before, since)) = lack
                && found != Some(before)
            {
                self.tell(before, &format!("from {} to {}", text(since), text(moment)), false);
                lack = None;
            }
            if lack.is_none() {
                lack = found.map(|found| (found, moment));
            }
        }
        if let Some((lack, since)) = lack {
            self.tell(lack, &format!("from {} on", text(since)), true);
        }
    }

    /// The faults that begin after so many writes.
    fn follow_progress(&mut self) {
        let variant = self.variant;
        let by_progress = variant.faults.iter().filter_map(|fault| match fault.trigger {
            Trigger::AfterWrites(count) => Some((count, fault.heals_after)),
            Trigger::At(_) => None,
        });
        for ((count, heals_after), place) in by_progress.zip(1..) {
            let was = self.judge(None);
            self.carry_out(self.now, place);
            if let Some(lack) = self.judge(None).filter(|lack| was != Some(*lack)) {
                let when = match heals_after {
                    Some(after) => format!("for {} after {count} writes", text(after)),
                    None => format!("from {count} writes on"),
                };
                self.tell(lack, &when, heals_after.is_none());
            }
            while let Some(over) = self.injector.next_at() {
                self.carry_out(over, place);
            }
        }
    }

    /// All that is due now, with so many faults of those that progress triggers.
    fn carry_out(&mut self, now: Time, written: u64) {
        self.now = now;
        loop {
            let elected = if self.leader.is_none() { self.candidate() } else { None };
            let elected = elected.map(|id| self.as_leader(id));
            let last = Leader { id: self.last, announced: self.announced };
            let leader = elected.unwrap_or(last);
            let members = Assumed { written, leader, is_asked: Cell::new(false) };
            let order = self.injector.next_due(now, &members);
            let order = order.or_else(|| self.injector.next_awaited(now, &members));
            if let (Some(leader), true) = (elected, members.is_asked.get()) {
                // A fault of whoever leads waits until somebody does.
                self.install(leader);
            }
            for skipped in self.injector.take_skipped() {
                if self.is_sure(skipped.crash, skipped.fault) {
                    self.tell_in_vain(&skipped.kind, skipped.replica, skipped.fault);
                }
            }
            match order {
                Some(Order::Begin { kind, ends_at }) => self.begin(&kind, ends_at),
                Some(Order::End(_)) => {}
                None => return,
            }
        }
    }

    /// What a fault that begins does to who leads; or that it does nothing.
    fn begin(&mut self, kind: &FaultKind, ends_at: Option<Time>) {
        match *kind {
            FaultKind::Crash { replica, .. } | FaultKind::FullDisk { replica } => {
                self.leader = self.leader.filter(|leader| *leader != replica);
                self.campaigns_when_started |= self.variant.mode.leader() == Some(replica);
            }
            FaultKind::Campaign { replica } if self.could_lead(replica) => {
                self.install(self.as_leader(replica));
            }
            _ => {}
        }
        let fault = self.injector.records().last().map(|record| record.fault);
        if let Some(fault) = fault
            && let Some(replica) = self.in_vain(kind, fault, ends_at)
        {
            self.tell_in_vain(kind, replica, fault);
        }
    }

    /// Whether a replica is down for sure when a fault begins: that crash comes before that fault.
    ///
    /// What progress triggers may come before a crash that has a time.
    fn is_sure(&self, crash: Option<usize>, fault: usize) -> bool {
        let is_timed = |fault: usize| matches!(self.variant.faults[fault].trigger, Trigger::At(_));
        crash.is_some_and(|crash| is_timed(crash) == is_timed(fault))
    }

    /// The replica that is down as long as this fault of its disk or its links lasts, if that is sure.
    fn in_vain(&self, kind: &FaultKind, fault: usize, ends_at: Option<Time>) -> Option<NodeId> {
        let lasts_longer = |crash: &Crash| match (crash.ends_at, ends_at) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(back), Some(over)) => back >= over,
        };
        let is_gone = |replica: NodeId| {
            let crash = self.injector.crash_of(replica);
            crash.is_some_and(|crash| self.is_sure(crash.fault, fault) && lasts_longer(&crash))
        };
        match *kind {
            FaultKind::SlowDisk { replica, .. } => is_gone(replica).then_some(replica),
            FaultKind::Cut { from, to }
            | FaultKind::Slow { from, to, .. }
            | FaultKind::Lose { from, to, .. }
            | FaultKind::Duplicate { from, to, .. }
            | FaultKind::Reorder { from, to, .. } => {
                [from, to].into_iter().find(|side| side.iter().all(is_gone))?.iter().next()
            }
            // A partition does something unless its sides were apart before, and the injector skips the others.
            FaultKind::Partition { .. }
            | FaultKind::Crash { .. }
            | FaultKind::FullDisk { .. }
            | FaultKind::Pause { .. }
            | FaultKind::Campaign { .. } => None,
        }
    }

    /// Says that a fault does nothing.
    fn tell_in_vain(&mut self, kind: &FaultKind, replica: NodeId, fault: usize) {
        let what = match kind {
            FaultKind::Crash { .. } => "crash",
            FaultKind::Pause { .. } => "pause",
            FaultKind::Campaign { .. } => "campaign",
            FaultKind::SlowDisk { .. } => "slow disk",
            FaultKind::FullDisk { .. } => "full disk",
            _ => "fault of the links",
        };
        let when = match self.variant.faults[fault].trigger {
            Trigger::At(at) => format!("at {}", text(at)),
            Trigger::AfterWrites(count) => format!("after {count} writes"),
        };
        let region = self.point.region(replica);
        let text =
            format!("the {what} of {region} {when} has no effect: the replica is down by then");
        self.warnings.push(text);
    }

    /// Why nothing goes on now, if nothing does; `next` is the time to the next fault.
    fn judge(&mut self, next: Option<Span>) -> Option<Lack> {
        if self.variant.mode.leader().is_none() {
            return self.lack().filter(|lack| *lack != Lack::Election);
        }
        if let Some(leader) = self.leader {
            let goes_on = self.variant.quorums.is_phase2_at(self.heard_by(leader), self.announced);
            // Without elections it waits until it does.
            if goes_on || self.detector().is_none() {
                return (!goes_on)
                    .then(|| if self.is_up(leader) { Lack::Phase2 } else { Lack::Election });
            }
            self.leader = None;
        }
        if let Some(detector) = self.detector()
            && next.is_some_and(|next| next < detector.timeout())
        {
            // Nobody is elected before the next fault.
            return self.candidate().map_or_else(|| self.lack(), |_| None);
        }
        if self.elect() { None } else { self.lack() }
    }

    /// How replicas find out that nobody leads, if they do.
    fn detector(&self) -> Option<Detector> {
        match self.point.election {
            Election::Timeout(detector) => Some(detector),
            Election::Fixed => None,
        }
    }

    /// Lets somebody lead, if anybody can.
    fn elect(&mut self) -> bool {
        let candidate = self.candidate();
        if let Some(leader) = candidate {
            self.install(self.as_leader(leader));
        }
        candidate.is_some()
    }

    /// Who leads next, if anybody can.
    fn candidate(&self) -> Option<NodeId> {
        let near = topology::nearest_first(&self.point.links, self.last);
        let mut candidates = near.into_iter().filter(|candidate| self.could_lead(*candidate));
        // Without elections only the configured leader campaigns, whenever it is started: not where another
        // one leads by command and is lost.
        match (self.detector(), self.variant.mode.leader()) {
            (None, Some(leader)) => {
                candidates.find(|candidate| self.campaigns_when_started && *candidate == leader)
            }
            _ => candidates.next(),
        }
    }

    /// What nobody has, of those that are up.
    fn lack(&self) -> Option<Lack> {
        let quorums = &self.variant.quorums;
        let has = |is: &dyn Fn(NodeSet) -> bool| {
            self.point.links.replicas().any(|id| is(self.heard_by(id)))
        };
        if !has(&|heard| quorums.is_phase1(heard)) {
            Some(Lack::Phase1)
        } else if !has(&|heard| quorums.is_phase1_over(heard, self.announced)) {
            Some(Lack::Announced)
        } else if !has(&|heard| quorums.is_phase2(heard)) {
            Some(Lack::Phase2)
        } else if !quorums.candidates().iter().any(|id| self.is_up(id)) {
            Some(Lack::Candidate)
        } else if !self.point.links.replicas().any(|id| self.could_lead(id)) {
            Some(Lack::Both)
        } else {
            Some(Lack::Election).filter(|_| self.variant.mode.leader().is_some())
        }
    }

    fn could_lead(&self, id: NodeId) -> bool {
        let heard = self.heard_by(id);
        let quorums = &self.variant.quorums;
        let is_candidate = quorums.candidates().contains(id);
        is_candidate && quorums.is_phase1_over(heard, self.announced) && quorums.is_phase2(heard)
    }

    /// The replicas that this one hears and that hear it, itself included; none if it is down.
    fn heard_by(&self, id: NodeId) -> NodeSet {
        let hears = |other: &NodeId| {
            self.is_up(*other) && !self.is_cut(id, *other) && !self.is_cut(*other, id)
        };
        let is_up = self.is_up(id);
        self.point.links.replicas().filter(|other| is_up && hears(other)).collect()
    }

    fn is_up(&self, id: NodeId) -> bool {
        let is_paused = |kind: &FaultKind| *kind == FaultKind::Pause { replica: id };
        self.injector.crash_of(id).is_none() && !self.injector.active().any(is_paused)
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        let is_hit = |senders: &NodeSet, receivers: &NodeSet| {
            from != to && senders.contains(from) && receivers.contains(to)
        };
        self.injector.active().any(|kind| match kind {
            FaultKind::Partition { side } => side.contains(from) != side.contains(to),
            FaultKind::Cut { from, to } => is_hit(from, to),
            FaultKind::Lose { from, to, share } => *share >= 1.0 && is_hit(from, to),
            _ => false,
        })
    }

    /// Says it, if it is to be said.
    fn tell(&mut self, lack: Lack, when: &str, is_for_good: bool) {
        // While it lasts a phase 2 only waits; a leader that is gone is what a fault is about.
        let is_of_leader =
            matches!(lack, Lack::Phase1 | Lack::Announced | Lack::Candidate | Lack::Election);
        if !is_for_good && (!is_of_leader || self.variant.mode.leader().is_none()) {
            return;
        }
        let quorums = &self.variant.quorums;
        let (phase1, phase2) = (of_size(quorums.phase1()), of_size(quorums.phase2()));
        self.warnings.push(match (lack, self.variant.mode.leader()) {
            (Lack::Phase1, None) => {
                format!("{when} no phase-1 quorum{phase1} is left: no write can be chosen")
            }
            (Lack::Phase1, Some(_)) => {
                format!("{when} no phase-1 quorum{phase1} is left, and the leader is to be replaced")
            }
            (Lack::Announced, _) => {
                let members = self.announced.unwrap_or(NodeSet::EMPTY).iter();
                let regions: Vec<&str> = members.map(|id| self.point.region(id)).collect();
                format!(
                    "{when} no phase 1 can end: it must meet the announced phase-2 quorum of {}, and \
                     the leader is to be replaced",
                    regions.join(" and ")
                )
            }
            (Lack::Phase2, _) => {
                format!("{when} no phase-2 quorum{phase2} is left: no write can be chosen")
            }
            (Lack::Candidate, _) => format!(
                "{when} no replica is up that may lead, for the others are witnesses or observers, and the leader is \
                 to be replaced"
            ),
            (Lack::Both, _) => {
                format!("{when} no replica hears both a phase-1 and a phase-2 quorum")
            }
            (Lack::Election, _) => format!(
                "{when} the leader is gone, and with `election.mode = \"fixed\"` nobody takes its place"
            ),
        });
    }
}

/// The schedule with the faults that progress triggers numbered from 1, in their order, so that each is due
/// by itself.
fn one_by_one(faults: &[Scheduled]) -> Vec<Scheduled> {
    let mut place = 0;
    let numbered = |fault: &Scheduled| match fault.trigger {
        Trigger::At(_) => fault.clone(),
        Trigger::AfterWrites(_) => {
            place += 1;
            Scheduled { trigger: Trigger::AfterWrites(place), ..fault.clone() }
        }
    };
    faults.iter().map(numbered).collect()
}

/// ` of 5`, where every set of that size is a quorum.
fn of_size(family: &Family) -> String {
    family.threshold().map_or_else(String::new, |size| format!(" of {size}"))
}

fn text(span: Span) -> String {
    humantime::format_duration(span.into()).to_string()
}
