//! What one replica told others: it may not take it back, and may not forget it in a crash.

use std::collections::BTreeMap;

use super::{Finding, Invariant};
use crate::protocol::{Ballot, Log, Position, Protocol, Scope, Slot, Statement};
use crate::quorum::NodeId;

/// The promises and votes that one acceptor told, and the ballots that its proposer used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Told {
    /// The highest ballot promised for all slots of a log.
    promised: BTreeMap<Log, Ballot>,
    /// The highest ballot promised in single slots, by a promise of its own or by a vote.
    slots: BTreeMap<Position, Ballot>,
    /// The ballot of the last vote.
    votes: BTreeMap<Position, Ballot>,
    /// The highest ballot of its proposals, in each log of a key: there a phase 1 is over before.
    proposed: BTreeMap<Log, Ballot>,
    /// The highest ballot of its Phase1a.
    asked: Ballot,
    /// The same before its last crash.
    asked_before_crash: Ballot,
}

impl Told {
    /// The replica tells this; a proposer must not ask at a ballot that it may have used before a crash.
    pub fn tell(&mut self, by: NodeId, statement: &Statement<'_>) -> Result<(), Finding> {
        match statement {
            Statement::Proposes {
                ballot,
                position: Position { log: log @ Log::Of(_), .. },
                ..
            } => {
                raise(&mut self.proposed, *log, *ballot);
            }
            Statement::Asks { ballot, log, .. }
                if self.proposed.get(log).is_some_and(|proposed| ballot <= proposed) =>
            {
                let how = format!("{by} asks at {ballot}, at which it has proposed");
                return Err(Finding::new(Invariant::BallotsUnique, how));
            }
            _ => {}
        }
        match statement {
            Statement::Asks { ballot, .. } | Statement::Proposes { asks: Some(ballot), .. } => {
                self.asked = self.asked.max(*ballot);
                if *ballot <= self.asked_before_crash {
                    let before = self.asked_before_crash;
                    let how = format!(
                        "{by} asks at {ballot}, and had asked up to {before} before it crashed"
                    );
                    return Err(Finding::new(Invariant::BallotsUnique, how));
                }
            }
            Statement::Promises { ballot, log, scope: Scope::From(_), .. } => {
                raise(&mut self.promised, *log, *ballot);
            }
            Statement::Promises { ballot, log, scope: Scope::Only(slot), .. } => {
                raise(&mut self.slots, Position { log: *log, slot: *slot }, *ballot);
            }
            Statement::Voted { ballot, log, first, last, promises } => {
                for position in positions(*log, *first, *last) {
                    raise(&mut self.slots, position, *ballot);
                    raise(&mut self.votes, position, *ballot);
                }
                if let Some(promised) = promises {
                    raise(&mut self.promised, *log, *promised);
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
        let at = |position| self.slots.get(&position).copied().unwrap_or(Ballot::NONE);
        match statement {
            Statement::Promises { ballot, log, scope, .. } => {
                let (promised, log) = (self.promised_in(*log), *log);
                let least = match scope {
                    Scope::Only(slot) if *slot < forgettable_below => promised,
                    Scope::Only(slot) => promised.max(at(Position { log, slot: *slot })),
                    Scope::From(slot) => {
                        let first = Position { log, slot: (*slot).max(forgettable_below) };
                        let last = Position { log, slot: Slot(u64::MAX) };
                        let later = self.slots.range(first..=last);
                        later.fold(promised, |least, (_, ballot)| least.max(*ballot))
                    }
                };
                if *ballot < least {
                    return Err(fell(format!(
                        "{by} promised {ballot} {scope} after it told {least}"
                    )));
                }
            }
            Statement::Voted { ballot, log, first, last, .. } => {
                for position in positions(*log, *first, *last) {
                    let least = self.promised_in(*log).max(at(position));
                    // To tell a vote again takes nothing back.
                    let is_told = self.votes.get(&position) == Some(ballot);
                    if *ballot < least && !is_told {
                        let how =
                            format!("{by} voted at {ballot} in {position} after it told {least}");
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
        // That a ballot is used once in a life is asked of those that never crash, too.
        Self { asked_before_crash, proposed: self.proposed, ..Self::default() }
    }

    /// Whether an acceptor that was started again still knows what it told about slots from
    /// `forgettable_below` on.
    pub fn check_kept(
        &self,
        by: NodeId,
        acceptor: &impl Protocol,
        forgettable_below: Slot,
    ) -> Result<(), Finding> {
        for (log, told) in &self.promised {
            let promised = acceptor.promised(Position { log: *log, slot: Slot(u64::MAX) });
            if promised < *told {
                let how = format!("{by} told a promise of {told}, and now knows {promised}");
                return Err(fell(how));
            }
        }
        let is_lasting = |position: &Position| position.slot >= forgettable_below;
        for (position, told) in self.slots.iter().filter(|(position, _)| is_lasting(position)) {
            let told = self.promised_in(position.log).max(*told);
            let promised = acceptor.promised(*position);
            if promised < told {
                let how = format!(
                    "{by} told a promise of {told} in {position}, and now knows {promised}"
                );
                return Err(fell(how));
            }
        }
        for (position, told) in self.votes.iter().filter(|(position, _)| is_lasting(position)) {
            if acceptor.voted(*position).is_none_or(|ballot| ballot < *told) {
                let how = format!("{by} told a vote at {told} in {position}, and knows it no more");
                return Err(fell(how));
            }
        }
        Ok(())
    }

    fn promised_in(&self, log: Log) -> Ballot {
        self.promised.get(&log).copied().unwrap_or_default()
    }
}

fn fell(how: String) -> Finding {
    Finding::new(Invariant::PromisesKept, how)
}

fn positions(log: Log, first: Slot, last: Slot) -> impl Iterator<Item = Position> {
    (first.0..=last.0).map(move |slot| Position { log, slot: Slot(slot) })
}

fn raise<K: Ord>(ballots: &mut BTreeMap<K, Ballot>, of: K, ballot: Ballot) {
    let known = ballots.entry(of).or_default();
    *known = (*known).max(ballot);
}
