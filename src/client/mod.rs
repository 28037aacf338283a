//! The client session of one region: it issues operations, times them, and asks again.
//!
//! Latency runs from the intended start, so an open loop that falls behind does not hide it
//! (coordinated omission).
//! A request that is not answered is sent again with its number; one without an answer at the end
//! is unknown, never forgotten.
//!
//! A client that learns of another leader sends it everything that is open, at once: from whoever
//! names it, or, after a retry, from the first answer of a replica that was asked in its turn.
//! While the replica that it asks goes on answering, what is overdue is sent to it again; only a silent
//! one is left for the next in the order.
//! A replica that is asked then may still name the silent one as the leader, because it has not noticed
//! yet: the silent one gets what is open once more, and the client goes on asking the other, which will
//! name the next leader as soon as it knows it.
//! There is no jitter in the retries: arrivals are random, and clients of other regions have their own.
//!
//! The clients of a closed loop start at random moments within the first half of the warm-up, or within
//! the floor of their region if that is longer: by the time of the measurement each has its own phase in
//! the round trip, as independent users have. The seed fixes the moments, in every world alike.
//!
//! Beside its load a session may issue [control operations](crate::workload::Control), which see the same way and
//! host and no quorum; they count for nothing but their own latencies.
//!
//! It does no I/O and reads no clock: the load generator over QUIC and the simulator drive the same
//! session, and carry what it hands out.

mod controls;
mod reads;
mod turns;
pub use turns::{Turn, TurnKind, Turns};

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::command::{Ask, ClientId, Command, Operation, Outcome, RequestId};
use crate::deployment::Deployment;
use crate::history::{ClientWriter, Issued, Kind, Returned, digest, facts};
use crate::measure::{OperationKind, Recorder, Recording, Window};
use crate::protocol::{Answer, Reply, Slot};
use crate::quorum::NodeId;
use crate::time::{Span, Time};
use crate::workload::{ControlStarts, Generator};
use controls::Controls;
use reads::Readers;

/// The length of an interval of the timeline, where nobody asks for another.
pub const INTERVAL: Span = Span::from_millis(1000);

/// Operations begun, or asked for again, at once before anything else has its turn.
pub const BURST: usize = 4096;

/// When a trial does what, in the time of its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The first operation is issued.
    pub warmup_from: Time,
    /// From here on, operations are measured by their intended start.
    pub measure_from: Time,
    /// The last operation is issued.
    pub measure_until: Time,
    /// Answers are waited for until here.
    pub drain_until: Time,
}

impl Schedule {
    /// Operations intended in it are measured.
    pub const fn window(&self) -> Window {
        Window { from: self.measure_from, to: self.measure_until }
    }
}

/// What a session is told about itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which it is.
    pub id: ClientId,
    /// The replicas in the order in which they are asked; the first is the leader or the nearest.
    pub targets: Vec<NodeId>,
    /// The same for its reads of the keys from each of these on, where they take another way than its writes; else none.
    pub read_targets: BTreeMap<u64, Vec<NodeId>>,
    /// A request without an answer for so long is sent again.
    pub retry_after: Span,
    /// Whether its reads say how much of the log it has seen.
    pub has_session: bool,
    /// The least latency the links allow a write: acknowledgements are counted that much later.
    pub floor: Span,
    /// The same of a read.
    pub read_floor: Span,
    /// When it does what.
    pub schedule: Schedule,
    /// The length of an interval of the timeline.
    pub interval: Span,
}

/// What a session has to say at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Latencies of the operations intended in the window.
    pub recording: Recording,
    /// All operations issued, warm-up included.
    pub issued_count: u64,
    /// All operations answered.
    pub acknowledged_count: u64,
    /// Operations without an answer.
    pub unknown_count: u64,
    /// Operations whose intended start lies in the window.
    pub offered_count: u64,
    /// Answers that came in the window, moved by the floor.
    pub achieved_count: u64,
    /// Requests sent again.
    pub retried_count: u64,
    /// Requests that a replica sent on to the leader.
    pub redirected_count: u64,
    /// Whom it turned to when, and who answered.
    pub turns: Turns,
    /// Frames that did not decode.
    pub undecodable_count: u64,
}

