//! Commit wait: a client is told of an entry only when its stamp has surely passed (Corbett et al., *Spanner*, OSDI 2012,
//! section 4.1.2).
//!
//! With ε the bound of all clocks, a stamp has surely passed when `shown − ε ≥ stamp`: by every clock without an error
//! that is so.
//! The wait goes on while the entry is replicated: what is left of it when the entry is chosen is all that a client sees.
//! A replica that loses its leadership goes on to tell: what is executed stays executed.

use std::collections::BTreeMap;

use super::context::Context;
use super::timer::TimerKind;
use crate::command::{Outcome, RequestId};
use crate::protocol::{Note, Reply};
use crate::time::{Span, Time};

/// What clients are not told yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct CommitWait {
    /// No clock is off by more.
    bound: Span,
    /// By the stamp that must have passed: what is told, and since when it is known.
    held: BTreeMap<(Time, RequestId), (Reply, Time)>,
    /// A timer runs until this stamp has passed.
    armed_for: Option<Time>,
}

impl CommitWait {
    /// Nothing to tell.
    pub(super) const fn new(bound: Span) -> Self {
        Self { bound, held: BTreeMap::new(), armed_for: None }
    }

    /// Every stamp up to this one has surely passed.
    pub(super) const fn passed(&self, shown: Time) -> Time {
        Time(shown.0.saturating_sub(self.bound.0))
    }

    /// What clients are to be told: for a negative control.
    pub(super) fn take(&mut self, is_taken: impl Fn(&Reply) -> bool) -> Vec<Reply> {
        let taken = self.held.extract_if(.., |_, (reply, _)| is_taken(reply));
        taken.map(|(_, (reply, _))| reply).collect()
    }
}

impl Context<'_> {
    /// Tells a client, where there is a commit wait not before the stamp has surely passed.
    pub(super) fn tell(&mut self, stamp: Option<Time>, reply: Reply) {
        match (self.commit_wait.as_mut(), stamp) {
            (Some(wait), Some(stamp)) => {
                wait.held.insert((stamp, reply.request()), (reply, self.now));
            }
            _ => self.effects.replies.push(reply),
        }
    }

    /// Tells a client what its command answered; only writes wait.
    pub(super) fn tell_executed(&mut self, stamp: Option<Time>, reply: Reply) {
        let is_write = matches!(reply, Reply::Executed { outcome: Outcome::Stored, .. });
        self.tell(stamp.filter(|_| is_write), reply);
    }

    /// Tells what may be told by now.
    pub(super) fn tell_passed(&mut self) {
        let Some(wait) = self.commit_wait.as_mut().filter(|wait| !wait.held.is_empty()) else {
            return;
        };
        let passed = wait.passed(self.shown);
        while let Some(first) = wait.held.first_entry().filter(|first| first.key().0 <= passed) {
            let (reply, since) = first.remove();
            if matches!(reply, Reply::Executed { .. }) {
                self.effects.notes.push(Note::Waited { wait: self.now.since(since) });
            }
            self.effects.replies.push(reply);
        }
        let next = wait.held.first_key_value().map(|((stamp, _), _)| *stamp);
        if let Some(stamp) = next
            && wait.armed_for.is_none_or(|armed_for| stamp < armed_for)
        {
            wait.armed_for = Some(stamp);
            let rest = stamp.since(passed);
            self.effects.set_timer(TimerKind::CommitWait.id(), rest, Span::ZERO);
        }
    }

    /// The timer ran out; it is set again, if the clock has not come so far.
    pub(super) const fn end_commit_wait(&mut self) {
        if let Some(wait) = self.commit_wait.as_mut() {
            wait.armed_for = None;
        }
    }
}
