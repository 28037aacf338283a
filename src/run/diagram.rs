//! One write of a simulated trial as a space-time diagram.
//!
//! It watches the trial in virtual time from the moment the write is asked for until every replica
//! that is up has executed it, or until the trial is over, and keeps what concerns its slot.
//! So it ends when the trial does, and what it keeps does not grow with what other writes do.
//! The moment of choice is not what a replica believes: it is when the last acceptor of some phase-2
//! quorum had its vote at one ballot on stable storage (Paxos made simple, section 2.2).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::deploy;
use crate::command::{ClientId, Command, Operation, RequestId};
use crate::experiment::plan::Plan;
use crate::experiment::trial::Trial;
use crate::monitor::{Memory, Votes};
use crate::protocol::{Envelope, Executed, Log, Note, Position, Protocol, Reply, Scope, Statement};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::registry::{Registration, Visitor};
use crate::sim::{Observer, Sent, World};
use crate::time::{Span, Time};
use crate::trace::{Fate, MarkKind, PeriodKind, Scale, Trace};

/// The kinds of messages in the order of their colours, the same in every figure.
const KINDS: [&str; 8] =
    ["request", "phase1a", "phase1b", "phase2a", "phase2b", "chosen", "reply", "refused"];

/// Which write to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// The index of its client region.
    pub client: usize,
    /// Its count among the writes of that region that are sent in the measured time, from 0.
    pub index: u64,
}

/// Why there is nothing to draw.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The trial has fewer writes.
    #[error("the client in {region} sends {count} writes in the measured time")]
    NoWrite {
        /// Where.
        region: String,
        /// How many there are.
        count: u64,
    },
    /// The write was never answered.
    #[error("write {index} of the client in {region} is never answered")]
    NoAnswer {
        /// Which.
        index: u64,
        /// Where.
        region: String,
    },
}

/// The diagram of one write of a trial.
pub fn diagram(plan: &Plan, trial: &Trial, write: Write) -> Result<Trace, Error> {
    plan.variant(trial).mode.visit(Draw { plan, trial, write })
}

struct Draw<'a> {
    plan: &'a Plan,
    trial: &'a Trial,
    write: Write,
}

impl Visitor for Draw<'_> {
    type Output = Result<Trace, Error>;

    fn visit<P: Registration>(self, mode: P::Mode) -> Result<Trace, Error> {
        draw::<P>(mode, self.plan, self.trial, self.write)
    }
}

fn draw<P: Registration>(
    mode: P::Mode,
    plan: &Plan,
    trial: &Trial,
    write: Write,
) -> Result<Trace, Error> {
    let deployment = deploy::deployment(plan, trial);
    let point = plan.point(trial);
    let of = deployment.clone();
    let make = move |id| <P as Registration>::new(mode, of.config(id));
    let mut world = World::new(&deployment, &point.sim, make);
    let region = point.links.client_regions[write.client].clone();
    let measured_from = world.schedule().measure_from;
    let watch = Watch::<P>::new(write, measured_from, deployment.quorums.clone());
    let watch = Rc::new(RefCell::new(watch));
    world.observe = Some(Box::new(Shared(Rc::clone(&watch))));
    let mut answered_at = None;
    // A trial that is over answers no write any more.
    while (answered_at.is_some() || !world.is_over()) && world.step() {
        let watch = watch.borrow();
        if let Some(at) = watch.answered_at {
            // The others learn of it with the next proposal, or by a message of its own.
            let patience = Span(10 * at.since(watch.asked_at.unwrap_or(at)).0);
            let live = deployment.links.replicas().filter(|id| world.is_alive(*id));
            let is_known = live.into_iter().all(|id| watch.executed.contains(id));
            answered_at = Some(at);
            if is_known || world.now() > at + patience {
                break;
            }
        }
    }
    let watch = watch.borrow();
    let Some(asked_at) = watch.asked_at else {
        return Err(Error::NoWrite { region, count: watch.write_count });
    };
    let Some(answered_at) = answered_at else {
        return Err(Error::NoAnswer { index: write.index, region });
    };
    let variant = plan.variant(trial);
    let took = answered_at.since(asked_at);
    let title = format!("{}: a write from {region}, answered after {took}", variant.name);
    let mut trace = Trace::new(title, Scale::Milliseconds).since(asked_at).with_kinds(&KINDS);
    let client_line = trace.line(format!("c{}", write.client), region);
    for (id, region) in deployment.links.replicas().zip(&deployment.links.replica_regions) {
        trace.line(id.to_string(), region.clone());
    }
    watch.draw(&mut trace, client_line);
    Ok(trace)
}

