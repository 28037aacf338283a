//! The corpus of a guided search: the cases that reached something new, and which to go on from.
//!
//! A case comes from nothing, or it is a mutation of one of the corpus.
//! To choose that one, a few situations are drawn, and the one that fewest cases have shown leads to its case:
//! what is rare is tried again more often (as the power schedules of `AFLFast`, Böhme et al. 2016).
//! A situation keeps the cheapest case that shows it, by far: mutations of short runs are short.

use std::collections::BTreeMap;

use super::address::Address;
use super::random_stream::{Purpose, RandomStream};
use super::situations::Situation;

/// One case of so many comes from nothing.
const FRESH: u64 = 4;

/// So many situations are drawn, and the rarest of them is gone on from.
const DRAWN: usize = 3;

/// A case with more mutations is not gone on from: its address would fill the line.
const MUTATIONS_MAX: usize = 16;

/// The cases that reached something new.
#[derive(Debug, Default)]
pub(super) struct Corpus {
    /// By situation.
    known: BTreeMap<Situation, Known>,
    /// The situations in the order in which they were found.
    situations: Vec<Situation>,
}

#[derive(Debug)]
struct Known {
    /// How many cases showed it.
    case_count: u64,
    /// One of them, and how many events it took.
    address: Address,
    event_count: u64,
}

impl Corpus {
    /// How many different situations the cases were in.
    pub(super) fn situation_count(&self) -> usize {
        self.situations.len()
    }

    /// Which case is the one of this number.
    pub(super) fn next(&self, number: u64) -> Address {
        let mut stream = RandomStream::new(number, Purpose::Guide);
        if self.situations.is_empty() || stream.one_in(FRESH) {
            return number.into();
        }
        let drawn = (0..DRAWN)
            .filter_map(|_| self.known.get(&self.situations[stream.index(self.situations.len())]));
        let rarest = drawn.min_by_key(|known| known.case_count);
        let parent = rarest.map(|known| &known.address);
        let Some(parent) = parent.filter(|parent| parent.mutations.len() < MUTATIONS_MAX) else {
            return number.into();
        };
        let mutation_count = if stream.one_in(3) { 2 } else { 1 };
        (0..mutation_count).fold(parent.clone(), |address, _| {
            address.mutated(u32::try_from(stream.below(1 << 32)).expect("below 2^32"))
        })
    }

    /// What a case was in, and how many events it took.
    pub(super) fn learn(&mut self, address: &Address, found: &[Situation], event_count: u64) {
        for situation in found {
            let known = self.known.entry(*situation).or_insert_with(|| {
                self.situations.push(*situation);
                Known { case_count: 0, address: address.clone(), event_count }
            });
            known.case_count += 1;
            if event_count.saturating_mul(2) < known.event_count {
                (known.address, known.event_count) = (address.clone(), event_count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rare_is_gone_on_from_more_often() {
        let mut corpus = Corpus::default();
        assert_eq!(corpus.next(5), Address::from(5));
        for seed in 0..20 {
            corpus.learn(&Address::from(1000), &[1], 10);
            corpus.learn(&Address::from(2000 + seed), &[u32::try_from(2 + seed % 2).unwrap()], 10);
        }
        corpus.learn(&Address::from(3000), &[9], 10);
        assert_eq!(corpus.situation_count(), 4);
        let parents = (0..400).map(|number| corpus.next(number));
        let count = |seed| parents.clone().filter(|next| next.seed == seed).count();
        let (rare, common) = (count(3000), count(1000));
        assert!(rare > 100 && common < rare / 2, "{rare} {common}");
        let fresh = parents.clone().filter(|next| next.mutations.is_empty()).count();
        assert!((60..140).contains(&fresh), "{fresh}");
    }

    #[test]
    fn a_situation_keeps_a_cheaper_case() {
        let mut corpus = Corpus::default();
        corpus.learn(&Address::from(1), &[7], 1000);
        corpus.learn(&Address::from(2), &[7], 900);
        assert!((0..50).all(|number| corpus.next(number).seed != 2 || number == 2));
        corpus.learn(&Address::from(3), &[7], 100);
        let parents: Vec<u64> = (100..150).map(|number| corpus.next(number).seed).collect();
        assert!(parents.contains(&3) && !parents.contains(&1));
    }
}
