//! The search: what is placed, what may be placed next, and the way back.
//!
//! Answered operations are numbered by their invocation.
//! They hang in two lists from which they are taken and to which they come back in the reverse order:
//! one by return, whose head says until when an invocation may stand next; and one by invocation, of
//! all writes or of the reads of one value.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answer, Budget, Judgement, Kind, Operation};

/// The number of the value of a key that was never written.
const NOTHING: u32 = 0;
/// What is remembered of a value that is not needed: which one it is makes no difference.
const FREE: u32 = u32::MAX;
/// What a configuration costs on top of its words: its place in a tree takes longer than a look, and
/// memory.
const REMEMBERED_LOOKS: u64 = 16;

/// An answered operation.
#[derive(Clone, Copy, Debug)]
struct Answered {
    invoked_at: u64,
    returned_at: u64,
    slot: u64,
    value: u32,
    is_write: bool,
}

/// A write that may have happened, of a value that somebody read.
#[derive(Clone, Copy, Debug)]
struct Unknown {
    invoked_at: u64,
    value: u32,
}

/// What can be placed: an answered operation, or an unknown write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Answered(u32),
    Unknown(u32),
}

/// A place where several choices were left.
#[derive(Debug)]
struct Branch {
    /// How many operations had been placed.
    depth: usize,
    /// What is still to be tried, the last first.
    choices: Vec<Choice>,
}

/// One key's operations, and how far they are placed.
#[derive(Debug)]
pub(super) struct Search {
    answered: Vec<Answered>,
    unknown: Vec<Unknown>,
    by_return: List,
    by_invocation: List,
    /// Reads of each value that are still to be placed.
    read_count: Vec<u32>,
    /// Writes of each value that are still to be placed, unknown ones too.
    write_count: Vec<u32>,
    /// The placed ones among the answered, and among the unknown.
    is_placed: Bits,
    is_used: Bits,
    state: u32,
    /// What was placed, with the value before.
    trail: Vec<(Choice, u32)>,
    branches: Vec<Branch>,
    memo: BTreeSet<Box<[u64]>>,
}

/// Why a search ends before its answer.
struct Spent;

impl Search {
    pub(super) fn new(operations: &[Operation]) -> Self {
        let mut numbers = BTreeMap::from([(None, NOTHING)]);
        let mut answered = Vec::new();
        let mut unknown = Vec::new();
        for operation in operations {
            let next = u32::try_from(numbers.len()).expect("fewer values than operations");
            let is_write = operation.kind == Kind::Write;
            let invoked_at = operation.invoked_at.0;
            let mut number = || *numbers.entry(operation.value).or_insert(next);
            match operation.answer {
                Some(Answer { returned_at, slot }) => answered.push(Answered {
                    invoked_at,
                    returned_at: returned_at.0.max(invoked_at),
                    slot: slot.0,
                    value: number(),
                    is_write,
                }),
                None if is_write => unknown.push(Unknown { invoked_at, value: number() }),
                None => {}
            }
        }
        answered.sort_by_key(|operation| (operation.invoked_at, operation.slot));
        let mut read_count = vec![0; numbers.len()];
        let mut write_count = vec![0; numbers.len()];
        for operation in &answered {
            let count = if operation.is_write { &mut write_count } else { &mut read_count };
            count[operation.value as usize] += 1;
        }
        // One that nobody read need not have happened.
        unknown.retain(|write| read_count[write.value as usize] > 0);
        unknown.sort_by_key(|write| write.invoked_at);
        for write in &unknown {
            write_count[write.value as usize] += 1;
        }
        let mut search = Self {
            by_return: List::new(answered.len(), 1),
            by_invocation: List::new(answered.len(), 1 + numbers.len()),
            is_placed: Bits::new(answered.len()),
            is_used: Bits::new(unknown.len()),
            answered,
            unknown,
            read_count,
            write_count,
            state: NOTHING,
            trail: Vec::new(),
            branches: Vec::new(),
            memo: BTreeSet::new(),
        };
        search.hang();
        search
    }

