//! What goes wrong, and when: faults that hit replicas that exist, in time to be seen.

use std::ops::Range;

use toml::Spanned;

use crate::deployment::{Durability, Fault, Harm, Unsynced};
use crate::experiment::file::{self, Length, Name, Names};
use crate::paxos::Mode;
use crate::quorum::{NodeId, NodeSet};
use crate::time::Span;

use super::Variant;
use super::error::{Error, Refused};
use super::network;
use super::places::Places;
use super::simulated::Simulated;

/// The word that means whoever is configured to lead.
const LEADER: &str = "leader";

/// What the faults of one variant are judged by.
pub(super) struct Judge<'a> {
    pub(super) places: &'a Places,
    pub(super) variant: &'a Variant,
    pub(super) durability: Durability,
    /// Whether one that keeps nothing may come back.
    pub(super) unsafe_restarts: bool,
    pub(super) duration: Span,
}

/// The faults of one variant, by their time.
pub(super) fn faults(file: &file::File, judge: &Judge<'_>) -> Result<Vec<Fault>, Refused> {
    let faults = file.faults.iter().map(|typed| judge.fault(typed));
    let mut faults = faults.collect::<Result<Vec<_>, _>>()?;
    faults.sort_by_key(|fault| fault.at);
    Ok(faults)
}

/// The first fault that the live backend cannot do.
pub(super) fn simulated(file: &file::File) -> Option<Simulated> {
    file.faults.iter().find_map(|typed| {
        let fault = typed.get_ref();
        let unsynced = fault.unsynced.as_ref();
        if let Some(unsynced) = unsynced.filter(|typed| *typed.get_ref() != Unsynced::Lost) {
            let what = "choose what is left of records that were not yet synced";
            return Some(Simulated { at: unsynced.span(), what });
        }
        let given = harms(fault).into_iter().find(|harm| harm.key != "crash")?;
        Some(Simulated { at: given.at, what: given.what })
    })
}

/// A harm that is given.
struct Given {
    key: &'static str,
    at: Range<usize>,
    /// What it does, after "cannot".
    what: &'static str,
}

/// The harms of a fault; it should be one.
fn harms(typed: &file::Fault) -> Vec<Given> {
    let keys = [
        ("crash", typed.crash.as_ref().map(Spanned::span), "crash a replica"),
        ("pause", typed.pause.as_ref().map(Spanned::span), "pause a replica"),
        ("partition", typed.partition.as_ref().map(Spanned::span), "partition the replicas"),
        ("cut", typed.cut.as_ref().map(Spanned::span), "cut links"),
        ("slow", typed.slow.as_ref().map(Spanned::span), "slow links down while it runs"),
        ("lose", typed.lose.as_ref().map(Spanned::span), "lose messages"),
        ("duplicate", typed.duplicate.as_ref().map(Spanned::span), "duplicate messages"),
        ("reorder", typed.reorder.as_ref().map(Spanned::span), "reorder messages"),
        ("slow_disk", typed.slow_disk.as_ref().map(Spanned::span), "slow a disk down"),
        ("campaign", typed.campaign.as_ref().map(Spanned::span), "tell a replica to lead"),
    ];
    keys.into_iter().filter_map(|(key, at, what)| Some(Given { key, at: at?, what })).collect()
}

