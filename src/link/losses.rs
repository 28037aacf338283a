//! Which datagrams are lost: a link that is good or bad (Gilbert's model).
//!
//! A datagram is lost while the link is bad.
//! After each datagram a bad link becomes good with the probability 1/burst and a good one bad with
//! the one that makes the link bad for the asked share of datagrams; so losses come in runs that are
//! `burst` long in the mean.
//! Even independent losses come in runs: at a share p they are 1/(1−p) long in the mean.
//! A shorter burst than that would spread losses more evenly than chance; it is taken as that, so that
//! a burst of 1 is independence.

use rand::RngExt;
use rand_pcg::Pcg64;

use super::Conditions;

/// The losses of a link.
#[derive(Clone, Debug)]
pub(super) struct Losses {
    stream: Pcg64,
    is_bad: bool,
}

impl Losses {
    pub(super) const fn new(stream: Pcg64) -> Self {
        Self { stream, is_bad: false }
    }

    /// Whether the next datagram is lost.
    pub(super) fn draw(&mut self, conditions: &Conditions) -> bool {
        let Conditions { loss, loss_burst, .. } = *conditions;
        if loss <= 0.0 {
            self.is_bad = false;
            return false;
        }
        // To become good, and to become bad.
        let recovery = (1.0 / loss_burst).min(1.0 - loss);
        let failure = if loss < 1.0 { recovery * loss / (1.0 - loss) } else { 1.0 };
        let stays_or_becomes_bad = if self.is_bad { 1.0 - recovery } else { failure };
        self.is_bad = self.stream.random::<f64>() < stays_or_becomes_bad;
        self.is_bad
    }
}

#[cfg(test)]
mod tests {
    use super::super::streams::{Purpose, of_link};
    use super::*;

    const COUNT: usize = 200_000;

    /// The share that is lost, and the mean length of a run of losses.
    fn found(loss: f64, loss_burst: f64) -> (f64, f64) {
        let mut losses = Losses::new(of_link(1, Purpose::Loss, 7));
        let conditions = Conditions { loss, loss_burst, ..Conditions::default() };
        let draws: Vec<bool> = (0..COUNT).map(|_| losses.draw(&conditions)).collect();
        let count = draws.iter().filter(|is_lost| **is_lost).count();
        let ends = draws.windows(2).filter(|pair| pair[0] && !pair[1]).count();
        (count as f64 / COUNT as f64, count as f64 / ends as f64)
    }

    #[test]
    fn the_share_and_the_burst_are_those_asked_for() {
        for (loss, loss_burst) in [(0.01, 5.0), (0.1, 3.0), (0.3, 10.0), (0.05, 1.5)] {
            let (share, burst) = found(loss, loss_burst);
            assert!((share / loss - 1.0).abs() < 0.1, "{loss} {loss_burst}: {share}");
            assert!((burst / loss_burst - 1.0).abs() < 0.1, "{loss} {loss_burst}: {burst}");
        }
    }

    #[test]
    fn a_burst_of_one_is_independence() {
        for loss in [0.02, 0.2, 0.6] {
            let (share, burst) = found(loss, 1.0);
            assert!((share / loss - 1.0).abs() < 0.05, "{loss}: {share}");
            assert!((burst * (1.0 - loss) - 1.0).abs() < 0.05, "{loss}: {burst}");
        }
    }

    #[test]
    fn none_and_all_are_none_and_all() {
        let mut losses = Losses::new(of_link(1, Purpose::Loss, 7));
        let mut draw = |loss| {
            let conditions = Conditions { loss, loss_burst: 4.0, ..Conditions::default() };
            (0..100).filter(|_| losses.draw(&conditions)).count()
        };
        assert_eq!((draw(0.0), draw(1.0), draw(0.0)), (0, 100, 0));
    }
}