    /// Hangs every answered operation into its lists.
    fn hang(&mut self) {
        let count = u32::try_from(self.answered.len()).expect("operations are counted in 32 bits");
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by_key(|index| self.answered[*index as usize].returned_at);
        for index in order {
            self.by_return.append(0, index);
        }
        for index in 0..count {
            let list = self.list_of(index);
            self.by_invocation.append(list, index);
        }
    }

    /// The list by invocation in which an operation hangs: 0 of all writes, then one for each value.
    fn list_of(&self, index: u32) -> u32 {
        let Answered { is_write, value, .. } = self.answered[index as usize];
        if is_write { 0 } else { 1 + value }
    }

    pub(super) fn run(mut self, budget: &mut Budget) -> Judgement {
        let unwritten =
            |value: &usize| self.read_count[*value] > 0 && self.write_count[*value] == 0;
        if (1..self.read_count.len()).any(|value| unwritten(&value)) {
            return Judgement::Violated;
        }
        match self.advance(budget) {
            Ok(true) => Judgement::Linearizable,
            Ok(false) => Judgement::Violated,
            Err(Spent) => Judgement::Undecided,
        }
    }

    /// Places until all is placed, or everything was tried.
    fn advance(&mut self, budget: &mut Budget) -> Result<bool, Spent> {
        loop {
            self.place_what_must(budget)?;
            if self.by_return.first(0).is_none() {
                return Ok(true);
            }
            let mut choices = Vec::new();
            if !self.is_needed() && self.place_a_value(budget, &mut choices)? {
                continue;
            }
            if self.is_needed() && self.write_count[self.state as usize] > 0 {
                self.choose_any(budget, &mut choices)?;
            }
            if choices.len() > 1 && !self.is_new(budget)? {
                choices.clear();
            }
            // The next slot first: it is tried from the end.
            choices.sort_by_key(|choice| std::cmp::Reverse(self.hint(*choice)));
            if let Some(first) = choices.pop() {
                if !choices.is_empty() {
                    self.branches.push(Branch { depth: self.trail.len(), choices });
                }
                self.place(first);
            } else if !self.go_back() {
                return Ok(false);
            }
        }
    }

    /// Reads of the current value still wait.
    fn is_needed(&self) -> bool {
        self.read_count[self.state as usize] > 0
    }

    /// An operation invoked by then may stand next.
    fn bound(&self) -> u64 {
        let head = self.by_return.first(0);
        head.map_or(u64::MAX, |index| self.answered[index as usize].returned_at)
    }

    /// The first of a list by invocation, or the one after `index`, if it may stand next.
    fn open(&self, next: Option<u32>) -> Option<(u32, Answered)> {
        let index = next?;
        let operation = self.answered[index as usize];
        (operation.invoked_at <= self.bound()).then_some((index, operation))
    }

    /// Reads of the current value.
    fn place_reads(&mut self, budget: &mut Budget) -> Result<(), Spent> {
        spend(budget, 1)?;
        while let Some((index, _)) = self.open(self.by_invocation.first(1 + self.state)) {
            spend(budget, 1)?;
            self.place(Choice::Answered(index));
        }
        Ok(())
    }

    /// Reads of the current value, and, once it is not needed, writes that nobody reads.
    fn place_what_must(&mut self, budget: &mut Budget) -> Result<(), Spent> {
        self.place_reads(budget)?;
        if self.is_needed() {
            return Ok(());
        }
        let mut at = self.by_invocation.first(0);
        while let Some((index, write)) = self.open(at) {
            spend(budget, 1)?;
            at = self.by_invocation.after(index);
            if self.read_count[write.value as usize] == 0 {
                self.place(Choice::Answered(index));
            }
        }
        Ok(())
    }

