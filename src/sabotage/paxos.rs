//! What a dishonest hand does to the inputs and effects of a replica of Paxos.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use super::{Breakable, Rule};
use crate::command::{Operation, RequestId};
use crate::paxos::{Announced, Checkpoint, Effects, Input, Message, Replica};
use crate::protocol::{Assignment, Ballot, Config, Envelope, Protocol, Reply, Slot, TimerId};
use crate::quorum::{NodeId, NodeSet, QuorumSystem};
use crate::time::{Now, Span, Time};

/// What the hand remembers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hand {
    /// Of `fixed-prefix-thrifty-stall`: the only receivers of a Phase2a.
    prefix: NodeSet,
    /// The replica itself.
    own: NodeId,
    /// Of `forgets-announced-early`: everybody.
    everybody: NodeSet,
    /// Of `witness-forgets-early`: whoever keeps a state machine.
    learners: NodeSet,
    /// Of `hole-in-log`: the proposals that left already.
    proposed: BTreeSet<(Ballot, Slot)>,
    /// Of `reads-by-phase2-quorum`: who told the end of the log for a read.
    told_ends: BTreeMap<RequestId, NodeSet>,
    /// Of `grantors-by-majority`: the newest grant of each acceptor.
    grants: BTreeMap<NodeId, (Ballot, Time)>,
}

/// The rest of it never changes.
impl Hash for Hand {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.proposed.hash(state);
        self.told_ends.hash(state);
        self.grants.hash(state);
    }
}

impl Breakable for Replica {
    type Hand = Hand;

