//! What happened, in order, with equal things said once: the rows of the table and of the figure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Arrow, Fate, Mark, Period, Scale, Trace};
use crate::time::Time;

/// One row: `actors` did `deed` at one instant.
pub(super) struct Row<'a> {
    pub(super) at: Time,
    pub(super) actors: Vec<usize>,
    pub(super) deed: Deed<'a>,
}

/// What was done.
pub(super) enum Deed<'a> {
    /// The actors received equal messages; `is_ambiguous` if the kind alone does not tell which.
    Received { arrow: &'a Arrow, is_ambiguous: bool },
    /// A mark on each of the actors, or on the whole system.
    Marked(&'a Mark),
    /// A period began.
    Began(&'a Period),
    /// The actor sent equal messages with equal fates.
    Sent(Vec<&'a Arrow>),
}

/// What makes two events one row.
type Key<'a> = (Time, u8, Option<usize>, &'a str, &'a str, u64);

/// All rows in chronological order.
pub(super) fn rows(trace: &Trace) -> Vec<Row<'_>> {
    let mut builder = RowBuilder { rows: Vec::new(), known: BTreeMap::new() };
    let mut alike: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    let identity = |arrow: &Arrow| (arrow.from, arrow.to, arrow.sent_at, arrow.kind.clone());
    for arrow in &trace.messages {
        alike.entry(identity(arrow)).or_default().insert(&arrow.label);
    }
    for arrow in &trace.messages {
        let Some(at) = arrow.arrival() else { continue };
        let is_ambiguous = alike[&identity(arrow)].len() > 1;
        // What takes no time arrives after it was sent.
        let rank = if at == arrow.sent_at { AFTER_SENT } else { RECEIVED };
        let key = (at, rank, Some(arrow.from), &*arrow.label, &*arrow.kind, arrow.sent_at.0);
        builder.add(key, Some(arrow.to), || Deed::Received { arrow, is_ambiguous });
    }
    for (index, mark) in trace.marks.iter().enumerate() {
        // Marks of different lines are one row only if nothing stands between them.
        let run = trace.marks[..index].iter().rev().take_while(|other| is_alike(other, mark));
        let first = index - run.count();
        let key = (mark.at, MARKED, None, &*mark.label, mark.kind.name(), first as u64);
        builder.add(key, mark.line, || Deed::Marked(mark));
    }
    for period in &trace.periods {
        let key = (period.from, BEGAN, None, &*period.label, period.kind.name(), period.until.0);
        builder.add(key, Some(period.line), || Deed::Began(period));
    }
    for arrow in &trace.messages {
        let fate = match arrow.fate {
            Fate::Received(_) => 0,
            Fate::Lost => 1,
            Fate::Underway => 2,
        };
        let key = (arrow.sent_at, SENT, Some(arrow.from), &*arrow.label, &*arrow.kind, fate);
        let row = builder.add(key, None, || Deed::Sent(Vec::new()));
        row.actors = vec![arrow.from];
        if let Deed::Sent(arrows) = &mut row.deed {
            arrows.push(arrow);
        }
    }
    builder.rows.sort_by_key(|(at, rank, _)| (*at, *rank));
    builder.rows.into_iter().map(|(_, _, row)| row).collect()
}

const RECEIVED: u8 = 0;
const MARKED: u8 = 1;
const BEGAN: u8 = 2;
const SENT: u8 = 3;
const AFTER_SENT: u8 = 4;

struct RowBuilder<'a> {
    rows: Vec<(Time, u8, Row<'a>)>,
    known: BTreeMap<Key<'a>, usize>,
}

impl<'a> RowBuilder<'a> {
    /// The row of this key, with one more actor.
    fn add(
        &mut self,
        key: Key<'a>,
        actor: Option<usize>,
        deed: impl FnOnce() -> Deed<'a>,
    ) -> &mut Row<'a> {
        let (at, rank, ..) = key;
        let index = *self.known.entry(key).or_insert_with(|| {
            self.rows.push((at, rank, Row { at, actors: Vec::new(), deed: deed() }));
            self.rows.len() - 1
        });
        let row = &mut self.rows[index].2;
        row.actors.extend(actor);
        row
    }
}

fn is_alike(one: &Mark, other: &Mark) -> bool {
    one.at == other.at && one.kind == other.kind && one.label == other.label
}

impl Row<'_> {
    /// Those who did it: `r0`, `r1 r2`.
    pub(super) fn who(&self, trace: &Trace) -> String {
        names(trace, self.actors.iter().copied())
    }

    /// Those it was sent to, or who sent it, if it is a message.
    pub(super) fn others(&self, trace: &Trace) -> Option<String> {
        match &self.deed {
            Deed::Received { arrow, .. } => Some(names(trace, [arrow.from])),
            Deed::Sent(arrows) => Some(names(trace, arrows.iter().map(|arrow| arrow.to))),
            Deed::Marked(_) | Deed::Began(_) => None,
        }
    }

    /// What it was.
    pub(super) fn what(&self, trace: &Trace) -> String {
        match &self.deed {
            Deed::Received { arrow, is_ambiguous } => {
                let said = if *is_ambiguous { &arrow.label } else { &arrow.kind };
                format!("{said} ({})", way(trace, arrow))
            }
            Deed::Marked(mark) => {
                let said = if mark.label.is_empty() { mark.kind.name() } else { &mark.label };
                if mark.kind.is_across() && !said.starts_with(mark.kind.name()) {
                    format!("{}: {said}", mark.kind.name())
                } else {
                    said.to_owned()
                }
            }
            Deed::Began(period) => {
                let label = &period.label;
                let said = if label.is_empty() { period.kind.name() } else { label };
                format!("{said} ({})", length(trace, period))
            }
            Deed::Sent(arrows) => match arrows[0].fate {
                Fate::Received(_) => arrows[0].label.clone(),
                Fate::Lost => format!("{} (lost)", arrows[0].label),
                Fate::Underway => format!("{} (underway)", arrows[0].label),
            },
        }
    }

    /// Whether it is one of the moments that a reader looks for.
    pub(super) fn is_turn(&self) -> bool {
        matches!(&self.deed, Deed::Marked(mark) if mark.kind.is_across())
    }
}

