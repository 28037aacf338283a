//! By how much the round trips of a deployment miss the published percentiles.
//!
//! A round trip is made of one leg of each direction, each [fitted](super::Fit) to its own row.
//! It misses a percentile of a row where the fit does, and where the rows of the two directions differ:
//! a tail that one of them alone has is half as likely in the sum.
//! Nothing of the fit is used here: the distribution of the sum is computed from the two legs.

use std::collections::BTreeSet;

use crate::time::Span;

use super::delay::Delay;
use super::fit::MISS_MAX;
use super::links::{Links, Site};
use super::profile::Profile;

/// A percentile that the emulated round trip misses by more than [`MISS_MAX`].
#[derive(Clone, Debug, PartialEq)]
pub struct Miss {
    /// The region that measured it.
    pub from: String,
    /// The region to which.
    pub to: String,
    /// Which percentile, as a probability.
    pub probability: f64,
    /// What was published.
    pub published: Span,
    /// What two legs of the deployment have there together.
    pub emulated: Span,
}

/// How many values of one leg stand for its distribution.
const NODES: u32 = 500;

impl Miss {
    /// Emulated less published, as a share of what was published.
    pub fn relative(&self) -> f64 {
        self.emulated.as_millis_f64() / self.published.as_millis_f64() - 1.0
    }
}

impl Links {
    /// How many rows of the profile these links emulate, and each row's worst miss; none where delays
    /// do not vary.
    pub fn misses(&self, profile: &Profile) -> (usize, Vec<Miss>) {
        let mut seen = BTreeSet::new();
        let mut misses = Vec::new();
        if !self.vary() {
            return (0, misses);
        }
        for (a, b) in self.pairs() {
            let (out, back) = (self.between(a, b), self.between(b, a));
            let sum = Sum::new(out, back);
            let [here, there] = [a, b].map(|site| self.region(site));
            for (from, to) in [(here, there), (there, here)] {
                let quantiles = profile.quantiles(from, to);
                if quantiles.is_empty() || !seen.insert((from.to_owned(), to.to_owned())) {
                    continue;
                }
                let found = quantiles.iter().filter_map(|(probability, published)| {
                    let emulated = sum.missing(*probability, *published)?;
                    let (from, to) = (from.to_owned(), to.to_owned());
                    Some(Miss {
                        from,
                        to,
                        probability: *probability,
                        published: *published,
                        emulated,
                    })
                });
                misses.extend(
                    found.max_by(|one, other| {
                        one.relative().abs().total_cmp(&other.relative().abs())
                    }),
                );
            }
        }
        (seen.len(), misses)
    }

    /// Every pair of sites that talks, once.
    fn pairs(&self) -> Vec<(Site, Site)> {
        let replicas: Vec<Site> = self.replicas().map(Site::Replica).collect();
        let clients = (0..self.client_regions.len()).map(Site::Client);
        let mut pairs = Vec::new();
        for (number, one) in replicas.iter().enumerate() {
            pairs.extend(replicas[number + 1..].iter().map(|other| (*one, *other)));
            pairs.extend(clients.clone().map(|client| (*one, client)));
        }
        pairs
    }

    fn region(&self, site: Site) -> &str {
        match site {
            Site::Replica(node) => &self.replica_regions[usize::from(node.0)],
            Site::Client(client) => &self.client_regions[client],
        }
    }
}

/// The sum of two independent delays.
struct Sum<'a> {
    one: &'a Delay,
    other: &'a Delay,
    /// Values of the one and how much each counts, closer to one another in the tail.
    nodes: Vec<(Span, f64)>,
}

impl<'a> Sum<'a> {
    fn new(one: &'a Delay, other: &'a Delay) -> Self {
        // A constant needs no nodes, and of two that vary either will do.
        let (one, other) = if other.is_constant() { (other, one) } else { (one, other) };
        let count = if one.is_constant() { 1 } else { NODES };
        let node = |number: u32| {
            let rest = 1.0 - (f64::from(number) + 0.5) / f64::from(count);
            (one.quantile(1.0 - rest.powi(3)), 3.0 * rest.powi(2) / f64::from(count))
        };
        let mut nodes: Vec<(Span, f64)> = (0..count).map(node).collect();
        let total: f64 = nodes.iter().map(|(_, weight)| weight).sum();
        for (_, weight) in &mut nodes {
            *weight /= total;
        }
        Self { one, other, nodes }
    }

    fn cdf(&self, span: Span) -> f64 {
        let of = |(value, weight): &(Span, f64)| {
            if *value > span { 0.0 } else { weight * self.other.cdf(span - *value) }
        };
        self.nodes.iter().map(of).sum()
    }

    /// The percentile, if it misses what was published.
    fn missing(&self, probability: f64, published: Span) -> Option<Span> {
        let [low, high] = [1.0 - MISS_MAX, 1.0 + MISS_MAX]
            .map(|by| Span::from_millis_f64(published.as_millis_f64() * by));
        let least = self.one.least() + self.other.least();
        if probability <= 0.0 {
            return (least < low || least > high).then_some(least);
        }
        // A constant is all at one place, so both ends count.
        let below = Span(low.0.saturating_sub(1));
        if self.cdf(below) < probability && probability <= self.cdf(high) {
            return None;
        }
        let root = probability.sqrt();
        let (mut from, mut to) = (least, self.one.quantile(root) + self.other.quantile(root));
        while to > from + Span(1_000) {
            let middle = Span(u64::midpoint(from.0, to.0));
            if self.cdf(middle) < probability { from = middle } else { to = middle }
        }
        Some(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Jitter;

    fn misses(table: &str, jitter: Jitter) -> (usize, Vec<Miss>) {
        let profile = Profile::from_csv("t.csv", table).unwrap();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let links = Links::new(&profile, &names(&["a", "b"]), &names(&["a"]), jitter).unwrap();
        links.misses(&profile)
    }

    #[test]
    fn a_heavy_tail_that_both_directions_have_is_emulated_as_given() {
        let table = "from,to,rtt_ms,min_ms,p90_ms,p99_ms\na,b,50,20,60,1000\nb,a,50,20,60,1000\n";
        assert_eq!(misses(table, Jitter::Profile), (2, vec![]));
        assert_eq!(misses(table, Jitter::None), (0, vec![]));
    }

    #[test]
    fn a_tail_of_one_direction_alone_is_missed_and_said() {
        let table = "from,to,rtt_ms,p90_ms,p99_ms\na,b,50,60,1000\nb,a,50,60,70\n";
        let (rows, misses) = misses(table, Jitter::Profile);
        let [miss, other] = &misses[..] else { panic!("{misses:?}") };
        assert_eq!((rows, miss.from.as_str(), miss.to.as_str()), (2, "a", "b"));
        assert!(miss.relative() < -0.25 && (miss.probability - 0.99).abs() < 1e-9, "{miss:?}");
        assert!(other.relative() > 5.0, "{other:?}");
    }

    /// What no sum of two independent legs can be.
    #[test]
    fn a_distribution_that_no_two_legs_have_is_said() {
        let row = "50,100,101";
        let table = format!("from,to,rtt_ms,p75_ms,p99_ms\na,b,{row}\nb,a,{row}\n");
        assert_eq!(misses(&table, Jitter::Profile).1.len(), 2);
    }

    #[test]
    fn thin_tails_are_met() {
        let table = "from,to,rtt_ms,p90_ms\na,b,50,52\nb,a,50,52\na,a,0.2,0.3\n";
        assert_eq!(misses(table, Jitter::Profile), (3, vec![]));
    }
}
