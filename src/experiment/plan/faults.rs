//! What goes wrong, and when: faults that hit replicas that exist, in time to be seen.

use std::ops::Range;

use crate::deployment::{
    Aim, Aimed, Durability, FaultKind, Role, Scheduled, Target, Trigger, Unsynced,
};
use crate::experiment::file::{self, Doubts, Length, Names, Spanned, Who};
use crate::nearest::nearest;
use crate::quorum::NodeSet;
use crate::time::Span;
use crate::workload::{Arrival, Workload};

use super::Variant;
use super::network;
use super::places::Places;
use super::simulated::Simulated;
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::{Error, Refused};

/// What the faults of one variant are judged by.
pub(super) struct Judge<'a> {
    pub(super) places: &'a Places,
    pub(super) variant: &'a Variant,
    /// None of these where it is wrong itself.
    pub(super) workload: Option<&'a Workload>,
    pub(super) duration: Option<Span>,
    pub(super) durability: Option<Durability>,
    /// Whether one that keeps nothing may come back.
    pub(super) unsafe_restarts: bool,
}

/// The faults of one variant: by their time, and then those by progress.
pub(super) fn faults(
    file: &file::File,
    doubts: &Doubts,
    judge: &Judge<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Vec<Scheduled> {
    let typed = file.faults.iter().enumerate();
    let typed = typed.filter(|(index, _)| !doubts.of_fault(*index));
    let mut faults: Vec<Scheduled> =
        typed.filter_map(|(_, typed)| mistakes.note(judge.fault(typed))).collect();
    faults.sort_by_key(|fault| fault.trigger);
    faults
}

/// The first fault that the live backend cannot do.
pub(super) fn simulated(file: &file::File) -> Option<Simulated> {
    let unsynced = file.faults.iter().filter_map(|typed| typed.get_ref().unsynced.as_ref());
    let chosen = unsynced
        .filter(|typed| *typed.get_ref() != Unsynced::Lost)
        .min_by_key(|typed| typed.span().start)?;
    let what = "choose what is left of records that were not yet synced";
    Some(Simulated { at: chosen.span(), what })
}

/// A kind of fault that is given.
struct Given {
    key: &'static str,
    at: Range<usize>,
}

/// The kinds of a fault; it should be one.
fn kinds(typed: &file::Fault) -> Vec<Given> {
    let keys = [
        ("crash", typed.crash.as_ref().map(Spanned::span)),
        ("pause", typed.pause.as_ref().map(Spanned::span)),
        ("partition", typed.partition.as_ref().map(Spanned::span)),
        ("cut", typed.cut.as_ref().map(Spanned::span)),
        ("slow", typed.slow.as_ref().map(Spanned::span)),
        ("lose", typed.lose.as_ref().map(Spanned::span)),
        ("duplicate", typed.duplicate.as_ref().map(Spanned::span)),
        ("reorder", typed.reorder.as_ref().map(Spanned::span)),
        ("slow_disk", typed.slow_disk.as_ref().map(Spanned::span)),
        ("full_disk", typed.full_disk.as_ref().map(Spanned::span)),
        ("campaign", typed.campaign.as_ref().map(Spanned::span)),
    ];
    keys.into_iter().filter_map(|(key, at)| Some(Given { key, at: at? })).collect()
}

impl Judge<'_> {
    fn fault(&self, fault: &Spanned<file::Fault>) -> Result<Scheduled, Refused> {
        let typed = fault.get_ref();
        let given = match kinds(typed).as_slice() {
            [one] => one.key,
            [] => return Err(Refused::new(fault.span(), Error::NoFaultKind)),
            [one, other, ..] => {
                let error = Error::TwoFaultKinds { one: one.key, other: other.key };
                return Err(Refused::new(other.at.clone(), error));
            }
        };
        let trigger = match (&typed.at, &typed.after_writes) {
            (Some(at), None) => Trigger::At(self.within(at, Span::ZERO, given)?),
            (None, Some(count)) => Trigger::AfterWrites(self.reached(count)?),
            (None, None) => return Err(Refused::new(fault.span(), Error::NoTrigger)),
            (Some(_), Some(count)) => return Err(Refused::new(count.span(), Error::TwoTriggers)),
        };
        let kind = self.kind(typed, fault.span())?;
        let heals_after = self.heals_after(typed, given, trigger)?;
        Ok(Scheduled { trigger, kind, heals_after })
    }

    /// The one kind of a fault.
    fn kind(&self, typed: &file::Fault, at: Range<usize>) -> Result<Aimed, Refused> {
        if let Some(who) = &typed.crash {
            let unsynced = typed.unsynced.as_ref().map_or(Unsynced::Lost, |typed| *typed.get_ref());
            let replica = self.target(who, "the crashing replica")?;
            return Ok(FaultKind::Crash { replica, unsynced });
        }
        if let Some(who) = &typed.pause {
            return Ok(FaultKind::Pause { replica: self.target(who, "the paused replica")? });
        }
        if let Some(who) = &typed.partition {
            return Ok(FaultKind::Partition { side: self.side(who)? });
        }
        if let Some(cut) = &typed.cut {
            let (from, to) = self.direction(&cut.get_ref().from, &cut.get_ref().to)?;
            return Ok(FaultKind::Cut { from, to });
        }
        if let Some(slow) = &typed.slow {
            let (from, to) = self.direction(&slow.get_ref().from, &slow.get_ref().to)?;
            return Ok(FaultKind::Slow { from, to, by: slow.get_ref().by.0.into() });
        }
        if let Some(lose) = typed.lose.as_ref().map(Spanned::get_ref) {
            let (from, to) = self.direction(&lose.from, &lose.to)?;
            let share = network::share(&lose.share, "fault.lose.share")?;
            return Ok(FaultKind::Lose { from, to, share });
        }
        if let Some(duplicate) = typed.duplicate.as_ref().map(Spanned::get_ref) {
            let (from, to) = self.direction(&duplicate.from, &duplicate.to)?;
            let share = network::share(&duplicate.share, "fault.duplicate.share")?;
            return Ok(FaultKind::Duplicate { from, to, share });
        }
        if let Some(reorder) = typed.reorder.as_ref().map(Spanned::get_ref) {
            let (from, to) = self.direction(&reorder.from, &reorder.to)?;
            return Ok(FaultKind::Reorder { from, to, spread: reorder.spread.0.into() });
        }
        if let Some(disk) = &typed.slow_disk {
            if self.durability == Some(Durability::Memory) {
                return Err(Refused::new(disk.span(), Error::NoDisk));
            }
            let disk = disk.get_ref();
            let replica = self.target(&disk.replica, "the replica of the slow disk")?;
            return Ok(FaultKind::SlowDisk { replica, by: disk.by.0.into() });
        }
        if let Some(who) = &typed.full_disk {
            if self.durability == Some(Durability::Memory) {
                return Err(Refused::new(who.span(), Error::NoDisk));
            }
            return Ok(FaultKind::FullDisk {
                replica: self.target(who, "the replica of the full disk")?,
            });
        }
        let Some(who) = &typed.campaign else { return Err(Refused::new(at, Error::NoFaultKind)) };
        if self.variant.mode.leader().is_none() {
            return Err(self.no_leader(who.span()));
        }
        let replica = self.target(who, "the campaigning replica")?;
        let quorums = &self.variant.quorums;
        if let Some(unfit) = replica.replicas.difference(quorums.candidates()).iter().next() {
            let (name, role) = (self.places.name(unfit), quorums.role(unfit));
            return Err(Refused::new(who.span(), Error::Unfit { name, role }));
        }
        Ok(FaultKind::Campaign { replica })
    }

    /// How long the fault lasts: for a crash until the restart.
    fn heals_after(
        &self,
        typed: &file::Fault,
        given: &'static str,
        trigger: Trigger,
    ) -> Result<Option<Span>, Refused> {
        let is_crash = given == "crash";
        let others = [
            ("restart_after", typed.restart_after.as_ref().map(Spanned::span), is_crash),
            ("unsynced", typed.unsynced.as_ref().map(Spanned::span), is_crash),
            ("lasts", typed.lasts.as_ref().map(Spanned::span), !is_crash && given != "campaign"),
        ];
        for (key, place, fits) in others {
            if let (Some(place), false) = (place, fits) {
                return Err(Refused::new(place, Error::NotOfFaultKind { key, kind: given }));
            }
        }
        if let Some(after) = &typed.restart_after {
            if self.durability == Some(Durability::Memory) && !self.unsafe_restarts {
                return Err(Refused::new(after.span(), Error::Amnesia));
            }
            // When progress triggers it nobody knows; it must fit in at all.
            let at = match trigger {
                Trigger::At(at) => at,
                Trigger::AfterWrites(_) => Span::ZERO,
            };
            self.within(after, at, "restart")?;
            return Ok(Some(after.get_ref().0.into()));
        }
        match &typed.lasts {
            Some(lasts) if lasts.get_ref().0.is_zero() => {
                Err(Refused::new(lasts.span(), Error::Zero { key: "fault.lasts" }))
            }
            lasts => Ok(lasts.as_ref().map(|lasts| lasts.get_ref().0.into())),
        }
    }

    /// Whom the names mean; `what` says in an error what they were given for.
    fn target(&self, who: &Who, what: &'static str) -> Result<Target, Refused> {
        let names: Vec<(&str, Range<usize>)> = match who.get_ref() {
            Names::One(name) => vec![(name, who.span())],
            Names::Several(names) => {
                names.iter().map(|name| (name.get_ref().as_str(), name.span())).collect()
            }
        };
        if names.is_empty() {
            return Err(Refused::new(who.span(), Error::Nobody));
        }
        let mut target = Target::default();
        for (name, at) in names {
            match Role::parse(name) {
                Some(role) => {
                    if self.variant.mode.leader().is_none() {
                        return Err(self.no_leader(at));
                    }
                    target.roles.insert(role);
                }
                None => target.replicas = target.replicas.union(self.replicas(name, what, at)?),
            }
        }
        if self.at_first(&target).is_empty() {
            let error = Error::NoFollower { variant: self.variant.name.clone() };
            return Err(Refused::new(who.span(), error));
        }
        Ok(target)
    }

    /// The replicas in a region of this name, or the one of this number.
    fn replicas(
        &self,
        name: &str,
        what: &'static str,
        at: Range<usize>,
    ) -> Result<NodeSet, Refused> {
        let meant = self.places.named_so(name);
        if meant.is_empty() {
            // It says what is known instead.
            let found = self.places.replica(name, what, at).map(NodeSet::only);
            return found.map_err(with_near_role);
        }
        Ok(meant)
    }

    /// Who they are as long as the configured leader leads.
    fn at_first(&self, target: &Target) -> NodeSet {
        let leader = self.variant.mode.leader().map(Into::into);
        let aim = Aim::new(&self.variant.quorums, &self.places.links);
        aim.replicas(target, leader).unwrap_or(target.replicas)
    }

    fn no_leader(&self, at: Range<usize>) -> Refused {
        Refused::new(at, Error::NoLeader { variant: self.variant.name.clone() })
    }

    /// One side of a partition, with somebody on the other.
    fn side(&self, who: &Who) -> Result<Target, Refused> {
        let side = self.target(who, "the replica cut off")?;
        if self.at_first(&side).len() == self.places.n() {
            return Err(Refused::new(who.span(), Error::Everybody));
        }
        Ok(side)
    }

    /// Senders and receivers with a link between them.
    fn direction(&self, from: &Who, to: &Who) -> Result<(Target, Target), Refused> {
        let senders = self.target(from, "the sender")?;
        let receivers = self.target(to, "the receiver")?;
        if self.at_first(&senders).union(self.at_first(&receivers)).len() == 1 {
            return Err(Refused::new(to.span(), Error::NoLink));
        }
        Ok((senders, receivers))
    }

    /// A number of writes that is reached before the end, as far as that can be known.
    fn reached(&self, count: &Spanned<u64>) -> Result<u64, Refused> {
        let (at, count) = (count.span(), *count.get_ref());
        if count == 0 {
            return Err(Refused::new(at, Error::Zero { key: "fault.after_writes" }));
        }
        let (Some(duration), Some(workload)) = (self.duration, self.workload) else {
            return Ok(count);
        };
        let seconds = duration.as_millis_f64() / 1e3;
        let asked = match workload.arrival {
            Arrival::Fixed { rate_per_s } | Arrival::Poisson { rate_per_s } => {
                rate_per_s * seconds * (1.0 - workload.reads)
            }
            // As many as it achieves.
            Arrival::Closed { .. } => f64::INFINITY,
        };
        if (count as f64) < asked {
            return Ok(count);
        }
        Err(Refused::new(at, Error::TooFewWrites { count, asked: asked.round() }))
    }

    /// The moment `after` a start, which must be before the end.
    fn within(
        &self,
        after: &Spanned<Length>,
        start: Span,
        what: &'static str,
    ) -> Result<Span, Refused> {
        let at = start + after.get_ref().0.into();
        let Some(duration) = self.duration.filter(|duration| at >= *duration) else {
            return Ok(at);
        };
        let text = |span: Span| humantime::format_duration(span.into()).to_string();
        let error = Error::FaultTooLate { what, at: text(at), duration: text(duration) };
        Err(Refused::new(after.span(), error))
    }
}

/// A name that no replica has may be that of a role, misspelt.
fn with_near_role(mut refused: Refused) -> Refused {
    if let Error::NoReplica { name, near: near @ None, .. } = &mut refused.error {
        *near = nearest(name, &Role::ALL.map(Role::name)).map(str::to_owned);
    }
    refused
}
