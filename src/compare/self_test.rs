//! How often the test raises a false alarm on the trials of a run itself.
//!
//! Each trial is cut into its intervals, and chance gives each interval to one of two sides. Both sides then
//! have the same variant, machine and hour, so every difference is a false alarm. Over many draws five in a
//! hundred should be one, if Student's t holds its level for the noise of these trials.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use super::{LEVEL, REPEATS_MIN};
use crate::statistics::Estimate;

/// The intervals of one variant, place and kind of operation, by repeat.
#[derive(Clone, Debug, Default)]
pub struct Intervals {
    /// The latencies of each interval of each repeat, in nanoseconds.
    pub repeats: BTreeMap<usize, Vec<Vec<u64>>>,
}

/// What the draws of one series came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alarms {
    /// How many draws had enough to compare.
    pub draw_count: u32,
    /// How many of them raised an alarm.
    pub alarm_count: u32,
}

impl Alarms {
    /// The share of draws that raised one; `None` without any.
    pub fn share(self) -> Option<f64> {
        (self.draw_count > 0).then(|| f64::from(self.alarm_count) / f64::from(self.draw_count))
    }
}

/// A trial with fewer intervals has too few ways to share them out.
const INTERVALS_MIN: usize = 8;

/// How a draw is tested; a test of the self-test takes a wrong one.
pub type Test = fn(&[f64]) -> bool;

/// The test of all verdicts: Student's t on the logarithms of the ratios.
pub fn student(differences: &[f64]) -> bool {
    Estimate::paired(differences).is_some_and(|estimate| estimate.p_value(0.0) <= LEVEL)
}

/// Draws `count` times, and tests the percentile `share` of one side against the other's.
pub fn draw(intervals: &Intervals, share: f64, count: u32, seed: u64, test: Test) -> Alarms {
    let mut random = Pcg64::seed_from_u64(seed);
    let mut alarms = Alarms::default();
    let mut order: Vec<usize> = Vec::new();
    for _ in 0..count {
        let mut differences = Vec::new();
        for of_repeat in intervals.repeats.values().filter(|it| it.len() >= INTERVALS_MIN) {
            order.clear();
            order.extend(0..of_repeat.len());
            order.shuffle(&mut random);
            let (one, other) = order.split_at(order.len() / 2);
            let of = |side: &[usize]| {
                let values = side.iter().flat_map(|place| &of_repeat[*place]).copied();
                percentile(values.collect(), share).map(|ns| (ns as f64).ln())
            };
            differences.extend(of(one).zip(of(other)).map(|(one, other)| one - other));
        }
        if differences.len() >= REPEATS_MIN {
            alarms.draw_count += 1;
            alarms.alarm_count += u32::from(test(&differences));
        }
    }
    alarms
}

/// The nearest-rank percentile, if ten values lie beyond it or it is the median.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank is at most the number of values"
)]
fn percentile(mut values: Vec<u64>, share: f64) -> Option<u64> {
    let beyond = values.len() as f64 * (1.0 - share);
    if values.is_empty() || (share > 0.5 && beyond < 10.0) {
        return None;
    }
    let rank = (values.len() as f64 * share).ceil().max(1.0) as usize - 1;
    Some(*values.select_nth_unstable(rank).1)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand_distr::{Distribution, LogNormal};

    use super::*;
    use crate::time::Span;

    /// Five repeats of 20 intervals of 40 operations, each interval with a mood of its own.
    fn noisy() -> Intervals {
        let mut random = Pcg64::seed_from_u64(7);
        let mood = LogNormal::new(0.0, 0.05).unwrap();
        let mut intervals = Intervals::default();
        for repeat in 0..5 {
            let of_repeat = (0..20).map(|_| {
                let mood = mood.sample(&mut random);
                let mut one = || {
                    let spread: f64 = random.random_range(0.9..1.1);
                    Span::from_millis_f64(mood * spread * 70.0).0
                };
                (0..40).map(|_| one()).collect()
            });
            intervals.repeats.insert(repeat, of_repeat.collect());
        }
        intervals
    }

    #[test]
    fn student_raises_five_false_alarms_in_a_hundred() {
        let alarms = draw(&noisy(), 0.5, 2_000, 1, student);
        let share = alarms.share().unwrap();
        assert!(alarms.draw_count == 2_000 && (0.035..0.065).contains(&share), "{share}");
    }

    /// The control: the normal distribution instead of Student's alarms in one draw of eight.
    #[test]
    fn self_test_sees_a_test_that_alarms_too_often() {
        let normal = |differences: &[f64]| {
            let estimate = Estimate::paired(differences).unwrap();
            estimate.mean.abs() > 1.96 * estimate.standard_error()
        };
        let share = draw(&noisy(), 0.5, 2_000, 1, normal).share().unwrap();
        assert!((0.09..0.16).contains(&share), "{share}");
    }

    #[test]
    fn too_few_repeats_are_not_drawn() {
        let mut few = noisy();
        few.repeats.retain(|repeat, _| *repeat < 2);
        assert_eq!(draw(&few, 0.5, 10, 1, student).share(), None);
    }
}
