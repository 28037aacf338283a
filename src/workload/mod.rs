//! The load: which operation, when, from where.
//!
//! A [`Workload`] is what the experiment asks for in total; each client region generates its share with a
//! [`Generator`] of its own.
//! A generator is pure: equal workload, region and seed give equal gaps, keys and values, on any
//! backend, so variants that are compared face the same load.
//! The regions touch the same keys, or keys of their own and one that all of them share: [`conflicts`] says how.
//! Beside the load there may be a few [control operations](Control).
//!
//! It reads no clock and sends nothing: the caller adds the gaps up to the intended starts, and latency
//! runs from those, however late a request leaves.

mod arrivals;
pub mod conflicts;
pub use conflicts::{KeySpace, SHARED_KEY};
mod control;
pub use control::{Control, ControlStarts, MAX_CONTROLS_PER_S};
mod generator;
pub use generator::Generator;
mod keys;
mod values;

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// The most bytes of a value.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// The highest rate: one operation a nanosecond, the unit of time.
const MAX_RATE_PER_S: f64 = 1e9;

/// What all clients together ask of a deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// When operations start.
    pub arrival: Arrival,
    /// Which keys they touch.
    pub keys: Keys,
    /// The size of every value written.
    pub value_bytes: usize,
    /// The fraction of operations that read, from 0 to 1.
    pub reads: f64,
    /// The part of each client region in the load, in proportion to the others; empty where all have the
    /// same.
    #[serde(default)]
    pub weights: Vec<f64>,
    /// The share of operations that touch the one key that all client regions share, from 0 to 1; each other operation
    /// touches a key of its region alone. If absent, all regions draw from the same keys.
    #[serde(default)]
    pub conflicts: Option<f64>,
}

/// When operations start: totals over all client regions, which share them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrival {
    /// Open loop, exponential gaps: independent users.
    Poisson {
        /// The mean rate.
        rate_per_s: f64,
    },
    /// Open loop, equal gaps.
    ///
    /// The regions are shifted against one another so that all together are evenly spaced too, if they
    /// have equal shares.
    Fixed {
        /// The rate.
        rate_per_s: f64,
    },
    /// Closed loop: each client starts its next operation when the last one is answered.
    ///
    /// The clients start at random moments ([`Generator::staggered`]), so that they are not in step.
    Closed {
        /// How many operations are outstanding at any time.
        clients: u32,
    },
}

/// Which keys operations touch; every operation chooses anew.
///
/// All client regions have the same keys, unless the workload has a conflict rate ([`conflicts`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Keys {
    /// All alike.
    Uniform {
        /// The number of keys.
        count: u64,
    },
    /// Key k with a probability in proportion to (k + 1) to the power of minus `exponent`: key 0 is the
    /// most popular.
    Zipf {
        /// The number of keys.
        count: u64,
        /// How uneven: 0.99 is the customary benchmark's.
        exponent: f64,
    },
}

/// Why a workload makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A rate that nothing can arrive at.
    #[error("{key} = {value} is no rate: give a number above 0 and at most 1e9")]
    Rate {
        /// The key at fault.
        key: &'static str,
        /// The value given.
        value: f64,
    },
    /// A closed loop without a client.
    #[error("arrival.closed.clients = 0 asks for nothing: give at least 1")]
    NoClient,
    /// No key to choose from.
    #[error("{key} = 0 leaves no key to touch: give at least 1")]
    NoKey {
        /// The key at fault.
        key: &'static str,
    },
    /// An exponent that is no Zipf distribution.
    #[error(
        "keys.zipf.exponent = {value} is no Zipf exponent: give a number above 0, or use keys.uniform"
    )]
    Exponent {
        /// The value given.
        value: f64,
    },
    /// No fraction.
    #[error("reads = {value} is no fraction: give a number from 0 (writes only) to 1 (reads only)")]
    Reads {
        /// The value given.
        value: f64,
    },
    /// No share of operations.
    #[error(
        "conflicts = {value} is no share: give a number from 0 (no key of two client regions) to 1 (one key for all \
         operations)"
    )]
    Conflicts {
        /// The value given.
        value: f64,
    },
    /// A rate that controls nothing, or is a load of its own.
    #[error(
        "control.rate_per_s = {value} is no rate of controls: give a number above 0 and at most \
         {MAX_CONTROLS_PER_S}"
    )]
    ControlRate {
        /// The value given.
        value: f64,
    },
    /// So few that none need fall into the time that is measured.
    #[error(
        "of {rate_per_s} control operations a second none need fall into the {measured} that are measured: \
         raise control.rate_per_s, or workload.duration"
    )]
    NoControl {
        /// How many each client region begins in a second.
        rate_per_s: f64,
        /// The time that is measured.
        measured: Span,
    },
    /// A value too large for a frame.
    #[error("value_bytes = {value} is too large: give at most {MAX_VALUE_BYTES} (1 MiB)")]
    ValueBytes {
        /// The value given.
        value: usize,
    },
}

