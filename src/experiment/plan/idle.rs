//! Keys that change nothing: one that is idle at every point of the sweep is refused.
//!
//! A key that is idle at some points is not: `election.misses` may stand beside a sweep of
//! `election.mode`.
//! Sections about one world alone (`[service]` and `[host]` for the simulator; `[probe]`, `[emulation]` and
//! `[transport]` for live links) are never idle: an experiment is for both worlds.

use std::ops::Range;

use super::Variant;
use super::parts::Parts;
use super::simulated;
use crate::deployment::{Durability, FaultKind, Scheduled};
use crate::experiment::file::{self, Fault, File, Spanned};
use crate::experiment::refusal::{Error, Refused};
use crate::protocol::Election;
use crate::runtime::net::Transport;

/// A key that changes nothing at a point, and whose it is if there are several of that name.
#[derive(Debug)]
pub(super) struct Idle {
    key: &'static str,
    whose: usize,
    refused: Refused,
}

impl Idle {
    /// Whether it is the same key as another one, at another point.
    fn is_same(&self, other: &Self) -> bool {
        (self.key, self.whose) == (other.key, other.whose)
    }
}

/// Those of `before` that are idle here, too; all that are idle here if there was no point before.
pub(super) fn still(before: Option<Vec<Idle>>, here: Vec<Idle>) -> Vec<Idle> {
    match before {
        None => here,
        Some(before) => {
            before.into_iter().filter(|idle| here.iter().any(|it| it.is_same(idle))).collect()
        }
    }
}

impl Idle {
    /// The refusal of the key.
    pub(super) const fn refused(&self) -> &Refused {
        &self.refused
    }
}

/// What changes nothing at the point that a file means, as far as its parts are known.
pub(super) fn idle(file: &File, parts: &Parts) -> Vec<Idle> {
    let mut found = Found(Vec::new());
    found.topology(file, parts);
    found.election(file, parts);
    found.durability(file, parts);
    found.host(file, parts);
    found.workload(file, parts);
    found.control(file);
    found.unsafe_quorums(file, &parts.variants);
    found.faults(file, parts.durability);
    found.0
}

struct Found(Vec<Idle>);

