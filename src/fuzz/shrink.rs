//! A case that fails, made as small as it can be while it fails in the same way.
//!
//! Faults are left out first in halves, then in smaller parts, then one by one (delta debugging, Zeller and
//! Hildebrandt 2002, section 3). Then the load is made shorter, and links and disks are made to do nothing but delay.
//! That is repeated until nothing more can go: no fault can be left out alone, nor the load be halved.
//! A case that fails in another way is not looked at, so a lost write never becomes a slow one.

use super::case::Case;
use super::trial::{self, Ran};
use crate::deployment::{FaultKind, Network};
use crate::monitor::Invariant;
use crate::quorum::NodeSet;
use crate::sim::Service;
use crate::time::Span;

/// So many cases are tried at most: a few seconds of one core.
const RUNS_MAX: u64 = 400;

/// A case that cannot be made smaller.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The case; its seed is the one that it was drawn from.
    pub case: Case,
    /// What came of it, without its trace.
    pub ran: Ran,
    /// How many cases were tried.
    pub run_count: u64,
}

/// Makes a case smaller that breaks `invariant`, as `ran` says.
pub fn shrink(case: &Case, ran: Ran, invariant: Invariant) -> Shrunk {
    let mut shrinking =
        Shrinking { best: Shrunk { case: case.clone(), ran, run_count: 0 }, invariant };
    while shrinking.leave_out_faults()
        | shrinking.leave_out_triggered()
        | shrinking.shorten()
        | shrinking.simplify()
    {}
    shrinking.best
}

struct Shrinking {
    best: Shrunk,
    invariant: Invariant,
}

impl Shrinking {
    /// Keeps a smaller case if it fails as well.
    fn keeps(&mut self, case: Case) -> bool {
        if self.best.run_count >= RUNS_MAX {
            return false;
        }
        self.best.run_count += 1;
        let ran = trial::run(&case);
        let is_same = ran.violation.as_ref().is_some_and(|it| it.invariant == self.invariant);
        if is_same {
            (self.best.case, self.best.ran) = (case, ran);
        }
        is_same
    }

    fn leave_out_faults(&mut self) -> bool {
        let mut has_shrunk = false;
        let mut part = self.best.case.faults.len();
        while part > 0 {
            let mut first = 0;
            while first < self.best.case.faults.len() {
                let mut case = self.best.case.clone();
                let end = case.faults.len().min(first + part);
                case.faults.drain(first..end);
                case.dead = dead(&case);
                if self.keeps(case) {
                    has_shrunk = true;
                } else {
                    first = end;
                }
            }
            part /= 2;
        }
        has_shrunk
    }

    /// The faults that wait for something, one by one: there are a few.
    fn leave_out_triggered(&mut self) -> bool {
        let mut has_shrunk = false;
        for place in (0..self.best.case.triggered.len()).rev() {
            let mut case = self.best.case.clone();
            case.triggered.remove(place);
            has_shrunk |= self.keeps(case);
        }
        has_shrunk
    }

    /// Fewer operations.
    fn shorten(&mut self) -> bool {
        let mut has_shrunk = false;
        for (kept, of) in [(1, 2), (3, 4), (7, 8)] {
            loop {
                let mut case = self.best.case.clone();
                case.deployment.warmup = Span(case.deployment.warmup.0 / of * kept);
                if case.deployment.warmup < Span::from_millis(1) || !self.keeps(case) {
                    break;
                }
                has_shrunk = true;
            }
        }
        has_shrunk
    }

    /// Links that only delay, and work that costs nothing.
    fn simplify(&mut self) -> bool {
        let mut case = self.best.case.clone();
        let is_plain_link = case.deployment.network == Network::default();
        case.deployment.network = Network::default();
        let has_shrunk = !is_plain_link && self.keeps(case);
        let mut case = self.best.case.clone();
        let is_free = case.settings.service == Service::default();
        case.settings.service = Service::default();
        has_shrunk | (!is_free && self.keeps(case))
    }
}

/// Those that crash for good.
fn dead(case: &Case) -> NodeSet {
    let deaths = case.faults.iter().filter(|fault| fault.heals_after.is_none());
    let replicas = deaths.filter_map(|fault| match fault.kind {
        FaultKind::Crash { replica, .. } => Some(replica),
        _ => None,
    });
    replicas.fold(NodeSet::EMPTY, NodeSet::with)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::Limits;
    use crate::sabotage::Rule;

    /// What a broken rule shows with this seed, made smaller.
    fn shrunk(rule: Rule, seed: u64) -> (Case, Shrunk) {
        let limits = Limits { rule: Some(rule), ..Limits::default() };
        let case = Case::draw(seed, &limits);
        let ran = trial::run(&case);
        let invariant = ran.violation.as_ref().unwrap().invariant;
        let shrunk = shrink(&case, ran, invariant);
        (case, shrunk)
    }

    #[test]
    fn a_shrunk_case_fails_as_before_and_has_no_fault_too_many() {
        for (rule, seed) in [(Rule::ForgetsVote, 7), (Rule::SendsBeforePersist, 71)] {
            let (case, Shrunk { case: small, ran, .. }) = shrunk(rule, seed);
            let before = trial::run(&case);
            let invariant = before.violation.unwrap().invariant;
            assert_eq!(trial::run(&small).violation.unwrap().invariant, invariant);
            assert!(small.faults.len() < case.faults.len(), "{rule}: {small}");
            assert!(ran.tally.issued < before.tally.issued, "{rule}: {small}");
            for index in 0..small.faults.len() {
                let mut less = small.clone();
                less.faults.remove(index);
                less.dead = dead(&less);
                let violation = trial::run(&less).violation;
                assert!(violation.is_none_or(|it| it.invariant != invariant), "{index}: {small}");
            }
        }
    }

    #[test]
    fn a_case_that_fails_in_another_way_is_not_smaller() {
        let limits = Limits { rule: Some(Rule::ForgetsVote), ..Limits::default() };
        let case = Case::draw(7, &limits);
        let ran = trial::run(&case);
        // Nothing breaks this one, so nothing may go.
        let Shrunk { case: small, .. } = shrink(&case, ran, Invariant::BallotsUnique);
        assert_eq!(format!("{small}"), format!("{case}"));
    }
}