/// What was seen, in the order in which it happened.
enum Seen<P: Protocol> {
    Request { to: NodeId, at: Time, arrives_at: Option<Time>, command: Command },
    Message { from: NodeId, to: NodeId, at: Time, arrives_at: Option<Time>, message: P::Message },
    Record { by: NodeId, at: Time, record: P::Record },
    Synced { by: NodeId, at: Time },
    Released { by: NodeId, at: Time, message: P::Message },
    Executed { by: NodeId, at: Time, position: Position },
    Led { by: NodeId, at: Time },
    Crashed { by: NodeId, at: Time },
    Restarted { by: NodeId, at: Time },
    Campaigned { by: NodeId, at: Time },
    Reply { from: NodeId, at: Time, arrives_at: Option<Time>, reply: Reply },
    Told { at: Time },
}

/// The watch over one write.
struct Watch<P: Protocol> {
    write: Write,
    measured_from: Time,
    quorums: QuorumSystem,
    write_count: u64,
    request: Option<RequestId>,
    asked_at: Option<Time>,
    answered_at: Option<Time>,
    /// Where it was proposed: more than one position if it was proposed again elsewhere.
    positions: Vec<Position>,
    executed: NodeSet,
    /// Whose disks were given something that is kept, and have not synced it.
    unsynced: NodeSet,
    seen: Vec<Seen<P>>,
}

impl<P: Protocol> Watch<P> {
    fn new(write: Write, measured_from: Time, quorums: QuorumSystem) -> Self {
        Self {
            write,
            measured_from,
            quorums,
            write_count: 0,
            request: None,
            asked_at: None,
            answered_at: None,
            positions: Vec::new(),
            executed: NodeSet::EMPTY,
            unsynced: NodeSet::EMPTY,
            seen: Vec::new(),
        }
    }

    const fn is_watching(&self) -> bool {
        self.asked_at.is_some()
    }

    fn is_own(&self, command: &Command) -> bool {
        self.request == Some(command.request)
    }

    /// Whether a message or a record says something of the write's slot.
    fn concerns(&self, statement: &Statement<'_>) -> bool {
        self.positions.iter().any(|position| statement.concerns(*position))
            || matches!(
                statement,
                Statement::Asks { log: Log::Whole, scope: Scope::From(_), .. }
                    | Statement::Promises { log: Log::Whole, scope: Scope::From(_), .. }
            )
    }

    /// Whether it may turn out to do so: a slot is known once the write is proposed in it, and only phase 1,
    /// and the vote of a leader for its own proposal, come before that.
    fn may_concern(&self, statement: &Statement<'_>) -> bool {
        let comes_before = match statement {
            Statement::Asks { .. } | Statement::Promises { .. } | Statement::Refuses { .. } => true,
            Statement::Vote { value, .. } => value.command().is_some_and(|it| self.is_own(it)),
            _ => false,
        };
        comes_before || self.concerns(statement)
    }

