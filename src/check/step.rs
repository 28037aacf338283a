//! What an action does to a state.
//!
//! It carries out what drivers ask of their [host](crate::driver::Host), and writes down what comes of an action
//! when somebody reads along.

mod hands;

use std::fmt;
use std::sync::Arc;

use super::digest::digest;
use super::event::Event;
use super::ledger::Ledger;
use super::memo::{Act, Change, DiskView, Turn};
use super::model::World;
use super::spent::is_spent;
use super::state::{Action, Disk, Node, Packet, Shared, State, Writing};
use crate::command::{Command, RequestId};
use crate::driver::{self, Driver};
use crate::monitor::{Finding, Invariant, Proposed};
use crate::protocol::{
    Ballot, Executed, Installed, Note, Position, Protocol, Reply, Slot, Statement, TimerId, Value,
};
use crate::quiet::quietly;
use crate::quorum::NodeId;
use crate::registry::{Cover, Registration};
use crate::sabotage::{Rule, Saboteur};
use crate::time::Clock;
use hands::Hands;

/// A state in the hands of its driver.
pub(super) struct Step<'a, P: Registration> {
    world: &'a World<P>,
    pub(super) state: State<P>,
    /// The ledger, once it is written to.
    ledger: Option<Ledger>,
    /// What has left since the last turn ended.
    sent: Vec<Shared<Packet<P>>>,
    /// What happened, if somebody reads along.
    pub(super) events: Option<Vec<Event<P>>>,
    /// The request was not taken: as if it had not been asked.
    pub(super) is_sent_on: bool,
    /// The replica panicked: what it holds means nothing.
    pub(super) is_dead: bool,
}

impl<'a, P: Registration> Step<'a, P> {
    /// Takes a state in hand.
    pub(super) fn new(world: &'a World<P>, state: State<P>, is_read: bool) -> Self {
        let events = is_read.then(Vec::new);
        let sent = Vec::new();
        Self { world, state, ledger: None, sent, events, is_sent_on: false, is_dead: false }
    }

    /// Gives the state back.
    pub(super) fn finish(mut self) -> (State<P>, Vec<Event<P>>) {
        self.close_ledger();
        (self.state, self.events.unwrap_or_default())
    }

    pub(super) fn take(&mut self, action: &Action<P>) {
        match action {
            Action::Deliver(packet) => {
                self.state.network.remove(packet);
                self.receive(packet);
            }
            Action::Drop(packet) => {
                self.state.left.drops -= 1;
                self.state.network.remove(packet);
            }
            Action::Duplicate(packet) => {
                self.state.left.duplicates -= 1;
                self.receive(packet);
            }
            Action::Persist(id) => self.persist(*id),
            Action::Checkpoint(id) => {
                self.state.left.checkpoints -= 1;
                self.checkpoint(*id);
            }
            Action::FinishCheckpoint(id) => {
                self.finish_checkpoint(*id);
            }
            Action::CrashLosing(id) => self.crash(*id, false),
            Action::CrashKeeping(id) => self.crash(*id, true),
            Action::Restart(id) => self.start(*id),
            Action::Timer(id, timer) => {
                self.state.left.timers -= 1;
                self.fire(*id, *timer);
            }
            Action::Silence(id) => {
                self.state.left.silences -= 1;
                self.pass_time(*id);
            }
            Action::Campaign(id) => {
                self.state.left.campaigns -= 1;
                self.campaign(*id);
            }
            Action::Ask(id, command) => {
                if self.world.is_retry(&self.state, *id, command) {
                    self.state.left.retries -= 1;
                }
                self.ask(*id, command);
            }
        }
    }

    /// A message arrives; one that is down misses it.
    pub(super) fn receive(&mut self, packet: &Shared<Packet<P>>) {
        self.act(packet.to, &Act::Hear(packet));
    }

    /// Everybody here follows the protocol, or breaks it in another way than this.
    fn check_message(&mut self, receiver: &Saboteur<P>, packet: &Packet<P>) {
        let Packet { from, to, message } = packet;
        if let Err(why) = receiver.check_message(*from, message) {
            let text = format!("{from} sent {to} `{message}`, which is called impossible: {why}");
            self.note(Some(Finding::new(Invariant::Assertions, text)));
        }
    }

    pub(super) fn fire(&mut self, id: NodeId, timer: TimerId) {
        self.act(id, &Act::Fire(timer));
    }

    pub(super) fn ask(&mut self, id: NodeId, command: &Command) {
        let is_beside = self.world.reads_beside() && command.operation.is_read();
        let ended_below = if is_beside { self.state.ledger.ended_below() } else { Slot::ZERO };
        let client = &mut self.state.clients[command.request.client.0 as usize];
        if !client.is_asked {
            client.must_see = ended_below;
        }
        client.is_asked = true;
        client.is_waiting = true;
        self.act(id, &Act::Ask(command));
    }

