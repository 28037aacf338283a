//! What the clients of one region saw of a fault, from their history: which operation was intended when,
//! and when it was acknowledged.
//!
//! The *reach* of a fault goes from its beginning to that of the next one, or to the end of the trial:
//! what comes after a fault has healed still belongs to it.
//! Writes and reads are looked at apart, because reads may be answered in another way.
//!
//! | figure | is |
//! |---|---|
//! | unavailable | the longest time between two acknowledgements that follow one another, of those that end after the fault began and begin in the reach, up to the end of the reach; after the last one, up to the end of the load |
//! | usual | the longest between two that follow one another before the first fault: chance makes gaps too |
//! | first ack | from the fault to the first acknowledgement of an operation that was intended after it |
//! | delayed | operations open in the reach that took longer than twice the 99th percentile of those before the first fault, or for ever |
//! | unknown | of these, those that were never acknowledged |
//!
//! Nothing is subtracted: what is usual stands beside what was seen.
//! An operation that is open in the reach of two faults counts for both.

use std::io::Read;

use crate::history::{self, ClientReader, Event, Kind};
use crate::measure::{Latencies, Window};
use crate::time::{Span, Time};

/// One write or read of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) intended_at: Time,
    /// Never, if its outcome is unknown.
    pub(super) acknowledged_at: Option<Time>,
}

impl Operation {
    fn latency(&self) -> Option<Span> {
        Some(self.acknowledged_at?.since(self.intended_at))
    }

    /// Whether it was on its way at some instant of these.
    fn is_open_in(&self, reach: Window) -> bool {
        self.intended_at < reach.to && self.acknowledged_at.is_none_or(|at| at >= reach.from)
    }
}

/// All that one client asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Story {
    /// In the order of their intended starts.
    pub(super) writes: Vec<Operation>,
    pub(super) reads: Vec<Operation>,
}

