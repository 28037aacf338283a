//! The oracle of what clients saw: every key is linearizable, shown by a witness or by search.
//!
//! Every answered client was told a slot. Ordered by it, the operations of a key are an order to try:
//! if it explains every read and respects real time, the key is linearizable, and that took one pass.
//! Nothing is believed because of a slot; it is only a good guess, for two writes in one slot too.
//! A write whose outcome is unknown has none: it is placed before the first read that needs it.
//! The keys for which the guess fails go to the search of [`linearize`]. That a guess fails is no fault:
//! a request that was chosen twice may have been told its second slot.
//!
//! It looks at nothing but the histories of clients, so it also holds where the logs of replicas agree
//! with one another and are wrong together; those are the business of [`super::Check`].
//! A client's operation begins after everything that the client was told before.
//! Times are of one clock, or of clocks of which it is known how far apart they may be: then an operation may have
//! returned so much later, which accuses nobody wrongly, and within a session too. The order within a session is
//! what [`super::Check`] holds against the logs, whatever the clocks are.
//!
//! A client whose history is cut off may have written what nobody knows of. A key that is a violation
//! only if it did not is not judged: it is counted as unverified.
//!
//! # Cost
//!
//! 40 bytes an operation, sorted in place, of as many keys at a time as one likes ([`judge_parts`]), and the operations of one key at a time for the search: 170 MB
//! for three million, of which 44 were the history itself, and 0.8 s, a third of it to read. The search
//! alone, without any witness, took 1.3 s for them.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::Read;

use super::linearize::{self, Answer, Budget, Judgement, Operation, Violation, judge};
use super::seen::{Row, Seen};
use super::{Error, Kind};
use crate::command::{ClientId, RequestId};
use crate::time::{Span, Time};

/// How to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many violations and undecided keys are kept; all are counted.
    pub kept: usize,
    /// What the search for one key may look at, and as much again what makes its violation small.
    ///
    /// Where nothing but branching helps, 20 million looks took 0.4 s of a processor and 5 MB.
    pub looks_per_key: u64,
    /// What all searches together may look at.
    pub looks: u64,
    /// Whether slots are tried before anything is searched.
    pub has_witness: bool,
    /// How far apart the clocks of two clients may be.
    pub clocks_apart: Span,
    /// A read that has no slot of its own may miss what was acknowledged less than this before it began.
    pub may_miss: Span,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kept: 5,
            looks_per_key: 100_000_000,
            looks: 1_000_000_000,
            has_witness: true,
            clocks_apart: Span::ZERO,
            may_miss: Span::ZERO,
        }
    }
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Operations that clients issued.
    pub operation_count: u64,
    /// Operations that never returned.
    pub unknown_count: u64,
    /// Histories that were cut off.
    pub cut_count: u64,
    /// Keys that clients used.
    pub key_count: u64,
    /// Keys that the order of their slots shows to be linearizable.
    pub witnessed_count: u64,
    /// Keys that a search shows to be linearizable.
    pub searched_count: u64,
    /// Keys that are no violation only because a history was cut off.
    pub unverified_count: u64,
    /// Keys for which the search was given up.
    pub undecided_count: u64,
    /// The first of them.
    pub undecided: Vec<u64>,
    /// Keys that are not linearizable.
    pub violation_count: u64,
    /// The first of them.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// Whether nothing was violated; it may still be undecided.
    pub const fn is_valid(&self) -> bool {
        self.violation_count == 0
    }

    /// What is not known, in words; `None` if every key was decided.
    pub fn undecided(&self) -> Option<String> {
        if self.undecided_count == 0 {
            return None;
        }
        let Self { undecided_count, key_count, .. } = self;
        let keys: Vec<String> = self.undecided.iter().map(u64::to_string).collect();
        let more = if *undecided_count > keys.len() as u64 { ", …" } else { "" };
        Some(format!(
            "UNDECIDED: whether {undecided_count} of {key_count} keys are linearizable, the search was \
             given up (keys {}{more})",
            keys.join(", ")
        ))
    }
}

/// Judges what all clients saw.
pub fn judge_all(seen: Seen, options: Options) -> Verdict {
    let whole: Result<_, Infallible> = judge_parts([Ok(seen)], options);
    whole.unwrap_or_else(|never| match never {})
}

/// Judges what all clients saw, of some keys at a time: each part has all operations on its keys, and the parts
/// have their keys in ascending order.
///
/// So the memory that is needed is that of one part.
pub fn judge_parts<E>(
    parts: impl IntoIterator<Item = Result<Seen, E>>,
    options: Options,
) -> Result<Verdict, E> {
    let mut verdict = Verdict::default();
    let mut left = Budget { looks: options.looks };
    for seen in parts {
        judge_part(seen?, options, &mut left, &mut verdict);
    }
    Ok(verdict)
}

fn judge_part(mut seen: Seen, options: Options, left: &mut Budget, verdict: &mut Verdict) {
    verdict.operation_count += seen.operation_count();
    verdict.unknown_count += seen.rows().iter().filter(|row| !row.is_answered()).count() as u64;
    // Every part is read from the same histories.
    verdict.cut_count = seen.cut_count();
    seen.return_later_by(options.clocks_apart);
    seen.begin_earlier_by(options.may_miss);
    seen.sort_by_key_and_slot();
    let mut unknown = Vec::new();
    for rows in seen.rows().chunk_by(|one, other| one.key == other.key) {
        verdict.key_count += 1;
        if options.has_witness && is_witness(rows, &mut unknown) {
            verdict.witnessed_count += 1;
            continue;
        }
        let operations: Vec<Operation> = rows.iter().map(|row| operation(&seen, row)).collect();
        let is_cut = seen.cut_count() > 0;
        let doubtful = Doubtful { key: rows[0].key, operations: &operations, is_cut };
        doubtful.search(options, left, verdict);
    }
}