    /// Starts a replica for the first time or again, with what its disk holds.
    pub(super) fn start(&mut self, id: NodeId) {
        let mut node = self.state.node(id).clone();
        let mut replica = self.world.replica(id);
        if node.disk.checkpoint.is_some() || !node.disk.records.is_empty() {
            self.state.seen.note(Cover::Recovered);
        }
        replica.recover(node.disk.checkpoint.clone(), node.disk.records.clone());
        // What a witness may forget depends on the others; none restarts in a preset.
        let executed_below = P::ORDER.executed_below(replica.progress());
        self.note(node.told.check_kept(id, &replica, executed_below).err());
        let defect = self.world.rule().and_then(Rule::driver_defect);
        let settings = driver::Settings {
            id,
            has_disk: true,
            retained_slots: None,
            clock: Clock::default(),
            defect,
        };
        match quietly(|| Driver::start(node.now, replica, &settings)) {
            Ok(driver) => node.driver = Some(Shared::new(driver)),
            Err(text) => self.die(id, &text),
        }
        self.turn(id, &Shared::new(node), &Act::Settle);
    }

    /// A time-out passes in which a replica hears nothing.
    pub(super) fn pass_time(&mut self, id: NodeId) {
        let mut node = self.state.node(id).clone();
        node.pass_time();
        self.state.set(id, Shared::new(node));
    }

    /// Whether a replica hears another leader now, or none any more: who promised a candidate waits for that.
    fn note_heard(&self, node: &mut Node<P>, packet: &Packet<P>) {
        let Some(replica) = node.replica().filter(|_| self.world.has_silences()) else { return };
        let promised = replica.promised_highest();
        match P::statement(&packet.message) {
            Statement::Leads { ballot } | Statement::Proposes { ballot, .. }
                if ballot >= promised && ballot.proposer == packet.from =>
            {
                node.hears = Some(packet.from);
            }
            Statement::Asks { ballot, .. } if ballot > promised => node.hears = None,
            _ => {}
        }
    }

    fn crash(&mut self, id: NodeId, is_kept: bool) {
        self.state.left.crashes -= 1;
        let mut node = self.state.node(id).clone();
        // A checkpoint that is not durable is gone, and no record with it.
        node.disk.writing = None;
        for record in std::mem::take(&mut node.disk.pending) {
            if is_kept {
                self.keep(id, &mut node.disk, record);
            } else {
                self.state.seen.note(Cover::RecordLost);
            }
        }
        node.driver = None;
        node.hears = None;
        node.told.crash();
        self.state.set(id, Shared::new(node));
        self.prune(id);
        if self.state.left.crashes == 0 {
            // Nobody crashes any more: to wait for the disk is only to be late.
            for other in self.state.ids() {
                self.persist(other);
            }
        }
    }

    /// What a replica gave its disk becomes durable, and what waited for it leaves.
    pub(super) fn persist(&mut self, id: NodeId) {
        if self.state.node(id).disk.pending.is_empty() {
            self.turn(id, &self.state.shared_node(id).clone(), &Act::Settle);
            return;
        }
        let mut node = self.state.node(id).clone();
        for record in std::mem::take(&mut node.disk.pending) {
            self.keep(id, &mut node.disk, record);
        }
        self.turn(id, &Shared::new(node), &Act::Settle);
    }

    /// The checkpoint that a replica is writing becomes durable, and takes the place of what it stands for; false
    /// if that cannot be.
    pub(super) fn finish_checkpoint(&mut self, id: NodeId) -> bool {
        if !self.state.node(id).disk.can_finish() {
            return false;
        }
        let mut node = self.state.node(id).clone();
        if let Some(Writing { record_count, state }) = node.disk.writing.take() {
            node.disk.checkpoint = state.map(|state| *state);
            node.disk.records.drain(..record_count);
        }
        self.turn(id, &Shared::new(node), &Act::Settle);
        true
    }

    pub(super) fn checkpoint(&mut self, id: NodeId) {
        self.persist(id);
        self.act(id, &Act::Checkpoint);
        self.persist(id);
        self.finish_checkpoint(id);
    }

    pub(super) fn campaign(&mut self, id: NodeId) {
        self.act(id, &Act::Campaign);
    }

    /// Something happens to a replica, unless it is down.
    fn act(&mut self, id: NodeId, act: &Act<'_, P>) {
        if self.state.node(id).driver.is_some() {
            self.turn(id, &self.state.shared_node(id).clone(), act);
        }
    }

    /// An assertion of the core is tripped.
    fn die(&mut self, id: NodeId, text: &impl fmt::Display) {
        self.is_dead = true;
        self.note(Some(Finding::new(Invariant::Assertions, format!("{id}: {text}"))));
    }

