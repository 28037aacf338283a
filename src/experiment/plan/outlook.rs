//! What a schedule of faults makes impossible: from when on nobody can lead, or nothing can be chosen.
//!
//! It follows the schedule with nothing but who is up and who hears whom: a replica can be made the
//! leader if it hears a phase-1 quorum and a phase-2 quorum, itself included, and goes on leading as long
//! as it hears a phase-2 quorum.
//! That nobody can be made the leader is told when the leader is to be replaced, for however long; that
//! nothing can be chosen, when it is for good.
//! It is told and not refused: what happens then may be what the experiment is to show.
//!
//! Where the leader changes, the one nearest to the last is taken for the new one.
//! Faults that are triggered by progress are taken to come after all others, in their order, and each
//! when the one before is over unless that is for good.
//! Losses and slow links are no obstacle, but for a link that loses everything.

use super::{Point, Variant};
use crate::deployment::{Aim, Harm, Scheduled, Trigger};
use crate::paxos::{Election, Mode};
use crate::quorum::{Family, NodeId, NodeSet};
use crate::time::Span;
use crate::topology;

/// What is impossible under the faults of a variant, a sentence each.
pub(super) fn of(point: &Point, variant: &Variant) -> Vec<String> {
    let mut outlook = Outlook::new(point, variant);
    outlook.follow_times();
    outlook.follow_progress();
    let Outlook { warnings, .. } = outlook;
    warnings.into_iter().map(|text| format!("variant `{}`: {text}", variant.name)).collect()
}

/// Why nothing goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// A leader is to be replaced, and nobody hears a phase-1 quorum.
    Phase1,
    /// Nobody hears a phase-2 quorum.
    Phase2,
    /// Somebody hears the one and somebody else the other.
    Both,
    /// Who could lead is not told to.
    Election,
}

struct Outlook<'a> {
    point: &'a Point,
    variant: &'a Variant,
    aim: Aim,
    /// What lasts, and until when.
    active: Vec<(Harm, Option<Span>)>,
    /// Who leads, unless that is impossible or nobody needs to.
    leader: Option<NodeId>,
    /// Who led last.
    last: NodeId,
    warnings: Vec<String>,
}

impl<'a> Outlook<'a> {
    fn new(point: &'a Point, variant: &'a Variant) -> Self {
        let last = match variant.mode {
            Mode::Multi { leader } => leader,
            Mode::Classic => NodeId(0),
        };
        let aim = Aim::new(&variant.quorums, &point.links);
        let (active, warnings) = (Vec::new(), Vec::new());
        Self { point, variant, aim, active, leader: Some(last), last, warnings }
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
        for moment in moments {
            for fault in &variant.faults {
                if let Some((at, until)) = timed(fault)
                    && at == moment
                {
                    self.strike(fault, until);
                }
            }
            self.active.retain(|(_, until)| *until != Some(moment));
            let now = self.judge();
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
            let was = self.judge();
            self.strike(fault, fault.heals_after);
            if let Some(lack) = self.judge().filter(|lack| was != Some(*lack)) {
                let is_for_good = fault.heals_after.is_none();
                let when = match fault.heals_after {
                    Some(after) => format!("for {} after {count} writes", text(after)),
                    None => format!("from {count} writes on"),
                };
                self.tell(lack, &when, is_for_good);
            }
            self.active.retain(|(_, until)| until.is_none());
        }
    }

    fn strike(&mut self, fault: &Scheduled, until: Option<Span>) {
        // Who led last stands for whoever leads: the number of replicas that are hit is the same.
        let harms = self.aim.harms(&fault.harm, Some(self.leader.unwrap_or(self.last)));
        for harm in harms.unwrap_or_default() {
            match harm {
                Harm::Crash { replica, .. } => {
                    self.active.retain(|(harm, _)| *harm != Harm::Pause { replica });
                    // It comes back when its first crash says so.
                    if !self.is_crashed(replica) {
                        self.active.push((harm, until));
                    }
                    self.leader = self.leader.filter(|leader| *leader != replica);
                }
                Harm::Campaign { replica } => {
                    if self.could_lead(replica) {
                        (self.leader, self.last) = (Some(replica), replica);
                    }
                }
                _ => self.active.push((harm, until)),
            }
        }
    }

