//! After the faults: an operation takes as long as the replicas that are up allow, and no longer.
//!
//! A run in which everything is answered may still be a slow one for ever: a leader that an acceptor
//! refuses, or that waits for a replica which is dead, answers each write late.
//! So when all is quiet a client asks for one operation after the other.
//! What each may take is its floor over the replicas that are up, and some work.
//! The first ones may take longer: it is by them that a leader finds out who votes.

use super::case::ms;
use super::trial::{LOOK_EVERY, PATIENCE, Trial};
use crate::command::ClientId;
use crate::history::Kind;
use crate::monitor::{Finding, Invariant};
use crate::protocol::Protocol;
use crate::quorum::{NodeId, NodeSet};
use crate::registry::Registration;
use crate::sabotage::Saboteur;
use crate::time::Span;
use crate::topology::Site;

/// So many operations in a row must be as fast as they can be: one may be so by chance.
const IN_A_ROW: u32 = 3;

/// Within so many.
const OPERATIONS: u32 = 40;

/// Who asks.
const CLIENT: ClientId = ClientId(0);

impl<P: Registration> Trial<'_, P> {
    /// Asks until operations are as fast as they can be.
    pub(super) fn recover(&mut self) -> Result<(), Finding> {
        let Some(work) = self.case.work() else { return Ok(()) };
        let pause = LOOK_EVERY.max(self.case.timing.retransmit_after.times(2));
        let (mut in_a_row, mut last) = (0, String::new());
        let mut count = 0;
        while count < OPERATIONS {
            let Some((kind, took)) = self.ask_another()? else { return Ok(()) };
            if kind == Kind::Read && self.case.deployment.mode.reads_beside() {
                // It has another way, and is over when the write before it is known everywhere.
                continue;
            }
            count += 1;
            let floor = self.floor();
            let is_fast = floor.is_some_and(|(_, floor)| took <= floor + work);
            in_a_row = if is_fast { in_a_row + 1 } else { 0 };
            if in_a_row == IN_A_ROW {
                return Ok(());
            }
            last = match floor {
                None => format!("{}, and nobody leads", ms(took)),
                Some((leader, floor)) => {
                    format!("{} with {leader}, whose floor is {}", ms(took), ms(floor))
                }
            };
            let now = self.world.now();
            self.world.run_until(now + pause);
            self.supervise();
        }
        let sentence = format!("the last of {OPERATIONS} operations after the faults took {last}");
        Err(Finding::new(Invariant::Recovery, sentence))
    }

    /// How long one operation takes, and of which kind it is; `None` if an assertion breaks.
    fn ask_another(&mut self) -> Result<Option<(Kind, Span)>, Finding> {
        let asked_at = self.world.now();
        let kind = self.world.issue_another(CLIENT);
        while self.world.violation().is_none() {
            let now = self.world.now();
            if self.observation.look(|observation| observation.watch.outstanding().is_empty()) {
                let answered_at = self.observation.look(|observation| observation.answered_at);
                return Ok(Some((kind, answered_at.since(asked_at))));
            }
            if now >= asked_at + PATIENCE {
                return Err(self.stalled(false));
            }
            self.supervise();
            self.world.run_until(now + LOOK_EVERY);
        }
        Ok(None)
    }

    /// Who leads, and the least time of an operation: to the leader and back, and from there to the
    /// nearest phase-2 quorum of those that are up and to every responder.
    fn floor(&self) -> Option<(NodeId, Span)> {
        let leads = |(id, it): (NodeId, &Saboteur<P>)| Some((it.leadership()?, id));
        let (_, leader) = self.alive().filter_map(leads).max()?;
        let deployment = &self.case.deployment;
        let links = &deployment.links;
        let distance = |id: NodeId| {
            let round_trip = links.round_trip(Site::Replica(leader), Site::Replica(id));
            if id == leader { Span::ZERO } else { round_trip }
        };
        let mut near: Vec<(Span, NodeId)> =
            self.alive().map(|(id, _)| (distance(id), id)).collect();
        near.sort_unstable();
        let live: NodeSet = near.iter().map(|(_, id)| *id).collect();
        let responders = deployment.mode.responders().unwrap_or_default().intersection(live);
        let mut met = NodeSet::EMPTY;
        let (phase2, _) = near.into_iter().find(|(_, id)| {
            met.insert(*id);
            deployment.quorums.is_phase2(met) && responders.is_subset(met)
        })?;
        let client = Site::Client(CLIENT.0 as usize);
        // A new leader may take up stamps that are ahead of its clock by twice the bound, and its clock may be set
        // back by as much.
        let wait = deployment.mode.commit_wait().map_or(Span::ZERO, |bound| bound.times(6));
        let phase2 = phase2.max(wait);
        Some((leader, phase2 + links.round_trip(client, Site::Replica(leader))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Case, Limits, run};
    use super::*;
    use crate::deployment::{Durability, Fault, FaultKind, Network, Unsynced};
    use crate::quorum::QuorumSystem;
    use crate::registry::Mode;
    use crate::sabotage::Rule;
    use crate::sim::Service;

    /// Five replicas, led by r0, without cost or loss: r4 is told to lead while it reaches r1 alone, and
    /// crashes; so r1 has promised a candidate that came to nothing.
    fn refused(seed: u64, rule: Option<Rule>) -> Case {
        let (protocol, replicas) = (Some("multi"), 5..6);
        let mut case = Case::draw(seed, &Limits { protocol, replicas, rule });
        case.deployment.quorums = QuorumSystem::majority(5);
        case.deployment.network = Network::default();
        case.settings.service = Service::default();
        case.deployment.mode = Mode::multi(NodeId(0));
        case.deployment.durability = Durability::Fsync;
        case.triggered.clear();
        (case.dead, case.candidate) = (NodeSet::EMPTY, NodeId(0));
        let fault = |at_ms, kind, lasts_ms: Option<u64>| Fault {
            at: Span::from_millis(at_ms),
            kind,
            heals_after: lasts_ms.map(Span::from_millis),
        };
        let (replica, unsynced) = (NodeId(4), Unsynced::Lost);
        let to = [0, 2, 3].map(NodeId).into_iter().collect();
        case.faults = vec![
            fault(1, FaultKind::Cut { from: NodeSet::only(replica), to }, Some(600)),
            fault(2, FaultKind::Campaign { replica }, None),
            fault(150, FaultKind::Crash { replica, unsynced }, Some(400)),
        ];
        case.faults_over_after = Span::from_millis(700);
        case
    }

    #[test]
    fn a_leader_that_is_refused_for_ever_stays_slow_and_is_found() {
        let shows = |seed: &u64| {
            let violation = run(&refused(*seed, Some(Rule::NeverRenews))).violation;
            violation.is_some_and(|violation| violation.invariant == Invariant::Recovery)
        };
        let seeds: Vec<u64> = (0..30).filter(shows).collect();
        assert!(
            seeds.len() > 2,
            "the acceptor that refuses is near in some of thirty seeds: {seeds:?}"
        );
        for seed in seeds {
            assert_eq!(run(&refused(seed, None)).violation, None, "seed {seed}");
        }
    }
}