    /// A replica does something, and what comes of it is put into the state.
    ///
    /// It is worked out once for all states that do not differ in what it depends on, unless somebody reads along.
    fn turn(&mut self, id: NodeId, node: &Shared<Node<P>>, act: &Act<'_, P>) {
        self.close_ledger();
        let is_plain = node.driver.is_some() && self.state.broken.is_empty() && !self.is_dead;
        if !is_plain || self.events.is_some() {
            let change = self.work_out(id, node, act);
            self.leave(id, &change);
            return;
        }
        let can_lose = self.world.may_crash(&self.state, id);
        let rest = (id, can_lose, self.state.ledger.digest(), &self.state.clients);
        let key = (node.digest(), act.digest(), digest(&rest));
        if let Some(change) = self.world.changes.known(key) {
            self.state.clients.clone_from(&change.clients);
            self.state.ledger = change.ledger.clone();
            self.state.broken.clone_from(&change.broken);
            self.state.seen.join(change.seen);
            self.is_sent_on |= change.is_sent_on;
            self.is_dead |= change.is_dead;
            self.leave(id, &change);
        } else {
            let change = Arc::new(self.work_out(id, node, act));
            self.leave(id, &change);
            self.world.changes.keep(key, change);
        }
    }

    /// What was sent goes into flight, and the replica is as it is afterwards.
    fn leave(&mut self, id: NodeId, change: &Change<P>) {
        for packet in &change.sent {
            if !is_spent(self.world, &self.state, packet) {
                self.state.network.insert(packet.clone());
            }
        }
        self.state.set(id, change.node.clone());
        self.prune(id);
    }

    /// Changes all that `act` does but for the replica and the network, and says how.
    fn work_out(&mut self, id: NodeId, node: &Node<P>, act: &Act<'_, P>) -> Change<P> {
        let seen = std::mem::take(&mut self.state.seen);
        let was_sent_on = std::mem::take(&mut self.is_sent_on);
        let node = Shared::new(self.carry_out(id, node, act));
        self.close_ledger();
        let state = &mut self.state;
        let change = Change {
            node,
            sent: std::mem::take(&mut self.sent),
            clients: state.clients.clone(),
            ledger: state.ledger.clone(),
            broken: state.broken.clone(),
            seen: state.seen,
            is_sent_on: self.is_sent_on,
            is_dead: self.is_dead,
        };
        state.seen.join(seen);
        self.is_sent_on |= was_sent_on;
        change
    }