    fn draw(&self, trace: &mut Trace, client: usize) {
        let line = |id: NodeId| usize::from(id.0) + 1;
        let fate = |arrives_at: Option<Time>| arrives_at.map_or(Fate::Lost, Fate::Received);
        let mut given: BTreeMap<NodeId, Vec<(Time, &P::Record)>> = BTreeMap::new();
        let mut votes = Votes::new(Memory::Whole);
        let mut informed = NodeSet::EMPTY;
        for seen in &self.seen {
            match seen {
                Seen::Request { to, at, arrives_at, command } => {
                    let label = format!("request {command}");
                    trace.message((client, line(*to)), *at, fate(*arrives_at), label);
                }
                Seen::Message { from, to, at, arrives_at, message }
                    if self.concerns(&P::statement(message)) =>
                {
                    let statement = P::statement(message);
                    if let Statement::Asks { ballot, quorum: Some(quorum), .. } = statement {
                        votes.announce(ballot, quorum);
                    }
                    // What is chosen is told again and again, for later slots; once is enough here.
                    let is_news = matches!(statement, Statement::Chosen { .. });
                    if is_news && arrives_at.is_some() && !informed.insert(*to) {
                        continue;
                    }
                    let ends = (line(*from), line(*to));
                    trace.message(ends, *at, fate(*arrives_at), message.to_string());
                }
                Seen::Record { by, at, record } if self.concerns(&P::recorded(record)) => {
                    given.entry(*by).or_default().push((*at, record));
                }
                Seen::Synced { by, at } => {
                    for (given_at, record) in given.remove(by).unwrap_or_default() {
                        let kind = match P::recorded(record) {
                            Statement::Vote { .. } => MarkKind::Vote,
                            _ => MarkKind::Promise,
                        };
                        if given_at < *at {
                            trace.period(line(*by), (given_at, *at), PeriodKind::Sync, "");
                        }
                        trace.mark(line(*by), *at, kind, format!("{record} is durable"));
                    }
                }
                Seen::Released { by, at, message } => {
                    let statement = P::statement(message);
                    let Statement::Voted { ballot, .. } = statement else { continue };
                    for position in self.positions.iter().filter(|it| statement.concerns(**it)) {
                        let vote = votes.vote(&self.quorums, *by, (*position, ballot), None);
                        // Votes without their values contradict nothing.
                        if let Ok(Some(choice)) = vote {
                            let names: Vec<String> =
                                choice.by.iter().map(|id| id.to_string()).collect();
                            let label = format!("{position}, by the votes of {}", names.join(" "));
                            trace.mark(None, *at, MarkKind::Chosen, label);
                        }
                    }
                }
                Seen::Executed { by, at, position } if self.positions.contains(position) => {
                    let label = format!("executes {position}");
                    trace.mark(line(*by), *at, MarkKind::Executed, label);
                }
                Seen::Led { by, at } => {
                    trace.mark(line(*by), *at, MarkKind::Other, "leads");
                }
                Seen::Crashed { by, at } => {
                    trace.mark(line(*by), *at, MarkKind::Crash, "");
                }
                Seen::Restarted { by, at } => {
                    trace.mark(line(*by), *at, MarkKind::Restart, "");
                }
                Seen::Campaigned { by, at } => {
                    trace.mark(line(*by), *at, MarkKind::Campaign, "is told to lead");
                }
                Seen::Reply { from, at, arrives_at, reply } => {
                    let label = format!("reply {reply}");
                    trace.message((line(*from), client), *at, fate(*arrives_at), label);
                }
                Seen::Told { at } => {
                    trace.mark(client, *at, MarkKind::Reply, "");
                }
                Seen::Message { .. } | Seen::Record { .. } | Seen::Executed { .. } => {}
            }
        }
    }
}

/// The world holds one end of the watch, and the drawing the other.
struct Shared<P: Protocol>(Rc<RefCell<Watch<P>>>);

impl<P: Protocol> Shared<P> {
    /// Notes something while the write is under way.
    fn see(&self, seen: impl FnOnce() -> Seen<P>) {
        let mut watch = self.0.borrow_mut();
        if watch.is_watching() {
            let seen = seen();
            watch.seen.push(seen);
        }
    }
}

impl<P: Registration> Observer<P> for Shared<P> {
    fn asked(&mut self, sent: &Sent<'_, ClientId, NodeId, Command>) {
        let mut watch = self.0.borrow_mut();
        let is_write = matches!(sent.message.operation, Operation::Put { .. });
        let is_client = sent.from.0 as usize == watch.write.client;
        if is_client && is_write && sent.sent_at >= watch.measured_from && !watch.is_watching() {
            if watch.write_count == watch.write.index {
                watch.request = Some(sent.message.request);
                watch.asked_at = Some(sent.sent_at);
            }
            watch.write_count += 1;
        }
        if watch.is_own(sent.message) {
            let (to, at, arrives_at) = (sent.to, sent.sent_at, sent.arrives_at);
            let command = sent.message.clone();
            watch.seen.push(Seen::Request { to, at, arrives_at, command });
        }
    }

