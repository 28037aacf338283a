//! Decides which faults of a trial begin and end, and when: once, for every world.
//!
//! It is pure: the world says what time it is and what its [`Members`] say, and carries each [`Order`] out
//! before it asks for the next one, as an order may change who leads.
//!
//! | a fault | begins |
//! |---|---|
//! | triggered by a time | then; before those that end at that time |
//! | triggered by writes | once clients had answers to so many |
//! | of whoever leads | not before somebody leads |
//!
//! What waits for writes or for a leader begins within the measured time or never.
//! A crash, a pause or a campaign of a replica that is down does nothing and leaves no record: that replica
//! is started again when its first crash ends.
//! A crash ends the pauses of its replica; of two pauses of one replica the last to end resumes it.
//! Faults of links and disks add up: after each order the world makes of them what [`Injector::active`]
//! says.

use std::collections::VecDeque;

use super::{Aim, FaultKind, InjectedFault, Leader, Scheduled, Trigger};
use crate::quorum::NodeId;
use crate::time::{Span, Time};

/// What members say at the moment.
pub trait Members {
    /// The writes that were answered since the measurement began.
    fn written(&self) -> u64;
    /// Who leads; of several that say so, the one with the highest ballot.
    fn leader(&self) -> Option<Leader>;
    /// Whether a replica is gone without a fault that says so.
    fn is_lost(&self, replica: NodeId) -> bool;
    /// How many slots a replica has executed; `None` where nobody says, or there are no slots.
    fn executed(&self, replica: NodeId) -> Option<u64>;
    /// How many the furthest has.
    fn furthest(&self) -> Option<u64>;
}

/// What a world does next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// A fault begins.
    Begin {
        /// Which.
        kind: FaultKind,
        /// When it ends, if it does and not at once.
        ends_at: Option<Time>,
    },
    /// A fault has ended: a crashed replica is started again, a paused one goes on.
    End(FaultKind),
}

/// The crash that keeps a replica down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Its place in the schedule, if it has one.
    pub fault: Option<usize>,
    /// When it ends, if it does.
    pub ends_at: Option<Time>,
}

/// A fault of the schedule that did nothing, because its replica was down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Skipped {
    /// Its place in the schedule.
    pub fault: usize,
    /// What it would have done.
    pub kind: FaultKind,
    /// To whom.
    pub replica: NodeId,
    /// The place in the schedule of the crash that keeps the replica down, if it has one.
    pub crash: Option<usize>,
}

/// A fault that lasts.
#[derive(Clone, Copy, Debug)]
struct Active {
    kind: FaultKind,
    ends_at: Option<Time>,
    /// Its place in the records, if it was in the schedule.
    record: Option<usize>,
}

/// A fault that begins now, of one replica or of links.
#[derive(Clone, Copy, Debug)]
struct Beginning {
    kind: FaultKind,
    lasts: Option<Span>,
    /// Its place in the schedule.
    fault: Option<usize>,
}

/// A replica that was stopped and is back.
#[derive(Clone, Copy, Debug)]
struct CatchingUp {
    replica: NodeId,
    /// The place of its fault in the records.
    record: usize,
    /// How many slots the furthest had executed when it came back.
    executed: u64,
}

/// The faults of a trial: to come, active, and over.
#[derive(Clone, Debug)]
pub struct Injector {
    schedule: Vec<Scheduled>,
    aim: Aim,
    /// When faults that wait stop to.
    until: Time,
    /// Those that begin at a time, by that time.
    timed: VecDeque<(Time, usize)>,
    /// Those that wait for writes, or for a leader.
    waiting: Vec<usize>,
    /// What the fault that begins now does to one replica after the other.
    beginning: VecDeque<Beginning>,
    active: Vec<Active>,
    records: Vec<InjectedFault>,
    catching_up: Vec<CatchingUp>,
    skipped: Vec<Skipped>,
}

