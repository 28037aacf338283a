//! What is compared: quorum systems that meet, leaders that exist, and the floor of each variant.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::deployment;
use crate::experiment::file::{self, Doubts, ElectionMode, Spanned};
use crate::quorum::{NodeId, QuorumSystem};
use crate::time::Span;
use crate::topology::{
    best_leader_by, control_floors, floors_by_key, quorum_span, read_floors_by_key,
};
use crate::workload::Workload;

use super::Variant;
use super::places::{BEST, Places};
use super::point::is_set;
use super::quorums::{disjoint_error, quorums};
use super::roles::{assignment, refuse_unfit};
use crate::caspaxos;
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::{Error, Refused};
use crate::paxos;
use crate::protocol::{SendPolicy, SnapshotTerms};
use crate::registry::Mode;

/// What the variants of a file are judged by; what is unknown, because it is wrong itself, is left out.
pub(super) struct Judge<'a> {
    pub(super) places: Option<&'a Places>,
    /// How long links remember their delay.
    pub(super) memory: Span,
    pub(super) election: Option<ElectionMode>,
    /// What clients ask for.
    pub(super) workload: Option<&'a Workload>,
    /// No clock is off by more, if the file says so.
    pub(super) clock_bound: Option<Span>,
    /// Whether that is not wrong itself.
    pub(super) is_clock_known: bool,
}

/// The variants of an experiment, in the order of the file; none in the place of one that is wrong.
pub(super) fn variants(
    file: &file::File,
    doubts: &Doubts,
    judge: &Judge<'_>,
    mistakes: &mut Mistakes<'_>,
) -> Vec<Option<Variant>> {
    if file.variants.is_empty() && !doubts.of("variant") {
        mistakes.refuse_at(0..0, Error::NoItem { key: "variant" });
    }
    let mut names = BTreeSet::new();
    let variant = |(index, typed): (usize, &file::Variant)| {
        let name = mistakes.note(name(&typed.name));
        if let Some(name) = &name
            && !names.insert(name.clone())
        {
            let error = Error::VariantTwice { name: name.clone() };
            mistakes.refuse_at(typed.name.span(), error);
        }
        if doubts.of_variant(index) {
            return None;
        }
        judge.variant(typed, name.unwrap_or_default(), mistakes)
    };
    file.variants.iter().enumerate().map(variant).collect()
}

