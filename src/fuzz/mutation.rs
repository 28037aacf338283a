//! A mutation: one small change of a case.
//!
//! Its number draws which: some of the draws are drawn again, or the faults or the load are edited.
//! Draws that are drawn again come first, whatever the order of the mutations: the edits are made on the
//! case that all of them lead to.

use super::address::{Address, Draws};
use super::case::Case;
use super::fault_mix::{self, FaultMix, Scene};
use super::limits::Limits;
use super::random_stream::{Purpose, RandomStream};
use crate::deployment::{Durability, Fault, FaultKind};
use crate::protocol::Bounds;
use crate::time::Span;

/// More faults than this are never needed: the most that a seed draws is half of it.
const FAULTS_MAX: usize = 72;

/// What may be drawn again: each by itself, and those that change most less often.
const AGAIN: [Purpose; 20] = [
    Purpose::World,
    Purpose::World,
    Purpose::Places,
    Purpose::Load,
    Purpose::Costs,
    Purpose::Election,
    Purpose::Election,
    Purpose::PerBallot,
    Purpose::Retention,
    Purpose::Checkpoints,
    Purpose::Retries,
    Purpose::Connection,
    Purpose::Faults,
    Purpose::Triggers,
    Purpose::Bounds,
    Purpose::FaultMix,
    Purpose::FaultsEnd,
    Purpose::Quorums,
    Purpose::Witnesses,
    Purpose::Protocol,
];

/// One edit of the faults or of the load.
#[derive(Clone, Copy, Debug)]
enum Edit {
    /// A fault comes at another time.
    Move,
    /// It lasts longer, or not as long.
    Stretch,
    /// It comes again, soon after or at any time.
    Repeat,
    /// It is left out.
    LeaveOut,
    /// One of the same kind takes its place.
    Exchange,
    /// A fault of any kind.
    Add,
    /// The faults of another mix besides.
    AddMix,
    /// More operations, or fewer.
    Load,
}

impl Case {
    /// The case of an address.
    pub fn of(address: &Address, limits: &Limits) -> Self {
        let mut draws = Draws::from(address.seed);
        let mut edits = Vec::new();
        for mutation in &address.mutations {
            let mut stream = RandomStream::new(u64::from(*mutation), Purpose::Mutation);
            if stream.below(5) < 2 {
                draws.draw_again(stream.pick(&AGAIN), stream.word());
            } else {
                edits.push(stream);
            }
        }
        let mut case = Self::drawn(address.clone(), &draws, limits);
        for mut stream in edits {
            for _ in 0..=stream.below(3) {
                case.edit(&mut stream);
            }
        }
        case
    }

    fn edit(&mut self, stream: &mut RandomStream) {
        let edit = stream.pick(&[
            Edit::Move,
            Edit::Move,
            Edit::Stretch,
            Edit::Repeat,
            Edit::Repeat,
            Edit::LeaveOut,
            Edit::Exchange,
            Edit::Add,
            Edit::Add,
            Edit::AddMix,
            Edit::Load,
        ]);
        let scene = Scene {
            n: self.deployment.quorums.n(),
            mode: self.deployment.mode,
            faults_over_after: self.faults_over_after,
            dead: self.dead,
        };
        match edit {
            Edit::Load => self.edit_load(stream),
            Edit::Add => {
                let fault = fault_mix::any(stream, &scene);
                self.faults.push(fault);
            }
            Edit::AddMix => {
                let fault_mix = FaultMix::draw(stream);
                let more = fault_mix::faults(stream, fault_mix, &scene);
                self.faults.extend(more.into_iter().filter(|fault| !fault_mix::is_death(fault)));
            }
            Edit::Move | Edit::Stretch | Edit::Repeat | Edit::LeaveOut | Edit::Exchange => {
                self.edit_fault(edit, stream, &scene);
            }
        }
        self.mend_faults(&scene);
    }

    fn edit_fault(&mut self, edit: Edit, stream: &mut RandomStream, scene: &Scene) {
        if self.faults.is_empty() {
            return;
        }
        let index = stream.index(self.faults.len());
        let mut fault = self.faults[index];
        match edit {
            Edit::Move => self.faults[index].at = fault_mix::another_time(stream, fault.at, scene),
            Edit::Stretch => {
                let lasts = 1 + stream.below(scene.faults_over_after.0.max(1));
                let short = 1 + stream.below(Span::from_millis(60).0);
                let lasts = if stream.one_in(2) { lasts } else { short };
                if let Some(heals_after) = &mut self.faults[index].heals_after {
                    *heals_after = Span(lasts);
                }
            }
            Edit::Repeat if !fault_mix::is_death(&fault) => {
                fault.at = fault_mix::another_time(stream, fault.at, scene);
                self.faults.push(fault);
            }
            Edit::LeaveOut if !fault_mix::is_death(&fault) => {
                self.faults.remove(index);
            }
            Edit::Exchange if !fault_mix::is_death(&fault) => {
                self.faults[index].kind = fault_mix::alike(stream, &fault.kind, scene);
            }
            _ => {}
        }
    }

