//! Random streams: one for each purpose of each link and each replica.
//!
//! A stream is seeded by the trial's seed, what it is for and whom it belongs to, and by nothing
//! else: so adding a node, or another fault, changes no other draw.

use rand::SeedableRng;
use rand_pcg::Pcg64;

use crate::deployment::MemberName;
use crate::seed::scramble;

/// What a stream is for; its number is part of its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// How long each message of a link takes.
    Delay = 1,
    /// Which messages of a link are lost.
    Loss = 2,
    /// Which messages of a link arrive twice.
    Duplication = 3,
    /// By how much messages of a link are delayed so that they overtake one another.
    Reordering = 4,
    /// The spread of the timers of a replica.
    Timers = 5,
}

/// The stream of one purpose of one member.
pub(super) fn of_member(seed: u64, purpose: Purpose, member: MemberName) -> Pcg64 {
    of_link(seed, purpose, member, member)
}

/// The stream of one purpose of the link between two members.
///
/// PCG streams whose seeds are near one another can be correlated, so each part is scrambled in.
pub(super) fn of_link(seed: u64, purpose: Purpose, from: MemberName, to: MemberName) -> Pcg64 {
    let parts = [purpose as u64, number(from), number(to)];
    let mixed = parts.into_iter().fold(scramble(seed ^ SALT), |mixed, part| {
        scramble(mixed.wrapping_add(part).wrapping_add(1))
    });
    Pcg64::seed_from_u64(mixed)
}

/// Keeps these streams apart from the workload's, which scrambles the same seed.
const SALT: u64 = 0x5153_f0c1_a9b7_2d11;

fn number(member: MemberName) -> u64 {
    match member {
        MemberName::Replica(id) => u64::from(id.0) << 1,
        MemberName::Client(id) => u64::from(id.0) << 1 | 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ClientId;
    use crate::quorum::NodeId;
    use rand::RngExt;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_purposes_or_links_share_a_stream() {
        let members = [0, 1, 2].map(|id| MemberName::Replica(NodeId(id)));
        let clients = [0, 1].map(|id| MemberName::Client(ClientId(id)));
        let everybody: Vec<MemberName> = members.into_iter().chain(clients).collect();
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
                        first_draws.insert(of_link(seed, purpose, *from, *to).random::<u64>());
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
            let [from, to] = [0, to].map(|id| MemberName::Replica(NodeId(id)));
            let mut stream = of_link(1, Purpose::Delay, from, to);
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
