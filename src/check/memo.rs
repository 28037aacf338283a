//! What a replica does depends on itself and on what happens to it, and on nothing else in a deployment.
//! So it is worked out once, however many states it happens in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cover::Covers;
use super::digest::digest;
use super::ledger::Ledger;
use super::model::World;
use super::state::{Client, Node, Packet, Shared};
use crate::command::Command;
use crate::driver::{Driver, Host, Ticket};
use crate::monitor::Invariant;
use crate::protocol::{
    Advance, Effects, Envelope, Input, Note, Position, Protocol, Reply, TimerId, Value,
};
use crate::quiet::{Broken, quietly};
use crate::quorum::{NodeId, NodeSet};
use crate::registry::Registration;
use crate::sabotage::Saboteur;
use crate::time::{Span, Time};

/// Something that happens to a replica.
#[derive(Debug)]
pub(super) enum Act<'a, P: Protocol> {
    /// A message arrives.
    Hear(&'a Shared<Packet<P>>),
    /// A client asks.
    Ask(&'a Command),
    /// It is told to lead.
    Campaign,
    /// A timer runs out.
    Fire(TimerId),
    /// It makes a checkpoint.
    Checkpoint,
    /// What it waited for is durable.
    Settle,
}

impl<P: Registration> Act<'_, P> {
    pub(super) fn digest(&self) -> u64 {
        match self {
            Self::Hear(packet) => packet.digest(),
            Self::Ask(command) => digest(&(1, command)),
            Self::Campaign => 2,
            Self::Fire(timer) => digest(&(3, timer)),
            Self::Checkpoint => 4,
            Self::Settle => 5,
        }
    }
}

/// What a replica asks of its host.
#[derive(Debug)]
pub(super) enum Call<P: Protocol> {
    /// A message leaves; the packets are what others receive.
    Send { to: NodeSet, message: P::Message, packets: Vec<Shared<Packet<P>>> },
    /// A message that depends on records is about to leave.
    Released(P::Message),
    /// A client is answered.
    Reply(Reply),
    /// Records are given to the disk.
    Persist(Vec<P::Record>),
    /// A checkpoint is.
    Checkpoint(Box<P::Checkpoint>),
    /// The state machine goes on.
    Advance(Advance),
    /// It says something of its work.
    Note(Note),
}

/// What comes of an act.
#[derive(Debug)]
pub(super) struct Turn<P: Registration> {
    /// The replica afterwards.
    pub(super) driver: Shared<Driver<Saboteur<P>>>,
    /// What it asked of its host, in order.
    pub(super) calls: Vec<Call<P>>,
    /// The assertion that was tripped, after these calls.
    pub(super) broken: Option<Broken>,
    /// What it knows to be chosen afterwards.
    pub(super) chosen: Vec<(Position, Value)>,
}

/// What an act does to the state in which it happens: all of it depends on the replica and its disk, on what clients
/// wait for, and on the past.
#[derive(Debug)]
pub(super) struct Change<P: Registration> {
    pub(super) node: Shared<Node<P>>,
    pub(super) sent: Vec<Shared<Packet<P>>>,
    pub(super) clients: Vec<Client>,
    pub(super) ledger: Shared<Ledger>,
    pub(super) broken: BTreeMap<Invariant, String>,
    pub(super) seen: Covers,
    pub(super) is_sent_on: bool,
    pub(super) is_dead: bool,
}

/// What its disk looks like to a replica.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct DiskView {
    /// So many records wait to be durable.
    pub(super) pending_count: usize,
    /// A checkpoint is being written.
    pub(super) is_writing: bool,
    /// What is not durable may be lost.
    pub(super) can_lose: bool,
}

impl<P: Registration> Turn<P> {
    /// What comes of `act`.
    pub(super) fn of(
        world: &World<P>,
        id: NodeId,
        driver: &Shared<Driver<Saboteur<P>>>,
        (disk, now): (DiskView, Time),
        act: &Act<'_, P>,
    ) -> Arc<Self> {
        let DiskView { pending_count, is_writing, can_lose } = disk;
        let view = (pending_count as u64) << 2 | u64::from(is_writing) << 1 | u64::from(can_lose);
        let key = (driver.digest(), act.digest(), now.0 << 32 | view);
        world.turns.get(key, || Arc::new(Self::work_out(world, id, driver, (disk, now), act)))
    }

