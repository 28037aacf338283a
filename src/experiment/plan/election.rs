//! `[election]`: a failure detector that can hear a leader at all.

use crate::experiment::file::{self, ElectionMode, Spanned};
use crate::protocol::{Detector, Election};
use crate::time::Span;
use crate::topology::{Links, Site};

use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::Error;

/// How often a leader is heard of in a file that does not say it: with [`MISSES`] a time-out of a
/// second, which is the choice of etcd (its documentation, "Tuning").
const HEARTBEAT: Span = Span::from_millis(100);
const MISSES: u32 = 10;

/// The `[election]` section of a file; none if it cannot be judged without links.
///
/// A heartbeat may be behind a value that takes `transmission` to all other replicas.
pub(super) fn election(
    typed: &file::Election,
    links: Option<&Links>,
    transmission: Option<Span>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Election> {
    let before = mistakes.count();
    let length = |typed: &Spanned<file::Length>| Span::from(typed.get_ref().0);
    let heartbeat = typed.heartbeat.as_ref().map_or(HEARTBEAT, length);
    let misses = typed.misses.as_ref().map_or(MISSES, |typed| *typed.get_ref());
    if let (Some(typed), Span::ZERO) = (&typed.heartbeat, heartbeat) {
        mistakes.refuse_at(typed.span(), Error::Zero { key: "election.heartbeat" });
    }
    if let (Some(typed), 0) = (&typed.misses, misses) {
        mistakes.refuse_at(typed.span(), Error::Zero { key: "election.misses" });
    }
    if mistakes.count() > before {
        return None;
    }
    let without_spread = Detector { heartbeat, misses, spread: Span::ZERO };
    let timeout = without_spread.timeout();
    let spread = typed.spread.as_ref().map_or(timeout, length);
    let at_mode = match &typed.mode {
        Some(mode) if *mode.get_ref() == ElectionMode::Timeout => mode.span(),
        _ => return Some(Election::Fixed),
    };
    // A leader asks its followers whether they still hear it; the answer takes a round trip.
    let least = longest_round_trip(links?) + heartbeat + transmission?;
    if timeout <= least {
        let at = typed.misses.as_ref().map(Spanned::span);
        let at = at.or_else(|| typed.heartbeat.as_ref().map(Spanned::span));
        mistakes.refuse_at(at.unwrap_or(at_mode), Error::Impatient { timeout, least });
        return None;
    }
    Some(Election::Timeout(Detector { spread, ..without_spread }))
}

fn longest_round_trip(links: &Links) -> Span {
    let sites = || links.replicas().map(Site::Replica);
    let pairs = sites().flat_map(|from| sites().map(move |to| (from, to)));
    pairs.map(|(from, to)| links.round_trip(from, to)).max().unwrap_or(Span::ZERO)
}
