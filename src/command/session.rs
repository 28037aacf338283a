//! The answers that one client may still ask for again.
//!
//! A client with a thousand requests under way has a thousand of them at every replica, and most say only that
//! something is stored: such an answer takes a byte.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Outcome;

/// The outcomes of the requests of one client, from one on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Session {
    /// The sequence number of the first of `kinds`.
    base: u64,
    kinds: VecDeque<Kind>,
    /// What was read, and by which request; ascending.
    read: VecDeque<(u64, Option<Bytes>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    /// The request has not executed.
    Unknown,
    Stored,
    Read,
}

impl Session {
    /// One without outcomes.
    pub(super) fn from(base: u64) -> Self {
        Self { base, ..Self::default() }
    }

    /// Requests below this are settled.
    pub(super) const fn base(&self) -> u64 {
        self.base
    }

    /// The sequence number after the last one of which something is known.
    pub(super) fn end(&self) -> u64 {
        self.base + self.kinds.len() as u64
    }

    /// The outcome of a request, if it has executed and is not settled.
    #[inline]
    pub(super) fn get(&self, sequence: u64) -> Option<Outcome> {
        match self.kinds.get(self.place(sequence)?)? {
            Kind::Unknown => None,
            Kind::Stored => Some(Outcome::Stored),
            Kind::Read => {
                let at = self.read.binary_search_by_key(&sequence, |(of, _)| *of).ok()?;
                Some(Outcome::Read(self.read[at].1.clone()))
            }
        }
    }

    /// A request that had not executed, and is not settled, has this outcome.
    #[inline]
    pub(super) fn put(&mut self, sequence: u64, outcome: &Outcome) {
        let Some(place) = self.place(sequence) else { return };
        if place >= self.kinds.len() {
            self.kinds.resize(place + 1, Kind::Unknown);
        }
        self.kinds[place] = match outcome {
            Outcome::Stored => Kind::Stored,
            Outcome::Read(value) => {
                let at = self.read.partition_point(|(of, _)| *of < sequence);
                self.read.insert(at, (sequence, value.clone()));
                Kind::Read
            }
        };
    }

    /// The next request has this outcome, or has not executed.
    fn push(&mut self, outcome: Option<&Outcome>) {
        match outcome {
            Some(outcome) => self.put(self.end(), outcome),
            None => self.kinds.push_back(Kind::Unknown),
        }
    }

    /// The same of several.
    pub(super) fn extend<'a>(&mut self, outcomes: impl IntoIterator<Item = &'a Option<Outcome>>) {
        outcomes.into_iter().for_each(|outcome| self.push(outcome.as_ref()));
    }

    /// The client asks for nothing below `below` again.
    #[inline]
    pub(super) fn settle(&mut self, below: u64) {
        if below <= self.base {
            return;
        }
        let settled = self.place(below).unwrap_or(0).min(self.kinds.len());
        self.kinds.drain(..settled);
        while self.read.pop_front_if(|(of, _)| *of < below).is_some() {}
        self.base = below;
    }

    /// The outcomes from a request on that is not settled.
    pub(super) fn iter_from(&self, sequence: u64) -> impl Iterator<Item = Option<Outcome>> {
        (sequence..self.end()).map(|sequence| self.get(sequence))
    }

    /// Where a request is in `kinds`, or would be; `None` if it is settled.
    #[inline]
    fn place(&self, sequence: u64) -> Option<usize> {
        let place = sequence.checked_sub(self.base)?;
        Some(usize::try_from(place).expect("a session window fits in memory"))
    }
}

/// As the sequence number of the first outcome, and the outcomes.
impl Serialize for Session {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let outcomes: Vec<Option<Outcome>> = self.iter_from(self.base).collect();
        (self.base, outcomes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Session {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (base, outcomes) = <(u64, Vec<Option<Outcome>>)>::deserialize(deserializer)?;
        let mut session = Self::from(base);
        session.extend(&outcomes);
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    /// In any order of requests, and whatever is settled between; equal outcomes are equal values.
    #[test]
    fn a_session_is_a_map_from_requests_to_outcomes() {
        let mut random = Pcg64::seed_from_u64(3);
        let (mut session, mut known) = (Session::default(), BTreeMap::new());
        let mut below = 0_u64;
        for step in 0..20_000_u64 {
            let sequence = (below + random.random_range(0..60)).saturating_sub(5);
            assert_eq!(session.get(sequence), known.get(&sequence).cloned());
            match random.random_range(0..10) {
                0 => {
                    below += random.random_range(0..8);
                    session.settle(below);
                    known = known.split_off(&below);
                }
                _ if sequence < below || known.contains_key(&sequence) => {}
                kind => {
                    let value = (kind < 3).then(|| Bytes::from(step.to_le_bytes().to_vec()));
                    let outcome = if kind < 6 { Outcome::Read(value) } else { Outcome::Stored };
                    session.put(sequence, &outcome);
                    known.insert(sequence, outcome);
                }
            }
            if step % 100 == 0 {
                let mut again = Session::from(below);
                again.extend(&session.iter_from(below).collect::<Vec<_>>());
                assert_eq!(again, session);
                let bytes = postcard::to_allocvec(&session).unwrap();
                assert_eq!(postcard::from_bytes::<Session>(&bytes).unwrap(), session);
            }
        }
        assert!(known.len() > 10, "{}", known.len());
        session.settle(u64::MAX);
        assert_eq!(session, Session::from(u64::MAX));
    }
}