    /// For as long as three times what was drawn, and the thirtieth part of it.
    fn edit_load(&mut self, stream: &mut RandomStream) {
        let (times, of) = stream.pick(&[(1, 2), (3, 4), (5, 4), (3, 2), (2, 1)]);
        let longest = Span::from_millis(16_000);
        let warmup = Span(self.deployment.warmup.0 / of * times);
        self.deployment.warmup = warmup.max(Span::from_millis(1)).min(longest);
    }

    /// Faults keep their rules: all heal in time, the dead are not started again, nothing crashes that has no
    /// disk, and they are in the order of their beginnings.
    fn mend_faults(&mut self, scene: &Scene) {
        let (over, durability) = (scene.faults_over_after.0, self.deployment.durability);
        let is_refused = |kind: &FaultKind| {
            let is_lasting = durability == Durability::Memory;
            fault_mix::stops(kind, scene.dead)
                || is_lasting && matches!(kind, FaultKind::Crash { .. })
        };
        let is_allowed = |fault: &Fault| fault_mix::is_death(fault) || !is_refused(&fault.kind);
        self.faults.retain(is_allowed);
        self.faults.truncate(FAULTS_MAX);
        if self.faults.iter().any(|fault| fault.kind.stopped().is_some()) {
            // A crash takes back more than a small horizon reaches.
            self.bounds.horizon = Bounds::USUAL.horizon;
        }
        for Fault { at, heals_after, .. } in &mut self.faults {
            at.0 = at.0.min(over.saturating_sub(1));
            if let Some(heals_after) = heals_after {
                heals_after.0 = heals_after.0.min(over - at.0).max(1);
            }
        }
        self.faults.sort_by_key(|fault| fault.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{Guidance, Search, run, run_traced, shrink};
    use crate::quorum::NodeSet;
    use crate::sabotage::Rule;

    fn cases(count: u32) -> impl Iterator<Item = Case> {
        (0..count).map(|number| {
            let address = (0..6).fold(Address::from(u64::from(number)), |address, place| {
                address.mutated(number * 6 + place)
            });
            Case::of(&address, &Limits::default())
        })
    }

    #[test]
    fn a_mutated_case_keeps_what_every_case_keeps() {
        let mut changed = 0;
        for case in cases(200) {
            let drawn = Case::draw(case.address.seed, &Limits::default());
            changed += usize::from(case.faults != drawn.faults);
            let quorums = &case.deployment.quorums;
            assert!(quorums.disjoint().is_none() && quorums.survives(case.dead), "{case}");
            assert!(case.faults.is_sorted_by_key(|fault| fault.at), "{case}");
            let members = NodeSet::all(quorums.n());
            for Fault { at, kind, heals_after } in &case.faults {
                let is_campaign = matches!(kind, FaultKind::Campaign { .. });
                let is_last = heals_after.is_none() && !is_campaign;
                let end = *at + heals_after.unwrap_or_default();
                assert!(end <= case.faults_over_after, "{case}");
                assert!(!is_last || kind.stopped().is_some_and(|id| case.dead.contains(*id)));
                assert!(is_last || !fault_mix::stops(kind, case.dead), "{case}");
                assert!(kind.stopped().is_none_or(|id| members.contains(*id)), "{case}");
                let has_disk = case.deployment.durability == Durability::Fsync;
                assert!(has_disk || kind.stopped().is_none(), "{case}");
            }
        }
        assert!(changed > 150, "{changed}");
    }

    #[test]
    fn an_address_is_one_case_and_one_run() {
        for case in cases(3) {
            let again = Case::of(&case.address, &Limits::default());
            assert_eq!(format!("{case:?}"), format!("{again:?}"));
            assert_eq!(run_traced(&case).trace, run_traced(&again).trace);
        }
    }

    #[test]
    fn a_mutated_case_that_fails_runs_again_and_is_shrunk() {
        let limits = Limits { rule: Some(Rule::ForgetsPromise), ..Limits::default() };
        let search = Search {
            seeds: 0..128,
            limits: limits.clone(),
            is_to_go_on: true,
            threads: 2,
            guidance: Guidance::Corpus,
        };
        let found = search.run(&|_| false).unwrap();
        let mut mutated = found.violations.iter().filter(|it| !it.address.mutations.is_empty());
        let failed = mutated.next().unwrap();
        let case = Case::of(&failed.address, &limits);
        let ran = run(&case);
        assert_eq!(ran.violation.as_ref(), Some(&failed.violation));
        let shrunk = shrink(&case, ran, failed.violation.invariant);
        assert!(shrunk.case.faults.len() <= case.faults.len());
        assert_eq!(shrunk.ran.violation.unwrap().invariant, failed.violation.invariant);
    }
}
