//! What clients do: figures that make sense, and every client region with some load.

use std::ops::Range;

use crate::deployment::patience;
use crate::experiment::file::{self, Spanned};
use crate::protocol::Election;
use crate::time::Span;
use crate::topology::{Floor, Links, Site};
use crate::workload::{self, Arrival, Keys, Workload};

use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::{Error, Refused};

/// The keys of a file that names none.
const KEY_COUNT: u64 = 1000;

/// The size of a value in a file that names none.
const VALUE_BYTES: usize = 128;

/// The workload of a file, shared by client regions of these weights.
///
/// What can be judged without them is judged where they are unknown.
pub(super) fn workload(
    typed: &file::Workload,
    weights: Option<&[f64]>,
    mistakes: &mut Mistakes<'_>,
) -> Option<Workload> {
    let before = mistakes.count();
    let (arrival, at) = arrival(&typed.arrival);
    let keys = match &typed.keys {
        None => Keys::Uniform { count: KEY_COUNT },
        Some(file::Keys::Uniform { count }) => Keys::Uniform { count: *count.get_ref() },
        Some(file::Keys::Zipf { count, exponent }) => {
            Keys::Zipf { count: *count.get_ref(), exponent: *exponent.get_ref() }
        }
    };
    let mut workload = Workload {
        arrival,
        keys,
        value_bytes: typed.value_bytes.as_ref().map_or(VALUE_BYTES, |bytes| *bytes.get_ref()),
        reads: typed.reads.as_ref().map_or(0.0, |reads| *reads.get_ref()),
        weights: Vec::new(),
        conflicts: typed.conflicts.as_ref().map(|share| *share.get_ref()),
    };
    for error in workload.errors() {
        mistakes.refuse_at(place(typed, &at, &error), Error::Workload(error));
    }
    if mistakes.count() > before {
        return None;
    }
    let weights = weights?;
    if let Arrival::Closed { clients } = workload.arrival
        && (clients as usize) < weights.len()
    {
        mistakes.refuse_at(at, Error::IdleRegion { regions: weights.len() });
        return None;
    }
    mistakes.note(check_sharing(typed, &workload, weights.len()))?;
    // Alike is what they are without a word.
    if weights.iter().any(|weight| (weight - weights[0]).abs() > 0.0) {
        workload.weights = weights.to_vec();
    }
    Some(workload)
}

/// Checks that so many client regions can have keys of their own and one that they share, if the file asks for that.
fn check_sharing(
    typed: &file::Workload,
    workload: &Workload,
    regions: usize,
) -> Result<(), Refused> {
    let Some(conflicts) = &typed.conflicts else { return Ok(()) };
    if regions < 2 {
        return Err(Refused::new(conflicts.span(), Error::OneClientRegion));
    }
    if workload.key_count(regions).is_none() {
        let at = typed.keys.as_ref().map_or_else(|| conflicts.span(), file::Keys::count_at);
        let count = workload.keys.count();
        return Err(Refused::new(at, Error::TooManyKeys { count, regions }));
    }
    Ok(())
}

/// What says how patient clients are where the file does not.
pub(super) struct Patient<'a> {
    pub(super) links: &'a Links,
    pub(super) election: Election,
    pub(super) floors: Vec<Floor>,
    /// How long a value is on the wire to all replicas.
    pub(super) transmission: Span,
}

/// After how long a client asks again: not before an answer can be there.
///
/// A file that does not say it gets [`patience`] by the floors of all variants, so that the clients of all
/// of them are equally patient.
pub(super) fn retry_after(
    typed: &file::Workload,
    patient: Option<&Patient<'_>>,
) -> Result<Option<Span>, Refused> {
    let after = typed.retry_after.as_ref().map(|typed| Span::from(typed.get_ref().0));
    if let (Some(typed), Some(Span::ZERO)) = (&typed.retry_after, after) {
        return Err(Refused::new(typed.span(), Error::Zero { key: "workload.retry_after" }));
    }
    let Some(Patient { links, election, floors, transmission }) = patient else { return Ok(None) };
    let (Some(typed), Some(after)) = (&typed.retry_after, after) else {
        return Ok(Some(patience(*election, floors, *transmission)));
    };
    let clients = (0..links.client_regions.len()).map(Site::Client);
    let round_trips = clients.flat_map(|client| {
        links.replicas().map(move |replica| links.round_trip(client, Site::Replica(replica)))
    });
    let least = round_trips.chain(floors.iter().map(|floor| floor.p50)).max().unwrap_or(Span::ZERO);
    if after <= least {
        return Err(Refused::new(typed.span(), Error::Hasty { after, least }));
    }
    Ok(Some(after))
}

/// The arrival, and where its figure stands.
fn arrival(typed: &file::Arrival) -> (Arrival, Range<usize>) {
    match typed {
        file::Arrival::Poisson { rate_per_s } => {
            (Arrival::Poisson { rate_per_s: *rate_per_s.get_ref() }, rate_per_s.span())
        }
        file::Arrival::Fixed { rate_per_s } => {
            (Arrival::Fixed { rate_per_s: *rate_per_s.get_ref() }, rate_per_s.span())
        }
        file::Arrival::Closed { clients } => {
            (Arrival::Closed { clients: *clients.get_ref() }, clients.span())
        }
    }
}

/// Where the figure stands that is wrong.
fn place(typed: &file::Workload, arrival: &Range<usize>, error: &workload::Error) -> Range<usize> {
    let found = match (error, &typed.keys) {
        (workload::Error::Rate { .. } | workload::Error::NoClient, _) => None,
        (workload::Error::Exponent { .. }, Some(file::Keys::Zipf { exponent, .. })) => {
            Some(exponent.span())
        }
        (_, Some(file::Keys::Uniform { count } | file::Keys::Zipf { count, .. }))
            if matches!(error, workload::Error::NoKey { .. }) =>
        {
            Some(count.span())
        }
        (workload::Error::Reads { .. }, _) => typed.reads.as_ref().map(Spanned::span),
        (workload::Error::Conflicts { .. }, _) => typed.conflicts.as_ref().map(Spanned::span),
        _ => typed.value_bytes.as_ref().map(Spanned::span),
    };
    found.unwrap_or_else(|| arrival.clone())
}