/// An operation without an answer yet.
#[derive(Debug)]
struct Outstanding {
    intended_at: Time,
    sent_at: Time,
    kind: Kind,
    operation: Operation,
    /// It was sent on by a replica that does not propose, once since it was last asked for.
    is_redirected: bool,
}

/// The session of one client region.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    generator: Generator,
    /// The place in `targets` that is asked now.
    target: usize,
    /// The place that was asked last without a hint: everybody is, in turn, whatever the hints say.
    turn: usize,
    /// The sequence number of the front of `outstanding`: all before are answered.
    settled_below: u64,
    outstanding: VecDeque<Option<Outstanding>>,
    outstanding_count: usize,
    /// Writes answered since the measurement began.
    measured_writes: u64,
    /// The next intended start: of an open loop, or of a client of a closed loop that has not started.
    next_arrival: Option<Time>,
    /// Of a closed loop: how many clients have started, and so many operations are outstanding.
    started_count: Option<usize>,
    next_retry: Time,
    /// More was overdue than one burst: the rest goes to the same replica.
    is_amid_retry: bool,
    /// When the newest operation was sent that the target has answered since it is the target.
    heard_of: Option<Time>,
    /// It was turned to by a retry then, and has not answered since: what was sent before went elsewhere.
    untried_since: Option<Time>,
    /// The replica that was left for its silence, until it is heard of again, another one is said to
    /// lead, or it is passed over in the order.
    silent: Option<NodeId>,
    /// Of the log it has seen everything below this slot.
    seen_below: Slot,
    /// Whom it asks for its reads, where these go their own way.
    readers: Option<Readers>,
    /// Its control operations, if it has any.
    controls: Option<Controls>,
    /// What is to be sent, and to whom.
    asks: Vec<(NodeId, Ask)>,
    recorder: Recorder,
    history: ClientWriter,
    report: Report,
}

impl Session {
    /// The session of one client region of a deployment.
    pub fn of(deployment: &Deployment, id: ClientId, schedule: Schedule) -> Self {
        let settings = Settings {
            id,
            targets: deployment.targets(id),
            read_targets: deployment.read_targets(id),
            retry_after: deployment.retry_after(),
            has_session: deployment.mode.snapshot().is_some_and(|terms| terms.has_sessions),
            floor: deployment.floor(id),
            read_floor: deployment.read_floor(id),
            schedule,
            interval: deployment.interval,
        };
        let of = deployment.links.client_regions.len();
        let generator = Generator::new(&deployment.workload, id.0 as usize, of, deployment.seed);
        let over = Span(deployment.warmup.0 / 2).max(settings.floor);
        let session = Self::new(settings, generator.staggered(over));
        let Some(control) = deployment.control else { return session };
        session.controlled(ControlStarts::new(control, id.0 as usize, deployment.seed))
    }

    /// A session that begins by itself at the start of its schedule.
    pub fn new(settings: Settings, mut generator: Generator) -> Self {
        let start = settings.schedule.warmup_from;
        let window = settings.schedule.window();
        let report = Report {
            recording: Recording::new(window, settings.interval),
            issued_count: 0,
            acknowledged_count: 0,
            unknown_count: 0,
            offered_count: 0,
            achieved_count: 0,
            retried_count: 0,
            redirected_count: 0,
            turns: Turns::default(),
            undecodable_count: 0,
        };
        Self {
            next_arrival: generator.next_gap().map(|gap| start + gap),
            started_count: generator.is_closed().then_some(0),
            generator,
            target: 0,
            turn: 0,
            settled_below: 0,
            outstanding: VecDeque::new(),
            outstanding_count: 0,
            measured_writes: 0,
            next_retry: start + settings.retry_after,
            is_amid_retry: false,
            heard_of: None,
            untried_since: None,
            silent: None,
            seen_below: Slot::ZERO,
            readers: Readers::new(settings.read_targets.clone()),
            controls: None,
            asks: Vec::new(),
            recorder: Recorder::new(window, settings.interval),
            history: ClientWriter::new(settings.id),
            report,
            settings,
        }
    }

