//! What an action does to a state.
//!
//! It is the driver of this world: it keeps the one obligation of a driver, and writes down what
//! comes of an action when somebody reads along.

use std::collections::VecDeque;
use std::sync::Arc;

use super::claim::{Claim, Sight};
use super::event::Event;
use super::ledger::{Finding, Ledger};
use super::model::World;
use super::spent::is_spent;
use super::state::{Action, Node, Packet, Shared, State, Told, Waiting};
use crate::command::{Command, RequestId};
use crate::paxos::{Ballot, Effects, Input, Message, Record, Scope, Value, Vote};
use crate::protocol::{
    Advance, Envelope, Executed, Installed, Note, Protocol, Reply, Slot, TimerId,
};
use crate::quiet::quietly;
use crate::quorum::NodeId;
use crate::sabotage::Saboteur;
use crate::time::Time;

/// Slots beyond these are not looked at one by one: no preset comes so far.
const SLOTS: u64 = 12;

/// A state in the hands of its driver.
pub(super) struct Step<'a> {
    world: &'a World,
    pub(super) state: State,
    /// The ledger, once it is written to.
    ledger: Option<Ledger>,
    /// What happened, if somebody reads along.
    pub(super) events: Option<Vec<Event>>,
    /// The request was not taken: as if it had not been asked.
    pub(super) is_sent_on: bool,
    /// The replica panicked: what it holds means nothing.
    pub(super) is_dead: bool,
}

impl<'a> Step<'a> {
    /// Takes a state in hand.
    pub(super) fn new(world: &'a World, state: State, is_read: bool) -> Self {
        let events = is_read.then(Vec::new);
        Self { world, state, ledger: None, events, is_sent_on: false, is_dead: false }
    }

    /// Gives the state back.
    pub(super) fn finish(mut self) -> (State, Vec<Event>) {
        if let Some(ledger) = self.ledger {
            self.state.ledger = Shared::new(ledger);
        }
        (self.state, self.events.unwrap_or_default())
    }