impl Judge<'_> {
    fn fault(&self, fault: &Spanned<file::Fault>) -> Result<Fault, Refused> {
        let typed = fault.get_ref();
        let given = match harms(typed).as_slice() {
            [one] => one.key,
            [] => return Err(Refused::new(fault.span(), Error::NoHarm)),
            [one, other, ..] => {
                let error = Error::TwoHarms { one: one.key, other: other.key };
                return Err(Refused::new(other.at.clone(), error));
            }
        };
        let at = self.within(&typed.at, Span::ZERO, given)?;
        let harm = self.harm(typed)?;
        let heals_after = self.heals_after(typed, given, at)?;
        Ok(Fault { at, harm, heals_after })
    }

    /// The one harm of a fault.
    fn harm(&self, typed: &file::Fault) -> Result<Harm, Refused> {
        if let Some(name) = &typed.crash {
            let unsynced = typed.unsynced.as_ref().map_or(Unsynced::Lost, |typed| *typed.get_ref());
            let replica = self.replica(name, "the crashing replica")?;
            return Ok(Harm::Crash { replica, unsynced });
        }
        if let Some(name) = &typed.pause {
            return Ok(Harm::Pause { replica: self.replica(name, "the paused replica")? });
        }
        if let Some(names) = &typed.partition {
            return Ok(Harm::Partition { side: self.side(names)? });
        }
        if let Some(cut) = &typed.cut {
            let (from, to) = self.direction(&cut.get_ref().from, &cut.get_ref().to)?;
            return Ok(Harm::Cut { from, to });
        }
        if let Some(slow) = &typed.slow {
            let (from, to) = self.direction(&slow.get_ref().from, &slow.get_ref().to)?;
            return Ok(Harm::Slow { from, to, by: slow.get_ref().by.0.into() });
        }
        if let Some(lose) = typed.lose.as_ref().map(Spanned::get_ref) {
            let (from, to) = self.direction(&lose.from, &lose.to)?;
            let share = network::share(&lose.share, "fault.lose.share")?;
            return Ok(Harm::Lose { from, to, share });
        }
        if let Some(duplicate) = typed.duplicate.as_ref().map(Spanned::get_ref) {
            let (from, to) = self.direction(&duplicate.from, &duplicate.to)?;
            let share = network::share(&duplicate.share, "fault.duplicate.share")?;
            return Ok(Harm::Duplicate { from, to, share });
        }
        if let Some(reorder) = typed.reorder.as_ref().map(Spanned::get_ref) {
            let (from, to) = self.direction(&reorder.from, &reorder.to)?;
            return Ok(Harm::Reorder { from, to, spread: reorder.spread.0.into() });
        }
        if let Some(disk) = typed.slow_disk.as_ref().map(Spanned::get_ref) {
            let replica = self.replica(&disk.replica, "the replica of the slow disk")?;
            return Ok(Harm::SlowDisk { replica, by: disk.by.0.into() });
        }
        let Some(name) = &typed.campaign else {
            return Err(Refused::new(typed.at.span(), Error::NoHarm));
        };
        if self.variant.mode == Mode::Classic {
            return Err(self.no_leader(name));
        }
        Ok(Harm::Campaign { replica: self.replica(name, "the campaigning replica")? })
    }

    /// How long the harm lasts: for a crash until the restart.
    fn heals_after(
        &self,
        typed: &file::Fault,
        given: &'static str,
        at: Span,
    ) -> Result<Option<Span>, Refused> {
        let is_crash = given == "crash";
        let others = [
            ("restart_after", typed.restart_after.as_ref().map(Spanned::span), is_crash),
            ("unsynced", typed.unsynced.as_ref().map(Spanned::span), is_crash),
            ("lasts", typed.lasts.as_ref().map(Spanned::span), !is_crash && given != "campaign"),
        ];
        for (key, place, fits) in others {
            if let (Some(place), false) = (place, fits) {
                return Err(Refused::new(place, Error::NotOfHarm { key, harm: given }));
            }
        }
        if let Some(after) = &typed.restart_after {
            if self.durability == Durability::Memory && !self.unsafe_restarts {
                return Err(Refused::new(after.span(), Error::Amnesia));
            }
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

    fn replica(&self, name: &Name, what: &'static str) -> Result<NodeId, Refused> {
        if name.get_ref() != LEADER {
            return self.places.replica(name.get_ref(), what, name.span());
        }
        match self.variant.mode {
            Mode::Multi { leader } => Ok(leader),
            Mode::Classic => Err(self.no_leader(name)),
        }
    }

    fn no_leader(&self, name: &Name) -> Refused {
        Refused::new(name.span(), Error::NoLeader { variant: self.variant.name.clone() })
    }

    fn replicas(&self, names: &Names, what: &'static str) -> Result<NodeSet, Refused> {
        if names.get_ref().is_empty() {
            return Err(Refused::new(names.span(), Error::Nobody));
        }
        names.get_ref().iter().map(|name| self.replica(name, what)).collect()
    }

    /// One side of a partition, with somebody on the other.
    fn side(&self, names: &Names) -> Result<NodeSet, Refused> {
        let side = self.replicas(names, "the replica cut off")?;
        if side.len() == self.places.n() {
            return Err(Refused::new(names.span(), Error::Everybody));
        }
        Ok(side)
    }

    /// Senders and receivers with a link between them.
    fn direction(&self, from: &Names, to: &Names) -> Result<(NodeSet, NodeSet), Refused> {
        let senders = self.replicas(from, "the sender")?;
        let receivers = self.replicas(to, "the receiver")?;
        if senders.union(receivers).len() == 1 {
            return Err(Refused::new(to.span(), Error::NoLink));
        }
        Ok((senders, receivers))
    }

    /// The moment `after` a start, which must be before the end.
    fn within(
        &self,
        after: &Spanned<Length>,
        start: Span,
        what: &'static str,
    ) -> Result<Span, Refused> {
        let at = start + after.get_ref().0.into();
        if at < self.duration {
            return Ok(at);
        }
        let text = |span: Span| humantime::format_duration(span.into()).to_string();
        let error = Error::FaultTooLate { what, at: text(at), duration: text(self.duration) };
        Err(Refused::new(after.span(), error))
    }
}
