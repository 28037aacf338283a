//! Which case: a seed, and what was changed of its draws since.

use std::collections::BTreeMap;
use std::fmt;

use super::random_stream::{Purpose, RandomStream};

/// A seed, and the mutations that follow, each a number that says what it changes.
///
/// It is all that a case needs: what follows `flexpaxos fuzz --seeds`, to run it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The seed of all draws that no mutation draws again.
    pub seed: u64,
    /// The mutations, in their order.
    pub mutations: Vec<u32>,
}

impl From<u64> for Address {
    fn from(seed: u64) -> Self {
        Self { seed, mutations: Vec::new() }
    }
}

impl Address {
    /// The same case with another mutation behind the others.
    #[must_use]
    pub fn mutated(&self, mutation: u32) -> Self {
        let mut next = self.clone();
        next.mutations.push(mutation);
        next
    }
}

/// `17`, or `17 --mutations 3,991`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seed.fmt(f)?;
        if !self.mutations.is_empty() {
            let numbers: Vec<String> = self.mutations.iter().map(u32::to_string).collect();
            write!(f, " --mutations {}", numbers.join(","))?;
        }
        Ok(())
    }
}

/// Where the random streams of a case come from: its seed, but for the purposes that are drawn again.
#[derive(Clone, Debug)]
pub(super) struct Draws {
    seed: u64,
    again: BTreeMap<Purpose, u64>,
}

impl From<u64> for Draws {
    fn from(seed: u64) -> Self {
        Self { seed, again: BTreeMap::new() }
    }
}

impl Draws {
    /// The stream of a purpose.
    pub(super) fn stream(&self, purpose: Purpose) -> RandomStream {
        RandomStream::new(self.again.get(&purpose).copied().unwrap_or(self.seed), purpose)
    }

    /// Draws a purpose from another seed than the rest.
    pub(super) fn draw_again(&mut self, purpose: Purpose, seed: u64) {
        self.again.insert(purpose, seed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_follows_the_seeds_option() {
        let address = Address::from(17);
        assert_eq!(address.to_string(), "17");
        assert_eq!(address.mutated(3).mutated(991).to_string(), "17 --mutations 3,991");
    }

    #[test]
    fn a_purpose_drawn_again_changes_no_other() {
        let mut draws = Draws::from(7);
        draws.draw_again(Purpose::Places, 8);
        let word = |draws: &Draws, purpose| draws.stream(purpose).word();
        assert_eq!(word(&draws, Purpose::Load), word(&Draws::from(7), Purpose::Load));
        assert_eq!(word(&draws, Purpose::Places), word(&Draws::from(8), Purpose::Places));
    }
}