    pub(super) fn take(&mut self, action: &Action) {
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
            Action::CrashLosing(id) => self.crash(*id, false),
            Action::CrashKeeping(id) => self.crash(*id, true),
            Action::Restart(id) => self.start(*id),
            Action::Timer(id, timer) => {
                self.state.left.timers -= 1;
                self.fire(*id, *timer);
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
    pub(super) fn receive(&mut self, packet: &Packet) {
        let Packet { from, to, message } = packet;
        let receiver = self.state.node(*to).replica.as_ref();
        // Everybody here follows the protocol, or breaks it in another way than this.
        if let Some(Err(why)) = receiver.map(|receiver| receiver.check_message(*from, message)) {
            let text = format!("{from} sent {to} `{message}`, which is called impossible: {why}");
            self.note(Some((Claim::Assertions, text)));
        }
        self.input(*to, Input::Message { from: *from, message: message.clone() });
    }

    pub(super) fn fire(&mut self, id: NodeId, timer: TimerId) {
        let mut node = self.state.node(id).clone();
        node.timers.remove(&timer);
        self.run(id, node, [Input::Timer(timer)].into());
    }

    pub(super) fn ask(&mut self, id: NodeId, command: &Command) {
        let client = &mut self.state.clients[command.request.client.0 as usize];
        client.is_asked = true;
        client.is_waiting = true;
        self.input(id, Input::Request(command.clone()));
    }

    /// Starts a replica for the first time or again, with what its disk holds.
    pub(super) fn start(&mut self, id: NodeId) {
        let mut node = self.state.node(id).clone();
        let mut replica = Saboteur::new(self.world.config(id), self.world.rule());
        if node.checkpoint.is_some() || !node.records.is_empty() {
            self.state.seen.note(Sight::Recovered);
        }
        replica.recover(node.checkpoint.clone(), node.records.clone());
        node.replica = Some(replica);
        self.note(forgotten(id, &node));
        self.run(id, node, [Input::Start].into());
    }

    fn crash(&mut self, id: NodeId, is_kept: bool) {
        self.state.left.crashes -= 1;
        let mut node = self.state.node(id).clone();
        let waiting = std::mem::take(&mut node.waiting);
        let records = waiting.into_iter().filter_map(|waiting| match waiting {
            Waiting::Record(record) => Some(record),
            Waiting::Send(_) => None,
        });
        for record in records {
            if is_kept {
                self.keep(id, &mut node, record);
            } else {
                self.state.seen.note(Sight::RecordLost);
            }
        }
        node.replica = None;
        node.timers.clear();
        node.told.asked_before_crash = node.told.asked;
        self.state.set(id, node);
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
        let mut node = self.state.node(id).clone();
        let mut inputs = VecDeque::new();
        self.flush(id, &mut node, &mut inputs);
        self.run(id, node, inputs);
    }

    fn checkpoint(&mut self, id: NodeId) {
        self.persist(id);
        let mut node = self.state.node(id).clone();
        let Some(replica) = &node.replica else { return };
        let checkpoint = replica.checkpoint();
        let below = checkpoint.executed_below();
        node.checkpoint = Some(checkpoint);
        node.records.clear();
        self.run(id, node, [Input::Checkpointed(below)].into());
    }

    pub(super) fn campaign(&mut self, id: NodeId) {
        self.input(id, Input::Campaign);
    }

    fn input(&mut self, id: NodeId, input: Input) {
        let node = self.state.node(id).clone();
        if node.replica.is_some() {
            self.run(id, node, [input].into());
        }
    }

    /// Gives a replica its inputs, and then those that it sends to itself.
    fn run(&mut self, id: NodeId, mut node: Node, mut inputs: VecDeque<Input>) {
        while let (Some(input), Some(replica)) = (inputs.pop_front(), &mut node.replica) {
            let mut effects = Effects::default();
            let result = quietly(|| replica.handle(Time::ZERO, input, &mut effects));
            if let Err(text) = result {
                self.is_dead = true;
                self.note(Some((Claim::Assertions, format!("{id}: {text}"))));
                break;
            }
            self.apply(id, &mut node, effects, &mut inputs);
        }
        if let Some(replica) = node.replica.as_ref().filter(|_| !self.is_dead) {
            self.look_at(id, replica);
        }
        if !self.world.may_crash(&self.state, id) && node.replica.is_some() {
            // What can no longer be lost need not be remembered.
            node.records.clear();
            node.checkpoint = None;
            let asked_before_crash = node.told.asked_before_crash;
            node.told = Told { asked_before_crash, ..Told::default() };
        }
        self.state.set(id, node);
        self.prune(id);
    }

    fn apply(
        &mut self,
        id: NodeId,
        node: &mut Node,
        effects: Effects,
        inputs: &mut VecDeque<Input>,
    ) {
        let Effects { sends, records, durable_sends, timers, replies, executed, notes } = effects;
        for note in notes {
            self.hear(id, note);
        }
        for envelope in sends {
            self.transmit(id, node, envelope, inputs);
        }
        node.waiting.extend(records.into_iter().map(Waiting::Record));
        node.waiting.extend(durable_sends.into_iter().map(Waiting::Send));
        let is_record = |waiting: &Waiting| matches!(waiting, Waiting::Record(_));
        if !self.world.may_crash(&self.state, id) || !node.waiting.iter().any(is_record) {
            self.flush(id, node, inputs);
        }
        node.timers.extend(timers.into_iter().map(|timer| timer.id));
        for advance in executed {
            match advance {
                Advance::Executed(entry) => self.execute(id, entry),
                Advance::Installed(state) => self.install(id, state),
            }
        }
        for reply in replies {
            self.reply(id, reply);
        }
    }

    fn flush(&mut self, id: NodeId, node: &mut Node, inputs: &mut VecDeque<Input>) {
        for waiting in std::mem::take(&mut node.waiting) {
            match waiting {
                Waiting::Record(record) => self.keep(id, node, record),
                Waiting::Send(envelope) => self.transmit(id, node, envelope, inputs),
            }
        }
    }

    /// A record is durable.
    fn keep(&mut self, id: NodeId, node: &mut Node, record: Record) {
        self.tell(|| Event::Durable { replica: id, record: record.clone() });
        if let Record::Vote { slot, vote } = &record {
            self.vote(id, *slot, vote);
        }
        node.records.push(record);
    }

    fn vote(&mut self, id: NodeId, slot: Slot, vote: &Vote) {
        let quorums = self.world.quorums();
        let ledger = self.ledger();
        let finding = ledger.vote(quorums, id, slot, vote);
        if ledger.chosen.contains_key(&slot) {
            self.state.seen.note(Sight::Chosen);
        }
        self.note(finding);
    }

    /// The ledger, to write to it.
    fn ledger(&mut self) -> &mut Ledger {
        let state = &self.state;
        self.ledger.get_or_insert_with(|| state.ledger.get().clone())
    }

    /// A message leaves.
    fn transmit(
        &mut self,
        id: NodeId,
        node: &mut Node,
        envelope: Envelope<Message>,
        inputs: &mut VecDeque<Input>,
    ) {
        let Envelope { to, message } = envelope;
        self.note_told(id, node, &message);
        let others = to.without(id);
        if !others.is_empty() {
            self.tell(|| Event::Sent { from: id, to: others, message: message.clone() });
        }
        for other in others.iter() {
            let packet = Packet { from: id, to: other, message: message.clone() };
            if !is_spent(self.world, &self.state, &packet) {
                self.state.network.insert(Arc::new(packet));
            }
        }
        if to.contains(id) {
            inputs.push_back(Input::Message { from: id, message });
        }
    }

    /// What is told may not be forgotten, and a vote that is told counts.
    fn note_told(&mut self, id: NodeId, node: &mut Node, message: &Message) {
        let told = &mut node.told;
        match message {
            Message::Phase1a { ballot, quorum, .. } => {
                if *ballot <= told.asked_before_crash {
                    let how =
                        format!("{id} used {ballot} before it crashed, and asks with it again");
                    self.note(Some((Claim::BallotsUnique, how)));
                } else {
                    told.asked_before_crash = Ballot::NONE;
                }
                told.asked = told.asked.max(*ballot);
                if let Some(quorum) = quorum {
                    self.ledger().announced(*ballot, *quorum);
                }
            }
            Message::Phase1b { ballot, scope: Scope::From(_), reported_below, .. } => {
                told.promised = told.promised.max(*ballot);
                if reported_below.is_some() {
                    self.state.seen.note(Sight::ReportedInPart);
                }
            }
            Message::Phase1b { ballot, scope: Scope::Only(slot), .. } => {
                let known = told.slots.entry(*slot).or_default();
                *known = (*known).max(*ballot);
            }
            Message::Phase2b { ballot, first, last } => {
                for slot in (first.0..=last.0).map(Slot) {
                    let known = told.slots.entry(slot).or_default();
                    *known = (*known).max(*ballot);
                    let known = told.votes.entry(slot).or_default();
                    *known = (*known).max(*ballot);
                    let vote =
                        node.replica.as_ref().and_then(|it| it.replica().acceptor().vote(slot));
                    if let Some(vote) = vote.filter(|vote| vote.ballot == *ballot) {
                        self.vote(id, slot, &vote.clone());
                    }
                }
            }
            Message::Refused { .. } => self.state.seen.note(Sight::Refused),
            Message::Values { values, .. } if !values.is_empty() => {
                self.state.seen.note(Sight::Taught);
            }
            Message::Phase2a { value: Value::Command(command), .. }
                if self.world.is_classic() && self.world.home(command.request.client) != id =>
            {
                self.state.seen.note(Sight::Adopted);
            }
            Message::Phase2a { value: Value::Noop, .. } => self.state.seen.note(Sight::HoleFilled),
            _ => {}
        }
    }

    fn hear(&mut self, id: NodeId, note: Note) {
        match note {
            Note::Leading { adopted_count, .. } => {
                if Some(id) != self.world.first_leader() {
                    self.state.seen.note(Sight::LeaderChanged);
                }
                if adopted_count > 0 {
                    self.state.seen.note(Sight::Adopted);
                }
            }
            Note::RaceLost => self.state.seen.note(Sight::RaceLost),
            Note::Retransmitted => self.state.seen.note(Sight::Retransmitted),
            Note::Committed { .. }
            | Note::Suspected { .. }
            | Note::Campaigning
            | Note::Following { .. }
            | Note::Recovered { .. }
            | Note::Resigned
            | Note::SnapshotSent { .. }
            | Note::SnapshotInstalled { .. } => {}
        }
        self.tell(|| Event::Noted { replica: id, note });
    }

    fn execute(&mut self, id: NodeId, entry: Executed) {
        let is_asked = entry.command.as_ref().is_none_or(|command| self.is_asked(command));
        if entry.command.is_some() && !entry.applied {
            self.state.seen.note(Sight::Repeated);
        }
        for finding in self.ledger().executed(id, &entry, is_asked) {
            self.note(Some(finding));
        }
        self.tell(|| Event::Executed { replica: id, entry });
    }

    fn install(&mut self, id: NodeId, state: Installed) {
        self.state.seen.note(Sight::Installed);
        let ledger = self.ledger.as_ref().unwrap_or(self.state.ledger.get());
        let finding = ledger.installed(id, &state);
        self.note(finding);
        self.tell(|| Event::Installed { replica: id, state });
    }

    fn is_asked(&self, command: &Command) -> bool {
        let RequestId { client, sequence } = command.request;
        let known = self.state.clients.get(client.0 as usize).copied().unwrap_or_default();
        let last = if known.is_asked { known.sequence + 1 } else { known.sequence };
        sequence < last && *command == World::command(client, sequence)
    }

    fn reply(&mut self, id: NodeId, reply: Reply) {
        let request = reply.request();
        if let Reply::Executed { slot, .. } = &reply {
            let finding = self.ledger().acknowledged(request, *slot);
            self.note(finding);
        }
        let client = &mut self.state.clients[request.client.0 as usize];
        if client.sequence == request.sequence {
            client.is_waiting = false;
            match &reply {
                Reply::Executed { .. } => {
                    client.sequence += 1;
                    client.is_asked = false;
                    self.state.seen.note(Sight::Answered);
                }
                Reply::NotLeader { .. } => self.is_sent_on = true,
            }
        }
        self.tell(|| Event::Replied { replica: id, reply });
    }

    /// What a replica holds agrees with the past.
    fn look_at(&mut self, id: NodeId, replica: &Saboteur) {
        for slot in (0..SLOTS).map(Slot) {
            if let Some(value) = replica.replica().chosen(slot) {
                let ledger = self.ledger.as_ref().unwrap_or(self.state.ledger.get());
                let finding = ledger.learned(id, slot, value);
                self.note(finding);
            }
        }
    }

    fn note(&mut self, finding: Option<Finding>) {
        let Some((claim, how)) = finding else { return };
        if self.world.watches(claim) && !self.state.broken.contains_key(&claim) {
            self.tell(|| Event::Violated { claim, how: how.clone() });
            self.state.broken.insert(claim, how);
        }
    }

    fn tell(&mut self, event: impl FnOnce() -> Event) {
        if let Some(events) = &mut self.events {
            events.push(event());
        }
    }

    /// Forgets messages to and from a replica that can never matter again.
    fn prune(&mut self, id: NodeId) {
        let is_spent = |packet: &&Arc<Packet>| {
            (packet.to == id || packet.from == id) && is_spent(self.world, &self.state, packet)
        };
        let spent: Vec<Arc<Packet>> = self.state.network.iter().filter(is_spent).cloned().collect();
        for packet in spent {
            self.state.network.remove(&packet);
        }
    }
}

/// What an acceptor told and no longer knows.
fn forgotten(id: NodeId, node: &Node) -> Option<Finding> {
    let replica = node.replica.as_ref()?.replica();
    let acceptor = replica.acceptor();
    let executed_below = replica.executed_below();
    let promised = acceptor.promised(Slot(u64::MAX));
    if promised < node.told.promised {
        let how =
            format!("{id} told a promise of {}, and now knows {promised}", node.told.promised);
        return Some((Claim::PromisesKept, how));
    }
    for (slot, told) in node.told.slots.range(executed_below..) {
        let promised = acceptor.promised(*slot);
        if promised < *told {
            let how = format!("{id} told a promise of {told} in {slot}, and now knows {promised}");
            return Some((Claim::PromisesKept, how));
        }
    }
    for (slot, told) in node.told.votes.range(executed_below..) {
        if acceptor.vote(*slot).is_none_or(|vote| vote.ballot < *told) {
            let how = format!("{id} told a vote at {told} in {slot}, and knows it no more");
            return Some((Claim::PromisesKept, how));
        }
    }
    None
}
