//! Where the time of a commit goes at the leader: queueing, phase 1, phase 2, persist, reply, commit wait.

use serde::{Deserialize, Serialize};

use super::milestones::{Milestone, Milestones};
use super::samples::{Packed, Samples};
use super::{Error, Latencies, Window};
use crate::protocol::Note;
use crate::time::{Span, Time};

/// A part of the work of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// From a command's arrival to its first message.
    Queueing,
    /// From the Phase1a to the phase-1 quorum.
    Phase1,
    /// From the Phase2a to the phase-2 quorum.
    Phase2,
    /// From the hand-over of a batch of records until it is durable.
    Persist,
    /// From chosen to executed.
    Reply,
    /// From executed to told, where leaders wait for their clock.
    CommitWait,
}

impl Phase {
    /// All of them, in the order of a commit.
    pub const ALL: [Self; 6] =
        [Self::Queueing, Self::Phase1, Self::Phase2, Self::Persist, Self::Reply, Self::CommitWait];

    /// The name in rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queueing => "queueing",
            Self::Phase1 => "phase1",
            Self::Phase2 => "phase2",
            Self::Persist => "persist",
            Self::Reply => "reply",
            Self::CommitWait => "commit_wait",
        }
    }
}

/// Records what one replica says about its work.
///
/// Only what happens in the window counts, but for a [`Milestone`] and for snapshots: what is said of leadership is kept
/// whenever it is, because it mostly is before the window or after a fault.
#[derive(Debug)]
pub struct PhaseRecorder {
    window: Window,
    phases: [Samples; 6],
    milestones: Milestones,
    race_lost_count: u64,
    retransmitted_count: u64,
    snapshot_sent_count: u64,
    snapshot_installed_count: u64,
}

impl PhaseRecorder {
    /// Nothing recorded.
    pub fn new(window: Window) -> Self {
        Self {
            window,
            phases: std::array::from_fn(|_| Samples::new()),
            milestones: Milestones::default(),
            race_lost_count: 0,
            retransmitted_count: 0,
            snapshot_sent_count: 0,
            snapshot_installed_count: 0,
        }
    }

    /// The replica said something, `now`; the milestone, if it is one that is kept.
    #[inline]
    pub fn note(&mut self, now: Time, note: &Note) -> Option<Milestone> {
        self.snapshot_sent_count += u64::from(matches!(note, Note::SnapshotSent));
        self.snapshot_installed_count += u64::from(matches!(note, Note::SnapshotInstalled { .. }));
        if self.window.contains(now) {
            self.count(note);
        }
        self.milestones.note(now, note)
    }

    #[inline]
    fn count(&mut self, note: &Note) {
        match *note {
            Note::Committed { queueing, phase1, phase2, reply } => {
                self.phases[Phase::Queueing as usize].record(queueing);
                if let Some(phase1) = phase1 {
                    self.phases[Phase::Phase1 as usize].record(phase1);
                }
                self.phases[Phase::Phase2 as usize].record(phase2);
                self.phases[Phase::Reply as usize].record(reply);
            }
            Note::Waited { wait } => self.phases[Phase::CommitWait as usize].record(wait),
            Note::Leading { phase1, .. } => self.phases[Phase::Phase1 as usize].record(phase1),
            Note::Suspected { .. }
            | Note::Campaigning
            | Note::Following { .. }
            | Note::Recovered { .. }
            | Note::Resigned
            | Note::SnapshotSent
            | Note::SnapshotInstalled { .. } => {}
            Note::RaceLost => self.race_lost_count += 1,
            Note::Retransmitted => self.retransmitted_count += 1,
        }
    }

    /// A batch of records became durable, `now`, after `took`.
    #[inline]
    pub fn persisted(&mut self, now: Time, took: Span) {
        if self.window.contains(now) {
            self.phases[Phase::Persist as usize].record(took);
        }
    }

    /// All of it, as it travels.
    pub fn finish(self) -> PhaseRecording {
        let encoded = |phase: Phase| {
            let samples = &self.phases[phase as usize];
            (!samples.is_empty()).then(|| (phase, samples.pack()))
        };
        let phases = Phase::ALL.into_iter().filter_map(encoded).collect();
        let (milestones, omitted_count) = self.milestones.finish();
        PhaseRecording {
            phases,
            milestones,
            omitted_count,
            race_lost_count: self.race_lost_count,
            retransmitted_count: self.retransmitted_count,
            snapshot_sent_count: self.snapshot_sent_count,
            snapshot_installed_count: self.snapshot_installed_count,
        }
    }
}

/// What one replica said about its work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseRecording {
    phases: Vec<(Phase, Packed)>,
    /// What it said of leadership, in the order in which it did.
    pub milestones: Vec<Milestone>,
    /// How many of these were not kept, because there were too many.
    pub omitted_count: u64,
    /// How often another proposer took a slot.
    pub race_lost_count: u64,
    /// How often it sent messages again after a time-out.
    pub retransmitted_count: u64,
    /// How often it sent its state to one that was behind, in the window or not.
    pub snapshot_sent_count: u64,
    /// How often it took the state of another one, in the window or not.
    pub snapshot_installed_count: u64,
}

impl PhaseRecording {
    /// The latencies of one phase; empty where it did not happen.
    pub fn latencies(&self, phase: Phase) -> Result<Latencies, Error> {
        match self.phases.iter().find(|(found, _)| *found == phase) {
            Some((_, packed)) => packed.latencies(),
            None => Ok(Latencies::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_in_the_window_are_recorded_and_travel() {
        let mut recorder = PhaseRecorder::new(Window { from: Time(100), to: Time(200) });
        let committed =
            |phase1| Note::Committed { queueing: Span(1), phase1, phase2: Span(3), reply: Span(4) };
        let leading = Note::Leading { phase1: Span(9), adopted_count: 1, filled_count: 2 };
        recorder.note(Time(50), &leading);
        recorder.note(Time(99), &committed(None));
        recorder.note(Time(100), &committed(None));
        recorder.note(Time(101), &committed(Some(Span(2))));
        recorder.note(Time(150), &Note::Waited { wait: Span(6) });
        recorder.note(Time(150), &Note::RaceLost);
        recorder.note(Time(150), &Note::Retransmitted);
        recorder.note(Time(250), &Note::Retransmitted);
        recorder.persisted(Time(150), Span(77));
        recorder.persisted(Time(250), Span(78));
        let bytes = postcard::to_stdvec(&recorder.finish()).unwrap();
        let recording: PhaseRecording = postcard::from_bytes(&bytes).unwrap();
        let found = Phase::ALL.map(|phase| {
            let latencies = recording.latencies(phase).unwrap();
            (phase.name(), latencies.count(), latencies.max().map(|max| max.0))
        });
        assert_eq!(
            found,
            [
                ("queueing", 2, Some(1)),
                ("phase1", 1, Some(2)),
                ("phase2", 2, Some(3)),
                ("persist", 1, Some(77)),
                ("reply", 2, Some(4)),
                ("commit_wait", 1, Some(6)),
            ]
        );
        assert_eq!((recording.race_lost_count, recording.retransmitted_count), (1, 1));
        assert_eq!((recording.milestones.len(), recording.omitted_count), (2, 0));
    }

    #[test]
    fn a_phase_that_did_not_happen_is_empty() {
        let recorder = PhaseRecorder::new(Window { from: Time(0), to: Time(1) });
        assert!(recorder.finish().latencies(Phase::Persist).unwrap().is_empty());
    }
}
