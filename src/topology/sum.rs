//! The sum of two independent standard Weibull variables of one shape: what is random in a round trip
//! over two equal legs.
//!
//! It has no closed form, so its quantiles are found by numerical convolution, for a grid of shapes at
//! once, and kept: a table of round trips asks for the same few probabilities in every row.

use std::array;
use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// How many shapes there are.
pub(super) const SHAPES: usize = 57;

/// The shape of this number: from 1, exponential, to 8, which is nearly as long below its median as
/// above it.
pub(super) fn shape(index: usize) -> f64 {
    1.0 + index as f64 / 8.0
}

/// The quantiles of the sum at `probability`, for every shape.
pub(super) fn quantiles(probability: f64) -> Arc<[f64; SHAPES]> {
    static KEPT: LazyLock<Mutex<BTreeMap<u64, Arc<[f64; SHAPES]>>>> = LazyLock::new(Mutex::default);
    // A thread that panicked while it held them left them whole.
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let found = kept
        .entry(probability.to_bits())
        .or_insert_with(|| Arc::new(array::from_fn(|index| quantile(shape(index), probability))));
    Arc::clone(found)
}

/// The quantile of the sum for one shape.
pub(super) fn quantile(shape: f64, probability: f64) -> f64 {
    if probability <= 0.0 {
        return 0.0;
    }
    zero((0.0, 90.0), (1e-13, 1e-13), |sum| survival(shape, sum) - (1.0 - probability))
}

/// Where a descending function crosses zero between these ends: its value is then within `close` of
/// zero, or the place within `near` of it.
///
/// By the Illinois method, which is the secant, with half the weight for an end that stays.
pub(super) fn zero(
    (mut low, mut high): (f64, f64),
    (close, near): (f64, f64),
    of: impl Fn(f64) -> f64,
) -> f64 {
    let (mut low_value, mut high_value) = (of(low), of(high));
    if low_value <= 0.0 {
        return low;
    }
    if high_value >= 0.0 {
        return high;
    }
    for _ in 0..100 {
        let middle = (low * high_value - high * low_value) / (high_value - low_value);
        let value = of(middle);
        if value.abs() < close || high - low < near {
            return middle;
        }
        if value > 0.0 {
            (low, low_value) = (middle, value);
            high_value /= 2.0;
        } else {
            (high, high_value) = (middle, value);
            low_value /= 2.0;
        }
    }
    f64::midpoint(low, high)
}

/// The probability that the sum is longer than `sum`.
///
/// Either both are longer than its half, or one is shorter and the other makes up for it:
/// S(h)² + 2 ∫ f(y) S(sum − y) dy over [0, h], with h the half; y = h u² takes the edge off f at 0.
pub(super) fn survival(shape: f64, sum: f64) -> f64 {
    if sum <= 0.0 {
        return 1.0;
    }
    let half = sum / 2.0;
    let one = |y: f64| (-y.powf(shape)).exp();
    let integral: f64 = NODES
        .iter()
        .map(|(u, weight)| {
            let y = half * u * u;
            let density = shape * y.powf(shape - 1.0) * one(y);
            density * one(sum - y) * 2.0 * half * u * weight
        })
        .sum();
    one(half).powi(2) + 2.0 * integral
}

/// How many points the integral is a sum of.
const NODE_COUNT: usize = 32;

/// Gauss-Legendre points and weights on [0, 1].
static NODES: LazyLock<[(f64, f64); NODE_COUNT]> = LazyLock::new(|| {
    array::from_fn(|index| {
        let mut x = (PI * (index as f64 + 0.75) / (NODE_COUNT as f64 + 0.5)).cos();
        let mut slope = 1.0;
        // Newton's method doubles the digits: six steps reach all of them.
        for _ in 0..8 {
            let (value, derivative) = legendre(x);
            slope = derivative;
            x -= value / derivative;
        }
        (f64::midpoint(x, 1.0), 1.0 / ((1.0 - x * x) * slope * slope))
    })
});

/// The Legendre polynomial of degree [`NODE_COUNT`], and its derivative.
fn legendre(x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for degree in 2..=NODE_COUNT {
        let degree = degree as f64;
        let next = ((2.0 * degree - 1.0) * x * value - (degree - 1.0) * before) / degree;
        (before, value) = (value, next);
    }
    (value, NODE_COUNT as f64 * (x * value - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of two exponentials is a gamma variable: S(x) = (1 + x) e^−x.
    #[test]
    fn of_shape_one_it_is_a_gamma_distribution() {
        for sum in [0.01_f64, 0.5, 1.0, 3.0, 10.0, 30.0] {
            let exact = (1.0 + sum) * (-sum).exp();
            assert!((survival(1.0, sum) / exact - 1.0).abs() < 1e-9, "{sum}");
        }
        assert!((quantile(1.0, 0.5) - 1.678_346_990_016_661).abs() < 1e-10);
        assert!((quantile(1.0, 0.99) - 6.638_352_067_993_811).abs() < 1e-9);
    }

    /// Of shape 2 (Rayleigh): S(x) = e^−x² + √(π/2) x e^(−x²/2) erf(x/√2), here at x = 1.
    #[test]
    fn of_shape_two_it_is_the_sum_of_two_rayleigh_variables() {
        let erf = 0.682_689_492_137_085_9;
        let exact = (-1.0_f64).exp() + (PI / 2.0).sqrt() * (-0.5_f64).exp() * erf;
        assert!((survival(2.0, 1.0) - exact).abs() < 1e-10, "{}", survival(2.0, 1.0));
    }

    #[test]
    fn quantiles_undo_the_survival_and_ascend() {
        let probabilities = [0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999_9];
        for index in 0..SHAPES {
            let found = probabilities.map(|probability| quantiles(probability)[index]);
            assert!(found.is_sorted(), "{found:?}");
            for (probability, sum) in probabilities.into_iter().zip(found) {
                let error = (1.0 - survival(shape(index), sum) - probability).abs();
                assert!(error < 1e-10, "{} {probability}: {error}", shape(index));
            }
        }
        assert!(shape(0) < shape(SHAPES - 1) && (shape(SHAPES - 1) - 8.0).abs() < 1e-12);
    }
}
