//! The trials of a plan, and the order in which they run.
//!
//! A repeat runs every point with every variant once, and the repeats follow one another, so a machine
//! that grows slower in the course of an experiment slows every variant alike.
//! Within a repeat the variants of one point run next to one another, because they are compared; which
//! of them is first moves on with every repeat and point, and the points are shuffled from the seed.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::trial::number::number;

/// One run of one variant at one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Its position in the order of the runs, from 0.
    pub index: usize,
    /// Which repeat it belongs to, from 0.
    pub repeat: usize,
    /// Its variant: a position in [`Point::variants`](super::plan::Point::variants).
    pub variant: usize,
    /// Its settings: a position in [`Plan::points`](super::plan::Plan::points).
    pub point: usize,
    /// Where its chance comes from; all trials of one repeat have the same.
    pub seed: u64,
}

impl Trial {
    /// A trial that is added after `index` others: of this point, variant and repeat.
    pub(super) fn after(index: usize, [point, variant, repeat]: [usize; 3], seed: u64) -> Self {
        Self { index, repeat, variant, point, seed: repeat_seed(seed, repeat) }
    }

    /// Its number in tables, names of files and on the terminal, from 1.
    pub fn number(&self) -> u32 {
        number(self.index)
    }

    /// The number of its repeat, from 1.
    pub fn repetition(&self) -> u32 {
        number(self.repeat)
    }
}

/// All trials in the order in which they run.
pub(super) fn trials(points: usize, variants: usize, repeats: usize, seed: u64) -> Vec<Trial> {
    let mut trials = Vec::with_capacity(points * variants * repeats);
    for repeat in 0..repeats {
        let mut order: Vec<usize> = (0..points).collect();
        order.shuffle(&mut Pcg64::seed_from_u64(repeat_seed(seed, repeat)));
        for (place, point) in order.into_iter().enumerate() {
            for turn in 0..variants {
                let variant = (turn + place + repeat) % variants;
                trials.push(Trial::after(trials.len(), [point, variant, repeat], seed));
            }
        }
    }
    trials
}

/// The seed of one repeat: equal for its variants, so that they face the same operations at the same
/// moments, and different between repeats.
fn repeat_seed(seed: u64, repeat: usize) -> u64 {
    let mut stream = Pcg64::new(u128::from(seed), repeat as u128);
    stream.next_u64()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_repeat_runs_every_variant_at_every_point_once() {
        let trials = trials(4, 3, 5, 9);
        assert_eq!(trials.len(), 60);
        for repeat in 0..5 {
            let of_repeat: BTreeSet<(usize, usize)> = trials[repeat * 12..(repeat + 1) * 12]
                .iter()
                .map(|trial| {
                    assert_eq!(trial.repeat, repeat);
                    (trial.point, trial.variant)
                })
                .collect();
            assert_eq!(of_repeat.len(), 12);
        }
        assert!(trials.iter().enumerate().all(|(index, trial)| trial.index == index));
    }

    #[test]
    fn each_variant_is_first_equally_often() {
        let trials = trials(1, 3, 6, 1);
        let firsts: Vec<usize> = trials.iter().step_by(3).map(|trial| trial.variant).collect();
        assert_eq!(firsts, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn variants_of_one_repeat_have_its_seed() {
        let trials = trials(2, 3, 4, 1);
        let seeds: BTreeSet<u64> = trials.iter().map(|trial| trial.seed).collect();
        assert_eq!(seeds.len(), 4);
        assert!(trials.chunks(6).all(|repeat| repeat.iter().all(|t| t.seed == repeat[0].seed)));
    }

    #[test]
    fn the_order_depends_on_the_seed_alone() {
        assert_eq!(trials(5, 2, 3, 7), trials(5, 2, 3, 7));
        assert_ne!(trials(5, 2, 3, 7), trials(5, 2, 3, 8));
    }
}
