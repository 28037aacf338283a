//! A space-time diagram of one write or of a counterexample, as text and as SVG.
//!
//! Lamport, *Time, clocks, and the ordering of events in a distributed system* (1978), figure 1:
//! a life line for each member, time along it, a message as a slanted arrow from where it was sent
//! to where it arrived.
//! Here every position is computed from a time, so that a slope can be read as a latency.
//!
//! # Why top-down, with a table
//!
//! Labels at arrows overlap as soon as a leader speaks to four others at one instant.
//! So time runs down the page, and what happened stands in a column beside it, at the height where
//! it happened, and is moved by no more than its neighbours force it to.
//! A counterexample then reads like a text, row by row, and a write still shows its latencies.
//!
//! It is data and drawing.
//! It knows nothing of Paxos, simulators or checkers: those fill a [`Trace`], and the words in it
//! are theirs.

mod canvas;
mod draw;
mod layout;
mod palette;
mod rows;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod text;

use crate::time::Time;

/// What happened on some life lines, in any order: drawing sorts it.
///
/// At one instant arrivals come first, then marks, periods and messages sent; within these the
/// order of insertion counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What is shown, in a line.
    pub title: String,
    /// What a [`Time`] counts.
    pub scale: Scale,
    /// What is shown as zero.
    pub origin: Time,
    /// Kinds of messages in the order in which they get colours and dashes, present or not; other
    /// kinds follow as they appear. Figures made with one list agree in their colours.
    pub kinds: Vec<String>,
    /// Who takes part, from left to right.
    pub lines: Vec<Line>,
    /// Messages.
    pub messages: Vec<Arrow>,
    /// What happened at one instant.
    pub marks: Vec<Mark>,
    /// What took time on one line.
    pub periods: Vec<Period>,
}

/// What a [`Time`] of a trace counts, and how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Nanoseconds, shown in milliseconds.
    Milliseconds,
    /// Nanoseconds, shown in microseconds.
    Microseconds,
    /// Steps of an execution: `Time(7)` is the seventh.
    Steps,
}

/// A member: a replica or a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its short name: `r0`.
    pub name: String,
    /// Where it is: `us-east-1`; may be empty.
    pub place: String,
}

/// A message to one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrow {
    /// The line of the sender.
    pub from: usize,
    /// The line of the receiver.
    pub to: usize,
    /// When it left.
    pub sent_at: Time,
    /// What became of it.
    pub fate: Fate,
    /// The whole message: `phase2a (1.r0) slot 0: x=1`.
    pub label: String,
    /// What it is drawn as: `phase2a`.
    pub kind: String,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It arrived, not before it was sent.
    Received(Time),
    /// It never arrives.
    Lost,
    /// The trace ends before it arrives.
    Underway,
}

/// Something at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// On which line; `None` is a fact about the whole system.
    pub line: Option<usize>,
    /// When.
    pub at: Time,
    /// What; empty says no more than its kind.
    pub label: String,
    /// How it is drawn.
    pub kind: MarkKind,
}

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkKind {
    /// Something is durable.
    Persist,
    /// An acceptor promised.
    Promise,
    /// An acceptor voted.
    Vote,
    /// A value is chosen: drawn across all lines.
    Chosen,
    /// A replica executed a slot.
    Executed,
    /// The member is down from here until its next [`MarkKind::Restart`].
    Crash,
    /// The member is up again.
    Restart,
    /// A proposer starts phase 1.
    Campaign,
    /// A client has its answer.
    Reply,
    /// A timer fired.
    Timer,
    /// A property is broken: drawn across all lines.
    Violation,
    /// Anything else.
    Other,
}

/// Something that took time on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// On which line.
    pub line: usize,
    /// Its begin.
    pub from: Time,
    /// Its end.
    pub until: Time,
    /// What; a figure draws a period without words but does not list it.
    pub label: String,
    /// How it is drawn.
    pub kind: PeriodKind,
}

/// What a period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeriodKind {
    /// The disk is syncing: a bar.
    Sync,
    /// The processor is busy: a light bar.
    Busy,
    /// The member does nothing and will go on: a dotted life line.
    Paused,
}

impl Trace {
    /// Nothing yet.
    pub fn new(title: impl Into<String>, scale: Scale) -> Self {
        Self {
            title: title.into(),
            scale,
            origin: Time::ZERO,
            kinds: Vec::new(),
            lines: Vec::new(),
            messages: Vec::new(),
            marks: Vec::new(),
            periods: Vec::new(),
        }
    }

