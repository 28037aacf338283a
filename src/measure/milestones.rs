//! What one replica says of leadership, with its instants: what a recovery is put together from.
//!
//! All else that a replica says is counted or timed in bulk; this is rare, and kept one by one.
//! There is a cap, because two proposers that depose one another for a whole trial would say it
//! thousands of times: what is beyond it is counted, and no more.

use serde::{Deserialize, Serialize};

use crate::protocol::Note;
use crate::quorum::NodeId;
use crate::time::{Span, Time};

/// How many are kept of one start of a replica: an election says about five.
const CAP: usize = 1024;

/// Something that a replica said of leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Milestone {
    /// When.
    pub at: Time,
    /// What.
    pub step: Step,
}

/// A step from one leader to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Step {
    /// It has heard of no leader for longer than its time-out.
    Suspected {
        /// Since it last heard of one.
        silence: Span,
    },
    /// It begins phase 1 over all slots.
    Campaigning,
    /// Phase 1 over all slots succeeded.
    Leading {
        /// From the Phase1a to the phase-1 quorum.
        phase1: Span,
        /// Slots whose reported value was proposed again.
        adopted_count: u64,
        /// Slots without a reported value that got a no-op.
        filled_count: u64,
    },
    /// The first command that it proposed as leader is executed.
    Committing,
    /// It takes another replica for the leader than before.
    Following {
        /// Which.
        leader: NodeId,
    },
    /// Everything that was adopted or filled when it became leader is executed.
    Recovered {
        /// Since the phase-1 quorum.
        transfer: Span,
    },
    /// It gives its leadership up.
    Resigned,
}

/// Keeps what one replica says of leadership.
#[derive(Debug, Default)]
pub(super) struct Milestones {
    kept: Vec<Milestone>,
    omitted_count: u64,
    /// It leads, and has committed nothing since.
    is_first_awaited: bool,
}

impl Milestones {
    /// The replica said something, `now`; the milestone, if it is one and is kept.
    #[inline]
    pub(super) fn note(&mut self, now: Time, note: &Note) -> Option<Milestone> {
        let step = match *note {
            Note::Committed { .. } if self.is_first_awaited => Step::Committing,
            Note::Committed { .. }
            | Note::Waited { .. }
            | Note::RaceLost
            | Note::Retransmitted
            | Note::SnapshotSent
            | Note::SnapshotInstalled { .. } => return None,
            Note::Leading { phase1, adopted_count, filled_count } => {
                Step::Leading { phase1, adopted_count, filled_count }
            }
            Note::Suspected { silence } => Step::Suspected { silence },
            Note::Campaigning => Step::Campaigning,
            Note::Following { leader } => Step::Following { leader },
            Note::Recovered { transfer } => Step::Recovered { transfer },
            Note::Resigned => Step::Resigned,
        };
        self.is_first_awaited = match step {
            Step::Leading { .. } => true,
            Step::Committing | Step::Resigned => false,
            _ => self.is_first_awaited,
        };
        self.keep(Milestone { at: now, step })
    }

    fn keep(&mut self, milestone: Milestone) -> Option<Milestone> {
        if self.kept.len() == CAP {
            self.omitted_count += 1;
            return None;
        }
        self.kept.push(milestone);
        Some(milestone)
    }

    /// What was kept, in the order in which it was said, and how much was not.
    pub(super) fn finish(self) -> (Vec<Milestone>, u64) {
        (self.kept, self.omitted_count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: Note =
        Note::Committed { queueing: Span(1), phase1: None, phase2: Span(3), reply: Span(4) };
    const LEADING: Note = Note::Leading { phase1: Span(9), adopted_count: 1, filled_count: 2 };

    fn kept(notes: &[Note]) -> Vec<Step> {
        let mut milestones = Milestones::default();
        (0..).zip(notes).for_each(|(at, note)| {
            milestones.note(Time(at), note);
        });
        milestones.finish().0.iter().map(|milestone| milestone.step).collect()
    }

    #[test]
    fn an_election_is_kept_step_by_step_with_the_first_commit_of_the_new_leader() {
        let silence = Span(7);
        let steps = kept(&[
            COMMITTED,
            Note::RaceLost,
            Note::Suspected { silence },
            Note::Campaigning,
            Note::Retransmitted,
            LEADING,
            Note::Recovered { transfer: Span(5) },
            COMMITTED,
            COMMITTED,
            Note::Following { leader: NodeId(2) },
        ]);
        let expected = [
            Step::Suspected { silence },
            Step::Campaigning,
            Step::Leading { phase1: Span(9), adopted_count: 1, filled_count: 2 },
            Step::Recovered { transfer: Span(5) },
            Step::Committing,
            Step::Following { leader: NodeId(2) },
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_leader_that_resigns_before_it_commits_has_no_first_commit() {
        let leading = Step::Leading { phase1: Span(9), adopted_count: 1, filled_count: 2 };
        assert_eq!(kept(&[LEADING, Note::Resigned, COMMITTED]), [leading, Step::Resigned]);
        assert_eq!(kept(&[LEADING, LEADING, COMMITTED]), [leading, leading, Step::Committing]);
    }

    #[test]
    fn what_is_beyond_the_cap_is_counted() {
        let mut milestones = Milestones::default();
        let told = (0..CAP as u64 + 3).filter(|at| {
            let note = Note::Campaigning;
            milestones.note(Time(*at), &note).is_some()
        });
        assert_eq!(told.count(), CAP);
        let (kept, omitted_count) = milestones.finish();
        assert_eq!((kept.len(), omitted_count), (CAP, 3));
    }
}