impl Workload {
    /// Checks every figure.
    pub fn validate(&self) -> Result<(), Error> {
        self.errors().into_iter().next().map_or(Ok(()), Err)
    }

    /// Every figure that makes no sense.
    pub fn errors(&self) -> Vec<Error> {
        let mut errors = Vec::new();
        errors.extend(self.arrival.validate().err());
        errors.extend(self.keys.validate().err());
        if !(0.0..=1.0).contains(&self.reads) {
            errors.push(Error::Reads { value: self.reads });
        }
        if let Some(value) = self.conflicts.filter(|share| !(0.0..=1.0).contains(share)) {
            errors.push(Error::Conflicts { value });
        }
        if self.value_bytes > MAX_VALUE_BYTES {
            errors.push(Error::ValueBytes { value: self.value_bytes });
        }
        errors
    }

    /// The weight of client region `index` of `of` in the whole, from 0 to 1.
    ///
    /// # Panics
    /// If there are weights, but not one for each region.
    pub fn part(&self, index: usize, of: usize) -> f64 {
        if self.weights.is_empty() {
            return 1.0 / of as f64;
        }
        assert_eq!(self.weights.len(), of, "a weight for each client region");
        self.weights[index] / self.weights.iter().sum::<f64>()
    }

    /// The part of client region `index` of `of`.
    ///
    /// Rates are divided in proportion to the weights.
    /// So are closed clients, of which each region has one at least; what is left over goes to the largest
    /// remainders, of equals to the first regions.
    /// Where there are fewer clients than regions, some have none.
    ///
    /// # Panics
    /// If there is no such region, or there are weights, but not one for each region.
    pub fn share(&self, index: usize, of: usize) -> Arrival {
        assert!(index < of, "client region {index} of {of}");
        let part = |rate_per_s: f64| {
            if self.weights.is_empty() {
                rate_per_s / of as f64
            } else {
                rate_per_s * self.part(index, of)
            }
        };
        match self.arrival {
            Arrival::Poisson { rate_per_s } => Arrival::Poisson { rate_per_s: part(rate_per_s) },
            Arrival::Fixed { rate_per_s } => Arrival::Fixed { rate_per_s: part(rate_per_s) },
            Arrival::Closed { clients } => {
                let parts: Vec<f64> = (0..of).map(|index| self.part(index, of)).collect();
                Arrival::Closed { clients: apportioned(clients, &parts)[index] }
            }
        }
    }
}

/// So many clients in proportion to these parts, and one at least for each if there are enough.
fn apportioned(clients: u32, parts: &[f64]) -> Vec<u32> {
    let mut shares = vec![0; parts.len()];
    let mut open: Vec<usize> = (0..parts.len()).collect();
    let mut left = clients;
    if clients as usize >= parts.len() {
        // Whoever would have less than one has one, which leaves less for the others.
        loop {
            let whole: f64 = open.iter().map(|index| parts[*index]).sum();
            let is_small = |index: &usize| f64::from(left) * parts[*index] / whole < 1.0;
            let small: Vec<usize> = open.iter().copied().filter(is_small).collect();
            // By the rounding of floats alone, all could be: then they are as good as one.
            if small.is_empty() || small.len() == open.len() {
                break;
            }
            open.retain(|index| !small.contains(index));
            for index in small {
                shares[index] = 1;
                left -= 1;
            }
        }
    }
    let whole: f64 = open.iter().map(|index| parts[*index]).sum();
    let mut remainders: Vec<(f64, usize)> = Vec::new();
    let mut rest = left;
    for index in open {
        let quota = f64::from(left) * parts[index] / whole;
        // A quota is at most `left`; a float that is a trifle below a whole number is that number.
        let count = whole_part(quota).min(rest);
        shares[index] = count;
        rest -= count;
        remainders.push((quota - f64::from(count), index));
    }
    remainders
        .sort_by(|(one, first), (other, second)| other.total_cmp(one).then(first.cmp(second)));
    for (_, index) in remainders.into_iter().take(rest as usize) {
        shares[index] += 1;
    }
    shares
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is not negative, and at most a number of clients"
)]
fn whole_part(quota: f64) -> u32 {
    (quota + 1e-9).floor() as u32
}

