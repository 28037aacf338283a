//! The control operations of one session.
//!
//! They ask the replica that the next command would ask, and are asked again of another one like a command
//! that nobody answers.
//! They follow the session and never lead it: neither an answer to one nor its silence changes whom commands
//! ask, so the load is the same with controls and without.
//! They are in no history, because they touch no state: there is nothing for a checker to judge.

use std::collections::BTreeMap;

use super::Session;
use crate::command::{Ask, RequestId};
use crate::measure::OperationKind;
use crate::quorum::NodeId;
use crate::time::{Span, Time};
use crate::workload::ControlStarts;

/// A control operation without an answer yet.
#[derive(Clone, Copy, Debug)]
struct Open {
    intended_at: Time,
    sent_at: Time,
    asked: NodeId,
}

/// What a session knows of its control operations.
#[derive(Debug)]
pub(super) struct Controls {
    starts: ControlStarts,
    next_at: Time,
    next_sequence: u64,
    open: BTreeMap<u64, Open>,
}

/// Whom to ask for a control operation, by its number.
type Asked = (NodeId, u64);

impl Controls {
    /// None yet; the first begins after `from`.
    fn new(mut starts: ControlStarts, from: Time) -> Self {
        let next_at = from + starts.next_gap();
        Self { starts, next_at, next_sequence: 0, open: BTreeMap::new() }
    }

    /// Begins those that are due before `until`, by asking `target`.
    fn begin(&mut self, now: Time, until: Time, target: NodeId) -> Vec<Asked> {
        let mut asked = Vec::new();
        while let Some(intended_at) = self.due(now, until) {
            let sequence = self.next_sequence;
            self.next_sequence += 1;
            self.open.insert(sequence, Open { intended_at, sent_at: now, asked: target });
            asked.push((target, sequence));
        }
        asked
    }

    /// The intended start of the next one, if it is due by `now` and before `until`.
    fn due(&mut self, now: Time, until: Time) -> Option<Time> {
        let is_due = self.next_at <= now && self.next_at < until;
        is_due.then(|| {
            let next_at = self.next_at + self.starts.next_gap();
            std::mem::replace(&mut self.next_at, next_at)
        })
    }

    /// Asks again for what has waited too long: `target`, or if that is silent too the next one in the order.
    fn retry(&mut self, now: Time, patience: Span, target: NodeId, order: &[NodeId]) -> Vec<Asked> {
        let mut asked = Vec::new();
        for (sequence, open) in &mut self.open {
            if open.sent_at + patience > now {
                continue;
            }
            let next = if open.asked == target { after(target, order) } else { target };
            (open.sent_at, open.asked) = (now, next);
            asked.push((next, *sequence));
        }
        asked
    }

    /// Asks `replica` again for what it was asked before: there is a new connection to it.
    fn reconnect(&mut self, now: Time, replica: NodeId) -> Vec<Asked> {
        let mut asked = Vec::new();
        for (sequence, open) in self.open.iter_mut().filter(|(_, open)| open.asked == replica) {
            open.sent_at = now;
            asked.push((replica, *sequence));
        }
        asked
    }

    /// The intended start of one that is answered; `None` for a second answer.
    fn settle(&mut self, sequence: u64) -> Option<Time> {
        self.open.remove(&sequence).map(|open| open.intended_at)
    }

    /// Whether all have their answers.
    pub(super) fn is_quiet(&self) -> bool {
        self.open.is_empty()
    }

    /// When one is due next before `until`, or to be asked for again.
    pub(super) fn next_wake(&self, until: Time, patience: Span) -> Option<Time> {
        let retries = self.open.values().map(|open| open.sent_at + patience);
        let begins = Some(self.next_at).filter(|at| *at < until);
        retries.chain(begins).min()
    }

    /// The intended starts of all that have no answer, and of those due before `until` that never began.
    fn give_up(mut self, until: Time) -> Vec<Time> {
        let mut given_up: Vec<Time> = self.open.values().map(|open| open.intended_at).collect();
        while self.next_at < until {
            given_up.push(self.next_at);
            self.next_at = self.next_at + self.starts.next_gap();
        }
        given_up
    }
}

impl Session {
    /// With control operations that begin after these gaps.
    #[must_use]
    pub(super) fn controlled(self, starts: ControlStarts) -> Self {
        let from = self.settings.schedule.warmup_from;
        Self { controls: Some(Controls::new(starts, from)), ..self }
    }

    /// Begins the control operations that are due.
    pub(super) fn begin_controls(&mut self, now: Time) {
        let (target, until) = (self.target(), self.settings.schedule.measure_until);
        let due = self.controls.as_mut().map(|it| it.begin(now, until, target));
        self.ask_controls(due);
    }