    const RULES: &'static [Rule] = &[
        Rule::CheckpointForgetsReservation,
        Rule::SkipsAdoption,
        Rule::IgnoresAnnouncedQuorums,
        Rule::ForgetsAnnouncedEarly,
        Rule::CountsPartialPromise,
        Rule::TrimmedSlotLostWrite,
        Rule::ReusesTrimmedSlot,
        Rule::OverstatesSnapshot,
        Rule::FixedPrefixThriftyStall,
        Rule::HoleInLog,
        Rule::NeverRenews,
        Rule::WitnessForgetsEarly,
        Rule::ReadsWithoutAsking,
        Rule::ReadsByPhase2Quorum,
        Rule::ReadsBeforeExecuting,
        Rule::EndsAtExecuted,
        Rule::ClockBeyondBound,
        Rule::TellsTooSoon,
        Rule::ReadsUnsettledKey,
        Rule::ForgetsStamps,
        Rule::GrantorsByMajority,
        Rule::TellsWithoutResponders,
        Rule::ForgetsOldRosters,
        Rule::ReadsDespiteVote,
        Rule::IgnoresFreshSlot,
        Rule::AnswersForAnyKey,
        Rule::NoClockMargin,
        Rule::GrantsWhileLed,
        Rule::LeadsOnAfterLoss,
        Rule::StampsByClockAlone,
        Rule::ReadsBeforeSafeTime,
        Rule::SkipsCommitWait,
        Rule::LosesTrimmedStamps,
        Rule::IgnoresSession,
        Rule::ShowsUnpassedStamp,
    ];

    fn hand(config: &Config) -> Hand {
        let everybody = config.everybody();
        let prefix = config.quorums.phase2().first_in(&config.nearest_first);
        let learners = config.quorums.learners();
        let prefix = prefix.unwrap_or(everybody);
        Hand {
            prefix,
            own: config.id,
            everybody,
            learners,
            proposed: BTreeSet::new(),
            told_ends: BTreeMap::new(),
            grants: BTreeMap::new(),
        }
    }

    fn handle_broken(
        &mut self,
        rule: Rule,
        hand: &mut Hand,
        mut now: Now,
        mut input: Input,
        effects: &mut Effects,
    ) {
        if rule == Rule::GrantsWhileLed && is_pre_vote(&input) {
            now.at = now.at + LONG;
        }
        damage(rule, &mut input);
        // Effects may hold those of earlier inputs: what is edited once only begins here.
        let first_send = effects.sends.len();
        let settled = match &input {
            Input::Message { message: Message::Settle { ballot, .. }, .. } => Some(*ballot),
            _ => None,
        };
        let executed_below = match &input {
            Input::Message { message: Message::Executed { below }, .. } => Some(*below),
            _ => None,
        };
        let hasty = match &input {
            Input::Request(command) if rule == Rule::ReadsWithoutAsking => {
                command.operation.is_read().then_some(command.request)
            }
            Input::Message { from, message: Message::End { request, .. } }
                if rule == Rule::ReadsByPhase2Quorum =>
            {
                let told = hand.told_ends.entry(*request).or_default();
                // It knows its own end without a message.
                *told = told.with(*from).with(hand.own);
                self.quorums().is_phase2(*told).then_some(*request)
            }
            _ => None,
        };
        let is_vote = matches!(&input, Input::Message { message: Message::Phase2b { .. }, .. });
        let waived = rule == Rule::TellsWithoutResponders && is_vote;
        let roster = if waived { self.replace_roster(NodeSet::EMPTY) } else { None };
        if rule == Rule::AnswersForAnyKey && matches!(&input, Input::Request(_)) {
            return answer_for_any_key(self, hand.own, now, input, effects);
        }
        let granted = match &input {
            Input::Message { from, message: Message::Grant { ballot, stamp } }
                if rule == Rule::GrantorsByMajority =>
            {
                hand.grants.insert(*from, (*ballot, *stamp));
                by_majority(&hand.grants, *ballot, hand.everybody)
            }
            _ => None,
        };
        let may_lose = rule == Rule::LeadsOnAfterLoss && self.is_leader();
        let before = (may_lose && is_news_of_others(&input)).then(|| self.clone());
        let was_leading = self.is_leader();
        self.handle(now, input, effects);
        if let Some(before) = before {
            self.lead_on(&before);
        }
        if let Some(roster) = roster {
            self.replace_roster(roster);
        }
        if let Some((ballot, stamp)) = granted {
            self.pretend_grants(ballot, stamp);
        }
        if let Some(request) = hasty {
            for from in hand.everybody.iter() {
                let (below, announced) = (Slot::ZERO, Announced::default());
                let message = Message::End { request, below, announced };
                self.handle(now, Input::Message { from, message }, effects);
            }
        }
        match rule {
            Rule::TrimmedSlotLostWrite => trim_reports(effects, Slot(self.progress().0)),
            Rule::OverstatesSnapshot => overstate(effects, first_send),
            Rule::ReadsUnsettledKey => self.forget_adopted(),
            Rule::ForgetsStamps | Rule::LosesTrimmedStamps => report_newest_only(effects),
            Rule::ReadsDespiteVote => self.respond_regardless(now, effects),
            Rule::StampsByClockAlone if self.is_leader() && !was_leading => self.forget_stamps(),
            Rule::ReadsBeforeSafeTime => {
                self.hasten_reads();
                // Nothing else comes of it.
                self.handle(now, Input::Timer(TimerId(u64::MAX)), effects);
            }
            Rule::SkipsCommitWait => {
                effects.replies.extend(self.take_held(|reply| !is_read(reply)));
            }
            Rule::ShowsUnpassedStamp => effects.replies.extend(self.take_held(is_read)),
            Rule::EndsAtExecuted => end_early(effects, Slot(self.progress().0)),
            Rule::FixedPrefixThriftyStall => narrow_proposals(effects, hand.prefix),
            Rule::HoleInLog => propose_once(effects, first_send, &mut hand.proposed),
            Rule::NeverRenews if self.is_leader() => drop_pre_votes(effects, first_send),
            Rule::WitnessForgetsEarly if !self.is_learner() => {
                if let Some(below) = executed_below {
                    for from in hand.learners.iter() {
                        let message = Message::Executed { below };
                        self.handle(now, Input::Message { from, message }, effects);
                    }
                }
            }
            Rule::ForgetsAnnouncedEarly => {
                if let Some(ballot) = settled {
                    for from in hand.everybody.iter() {
                        let message = Message::Settled { ballot };
                        self.handle(now, Input::Message { from, message }, effects);
                    }
                }
            }
            _ => {}
        }
    }

    fn falsify_checkpoint(rule: Rule, checkpoint: &mut Checkpoint) {
        if rule == Rule::CheckpointForgetsReservation {
            checkpoint.forget_reservation();
        }
    }
}