    fn close_ledger(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            self.state.ledger = Shared::new(ledger);
        }
    }

    /// Carries out what a replica does; gives back how it is afterwards.
    fn carry_out(&mut self, id: NodeId, node: &Node<P>, act: &Act<'_, P>) -> Node<P> {
        let mut node = node.clone();
        if let (Act::Hear(packet), Some(receiver)) = (act, node.replica()) {
            self.check_message(receiver, packet);
            self.note_heard(&mut node, packet);
        }
        if let Some(driver) = node.driver.as_ref().filter(|_| !self.is_dead) {
            let disk = DiskView {
                pending_count: node.disk.pending.len(),
                is_writing: node.disk.writing.is_some(),
                can_lose: self.world.may_crash(&self.state, id),
            };
            let turn = Turn::of(self.world, id, driver, (disk, node.now), act);
            let Node { disk, told, hears, .. } = &mut node;
            let mut hands = Hands::new(self, id, disk, (told, *hears));
            turn.calls.iter().for_each(|call| hands.carry_out(call));
            node.driver = Some(turn.driver.clone());
            match &turn.broken {
                Some(broken) => self.die(id, broken),
                None => self.look_at(id, &turn.chosen),
            }
        }
        if !self.world.may_crash(&self.state, id) && node.driver.is_some() {
            // What can no longer be lost need not be remembered.
            node.disk.records.clear();
            node.disk.checkpoint = None;
            if let Some(writing) = &mut node.disk.writing {
                *writing = Writing { record_count: 0, state: None };
            }
            node.told = std::mem::take(&mut node.told)
                .without_promises(self.world.first_leader().is_some());
        }
        node
    }

    /// A record is durable.
    fn keep(&mut self, id: NodeId, disk: &mut Disk<P>, record: P::Record) {
        self.tell(|| Event::Durable { replica: id, record: record.clone() });
        if let Statement::Vote { ballot, position, value, carried } = P::recorded(&record) {
            self.vote(id, (position, ballot), Proposed { value, carried });
        }
        disk.records.push(record);
    }

    fn vote(&mut self, id: NodeId, at: (Position, Ballot), proposed: Proposed<'_>) {
        let quorums = self.world.quorums();
        let votes = &mut self.ledger().votes;
        let result = votes.vote(quorums, id, at, Some(proposed));
        if votes.chosen(at.0).is_some() {
            self.state.seen.note(Cover::Chosen);
        }
        self.note(result.err());
    }

    /// The ledger, to write to it.
    fn ledger(&mut self) -> &mut Ledger {
        let state = &self.state;
        self.ledger.get_or_insert_with(|| (*state.ledger).clone())
    }

    fn hear(&mut self, id: NodeId, note: Note) {
        match note {
            Note::Leading { adopted_count, .. } => {
                if Some(id) != self.world.first_leader() {
                    self.state.seen.note(Cover::LeaderChanged);
                }
                if adopted_count > 0 {
                    self.state.seen.note(Cover::Adopted);
                }
            }
            Note::RaceLost => self.state.seen.note(Cover::RaceLost),
            Note::Retransmitted => self.state.seen.note(Cover::Retransmitted),
            Note::Committed { .. }
            | Note::Waited { .. }
            | Note::Suspected { .. }
            | Note::Campaigning
            | Note::Following { .. }
            | Note::Recovered { .. }
            | Note::Resigned
            | Note::SnapshotSent
            | Note::SnapshotInstalled { .. } => {}
        }
        self.tell(|| Event::Noted { replica: id, note });
    }

    fn execute(&mut self, id: NodeId, entry: &Executed) {
        let is_asked = entry.command.as_ref().is_none_or(|command| self.is_asked(command));
        if entry.command.is_some() && !entry.applied {
            self.state.seen.note(Cover::Repeated);
        }
        for finding in self.ledger().executed(P::ORDER, id, entry, is_asked) {
            self.note(Some(finding));
        }
        self.tell(|| Event::Executed { replica: id, entry: entry.clone() });
    }

    fn install(&mut self, id: NodeId, state: Installed) {
        self.state.seen.note(Cover::Installed);
        let ledger = self.ledger.as_ref().unwrap_or(&self.state.ledger);
        let finding = ledger.installed(id, &state);
        self.note(finding);
        self.tell(|| Event::Installed { replica: id, state });
    }

    fn is_asked(&self, command: &Command) -> bool {
        let RequestId { client, sequence } = command.request;
        let known = self.state.clients.get(client.0 as usize).copied().unwrap_or_default();
        let last = if known.is_asked { known.sequence + 1 } else { known.sequence };
        sequence < last && *command == self.world.command(client, sequence)
    }

    fn reply(&mut self, id: NodeId, reply: &Reply) {
        let request = reply.request();
        let key = self.world.command(request.client, request.sequence).operation.key();
        if let Reply::Read { below, value, .. } = reply {
            let client = self.state.clients[request.client.0 as usize];
            // A second answer to what is answered is passed over.
            let must_see =
                if client.sequence == request.sequence { client.must_see } else { Slot::ZERO };
            let finding = self.ledger().read(request, key, (must_see, *below), value.as_ref());
            self.note(finding);
        }
        if let Reply::Executed { slot, .. } = reply {
            let position = Position { log: P::ORDER.log(key), slot: *slot };
            let finding = self.ledger().acknowledged(request, position);
            self.note(finding);
        }
        let client = &mut self.state.clients[request.client.0 as usize];
        if client.sequence == request.sequence {
            client.is_waiting = false;
            match reply {
                Reply::Executed { .. } | Reply::Read { .. } => {
                    client.sequence += 1;
                    client.is_asked = false;
                    client.must_see = Slot::ZERO;
                    self.state.seen.note(Cover::Answered);
                }
                Reply::NotLeader { .. } => self.is_sent_on = true,
            }
        }
        self.tell(|| Event::Replied { replica: id, reply: reply.clone() });
    }

    /// What a replica knows to be chosen agrees with the past.
    fn look_at(&mut self, id: NodeId, chosen: &[(Position, Value)]) {
        for (position, value) in chosen {
            let ledger = self.ledger.as_ref().unwrap_or(&self.state.ledger);
            let finding = ledger.votes.learned(id, *position, value).err();
            self.note(finding);
        }
    }

    fn note(&mut self, finding: Option<Finding>) {
        let Some(Finding { invariant, how }) = finding else { return };
        if self.world.watches(invariant) && !self.state.broken.contains_key(&invariant) {
            self.tell(|| Event::Violated { invariant, how: how.clone() });
            self.state.broken.insert(invariant, how);
        }
    }

    fn tell(&mut self, event: impl FnOnce() -> Event<P>) {
        if let Some(events) = &mut self.events {
            events.push(event());
        }
    }

    /// Forgets messages to and from a replica that can never matter again.
    fn prune(&mut self, id: NodeId) {
        let mut network = std::mem::take(&mut self.state.network);
        network.retain(|packet| {
            (packet.to != id && packet.from != id) || !is_spent(self.world, &self.state, packet)
        });
        self.state.network = network;
    }
}