fn names(trace: &Trace, lines: impl IntoIterator<Item = usize>) -> String {
    let names = lines.into_iter().map(|line| trace.lines[line].name.as_str());
    names.collect::<Vec<_>>().join(" ")
}

/// How far it came: `after 35.100 ms`, `sent at 3`.
fn way(trace: &Trace, arrow: &Arrow) -> String {
    let latency = arrow.arrival().unwrap_or(arrow.sent_at).since(arrow.sent_at);
    match trace.scale {
        Scale::Steps => format!("sent at {}", trace.scale.instant(arrow.sent_at, trace.origin)),
        scale => format!("after {} {}", scale.number(latency.0.into()), scale.unit()),
    }
}

fn length(trace: &Trace, period: &Period) -> String {
    match trace.scale {
        Scale::Steps => {
            format!("until {}", trace.scale.instant(period.until, trace.origin))
        }
        scale => {
            let length = period.until.since(period.from);
            format!("{} {}", scale.number(length.0.into()), scale.unit())
        }
    }
}

impl Scale {
    /// `ms`.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::Steps => "step",
        }
    }

    /// Nanoseconds, or steps, to three decimals of the unit.
    pub(super) fn number(self, count: i128) -> String {
        let thousandth: u128 = match self {
            Self::Steps => return count.to_string(),
            Self::Milliseconds => 1_000,
            Self::Microseconds => 1,
        };
        let thousandths = (count.unsigned_abs() + thousandth / 2) / thousandth;
        let sign = if count < 0 && thousandths > 0 { "-" } else { "" };
        format!("{sign}{}.{:03}", thousandths / 1000, thousandths % 1000)
    }

    /// An instant since `origin`.
    pub(super) fn instant(self, at: Time, origin: Time) -> String {
        self.number(i128::from(at.0) - i128::from(origin.0))
    }
}
