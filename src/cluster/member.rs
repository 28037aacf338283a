//! What the coordinator knows of one member.

use std::net::{IpAddr, SocketAddr};

use quinn::SendStream;

use super::clocks::MemberClock;
use super::reception::Session;
use super::wire::Status;

/// What is known of one member.
#[derive(Debug, Default)]
pub(super) struct Member {
    /// Its connection; none while it is not there.
    pub(super) session: Option<Session>,
    pub(super) send: Option<SendStream>,
    /// From where it dialled.
    pub(super) seen_at: Option<IpAddr>,
    /// This process of it was told what it is part of.
    pub(super) is_assigned: bool,
    /// Where it is for the others; none until it is ready to run.
    pub(super) address: Option<SocketAddr>,
    pub(super) status: Status,
    /// Of one on another host.
    pub(super) clock: MemberClock,
    /// Its peers with a stream, once it was asked for them.
    pub(super) connected: Option<Vec<String>>,
    pub(super) has_reported: bool,
    pub(super) file_count: usize,
    pub(super) presence: Presence,
}

/// Whether a member is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is, or is about to join.
    #[default]
    Expected,
    /// It was killed on purpose.
    Down,
    /// It was killed on purpose, started again, and is to come back.
    Returning,
    /// It is lost for good.
    Lost,
}

impl Member {
    pub(super) fn is_expected(&self) -> bool {
        self.presence == Presence::Expected
    }

    /// Changes whether it is there; who is lost stays so.
    pub(super) fn turn(&mut self, presence: Presence) {
        if self.presence != Presence::Lost {
            self.presence = presence;
        }
    }
}