impl Found {
    fn add(
        &mut self,
        key: &'static str,
        whose: usize,
        at: Option<Range<usize>>,
        [because, remedy]: [&'static str; 2],
    ) {
        let Some(at) = at else { return };
        let refused = Refused::new(at, Error::Idle { key, because, remedy });
        self.0.push(Idle { key, whose, refused });
    }

    fn topology(&mut self, file: &File, parts: &Parts) {
        if parts.places.as_ref().is_some_and(|places| !places.links.vary()) {
            let at = file.topology.correlation.as_ref().map(Spanned::span);
            let why = ["no delay varies", "set `topology.jitter = \"profile\"`, or leave it out"];
            self.add("topology.correlation", 0, at, why);
        }
    }

    fn election(&mut self, file: &File, parts: &Parts) {
        let (Some(election), Some(variants)) = (parts.election, parts.all_variants()) else {
            return;
        };
        let typed = &file.election;
        let detector = [
            ("election.heartbeat", typed.heartbeat.as_ref().map(Spanned::span)),
            ("election.misses", typed.misses.as_ref().map(Spanned::span)),
            ("election.spread", typed.spread.as_ref().map(Spanned::span)),
        ];
        let is_led = variants.iter().any(|variant| variant.mode.leader().is_some());
        let why = match (election, is_led) {
            (Election::Timeout(_), true) => return,
            (Election::Fixed, true) => [
                "with `election.mode = \"fixed\"` nobody watches the leader",
                "set `election.mode = \"timeout\"`, or leave it out",
            ],
            (_, false) => [
                "no variant has a leader: only `multi` has one",
                "add a variant of Multi-Paxos, or leave it out",
            ],
        };
        for (key, at) in detector {
            self.add(key, 0, at, why);
        }
        let mode = typed.mode.as_ref().filter(|_| matches!(election, Election::Timeout(_)));
        self.add("election.mode", 0, mode.map(Spanned::span), why);
    }

    fn durability(&mut self, file: &File, parts: &Parts) {
        let (Some(durability), Some(variants)) = (parts.durability, parts.all_variants()) else {
            return;
        };
        let typed = file.durability.unsafe_restarts.as_ref().filter(|typed| *typed.get_ref());
        let at = typed.map(Spanned::span);
        let mut faults = variants.iter().flat_map(|variant| &variant.faults);
        let is_restart = |fault: &Scheduled| {
            matches!(fault.kind, FaultKind::Crash { .. }) && fault.heals_after.is_some()
        };
        let key = "durability.unsafe_restarts";
        if durability == Durability::Fsync {
            let because =
                "with durability \"fsync\" a replica that comes back has forgotten nothing";
            self.add(key, 0, at, [because, "leave it out, or set `durability.mode = \"memory\"`"]);
        } else if parts.has_all_faults && !faults.any(is_restart) {
            let because = "no replica is started again";
            self.add(key, 0, at, [because, "leave it out, or give a crash its `restart_after`"]);
        }
    }

    fn host(&mut self, file: &File, parts: &Parts) {
        let Some(host) = &file.host else { return };
        if parts.durability == Some(Durability::Memory) {
            let why = ["with durability \"memory\" nothing is synced", "leave it out"];
            self.add("host.sync", 0, host.sync.as_ref().map(Spanned::span), why);
            let one_disk = host.one_disk.as_ref().filter(|typed| *typed.get_ref());
            self.add("host.one_disk", 0, one_disk.map(Spanned::span), why);
        }
        let settings = simulated::settings(file, &Transport::default());
        // Without a section [service] a calibration says it.
        if file.service.is_some() && !settings.takes_processor_time() {
            let remedy = "raise `service.receive` or `host.wake_up` above 0, or leave it out";
            let why = ["no work takes processor time", remedy];
            self.add("host", 0, Some(host.cores.span()), why);
        }
    }

    fn workload(&mut self, file: &File, parts: &Parts) {
        if parts.workload.as_ref().is_some_and(|workload| workload.reads >= 1.0) {
            let at = file.workload.value_bytes.as_ref().map(Spanned::span);
            let why = ["every operation reads", "leave it out, or lower `workload.reads`"];
            self.add("workload.value_bytes", 0, at, why);
        }
        let conflicts = parts.workload.as_ref().and_then(|workload| workload.conflicts);
        if conflicts.is_some_and(|share| share >= 1.0) {
            let at = file.workload.keys.as_ref().map(file::Keys::count_at);
            let remedy = "leave it out, or lower `workload.conflicts` below 1";
            self.add("workload.keys", 0, at, ["every operation touches the shared key", remedy]);
        }
        if parts.network.is_some_and(|network| network.conditions.loss <= 0.0) {
            let at = file.network.loss_burst.as_ref().map(Spanned::span);
            let why = ["nothing is lost", "leave it out, or raise `network.loss` above 0"];
            self.add("network.loss_burst", 0, at, why);
        }
    }

    fn control(&mut self, file: &File) {
        if !file.control.as_ref().is_some_and(|typed| *typed.no_quorum.get_ref()) {
            let typed = file.control.as_ref().and_then(|typed| typed.rate_per_s.as_ref());
            let why = [
                "there are no control operations",
                "set `control.no-quorum = true`, or leave it out",
            ];
            self.add("control.rate_per_s", 0, typed.map(Spanned::span), why);
        }
    }

    fn unsafe_quorums(&mut self, file: &File, variants: &[Option<Variant>]) {
        for (whose, (typed, variant)) in file.variants.iter().zip(variants).enumerate() {
            let Some(variant) = variant else { continue };
            let typed = typed.unsafe_quorums.as_ref().filter(|typed| *typed.get_ref());
            let safe = typed.filter(|_| variant.quorums.disjoint().is_none());
            let why = ["every two quorums of the variant meet", "leave it out"];
            self.add("variant.unsafe_quorums", whose, safe.map(Spanned::span), why);
        }
    }

    fn faults(&mut self, file: &File, durability: Option<Durability>) {
        let Some(durability) = durability else { return };
        for (whose, typed) in file.faults.iter().enumerate() {
            let Fault { unsynced, restart_after, .. } = typed.get_ref();
            let at = unsynced.as_ref().map(Spanned::span);
            if durability == Durability::Memory {
                let because = "with durability \"memory\" nothing is given to a disk";
                let remedy = "leave it out, or set `durability.mode = \"fsync\"`";
                self.add("fault.unsynced", whose, at, [because, remedy]);
            } else if restart_after.is_none() {
                let because = "the replica is not started again, so nobody reads its records";
                self.add(
                    "fault.unsynced",
                    whose,
                    at,
                    [because, "add `restart_after`, or leave it out"],
                );
            }
        }
    }
}
