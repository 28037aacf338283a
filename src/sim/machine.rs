//! One machine that all members share: its processors, and perhaps its disk.
//!
//! A member that has something to do waits for a processor, behind those that have waited for longer.
//! When it has one, it takes in everything that has arrived by then, works it off, sends, and gives the
//! processor back; nobody is interrupted.
//! So batches grow while processors are scarce, as those of live event loops do, and the fixed cost of a turn
//! is shared by more messages.
//!
//! It knows nothing of what members do, nor of the time: they say how long they keep a processor.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::settings::Service;
use crate::command::{Ask, ClientId};
use crate::quorum::NodeId;
use crate::time::Span;

/// A machine on which every member of a deployment runs, clients too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its processors, at least one; each carries one member at a time.
    pub cores: u16,
    /// What a turn costs beside the [`Service`] times of its messages.
    pub costs: Costs,
    /// Whether the logs of all replicas are on one disk, which syncs one of them at a time.
    pub one_disk: bool,
}

/// Processor time that a member of a shared machine takes beside that of each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    /// For a turn: somebody is woken up, and looks at what there is.
    pub wake_up: Span,
    /// For all that goes to one member in one turn, and again for all that is taken in from one in one turn:
    /// however many messages share a packet, it is sent and received once.
    pub packet: Span,
    /// For each sync of the disk.
    pub sync: Span,
}

impl Costs {
    /// What an otherwise idle path takes for one message, beside its [`Service`] times.
    pub(super) const fn hop(&self) -> Span {
        Span(self.wake_up.0 + 2 * self.packet.0)
    }
}

/// Who may have a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Replica(NodeId),
    Client(ClientId),
}

impl Member {
    /// Who asks.
    pub(super) const fn asking(ask: &Ask) -> Self {
        match ask {
            Ask::Command(command) => Self::Client(command.request.client),
            Ask::Control(request) => Self::Client(request.client),
        }
    }
}

/// Who has the processors and the disk of the machine, and who waits for them.
#[derive(Debug)]
pub(super) struct Machine {
    host: Host,
    idle_count: u16,
    /// The longest first.
    waiting: VecDeque<Member>,
    is_syncing: bool,
    waiting_for_disk: VecDeque<NodeId>,
    /// With whom the member whose turn is looked at has shared a packet in it.
    packets: Vec<Member>,
}

impl Machine {
    pub(super) const fn new(host: Host) -> Self {
        Self {
            host,
            idle_count: host.cores,
            waiting: VecDeque::new(),
            is_syncing: false,
            waiting_for_disk: VecDeque::new(),
            packets: Vec::new(),
        }
    }

    /// A member waits for a processor.
    pub(super) fn ask(&mut self, member: Member) {
        self.waiting.push_back(member);
    }

    /// A member waits no longer.
    pub(super) fn withdraw(&mut self, member: Member) {
        self.waiting.retain(|waiting| *waiting != member);
    }

    /// Gives an idle processor to whoever has waited for one the longest.
    pub(super) fn grant(&mut self) -> Option<Member> {
        if self.idle_count == 0 {
            return None;
        }
        let member = self.waiting.pop_front()?;
        self.idle_count -= 1;
        Some(member)
    }

    /// A processor is given back.
    pub(super) fn release(&mut self) {
        self.idle_count += 1;
        assert!(self.idle_count <= self.host.cores, "a processor was given back twice");
    }

    /// Whether a replica may sync now; if not, it waits.
    pub(super) fn ask_for_disk(&mut self, replica: NodeId) -> bool {
        if !self.host.one_disk {
            return true;
        }
        if !self.is_syncing && self.waiting_for_disk.is_empty() {
            self.is_syncing = true;
            return true;
        }
        if !self.waiting_for_disk.contains(&replica) {
            self.waiting_for_disk.push_back(replica);
        }
        false
    }

    /// Gives an idle disk to the replica that has waited for it the longest.
    pub(super) fn grant_disk(&mut self) -> Option<NodeId> {
        if self.is_syncing {
            return None;
        }
        let replica = self.waiting_for_disk.pop_front()?;
        self.is_syncing = true;
        Some(replica)
    }

    /// A sync is over.
    pub(super) const fn release_disk(&mut self) {
        self.is_syncing = false;
    }

    /// A replica waits for the disk no longer.
    pub(super) fn withdraw_from_disk(&mut self, replica: NodeId) {
        self.waiting_for_disk.retain(|waiting| *waiting != replica);
    }

    /// Processor time of a turn until everything is taken in: messages of these senders, and the end of so many
    /// syncs; their bytes are not in it.
    pub(super) fn takes_in(
        &mut self,
        service: &Service,
        senders: impl Iterator<Item = Option<Member>>,
        sync_count: u64,
    ) -> Span {
        self.begin_packets();
        let Costs { wake_up, sync, .. } = self.host.costs;
        senders.fold(wake_up + sync.times(sync_count), |sum, sender| match sender {
            Some(sender) => sum + self.packet(sender) + service.receive,
            None => sum + service.receive,
        })
    }

    /// What is sent from now on is of another turn.
    pub(super) fn begin_packets(&mut self) {
        self.packets.clear();
    }

    /// What the packet of one more message costs, that goes to or comes from there.
    pub(super) fn packet(&mut self, other: Member) -> Span {
        if self.packets.contains(&other) {
            return Span::ZERO;
        }
        self.packets.push(other);
        self.host.costs.packet
    }
}
