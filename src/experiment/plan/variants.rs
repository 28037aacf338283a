//! What is compared: quorum systems that meet, leaders that exist, and the floor of each variant.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::experiment::file::{self, Doubts, ElectionMode, Member, Quorums, Sets, Spanned};
use crate::quorum::{self, Disjoint, QuorumSystem};
use crate::time::Span;
use crate::topology::{best_leader, control_floors, floors};

use super::Variant;
use super::places::{BEST, Places};
use super::point::is_set;
use crate::caspaxos;
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::{Error, Refused};
use crate::protocol::SendPolicy;
use crate::registry::Mode;

/// What the variants of a file are judged by; what is unknown, because it is wrong itself, is left out.
pub(super) struct Judge<'a> {
    pub(super) places: Option<&'a Places>,
    /// How long links remember their delay.
    pub(super) memory: Span,
    pub(super) election: Option<ElectionMode>,
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
        let quorums = quorums(&typed.quorums, places, mistakes);
        if let Some(quorums) = &quorums
            && let Some(disjoint) = quorums.disjoint()
            && !is_set(typed.unsafe_quorums.as_ref())
        {
            let error = disjoint_error(disjoint, typed.quorums.get_ref(), places);
            mistakes.refuse_at(typed.quorums.span(), error);
        }
        let mode = mode(&typed.protocol, places, quorums.as_ref(), mistakes);
        let (quorums, mode) = (quorums?, mode?);
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
        let unsafe_quorums = is_set(typed.unsafe_quorums.as_ref());
        let control_floors = control_floors(&places.links, mode);
        let faults = Vec::new();
        Some(Variant { name, mode, quorums, send, unsafe_quorums, floors, control_floors, faults })
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
        file::Protocol::Multi { leader } => Mode::multi(replica(leader)?),
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

/// The quorums of a variant, of which each phase is judged by itself.
fn quorums(
    typed: &Spanned<Quorums>,
    places: &Places,
    mistakes: &mut Mistakes<'_>,
) -> Option<QuorumSystem> {
    let n = places.n();
    let mut of = |at: &dyn Fn(&quorum::Error) -> Range<usize>, system: Result<_, quorum::Error>| {
        mistakes.note(system.map_err(|error| Refused { at: at(&error), error: error.into() }))
    };
    match typed.get_ref() {
        Quorums::Majority {} => Some(QuorumSystem::majority(n)),
        Quorums::Counts { phase1, phase2 } => {
            let (q1, q2) = (*phase1.get_ref(), *phase2.get_ref());
            let first = of(&|_| phase1.span(), QuorumSystem::counts(n, q1, n));
            let second = of(&|_| phase2.span(), QuorumSystem::counts(n, n, q2));
            first.and(second)?;
            QuorumSystem::counts(n, q1, q2).ok()
        }
        Quorums::Dual { phase2 } => {
            let q2 = *phase2.get_ref();
            // A set meets every set of q2 replicas exactly if fewer than q2 are outside of it.
            // Where q2 is no size at all, that is what the refusal is to be about.
            let q1 = (n + 1).checked_sub(q2).filter(|q1| (1..=n).contains(q1));
            of(&|_| phase2.span(), QuorumSystem::counts(n, q1.unwrap_or(n), q2))
        }
        Quorums::PerBallot { phase2 } => {
            of(&|_| phase2.span(), QuorumSystem::per_ballot(n, *phase2.get_ref()))
        }
        Quorums::Explicit { phase1, phase2 } => {
            let [first, second] = [phase1, phase2].map(|typed| sets(typed, places, mistakes));
            let (first, second) = (first?, second?);
            let mut of =
                |system: Result<_, quorum::Error>, typed: &Sets| {
                    mistakes.note(system.map_err(|error| Refused {
                        at: at_fault(typed, &error),
                        error: error.into(),
                    }))
                };
            let everybody = [(0..n).collect()];
            let is_first = of(QuorumSystem::explicit(n, &first, &everybody), phase1);
            let is_second = of(QuorumSystem::explicit(n, &everybody, &second), phase2);
            is_first.and(is_second)?;
            QuorumSystem::explicit(n, &first, &second).ok()
        }
    }
}

/// Where the member stands that does not exist; else the sets.
fn at_fault(typed: &Sets, error: &quorum::Error) -> Range<usize> {
    let mut members = typed.get_ref().iter().flatten();
    let found = members.find(|member| {
        matches!((error, member.get_ref()), (quorum::Error::Member { node, .. }, Member::Index(index)) if node == index)
    });
    found.map_or_else(|| typed.span(), Spanned::span)
}

/// The sets as numbers of replicas.
fn sets(typed: &Sets, places: &Places, mistakes: &mut Mistakes<'_>) -> Option<Vec<Vec<usize>>> {
    let mut member = |member| mistakes.note(places.member(member));
    let sets: Vec<Vec<Option<usize>>> =
        typed.get_ref().iter().map(|set| set.iter().map(&mut member).collect()).collect();
    sets.into_iter().map(|set| set.into_iter().collect()).collect()
}

/// The refusal that names the two quorums and says what would make them meet.
fn disjoint_error(disjoint: Disjoint, typed: &Quorums, places: &Places) -> Error {
    let change = match typed {
        Quorums::Explicit { .. } => "give the two a common replica".to_owned(),
        _ => format!("raise one of the two until phase1 + phase2 is at least {}", places.n() + 1),
    };
    Error::Disjoint {
        phase1: places.named(disjoint.phase1),
        phase2: places.named(disjoint.phase2),
        remedy: format!("{change}, or set `unsafe_quorums = true` to see what happens"),
    }
}