    fn work_out(
        world: &World<P>,
        id: NodeId,
        driver: &Shared<Driver<Saboteur<P>>>,
        (disk, now): (DiskView, Time),
        act: &Act<'_, P>,
    ) -> Self {
        let mut driver = (**driver).clone();
        let mut host = Recorder { id, disk, calls: Vec::new() };
        let done = quietly(|| {
            match act {
                Act::Hear(packet) => {
                    let Packet { from, message, .. } = &***packet;
                    let (from, message) = (*from, message.clone());
                    driver.handle(now, Input::Message { from, message });
                }
                Act::Ask(command) => driver.handle(now, Input::Request((*command).clone())),
                Act::Campaign => driver.handle(now, Input::Campaign),
                Act::Fire(timer) => drop(driver.fire(now, *timer)),
                Act::Checkpoint => driver.checkpoint(&mut host),
                Act::Settle => {}
            }
            driver.settle(now, &mut host);
        });
        let positions = world.positions.iter();
        let known = positions
            .filter_map(|position| Some((*position, driver.protocol().chosen(*position)?.clone())));
        let chosen = known.collect();
        Self { driver: Shared::new(driver), calls: host.calls, broken: done.err(), chosen }
    }
}

/// A host that writes down what it is asked.
struct Recorder<P: Protocol> {
    id: NodeId,
    disk: DiskView,
    calls: Vec<Call<P>>,
}

impl<P: Registration> Host<Saboteur<P>> for Recorder<P> {
    fn send(&mut self, to: NodeSet, message: P::Message) {
        let from = self.id;
        let packet = |to| Shared::new(Packet { from, to, message: message.clone() });
        let packets = to.iter().map(packet).collect();
        self.calls.push(Call::Send { to, message, packets });
    }

    fn reply(&mut self, reply: Reply) {
        self.calls.push(Call::Reply(reply));
    }

    /// Where a replica cannot crash, records are durable at once.
    fn persist(&mut self, records: &mut Vec<P::Record>) -> Ticket {
        if self.disk.can_lose || self.disk.pending_count > 0 {
            self.disk.pending_count += records.len();
        }
        self.calls.push(Call::Persist(std::mem::take(records)));
        Ticket(self.disk.pending_count as u64)
    }

    /// When it is durable is a choice: until then the others cannot rely on it.
    fn checkpoint(&mut self, replica: &Saboteur<P>) -> Ticket {
        self.disk.is_writing = true;
        self.calls.push(Call::Checkpoint(Box::new(replica.checkpoint())));
        Ticket(self.disk.pending_count as u64 + 1)
    }

    /// Records may become durable long before it.
    fn checkpointed(&mut self) -> Ticket {
        Ticket(if self.disk.is_writing { 0 } else { u64::MAX })
    }

    /// All that is pending becomes durable together.
    fn durable(&mut self) -> Ticket {
        Ticket(if self.disk.pending_count == 0 { u64::MAX } else { 0 })
    }

    /// Time stands still: every timer is due at once, and which one runs out is a choice.
    fn draw(&mut self, _: Span) -> Span {
        Span::ZERO
    }

    fn advance(&mut self, advance: Advance) {
        self.calls.push(Call::Advance(advance));
    }

    fn note(&mut self, note: Note) {
        self.calls.push(Call::Note(note));
    }

    fn released(&mut self, envelope: &Envelope<P::Message>) {
        self.calls.push(Call::Released(envelope.message.clone()));
    }
}

/// What a message does to a replica that it changes nothing in: the answers, if they are all that comes of it.
pub(super) type Echo<P> = Option<Arc<[Shared<Packet<P>>]>>;

/// The echo of a message at a replica, worked out.
pub(super) fn echo<P: Registration>(
    replica: &Saboteur<P>,
    now: Time,
    packet: &Packet<P>,
) -> Echo<P> {
    let Packet { from, to: receiver, message } = packet;
    let (mut after, mut effects) = (replica.clone(), Effects::default());
    let input = Input::Message { from: *from, message: message.clone() };
    quietly(|| after.handle(now.into(), input, &mut effects)).ok()?;
    let sends = std::mem::take(&mut effects.sends).into_iter();
    let sends = sends.chain(std::mem::take(&mut effects.durable_sends));
    let answers = sends.map(|Envelope { to, message }| {
        let is_answer = P::statement(&message).is_answer() && to == NodeSet::only(*from);
        is_answer.then(|| Shared::new(Packet { from: *receiver, to: *from, message }))
    });
    let answers = answers.collect::<Option<Vec<_>>>()?;
    (effects == Effects::default() && after == *replica).then(|| answers.into())
}
