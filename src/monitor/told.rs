//! What one replica told others: it may not take it back, and may not forget it in a crash.

use std::collections::BTreeMap;

use super::{Finding, Invariant};
use crate::protocol::{Ballot, Protocol, Scope, Slot, Statement};
use crate::quorum::NodeId;

/// The promises and votes that one acceptor told, and the ballots that its proposer used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Told {
    /// The highest ballot promised for all slots.
    promised: Ballot,
    /// The highest ballot promised in single slots, by a promise of its own or by a vote.
    slots: BTreeMap<Slot, Ballot>,
    /// The ballot of the last vote.
    votes: BTreeMap<Slot, Ballot>,
    /// The highest ballot of its Phase1a.
    asked: Ballot,
    /// The same before its last crash.
    asked_before_crash: Ballot,
}

impl Told {
    /// The replica tells this; a proposer must not ask at a ballot that it may have used before a crash.
    pub fn tell(&mut self, by: NodeId, statement: &Statement<'_>) -> Result<(), Finding> {
        match statement {
            Statement::Asks { ballot, .. } => {
                self.asked = self.asked.max(*ballot);
                if *ballot <= self.asked_before_crash {
                    let before = self.asked_before_crash;
                    let how = format!(
                        "{by} asks at {ballot}, and had asked up to {before} before it crashed"
                    );
                    return Err(Finding::new(Invariant::BallotsUnique, how));
                }
            }
            Statement::Promises { ballot, scope: Scope::From(_), .. } => {
                self.promised = self.promised.max(*ballot);
            }
            Statement::Promises { ballot, scope: Scope::Only(slot), .. } => {
                raise(&mut self.slots, *slot, *ballot);
            }
            Statement::Voted { ballot, first, last } => {
                for slot in (first.0..=last.0).map(Slot) {
                    raise(&mut self.slots, slot, *ballot);
                    raise(&mut self.votes, slot, *ballot);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a message that waited for the disk takes back what was told before; it may forget what
    /// concerns slots below `forgettable_below`.
    pub fn check_order(
        &self,
        by: NodeId,
        statement: &Statement<'_>,
        forgettable_below: Slot,
    ) -> Result<(), Finding> {
        let at = |slot: &Slot| self.slots.get(slot).copied().unwrap_or(Ballot::NONE);
        match statement {
            Statement::Promises { ballot, scope, .. } => {
                let least = match scope {
                    Scope::Only(slot) if *slot < forgettable_below => self.promised,
                    Scope::Only(slot) => self.promised.max(at(slot)),
                    Scope::From(slot) => {
                        let later = self.slots.range((*slot).max(forgettable_below)..);
                        later.fold(self.promised, |least, (_, ballot)| least.max(*ballot))
                    }
                };
                if *ballot < least {
                    return Err(fell(format!(
                        "{by} promised {ballot} {scope} after it told {least}"
                    )));
                }
            }
            Statement::Voted { ballot, first, last } => {
                for slot in (first.0..=last.0).map(Slot) {
                    let least = self.promised.max(at(&slot));
                    if *ballot < least {
                        let how = format!("{by} voted at {ballot} in {slot} after it told {least}");
                        return Err(fell(how));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The replica crashed: none of its ballots may be used again.
    pub const fn crash(&mut self) {
        self.asked_before_crash = self.asked;
    }

    /// Keeps only what may still be contradicted, for a replica that cannot crash any more.
    ///
    /// Where ballots rise for ever (`is_rising`), one above all those from before the crash shows that none of
    /// them will come again. Proposers of classic Paxos count in each slot anew.
    #[must_use]
    pub fn without_promises(self, is_rising: bool) -> Self {
        let has_moved_on = is_rising && self.asked > self.asked_before_crash;
        let asked_before_crash = if has_moved_on { Ballot::NONE } else { self.asked_before_crash };
        Self { asked_before_crash, ..Self::default() }
    }

    /// Whether an acceptor that was started again still knows what it told about slots from
    /// `forgettable_below` on.
    pub fn check_kept(
        &self,
        by: NodeId,
        acceptor: &impl Protocol,
        forgettable_below: Slot,
    ) -> Result<(), Finding> {
        let promised = acceptor.promised(Slot(u64::MAX));
        if promised < self.promised {
            let told = self.promised;
            return Err(fell(format!("{by} told a promise of {told}, and now knows {promised}")));
        }
        for (slot, told) in self.slots.range(forgettable_below..) {
            let (promised, told) = (acceptor.promised(*slot), self.promised.max(*told));
            if promised < told {
                let how =
                    format!("{by} told a promise of {told} in {slot}, and now knows {promised}");
                return Err(fell(how));
            }
        }
        for (slot, told) in self.votes.range(forgettable_below..) {
            if acceptor.voted(*slot).is_none_or(|ballot| ballot < *told) {
                let how = format!("{by} told a vote at {told} in {slot}, and knows it no more");
                return Err(fell(how));
            }
        }
        Ok(())
    }
}

fn fell(how: String) -> Finding {
    Finding::new(Invariant::PromisesKept, how)
}

fn raise(ballots: &mut BTreeMap<Slot, Ballot>, slot: Slot, ballot: Ballot) {
    let known = ballots.entry(slot).or_default();
    *known = (*known).max(ballot);
}