    /// When it does what.
    pub const fn schedule(&self) -> &Schedule {
        &self.settings.schedule
    }

    /// The least latency the links allow.
    pub const fn floor(&self) -> Span {
        self.settings.floor
    }

    /// Its latencies; whoever drives it takes the intervals that are over.
    pub const fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// Operations issued so far.
    pub const fn issued_count(&self) -> u64 {
        self.report.issued_count
    }

    /// Operations answered so far.
    pub const fn acknowledged_count(&self) -> u64 {
        self.report.acknowledged_count
    }

    /// Writes answered so far since the measurement began: by this, faults are triggered.
    pub const fn measured_writes(&self) -> u64 {
        self.measured_writes
    }

    /// What is to be asked since the last call, and whom.
    pub fn take_asks(&mut self) -> std::vec::Drain<'_, (NodeId, Ask)> {
        self.asks.drain(..)
    }

    /// A full block of the history, if there is one.
    pub fn take_history_block(&mut self) -> Option<Vec<u8>> {
        self.history.take_block()
    }

    /// The session is over: its report, without the recording, its latencies, and the end of its history.
    pub fn finish(mut self, now: Time) -> (Report, Recorder, Vec<u8>) {
        self.give_up(now);
        let report = Report { unknown_count: self.outstanding_count as u64, ..self.report };
        (report, self.recorder, self.history.finish())
    }

    /// Tells the recorder what was intended and has no answer: what is open, and what an open loop that
    /// fell behind never came to issue.
    ///
    /// How long they were waited for is counted up to the end of the drain at most.
    fn give_up(&mut self, now: Time) {
        let Schedule { measure_until, drain_until, .. } = self.settings.schedule;
        let (until, window) = (now.min(drain_until), self.settings.schedule.window());
        for open in self.outstanding.iter().flatten() {
            let waited = until.since(open.intended_at);
            self.recorder.give_up(measured(open.kind), open.intended_at, waited);
        }
        let is_due = |arrival: &Time| *arrival < measure_until.min(now);
        while let Some(arrival) = self.next_arrival.filter(is_due) {
            let (kind, ..) = facts(&self.generator.next_operation());
            self.recorder.give_up(measured(kind), arrival, until.since(arrival));
            self.report.offered_count += u64::from(window.contains(arrival));
            self.next_arrival = self.generator.next_gap().map(|gap| arrival + gap);
        }
        self.give_up_controls(measure_until.min(now), until);
    }

    /// Whether it will issue no more, and has all answers or waits no longer.
    pub fn is_drained(&self, now: Time) -> bool {
        let schedule = &self.settings.schedule;
        let are_quiet = || self.controls.as_ref().is_none_or(Controls::is_quiet);
        let is_over = now >= schedule.measure_until;
        (is_over && self.outstanding_count == 0 && are_quiet()) || now >= schedule.drain_until
    }

    /// When it wants [`Self::issue`] and [`Self::retry`] to be called next, if nothing arrives before.
    pub fn next_wake(&self, now: Time) -> Option<Time> {
        let Schedule { warmup_from, measure_until, drain_until, .. } = self.settings.schedule;
        if now < warmup_from {
            return Some(warmup_from);
        }
        let arrival = self.next_arrival.filter(|arrival| *arrival < measure_until);
        let edge = [measure_until, drain_until].into_iter().find(|edge| *edge > now);
        let retry = (self.outstanding_count > 0).then_some(self.next_retry);
        let patience = self.settings.retry_after;
        let control = self.controls.as_ref().and_then(|it| it.next_wake(measure_until, patience));
        arrival.into_iter().chain(edge).chain(retry).chain(control).min()
    }

    /// There is a new connection to `replica`: what was sent on the one before may never have arrived.
    pub fn reconnect(&mut self, now: Time, replica: NodeId) {
        self.reconnect_controls(now, replica);
        self.reconnect_reads(now, replica);
        if self.silent == Some(replica) {
            // It is the one that the client would ask, had it not been down.
            self.silent = None;
            if let Some(place) = self.settings.targets.iter().position(|it| *it == replica) {
                self.turn_to(place);
            }
        }
        if replica == self.target() {
            self.report.turns.turn(now, replica, TurnKind::Reconnected);
            let open = self.open_where_writes_go(|_| true);
            self.ask_again(now, &open);
        }
    }

    /// Whom it asks.
    fn target(&self) -> NodeId {
        self.settings.targets[self.target]
    }

    /// Takes an answer of `from`.
    pub fn handle_answer(&mut self, now: Time, from: NodeId, answer: Answer) {
        match answer {
            Answer::Reply(reply) => self.handle_reply(now, from, reply),
            Answer::Control(request) => self.settle_control(now, request),
        }
    }

    fn handle_reply(&mut self, now: Time, from: NodeId, reply: Reply) {
        match reply {
            Reply::Executed { request, slot, outcome } => {
                let digest = match &outcome {
                    Outcome::Stored => None,
                    Outcome::Read(value) => value.as_deref().map(digest),
                };
                let returned = Returned {
                    sequence: request.sequence,
                    at: now,
                    slot,
                    is_beside: false,
                    digest,
                };
                if let Some(sent_at) = self.finish_operation(request, &returned) {
                    self.hear(now, from, sent_at);
                }
            }
            Reply::Read { request, below, value } => {
                let digest = value.as_deref().map(digest);
                let sequence = request.sequence;
                let returned = Returned { sequence, at: now, slot: below, is_beside: true, digest };
                let key = self.unanswered(sequence).map(|open| open.operation.key());
                let Some(sent_at) = self.finish_operation(request, &returned) else { return };
                match self.readers.as_mut().zip(key) {
                    Some((readers, key)) => readers.hear(from, key, sent_at),
                    None => self.hear(now, from, sent_at),
                }
            }
            Reply::NotLeader { request, leader } => self.redirect(now, request, leader),
        }
    }

    /// An operation is answered: when it was last sent; `None` for a second answer.
    #[inline]
    fn finish_operation(&mut self, request: RequestId, returned: &Returned) -> Option<Time> {
        let done = self.settle(request)?;
        let now = returned.at;
        let below = if returned.is_beside { returned.slot } else { returned.slot.next() };
        self.seen_below = self.seen_below.max(below);
        self.history.returned(returned);
        self.report.acknowledged_count += 1;
        self.recorder.record(measured(done.kind), done.intended_at, now);
        let schedule = &self.settings.schedule;
        let is_measured = done.kind == Kind::Write && now >= schedule.measure_from;
        self.measured_writes += u64::from(is_measured);
        let floor = match done.kind {
            Kind::Write => self.settings.floor,
            Kind::Read => self.settings.read_floor,
        };
        let counted = schedule.measure_from + floor..schedule.measure_until + floor;
        self.report.achieved_count += u64::from(counted.contains(&now));
        Some(done.sent_at)
    }

    /// A replica answered an operation that was last sent then.
    #[inline]
    fn hear(&mut self, now: Time, from: NodeId, sent_at: Time) {
        self.report.turns.answered(now, from);
        if self.silent == Some(from) || from == self.target() {
            self.silent = None;
        }
        if from != self.target() {
            return;
        }
        self.heard_of = self.heard_of.max(Some(sent_at));
        // It answers, so it leads: what was sent to the one before is its business now.
        if let Some(since) = self.untried_since.take() {
            let elsewhere = self.open_where_writes_go(|open| open.sent_at < since);
            self.ask_again(now, &elsewhere);
        }
    }

    /// Takes an operation out that is answered; `None` for a second answer.
    fn settle(&mut self, request: RequestId) -> Option<Outstanding> {
        let offset = request.sequence.checked_sub(self.settled_below)?;
        let done = self.outstanding.get_mut(usize::try_from(offset).ok()?)?.take()?;
        self.outstanding_count -= 1;
        while let Some(None) = self.outstanding.front() {
            self.outstanding.pop_front();
            self.settled_below += 1;
        }
        Some(done)
    }

    /// Asks the leader for everything open, each once: should two replicas name one another, the next
    /// retry goes on. Without a leader to ask it is left to that retry.
    ///
    /// A leader that was left for its silence gets everything open again, but is not turned to.
    fn redirect(&mut self, now: Time, request: RequestId, leader: Option<NodeId>) {
        self.report.redirected_count += 1;
        let kind = self.unanswered(request.sequence).map(|open| open.kind);
        if kind.is_some_and(|kind| !self.follows_writes(kind)) {
            return;
        }
        let Some(leader) = leader else { return };
        let Some(place) = self.settings.targets.iter().position(|it| *it == leader) else { return };
        let open = if self.silent == Some(leader) {
            self.open_where_writes_go(|open| !open.is_redirected)
        } else if place == self.target {
            let is_open = self.unanswered(request.sequence).is_some_and(|open| !open.is_redirected);
            is_open.then_some(request.sequence).into_iter().collect()
        } else {
            // What went to the silent one once more needs to be sent here, too.
            let has_left = self.silent.take().is_some();
            self.turn_to(place);
            self.report.turns.turn(now, self.target(), TurnKind::Redirected);
            self.open_where_writes_go(|open| has_left || !open.is_redirected)
        };
        for sequence in open {
            if let Some(open) = self.unanswered(sequence) {
                open.is_redirected = true;
            }
            self.send_again(now, sequence, leader);
        }
    }

    fn turn_to(&mut self, place: usize) {
        self.target = place;
        (self.heard_of, self.untried_since) = (None, None);
    }

    /// The operation of this number, if it has no answer yet.
    fn unanswered(&mut self, sequence: u64) -> Option<&mut Outstanding> {
        let offset = sequence.checked_sub(self.settled_below)?;
        self.outstanding.get_mut(usize::try_from(offset).ok()?)?.as_mut()
    }

    fn send_again(&mut self, now: Time, sequence: u64, to: NodeId) {
        let Some(open) = self.unanswered(sequence) else { return };
        open.sent_at = now;
        let operation = open.operation.clone();
        self.send(sequence, operation, to);
    }

    /// The first operations that have no answer and of which this is true, so many at most.
    fn open(&self, is: impl Fn(&Outstanding) -> bool, limit: usize) -> Vec<u64> {
        (self.settled_below..)
            .zip(&self.outstanding)
            .filter(|(_, open)| open.as_ref().is_some_and(&is))
            .map(|(sequence, _)| sequence)
            .take(limit)
            .collect()
    }

    /// The operations that have no answer, go where writes go, and of which this is true.
    fn open_where_writes_go(&self, is: impl Fn(&Outstanding) -> bool) -> Vec<u64> {
        self.open(|open| self.follows_writes(open.kind) && is(open), usize::MAX)
    }

    fn ask_again(&mut self, now: Time, sequences: &[u64]) {
        for sequence in sequences {
            self.report.retried_count += 1;
            let Some(open) = self.unanswered(*sequence) else { continue };
            open.is_redirected = false;
            let (kind, key) = (open.kind, open.operation.key());
            self.send_again(now, *sequence, self.target_of(kind, key));
        }
    }

    /// Issues what is due; true if more is.
    pub fn issue(&mut self, now: Time) -> bool {
        let Schedule { warmup_from, measure_until, .. } = self.settings.schedule;
        if now < warmup_from {
            return false;
        }
        self.begin_controls(now);
        for _ in 0..BURST {
            let intended_at = match (self.next_arrival, self.started_count) {
                (Some(arrival), started_count) if arrival <= now && arrival < measure_until => {
                    self.next_arrival = self.generator.next_gap().map(|gap| arrival + gap);
                    self.started_count = started_count.map(|count| count + 1);
                    arrival
                }
                (_, Some(count)) if self.outstanding_count < count && now < measure_until => now,
                _ => return false,
            };
            self.begin(now, intended_at);
        }
        true
    }

    /// Issues one operation now that its plan does not have.
    pub fn issue_another(&mut self, now: Time) -> Kind {
        self.begin(now, now)
    }

    fn begin(&mut self, now: Time, intended_at: Time) -> Kind {
        let operation = self.generator.next_operation();
        let sequence = self.settled_below + self.outstanding.len() as u64;
        let (kind, key, digest) = facts(&operation);
        self.history.invoke(&Issued { sequence, intended_at, kind, key, digest });
        self.report.issued_count += 1;
        self.report.offered_count +=
            u64::from(self.settings.schedule.window().contains(intended_at));
        let to = self.target_of(kind, operation.key());
        self.send(sequence, operation.clone(), to);
        if let Some(nearest) = self.also_asked(now, kind, operation.key()) {
            self.send(sequence, operation.clone(), nearest);
        }
        let open = Outstanding { intended_at, sent_at: now, kind, operation, is_redirected: false };
        self.outstanding.push_back(Some(open));
        self.outstanding_count += 1;
        kind
    }

    fn send(&mut self, sequence: u64, operation: Operation, to: NodeId) {
        let operation = match operation {
            Operation::Get { key } if self.settings.has_session => {
                Operation::GetSince { key, since: self.seen_below.0 }
            }
            operation => operation,
        };
        let request = RequestId { client: self.settings.id, sequence };
        let command = Command { request, settled_below: self.settled_below, operation };
        self.asks.push((to, Ask::Command(command)));
    }

    /// Sends again what has waited too long, to the next replica in the order if the one that was asked
    /// is silent.
    ///
    /// A burst goes at once, and the rest with the next calls, which it asks for by [`Self::next_wake`].
    pub fn retry(&mut self, now: Time) {
        self.retry_commands(now);
        self.retry_controls(now);
    }

    fn retry_commands(&mut self, now: Time) {
        if now < self.next_retry {
            return;
        }
        let patience = self.settings.retry_after;
        let long_ago = Time(now.0.saturating_sub(patience.0));
        let mut overdue = self.open(|open| open.sent_at <= long_ago, BURST);
        let is_rest = std::mem::replace(&mut self.is_amid_retry, overdue.len() == BURST);
        self.next_retry = match overdue.len() {
            0 if !is_rest => self.first_sent_at().unwrap_or(now).max(long_ago) + patience,
            BURST => now,
            _ => now + patience,
        };
        self.retry_reads(now, &mut overdue);
        let newest = overdue.iter().filter_map(|it| Some(self.unanswered(*it)?.sent_at)).max();
        let Some(newest) = newest else { return };
        // One that answers what was sent later is not silent: what it does not answer was lost.
        if !is_rest && self.heard_of.is_none_or(|heard| heard <= newest) {
            let left = self.target();
            self.next_target();
            self.silent = self.silent.or(Some(left)).filter(|silent| *silent != self.target());
            self.report.turns.turn(now, self.target(), TurnKind::Retried);
            self.untried_since = Some(now);
        }
        self.ask_again(now, &overdue);
    }

    /// When the first of those without an answer was last sent.
    fn first_sent_at(&self) -> Option<Time> {
        self.outstanding.iter().flatten().map(|open| open.sent_at).min()
    }

    /// The next in the order, but not the one that was just asked in vain.
    ///
    /// A hint does not move the order on: two replicas of which one is down and the other believes that
    /// it leads would keep a client to themselves for ever.
    fn next_target(&mut self) {
        let count = self.settings.targets.len();
        self.turn = (self.turn + 1) % count;
        if self.turn == self.target {
            self.turn = (self.turn + 1) % count;
        }
        if self.silent == Some(self.settings.targets[self.turn]) && count > 2 {
            // It was named and asked in vain meanwhile.
            self.silent = None;
            self.turn = (self.turn + 1) % count;
            if self.turn == self.target {
                self.turn = (self.turn + 1) % count;
            }
        }
        self.turn_to(self.turn);
    }
}

/// The kind of operation as it is measured.
const fn measured(kind: Kind) -> OperationKind {
    match kind {
        Kind::Write => OperationKind::Write,
        Kind::Read => OperationKind::Read,
    }
}

#[cfg(test)]
mod tests;
