//! What is compared: quorum systems that meet, leaders that exist, and the floor of each variant.

use std::collections::BTreeSet;

use toml::Spanned;

use crate::experiment::file::{self, ElectionMode, Quorums, Sets};
use crate::quorum::{Disjoint, QuorumSystem};
use crate::time::Span;
use crate::topology::{best_leader, floors};

use super::Variant;
use super::places::{BEST, Places};
use super::point::is_set;
use crate::caspaxos;
use crate::experiment::refusal::{Error, Refused};
use crate::protocol::SendPolicy;
use crate::registry::Mode;

/// The variants of an experiment, in the order of the file; links remember their delay for `memory`.
pub(super) fn variants(
    file: &file::File,
    places: &Places,
    memory: Span,
) -> Result<Vec<Variant>, Refused> {
    if file.variants.is_empty() {
        return Err(Refused { at: 0..0, error: Error::NoItem { key: "variant" } });
    }
    let mut names = BTreeSet::new();
    file.variants
        .iter()
        .map(|typed| {
            let variant = variant(typed, file.election.mode(), places, memory)?;
            if names.insert(variant.name.clone()) {
                return Ok(variant);
            }
            let error = Error::VariantTwice { name: variant.name };
            Err(Refused { at: typed.name.span(), error })
        })
        .collect()
}

fn variant(
    typed: &file::Variant,
    file_election: ElectionMode,
    places: &Places,
    memory: Span,
) -> Result<Variant, Refused> {
    let name = name(&typed.name)?;
    let quorums = quorums(&typed.quorums, places)?;
    if let Some(disjoint) = quorums.disjoint()
        && !is_set(typed.unsafe_quorums.as_ref())
    {
        let error = disjoint_error(disjoint, typed.quorums.get_ref(), places);
        return Err(Refused { at: typed.quorums.span(), error });
    }
    let replica = |typed: &Spanned<String>| match typed.get_ref().as_str() {
        BEST => Ok(best_leader(&places.links, &quorums)),
        name => places.leader(name, typed.span()),
    };
    let mode = match &typed.protocol {
        file::Protocol::Classic {} => Mode::CLASSIC,
        file::Protocol::Multi { leader } => Mode::multi(replica(leader)?),
        file::Protocol::CasPaxos { proposer } => {
            caspaxos::Mode { proposer: proposer.as_ref().map(replica).transpose()? }.into()
        }
    };
    let is_elected = file_election == ElectionMode::Timeout && mode.leader().is_some();
    if quorums.announces() && !is_elected {
        return Err(Refused { at: typed.quorums.span(), error: Error::NeverAnnouncedAgain });
    }
    let send = match typed.send {
        file::Send::All => SendPolicy::All,
        file::Send::Quorum => SendPolicy::Quorum,
    };
    let floors = floors(&places.links, mode, &quorums, send, memory);
    let unsafe_quorums = is_set(typed.unsafe_quorums.as_ref());
    Ok(Variant { name, mode, quorums, send, unsafe_quorums, floors, faults: Vec::new() })
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

fn quorums(typed: &Spanned<Quorums>, places: &Places) -> Result<QuorumSystem, Refused> {
    let n = places.n();
    let system = match typed.get_ref() {
        Quorums::Majority {} => return Ok(QuorumSystem::majority(n)),
        Quorums::Counts { phase1, phase2 } => {
            QuorumSystem::counts(n, *phase1.get_ref(), *phase2.get_ref())
        }
        Quorums::Dual { phase2 } => {
            let phase2 = *phase2.get_ref();
            // A set meets every set of q2 replicas exactly if fewer than q2 are outside of it.
            // Where q2 is no size at all, that is what the refusal is to be about.
            let phase1 = (n + 1).checked_sub(phase2).filter(|phase1| (1..=n).contains(phase1));
            QuorumSystem::counts(n, phase1.unwrap_or(n), phase2)
        }
        Quorums::PerBallot { phase2 } => QuorumSystem::per_ballot(n, *phase2.get_ref()),
        Quorums::Explicit { phase1, phase2 } => {
            QuorumSystem::explicit(n, &sets(phase1, places)?, &sets(phase2, places)?)
        }
    };
    system.map_err(|error| Refused { at: typed.span(), error: error.into() })
}

fn sets(typed: &Sets, places: &Places) -> Result<Vec<Vec<usize>>, Refused> {
    let set = |set: &Vec<_>| set.iter().map(|member| places.member(member)).collect();
    typed.get_ref().iter().map(set).collect()
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
