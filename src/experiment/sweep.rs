//! From settings to trials: every combination that is swept, and the order in which they run.
//!
//! A sweep is an overlay of the file: each combination of its values is put into the text's tree, and
//! the whole is read and judged again, so a swept value may be anything that a typed one may be.
//!
//! A repeat runs every point with every variant once, and the repeats follow one another, so a machine
//! that grows slower in the course of an experiment slows every variant alike.
//! Within a repeat the variants of one point run next to one another, because they are compared; which
//! of them is first moves on with every repeat and point, and the points are shuffled from the seed.

mod error;
pub use error::Error;
mod grid;
pub(super) use grid::Sweep;
mod range;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use super::plan::Trial;

/// All trials in the order in which they run.
pub(super) fn trials(points: usize, variants: usize, repeats: usize, seed: u64) -> Vec<Trial> {
    let mut trials = Vec::with_capacity(points * variants * repeats);
    for repeat in 0..repeats {
        let seed = repeat_seed(seed, repeat);
        let mut order: Vec<usize> = (0..points).collect();
        order.shuffle(&mut Pcg64::seed_from_u64(seed));
        for (place, point) in order.into_iter().enumerate() {
            for turn in 0..variants {
                let variant = (turn + place + repeat) % variants;
                trials.push(Trial { index: trials.len(), repeat, point, variant, seed });
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
mod tests;