    fn answered(&mut self, sent: &Sent<'_, NodeId, ClientId, Reply>) {
        if self.0.borrow().request != Some(sent.message.request()) {
            return;
        }
        let (from, at, arrives_at) = (sent.from, sent.sent_at, sent.arrives_at);
        self.see(|| Seen::Reply { from, at, arrives_at, reply: sent.message.clone() });
    }

    fn told(&mut self, now: Time, _: NodeId, _: ClientId, reply: &Reply) {
        if reply.is_answer() && self.0.borrow().request == Some(reply.request()) {
            self.see(|| Seen::Told { at: now });
            self.0.borrow_mut().answered_at.get_or_insert(now);
        }
    }

    fn sent(&mut self, sent: &Sent<'_, NodeId, NodeId, P::Message>) {
        let statement = P::statement(sent.message);
        if let Statement::Proposes { position, value, .. } = statement
            && let Some(command) = value.command()
        {
            let mut watch = self.0.borrow_mut();
            if watch.is_own(command) && !watch.positions.contains(&position) {
                watch.positions.push(position);
            }
        }
        if !self.0.borrow().may_concern(&statement) {
            return;
        }
        let (from, to, at, arrives_at) = (sent.from, sent.to, sent.sent_at, sent.arrives_at);
        self.see(|| Seen::Message { from, to, at, arrives_at, message: sent.message.clone() });
    }

    fn recorded(&mut self, now: Time, by: NodeId, records: &[P::Record]) {
        for record in records {
            if self.0.borrow().may_concern(&P::recorded(record)) {
                self.see(|| Seen::Record { by, at: now, record: record.clone() });
                self.0.borrow_mut().unsynced.insert(by);
            }
        }
    }

    fn synced(&mut self, now: Time, by: NodeId) {
        let mut watch = self.0.borrow_mut();
        let is_awaited = watch.unsynced.contains(by);
        watch.unsynced = watch.unsynced.without(by);
        drop(watch);
        if is_awaited {
            self.see(|| Seen::Synced { by, at: now });
        }
    }

    fn released(&mut self, now: Time, by: NodeId, envelope: &Envelope<P::Message>) {
        if self.0.borrow().concerns(&P::statement(&envelope.message)) {
            self.see(|| Seen::Released { by, at: now, message: envelope.message.clone() });
        }
    }

    fn executed(&mut self, now: Time, by: NodeId, executed: &Executed) {
        let position = P::ORDER.position(executed.slot, executed.command.as_deref());
        let mut watch = self.0.borrow_mut();
        if executed.command.as_ref().is_some_and(|command| watch.is_own(command)) {
            watch.executed.insert(by);
            // A slot that was proposed by nobody but itself: one replica alone.
            if !watch.positions.contains(&position) {
                watch.positions.push(position);
            }
        }
        let is_kept = watch.positions.contains(&position);
        drop(watch);
        if is_kept {
            self.see(|| Seen::Executed { by, at: now, position });
        }
    }

    fn noted(&mut self, now: Time, by: NodeId, note: &Note) {
        if let Note::Leading { .. } = note {
            self.see(|| Seen::Led { by, at: now });
        }
    }

    fn crashed(&mut self, now: Time, replica: NodeId, _: &P) {
        self.see(|| Seen::Crashed { by: replica, at: now });
    }

    fn restarted(&mut self, now: Time, replica: NodeId, _: &P, _: usize) {
        self.see(|| Seen::Restarted { by: replica, at: now });
    }

    fn campaigned(&mut self, now: Time, replica: NodeId) {
        self.see(|| Seen::Campaigned { by: replica, at: now });
    }
}

#[cfg(test)]
mod tests;
