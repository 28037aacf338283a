//! The observer of a simulated world for a fuzz: the properties, the trace, and a few counts.

use std::cell::RefCell;
use std::rc::Rc;

use super::encoded::Encoded;
use super::line::Kind;
use super::situations::Situations;
use super::trace::Trace;
use super::triggers::{Occasion, Triggers};
use super::watch::{Verdict, Watch};
use crate::command::{ClientId, Command};
use crate::monitor::{Choice, Finding, Invariant};
use crate::protocol::{Envelope, Executed, Installed, Note, Protocol, Reply, Statement};
use crate::quorum::NodeId;
use crate::registry::Registration;
use crate::sabotage::Saboteur;
use crate::sim::{Observer, Sent};
use crate::time::Time;

/// A run that sends more messages than this never ends: others send a thousand, and the worst of them
/// a tenth of this.
const MESSAGES_MAX: u64 = 1_000_000;

/// All that was observed of a world.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) watch: Watch,
    pub(super) trace: Option<Trace>,
    pub(super) situations: Option<Situations>,
    pub(super) triggers: Triggers,
    pub(super) violation: Option<Finding>,
    /// When a client was answered last.
    pub(super) answered_at: Time,
    sent_count: u64,
    /// Messages that arrive before one that was sent earlier on their link.
    pub(super) overtaken_count: u64,
    /// When the latest message so far arrives, by link.
    latest: Vec<Time>,
    n: usize,
}

/// The observer that a world owns; who made it shares the observation.
#[derive(Clone, Debug)]
pub(super) struct Shared(Rc<RefCell<Observation>>);

impl Observation {
    pub(super) fn new(
        watch: Watch,
        trace: Option<Trace>,
        situations: Option<Situations>,
        triggers: Triggers,
        n: usize,
    ) -> Self {
        let latest = vec![Time::ZERO; n * n];
        let answered_at = Time::ZERO;
        Self {
            watch,
            trace,
            situations,
            triggers,
            violation: None,
            answered_at,
            sent_count: 0,
            overtaken_count: 0,
            latest,
            n,
        }
    }

    /// A violation ends the run: the world stops at a panic, and keeps its message.
    fn judge(&mut self, now: Time, verdict: Verdict) {
        if let Err(violation) = verdict {
            let sentence = violation.to_string();
            self.trace(|trace| trace.violation(now, &violation));
            self.violation.get_or_insert(violation);
            panic!("{sentence}");
        }
    }

    fn trace(&mut self, write: impl FnOnce(&mut Trace)) {
        if let Some(trace) = &mut self.trace {
            write(trace);
        }
    }

    fn situate(&mut self, situate: impl FnOnce(&mut Situations)) {
        if let Some(situations) = &mut self.situations {
            situate(situations);
        }
    }

    fn tell(&mut self, now: Time, by: NodeId, statement: &Statement<'_>, is_released: bool) {
        self.situate(|situations| situations.said(by, statement));
        self.triggers.said(now, by, statement);
        let mut chosen: Vec<Choice> = Vec::new();
        let verdict = if is_released {
            self.watch.released(now, by, statement, &mut chosen)
        } else {
            self.watch.told(now, by, statement, &mut chosen)
        };
        for choice in &chosen {
            self.trace(|trace| trace.chosen(now, choice));
            self.situate(|situations| situations.chosen(choice));
        }
        self.judge(now, verdict);
    }

    /// Messages that beget messages would go on for ever; one that is lost begets none.
    fn count(&mut self, now: Time) {
        self.sent_count += 1;
        if self.sent_count > MESSAGES_MAX {
            let sentence = format!("{MESSAGES_MAX} messages arrive, and there is no end of them");
            self.judge(now, Err(Finding::new(Invariant::Progress, sentence)));
        }
    }

    fn note_order(&mut self, from: NodeId, to: NodeId, arrives_at: Time) {
        let latest = &mut self.latest[usize::from(from.0) * self.n + usize::from(to.0)];
        self.overtaken_count += u64::from(arrives_at < *latest);
        *latest = arrives_at.max(*latest);
    }
}

impl Shared {
    pub(super) fn new(observation: Observation) -> Self {
        Self(Rc::new(RefCell::new(observation)))
    }

    /// Looks at what was observed.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Observation) -> T) -> T {
        look(&mut self.0.borrow_mut())
    }
}

impl<P: Registration> Observer<Encoded<Saboteur<P>>> for Shared {
    fn sent(&mut self, sent: &Sent<'_, NodeId, NodeId, P::Message>) {
        let observation = &mut *self.0.borrow_mut();
        observation.trace(|trace| trace.sent(sent, &P::statement(sent.message)));
        if let Some(arrives_at) = sent.arrives_at {
            observation.count(sent.sent_at);
            observation.note_order(sent.from, sent.to, arrives_at);
        }
        // A vote that waited was told when it was released; one that did not wait is told here.
        observation.tell(sent.sent_at, sent.from, &P::statement(sent.message), false);
    }

