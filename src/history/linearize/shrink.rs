//! The smallest offending set: a few operations that are as wrong as the whole history.
//!
//! What is left must be evidence against the whole: if it is not linearizable, neither is the history.
//! Two removals keep that.
//!
//! - A read may go. Take it out of an order of the history, and an order of the rest is left.
//! - A write may go whose value no operation that is left has read. Take it out of an order, and every
//!   read after it, which is of another value, still has the write that it read before it.
//!
//! A write whose value is still read may not: the read alone would then be a violation that the history
//! does not have. It goes once its reads are gone.

use std::collections::BTreeSet;

use super::{Budget, Kind, Operation};

/// Removes what is not needed for `is_violated` to stay true, and says whether it came to the end before
/// the budget was spent: then the rest is no violation without any one of it.
///
/// `is_violated` must be true of `operations`, and not become true by one of the removals above.
pub fn shrink(
    operations: &[Operation],
    budget: &mut Budget,
    is_violated: &mut dyn FnMut(&[Operation], &mut Budget) -> bool,
) -> (Vec<Operation>, bool) {
    let mut kept = operations.to_vec();
    kept.retain(|operation| operation.kind == Kind::Write || operation.answer.is_some());
    narrow(&mut kept, budget, is_violated);
    let mut size = kept.len().div_ceil(2);
    while budget.looks > 0 && !kept.is_empty() {
        let length = kept.len();
        let mut at = 0;
        while at < kept.len() && budget.looks > 0 {
            let fewer = without(&kept, at..(at + size).min(kept.len()));
            if fewer.len() < kept.len() && is_violated(&fewer, budget) {
                kept = fewer;
            } else {
                at += size;
            }
        }
        if size == 1 && kept.len() == length {
            break;
        }
        size = size.div_ceil(2);
    }
    kept.sort_by_key(|operation| (operation.invoked_at, operation.answer.map(|it| it.returned_at)));
    (kept, budget.looks > 0)
}

/// Keeps the first reads that are a violation, by their return, and of these the last that still are.
///
/// With fewer reads there is less to explain, so both ends are found by halving.
fn narrow(
    kept: &mut Vec<Operation>,
    budget: &mut Budget,
    is_violated: &mut dyn FnMut(&[Operation], &mut Budget) -> bool,
) {
    let (mut reads, writes): (Vec<_>, Vec<_>) =
        kept.iter().copied().partition(|operation| operation.kind == Kind::Read);
    reads.sort_by_key(|read| read.answer.map(|answer| answer.returned_at));
    let mut holds = |reads: &[Operation], budget: &mut Budget| {
        let some: Vec<_> = reads.iter().chain(&writes).copied().collect();
        is_violated(&some, budget)
    };
    let end = least(reads.len(), |count| holds(&reads[..count], budget));
    let start = end - least(end, |count| holds(&reads[end - count..end], budget));
    *kept = reads[start..end].iter().chain(&writes).copied().collect();
    // They lie in time as they did, so that neighbours go together.
    kept.sort_by_key(|operation| operation.invoked_at);
    *kept = without(kept, 0..0);
}

/// The least count up to `most` for which it holds; it holds for `most`, and for more than it holds for.
fn least(most: usize, mut holds: impl FnMut(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    high
}

/// The operations without those of a range, as far as they may go: see the module.
fn without(operations: &[Operation], range: std::ops::Range<usize>) -> Vec<Operation> {
    let goes = |index: usize| range.contains(&index);
    let read: BTreeSet<Option<u32>> = operations
        .iter()
        .enumerate()
        .filter(|(index, operation)| operation.kind == Kind::Read && !goes(*index))
        .map(|(_, operation)| operation.value)
        .collect();
    let stays = |(index, operation): &(usize, &Operation)| match operation.kind {
        Kind::Read => !goes(*index),
        // What may have happened and was not read explains nothing.
        Kind::Write if operation.answer.is_none() => read.contains(&operation.value),
        Kind::Write => !goes(*index) || read.contains(&operation.value),
    };
    operations.iter().enumerate().filter(stays).map(|(_, operation)| *operation).collect()
}
