//! When a run has enough repeats, and what looking costs.
//!
//! A run that goes on until its intervals are narrow looks at its trials after 5 repeats, then 8, 12, 18 and
//! so on, each half as many again. It looks at the width alone, never at a difference; even so, a spread
//! that happens to be small ends it early. So each look has its own share of the 5 %: look k has the level
//! 0.05 / (k (k + 1)), and all of them together have 0.05, whatever rule ends the run.

use super::contrast::{Judged, NotComparable, families, of_variants};
use super::observations::Gap;
use super::{LEVEL, Observations};
use crate::findings::Finished;
use crate::measure::Quantity;
use crate::trial::Backend;

/// The repeats before the first look.
const FIRST: usize = 5;

/// How many looks a run takes that ends after `repeats`, the one at its end included.
pub fn looks_at(repeats: usize) -> u32 {
    let (mut count, mut next) = (1, FIRST);
    while next < repeats {
        (count, next) = (count + 1, following(next));
    }
    count
}

/// How many repeats there are at the first look after `repeats`.
pub fn next_look(repeats: usize) -> usize {
    let mut next = FIRST;
    while next <= repeats {
        next = following(next);
    }
    next
}

/// Half as many again.
const fn following(repeats: usize) -> usize {
    repeats + repeats.div_ceil(2)
}

/// The level that is left for the verdicts after `looks` looks; none were taken where the number of repeats
/// was fixed before.
pub fn level(looks: Option<u32>) -> f64 {
    looks.map_or(LEVEL, |looks| LEVEL / (f64::from(looks) * (f64::from(looks) + 1.0)))
}

/// What a look at the widths says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Look {
    /// No median that can be compared may differ by more than this, as a ratio less one, without being found.
    Detectable(f64),
    /// No median can be compared yet.
    TooEarly,
    /// No median can be compared, and more repeats change nothing: they were overloaded or not answered.
    Hopeless,
}

/// Looks at the widths of the medians of these trials: what decides whether a run goes on.
pub fn look(finished: &[Finished], backend: Backend, looks: u32) -> Look {
    let all = Observations::of(finished);
    let all = all.only(|it| it.subject.backend == backend && it.subject.quantity == Quantity::P50);
    let baseline = all.variants().first().map(|&name| name.to_owned()).unwrap_or_default();
    let families = families(&of_variants(&all, &baseline), level(Some(looks)));
    let outcomes = || families.iter().flat_map(|it| &it.contrasts).map(|it| it.outcome.as_ref());
    let widths = outcomes().flatten().map(|judged| judged.detectable(Quantity::P50));
    if let Some(widest) = widths.reduce(f64::max) {
        return Look::Detectable(widest);
    }
    let is_hopeless = |outcome: Result<&Judged, &NotComparable>| {
        let gaps = [Gap::Overloaded, Gap::Unanswered];
        matches!(outcome, Err(NotComparable::Gaps { gap, .. }) if gaps.contains(gap))
    };
    let is_all = outcomes().next().is_some() && outcomes().all(is_hopeless);
    if is_all { Look::Hopeless } else { Look::TooEarly }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_half_as_many_repeats_again() {
        let mut looks = vec![next_look(0)];
        while looks.len() < 6 {
            looks.push(next_look(*looks.last().unwrap()));
        }
        assert_eq!(looks, [5, 8, 12, 18, 27, 41]);
        let counts: Vec<u32> = [1, 5, 6, 8, 9, 12, 41].into_iter().map(looks_at).collect();
        assert_eq!(counts, [1, 1, 2, 2, 3, 3, 6]);
    }

    #[test]
    fn levels_of_all_looks_are_the_level_together() {
        let sum: f64 = (1..10_000).map(|looks| level(Some(looks))).sum();
        assert!(sum < LEVEL && sum > 0.999 * LEVEL, "{sum}");
        assert!((level(None) - LEVEL).abs() < 1e-12);
    }
}