    /// Places the only write of a value with all its reads; if that cannot be done for any value, gives
    /// the writes of values that are written more than once.
    fn place_a_value(
        &mut self,
        budget: &mut Budget,
        choices: &mut Vec<Choice>,
    ) -> Result<bool, Spent> {
        let mut is_repeated = false;
        let mut at = self.by_invocation.first(0);
        while let Some((index, write)) = self.open(at) {
            spend(budget, 1)?;
            at = self.by_invocation.after(index);
            if self.write_count[write.value as usize] > 1 {
                is_repeated = true;
            } else if self.place_with_reads(Choice::Answered(index), budget)? {
                return Ok(true);
            }
        }
        let bound = self.bound();
        for index in 0..u32::try_from(self.unknown.len()).expect("counted in 32 bits") {
            spend(budget, 1)?;
            let Unknown { invoked_at, value } = self.unknown[index as usize];
            if invoked_at > bound {
                break;
            }
            if self.is_used.has(index) || self.read_count[value as usize] == 0 {
                continue;
            }
            if self.write_count[value as usize] > 1 {
                is_repeated = true;
            } else if self.place_with_reads(Choice::Unknown(index), budget)? {
                return Ok(true);
            }
        }
        if is_repeated {
            self.choose_any(budget, choices)?;
            choices.retain(|choice| self.write_count[self.value(*choice) as usize] > 1);
        }
        Ok(false)
    }

    /// Places a write and all reads of its value, or nothing.
    fn place_with_reads(&mut self, write: Choice, budget: &mut Budget) -> Result<bool, Spent> {
        let (depth, value) = (self.trail.len(), self.value(write) as usize);
        self.place(write);
        self.place_reads(budget)?;
        let is_whole = self.read_count[value] == 0;
        if !is_whole {
            // A read of it must wait for something else, which would have to overwrite it.
            self.take_back(depth);
        }
        Ok(is_whole)
    }

    /// Every write that may stand next, of each value the one that returned first, and of all values that
    /// nobody reads one.
    fn choose_any(&mut self, budget: &mut Budget, choices: &mut Vec<Choice>) -> Result<(), Spent> {
        let mut best: BTreeMap<u32, (u64, Choice)> = BTreeMap::new();
        let mut offer = |value: u32, returned_at: u64, choice| {
            let known = best.entry(value).or_insert((returned_at, choice));
            if returned_at < known.0 {
                *known = (returned_at, choice);
            }
        };
        let mut at = self.by_invocation.first(0);
        while let Some((index, write)) = self.open(at) {
            spend(budget, 1)?;
            at = self.by_invocation.after(index);
            let is_read = self.read_count[write.value as usize] > 0;
            let value = if is_read { write.value } else { FREE };
            offer(value, write.returned_at, Choice::Answered(index));
        }
        let bound = self.bound();
        for (index, write) in (0..).zip(&self.unknown) {
            spend(budget, 1)?;
            if write.invoked_at > bound {
                break;
            }
            if !self.is_used.has(index) && self.read_count[write.value as usize] > 0 {
                offer(write.value, u64::MAX, Choice::Unknown(index));
            }
        }
        choices.extend(best.into_values().map(|(_, choice)| choice));
        Ok(())
    }

    fn value(&self, choice: Choice) -> u32 {
        match choice {
            Choice::Answered(index) => self.answered[index as usize].value,
            Choice::Unknown(index) => self.unknown[index as usize].value,
        }
    }

    /// What the client was told; an unknown write is the last that is tried.
    fn hint(&self, choice: Choice) -> u64 {
        match choice {
            Choice::Answered(index) => self.answered[index as usize].slot,
            Choice::Unknown(_) => u64::MAX,
        }
    }

    /// Whether this set of placed operations with this value was never met before; from now on it was.
    fn is_new(&mut self, budget: &mut Budget) -> Result<bool, Spent> {
        let state = if self.is_needed() { self.state } else { FREE };
        let mut words = vec![u64::from(state)];
        self.is_placed.write(&mut words);
        self.is_used.write(&mut words);
        spend(budget, REMEMBERED_LOOKS + words.len() as u64)?;
        Ok(self.memo.insert(words.into_boxed_slice()))
    }

    fn place(&mut self, choice: Choice) {
        self.trail.push((choice, self.state));
        let value = self.value(choice);
        match choice {
            Choice::Answered(index) => {
                self.by_return.take(index);
                self.by_invocation.take(index);
                self.is_placed.set(index);
                if !self.answered[index as usize].is_write {
                    self.read_count[value as usize] -= 1;
                    return;
                }
            }
            Choice::Unknown(index) => self.is_used.set(index),
        }
        self.write_count[value as usize] -= 1;
        self.state = value;
    }

