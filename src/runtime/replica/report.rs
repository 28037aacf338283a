//! What a replica says of itself: while it runs, when it starts, and at its end.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::command::ClientId;
use crate::deployment::MemberName;
use crate::measure::PhaseRecording;
use crate::protocol::Progress;
use crate::quorum::NodeId;
use crate::runtime::storage::Tail;
use crate::time::Span;

/// What others may look at while the replica runs.
#[derive(Debug, Default)]
pub struct Status {
    /// [`Protocol::progress`](crate::protocol::Protocol::progress).
    pub executed_below: AtomicU64,
    /// [`Protocol::leadership`](crate::protocol::Protocol::leadership): zero if it does not lead.
    pub leadership: AtomicU64,
    /// [`Protocol::announced`](crate::protocol::Protocol::announced) as the bits of a set: zero if none is.
    pub announced: AtomicU64,
    /// It is to campaign.
    pub campaign: AtomicBool,
    /// It is to stop.
    pub finish: AtomicBool,
    /// Every sync of the acceptor's log takes so much longer, from the next one on.
    pub slow_disk_ns: Arc<AtomicU64>,
    /// The disk of the acceptor's log has no room.
    pub is_disk_full: Arc<AtomicBool>,
    /// Whose messages are being handled: [`NOBODY`], a replica's number, or a client's behind those.
    handling: AtomicU64,
    /// What peers sent that is impossible, and nobody was told of yet.
    offences: Mutex<Vec<Offence>>,
    /// Wakes the loop to look at `finish`.
    pub waker: atomic_waker::AtomicWaker,
}

/// No peer's messages are being handled.
const NOBODY: u64 = 0;
/// The number of the first client; those of replicas begin at 1.
const CLIENTS: u64 = 1 << 32;

/// A peer that sent what nobody sends who follows the protocol, and was dropped for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offence {
    /// Who.
    pub member: String,
    /// What it sent, cut to a readable length.
    pub message: String,
    /// Why that is impossible.
    pub reason: String,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { member, message, reason } = self;
        write!(f, "{member} sent `{message}`, which is impossible ({reason}); it was dropped")
    }
}

impl Offence {
    /// What a member sent, and why it is impossible.
    pub fn new(member: MemberName, message: &impl fmt::Display, reason: String) -> Self {
        const LONGEST: usize = 200;
        let message = message.to_string().chars().take(LONGEST).collect();
        Self { member: member.to_string(), message, reason }
    }
}

impl Status {
    /// Tells the replica to lead.
    pub fn campaign(&self) {
        self.campaign.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Asks the loop to end.
    pub fn finish(&self) {
        self.finish.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// From the next sync on, every one takes this much longer.
    pub fn set_slow(&self, by: Span) {
        self.slow_disk_ns.store(by.0, Ordering::Relaxed);
    }

    /// From now on the disk is full, or has room.
    pub fn set_disk_full(&self, is_full: bool) {
        self.is_disk_full.store(is_full, Ordering::Relaxed);
    }

    /// Whose message was being handled when the loop was last seen, if any.
    pub fn handling(&self) -> Option<MemberName> {
        let number = self.handling.load(Ordering::Relaxed);
        let client = |number| Some(MemberName::Client(ClientId(u32::try_from(number).ok()?)));
        let replica = |number| Some(MemberName::Replica(NodeId(u8::try_from(number).ok()?)));
        match number {
            NOBODY => None,
            CLIENTS.. => client(number - CLIENTS),
            _ => replica(number - 1),
        }
    }

    /// Offences since the last call.
    pub fn take_offences(&self) -> Vec<Offence> {
        std::mem::take(&mut *self.offences())
    }

    pub(super) fn offend(&self, offence: Offence) {
        self.offences().push(offence);
    }

    pub(super) fn handle(&self, member: Option<MemberName>) {
        let number = match member {
            None => NOBODY,
            Some(MemberName::Replica(NodeId(id))) => u64::from(id) + 1,
            Some(MemberName::Client(ClientId(id))) => u64::from(id) + CLIENTS,
        };
        self.handling.store(number, Ordering::Relaxed);
    }

    // Whoever panicked while it held them left them whole.
    fn offences(&self) -> MutexGuard<'_, Vec<Offence>> {
        self.offences.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was found on disk when the replica started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Groups of records behind the last checkpoint.
    pub group_count: usize,
    /// Whether there was a checkpoint.
    pub has_checkpoint: bool,
    /// How the log ended.
    pub tail: Tail,
    /// How far it had executed.
    pub progress: Progress,
}

/// What a replica has to say at the end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Time spent in each phase by the commands it proposed, and what else it said of its work.
    pub phases: PhaseRecording,
    /// Frames that did not decode.
    pub undecodable_count: u64,
    /// Frames dropped because a peer did not read.
    pub dropped_count: u64,
    /// Syncs of the acceptor's log.
    pub sync_count: u64,
    /// The most bytes that the acceptor's log and its checkpoints had on disk; `None` without a disk.
    pub disk_peak_bytes: Option<u64>,
    /// [`Protocol::progress`](crate::protocol::Protocol::progress).
    pub executed_below: u64,
    /// Peers that were dropped for what they sent.
    pub offence_count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_message_is_handled_is_told() {
        let status = Status::default();
        assert_eq!(status.handling(), None);
        for name in ["r0", "r63", "c0", "c4000000000"] {
            let member = MemberName::parse(name);
            assert!(member.is_some());
            status.handle(member);
            assert_eq!(status.handling(), member);
        }
        status.handle(None);
        assert_eq!(status.handling(), None);
    }

    #[test]
    fn an_offence_is_told_once_and_in_one_sentence() {
        let status = Status::default();
        let member = MemberName::Replica(NodeId(2));
        status.offend(Offence::new(member, &"x".repeat(10_000), "too long".into()));
        let told = status.take_offences();
        assert!(told[0].to_string().starts_with("r2 sent `xxx"), "{}", told[0]);
        assert!(told[0].to_string().len() < 300 && status.take_offences().is_empty());
    }
}