    /// Asks again for those that have waited too long.
    pub(super) fn retry_controls(&mut self, now: Time) {
        let (target, patience) = (self.target(), self.settings.retry_after);
        let order = &self.settings.targets;
        let overdue = self.controls.as_mut().map(|it| it.retry(now, patience, target, order));
        self.ask_controls(overdue);
    }

    /// There is a new connection to `replica`.
    pub(super) fn reconnect_controls(&mut self, now: Time, replica: NodeId) {
        let again = self.controls.as_mut().map(|it| it.reconnect(now, replica));
        self.ask_controls(again);
    }

    fn ask_controls(&mut self, asked: Option<Vec<Asked>>) {
        let client = self.settings.id;
        let ask = |sequence| Ask::Control(RequestId { client, sequence });
        self.asks.extend(asked.into_iter().flatten().map(|(to, sequence)| (to, ask(sequence))));
    }

    /// A control operation is answered; a second answer is none.
    pub(super) fn settle_control(&mut self, now: Time, request: RequestId) {
        let answered = self.controls.as_mut().and_then(|it| it.settle(request.sequence));
        if let Some(intended_at) = answered {
            self.recorder.record(OperationKind::Control, intended_at, now);
        }
    }

    /// Tells the recorder which of those intended before `end` have no answer; they are waited for until
    /// `until`.
    pub(super) fn give_up_controls(&mut self, end: Time, until: Time) {
        let given_up = self.controls.take().map(|controls| controls.give_up(end));
        for intended_at in given_up.into_iter().flatten() {
            let waited = until.since(intended_at);
            self.recorder.give_up(OperationKind::Control, intended_at, waited);
        }
    }
}

/// The replica behind `target` in the order, in which every replica is.
fn after(target: NodeId, order: &[NodeId]) -> NodeId {
    let place = order.iter().position(|id| *id == target).unwrap_or_default();
    order[(place + 1) % order.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Control;

    const ORDER: [NodeId; 3] = [NodeId(2), NodeId(0), NodeId(1)];
    const PATIENCE: Span = Span(1_000);

    /// One in every hundred nanoseconds, from 1000 on.
    fn controls() -> Controls {
        let control = Control { rate_per_s: 1e7 };
        Controls::new(ControlStarts::new(control, 0, 1), Time(1_000))
    }

    #[test]
    fn controls_begin_when_they_are_due_and_not_after_the_end() {
        let mut controls = controls();
        assert_eq!(controls.begin(Time(999), Time(1_300), ORDER[0]), []);
        let first = controls.begin(Time(1_100), Time(1_300), ORDER[0]);
        assert_eq!(first, [(ORDER[0], 0)]);
        let rest = controls.begin(Time(9_999), Time(1_300), ORDER[1]);
        assert_eq!(rest, [(ORDER[1], 1), (ORDER[1], 2)]);
        assert!((1_000..=1_100).contains(&controls.settle(0).unwrap().0));
        assert_eq!(controls.settle(0), None);
        assert!(!controls.is_quiet());
        controls.settle(1);
        controls.settle(2);
        assert!(controls.is_quiet());
        // Nothing more begins, so there is nothing to wake up for.
        assert_eq!(controls.next_wake(Time(1_300), PATIENCE), None);
    }

    #[test]
    fn a_control_without_an_answer_is_asked_of_another_replica() {
        let mut controls = controls();
        controls.begin(Time(1_100), Time(1_100), ORDER[0]);
        assert_eq!(controls.next_wake(Time(1_100), PATIENCE), Some(Time(2_100)));
        let retry = |controls: &mut Controls, now, target: NodeId| {
            controls.retry(Time(now), PATIENCE, target, &ORDER)
        };
        assert_eq!(retry(&mut controls, 2_099, ORDER[0]), []);
        // The session still asks the silent one; then it has turned to another; then that is silent, too.
        assert_eq!(retry(&mut controls, 2_100, ORDER[0]), [(ORDER[1], 0)]);
        assert_eq!(retry(&mut controls, 3_100, ORDER[2]), [(ORDER[2], 0)]);
        assert_eq!(retry(&mut controls, 4_100, ORDER[2]), [(ORDER[0], 0)]);
        assert_eq!(controls.reconnect(Time(4_200), ORDER[2]), []);
        assert_eq!(controls.reconnect(Time(4_200), ORDER[0]), [(ORDER[0], 0)]);
        assert_eq!(controls.next_wake(Time(1_100), PATIENCE), Some(Time(5_200)));
    }

    #[test]
    fn a_control_that_never_began_is_given_up_too() {
        let mut controls = controls();
        controls.begin(Time(1_100), Time(1_300), ORDER[0]);
        controls.begin(Time(1_200), Time(1_300), ORDER[0]);
        controls.settle(0);
        let given_up = controls.give_up(Time(1_300));
        assert!(given_up.len() == 2 && given_up.is_sorted(), "{given_up:?}");
        assert!(given_up.iter().all(|at| (1_100..1_300).contains(&at.0)), "{given_up:?}");
    }
}
