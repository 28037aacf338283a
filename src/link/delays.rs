//! How long datagrams take: each has the link's distribution, and two that are sent soon after one
//! another take nearly as long.
//!
//! The published spread is that of probes sent minutes apart, over days: it says how different hours
//! are, not how different packets are.
//! So the delay is a process in time: an Ornstein-Uhlenbeck process z, standard normal at every
//! instant and with correlation exp(−Δt/τ) between two, is mapped through its own distribution to a
//! uniform variable and through the quantile to the delay, Q(Φ(z)) (a Gaussian copula).
//! The distribution is exactly the fitted one at every instant, whatever τ is.
//!
//! White noise for each packet would not only be unlike a backbone; on a link that is first in, first
//! out it would be a longer link.
//! Whatever is sent after a packet with a long delay waits behind it: where the delay above the least is
//! exponential with a mean of 1 ms, its median of 0.7 ms becomes 1.0 ms with 1000 packets a second, and
//! 5.0 ms with 100,000.
//! With τ = 1 s it is longer by less than 0.01 ms at either rate.

use rand::RngExt;
use rand_distr::StandardNormal;
use rand_pcg::Pcg64;

use crate::time::{Span, Time};
use crate::topology::Delay;

/// For how long a link remembers its delay unless it is told otherwise: long for a round trip, so that
/// a burst of messages does not spread, and short for a trial, so that it sees the whole distribution.
pub const CORRELATION: Span = Span::from_millis(1_000);

/// The delays of a link.
#[derive(Clone, Debug)]
pub(super) struct Delays {
    delay: Delay,
    least: Span,
    correlation: Span,
    stream: Pcg64,
    last: Option<Drawn>,
}

/// The process at an instant.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    at: Time,
    normal: f64,
    delay: Span,
}

impl Delays {
    pub(super) fn new(delay: Delay, correlation: Span, least: Span, stream: Pcg64) -> Self {
        Self { delay, least, correlation, stream, last: None }
    }

    pub(super) fn delay(&self) -> &Delay {
        &self.delay
    }

    /// The delay of every datagram, if it is the same.
    pub(super) fn constant(&self) -> Option<Span> {
        self.delay.is_constant().then(|| self.at(0.5))
    }

    /// Another distribution, of the same process.
    pub(super) fn set(&mut self, delay: Delay) {
        self.delay = delay;
        if let Some(last) = self.last {
            self.last = Some(Drawn { delay: self.at(uniform(last.normal)), ..last });
        }
    }

    /// The delay that is not exceeded with this probability.
    pub(super) fn at(&self, probability: f64) -> Span {
        self.delay.quantile(probability).max(self.least)
    }

    /// The delay of what is sent `at`, which is not before what was sent before.
    pub(super) fn draw(&mut self, at: Time) -> Span {
        if self.delay.is_constant() {
            return self.at(0.5);
        }
        if self.correlation == Span::ZERO {
            let probability = self.stream.random();
            return self.at(probability);
        }
        let normal = match self.last {
            Some(last) if at <= last.at => return last.delay,
            Some(last) => {
                let passed = at.since(last.at).0 as f64 / self.correlation.0 as f64;
                let fresh: f64 = self.stream.sample(StandardNormal);
                last.normal * (-passed).exp() + fresh * (-(-2.0 * passed).exp_m1()).sqrt()
            }
            None => self.stream.sample(StandardNormal),
        };
        let delay = self.at(uniform(normal));
        self.last = Some(Drawn { at, normal, delay });
        delay
    }
}

/// The probability that a standard normal variable is below `normal`.
fn uniform(normal: f64) -> f64 {
    libm::erfc(-normal * std::f64::consts::FRAC_1_SQRT_2) / 2.0
}

#[cfg(test)]
mod tests {
    use super::super::streams::{Purpose, of_link};
    use super::*;

    const SHAPE: f64 = 1.125;

    fn delays(correlation: Span) -> Delays {
        let delay = Delay::weibull(Span::from_millis(30), 2e6, SHAPE);
        Delays::new(delay, correlation, Span::ZERO, of_link(1, Purpose::Delay, 7))
    }

    fn draws(delays: &mut Delays, every: Span, count: u64) -> Vec<Span> {
        (1..=count).map(|number| delays.draw(Time::ZERO + every.times(number))).collect()
    }

    /// The largest distance between the empirical distribution and the one asked for.
    fn distance(draws: &[Span], delay: &Delay) -> f64 {
        let mut sorted = draws.to_vec();
        sorted.sort_unstable();
        let count = sorted.len() as f64;
        let at = |(index, span): (usize, &Span)| {
            let cdf = delay.cdf(*span);
            (cdf - index as f64 / count).abs().max((cdf - (index as f64 + 1.0) / count).abs())
        };
        sorted.iter().enumerate().map(at).fold(0.0, f64::max)
    }

