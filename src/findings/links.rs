//! What the probe of a trial says, in rows and in words.

use crate::measure::rows::{LinkRow, TrialKey};
use crate::time::Span;
use crate::trial::{Outcome, ProbedLink, ProbedNetwork};

use crate::trial::Backend;

/// How much is known of the network of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// It is the one asked for, by construction.
    Exact,
    /// It was measured before the trial.
    Measured,
    /// It was not measured.
    Unverified,
}

impl Knowledge {
    pub(super) const fn of(backend: Backend, outcome: &Outcome) -> Self {
        match (backend, &outcome.network) {
            (Backend::Sim, _) => Self::Exact,
            (Backend::Live, Some(_)) => Self::Measured,
            (Backend::Live, None) => Self::Unverified,
        }
    }

    /// The word in tables.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Measured => "measured",
            Self::Unverified => "unverified",
        }
    }
}

/// One row for every directed link in every attempt.
pub(super) fn rows(key: &TrialKey, network: &ProbedNetwork) -> Vec<LinkRow> {
    let count = u32::try_from(network.attempts.len()).unwrap_or(u32::MAX);
    let attempts = (1..).zip(&network.attempts);
    let rows = attempts.flat_map(|(attempt, links)| {
        links.iter().map(move |link| LinkRow { attempt, attempt_count: count, ..row(key, link) })
    });
    rows.collect()
}

fn row(key: &TrialKey, link: &ProbedLink) -> LinkRow {
    let TrialKey { trial, variant, point, backend } = key.clone();
    // Without a sample there is no number; the counts say that there was none.
    let heard = link.heard.as_ref();
    let span = |span: Option<Span>| span.map(|span| span.0);
    let measured = heard.filter(|heard| heard.heard_count > 0);
    let errors = link.errors_ns();
    LinkRow {
        trial,
        variant,
        point,
        backend,
        sender: link.from.to_string(),
        receiver: link.to.to_string(),
        sender_region: link.from_region.clone(),
        receiver_region: link.to_region.clone(),
        asked_ns_p50: link.asked_p50.0,
        asked_ns_p99: link.asked_p99.0,
        baseline_ns: span(link.baseline),
        measured_count: heard.map_or(0, |heard| heard.heard_count),
        missing_count: heard.map(|heard| heard.sent_count - heard.heard_count),
        measured_ns_p50: span(measured.map(|heard| heard.p50)),
        measured_ns_p99: span(measured.map(|heard| heard.p99)),
        measured_ns_p99_low: span(measured.map(|heard| heard.p99_low)),
        error_ns_p50: errors.map(|(p50, _)| p50),
        error_ns_p99: errors.map(|(_, p99)| p99),
        tolerance_ns: link.tolerance.0,
        train_count: heard.map(|heard| heard.train_count),
        overtaken_count: heard.map(|heard| heard.overtaken_count),
        lost_count: heard.map(|heard| heard.lost_count),
        is_half_round_trip: link.crossing.map(|crossing| crossing.is_half),
        is_within: link.is_within(),
        is_floored: link.is_floored(),
        ..LinkRow::default()
    }
}
