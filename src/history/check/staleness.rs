//! How stale reads were: what each missed that was acknowledged before it began.
//!
//! The staleness of a read is the time from the acknowledgement of the first write of its key that it did not see, in
//! the order of the log, until it began; zero if that write was not acknowledged before.
//! So a read of a key that nobody wrote meanwhile is not stale, however old the state was that it was answered from.

use std::collections::BTreeMap;

use crate::time::Span;

/// Reads of which it is not known yet what they missed.
#[derive(Debug)]
pub(super) struct Missing {
    /// By key, when they began.
    open: BTreeMap<u64, Vec<u64>>,
    found: Staleness,
}

/// How stale reads were that have no slot of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staleness {
    /// How many reads there were.
    pub read_count: u64,
    /// By how much those were stale that missed a write, ascending.
    pub stale: Vec<Span>,
    /// How often an operation showed that a read had missed what its own client was told before, where that may be.
    pub session_count: u64,
}

impl Missing {
    pub(super) const fn new() -> Self {
        Self {
            open: BTreeMap::new(),
            found: Staleness { read_count: 0, stale: Vec::new(), session_count: 0 },
        }
    }

    /// A read, that began then, stands here in the log.
    pub(super) fn look(&mut self, key: u64, begun_at: u64) {
        self.found.read_count += 1;
        self.open.entry(key).or_default().push(begun_at);
    }

    /// An operation of a client whose read may have missed something.
    pub(super) fn note_session(&mut self, is_missed: bool) {
        self.found.session_count += u64::from(is_missed);
    }

    /// A write stands here that was acknowledged then.
    pub(super) fn write(&mut self, key: u64, acknowledged_at: u64) {
        let Some(reads) = self.open.get_mut(&key) else { return };
        let stale = reads.drain(..).map(|begun_at| Span(begun_at.saturating_sub(acknowledged_at)));
        self.found.stale.extend(stale.filter(|stale| *stale > Span::ZERO));
    }

    /// Nothing is written any more.
    pub(super) fn finish(mut self) -> Staleness {
        self.found.stale.sort_unstable();
        self.found
    }
}

impl Staleness {
    /// What the staleness of this share of all reads does not exceed; `None` without reads.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is a count"
    )]
    pub fn quantile(&self, share: f64) -> Option<Span> {
        let rank = ((share * self.read_count as f64).ceil() as u64).max(1);
        let fresh = self.read_count - self.stale.len() as u64;
        (self.read_count > 0).then(|| {
            let place = rank.min(self.read_count).checked_sub(fresh + 1);
            place
                .and_then(|at| self.stale.get(usize::try_from(at).ok()?))
                .copied()
                .unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_as_stale_as_the_first_write_that_it_missed() {
        let mut missing = Missing::new();
        missing.write(1, 10);
        missing.look(1, 100);
        missing.look(2, 100);
        missing.write(1, 70);
        // The first write counts, and nothing after it.
        missing.write(1, 20);
        missing.look(1, 100);
        missing.write(1, 100);
        let found = missing.finish();
        assert_eq!(found, Staleness { read_count: 3, stale: vec![Span(30)], session_count: 0 });
        assert_eq!(found.quantile(0.5), Some(Span::ZERO));
        assert_eq!(found.quantile(0.99), Some(Span(30)));
        assert_eq!(Staleness::default().quantile(0.5), None);
    }
}
