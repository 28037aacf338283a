//! Random streams: one for each purpose of each directed link and each member.
//!
//! A stream is seeded by the trial's seed, what it is for and whom it belongs to, and by nothing
//! else: so adding a node, or another fault, changes no other draw, and a link draws the same in the
//! simulator and live.

use rand::SeedableRng;
use rand_pcg::Pcg64;

use crate::seed::scramble;
use crate::topology::Site;

/// What a stream is for; its number is part of its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// How long each datagram of a link takes.
    Delay = 1,
    /// Which datagrams of a link are lost.
    Loss = 2,
    /// Which datagrams of a link arrive twice.
    Duplication = 3,
    /// By how much datagrams of a link are delayed so that they overtake one another.
    Reordering = 4,
    /// The spread of the timers of a replica.
    Timers = 5,
    /// By how much the clock of a replica is off.
    Clock = 6,
}

/// The number of the link from one site to another; no two links of a deployment have one.
pub fn id(from: Site, to: Site) -> u64 {
    number(from) << 32 | number(to)
}

/// The stream of one purpose of one member.
pub fn of_member(seed: u64, purpose: Purpose, member: Site) -> Pcg64 {
    of_link(seed, purpose, id(member, member))
}

/// The stream of one purpose of the link of this [number](id).
///
/// PCG streams whose seeds are near one another can be correlated, so each part is scrambled in.
pub fn of_link(seed: u64, purpose: Purpose, link: u64) -> Pcg64 {
    let parts = [purpose as u64, link >> 32, link & 0xffff_ffff];
    let mixed = parts.into_iter().fold(scramble(seed ^ SALT), |mixed, part| {
        scramble(mixed.wrapping_add(part).wrapping_add(1))
    });
    Pcg64::seed_from_u64(mixed)
}

/// Keeps these streams apart from the workload's, which scrambles the same seed.
const SALT: u64 = 0x5153_f0c1_a9b7_2d11;

fn number(site: Site) -> u64 {
    match site {
        Site::Replica(id) => u64::from(id.0) << 1,
        Site::Client(index) => (index as u64) << 1 | 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::NodeId;
    use rand::RngExt;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_purposes_or_links_share_a_stream() {
        let members = [0, 1, 2].map(|id| Site::Replica(NodeId(id)));
        let everybody: Vec<Site> = members.into_iter().chain([0, 1].map(Site::Client)).collect();
        let purposes = [
            Purpose::Delay,
            Purpose::Loss,
            Purpose::Duplication,
            Purpose::Reordering,
            Purpose::Timers,
        ];
        let mut first_draws = BTreeSet::new();
        let mut count = 0;
        for seed in [0, 1, 2] {
            for purpose in purposes {
                for from in &everybody {
                    for to in &everybody {
                        first_draws.insert(of_link(seed, purpose, id(*from, *to)).random::<u64>());
                        count += 1;
                    }
                }
            }
        }
        assert_eq!(first_draws.len(), count);
    }

    /// Uncorrelated within five standard errors: the product of two uniforms has variance 1/144.
    #[test]
    fn streams_of_neighbouring_links_are_uncorrelated() {
        let draws = 20_000;
        let uniform = |to| -> Vec<f64> {
            let [from, to] = [0, to].map(|id| Site::Replica(NodeId(id)));
            let mut stream = of_link(1, Purpose::Delay, id(from, to));
            (0..draws).map(|_| stream.random::<f64>() - 0.5).collect()
        };
        let (one, other) = (uniform(1), uniform(2));
        let product: f64 = one.iter().zip(&other).map(|(a, b)| a * b).sum();
        let bound = 5.0 / (144.0 * f64::from(draws)).sqrt();
        assert!((product / f64::from(draws)).abs() < bound);
        let square: f64 = one.iter().map(|a| a * a).sum();
        assert!(square / f64::from(draws) > bound, "a stream with itself must show");
    }
}
