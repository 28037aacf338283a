//! Control operations: a few beside the load, which no quorum can make faster or slower.
//!
//! What they are for and who answers them is said at [`crate::command::Ask::Control`].
//! One begins at a random moment of every stretch of 1/rate: so there are as many as the rate says, they
//! fall into every part of the trial alike, and no rhythm of the load or of the machine is in step with them.
//! They have a random stream of their own: with them and without, the load has the same arrivals, keys and
//! values, to the byte.

use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::Error;
use super::arrivals::span;
use super::generator::{Purpose, stream};
use crate::time::Span;

const NANOS_PER_S: f64 = 1e9;

/// More of them a second would be a load by themselves.
pub const MAX_CONTROLS_PER_S: f64 = 1e3;

/// The control operations of every client region.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// How many each client region begins in a second.
    pub rate_per_s: f64,
}

impl Default for Control {
    /// Ten a second: a hundred in the ten seconds of a short trial, and next to no load.
    fn default() -> Self {
        Self { rate_per_s: 10.0 }
    }
}

impl Control {
    /// Checks the rate, and that one operation at least falls into the time that is measured.
    pub fn validate(&self, measured: Span) -> Result<(), Error> {
        let rate_per_s = self.rate_per_s;
        if !(rate_per_s > 0.0 && rate_per_s <= MAX_CONTROLS_PER_S) {
            return Err(Error::ControlRate { value: rate_per_s });
        }
        if rate_per_s * measured.0 as f64 / NANOS_PER_S < 1.0 {
            return Err(Error::NoControl { rate_per_s, measured });
        }
        Ok(())
    }
}

/// The gaps between the intended starts of one client region's control operations; they never end.
#[derive(Clone, Debug)]
pub struct ControlStarts {
    stretch_ns: f64,
    random: Pcg64,
    begun_count: u64,
    last: Span,
}

impl ControlStarts {
    /// Those of client region `index`.
    pub fn new(control: Control, index: usize, seed: u64) -> Self {
        Self {
            stretch_ns: NANOS_PER_S / control.rate_per_s,
            random: stream(seed, index, Purpose::Controls),
            begun_count: 0,
            last: Span::ZERO,
        }
    }

    /// The time from the intended start before (or the beginning) to the next one.
    pub fn next_gap(&mut self) -> Span {
        let within: f64 = self.random.random();
        let start = span((self.begun_count as f64 + within) * self.stretch_ns);
        self.begun_count += 1;
        start - std::mem::replace(&mut self.last, start)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Arrival, Generator, Keys, Workload};
    use super::*;

    const CONTROL: Control = Control { rate_per_s: 20.0 };

    fn starts(index: usize, seed: u64, count: usize) -> Vec<u64> {
        let mut starts = ControlStarts::new(CONTROL, index, seed);
        let mut at = Span::ZERO;
        let next = || {
            at += starts.next_gap();
            at.0
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn one_begins_in_each_stretch_at_a_random_moment_of_it() {
        let starts = starts(0, 1, 10_000);
        let stretch = 50_000_000;
        let within: Vec<u64> = starts
            .iter()
            .zip(0..)
            .map(|(start, number): (&u64, u64)| {
                assert!((number * stretch..=(number + 1) * stretch).contains(start), "{number}");
                start - number * stretch
            })
            .collect();
        // The mean of 10,000 uniform moments has a standard error of 0.29 % of the stretch.
        let mean = within.iter().sum::<u64>() as f64 / within.len() as f64 / stretch as f64;
        assert!((mean - 0.5).abs() < 5.0 * 0.002_9, "{mean}");
        let early = within.iter().filter(|moment| **moment < stretch / 10).count();
        assert!((850..1_150).contains(&early), "{early} of 10,000 in the first tenth");
    }

    #[test]
    fn a_seed_and_a_region_fix_the_controls() {
        assert_eq!(starts(1, 7, 50), starts(1, 7, 50));
        assert_ne!(starts(1, 7, 50), starts(0, 7, 50));
        assert_ne!(starts(1, 7, 50), starts(1, 8, 50));
    }

    /// Their stream is none of those that the load draws from.
    #[test]
    fn controls_are_not_in_step_with_the_load_of_the_same_seed() {
        let workload = Workload {
            weights: Vec::new(),
            conflicts: None,
            arrival: Arrival::Poisson { rate_per_s: 20.0 },
            keys: Keys::Uniform { count: 10 },
            value_bytes: 8,
            reads: 0.0,
        };
        let mut load = Generator::new(&workload, 0, 1, 5);
        let mut controls = ControlStarts::new(CONTROL, 0, 5);
        let n = 10_000;
        // In units of the mean gap, of which both have one.
        let gap = |gap: Span| gap.0 as f64 / 5e7 - 1.0;
        let products = (0..n).map(|_| gap(load.next_gap().unwrap()) * gap(controls.next_gap()));
        let mean = products.sum::<f64>() / f64::from(n);
        // The variances are 1 and 1/6.
        assert!(mean.abs() < 5.0 * (1.0 / 6.0 / f64::from(n)).sqrt(), "{mean}");
    }

    #[test]
    fn a_rate_that_controls_nothing_is_refused() {
        let refused = |rate_per_s, ms| {
            let control = Control { rate_per_s };
            control.validate(Span::from_millis(ms)).map_err(|error| error.to_string())
        };
        assert_eq!((refused(10.0, 100), refused(1_000.0, 1)), (Ok(()), Ok(())));
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1_001.0] {
            let said = refused(rate, 10_000).unwrap_err();
            assert!(said.starts_with(&format!("control.rate_per_s = {rate} ")), "{said}");
        }
        let said = refused(10.0, 99).unwrap_err();
        assert!(said.contains("10 control operations a second") && said.contains("99"), "{said}");
    }
}