/// A client asks a responder that would answer for every key.
fn answer_for_any_key(
    replica: &mut Replica,
    own: NodeId,
    now: Now,
    input: Input,
    effects: &mut Effects,
) {
    let before = replica.replace_assignment(Assignment::AllKeys(NodeSet::only(own)));
    replica.handle(now, input, effects);
    if let Some(at) = before {
        replica.replace_assignment(at);
    }
}

/// So long nobody is silent who is alive.
const LONG: Span = Span::from_millis(3_600_000);

/// Whether a candidate asks who would promise.
const fn is_pre_vote(input: &Input) -> bool {
    matches!(input, Input::Message { message: Message::PreVote { .. }, .. })
}

/// Whether others tell what they know to be chosen.
const fn is_news_of_others(input: &Input) -> bool {
    let Input::Message { message, .. } = input else { return false };
    matches!(message, Message::Values { .. } | Message::Snapshot { .. })
}

/// What the rule makes of an input.
fn damage(rule: Rule, input: &mut Input) {
    match rule {
        Rule::SkipsAdoption => clear_reported(input),
        Rule::IgnoresAnnouncedQuorums => clear_announced(input),
        Rule::CountsPartialPromise => complete_promise(input),
        Rule::ReusesTrimmedSlot => clear_trimmed(input),
        Rule::OverstatesSnapshot => understate(input),
        Rule::ReadsBeforeExecuting => clear_end(input),
        Rule::TellsTooSoon => clear_newest(input),
        Rule::ForgetsOldRosters => clear_granted(input),
        Rule::LosesTrimmedStamps => clear_state_stamp(input),
        Rule::IgnoresSession => clear_since(input),
        Rule::IgnoresFreshSlot => clear_fresh(input),
        _ => {}
    }
}

/// A promise arrives as if nothing had been voted for.
fn clear_reported(input: &mut Input) {
    if let Input::Message { message: Message::Phase1b { report, .. }, .. } = input {
        report.votes.clear();
    }
}

/// A promise arrives as if no phase-2 quorum had been announced.
fn clear_announced(input: &mut Input) {
    match input {
        Input::Message { message: Message::Phase1b { report, .. }, .. } => report.announced.clear(),
        Input::Message { message: Message::PreVoteGranted { announced, .. }, .. } => {
            announced.clear();
        }
        _ => {}
    }
}

/// A promise arrives as if it reported every vote.
fn complete_promise(input: &mut Input) {
    if let Input::Message { message: Message::Phase1b { report, .. }, .. } = input {
        report.reported_below = None;
    }
}

/// A promise arrives as if nothing had been trimmed.
fn clear_trimmed(input: &mut Input) {
    if let Input::Message { message: Message::Phase1b { report, .. }, .. } = input {
        report.trimmed_below = Slot::ZERO;
    }
}

/// Somebody tells the end of the log as if nothing were in it.
fn clear_end(input: &mut Input) {
    if let Input::Message { message: Message::End { below, .. }, .. } = input {
        *below = Slot::ZERO;
    }
}

/// A promise arrives as if nothing had a stamp.
fn clear_newest(input: &mut Input) {
    if let Input::Message { message: Message::Phase1b { report, .. }, .. } = input {
        report.newest = None;
    }
}

/// A promise arrives as if nothing had been granted.
fn clear_granted(input: &mut Input) {
    if let Input::Message { message: Message::Phase1b { report, .. }, .. } = input {
        report.granted.clear();
    }
}

/// A leader tells that every slot is fresh.
fn clear_fresh(input: &mut Input) {
    if let Input::Message { message: Message::Renew { fresh, .. }, .. } = input {
        *fresh = Slot::ZERO;
    }
}

