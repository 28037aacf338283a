//! One machine that all members share: its processors, and perhaps its disk.
//!
//! A member that has something to do waits for a processor, behind those that have waited for longer.
//! When it has one, it has a turn: it takes in everything that has arrived by then, works it off, and sends.
//! What goes to one member leaves together at the end of the turn, as a live member writes one chunk for each peer.
//! If more has arrived meanwhile, the next turn follows at once and needs no wake-up; it gives the processor back
//! when there is nothing to do, or when somebody waits and it has had the processor for a time slice.
//! Nobody is interrupted in a turn.
//! So batches grow while processors are scarce, as those of live event loops do, and the fixed cost of a turn
//! is shared by more messages.
//!
//! It knows nothing of what members do, nor of the time: they say how long they keep a processor.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::outcome::Processors;
use super::settings::Service;
use crate::command::{Ask, ClientId};
use crate::deployment::MemberName;
use crate::measure::Window;
use crate::quorum::NodeId;
use crate::time::{Span, Time};

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
    /// For each sync of the disk: a thread of the log makes it, which needs a processor for so long first.
    pub sync: Span,
    /// A member that always has work keeps its processor for so long although others wait; one turn, if that is
    /// longer.
    #[serde(default)]
    pub slice: Span,
}

impl Costs {
    /// What an otherwise idle path takes for one message, beside its [`Service`] times.
    pub(super) const fn hop(&self, is_emulated: bool) -> Span {
        Span(self.wake_up.0 + 2 * self.packet.0 + self.release(is_emulated).0)
    }

    /// What a packet costs its sender beside that: where the delay of a link is emulated, a thread is woken up to
    /// release it.
    const fn release(&self, is_emulated: bool) -> Span {
        if is_emulated { self.wake_up } else { Span::ZERO }
    }
}

/// Who may have a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Replica(NodeId),
    Client(ClientId),
    /// The thread of a replica that writes its log.
    Log(NodeId),
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
    /// Of whom the member whose turn is looked at takes in a packet.
    senders: Vec<Member>,
    /// Processor time within this window, of each replica with its log, and of each client.
    window: Window,
    used_by_replicas: Vec<Span>,
    used_by_clients: Vec<Span>,
}

impl Machine {
    /// An idle one for so many replicas and clients.
    pub(super) fn new(host: Host, window: Window, n: usize, client_count: usize) -> Self {
        Self {
            window,
            used_by_replicas: vec![Span::ZERO; n],
            used_by_clients: vec![Span::ZERO; client_count],
            host,
            idle_count: host.cores,
            waiting: VecDeque::new(),
            is_syncing: false,
            waiting_for_disk: VecDeque::new(),
            senders: Vec::new(),
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

    /// A member has a processor from then to then.
    pub(super) fn note_use(&mut self, member: Member, from: Time, until: Time) {
        let used = match member {
            Member::Replica(id) | Member::Log(id) => &mut self.used_by_replicas[usize::from(id.0)],
            Member::Client(id) => &mut self.used_by_clients[id.0 as usize],
        };
        let Window { from: first, to: last } = self.window;
        *used += until.min(last).since(from.max(first));
    }

    /// Processor time that replicas and clients had in the window.
    pub(super) fn finish(self) -> Processors {
        let replicas = (0..).map(NodeId).map(MemberName::Replica).zip(self.used_by_replicas);
        let clients = (0..).map(ClientId).map(MemberName::Client).zip(self.used_by_clients);
        Processors { cores: self.host.cores, used: replicas.chain(clients).collect() }
    }

    /// What a turn costs beside its messages.
    pub(super) const fn costs(&self) -> Costs {
        self.host.costs
    }

    /// Whether a member that has work may go on with the processor that it has had since then.
    pub(super) fn goes_on(&self, since: Time, now: Time) -> bool {
        self.waiting.is_empty() || now.since(since) < self.host.costs.slice
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
        if self.is_syncing || !self.waiting_for_disk.is_empty() {
            self.waiting_for_disk.push_back(replica);
            return false;
        }
        self.is_syncing = true;
        true
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

    /// Processor time of a turn until messages of these senders are taken in, without that of their bytes; whether
    /// the member is awake from the turn before.
    pub(super) fn takes_in(
        &mut self,
        service: &Service,
        is_awake: bool,
        senders: impl Iterator<Item = Option<Member>>,
    ) -> Span {
        self.senders.clear();
        let Costs { wake_up, packet, .. } = self.host.costs;
        let begin = if is_awake { Span::ZERO } else { wake_up };
        senders.fold(begin, |sum, sender| {
            let is_new = sender.is_some_and(|sender| !self.senders.contains(&sender));
            if is_new {
                self.senders.extend(sender);
            }
            sum + service.receive + if is_new { packet } else { Span::ZERO }
        })
    }

    /// What sending all that goes to one member in one turn costs beside its messages; whether it is to be released
    /// by an emulation.
    pub(super) const fn sends(&self, is_emulated: bool) -> Span {
        Span(self.host.costs.packet.0 + self.host.costs.release(is_emulated).0)
    }
}
