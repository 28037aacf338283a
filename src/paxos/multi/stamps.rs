//! Commit timestamps: each entry carries a stamp from its leader's clock, and stamps rise with the slots (as in Corbett et
//! al., *Spanner*, OSDI 2012, section 4.1; here with any phase-1 and phase-2 quorums).
//!
//! A new entry gets `max(shown + ε, newest + 1 ns)`, where ε is the bound of all clocks and `newest` the newest stamp
//! that the leader made or that its phase 1 heard of. Whoever proposes an entry again keeps its stamp.
//!
//! # Why the stamps of chosen entries rise with the slots
//!
//! A leader of ballot *b* has a value for every slot: those that it knows to be chosen, those that it adopts, and new
//! ones. If all of these rise with the slots, whatever *b* chooses rises too. It adopts the votes that its phase 1
//! reports, but two of them may contradict one another: one from a ballot whose leader had not heard of the other.
//! Let *u* in slot *i* and *v* in slot *j > i* be reported with ballots *k < l* in either order, and let the stamp of
//! *v* be too small to have *j − i* stamps above that of *u*. Had the value of the lower ballot been chosen, phase 1 of
//! the higher ballot would have heard of it (its phase-1 quorum meets the phase-2 quorum), and the values of that ballot,
//! which rise with the slots, would have left room for both. So the value of the lower ballot is not chosen and never
//! will be, and the leader is free in its slot ([`in_order`]).
//! The slots between two that are kept have room for a stamp each, and get the smallest that there is: nobody has
//! executed them, so nobody's safe time has passed them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Multi, State};
use crate::paxos::context::Context;
use crate::paxos::message::Vote;
use crate::paxos::mode::Reads;
use crate::paxos::timer::TimerKind;
use crate::protocol::Slot;
use crate::time::{Span, Time};

/// What a replica knows of commit timestamps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Stamps {
    /// No clock is off by more.
    bound: Span,
    /// A leader that has proposed nothing for so long proposes a no-op.
    advance: Option<Span>,
    /// The newest stamp so far, of the slots up to the one that is proposed next.
    newest: Option<Time>,
    /// The slots below this have values with stamps; a new value among them gets the smallest stamp that there is.
    settled_below: Slot,
    /// When it made the last one, on the clock of timers.
    made_at: Option<Time>,
    is_armed: bool,
}

impl Stamps {
    /// Those of a replica that has never run; `None` where leaders give none.
    pub(super) fn new(reads: Reads, commit_wait: Option<Span>) -> Option<Self> {
        let terms = reads.snapshot();
        let bound = terms.map(|terms| terms.bound).or(commit_wait)?;
        Some(Self {
            bound,
            advance: terms.and_then(|terms| terms.advance),
            newest: None,
            settled_below: Slot::ZERO,
            made_at: None,
            is_armed: false,
        })
    }

    /// The stamp of a new value, when the clock shows `shown`.
    pub(super) fn make(&mut self, shown: Time, now: Time, slot: Slot) -> Time {
        let next = self.newest.map_or(Time::ZERO, |newest| newest + Span(1));
        let stamp = if slot < self.settled_below { next } else { next.max(shown + self.bound) };
        self.newest = Some(stamp);
        self.made_at = Some(now);
        stamp
    }

    /// It begins to lead: these slots from `from` on have stamps, and the slot before `from` has `newest`.
    fn begin(&mut self, kept: &BTreeMap<Slot, Time>, from: Slot, newest: Option<Time>) {
        self.newest = newest;
        self.settled_below = kept.last_key_value().map_or(from, |(slot, _)| slot.next());
    }

    /// A slot has a value with this stamp.
    pub(super) fn pass(&mut self, stamp: Option<Time>) {
        self.newest = self.newest.max(stamp);
    }

    /// Forgets every stamp: for a negative control.
    const fn forget(&mut self) {
        self.newest = None;
    }
}

