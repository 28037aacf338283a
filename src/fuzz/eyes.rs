//! Whoever watches a simulated world for a fuzz: the properties, the trace, and a few counts.

use std::cell::RefCell;
use std::rc::Rc;

use super::encoded::Encoded;
use super::trace::Trace;
use super::watch::{Verdict, Watch};
use crate::command::{ClientId, Command};
use crate::monitor::{Choice, Finding, Invariant};
use crate::protocol::{Envelope, Executed, Installed, Note, Reply, Statement};
use crate::quorum::NodeId;
use crate::registry::Registration;
use crate::sabotage::Saboteur;
use crate::sim::{Observer, Sent};
use crate::time::Time;

/// A run that sends so many messages is a storm: others send a thousand, and the worst of them a tenth
/// of this.
const STORM_MESSAGES: u64 = 1_000_000;

/// All that is seen of a world.
#[derive(Debug)]
pub(super) struct Eyes {
    pub(super) watch: Watch,
    pub(super) trace: Option<Trace>,
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

/// The observer that a world owns; who made it looks through the same eyes.
#[derive(Clone, Debug)]
pub(super) struct Shared(Rc<RefCell<Eyes>>);

impl Eyes {
    pub(super) fn new(watch: Watch, trace: Option<Trace>, n: usize) -> Self {
        let latest = vec![Time::ZERO; n * n];
        let answered_at = Time::ZERO;
        Self {
            watch,
            trace,
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
            self.trace(|trace| trace.write(now, &format!("{:<16}{sentence}", "VIOLATION")));
            self.violation.get_or_insert(violation);
            panic!("{sentence}");
        }
    }

    fn trace(&mut self, write: impl FnOnce(&mut Trace)) {
        if let Some(trace) = &mut self.trace {
            write(trace);
        }
    }

    fn tell(&mut self, now: Time, by: NodeId, statement: &Statement<'_>, is_released: bool) {
        let mut chosen: Vec<Choice> = Vec::new();
        let verdict = if is_released {
            self.watch.released(now, by, statement, &mut chosen)
        } else {
            self.watch.told(now, by, statement, &mut chosen)
        };
        for choice in &chosen {
            self.trace(|trace| trace.chosen(now, choice));
        }
        self.judge(now, verdict);
    }

    /// Messages that beget messages would go on for ever; one that is lost begets none.
    fn count(&mut self, now: Time) {
        self.sent_count += 1;
        if self.sent_count > STORM_MESSAGES {
            let sentence = format!("{STORM_MESSAGES} messages arrive, and there is no end of them");
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
    pub(super) fn new(eyes: Eyes) -> Self {
        Self(Rc::new(RefCell::new(eyes)))
    }

    /// Looks at what was seen.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Eyes) -> T) -> T {
        look(&mut self.0.borrow_mut())
    }
}

impl<P: Registration> Observer<Encoded<Saboteur<P>>> for Shared {
    fn sent(&mut self, sent: &Sent<'_, NodeId, NodeId, P::Message>) {
        let eyes = &mut *self.0.borrow_mut();
        eyes.trace(|trace| trace.sent(sent));
        if let Some(arrives_at) = sent.arrives_at {
            eyes.count(sent.sent_at);
            eyes.note_order(sent.from, sent.to, arrives_at);
        }
        // A vote that waited was told when it was released; one that did not wait is told here.
        eyes.tell(sent.sent_at, sent.from, &P::statement(sent.message), false);
    }

    fn asked(&mut self, sent: &Sent<'_, ClientId, NodeId, Command>) {
        let eyes = &mut *self.0.borrow_mut();
        eyes.trace(|trace| trace.asked(sent));
        eyes.watch.asked(sent.message);
    }

    fn received(&mut self, now: Time, from: NodeId, to: NodeId, message: &P::Message) {
        self.look(|eyes| eyes.trace(|trace| trace.received(now, from, to, message)));
    }

    fn requested(&mut self, now: Time, to: NodeId, command: &Command) {
        self.look(|eyes| eyes.trace(|trace| trace.requested(now, to, command)));
    }

    fn told(&mut self, now: Time, from: NodeId, _: ClientId, reply: &Reply) {
        let eyes = &mut *self.0.borrow_mut();
        eyes.trace(|trace| trace.told(now, from, reply));
        // A request that was asked again may be answered again.
        let is_answer = matches!(reply, Reply::Executed { .. });
        if is_answer && eyes.watch.outstanding().contains(&reply.request()) {
            eyes.answered_at = now;
        }
        eyes.watch.answered(reply);
    }

    fn recorded(&mut self, now: Time, by: NodeId, records: &[P::Record]) {
        let eyes = &mut *self.0.borrow_mut();
        eyes.trace(|trace| trace.recorded(now, by, records));
        let mut records = records.iter();
        let verdict = records.try_for_each(|record| eyes.watch.recorded(&P::recorded(record)));
        eyes.judge(now, verdict);
    }

    fn synced(&mut self, now: Time, by: NodeId) {
        self.look(|eyes| eyes.trace(|trace| trace.by(now, by, "has synced")));
    }

    fn released(&mut self, now: Time, by: NodeId, envelope: &Envelope<P::Message>) {
        self.look(|eyes| {
            if envelope.to.contains(by) {
                let message = &envelope.message;
                eyes.trace(|trace| trace.by(now, by, &format!("tells itself {message}")));
            }
            eyes.tell(now, by, &P::statement(&envelope.message), true);
        });
    }

    fn executed(&mut self, now: Time, by: NodeId, executed: &Executed) {
        let eyes = &mut *self.0.borrow_mut();
        eyes.trace(|trace| trace.executed(now, by, P::ORDER, executed));
        let verdict = eyes.watch.executed(by, executed);
        eyes.judge(now, verdict);
    }

    fn installed(&mut self, now: Time, by: NodeId, installed: &Installed) {
        self.look(|eyes| eyes.trace(|trace| trace.installed(now, by, installed)));
    }

    fn noted(&mut self, now: Time, by: NodeId, note: &Note) {
        self.look(|eyes| eyes.trace(|trace| trace.noted(now, by, note)));
    }

    fn crashed(&mut self, now: Time, replica: NodeId, _: &Encoded<Saboteur<P>>) {
        self.look(|eyes| eyes.trace(|trace| trace.by(now, replica, "CRASHES")));
    }

    fn restarted(
        &mut self,
        now: Time,
        replica: NodeId,
        protocol: &Encoded<Saboteur<P>>,
        records: usize,
    ) {
        let eyes = &mut *self.0.borrow_mut();
        eyes.trace(|trace| {
            trace.by(now, replica, &format!("STARTS AGAIN from {records} records"));
        });
        let verdict = eyes.watch.restarted(replica, protocol);
        eyes.judge(now, verdict);
    }

    fn campaigned(&mut self, now: Time, replica: NodeId) {
        self.look(|eyes| eyes.trace(|trace| trace.by(now, replica, "is told to lead")));
    }
}