/// The newest stamp at or after which a majority granted something at this ballot.
fn by_majority(
    grants: &BTreeMap<NodeId, (Ballot, Time)>,
    ballot: Ballot,
    everybody: NodeSet,
) -> Option<(Ballot, Time)> {
    let of_ballot = grants.iter().filter(|(_, (at, _))| *at == ballot);
    let mut newest_first: Vec<(Time, NodeId)> =
        of_ballot.map(|(node, (_, stamp))| (*stamp, *node)).collect();
    newest_first.sort_unstable_by(|one, other| other.cmp(one));
    let (majority, mut met) = (QuorumSystem::majority(everybody.len()), NodeSet::EMPTY);
    let last = newest_first.into_iter().find(|(_, node)| {
        met.insert(*node);
        majority.is_phase1(met)
    });
    last.map(|(stamp, _)| (ballot, stamp))
}

/// A read arrives as if its client had seen nothing.
const fn clear_since(input: &mut Input) {
    if let Input::Request(command) = input
        && let Operation::GetSince { since, .. } = &mut command.operation
    {
        *since = 0;
    }
}

/// Whether it answers a read that has no slot of its own.
const fn is_read(reply: &Reply) -> bool {
    matches!(reply, Reply::Read { .. })
}

/// A state arrives without the stamp of its last slot.
const fn clear_state_stamp(input: &mut Input) {
    if let Input::Message { message: Message::Snapshot { newest, .. }, .. } = input {
        *newest = None;
    }
}

/// Promises tell the stamps of the votes that they report, and no others.
fn report_newest_only(effects: &mut Effects) {
    for envelope in effects.sends.iter_mut().chain(&mut effects.durable_sends) {
        if let Message::Phase1b { report, .. } = &mut envelope.message {
            let stamps = report.votes.iter().filter_map(|(_, vote)| vote.value.stamp());
            report.newest = stamps.max();
        }
    }
}

/// What is told of the end of the log goes no further than what is executed.
fn end_early(effects: &mut Effects, executed_below: Slot) {
    for envelope in &mut effects.sends {
        if let Message::End { below, .. } = &mut envelope.message {
            *below = (*below).min(executed_below);
        }
    }
}

/// Whoever asks for more of a state names it as it was overstated.
fn understate(input: &mut Input) {
    if let Input::Message { message: Message::Fetch { begun: Some((state, _)), .. }, .. } = input {
        *state = Slot(state.0.saturating_sub(1));
    }
}

/// Of the sends from `first` on, a state claims one slot more than it holds.
fn overstate(effects: &mut Effects, first: usize) {
    for envelope in &mut effects.sends[first..] {
        if let Message::Snapshot { executed_below, .. } = &mut envelope.message {
            *executed_below = executed_below.next();
        }
    }
}

/// Promises say nothing of slots that are executed, nor that they do not.
fn trim_reports(effects: &mut Effects, executed_below: Slot) {
    for envelope in effects.sends.iter_mut().chain(&mut effects.durable_sends) {
        if let Message::Phase1b { report, .. } = &mut envelope.message {
            report.trimmed_below = Slot::ZERO;
            report.votes.retain(|(slot, _)| *slot >= executed_below);
        }
    }
}

/// Proposals go to nobody outside `prefix`.
fn narrow_proposals(effects: &mut Effects, prefix: NodeSet) {
    for envelope in &mut effects.sends {
        if matches!(envelope.message, Message::Phase2a { .. }) {
            envelope.to = envelope.to.intersection(prefix);
        }
    }
    effects.sends.retain(|envelope| !envelope.to.is_empty());
}

/// Of the sends from `first` on, proposals that left before stay, and so do no-ops.
fn propose_once(effects: &mut Effects, first: usize, proposed: &mut BTreeSet<(Ballot, Slot)>) {
    let is_kept_back = |envelope: &mut Envelope<Message>| match &envelope.message {
        Message::Phase2a { ballot, slot, value, .. } => {
            !proposed.insert((*ballot, *slot)) || value.command().is_none()
        }
        _ => false,
    };
    effects.sends.extract_if(first.., is_kept_back).for_each(drop);
}

/// Of the sends from `first` on, no question who would promise another ballot leaves.
fn drop_pre_votes(effects: &mut Effects, first: usize) {
    let is_pre_vote =
        |envelope: &mut Envelope<Message>| matches!(envelope.message, Message::PreVote { .. });
    effects.sends.extract_if(first.., is_pre_vote).for_each(drop);
}