/// Of the votes that phase 1 reported, those that may be chosen; of the others only the commands.
///
/// `chosen` are the stamps of what is known to be chosen from slot `from` on, and `newest` that of the slot before.
pub(super) fn in_order(
    reported: &BTreeMap<Slot, Vote>,
    mut chosen: BTreeMap<Slot, Time>,
    from: Slot,
    newest: Option<Time>,
) -> BTreeMap<Slot, Time> {
    let mut by_ballot: Vec<(Slot, &Vote)> = reported
        .iter()
        .filter(|(slot, _)| **slot >= from)
        .map(|(slot, vote)| (*slot, vote))
        .collect();
    by_ballot.sort_by_key(|(_, vote)| Reverse(vote.ballot));
    for (slot, vote) in by_ballot {
        let Some(stamp) = vote.value.stamp().filter(|_| !chosen.contains_key(&slot)) else {
            continue;
        };
        let before = chosen.range(..slot).next_back().map(|(slot, stamp)| (slot.0, stamp.0));
        let least = match (before, newest) {
            (Some((at, stamp)), _) => stamp + (slot.0 - at),
            (None, Some(newest)) => newest.0 + (slot.0 - from.0) + 1,
            (None, None) => slot.0 - from.0,
        };
        let after = chosen.range(slot.next()..).next();
        let has_room = after.is_none_or(|(at, after)| stamp.0 + (at.0 - slot.0) <= after.0);
        if stamp.0 >= least && has_room {
            chosen.insert(slot, stamp);
        }
    }
    chosen
}

impl Multi {
    /// It begins to lead: takes the votes out that cannot be chosen, because their stamps contradict those of others.
    ///
    /// What is taken out is a command without a slot; it is proposed in the slot that it had.
    pub(super) fn order_stamps(
        &mut self,
        context: &Context<'_>,
        reported: &mut BTreeMap<Slot, Vote>,
        end: Slot,
    ) -> BTreeMap<Slot, Vote> {
        let Some(stamps) = &mut self.stamps else { return BTreeMap::new() };
        let (from, newest) = (context.learner.executed_below(), context.learner.newest);
        let known = (from.0..end.0).map(Slot);
        let known = known.filter_map(|slot| Some((slot, context.learner.value(slot)?.stamp()?)));
        let kept = in_order(reported, known.collect(), from, newest);
        stamps.begin(&kept, from, newest);
        reported.extract_if(.., |slot, _| *slot >= from && !kept.contains_key(slot)).collect()
    }

    /// The next slot has this stamp already.
    pub(super) fn pass_stamp(&mut self, stamp: Option<Time>) {
        if let Some(stamps) = &mut self.stamps {
            stamps.pass(stamp);
        }
    }

    /// It leads, and nothing is proposed for a while: safe time goes on by a no-op.
    pub(super) fn arm_safe_time(&mut self, context: &mut Context<'_>) {
        let Some(stamps) = &mut self.stamps else { return };
        let Some(advance) = stamps.advance.filter(|_| !stamps.is_armed) else { return };
        let waited = stamps.made_at.map_or(Span::ZERO, |made_at| context.now.since(made_at));
        // Where it has no room for a no-op that is due, it looks again as much later.
        let rest = if waited < advance { Span(advance.0 - waited.0) } else { advance };
        stamps.is_armed = true;
        context.effects.set_timer(TimerKind::SafeTime.id(), rest, Span::ZERO);
    }

    /// Proposes a no-op, unless it has proposed something meanwhile.
    pub(super) fn advance_safe_time(&mut self, context: &mut Context<'_>) {
        let Some(stamps) = &mut self.stamps else { return };
        stamps.is_armed = false;
        let State::Leading(leading) = &self.state else { return };
        let ballot = leading.ballot;
        let is_due = |advance: Span| {
            stamps.made_at.is_none_or(|made_at| context.now.since(made_at) >= advance)
        };
        let is_due = stamps.advance.is_some_and(is_due);
        if is_due && self.has_room(context) {
            self.propose_next(context, ballot, None, context.now);
        }
        self.arm_safe_time(context);
    }