impl Judge<'_> {
    /// Refuses ranges of keys with such that no operation touches.
    fn refuse_unused_keys(
        &self,
        typed: &file::Protocol,
        clients: usize,
        mistakes: &mut Mistakes<'_>,
    ) {
        let file::Protocol::Multi { reads: Some(reads), .. } = typed else { return };
        let file::Reads::Responders { ranges: Some(ranges), .. } = reads.get_ref() else { return };
        let Some(workload) = self.workload else { return };
        let Some(count) = workload.key_count(clients) else { return };
        let sharing = workload.conflicts.map(|_| clients);
        for range in ranges.get_ref() {
            let keys = &range.get_ref().keys;
            if let [first, last] = keys.get_ref()[..]
                && first <= last
                && last >= count
            {
                mistakes.refuse_at(keys.span(), Error::NoSuchKey { key: last, count, sharing });
            }
        }
    }

    fn variant(
        &self,
        typed: &file::Variant,
        name: String,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<Variant> {
        let places = self.places?;
        let before = mistakes.count();
        let quorums = quorums(typed, places, mistakes);
        if let Some(quorums) = &quorums
            && let Some(disjoint) = quorums.disjoint()
            && !is_set(typed.unsafe_quorums.as_ref())
        {
            let error = disjoint_error(quorums, disjoint, typed.quorums.get_ref(), places);
            mistakes.refuse_at(typed.quorums.span(), error);
        }
        if let file::Protocol::Multi { reads: Some(reads), .. } = &typed.protocol
            && self.workload.is_some_and(|workload| workload.reads <= 0.0)
        {
            mistakes.refuse_at(reads.span(), Error::NobodyReads);
        }
        let clients = places.links.client_regions.len();
        self.refuse_unused_keys(&typed.protocol, clients, mistakes);
        let mode = mode(&typed.protocol, places, quorums.as_ref(), mistakes);
        let mode = mode.and_then(|mode| self.with_clock(typed, mode, quorums.as_ref(), mistakes));
        let (quorums, mode) = (quorums?, mode?);
        refuse_unfit(typed, mode, &quorums, places, mistakes);
        let is_elected = self.election != Some(ElectionMode::Fixed) && mode.leader().is_some();
        if quorums.announces() && !is_elected {
            mistakes.refuse_at(typed.quorums.span(), Error::NeverAnnouncedAgain);
        }
        if mistakes.count() > before {
            return None;
        }
        let send = match typed.send {
            file::Send::All => SendPolicy::All,
            file::Send::Quorum => SendPolicy::Quorum,
        };
        let modes = |client| match self.workload {
            Some(workload) => deployment::by_key(mode, &workload.key_space(client, clients)),
            None => vec![(mode, 1.0)],
        };
        let by_client: Vec<Vec<(Mode, f64)>> = (0..clients).map(modes).collect();
        let floors = floors_by_key(&places.links, &by_client, &quorums, send, self.memory);
        let read_floors =
            read_floors_by_key(&places.links, &by_client, &quorums, send, self.memory);
        let unsafe_quorums = is_set(typed.unsafe_quorums.as_ref());
        let control_floors = control_floors(&places.links, mode, &quorums);
        let faults = Vec::new();
        Some(Variant {
            name,
            mode,
            quorums,
            send,
            unsafe_quorums,
            floors,
            read_floors,
            control_floors,
            faults,
        })
    }

    /// The same mode; with what rests on a bound of clocks, if anything does.
    fn with_clock(
        &self,
        typed: &file::Variant,
        mode: Mode,
        quorums: Option<&QuorumSystem>,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<Mode> {
        let file::Protocol::Multi { reads, commit_wait, .. } = &typed.protocol else {
            return Some(mode);
        };
        let (leader, commit_wait) =
            (mode.leader()?, commit_wait.as_ref().filter(|it| *it.get_ref()));
        let needs = |reads: &&Spanned<file::Reads>| {
            !matches!(reads.get_ref(), file::Reads::Log | file::Reads::Quorum)
        };
        let reads = reads.as_ref().filter(needs);
        let Some(at) = reads.map(Spanned::span).or(commit_wait.map(Spanned::span)) else {
            return Some(mode);
        };
        if !self.is_clock_known {
            return None;
        }
        let Some(bound) = self.clock_bound else {
            mistakes.refuse_at(at, Error::NoClockBound);
            return None;
        };
        let holds_leases = matches!(
            reads.map(Spanned::get_ref),
            Some(file::Reads::LeaderLease { .. } | file::Reads::Responders { .. })
        );
        if let (true, Some(commit_wait)) = (holds_leases, commit_wait) {
            mistakes.refuse_at(commit_wait.span(), Error::LeaseAndCommitWait);
            return None;
        }
        let reads = match reads.map(Spanned::get_ref) {
            Some(file::Reads::LeaderLease { length }) => {
                let terms = self.lease(length, leader, bound, quorums, mistakes)?;
                paxos::Reads::LeaderLease(terms)
            }
            Some(file::Reads::Responders { length, .. }) => {
                return with_grants(self.places?, mode, (length, bound), mistakes);
            }
            Some(file::Reads::Snapshot { staleness, advance, session }) => {
                let terms = snapshot(staleness, advance.as_ref(), bound, mistakes)?;
                let has_sessions = is_set(session.as_ref());
                paxos::Reads::Snapshot(SnapshotTerms { has_sessions, ..terms })
            }
            _ => match mode {
                Mode::Paxos(mode) => mode.reads(),
                Mode::CasPaxos(_) => paxos::Reads::Log,
            },
        };
        let commit_wait = commit_wait.map(|_| bound);
        Some(paxos::Mode::Multi { leader, reads, commit_wait }.into())
    }

    /// The terms of a lease that is long enough.
    fn lease(
        &self,
        length: &Spanned<file::Length>,
        leader: NodeId,
        bound: Span,
        quorums: Option<&QuorumSystem>,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<paxos::LeaseTerms> {
        let places = self.places?;
        let (at, length) = (length.span(), Span::from(length.get_ref().0));
        let phase2 = quorum_span(&places.links, leader, quorums?.phase2());
        let apart = bound.times(2);
        let least = (phase2 + apart).times(2);
        if length <= least {
            mistakes.refuse_at(at, Error::ShortLease { length, phase2, apart, least });
            return None;
        }
        Some(paxos::LeaseTerms { length, bound })
    }
}

/// An idle leader proposes a no-op so often, where nobody says how often.
const ADVANCE: Span = Span::from_millis(50);

/// More no-ops would be a load of their own, and with fewer reads wait longer than clients do.
const ADVANCES: RangeInclusive<Span> = Span::from_millis(1)..=Span::from_millis(500);

/// The terms of snapshot reads.
fn snapshot(
    staleness: &Spanned<file::Length>,
    advance: Option<&Spanned<file::Length>>,
    bound: Span,
    mistakes: &mut Mistakes<'_>,
) -> Option<SnapshotTerms> {
    let (staleness, at) = (Span::from(staleness.get_ref().0), staleness.span());
    if staleness > STALENESS_MOST {
        let most = STALENESS_MOST;
        mistakes.refuse_at(at, Error::LongStaleness { staleness, most });
        return None;
    }
    let typed = advance.map(|it| (Span::from(it.get_ref().0), it.span()));
    let is_beyond = |(advance, _): &(Span, _)| !ADVANCES.contains(advance);
    if let Some((advance, at)) = typed.clone().filter(is_beyond) {
        mistakes.refuse_at(at, Error::Advance { advance });
        return None;
    }
    let advance = Some(typed.map_or(ADVANCE, |(advance, _)| advance));
    Some(SnapshotTerms { staleness, advance, bound, has_sessions: false })
}

/// A replica keeps what was overwritten for as long as this at most: with 10,000 writes a second of 128 bytes these
/// are about 100 MB.
const STALENESS_MOST: Span = Span::from_millis(60_000);

/// Who may propose; the best leader is known where the quorums are.
fn mode(
    typed: &file::Protocol,
    places: &Places,
    quorums: Option<&QuorumSystem>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Mode> {
    let reads = reads(typed, places, quorums, mistakes)?;
    let mut replica = |typed: &Spanned<String>| match typed.get_ref().as_str() {
        BEST => {
            let mode = paxos::Mode::Multi { leader: NodeId(0), reads, commit_wait: None };
            let (links, candidates) = (&places.links, quorums?.candidates());
            let phases = mode.phases(quorums?);
            Some(best_leader_by(links, candidates, phases.first()?, &places.weights))
        }
        name => mistakes.note(places.leader(name, typed.span())),
    };
    Some(match typed {
        file::Protocol::Classic {} => Mode::CLASSIC,
        file::Protocol::Multi { leader, .. } => {
            paxos::Mode::Multi { leader: replica(leader)?, reads, commit_wait: None }.into()
        }
        file::Protocol::CasPaxos { proposer: None } => caspaxos::Mode { proposer: None }.into(),
        file::Protocol::CasPaxos { proposer: Some(proposer) } => {
            caspaxos::Mode { proposer: Some(replica(proposer)?) }.into()
        }
    })
}

/// How reads are answered, without the terms of leases, which are by clocks.
fn reads(
    typed: &file::Protocol,
    places: &Places,
    quorums: Option<&QuorumSystem>,
    mistakes: &mut Mistakes<'_>,
) -> Option<paxos::Reads> {
    let file::Protocol::Multi { reads: Some(reads), .. } = typed else {
        return Some(paxos::Reads::Log);
    };
    Some(match reads.get_ref() {
        // What a bound of clocks is needed for is added by who knows it.
        file::Reads::Log | file::Reads::LeaderLease { .. } | file::Reads::Snapshot { .. } => {
            paxos::Reads::Log
        }
        file::Reads::Quorum => paxos::Reads::Quorum,
        file::Reads::Responders { at, ranges, .. } => {
            let typed = (at.as_ref(), ranges.as_ref());
            let at = assignment(typed, reads.span(), quorums?, places, mistakes)?;
            let (length, bound) = (Span::ZERO, Span::ZERO);
            paxos::Reads::Responders(paxos::ResponderTerms { at, length, bound })
        }
    })
}

/// The mode with these responders, if they are granted leases for long enough.
fn with_grants(
    places: &Places,
    mode: Mode,
    (typed, bound): (&Spanned<file::Length>, Span),
    mistakes: &mut Mistakes<'_>,
) -> Option<Mode> {
    let (at, length) = (typed.span(), Span::from(typed.get_ref().0));
    let round_trip = deployment::longest_round_trip(&places.links);
    let least = (round_trip + bound).times(2);
    if length <= least {
        mistakes.refuse_at(at, Error::ShortGrant { length, round_trip, bound, least });
        return None;
    }
    Some(mode.with_lease(length, bound))
}

/// A name that may become part of a file's name.
fn name(typed: &Spanned<String>) -> Result<String, Refused> {
    let name = typed.get_ref().clone();
    let fits = |letter: char| letter.is_alphanumeric() || "-_.+".contains(letter);
    let error = if name.is_empty() {
        Error::Empty { key: "variant.name" }
    } else if name.chars().all(fits) {
        return Ok(name);
    } else {
        Error::VariantName { name }
    };
    Err(Refused { at: typed.span(), error })
}
