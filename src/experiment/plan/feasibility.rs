//! What a schedule of faults makes impossible: from when on nobody can lead, or nothing can be chosen.
//!
//! It follows the schedule with nothing but who is up and who hears whom: a replica can be made the
//! leader if it hears a phase-1 quorum and a phase-2 quorum, itself included, and goes on leading as long
//! as it hears a phase-2 quorum.
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

use super::{Point, Variant};
use crate::deployment::{Aim, FaultKind, Leader, Scheduled, Trigger};
use crate::protocol::{Detector, Election};
use crate::quorum::{Family, NodeId, NodeSet};
use crate::time::Span;
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
    /// Somebody hears the one and somebody else the other.
    Both,
    /// Who could lead is not told to.
    Election,
}

/// A harm that lasts.
struct Active {
    kind: FaultKind,
    /// Until when, from the start of the measured time; what progress triggers knows no time.
    until: Option<Span>,
    /// What triggered it.
    trigger: Trigger,
}

struct Feasibility<'a> {
    point: &'a Point,
    variant: &'a Variant,
    aim: Aim,
    /// What lasts.
    active: Vec<Active>,
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
        let (active, warnings) = (Vec::new(), Vec::new());
        let (leader, announced) = (Some(last), None);
        let campaigns_when_started = false;
        let mut feasibility = Self {
            point,
            variant,
            aim,
            active,
            leader,
            last,
            campaigns_when_started,
            announced,
            warnings,
        };
        feasibility.install(last);
        feasibility
    }

    /// This replica leads now.
    fn install(&mut self, leader: NodeId) {
        (self.leader, self.last) = (Some(leader), leader);
        let heard = self.heard_by(leader);
        let near = topology::nearest_first(&self.point.links, leader);
        let allies: Vec<NodeId> = near.into_iter().filter(|id| heard.contains(*id)).collect();
        self.announced = self.variant.quorums.announced_in(&allies);
    }

    /// The faults that strike at a time of their own.
    fn follow_times(&mut self) {
        let variant = self.variant;
        let timed = |fault: &Scheduled| match fault.trigger {
            Trigger::At(at) => Some((at, fault.heals_after.map(|after| at + after))),
            Trigger::AfterWrites(_) => None,
        };
        let mut moments: Vec<Span> = Vec::new();
        for (at, until) in variant.faults.iter().filter_map(timed) {
            moments.extend([Some(at), until].into_iter().flatten());
        }
        moments.sort_unstable();
        moments.dedup();
        let mut lack: Option<(Lack, Span)> = None;
        for (number, moment) in moments.iter().copied().enumerate() {
            for fault in &variant.faults {
                if let Some((at, until)) = timed(fault)
                    && at == moment
                {
                    self.strike(fault, until);
                }
            }
            self.active.retain(|active| active.until != Some(moment));
            let next = moments.get(number + 1).map(|next| *next - moment);
            let now = self.judge(next);
            if let Some((before, since)) = lack
                && now != Some(before)
            {
                self.tell(before, &format!("from {} to {}", text(since), text(moment)), false);
                lack = None;
            }
            if lack.is_none() {
                lack = now.map(|now| (now, moment));
            }
        }
        if let Some((lack, since)) = lack {
            self.tell(lack, &format!("from {} on", text(since)), true);
        }
    }

    /// The faults that strike after so many writes.
    fn follow_progress(&mut self) {
        for fault in &self.variant.faults {
            let Trigger::AfterWrites(count) = fault.trigger else { continue };
            let was = self.judge(None);
            self.strike(fault, fault.heals_after);
            if let Some(lack) = self.judge(None).filter(|lack| was != Some(*lack)) {
                let is_for_good = fault.heals_after.is_none();
                let when = match fault.heals_after {
                    Some(after) => format!("for {} after {count} writes", text(after)),
                    None => format!("from {count} writes on"),
                };
                self.tell(lack, &when, is_for_good);
            }
            self.active.retain(|active| active.until.is_none());
        }
    }

    fn strike(&mut self, fault: &Scheduled, until: Option<Span>) {
        let is_of_part = fault.kind.concerned().iter().any(|target| !target.roles.is_empty());
        if is_of_part && self.leader.is_none() {
            // It waits until somebody leads.
            self.elect();
        }
        // Who led last stands for whoever leads: the number of replicas that are hit is the same.
        let (id, announced) = (self.leader.unwrap_or(self.last), self.announced);
        let kinds = self.aim.kinds(&fault.kind, Some(Leader { id, announced }));
        for kind in kinds.unwrap_or_default() {
            if let Some(replica) = self.in_vain(&kind, fault, until) {
                self.tell_in_vain(&kind, replica, fault.trigger);
                continue;
            }
            match kind {
                FaultKind::Crash { replica, .. } => {
                    self.active.retain(|active| active.kind != FaultKind::Pause { replica });
                    // It comes back when its first crash says so.
                    if !self.is_crashed(replica) {
                        self.active.push(Active { kind, until, trigger: fault.trigger });
                    }
                    self.leader = self.leader.filter(|leader| *leader != replica);
                    let is_configured = self.variant.mode.leader() == Some(replica);
                    self.campaigns_when_started |= is_configured;
                }
                FaultKind::Campaign { replica } => {
                    if self.could_lead(replica) {
                        self.install(replica);
                    }
                }
                _ => self.active.push(Active { kind, until, trigger: fault.trigger }),
            }
        }
    }

    /// The replica that is down whenever this harm could do something to it, if that is sure.
    ///
    /// What progress triggers may come before a crash that has a time, so that is not.
    fn in_vain(&self, kind: &FaultKind, fault: &Scheduled, until: Option<Span>) -> Option<NodeId> {
        let crash_of =
            |replica: NodeId| self.active.iter().find(|active| is_crash(active, replica));
        let is_sure = |crash: &&Active| {
            matches!(crash.trigger, Trigger::At(_)) == matches!(fault.trigger, Trigger::At(_))
        };
        let lasts_longer = |crash: &&Active| match (crash.until, until) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(back), Some(over)) => back >= over,
        };
        match *kind {
            FaultKind::Crash { replica, .. }
            | FaultKind::Pause { replica }
            | FaultKind::Campaign { replica } => crash_of(replica).filter(is_sure).map(|_| replica),
            FaultKind::SlowDisk { replica, .. } => {
                crash_of(replica).filter(is_sure).filter(lasts_longer).map(|_| replica)
            }
            FaultKind::Cut { from, to }
            | FaultKind::Slow { from, to, .. }
            | FaultKind::Lose { from, to, .. }
            | FaultKind::Duplicate { from, to, .. }
            | FaultKind::Reorder { from, to, .. } => {
                let is_gone = |replica: NodeId| {
                    crash_of(replica).filter(is_sure).is_some_and(|crash| lasts_longer(&crash))
                };
                [from, to].into_iter().find(|side| side.iter().all(is_gone))?.iter().next()
            }
            // The others are cut off from one another only if they were before.
            FaultKind::Partition { .. } => None,
        }
    }

    /// Says that a fault does nothing.
    fn tell_in_vain(&mut self, kind: &FaultKind, replica: NodeId, trigger: Trigger) {
        let what = match kind {
            FaultKind::Crash { .. } => "crash",
            FaultKind::Pause { .. } => "pause",
            FaultKind::Campaign { .. } => "campaign",
            FaultKind::SlowDisk { .. } => "slow disk",
            _ => "fault of the links",
        };
        let when = match trigger {
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
            self.install(leader);
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
        } else if !self.point.links.replicas().any(|id| self.could_lead(id)) {
            Some(Lack::Both)
        } else {
            Some(Lack::Election).filter(|_| self.variant.mode.leader().is_some())
        }
    }

    fn could_lead(&self, id: NodeId) -> bool {
        let heard = self.heard_by(id);
        let quorums = &self.variant.quorums;
        quorums.is_phase1_over(heard, self.announced) && quorums.is_phase2(heard)
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
        let is_paused = |active: &Active| active.kind == FaultKind::Pause { replica: id };
        !self.is_crashed(id) && !self.active.iter().any(is_paused)
    }

    fn is_crashed(&self, id: NodeId) -> bool {
        self.active.iter().any(|active| is_crash(active, id))
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        let is_hit = |senders: &NodeSet, receivers: &NodeSet| {
            from != to && senders.contains(from) && receivers.contains(to)
        };
        self.active.iter().any(|active| match &active.kind {
            FaultKind::Partition { side } => side.contains(from) != side.contains(to),
            FaultKind::Cut { from, to } => is_hit(from, to),
            FaultKind::Lose { from, to, share } => *share >= 1.0 && is_hit(from, to),
            _ => false,
        })
    }

    /// Says it, if it is to be said.
    fn tell(&mut self, lack: Lack, when: &str, is_for_good: bool) {
        // While it lasts a phase 2 only waits; a leader that is gone is what a fault is about.
        let is_of_leader = matches!(lack, Lack::Phase1 | Lack::Announced | Lack::Election);
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
            (Lack::Both, _) => {
                format!("{when} no replica hears both a phase-1 and a phase-2 quorum")
            }
            (Lack::Election, _) => format!(
                "{when} the leader is gone, and with `election.mode = \"fixed\"` nobody takes its place"
            ),
        });
    }
}

/// Whether this is what keeps a replica down.
fn is_crash(active: &Active, id: NodeId) -> bool {
    matches!(active.kind, FaultKind::Crash { replica, .. } if replica == id)
}

/// ` of 5`, where every set of that size is a quorum.
fn of_size(family: &Family) -> String {
    family.threshold().map_or_else(String::new, |size| format!(" of {size}"))
}

fn text(span: Span) -> String {
    humantime::format_duration(span.into()).to_string()
}