    /// As if no stamp had been heard of: for a negative control.
    pub(in crate::paxos) const fn forget_stamps(&mut self) {
        if let Some(stamps) = &mut self.stamps {
            stamps.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;
    use crate::protocol::{Ballot, Value};
    use crate::quorum::NodeId;

    const N: usize = 4;

    /// What some ballots lead to, each with a clock that shows anything, and promises and votes that may be lost.
    #[derive(Default)]
    struct World {
        promised: [u64; N],
        votes: [BTreeMap<Slot, Vote>; N],
        chosen: BTreeMap<Slot, Value>,
        /// Votes that a phase 1 heard of, and that were not adopted.
        passed_over: usize,
    }

    impl World {
        /// One ballot, with quorums of these sizes; whether what is chosen rises with the slots after it.
        fn lead(
            &mut self,
            round: u64,
            sizes: [usize; 2],
            heeds_stamps: bool,
            random: &mut Pcg64,
        ) -> bool {
            let ballot = Ballot { round, proposer: NodeId(0) };
            let first = random.random_range(0..N);
            let mut reported: BTreeMap<Slot, Vote> = BTreeMap::new();
            for node in (first..first + sizes[0]).map(|node| node % N) {
                self.promised[node] = round;
                for (slot, vote) in &self.votes[node] {
                    let known = reported.get(slot).map(|known| known.ballot);
                    if known.is_none_or(|known| known < vote.ballot) {
                        reported.insert(*slot, vote.clone());
                    }
                }
            }
            let stamp = |(slot, vote): (&Slot, &Vote)| Some((*slot, vote.value.stamp()?));
            let kept = if heeds_stamps {
                in_order(&reported, BTreeMap::new(), Slot::ZERO, None)
            } else {
                reported.iter().filter_map(stamp).collect()
            };
            self.passed_over += reported.len() - kept.len();
            let mut stamps = Stamps::new(Reads::Log, Some(Span::ZERO)).unwrap();
            stamps.begin(&kept, Slot::ZERO, None);
            let shown = Time(random.random_range(0..1_000));
            for slot in (0..stamps.settled_below.0 + random.random_range(0..6)).map(Slot) {
                let value = match kept.get(&slot) {
                    Some(stamp) => {
                        stamps.pass(Some(*stamp));
                        reported[&slot].value.clone()
                    }
                    None => Value::stamped(stamps.make(shown, Time::ZERO, slot), None),
                };
                self.vote(ballot, slot, &value, sizes[1], random);
            }
            let chosen: Vec<(u64, u64)> = self
                .chosen
                .iter()
                .map(|(slot, value)| (slot.0, value.stamp().unwrap().0))
                .collect();
            chosen.windows(2).all(|two| two[1].1 >= two[0].1 + (two[1].0 - two[0].0))
        }

        fn vote(
            &mut self,
            ballot: Ballot,
            slot: Slot,
            value: &Value,
            size: usize,
            random: &mut Pcg64,
        ) {
            let mut count = 0;
            for node in 0..N {
                if self.promised[node] <= ballot.round && random.random_bool(0.25) {
                    let value = value.clone();
                    self.votes[node].insert(slot, Vote { ballot, value });
                    count += 1;
                }
            }
            if count >= size {
                let first = self.chosen.entry(slot).or_insert_with(|| value.clone());
                assert_eq!(first, value, "{slot}");
            }
        }
    }

    /// Whether all that a run chooses rises, and how many votes it passed over.
    fn run(seed: u64, heeds_stamps: bool) -> (bool, usize) {
        let mut random = Pcg64::seed_from_u64(seed);
        let sizes = [[3, 2], [2, 3], [4, 1]][random.random_range(0..3)];
        let mut world = World::default();
        let rises = (1..9).all(|round| world.lead(round, sizes, heeds_stamps, &mut random));
        (rises, world.passed_over)
    }

    #[test]
    fn what_is_chosen_rises_whatever_clocks_show() {
        let mut passed_over = 0;
        for seed in 0..3_000 {
            let (rises, count) = run(seed, true);
            assert!(rises, "seed {seed}");
            passed_over += count;
        }
        assert!(passed_over > 200, "{passed_over}");
        assert!((0..3_000).any(|seed| !run(seed, false).0), "whoever adopts every vote is found");
    }
}