/// Reads the histories of all clients and judges them.
pub fn check<R: Read>(
    histories: impl IntoIterator<Item = R>,
    options: Options,
) -> Result<Verdict, Error> {
    let mut seen = Seen::new();
    for history in histories {
        seen.add_client(history)?;
    }
    Ok(judge_all(seen, options))
}

fn operation(seen: &Seen, row: &Row) -> Operation {
    let answer = row.returned_at().map(|returned_at| Answer { returned_at, slot: row.slot() });
    Operation {
        request: seen.request(row),
        kind: row.kind(),
        value: row.value(),
        invoked_at: Time(row.invoked_at),
        answer,
    }
}

/// Whether the rows of one key, in the order of their slots and unknown ones last, are an order that
/// explains every read and respects real time.
///
/// `unknown` is room for the unknown writes: value, invocation, and whether it was placed.
fn is_witness(rows: &[Row], unknown: &mut Vec<(u32, u64, bool)>) -> bool {
    let answered_count = rows.partition_point(Row::is_answered);
    let (answered, others) = rows.split_at(answered_count);
    unknown.clear();
    let writes = others.iter().filter(|row| row.kind() == Kind::Write);
    unknown.extend(writes.filter_map(|row| Some((row.value()?, row.invoked_at, false))));
    unknown.sort_unstable();
    let mut state = None;
    // The latest invocation so far: whoever returned before it stands too late.
    let mut latest = 0;
    for row in answered {
        let value = row.value();
        if row.kind() == Kind::Read && value != state {
            let Some(invoked_at) = value.and_then(|value| place(unknown, value)) else {
                return false;
            };
            latest = latest.max(invoked_at);
        }
        if row.returned_at().is_none_or(|returned_at| returned_at.0 < latest) {
            return false;
        }
        latest = latest.max(row.invoked_at);
        state = value;
    }
    true
}

/// Places the unknown write of a value that was invoked first: it leaves the most room behind it.
fn place(unknown: &mut [(u32, u64, bool)], value: u32) -> Option<u64> {
    let first = unknown.partition_point(|write| write.0 < value);
    let mut same = unknown[first..].iter_mut().take_while(|write| write.0 == value);
    let write = same.find(|write| !write.2)?;
    write.2 = true;
    Some(write.1)
}

/// A key that no witness settled.
struct Doubtful<'a> {
    key: u64,
    operations: &'a [Operation],
    /// Some client may have written what is in no history.
    is_cut: bool,
}

impl Doubtful<'_> {
    fn search(&self, options: Options, left: &mut Budget, verdict: &mut Verdict) {
        let looks = options.looks_per_key.min(left.looks);
        let mut budget = Budget { looks };
        let mut judgement = self.judge(&mut budget);
        // A violation only if nobody wrote what the lost end of a history may hold.
        let mut is_excused = false;
        if judgement == Judgement::Violated && self.is_cut {
            judgement = judge_excused(self.operations, &mut budget);
            is_excused = judgement == Judgement::Linearizable;
        }
        left.looks -= looks - budget.looks;
        match judgement {
            Judgement::Linearizable if is_excused => verdict.unverified_count += 1,
            Judgement::Linearizable => verdict.searched_count += 1,
            Judgement::Undecided => {
                verdict.undecided_count += 1;
                if verdict.undecided.len() < options.kept {
                    verdict.undecided.push(self.key);
                }
            }
            Judgement::Violated => {
                verdict.violation_count += 1;
                if verdict.violations.len() < options.kept {
                    verdict.violations.push(self.violation(options.looks_per_key));
                }
            }
        }
    }

    /// What was read and that nobody is known to have written, a lost end of a history may hold.
    fn judge(&self, budget: &mut Budget) -> Judgement {
        if !self.is_cut {
            return judge(self.operations, budget);
        }
        let values = |kind| {
            let of_kind = self.operations.iter().filter(move |operation| operation.kind == kind);
            of_kind.filter_map(|operation| operation.value).collect::<BTreeSet<u32>>()
        };
        let (read, written) = (values(Kind::Read), values(Kind::Write));
        let mut operations = self.operations.to_vec();
        operations.extend(read.difference(&written).map(|value| lost_write(*value)));
        judge(&operations, budget)
    }

    fn violation(&self, looks: u64) -> Violation {
        let mut is_violated = |operations: &[Operation], budget: &mut Budget| {
            let judgement = if self.is_cut {
                judge_excused(operations, budget)
            } else {
                judge(operations, budget)
            };
            judgement == Judgement::Violated
        };
        let mut budget = Budget { looks };
        let (operations, is_smallest) =
            linearize::shrink(self.operations, &mut budget, &mut is_violated);
        Violation { key: self.key, operations, is_smallest }
    }
}

/// Judges operations among which anything may have been written once before each read.
fn judge_excused(operations: &[Operation], budget: &mut Budget) -> Judgement {
    let mut more = operations.to_vec();
    let reads = operations.iter().filter(|operation| operation.kind == Kind::Read);
    more.extend(reads.filter_map(|read| read.value).map(lost_write));
    judge(&more, budget)
}

/// A write that a lost end of a history may hold: nobody knows when it was invoked.
const fn lost_write(value: u32) -> Operation {
    let request = RequestId { client: ClientId(u32::MAX), sequence: u64::MAX };
    let value = Some(value);
    Operation { request, kind: Kind::Write, value, invoked_at: Time::ZERO, answer: None }
}
