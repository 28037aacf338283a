//! How one leader followed another after a fault, from what all replicas said.
//!
//! | from | to | is |
//! |---|---|---|
//! | fault | first suspicion by anybody | first suspected |
//! | fault | first suspicion by the new leader | detection |
//! | that | its last campaign before it leads | election: asking the others, and backing off |
//! | the Phase1a | the phase-1 quorum | phase 1, as it says itself |
//! | the phase-1 quorum | all adopted and filled slots executed | transfer, as it says itself |
//! | the phase-1 quorum | its first command executed | first commit |
//!
//! The new leader is the first that leads in the reach of the fault and commits; where none commits, the
//! last that leads. One that leads again is a new one too: it has a new ballot.

use std::collections::BTreeMap;

use crate::measure::{Milestone, Step, Window};
use crate::quorum::NodeId;
use crate::time::{Span, Time};

/// What each replica said of leadership, in its order.
pub(super) type Milestones = BTreeMap<NodeId, Vec<Milestone>>;

/// What became of leadership after a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeaderChanges {
    pub(super) first_suspected: Option<Span>,
    /// Campaigns begun by anybody until somebody led, or at all.
    pub(super) attempt_count: u64,
    pub(super) successor: Option<Successor>,
}

/// A new leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Successor {
    pub(super) leader: NodeId,
    pub(super) led_at: Time,
    pub(super) detection: Option<Span>,
    pub(super) election: Option<Span>,
    pub(super) phase1: Span,
    pub(super) adopted_count: u64,
    pub(super) filled_count: u64,
    pub(super) transfer: Option<Span>,
    pub(super) first_commit: Option<Span>,
}

impl LeaderChanges {
    /// After the fault at the beginning of `reach`.
    pub(super) fn of(milestones: &Milestones, reach: Window) -> Self {
        let mut successors: Vec<Successor> = milestones
            .iter()
            .flat_map(|(replica, said)| successors(*replica, said, reach))
            .collect();
        successors.sort_by_key(|successor| successor.led_at);
        let commits = successors.iter().find(|successor| successor.first_commit.is_some());
        let successor = commits.or(successors.last()).copied();
        let until = successor.map_or(reach.to, |successor| successor.led_at);
        let within = |at: Time| reach.from <= at && at <= until;
        let all = || milestones.values().flatten().filter(|said| within(said.at));
        let suspected = all().filter(|said| matches!(said.step, Step::Suspected { .. }));
        Self {
            first_suspected: suspected.map(|said| said.at.since(reach.from)).min(),
            attempt_count: all().filter(|said| said.step == Step::Campaigning).count() as u64,
            successor,
        }
    }
}

/// Who leads at this instant, as far as leaders say themselves: the last to say so.
pub(super) fn leader_at(milestones: &Milestones, at: Time) -> Option<NodeId> {
    let last = |(replica, said): (&NodeId, &Vec<Milestone>)| {
        let says = |said: &&Milestone| {
            said.at <= at && matches!(said.step, Step::Leading { .. } | Step::Resigned)
        };
        let last = said.iter().rfind(says)?;
        matches!(last.step, Step::Leading { .. }).then_some((last.at, *replica))
    };
    milestones.iter().filter_map(last).max().map(|(_, replica)| replica)
}

/// Since when this replica leads at this instant, as it says itself.
pub(super) fn led_since(milestones: &Milestones, leader: NodeId, at: Time) -> Option<Time> {
    let said = milestones.get(&leader)?.iter();
    let led = said.filter(|said| said.at <= at && matches!(said.step, Step::Leading { .. }));
    led.map(|said| said.at).next_back()
}