impl Story {
    /// Reads a history up to its end, or to where it was cut off.
    pub(super) fn read(history: impl Read) -> Result<Self, history::Error> {
        let mut operations = Vec::new();
        let mut reader = ClientReader::new(history)?;
        for event in reader.by_ref() {
            match event {
                Ok(Event::Invoke(issued)) => {
                    let intended_at = issued.intended_at;
                    operations
                        .push((issued.kind, Operation { intended_at, acknowledged_at: None }));
                }
                Ok(Event::Return(returned)) => {
                    let index = usize::try_from(returned.sequence).unwrap_or(usize::MAX);
                    if let Some((_, write)) = operations.get_mut(index) {
                        write.acknowledged_at = Some(returned.at);
                    }
                }
                Err(history::Error::Truncated { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        let of = |wanted: Kind| {
            let of_kind = operations.iter().filter(move |(kind, _)| *kind == wanted);
            of_kind.map(|(_, write)| *write).collect()
        };
        Ok(Self { writes: of(Kind::Write), reads: of(Kind::Read) })
    }
}

/// What was usual before the first fault.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Before {
    /// The latencies of operations; one that was lost before the fault has none, and ranks last.
    pub(super) latencies: Latencies,
    /// One that takes longer is delayed: twice the 99th percentile of those that were acknowledged.
    pub(super) delayed_above: Option<Span>,
    /// The longest time between two acknowledgements.
    pub(super) gap: Option<Span>,
}

impl Before {
    /// Of the operations that were acknowledged before `first`, the first fault: those of the window, or
    /// those of the warm-up where there is none.
    pub(super) fn of(operations: &[Operation], window: Window, first: Time) -> Self {
        let ended = |within: Window| {
            let is_of_it = move |it: &&Operation| {
                within.contains(it.intended_at) && it.acknowledged_at.is_some_and(|at| at < first)
            };
            operations.iter().filter(is_of_it).copied().collect::<Vec<Operation>>()
        };
        let mut within = Window { from: window.from, to: first };
        let mut usual = ended(within);
        if usual.is_empty() {
            within.from = Time::ZERO;
            usual = ended(within);
        }
        let mut latencies = Latencies::new();
        for latency in usual.iter().filter_map(Operation::latency) {
            latencies.record(latency);
        }
        let delayed_above = latencies.quantile(0.99).map(|p99| p99.times(2));
        // Of those still open some are usual, and are cut off by the fault; the others are lost.
        let is_open = |it: &&Operation| {
            within.contains(it.intended_at) && it.acknowledged_at.is_none_or(|at| at >= first)
        };
        let waits = operations.iter().filter(is_open).map(|it| first.since(it.intended_at));
        let lost = waits.filter(|waited| Some(*waited) > delayed_above);
        lost.for_each(|waited| latencies.record_unanswered(waited));
        let acknowledged = acknowledgements(&usual);
        let gap = acknowledged.windows(2).map(|pair| pair[1].since(pair[0])).max();
        Self { latencies, delayed_above, gap }
    }
}

/// What the clients of one region saw of one fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) unavailable: Option<Span>,
    pub(super) first_ack: Option<Span>,
    /// Whether there is such an acknowledgement; `None` where nothing was intended after the fault.
    pub(super) recovered: Option<bool>,
    /// `None` where nothing is known of before.
    pub(super) delayed_count: Option<u64>,
    pub(super) unknown_count: u64,
}

impl View {
    /// Of a fault with this reach, under load until `load_until`.
    pub(super) fn of(
        operations: &[Operation],
        before: &Before,
        reach: Window,
        load_until: Time,
    ) -> Self {
        let began_at = reach.from;
        let after = || operations.iter().filter(|it| it.intended_at >= began_at);
        let first_ack = after().filter_map(|it| it.acknowledged_at).min();
        let open = || operations.iter().filter(|it| it.is_open_in(reach));
        let is_delayed =
            |it: &&Operation, above: Span| it.latency().is_none_or(|latency| latency > above);
        let delayed = |above| open().filter(|it| is_delayed(it, above)).count() as u64;
        Self {
            unavailable: unavailable(operations, reach, load_until),
            first_ack: first_ack.map(|at| at.since(began_at)),
            recovered: after().next().map(|_| first_ack.is_some()),
            delayed_count: before.delayed_above.map(delayed),
            unknown_count: open().filter(|it| it.acknowledged_at.is_none()).count() as u64,
        }
    }
}

/// When operations were acknowledged, in order.
fn acknowledgements(operations: &[Operation]) -> Vec<Time> {
    let mut at: Vec<Time> = operations.iter().filter_map(|it| it.acknowledged_at).collect();
    at.sort_unstable();
    at
}

/// The longest time without an acknowledgement that ends after the fault began and begins in its reach, up to
/// the end of that: what a later fault makes of it is the later one's.
fn unavailable(operations: &[Operation], reach: Window, load_until: Time) -> Option<Span> {
    let begins = operations.first()?.intended_at;
    let acknowledged = acknowledgements(operations);
    let last = acknowledged.last().copied().unwrap_or(begins);
    let ends = acknowledged.iter().copied().chain((last < load_until).then_some(load_until));
    let starts = std::iter::once(begins).chain(acknowledged.iter().copied());
    let gaps = starts.zip(ends).filter(|(from, to)| *to > reach.from && *from < reach.to);
    let last = |to: Time| if reach.to < load_until { to.min(reach.to) } else { to };
    gaps.map(|(from, to)| last(to).since(from)).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ClientId;
    use crate::history::{ClientWriter, Issued, Returned};
    use crate::protocol::Slot;

    const fn ms(millis: u64) -> Time {
        Time(millis * 1_000_000)
    }

    const fn span(millis: u64) -> Span {
        Span::from_millis(millis)
    }

    const WINDOW: Window = Window { from: ms(100), to: ms(1000) };

    /// A write every 10 ms from 0 to 1000 that takes 5 ms, unless `answer` says otherwise.
    fn writes(answer: impl Fn(u64) -> Option<Option<u64>>) -> Vec<Operation> {
        let write = |at: u64| Operation {
            intended_at: ms(at),
            acknowledged_at: answer(at).unwrap_or(Some(at + 5)).map(ms),
        };
        (0..100).map(|index| write(index * 10)).collect()
    }

    fn view(writes: &[Operation], reach: Window) -> View {
        View::of(writes, &Before::of(writes, WINDOW, ms(400)), reach, WINDOW.to)
    }

    const REACH: Window = Window { from: ms(400), to: ms(1000) };

    #[test]
    fn an_outage_is_seen_from_the_last_acknowledgement_to_the_first() {
        // What is intended from 390 on waits until 700; what is intended at 700 is as before.
        let writes = writes(|at| (390..700).contains(&at).then_some(Some(700)));
        let found = view(&writes, REACH);
        assert_eq!(found.unavailable, Some(span(700 - 385)));
        assert_eq!(found.first_ack, Some(span(300)));
        // Those of 390 up to 680, which took 20 ms: twice five are the limit.
        assert_eq!((found.delayed_count, found.unknown_count), (Some(30), 0));
    }

    #[test]
    fn without_an_outage_what_is_seen_is_usual() {
        let writes = writes(|_| None);
        let before = Before::of(&writes, WINDOW, ms(400));
        // Those of the window: from 100 up to 390.
        assert_eq!((before.latencies.count(), before.gap), (30, Some(span(10))));
        let above = before.delayed_above.unwrap();
        assert!(span(10) <= above && above < Span::from_micros(10_020), "{above}");
        let found = View::of(&writes, &before, REACH, ms(995));
        assert_eq!((found.unavailable, found.first_ack), (Some(span(10)), Some(span(5))));
        assert_eq!((found.delayed_count, found.unknown_count), (Some(0), 0));
    }

    #[test]
    fn what_was_lost_before_the_fault_ranks_last_in_what_was_usual() {
        // One in ten is never answered, from 100 up to 390.
        let lossy = writes(|at| (at % 100 == 50).then_some(None));
        let before = Before::of(&lossy, WINDOW, ms(400));
        assert_eq!((before.latencies.count(), before.latencies.unanswered_count()), (27, 3));
        assert!(before.latencies.quantile(0.5).is_some());
        assert_eq!((before.latencies.quantile(0.99), before.latencies.max()), (None, None));
        assert!(before.delayed_above.is_some());
        // What is on its way as the fault begins is not lost.
        let calm = Before::of(&writes(|_| None), WINDOW, ms(393));
        assert_eq!((calm.latencies.count(), calm.latencies.unanswered_count()), (29, 0));
    }

    #[test]
    fn a_region_that_never_recovers_is_away_until_the_end_of_the_load() {
        let writes = writes(|at| (at >= 400).then_some(None));
        let found = view(&writes, REACH);
        assert_eq!((found.unavailable, found.first_ack), (Some(span(1000 - 395)), None));
        assert_eq!((found.delayed_count, found.unknown_count), (Some(60), 60));
    }

    #[test]
    fn a_write_that_was_answered_on_the_other_side_is_unknown_and_the_next_one_is_the_first() {
        let writes = writes(|at| match at {
            380 | 410 => Some(None),
            390 | 400 => Some(Some(600)),
            _ => None,
        });
        let found = view(&writes, REACH);
        assert_eq!(found.unknown_count, 2);
        assert_eq!(found.first_ack, Some(span(25)));
        assert_eq!(found.delayed_count, Some(4));
    }

    #[test]
    fn each_fault_has_the_gaps_of_its_reach() {
        let writes = writes(|at| match at {
            400..500 => Some(Some(500)),
            800..850 => Some(Some(850)),
            _ => None,
        });
        let first = view(&writes, Window { from: ms(400), to: ms(800) });
        let second = view(&writes, Window { from: ms(800), to: ms(1000) });
        assert_eq!(first.unavailable, Some(span(500 - 395)));
        assert_eq!(second.unavailable, Some(span(850 - 795)));
        assert_eq!((first.delayed_count, second.delayed_count), (Some(9), Some(4)));
    }

    /// The last acknowledgement before a fault begins a gap that is the fault's, not that of the one before.
    #[test]
    fn what_a_later_fault_takes_is_not_charged_to_the_one_before() {
        let writes = writes(|at| (797..850).contains(&at).then_some(Some(850)));
        let first = view(&writes, Window { from: ms(400), to: ms(800) });
        let second = view(&writes, Window { from: ms(800), to: ms(1000) });
        assert_eq!(first.unavailable, Some(span(10)));
        assert_eq!(second.unavailable, Some(span(850 - 795)));
    }

    #[test]
    fn a_strike_at_once_is_compared_with_the_warm_up_and_without_one_with_nothing() {
        let writes = writes(|_| None);
        let warm = Before::of(&writes, Window { from: ms(200), to: ms(1000) }, ms(200));
        assert_eq!(warm.latencies.count(), 20);
        let nothing = Before::of(&writes, WINDOW, ms(0));
        assert_eq!((nothing.gap, nothing.delayed_above), (None, None));
        let found = View::of(&writes, &nothing, REACH, WINDOW.to);
        assert_eq!((found.delayed_count, found.unknown_count), (None, 0));
        assert_eq!(View::of(&[], &nothing, REACH, WINDOW.to).unavailable, None);
    }

    #[test]
    fn a_history_is_read_as_writes_and_reads_also_where_it_is_cut_off() {
        let mut writer = ClientWriter::new(ClientId(1));
        let kinds = [Kind::Write, Kind::Read, Kind::Write];
        for (sequence, kind) in (0..).zip(kinds) {
            let intended_at = ms(sequence * 10);
            writer.invoke(&Issued { sequence, intended_at, kind, key: 1, digest: 2 });
        }
        for sequence in [2, 1] {
            let at = ms(100 - sequence);
            writer.returned(&Returned {
                sequence,
                at,
                slot: Slot(sequence),
                is_beside: false,
                digest: None,
            });
        }
        let bytes = writer.finish();
        let story = Story::read(bytes.as_slice()).unwrap();
        let write = |at: u64, to: Option<u64>| Operation {
            intended_at: ms(at),
            acknowledged_at: to.map(ms),
        };
        assert_eq!(story.writes, [write(0, None), write(20, Some(98))]);
        assert_eq!(story.reads, [write(10, Some(99))]);
        let cut = Story::read(&bytes[..bytes.len() - 8]).unwrap();
        assert_eq!(cut.writes.len() + cut.reads.len(), 3);
        assert!(Story::read(&b"something else"[..]).is_err());
    }
}