    /// Takes back what was placed since.
    fn take_back(&mut self, depth: usize) {
        while self.trail.len() > depth {
            let (choice, state) = self.trail.pop().expect("it is longer than the depth");
            self.state = state;
            let value = self.value(choice);
            match choice {
                Choice::Answered(index) => {
                    self.by_invocation.put_back(index);
                    self.by_return.put_back(index);
                    self.is_placed.clear(index);
                    if !self.answered[index as usize].is_write {
                        self.read_count[value as usize] += 1;
                        continue;
                    }
                }
                Choice::Unknown(index) => self.is_used.clear(index),
            }
            self.write_count[value as usize] += 1;
        }
    }

    /// Goes back to the last branch, and takes its next choice; false if there is none.
    fn go_back(&mut self) -> bool {
        let Some(mut branch) = self.branches.pop() else { return false };
        self.take_back(branch.depth);
        let choice = branch.choices.pop().expect("a branch is kept while it has a choice");
        if !branch.choices.is_empty() {
            self.branches.push(branch);
        }
        self.place(choice);
        true
    }
}

const fn spend(budget: &mut Budget, looks: u64) -> Result<(), Spent> {
    if budget.spend(looks) { Ok(()) } else { Err(Spent) }
}

/// Lists of the same operations, each in one of them: doubly linked, so that what was taken last comes
/// back to where it was (Knuth's dancing links).
#[derive(Debug)]
struct List {
    next: Vec<u32>,
    previous: Vec<u32>,
    /// How many operations there are; behind them stands a sentinel for each list.
    count: u32,
}

impl List {
    fn new(count: usize, lists: usize) -> Self {
        let length = u32::try_from(count + lists).expect("operations are counted in 32 bits");
        let next: Vec<u32> = (0..length).collect();
        let count = u32::try_from(count).expect("less than the length");
        Self { previous: next.clone(), next, count }
    }

    fn append(&mut self, list: u32, index: u32) {
        let sentinel = self.count + list;
        let end = self.previous[sentinel as usize];
        self.next[end as usize] = index;
        self.previous[index as usize] = end;
        self.next[index as usize] = sentinel;
        self.previous[sentinel as usize] = index;
    }

    fn first(&self, list: u32) -> Option<u32> {
        self.after(self.count + list)
    }

    fn after(&self, index: u32) -> Option<u32> {
        let next = self.next[index as usize];
        (next < self.count).then_some(next)
    }

    fn take(&mut self, index: u32) {
        let (previous, next) = (self.previous[index as usize], self.next[index as usize]);
        self.next[previous as usize] = next;
        self.previous[next as usize] = previous;
    }

    fn put_back(&mut self, index: u32) {
        let (previous, next) = (self.previous[index as usize], self.next[index as usize]);
        self.next[previous as usize] = index;
        self.previous[next as usize] = index;
    }
}

/// A set of numbers.
#[derive(Debug)]
struct Bits {
    words: Vec<u64>,
    count: u64,
    /// All words before this one are full.
    full: usize,
}

impl Bits {
    fn new(length: usize) -> Self {
        Self { words: vec![0; length.div_ceil(64)], count: 0, full: 0 }
    }

    fn has(&self, index: u32) -> bool {
        self.words[index as usize / 64] & (1 << (index % 64)) != 0
    }

    fn set(&mut self, index: u32) {
        self.words[index as usize / 64] |= 1 << (index % 64);
        self.count += 1;
    }

    fn clear(&mut self, index: u32) {
        self.words[index as usize / 64] &= !(1 << (index % 64));
        self.count -= 1;
        self.full = self.full.min(index as usize / 64);
    }

    /// Appends the set in few words: how many words at its beginning are full, how many follow, and those.
    ///
    /// What is placed is nearly all that was invoked so far, so these are few even of a long history.
    fn write(&mut self, out: &mut Vec<u64>) {
        while self.words.get(self.full) == Some(&u64::MAX) {
            self.full += 1;
        }
        let length_at = out.len() + 1;
        out.extend([self.full as u64, 0]);
        let mut left = self.count - self.full as u64 * 64;
        for word in &self.words[self.full..] {
            if left == 0 {
                break;
            }
            left -= u64::from(word.count_ones());
            out.push(*word);
        }
        out[length_at] = (out.len() - length_at - 1) as u64;
    }
}