/// Each time that one replica became leader in the reach of a fault.
fn successors(
    leader: NodeId,
    said: &[Milestone],
    reach: Window,
) -> impl Iterator<Item = Successor> + '_ {
    let led = said.iter().enumerate().filter(move |(_, said)| reach.contains(said.at));
    led.filter_map(move |(index, milestone)| {
        let Step::Leading { phase1, adopted_count, filled_count } = milestone.step else {
            return None;
        };
        let led_at = milestone.at;
        let before = || said[..index].iter().filter(move |said| said.at >= reach.from);
        let is_suspicion = |said: &&Milestone| matches!(said.step, Step::Suspected { .. });
        let suspected_at = before().find(is_suspicion).map(|said| said.at);
        let campaign = before().rfind(|said| said.step == Step::Campaigning);
        let reign = said[index + 1..].iter();
        let reign = reign.take_while(|said| !matches!(said.step, Step::Leading { .. }));
        let transfer = reign.clone().find_map(|said| match said.step {
            Step::Recovered { transfer } => Some(transfer),
            _ => None,
        });
        let first = reign.clone().find(|said| said.step == Step::Committing);
        Some(Successor {
            leader,
            led_at,
            detection: suspected_at.map(|at| at.since(reach.from)),
            election: suspected_at
                .zip(campaign)
                .filter(|(suspected_at, campaign)| campaign.at >= *suspected_at)
                .map(|(suspected_at, campaign)| campaign.at.since(suspected_at)),
            phase1,
            adopted_count,
            filled_count,
            transfer,
            first_commit: first.map(|said| said.at.since(led_at)),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: Window = Window { from: Time(1_000), to: Time(9_000) };

    fn leading(phase1: u64) -> Step {
        Step::Leading { phase1: Span(phase1), adopted_count: 3, filled_count: 1 }
    }

    fn suspected() -> Step {
        Step::Suspected { silence: Span(500) }
    }

    /// What each of r0, r1 and so on said, and when.
    fn milestones(said: &[&[(u64, Step)]]) -> Milestones {
        let of = |steps: &&[(u64, Step)]| {
            steps.iter().map(|(at, step)| Milestone { at: Time(*at), step: *step }).collect()
        };
        (0..).map(NodeId).zip(said.iter().map(of)).collect()
    }

    const R0_LED: &[(u64, Step)] = &[
        (10, Step::Leading { phase1: Span(5), adopted_count: 0, filled_count: 0 }),
        (20, Step::Committing),
    ];

    #[test]
    fn two_suspect_and_one_of_them_leads() {
        let said = milestones(&[
            R0_LED,
            &[(1_400, suspected()), (2_300, Step::Following { leader: NodeId(2) })],
            &[
                (1_500, suspected()),
                (1_700, Step::Campaigning),
                (2_200, leading(500)),
                (2_450, Step::Recovered { transfer: Span(250) }),
                (2_500, Step::Committing),
                (5_000, Step::Resigned),
            ],
        ]);
        let expected = Successor {
            leader: NodeId(2),
            led_at: Time(2_200),
            detection: Some(Span(500)),
            election: Some(Span(200)),
            phase1: Span(500),
            adopted_count: 3,
            filled_count: 1,
            transfer: Some(Span(250)),
            first_commit: Some(Span(300)),
        };
        let found = LeaderChanges::of(&said, REACH);
        assert_eq!(found.successor, Some(expected));
        assert_eq!((found.first_suspected, found.attempt_count), (Some(Span(400)), 1));
        assert_eq!(leader_at(&said, REACH.from), Some(NodeId(0)));
        assert_eq!(leader_at(&said, Time(3_000)), Some(NodeId(2)));
        // The old one never said that it resigned: it was killed.
        assert_eq!(leader_at(&said, REACH.to), Some(NodeId(0)));
        assert_eq!(leader_at(&said, Time(5)), None);
    }

    #[test]
    fn who_leads_and_commits_nothing_is_passed_over_for_who_does() {
        let said = milestones(&[
            R0_LED,
            &[(1_400, suspected()), (1_500, Step::Campaigning), (1_900, leading(400))],
            &[
                (1_600, suspected()),
                (1_650, Step::Campaigning),
                (2_000, Step::Campaigning),
                (2_600, leading(600)),
                (2_700, Step::Committing),
            ],
        ]);
        let found = LeaderChanges::of(&said, REACH);
        let successor = found.successor.unwrap();
        assert_eq!((successor.leader, found.attempt_count), (NodeId(2), 3));
        // Its second campaign was the one that counted.
        assert_eq!((successor.detection, successor.election), (Some(Span(600)), Some(Span(400))));
        let without = milestones(&[
            R0_LED,
            &said[&NodeId(1)].iter().map(|said| (said.at.0, said.step)).collect::<Vec<_>>(),
        ]);
        let found = LeaderChanges::of(&without, REACH).successor.unwrap();
        assert_eq!((found.leader, found.first_commit), (NodeId(1), None));
    }

    #[test]
    fn a_leader_that_comes_back_leads_without_a_suspicion() {
        let said = milestones(&[&[
            (10, leading(5)),
            (20, Step::Committing),
            (3_500, leading(1_200)),
            (3_900, Step::Committing),
        ]]);
        let found = LeaderChanges::of(&said, REACH);
        let successor = found.successor.unwrap();
        assert_eq!((successor.leader, successor.phase1), (NodeId(0), Span(1_200)));
        assert_eq!((successor.detection, successor.election), (None, None));
        assert_eq!((found.first_suspected, found.attempt_count), (None, 0));
        assert_eq!(successor.first_commit, Some(Span(400)));
    }

    #[test]
    fn nobody_leads_though_they_try() {
        let tries = [(1_500, suspected()), (1_600, Step::Campaigning), (4_000, Step::Campaigning)];
        let said = milestones(&[R0_LED, &tries]);
        let found = LeaderChanges::of(&said, REACH);
        assert_eq!(found.successor, None);
        assert_eq!((found.first_suspected, found.attempt_count), (Some(Span(500)), 2));
    }

    #[test]
    fn a_follower_that_dies_unseats_nobody_and_what_comes_later_is_of_the_next_fault() {
        let said = milestones(&[R0_LED, &[(9_000, leading(1))]]);
        assert_eq!(LeaderChanges::of(&said, REACH), LeaderChanges::default());
    }
}
