//! What is compared: quorum systems that meet, leaders that exist, and the floor of each variant.

use std::collections::BTreeSet;

use crate::experiment::file::{self, Doubts, ElectionMode, Spanned};
use crate::quorum::QuorumSystem;
use crate::time::Span;
use crate::topology::{best_leader, control_floors, floors, quorum_span, read_floors};

use super::Variant;
use super::places::{BEST, Places};
use super::point::is_set;
use super::quorums::{disjoint_error, quorums};
use super::roles::refuse_unfit;
use crate::caspaxos;
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::{Error, Refused};
use crate::paxos;
use crate::protocol::SendPolicy;
use crate::registry::Mode;

/// What the variants of a file are judged by; what is unknown, because it is wrong itself, is left out.
pub(super) struct Judge<'a> {
    pub(super) places: Option<&'a Places>,
    /// How long links remember their delay.
    pub(super) memory: Span,
    pub(super) election: Option<ElectionMode>,
    /// The share of operations that read.
    pub(super) reads: Option<f64>,
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
            && self.reads == Some(0.0)
        {
            mistakes.refuse_at(reads.span(), Error::NobodyReads);
        }
        let mode = mode(&typed.protocol, places, quorums.as_ref(), mistakes);
        let mode = mode.and_then(|mode| self.lease(typed, mode, quorums.as_ref(), mistakes));
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
        let floors = floors(&places.links, mode, &quorums, send, self.memory);
        let read_floors = read_floors(&places.links, mode, &quorums, send, self.memory);
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

    /// The same mode; with its lease, if it has one.
    fn lease(
        &self,
        typed: &file::Variant,
        mode: Mode,
        quorums: Option<&QuorumSystem>,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<Mode> {
        let file::Protocol::Multi { reads: Some(reads), .. } = &typed.protocol else {
            return Some(mode);
        };
        let file::Reads::LeaderLease { length } = reads.get_ref() else { return Some(mode) };
        let (leader, places) = (mode.leader()?, self.places?);
        if !self.is_clock_known {
            return None;
        }
        let Some(bound) = self.clock_bound else {
            mistakes.refuse_at(reads.span(), Error::NoClockBound);
            return None;
        };
        let (at, length) = (length.span(), Span::from(length.get_ref().0));
        let phase2 = quorum_span(&places.links, leader, quorums?.phase2());
        let apart = bound.times(2);
        let least = (phase2 + apart).times(2);
        if length <= least {
            mistakes.refuse_at(at, Error::ShortLease { length, phase2, apart, least });
            return None;
        }
        let terms = paxos::LeaseTerms { length, bound };
        Some(paxos::Mode::Multi { leader, reads: paxos::Reads::LeaderLease(terms) }.into())
    }
}

/// Who may propose; the best leader is known where the quorums are.
fn mode(
    typed: &file::Protocol,
    places: &Places,
    quorums: Option<&QuorumSystem>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Mode> {
    let mut replica = |typed: &Spanned<String>| match typed.get_ref().as_str() {
        BEST => Some(best_leader(&places.links, quorums?, &places.weights)),
        name => mistakes.note(places.leader(name, typed.span())),
    };
    Some(match typed {
        file::Protocol::Classic {} => Mode::CLASSIC,
        file::Protocol::Multi { leader, reads } => {
            let leader = replica(leader)?;
            let reads = match reads.as_ref().map(Spanned::get_ref) {
                Some(file::Reads::Quorum) => paxos::Reads::Quorum,
                // What a lease is by is not known here.
                None | Some(file::Reads::Log | file::Reads::LeaderLease { .. }) => {
                    paxos::Reads::Log
                }
            };
            paxos::Mode::Multi { leader, reads }.into()
        }
        file::Protocol::CasPaxos { proposer: None } => caspaxos::Mode { proposer: None }.into(),
        file::Protocol::CasPaxos { proposer: Some(proposer) } => {
            caspaxos::Mode { proposer: Some(replica(proposer)?) }.into()
        }
    })
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
