//! Whether a trial held the rate that it was offered.

use crate::findings::Finished;
use crate::measure::rows::Flag;
use crate::measure::{Figure, Latencies, is_saturated};
use crate::time::Span;

/// A trial with fewer operations shows nothing: less than 99 % of them cannot be told from all.
pub const OPERATIONS_MIN: u64 = 100;

/// When a rate is held, beyond that the trial is valid and complete, has 100 operations at least and achieves 99 % of
/// what it is offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Criteria {
    /// The 99th percentile of all operations of the load is at most this.
    pub p99_max: Option<Span>,
    /// A machine that is full in another way does not count: members may wait for a core and datagrams may leave
    /// late, if only the operations are answered.
    pub achieved_only: bool,
}

/// Why the rate of a trial is not held, as codes; nothing if it is. `latencies` are those of its load.
pub(super) fn held(
    ended: &Finished,
    latencies: &Latencies,
    criteria: &Criteria,
) -> Vec<&'static str> {
    let row = &ended.row;
    if row.has(Flag::Refused) {
        return vec!["refused"];
    }
    if !row.valid {
        return vec!["invalid"];
    }
    let misses_offer = is_saturated(row.offered_per_s, row.achieved_per_s.unwrap_or_default());
    let is_full = !misses_offer && !criteria.achieved_only && row.saturated == Some(true);
    let is_late = criteria.p99_max.is_some_and(|limit| !is_within(latencies, limit));
    let operations = latencies.count() + latencies.unanswered_count();
    let misses = [
        ("few", operations < OPERATIONS_MIN),
        ("incomplete", !row.complete),
        ("achieved", misses_offer),
        ("saturated", is_full),
        ("p99", is_late),
    ];
    misses.into_iter().filter_map(|(code, is_missed)| is_missed.then_some(code)).collect()
}

/// Whether the 99th percentile is at most this; with too few operations to have one, whether all are.
fn is_within(latencies: &Latencies, limit: Span) -> bool {
    match latencies.percentile(0.99) {
        Some(Figure::Known(p99)) => p99 <= limit,
        Some(Figure::Above(_)) => false,
        None => latencies.unanswered_count() == 0 && latencies.max().is_none_or(|max| max <= limit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::trial::Trial;
    use crate::measure::rows::TrialRow;
    use crate::trial::Backend;

    fn ended(change: impl Fn(&mut TrialRow)) -> Finished {
        let mut row = TrialRow {
            valid: true,
            complete: true,
            saturated: Some(false),
            offered_per_s: Some(1_000.0),
            achieved_per_s: Some(990.0),
            ..TrialRow::default()
        };
        change(&mut row);
        Finished {
            trial: Trial { index: 0, repeat: 0, variant: 0, point: 0, seed: 0 },
            backend: Backend::Live,
            row,
            measured: vec![],
            disagreements: vec![],
            recovery: vec![],
            probes: None,
            violations: vec![],
            unfit: vec![],
        }
    }

    #[track_caller]
    fn check(change: impl Fn(&mut TrialRow), criteria: Criteria, expected: &[&str]) {
        let mut latencies = Latencies::new();
        (0..OPERATIONS_MIN).for_each(|_| latencies.record(Span::from_millis(1)));
        assert_eq!(held(&ended(change), &latencies, &criteria), expected);
    }

    #[test]
    fn each_reason_has_its_code_and_a_rate_without_one_is_held() {
        let all = Criteria::default();
        check(|_| {}, all, &[]);
        check(|row| row.valid = false, all, &["invalid"]);
        let refused = |row: &mut TrialRow| {
            row.add(&Flag::Refused.note("refused"));
            row.invalidate("why");
        };
        check(refused, all, &["refused"]);
        check(|row| row.complete = false, all, &["incomplete"]);
        check(|row| row.achieved_per_s = Some(989.0), all, &["achieved"]);
        check(|row| row.saturated = Some(true), all, &["saturated"]);
        // The one is the reason for the other.
        let full = |row: &mut TrialRow| {
            (row.achieved_per_s, row.saturated) = (Some(500.0), Some(true));
        };
        check(full, all, &["achieved"]);
        let achieved_only = Criteria { achieved_only: true, ..all };
        check(|row| row.saturated = Some(true), achieved_only, &[]);
        check(full, achieved_only, &["achieved"]);
    }

    /// Nothing offered and nothing achieved is no rate that was held.
    #[test]
    fn a_trial_with_few_operations_holds_nothing() {
        let misses = |latencies: &Latencies| held(&ended(|_| {}), latencies, &Criteria::default());
        let none: [&str; 0] = [];
        let mut latencies = Latencies::new();
        assert_eq!(misses(&latencies), ["few"]);
        (1..OPERATIONS_MIN).for_each(|_| latencies.record(Span::from_millis(1)));
        assert_eq!(misses(&latencies), ["few"]);
        latencies.record(Span::from_millis(1));
        assert_eq!(misses(&latencies), none);
    }

    #[test]
    fn a_limit_is_for_the_99th_percentile_or_for_all_of_a_few() {
        let criteria = Criteria { p99_max: Some(Span::from_millis(10)), ..Criteria::default() };
        let of = |fast: u32, slow: u32| {
            let mut latencies = Latencies::new();
            (0..fast).for_each(|_| latencies.record(Span::from_millis(5)));
            (0..slow).for_each(|_| latencies.record(Span::from_millis(50)));
            latencies
        };
        let misses = |latencies: &Latencies| held(&ended(|_| {}), latencies, &criteria);
        let none: [&str; 0] = [];
        assert_eq!(misses(&of(10_000, 50)), none);
        assert_eq!(misses(&of(10_000, 200)), ["p99"]);
        assert_eq!(misses(&of(100, 0)), none);
        assert_eq!(misses(&of(100, 1)), ["p99"]);
        let mut unanswered = of(10_000, 0);
        let waits = of(0, 200);
        unanswered.add_unanswered(&waits);
        assert_eq!(misses(&unanswered), ["p99"]);
    }
}