    /// Why nothing goes on now, if nothing does.
    fn judge(&mut self) -> Option<Lack> {
        if self.variant.mode == Mode::Classic {
            return self.lack().filter(|lack| *lack != Lack::Election);
        }
        let is_elected = matches!(self.point.election, Election::Timeout(_));
        if let Some(leader) = self.leader {
            let goes_on = self.variant.quorums.is_phase2(self.heard_by(leader));
            // Without elections it waits until it does.
            if goes_on || !is_elected {
                return (!goes_on)
                    .then(|| if self.is_up(leader) { Lack::Phase2 } else { Lack::Election });
            }
            self.leader = None;
        }
        let near = topology::nearest_first(&self.point.links, self.last);
        let mut candidates = near.into_iter().filter(|candidate| self.could_lead(*candidate));
        // Without elections only the configured leader campaigns, whenever it is started.
        let first = match (is_elected, self.variant.mode) {
            (false, Mode::Multi { leader }) => candidates.find(|candidate| *candidate == leader),
            _ => candidates.next(),
        };
        let Some(leader) = first else { return self.lack() };
        (self.leader, self.last) = (Some(leader), leader);
        None
    }

    /// What nobody has, of those that are up.
    fn lack(&self) -> Option<Lack> {
        let quorums = &self.variant.quorums;
        let has = |is: &dyn Fn(NodeSet) -> bool| {
            self.point.links.replicas().any(|id| is(self.heard_by(id)))
        };
        if !has(&|heard| quorums.is_phase1(heard)) {
            Some(Lack::Phase1)
        } else if !has(&|heard| quorums.is_phase2(heard)) {
            Some(Lack::Phase2)
        } else if !self.point.links.replicas().any(|id| self.could_lead(id)) {
            Some(Lack::Both)
        } else {
            Some(Lack::Election).filter(|_| self.variant.mode != Mode::Classic)
        }
    }

    fn could_lead(&self, id: NodeId) -> bool {
        let heard = self.heard_by(id);
        self.variant.quorums.is_phase1(heard) && self.variant.quorums.is_phase2(heard)
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
        let is_paused = |(harm, _): &(Harm, _)| *harm == Harm::Pause { replica: id };
        !self.is_crashed(id) && !self.active.iter().any(is_paused)
    }

    fn is_crashed(&self, id: NodeId) -> bool {
        let is_crash =
            |(harm, _): &(Harm, _)| matches!(harm, Harm::Crash { replica, .. } if *replica == id);
        self.active.iter().any(is_crash)
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        let is_hit = |senders: &NodeSet, receivers: &NodeSet| {
            from != to && senders.contains(from) && receivers.contains(to)
        };
        self.active.iter().any(|(harm, _)| match harm {
            Harm::Partition { side } => side.contains(from) != side.contains(to),
            Harm::Cut { from, to } => is_hit(from, to),
            Harm::Lose { from, to, share } => *share >= 1.0 && is_hit(from, to),
            _ => false,
        })
    }

    /// Says it, if it is to be said.
    fn tell(&mut self, lack: Lack, when: &str, is_for_good: bool) {
        if !is_for_good && (lack != Lack::Phase1 || self.variant.mode == Mode::Classic) {
            return;
        }
        let quorums = &self.variant.quorums;
        let (phase1, phase2) = (of_size(quorums.phase1()), of_size(quorums.phase2()));
        self.warnings.push(match (lack, self.variant.mode) {
            (Lack::Phase1, Mode::Classic) => {
                format!("{when} no phase-1 quorum{phase1} is left: no write can be chosen")
            }
            (Lack::Phase1, Mode::Multi { .. }) => {
                format!("{when} no phase-1 quorum{phase1} is left, and the leader is to be replaced")
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

/// ` of 5`, where all quorums have one size.
fn of_size(family: &Family) -> String {
    match family {
        Family::Count(size) => format!(" of {size}"),
        Family::Sets(_) => String::new(),
    }
}

fn text(span: Span) -> String {
    humantime::format_duration(span.into()).to_string()
}