    fn asked(&mut self, sent: &Sent<'_, ClientId, NodeId, Command>) {
        let observation = &mut *self.0.borrow_mut();
        observation.trace(|trace| trace.asked(sent));
        observation.watch.asked(sent.message);
        observation.situate(|situations| situations.asked(sent.message.request));
    }

    fn received(&mut self, now: Time, from: NodeId, to: NodeId, message: &P::Message) {
        self.look(|observation| {
            let statement = P::statement(message);
            observation.trace(|trace| trace.received(now, from, to, message, &statement));
            observation.situate(|situations| situations.received(from, to, message, &statement));
        });
    }

    fn requested(&mut self, now: Time, to: NodeId, command: &Command) {
        self.look(|observation| observation.trace(|trace| trace.requested(now, to, command)));
    }

    fn told(&mut self, now: Time, from: NodeId, _: ClientId, reply: &Reply) {
        let observation = &mut *self.0.borrow_mut();
        observation.trace(|trace| trace.told(now, from, reply));
        // A request that was asked again may be answered again.
        let is_answer = reply.is_answer();
        if is_answer && observation.watch.outstanding().contains(&reply.request()) {
            observation.answered_at = now;
        }
        observation.watch.answered(reply);
        observation.situate(|situations| situations.answered(from, reply.request(), is_answer));
    }

    fn recorded(&mut self, now: Time, by: NodeId, records: &[P::Record]) {
        let observation = &mut *self.0.borrow_mut();
        observation.trace(|trace| {
            let stated = records.iter().map(|record| (record, P::recorded(record)));
            trace.recorded(now, by, stated);
        });
        observation.situate(|situations| {
            for record in records {
                situations.recorded(by, &P::recorded(record));
            }
        });
        for record in records {
            observation.triggers.recorded(now, by, &P::recorded(record));
        }
        let mut records = records.iter();
        let verdict =
            records.try_for_each(|record| observation.watch.recorded(&P::recorded(record)));
        observation.judge(now, verdict);
    }

    fn synced(&mut self, now: Time, by: NodeId) {
        self.look(|observation| {
            observation.trace(|trace| trace.by(now, Kind::Other, by, "has synced"));
            observation.situate(|situations| situations.synced(by));
        });
    }

    fn released(&mut self, now: Time, by: NodeId, envelope: &Envelope<P::Message>) {
        self.look(|observation| {
            if envelope.to.contains(by) {
                let message = &envelope.message;
                let statement = P::statement(message);
                observation.trace(|trace| trace.told_itself(now, by, message, &statement));
            }
            observation.tell(now, by, &P::statement(&envelope.message), true);
        });
    }

    fn executed(&mut self, now: Time, by: NodeId, executed: &Executed) {
        let observation = &mut *self.0.borrow_mut();
        observation.trace(|trace| trace.executed(now, by, P::ORDER, executed));
        observation.situate(|situations| situations.executed(by, executed));
        let verdict = observation.watch.executed(by, executed);
        observation.judge(now, verdict);
    }

    fn installed(&mut self, now: Time, by: NodeId, installed: &Installed) {
        self.look(|observation| {
            observation.trace(|trace| trace.installed(now, by, installed));
            observation.situate(|situations| situations.installed(by, installed.below));
            observation.triggers.note(now, by, Occasion::Installs);
        });
    }

    fn noted(&mut self, now: Time, by: NodeId, note: &Note) {
        self.look(|observation| {
            observation.trace(|trace| trace.noted(now, by, note));
            observation.situate(|situations| situations.noted(by, note));
            observation.triggers.noted(now, by, note);
        });
    }

    fn crashed(&mut self, now: Time, replica: NodeId, _: &Encoded<Saboteur<P>>) {
        self.look(|observation| {
            observation.trace(|trace| trace.by(now, Kind::Crashes, replica, "CRASHES"));
            observation.situate(|situations| situations.crashed(replica));
        });
    }

    fn restarted(
        &mut self,
        now: Time,
        replica: NodeId,
        protocol: &Encoded<Saboteur<P>>,
        records: usize,
    ) {
        let observation = &mut *self.0.borrow_mut();
        observation.trace(|trace| {
            let text = format!("STARTS AGAIN from {records} records");
            trace.by(now, Kind::Restarts, replica, &text);
        });
        observation.situate(|situations| {
            let executed_below = P::ORDER.executed_below(protocol.progress());
            situations.restarted(replica, records, executed_below);
        });
        observation.triggers.note(now, replica, Occasion::Restarts);
        let verdict = observation.watch.restarted(replica, protocol);
        observation.judge(now, verdict);
    }

    fn campaigned(&mut self, now: Time, replica: NodeId) {
        self.look(|observation| {
            observation.trace(|trace| trace.by(now, Kind::Told, replica, "is told to lead"));
            observation.situate(|situations| situations.campaigned(replica));
        });
    }
}