impl Injector {
    /// None of the schedule begins before the injector is [started](Self::start).
    pub const fn new(schedule: Vec<Scheduled>, aim: Aim) -> Self {
        Self {
            schedule,
            aim,
            until: Time::ZERO,
            timed: VecDeque::new(),
            waiting: Vec::new(),
            beginning: VecDeque::new(),
            active: Vec::new(),
            records: Vec::new(),
            catching_up: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// The measured time is this; the schedule counts from its beginning.
    pub fn start(&mut self, from: Time, until: Time) {
        self.until = until;
        for (fault, Scheduled { trigger, .. }) in self.schedule.iter().enumerate() {
            match trigger {
                Trigger::At(after) => self.timed.push_back((from + *after, fault)),
                Trigger::AfterWrites(_) => self.waiting.push(fault),
            }
        }
        self.timed.make_contiguous().sort_by_key(|(at, _)| *at);
    }

    /// The next order of those that depend on the time; `None` if nothing else is due.
    pub fn next_due(&mut self, now: Time, members: &impl Members) -> Option<Order> {
        loop {
            if let Some(order) = self.go_on(now, members) {
                return Some(order);
            }
            let begin = self.timed.front().copied().filter(|(at, _)| *at <= now);
            let ends = self
                .active
                .iter()
                .enumerate()
                .filter_map(|(place, it)| Some((it.ends_at.filter(|at| *at <= now)?, place)));
            match (begin, ends.min()) {
                (Some((at, fault)), end) if end.is_none_or(|(ends_at, _)| at <= ends_at) => {
                    self.timed.pop_front();
                    if !self.expand(fault, members) {
                        self.waiting.push(fault);
                    }
                }
                (_, Some((_, place))) => {
                    let order = self.end(place, now, members);
                    if order.is_some() {
                        return order;
                    }
                }
                _ => return None,
            }
        }
    }

    /// The next order of those that depend on what members say; `None` if nothing else has come true.
    pub fn next_awaited(&mut self, now: Time, members: &impl Members) -> Option<Order> {
        loop {
            if let Some(order) = self.go_on(now, members) {
                return Some(order);
            }
            if now >= self.until {
                self.waiting.clear();
            }
            let place = (0..self.waiting.len()).find(|place| {
                let fault = self.waiting[*place];
                let is_due = match self.schedule[fault].trigger {
                    Trigger::At(_) => true,
                    Trigger::AfterWrites(count) => members.written() >= count,
                };
                is_due && self.expand(fault, members)
            })?;
            self.waiting.remove(place);
        }
    }

    /// Whether a replica that was stopped has yet to catch up with the others.
    pub const fn is_catching_up(&self) -> bool {
        !self.catching_up.is_empty()
    }

    /// Notes which of those that were stopped have executed what the furthest had when they were started again.
    pub fn note_progress(&mut self, now: Time, members: &impl Members) {
        let has_caught_up = |it: &mut CatchingUp| {
            members.executed(it.replica).is_some_and(|executed| executed >= it.executed)
        };
        for CatchingUp { record, .. } in self.catching_up.extract_if(.., has_caught_up) {
            self.records[record].caught_up_at = Some(now);
        }
    }

    /// A fault that no schedule has begins now, unless its replica is down; it leaves no record.
    pub fn inject(
        &mut self,
        now: Time,
        (kind, lasts): (FaultKind, Option<Span>),
        members: &impl Members,
    ) -> Option<Order> {
        self.begin(now, Beginning { kind, lasts, fault: None }, members)
    }

    /// Ends all that is active, in the order in which it began; nothing of the schedule begins any more.
    pub fn end_all(&mut self, now: Time) -> Vec<FaultKind> {
        self.cancel();
        let ended = std::mem::take(&mut self.active);
        for active in &ended {
            self.note_end(active, now);
        }
        ended.into_iter().map(|active| active.kind).collect()
    }

    /// Nothing of the schedule begins any more.
    pub fn cancel(&mut self) {
        self.timed.clear();
        self.waiting.clear();
    }

    /// The trial ends before what is active: that never ended.
    pub fn abandon(&mut self) -> Vec<FaultKind> {
        self.cancel();
        std::mem::take(&mut self.active).into_iter().map(|active| active.kind).collect()
    }

    /// What lasts, in the order in which it began.
    pub fn active(&self) -> impl Iterator<Item = &FaultKind> + Clone {
        self.active.iter().map(|active| &active.kind)
    }

    /// The next time at which one begins or ends, of those that know it.
    pub fn next_at(&self) -> Option<Time> {
        let ends = self.active.iter().filter_map(|active| active.ends_at);
        ends.chain(self.timed.front().map(|(at, _)| *at)).min()
    }

    /// When those begin that begin at a time.
    pub fn times(&self) -> impl Iterator<Item = Time> {
        self.timed.iter().map(|(at, _)| *at)
    }

    /// Whether one waits for writes, or for a leader.
    pub const fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether none is to come, and none that is active is to end.
    pub fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.next_at().is_none()
    }

    /// The crash, or the full disk, that keeps this replica down, if one does.
    pub fn crash_of(&self, replica: NodeId) -> Option<Crash> {
        let is_its = |active: &&Active| active.kind.stopped() == Some(&replica);
        let active = self.active.iter().find(is_its)?;
        let fault = active.record.map(|record| self.records[record].fault);
        Some(Crash { fault, ends_at: active.ends_at })
    }

    /// The faults of the schedule that did nothing since this was last asked, in their order.
    pub fn take_skipped(&mut self) -> Vec<Skipped> {
        std::mem::take(&mut self.skipped)
    }

    /// The faults of the schedule that began, in the order in which they did.
    pub fn records(&self) -> &[InjectedFault] {
        &self.records
    }

    /// The same, at the end.
    pub fn into_records(self) -> Vec<InjectedFault> {
        self.records
    }

    /// A fault of the schedule is to begin; false if that depends on who leads, and nobody does.
    fn expand(&mut self, fault: usize, members: &impl Members) -> bool {
        let Scheduled { kind, heals_after, .. } = &self.schedule[fault];
        let leader = if kind.is_of_part() { members.leader() } else { None };
        let Some(kinds) = self.aim.kinds(kind, leader) else { return false };
        let beginning = |kind| Beginning { kind, lasts: *heals_after, fault: Some(fault) };
        self.beginning.extend(kinds.into_iter().map(beginning));
        true
    }

    /// The next order of the fault that begins now.
    fn go_on(&mut self, now: Time, members: &impl Members) -> Option<Order> {
        while let Some(beginning) = self.beginning.pop_front() {
            let order = self.begin(now, beginning, members);
            if order.is_some() {
                return order;
            }
        }
        None
    }

    fn begin(&mut self, now: Time, it: Beginning, members: &impl Members) -> Option<Order> {
        let Beginning { kind, lasts, fault } = it;
        if let FaultKind::Crash { replica, .. }
        | FaultKind::FullDisk { replica }
        | FaultKind::Pause { replica }
        | FaultKind::Campaign { replica } = kind
        {
            let crash = self.crash_of(replica);
            if crash.is_some() || members.is_lost(replica) {
                let crash = crash.and_then(|crash| crash.fault);
                self.skipped.extend(fault.map(|fault| Skipped { fault, kind, replica, crash }));
                return None;
            }
        }
        if let Some(&replica) = kind.stopped() {
            self.catching_up.retain(|it| it.replica != replica);
            let is_pause = |active: &mut Active| active.kind == FaultKind::Pause { replica };
            let pauses: Vec<Active> = self.active.extract_if(.., is_pause).collect();
            for pause in &pauses {
                self.note_end(pause, now);
            }
        }
        let is_instant = matches!(kind, FaultKind::Campaign { .. });
        let record = fault.map(|fault| {
            let ended_at = is_instant.then_some(now);
            self.records.push(InjectedFault { fault, kind, at: now, ended_at, caught_up_at: None });
            self.records.len() - 1
        });
        let ends_at = lasts.filter(|_| !is_instant).map(|lasts| now + lasts);
        if !is_instant {
            self.active.push(Active { kind, ends_at, record });
        }
        Some(Order::Begin { kind, ends_at })
    }

    /// The active fault of this place ends; no order if another one does the same to its replica.
    fn end(&mut self, place: usize, now: Time, members: &impl Members) -> Option<Order> {
        let ended = self.active.remove(place);
        self.note_end(&ended, now);
        if let (Some(record), Some(&replica)) = (ended.record, ended.kind.stopped())
            && let Some(executed) = members.furthest()
        {
            self.catching_up.push(CatchingUp { replica, record, executed });
        }
        let is_paused = matches!(ended.kind, FaultKind::Pause { .. })
            && self.active().any(|active| *active == ended.kind);
        (!is_paused).then_some(Order::End(ended.kind))
    }

    fn note_end(&mut self, ended: &Active, now: Time) {
        if let Some(record) = ended.record {
            self.records[record].ended_at = Some(now);
        }
    }
}

#[cfg(test)]
#[path = "injector_tests.rs"]
mod tests;