    /// Kolmogorov and Smirnov: with 10,000 independent draws 0.02 is exceeded once in 1,500 seeds.
    #[test]
    fn draws_far_apart_have_the_distribution_asked_for() {
        for correlation in [Span::ZERO, Span::from_millis(1_000)] {
            let mut delays = delays(correlation);
            let draws = draws(&mut delays, Span::from_millis(10_000), 10_000);
            let found = distance(&draws, delays.delay());
            assert!(found < 0.02, "{correlation}: {found}");
            let other = Delay::weibull(Span::from_millis(30), 2.2e6, SHAPE);
            assert!(distance(&draws, &other) > 0.03, "another distribution must show");
        }
    }

    #[test]
    fn correlated_draws_have_it_too() {
        let mut delays = delays(Span::from_millis(100));
        let draws = draws(&mut delays, Span::from_millis(10), 200_000);
        assert!(distance(&draws, delays.delay()) < 0.02);
    }

    /// Of the normal process, so that it is the exponential exactly.
    #[test]
    fn the_correlation_falls_exponentially_with_time() {
        let mut delays = delays(Span::from_millis(100));
        let every = Span::from_millis(10);
        let normals: Vec<f64> = (1..=200_000)
            .map(|number| {
                delays.draw(Time::ZERO + every.times(number));
                delays.last.unwrap().normal
            })
            .collect();
        let correlation = |lag: usize| {
            let products = normals.iter().zip(&normals[lag..]).map(|(one, other)| one * other);
            products.sum::<f64>() / (normals.len() - lag) as f64
        };
        for (lag, exact) in [(0, 1.0), (1, 0.904_8), (10, 0.367_9), (50, 0.006_7)] {
            let found = correlation(lag);
            assert!((found - exact).abs() < 0.03, "{lag}: {found}");
        }
    }

    #[test]
    fn without_correlation_neighbours_have_nothing_in_common() {
        let draws = draws(&mut delays(Span::ZERO), Span(1), 20_000);
        let above = |span: &Span| *span > Span::from_millis_f64(31.4);
        let both = draws.windows(2).filter(|pair| above(&pair[0]) && above(&pair[1])).count();
        let one = draws.iter().filter(|span| above(span)).count();
        let expected = one as f64 * one as f64 / draws.len() as f64;
        assert!((both as f64 / expected - 1.0).abs() < 0.05, "{both} of {expected}");
    }

    #[test]
    fn what_is_sent_at_one_instant_takes_as_long() {
        let mut delays = delays(Span::from_millis(100));
        let first = delays.draw(Time(5));
        assert_eq!(delays.draw(Time(5)), first);
        delays.set(Delay::constant(Span(9)));
        assert_eq!((delays.draw(Time(5)), delays.draw(Time(6))), (Span(9), Span(9)));
    }

    #[test]
    fn another_distribution_is_at_the_same_place_of_it() {
        let mut delays = delays(Span::from_millis(100));
        let before = delays.draw(Time(5));
        let (shorter, taken) = delays.delay().shorter_by(Span::from_millis(3));
        delays.set(shorter);
        assert_eq!(delays.draw(Time(5)) + taken, before);
    }

    #[test]
    fn the_normal_distribution_is_that_of_the_tables() {
        for (normal, exact) in
            [(0.0, 0.5), (1.0, 0.841_344_746), (-1.959_963_985, 0.025), (3.0, 0.998_650_102)]
        {
            assert!((uniform(normal) - exact).abs() < 1e-9, "{normal}");
        }
    }

    /// The figures in the doc of this file: the medians of what was drawn, and of what it became in order.
    #[test]
    fn white_noise_on_a_link_in_order_is_a_longer_link() {
        let longer_ms = |correlation, every: Span| {
            let delay = Delay::weibull(Span::ZERO, 1e6, 1.0);
            let stream = of_link(1, Purpose::Delay, 7);
            let mut drawn = Delays::new(delay.clone(), correlation, Span::ZERO, stream);
            let mut link = super::super::Link::new(1, 7, delay, correlation, Span::ZERO);
            let times = (1..=50_000).map(|number| Time::ZERO + every.times(number));
            let (mut alone, mut in_order): (Vec<Span>, Vec<Span>) =
                times.map(|at| (drawn.draw(at), link.send_plain(at).unwrap().since(at))).unzip();
            alone.sort_unstable();
            in_order.sort_unstable();
            let middle = alone.len() / 2;
            in_order[middle].as_millis_f64() - alone[middle].as_millis_f64()
        };
        let [each_ms, each_10_us] = [Span::from_millis(1), Span::from_micros(10)];
        let white = [each_ms, each_10_us].map(|every| longer_ms(Span::ZERO, every));
        let slow = [each_ms, each_10_us].map(|every| longer_ms(CORRELATION, every));
        assert!((white[0] - 0.3).abs() < 0.05, "{white:?}");
        assert!((white[1] - 4.3).abs() < 0.1, "{white:?}");
        assert!(slow.iter().all(|longer| *longer < 0.01), "{slow:?}");
    }
}