    /// Shows `origin` as zero: the arrival of the write that is drawn.
    #[must_use]
    pub fn since(mut self, origin: Time) -> Self {
        self.origin = origin;
        self
    }

    /// Fixes the order in which kinds of messages get their colours.
    #[must_use]
    pub fn with_kinds(mut self, kinds: &[&str]) -> Self {
        self.kinds = kinds.iter().map(|&kind| kind.to_owned()).collect();
        self
    }

    /// Adds a life line to the right of those before it, and gives its number.
    pub fn line(&mut self, name: impl Into<String>, place: impl Into<String>) -> usize {
        self.lines.push(Line { name: name.into(), place: place.into() });
        self.lines.len() - 1
    }

    /// Adds a message; the kind is the first word of its label.
    pub fn message(
        &mut self,
        (from, to): (usize, usize),
        sent_at: Time,
        fate: Fate,
        label: impl Into<String>,
    ) -> &mut Self {
        let label = label.into();
        let kind = label.split_whitespace().next().unwrap_or_default().to_owned();
        self.messages.push(Arrow { from, to, sent_at, fate, label, kind });
        self
    }

    /// Adds what happened at one instant on a line, or to the whole system (`None`).
    pub fn mark(
        &mut self,
        line: impl Into<Option<usize>>,
        at: Time,
        kind: MarkKind,
        label: impl Into<String>,
    ) -> &mut Self {
        self.marks.push(Mark { line: line.into(), at, label: label.into(), kind });
        self
    }

    /// Adds what took time on a line.
    pub fn period(
        &mut self,
        line: usize,
        (from, until): (Time, Time),
        kind: PeriodKind,
        label: impl Into<String>,
    ) -> &mut Self {
        self.periods.push(Period { line, from, until, label: label.into(), kind });
        self
    }

    /// A chronological table, readable in 100 columns.
    pub fn text(&self) -> String {
        self.assert_whole();
        text::render(self)
    }

    /// A figure for a browser or for paper: self-contained, and the same bytes for the same trace.
    pub fn svg(&self) -> String {
        self.assert_whole();
        draw::render(self)
    }

    /// First and last instant, if anything happened.
    fn extent(&self) -> Option<(Time, Time)> {
        let arrows = self.messages.iter().flat_map(|arrow| [Some(arrow.sent_at), arrow.arrival()]);
        let marks = self.marks.iter().map(|mark| Some(mark.at));
        let periods =
            self.periods.iter().flat_map(|period| [Some(period.from), Some(period.until)]);
        let times = || arrows.clone().chain(marks.clone()).chain(periods.clone()).flatten();
        Some((times().min()?, times().max()?))
    }

    /// That every line exists and nothing arrives or ends before it began.
    fn assert_whole(&self) {
        let count = self.lines.len();
        for arrow in &self.messages {
            assert!(arrow.from < count && arrow.to < count, "{count} lines, but {arrow:?}");
            assert!(arrow.arrival().is_none_or(|at| at >= arrow.sent_at), "too early: {arrow:?}");
        }
        for mark in &self.marks {
            assert!(mark.line.is_none_or(|line| line < count), "{count} lines, but {mark:?}");
        }
        for period in &self.periods {
            assert!(period.line < count, "{count} lines, but {period:?}");
            assert!(period.from <= period.until, "it ends before it begins: {period:?}");
        }
    }
}

impl Arrow {
    /// When it arrived, if it did.
    pub const fn arrival(&self) -> Option<Time> {
        match self.fate {
            Fate::Received(at) => Some(at),
            Fate::Lost | Fate::Underway => None,
        }
    }
}

impl MarkKind {
    /// Its name in a legend, and the words of a mark without a label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Persist => "durable",
            Self::Promise => "promise",
            Self::Vote => "vote",
            Self::Chosen => "chosen",
            Self::Executed => "executed",
            Self::Crash => "crash",
            Self::Restart => "restart",
            Self::Campaign => "campaign",
            Self::Reply => "answered",
            Self::Timer => "timer",
            Self::Violation => "violation",
            Self::Other => "event",
        }
    }

    /// Whether it is about all lines, wherever it happened.
    const fn is_across(self) -> bool {
        matches!(self, Self::Chosen | Self::Violation)
    }
}

impl PeriodKind {
    /// Its name in a legend, and the words of a period without a label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync of the disk",
            Self::Busy => "busy",
            Self::Paused => "paused",
        }
    }
}
