//! `[election]`: a failure detector that can hear a leader at all.

use crate::experiment::file::{self, ElectionMode};
use crate::protocol::{Detector, Election};
use crate::time::Span;
use crate::topology::{Links, Site};

use crate::experiment::refusal::{Error, Refused};

/// How often a leader is heard of in a file that does not say it: with [`MISSES`] a time-out of a
/// second, which is the choice of etcd (its documentation, "Tuning").
const HEARTBEAT: Span = Span::from_millis(100);
const MISSES: u32 = 10;

/// The `[election]` section of a file.
///
/// A heartbeat may be behind a value that takes `transmission` to all other replicas.
pub(super) fn election(
    typed: &file::Election,
    links: &Links,
    transmission: Span,
) -> Result<Election, Refused> {
    let zero = |at, key| Refused::new(at, Error::Zero { key });
    let length = |typed: &toml::Spanned<file::Length>| Span::from(typed.get_ref().0);
    let heartbeat = typed.heartbeat.as_ref().map_or(HEARTBEAT, length);
    let misses = typed.misses.as_ref().map_or(MISSES, |typed| *typed.get_ref());
    if let (Some(typed), Span::ZERO) = (&typed.heartbeat, heartbeat) {
        return Err(zero(typed.span(), "election.heartbeat"));
    }
    if let (Some(typed), 0) = (&typed.misses, misses) {
        return Err(zero(typed.span(), "election.misses"));
    }
    let without_spread = Detector { heartbeat, misses, spread: Span::ZERO };
    let timeout = without_spread.timeout();
    let spread = typed.spread.as_ref().map_or(timeout, length);
    let at_mode = match &typed.mode {
        Some(mode) if *mode.get_ref() == ElectionMode::Timeout => mode.span(),
        _ => return Ok(Election::Fixed),
    };
    // A leader asks its followers whether they still hear it; the answer takes a round trip.
    let least = longest_round_trip(links) + heartbeat + transmission;
    if timeout <= least {
        let at = typed.misses.as_ref().map(toml::Spanned::span);
        let at = at.or_else(|| typed.heartbeat.as_ref().map(toml::Spanned::span));
        let error = Error::Impatient { timeout, least };
        return Err(Refused::new(at.unwrap_or(at_mode), error));
    }
    Ok(Election::Timeout(Detector { spread, ..without_spread }))
}

fn longest_round_trip(links: &Links) -> Span {
    let sites = || links.replicas().map(Site::Replica);
    let pairs = sites().flat_map(|from| sites().map(move |to| (from, to)));
    pairs.map(|(from, to)| links.round_trip(from, to)).max().unwrap_or(Span::ZERO)
}
