//! How long a proposer waits for a quorum: the distribution of one phase.
//!
//! The round trip to each replica is two independent legs, and the own vote is there at once.
//! Asked are all (`send = "all"`), and the wait ends with the first set of answers that holds a quorum: an
//! order statistic for counts.
//! Or only the nearest quorum is asked (`send = "quorum"`), and the wait is for the slowest of it.
//! That is what the core does, which is told the same order: see [`crate::protocol::Config::phase2_contacts`].

use super::super::links::{Links, Site};
use super::answered::Answered;
use super::distribution::{Distribution, range};
use super::medians::nearest_first;
use crate::protocol::SendPolicy;
use crate::quorum::{Family, NodeId, NodeSet};
use crate::time::Span;

/// A wait, of which only the ends are known yet.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    links: &'a Links,
    from: NodeId,
    family: Family,
    /// Longer than this is all one.
    cap: Span,
    /// The least and the greatest round trip to each replica.
    round_trips: Vec<(Span, Span)>,
    /// The least and the greatest that the wait can be.
    range: (Span, Span),
}

impl<'a> Wait<'a> {
    /// That of `from` for a quorum of `family`, exact below `cap`.
    pub(super) fn new(
        links: &'a Links,
        from: NodeId,
        family: &Family,
        send: SendPolicy,
        cap: Span,
    ) -> Self {
        let contacts = match send {
            SendPolicy::All => None,
            SendPolicy::Quorum => family.first_in(&nearest_first(links, from)),
        };
        let family =
            contacts.map_or_else(|| family.clone(), |contacts| Family::of_sets(vec![contacts]));
        let round_trip = |to: NodeId| {
            let [out, back] = legs(links, from, Site::Replica(to), cap);
            (out.0 + back.0, out.1 + back.1)
        };
        let round_trips: Vec<(Span, Span)> = links.replicas().map(round_trip).collect();
        let all: NodeSet = links.replicas().collect();
        let end = |of: fn(&(Span, Span)) -> Span| {
            family
                .complete_at(all, |node| of(&round_trips[usize::from(node.0)]))
                .unwrap_or_else(|| panic!("no quorum of {family} among {} replicas", all.len()))
        };
        let range = (end(|ends| ends.0), end(|ends| ends.1));
        Self { links, from, family, cap, round_trips, range }
    }

    /// The delays that its length depends on, each as its least and its greatest.
    pub(super) fn delays(&self) -> impl Iterator<Item = (Span, Span)> {
        let may_count = self.links.replicas().filter(|node| self.may_count(*node));
        // A wait that is always as long depends on none.
        let is_constant = self.range.0 == self.range.1;
        may_count
            .filter(move |_| !is_constant)
            .flat_map(|node| legs(self.links, self.from, Site::Replica(node), self.cap))
    }

    /// Its distribution, on points `step` apart.
    pub(super) fn distribution(&self, step: Span) -> Distribution {
        if self.range.0 == self.range.1 {
            return Distribution::constant(self.range.0);
        }
        first_quorum(&self.family, &self.round_trips(step), self.range, step)
    }

    /// Whether there is a quorum.
    pub(super) fn answered(&self) -> Answered {
        Answered::new(self.round_trips.len(), &self.family)
    }

    /// Of each replica, the probability that it has answered by then.
    pub(super) fn answers_by(&self, by: Span, step: Span) -> Vec<f64> {
        let cdf = |trip: &Option<Distribution>| trip.as_ref().map_or(0.0, |trip| trip.cdf(by));
        self.round_trips(step).iter().map(cdf).collect()
    }

    /// The round trip to each replica whose answer may count.
    fn round_trips(&self, step: Span) -> Vec<Option<Distribution>> {
        let round_trip = |node| {
            let to = Site::Replica(node);
            self.may_count(node).then(|| round_trip(self.links, self.from, to, step, self.cap))
        };
        self.links.replicas().map(round_trip).collect()
    }

    /// Whether an answer of this replica can come before the wait is over in any case.
    fn may_count(&self, node: NodeId) -> bool {
        self.round_trips[usize::from(node.0)].0 <= self.range.1
    }
}