impl Arrival {
    fn validate(&self) -> Result<(), Error> {
        let rate = |key, value: f64| {
            let is_rate = value > 0.0 && value <= MAX_RATE_PER_S;
            if is_rate { Ok(()) } else { Err(Error::Rate { key, value }) }
        };
        match *self {
            Self::Poisson { rate_per_s } => rate("arrival.poisson.rate_per_s", rate_per_s),
            Self::Fixed { rate_per_s } => rate("arrival.fixed.rate_per_s", rate_per_s),
            Self::Closed { clients: 0 } => Err(Error::NoClient),
            Self::Closed { .. } => Ok(()),
        }
    }
}

impl Keys {
    fn validate(&self) -> Result<(), Error> {
        match *self {
            Self::Uniform { count: 0 } => Err(Error::NoKey { key: "keys.uniform.count" }),
            Self::Zipf { count: 0, .. } => Err(Error::NoKey { key: "keys.zipf.count" }),
            Self::Zipf { exponent, .. } if !(exponent > 0.0 && exponent.is_finite()) => {
                Err(Error::Exponent { value: exponent })
            }
            Self::Uniform { .. } | Self::Zipf { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(arrival: Arrival) -> Workload {
        Workload {
            arrival,
            keys: Keys::Uniform { count: 1000 },
            value_bytes: 128,
            reads: 0.0,
            weights: Vec::new(),
            conflicts: None,
        }
    }

    fn refused(change: impl FnOnce(&mut Workload)) -> String {
        let mut workload = workload(Arrival::Closed { clients: 1 });
        assert_eq!(workload.validate(), Ok(()));
        change(&mut workload);
        workload.validate().unwrap_err().to_string()
    }

    #[test]
    fn shares_add_up_to_the_total() {
        for of in 1..=7 {
            for clients in [1, 5, 16, 100] {
                let share = |index| match workload(Arrival::Closed { clients }).share(index, of) {
                    Arrival::Closed { clients } => clients,
                    other => panic!("{other:?}"),
                };
                let shares: Vec<u32> = (0..of).map(share).collect();
                assert_eq!(shares.iter().sum::<u32>(), clients);
                assert!(shares.is_sorted_by(|a, b| a >= b) && shares[0] - shares[of - 1] <= 1);
            }
            let total: f64 = (0..of)
                .map(|index| {
                    match workload(Arrival::Poisson { rate_per_s: 700.0 }).share(index, of) {
                        Arrival::Poisson { rate_per_s } => rate_per_s,
                        other => panic!("{other:?}"),
                    }
                })
                .sum();
            assert!((total - 700.0).abs() < 1e-9);
        }
        let fixed = workload(Arrival::Fixed { rate_per_s: 9.0 });
        assert_eq!(fixed.share(2, 3), Arrival::Fixed { rate_per_s: 3.0 });
    }

    fn weighted(arrival: Arrival, weights: &[f64]) -> Vec<Arrival> {
        let workload = Workload { weights: weights.to_vec(), ..workload(arrival) };
        (0..weights.len()).map(|index| workload.share(index, weights.len())).collect()
    }

    #[test]
    fn rates_are_shared_in_proportion_to_weights() {
        let shares = weighted(Arrival::Poisson { rate_per_s: 80.0 }, &[1.0, 3.0]);
        let expected = [20.0, 60.0].map(|rate_per_s| Arrival::Poisson { rate_per_s });
        assert_eq!(shares, expected);
        let shares = weighted(Arrival::Fixed { rate_per_s: 70.0 }, &[0.5, 0.25, 1.0]);
        let expected = [20.0, 10.0, 40.0].map(|rate_per_s| Arrival::Fixed { rate_per_s });
        assert_eq!(shares, expected);
    }

    #[test]
    fn closed_clients_are_apportioned_by_largest_remainders() {
        let check = |clients: u32, weights: &[f64], expected: &[u32]| {
            let shares = weighted(Arrival::Closed { clients }, weights);
            let expected: Vec<Arrival> =
                expected.iter().map(|clients| Arrival::Closed { clients: *clients }).collect();
            assert_eq!(shares, expected, "{clients} by {weights:?}");
        };
        check(8, &[1.0, 3.0], &[2, 6]);
        check(10, &[1.0, 1.0, 1.0], &[4, 3, 3]);
        // Quotas of 1.67, 3.33 and 5: the largest remainder is the first one.
        check(10, &[1.0, 2.0, 3.0], &[2, 3, 5]);
        // Everybody has one, and the others share what is left: 0.01 and 0.99 of 7.
        check(8, &[1e-9, 1.0, 99.0], &[1, 1, 6]);
        check(3, &[1.0, 1000.0, 1.0], &[1, 1, 1]);
        check(2, &[1.0, 1000.0, 1.0], &[0, 2, 0]);
        check(100, &[0.1, 0.2, 0.7], &[10, 20, 70]);
        for clients in 3..200 {
            let shares = apportioned(clients, &[0.2, 0.5, 0.3]);
            assert_eq!(shares.iter().sum::<u32>(), clients);
            assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
        }
    }

    #[test]
    #[should_panic(expected = "a weight for each client region")]
    fn a_region_without_a_weight_is_a_slip() {
        let weights = vec![1.0, 2.0];
        Workload { weights, ..workload(Arrival::Closed { clients: 9 }) }.share(0, 3);
    }

    #[test]
    fn nonsense_is_refused_with_its_key_and_value() {
        let rate = |rate_per_s| refused(|w| w.arrival = Arrival::Poisson { rate_per_s });
        for value in [0.0, -3.0, f64::NAN, f64::INFINITY, 2e9] {
            let expected = format!("arrival.poisson.rate_per_s = {value} is no rate");
            assert!(rate(value).starts_with(&expected), "{}", rate(value));
        }
        assert!(
            refused(|w| w.arrival = Arrival::Fixed { rate_per_s: 0.0 })
                .starts_with("arrival.fixed.rate_per_s = 0 ")
        );
        assert!(
            refused(|w| w.arrival = Arrival::Closed { clients: 0 })
                .starts_with("arrival.closed.clients = 0 ")
        );
        assert!(
            refused(|w| w.keys = Keys::Uniform { count: 0 }).starts_with("keys.uniform.count = 0 ")
        );
        let zipf = |count, exponent| refused(|w| w.keys = Keys::Zipf { count, exponent });
        assert!(zipf(0, 1.0).starts_with("keys.zipf.count = 0 "));
        for exponent in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(zipf(9, exponent).starts_with(&format!("keys.zipf.exponent = {exponent} ")));
        }
        for reads in [-0.1, 1.1, f64::NAN] {
            assert!(refused(|w| w.reads = reads).starts_with(&format!("reads = {reads} is no")));
        }
        for share in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            let said = refused(|w| w.conflicts = Some(share));
            assert!(said.starts_with(&format!("conflicts = {share} is no share")), "{said}");
        }
        assert!(refused(|w| w.value_bytes = 1 << 21).starts_with("value_bytes = 2097152 is too"));
    }

    #[test]
    fn the_words_of_an_experiment_file_are_read_and_strange_ones_are_not() {
        let read = |text: &str| toml::from_str::<Workload>(text);
        let text = "arrival = { poisson = { rate_per_s = 200 } }\n\
                    keys = { zipf = { count = 10, exponent = 0.99 } }\nvalue_bytes = 128\nreads = 0.5\n";
        let workload = read(text).unwrap();
        assert_eq!(workload.arrival, Arrival::Poisson { rate_per_s: 200.0 });
        assert_eq!(workload.keys, Keys::Zipf { count: 10, exponent: 0.99 });
        let again: Workload =
            serde_json::from_str(&serde_json::to_string(&workload).unwrap()).unwrap();
        assert_eq!(again, workload);
        assert_eq!(workload.conflicts, None);
        assert_eq!(read(&format!("{text}conflicts = 0.02\n")).unwrap().conflicts, Some(0.02));
        assert!(read(&text.replace("rate_per_s", "rate")).is_err());
        assert!(read(&text.replace("exponent = 0.99", "exponent = 1, skew = 2")).is_err());
        assert!(read(&format!("{text}writes = 0.5\n")).is_err());
    }
}