/// When the first quorum of a family has answered, if each replica answers after a time of its own,
/// independent of the others; `None` answers too late to count.
pub(super) fn first_quorum(
    family: &Family,
    answers: &[Option<Distribution>],
    range: (Span, Span),
    step: Span,
) -> Distribution {
    let answered = Answered::new(answers.len(), family);
    let (mut probabilities, mut room) = (Vec::new(), Vec::new());
    Distribution::from_cdf(range, step, |span| {
        let by_then =
            |answer: &Option<Distribution>| answer.as_ref().map_or(0.0, |it| it.cdf(span));
        probabilities.clear();
        probabilities.extend(answers.iter().map(by_then));
        answered.probability(&probabilities, &mut room)
    })
}

/// From a replica to a site and back: the sum of two independent legs.
pub(super) fn round_trip(
    links: &Links,
    from: NodeId,
    to: Site,
    step: Span,
    cap: Span,
) -> Distribution {
    let site = Site::Replica(from);
    if site == to {
        return Distribution::constant(Span::ZERO);
    }
    let leg = |a, b| Distribution::of(links.between(a, b), step, cap);
    leg(site, to).plus(&leg(to, site))
}

/// The least and the greatest delay there and back, those above `cap` cut to it.
pub(super) fn legs(links: &Links, from: NodeId, to: Site, cap: Span) -> [(Span, Span); 2] {
    let site = Site::Replica(from);
    if site == to {
        return [(Span::ZERO, Span::ZERO); 2];
    }
    [range(links.between(site, to), cap), range(links.between(to, site), cap)]
}

#[cfg(test)]
mod tests {
    use super::super::distribution::{self, UNCUT};
    use super::*;
    use crate::topology::Delay;

    /// When `size` of `n` exponential delays with a mean of a millisecond are over, and its step.
    fn of_exponentials(size: usize, n: usize) -> (Distribution, Span) {
        let delay = Delay::weibull(Span::ZERO, 1e6, 1.0);
        let range = range(&delay, UNCUT);
        let step = distribution::step([range].into_iter());
        let answers = vec![Some(Distribution::of(&delay, step, UNCUT)); n];
        (first_quorum(&Family::of_size(size), &answers, range, step), step)
    }

    /// P(at least `size` of `n` are over at t), each with 1 - e^-t.
    fn binomial_tail(size: usize, n: usize, t_ms: f64) -> f64 {
        let p = 1.0 - (-t_ms).exp();
        let choose = |k: usize| (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product::<f64>();
        let term = |k: usize| {
            choose(k)
                * p.powi(i32::try_from(k).unwrap())
                * (1.0 - p).powi(i32::try_from(n - k).unwrap())
        };
        (size..=n).map(term).sum()
    }

    #[test]
    fn order_statistics_of_exponentials_have_their_closed_form_within_a_tenth_of_a_step() {
        for (size, n) in [(1, 1), (1, 5), (2, 5), (3, 5), (5, 5), (7, 13)] {
            let (wait, step) = of_exponentials(size, n);
            for share in [0.5, 0.99] {
                let (found, off) = (wait.quantile(share), Span(step.0 / 10));
                let [before, after] = [found - off, found + off]
                    .map(|span| binomial_tail(size, n, span.as_millis_f64()));
                assert!((before..after).contains(&share), "{size} of {n}: {before} {after}");
            }
        }
    }

    #[test]
    fn the_first_and_the_last_of_five_are_where_hand_computation_puts_them() {
        // The least of five is exponential with a fifth of the mean; the greatest has F^5.
        let least = of_exponentials(1, 5).0.quantile(0.5).as_millis_f64();
        assert!((least - 2_f64.ln() / 5.0).abs() < 3e-3, "{least}");
        let greatest = of_exponentials(5, 5).0.quantile(0.5).as_millis_f64();
        assert!((greatest + (1.0 - 0.5_f64.powf(0.2)).ln()).abs() < 3e-3, "{greatest}");
        // The median of one is neither.
        assert!(least < 0.2 && greatest > 2.0);
    }

    #[test]
    fn what_answers_too_late_changes_nothing() {
        let delay = Delay::weibull(Span::from_millis(5), 1e6, 2.0);
        let range = range(&delay, UNCUT);
        let step = distribution::step([range].into_iter());
        let near = Some(Distribution::of(&delay, step, UNCUT));
        let far = Some(Distribution::constant(Span::from_millis(500)));
        let with = |late| {
            let answers = [near.clone(), near.clone(), late];
            first_quorum(&Family::of_size(2), &answers, range, step)
        };
        assert_eq!(with(far), with(None));
    }
}
