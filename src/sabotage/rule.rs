//! The rules that can be broken: their names, their stories, and what breaking them breaks.

use std::fmt;
use std::str::FromStr;

use crate::driver::Defect;
use crate::quorum::QuorumSystem;

/// A rule to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Every phase-1 quorum meets every phase-2 quorum.
    DisjointQuorums,
    /// A promise survives a crash.
    ForgetsPromise,
    /// A vote survives a crash.
    ForgetsVote,
    /// A round that a proposer may have used is not used again after a crash.
    ForgetsReservation,
    /// A proposer asks for promises only when the round of its ballot is durably reserved.
    AsksBeforeReserving,
    /// A checkpoint holds the rounds that may have been used, too.
    CheckpointForgetsReservation,
    /// A proposer adopts the vote of the highest ballot that its phase 1 reports.
    SkipsAdoption,
    /// A phase 1 meets the phase-2 quorums that lower ballots announced.
    IgnoresAnnouncedQuorums,
    /// Announced quorums are forgotten when a phase-1 quorum has settled a later ballot.
    ForgetsAnnouncedEarly,
    /// A promise counts when all its votes are reported.
    CountsPartialPromise,
    /// A message that depends on a record leaves only when the record is durable: a rule of the driver.
    SendsBeforePersist,
    /// A timer that is set runs out: a rule of the driver.
    ForgetsTimers,
    /// A promise reports executed slots too.
    TrimmedSlotLostWrite,
    /// Nothing is proposed in a slot that a promise says is trimmed.
    ReusesTrimmedSlot,
    /// A state holds what it says it does.
    OverstatesSnapshot,
    /// A contacted subset is never fixed.
    FixedPrefixThriftyStall,
    /// A lost proposal is sent again.
    HoleInLog,
    /// A leader that is refused, or whose announced quorum does not vote, uses another ballot.
    NeverRenews,
    /// A request that was applied is part of the state that it led to.
    ForgetsRequest,
    /// The promise that is made with a vote survives a crash as the vote does.
    ForgetsCarriedPromise,
    /// A proposer goes on from the reported state of the highest ballot.
    TakesAnyBase,
    /// A witness forgets a vote only when enough others have executed the slot.
    WitnessForgetsEarly,
    /// A quorum read asks before it answers.
    ReadsWithoutAsking,
    /// A quorum read asks a phase-1 quorum.
    ReadsByPhase2Quorum,
    /// A quorum read waits until it has executed what it was told of.
    ReadsBeforeExecuting,
    /// An acceptor that is asked for the end of the log tells that of its votes.
    EndsAtExecuted,
    /// No clock is off by more than replicas are told.
    ClockBeyondBound,
    /// A new leader tells nobody of anything while an earlier lease may last.
    TellsTooSoon,
    /// A new leader reads no key that is written in a slot which it adopted and has not executed.
    ReadsUnsettledKey,
    /// A promise tells the stamps of trimmed slots too.
    ForgetsStamps,
    /// The grantors of a lease to a responder meet every phase-1 quorum.
    GrantorsByMajority,
    /// A write is told when every responder of the roster has voted for it.
    TellsWithoutResponders,
    /// A new leader tells nobody of anything while a responder outside its roster may hold a lease.
    ForgetsOldRosters,
    /// A responder reads no key that is written in a slot which it voted in and has not executed.
    ReadsDespiteVote,
    /// A responder knows what was in the log when its leader began, before it answers.
    IgnoresFreshSlot,
    /// A responder answers alone for the keys of its own ranges only.
    AnswersForAnyKey,
    /// Whoever holds a lease and whoever waits for its end each allow for the error of clocks.
    NoClockMargin,
    /// Who hears a leader grants nobody else a pre-vote.
    GrantsWhileLed,
    /// A leader that learns of a slot that it lost gives up its ballot.
    LeadsOnAfterLoss,
    /// Commit timestamps rise over a change of leaders.
    StampsByClockAlone,
    /// A replica answers a read of a time when nothing can be missing before it.
    ReadsBeforeSafeTime,
    /// A leader waits until a stamp has surely passed before it tells a client.
    SkipsCommitWait,
    /// Promises and states tell the stamps of what is forgotten.
    LosesTrimmedStamps,
    /// A replica heeds what a client says that it has seen.
    IgnoresSession,
    /// With a commit wait, a replica shows a value only when its stamp has surely passed.
    ShowsUnpassedStamp,
}

/// What a broken rule breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breaks {
    /// Two replicas, or one before and after a crash, may say different things.
    Safety,
    /// Nothing false is said, but requests wait for ever, or a good leader is deposed.
    Progress,
}

/// A name that is no rule's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rule is called `{name}`: the rules are {}", Rule::ALL.map(Rule::name).join(", "))]
pub struct Error {
    /// The name given.
    pub name: String,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 45] = [
        Self::DisjointQuorums,
        Self::ForgetsPromise,
        Self::ForgetsVote,
        Self::ForgetsReservation,
        Self::AsksBeforeReserving,
        Self::CheckpointForgetsReservation,
        Self::SkipsAdoption,
        Self::IgnoresAnnouncedQuorums,
        Self::ForgetsAnnouncedEarly,
        Self::CountsPartialPromise,
        Self::SendsBeforePersist,
        Self::ForgetsTimers,
        Self::TrimmedSlotLostWrite,
        Self::ReusesTrimmedSlot,
        Self::OverstatesSnapshot,
        Self::FixedPrefixThriftyStall,
        Self::HoleInLog,
        Self::NeverRenews,
        Self::ForgetsRequest,
        Self::ForgetsCarriedPromise,
        Self::TakesAnyBase,
        Self::WitnessForgetsEarly,
        Self::ReadsWithoutAsking,
        Self::ReadsByPhase2Quorum,
        Self::ReadsBeforeExecuting,
        Self::EndsAtExecuted,
        Self::ClockBeyondBound,
        Self::TellsTooSoon,
        Self::ReadsUnsettledKey,
        Self::ForgetsStamps,
        Self::GrantorsByMajority,
        Self::TellsWithoutResponders,
        Self::ForgetsOldRosters,
        Self::ReadsDespiteVote,
        Self::IgnoresFreshSlot,
        Self::AnswersForAnyKey,
        Self::NoClockMargin,
        Self::GrantsWhileLed,
        Self::LeadsOnAfterLoss,
        Self::StampsByClockAlone,
        Self::ReadsBeforeSafeTime,
        Self::SkipsCommitWait,
        Self::LosesTrimmedStamps,
        Self::IgnoresSession,
        Self::ShowsUnpassedStamp,
    ];

    /// The rules of leases.
    pub const LEASES: [Self; 4] =
        [Self::ClockBeyondBound, Self::TellsTooSoon, Self::ReadsUnsettledKey, Self::ForgetsStamps];

    /// The rules of responders.
    pub const RESPONDERS: [Self; 7] = [
        Self::GrantorsByMajority,
        Self::TellsWithoutResponders,
        Self::ForgetsOldRosters,
        Self::ReadsDespiteVote,
        Self::IgnoresFreshSlot,
        Self::AnswersForAnyKey,
        Self::NoClockMargin,
    ];

    /// The rules of snapshot reads and commit timestamps.
    pub const SNAPSHOTS: [Self; 6] = [
        Self::StampsByClockAlone,
        Self::ReadsBeforeSafeTime,
        Self::SkipsCommitWait,
        Self::LosesTrimmedStamps,
        Self::IgnoresSession,
        Self::ShowsUnpassedStamp,
    ];

    /// The rules of quorum reads.
    pub const QUORUM_READS: [Self; 4] = [
        Self::ReadsWithoutAsking,
        Self::ReadsByPhase2Quorum,
        Self::ReadsBeforeExecuting,
        Self::EndsAtExecuted,
    ];

    /// The rules that replicas of every protocol can break.
    pub const COMMON: [Self; 7] = [
        Self::DisjointQuorums,
        Self::ForgetsPromise,
        Self::ForgetsVote,
        Self::ForgetsReservation,
        Self::AsksBeforeReserving,
        Self::SendsBeforePersist,
        Self::ForgetsTimers,
    ];

    /// Whether it is about reads that do not go through the log, or about commit timestamps.
    pub fn is_of_reads(self) -> bool {
        let all = [&Self::QUORUM_READS[..], &Self::LEASES, &Self::RESPONDERS, &Self::SNAPSHOTS];
        all.concat().contains(&self)
    }

    /// Whether it shows only as time goes on.
    pub fn is_of_time(self) -> bool {
        let of_responders = [Self::IgnoresFreshSlot, Self::NoClockMargin];
        let of_time = [&of_responders[..], &Self::LEASES, &Self::SNAPSHOTS].concat();
        of_time.contains(&self) && self != Self::StampsByClockAlone
    }

    /// What it is called on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DisjointQuorums => "disjoint-quorums",
            Self::ForgetsPromise => "forgets-promise",
            Self::ForgetsVote => "forgets-vote",
            Self::ForgetsReservation => "forgets-reservation",
            Self::AsksBeforeReserving => "asks-before-reserving",
            Self::CheckpointForgetsReservation => "checkpoint-forgets-reservation",
            Self::SkipsAdoption => "skips-adoption",
            Self::IgnoresAnnouncedQuorums => "ignores-announced-quorums",
            Self::ForgetsAnnouncedEarly => "forgets-announced-early",
            Self::CountsPartialPromise => "counts-partial-promise",
            Self::SendsBeforePersist => "sends-before-persist",
            Self::ForgetsTimers => "forgets-timers",
            Self::TrimmedSlotLostWrite => "trimmed-slot-lost-write",
            Self::ReusesTrimmedSlot => "reuses-trimmed-slot",
            Self::OverstatesSnapshot => "overstates-snapshot",
            Self::FixedPrefixThriftyStall => "fixed-prefix-thrifty-stall",
            Self::HoleInLog => "hole-in-log",
            Self::NeverRenews => "never-renews",
            Self::ForgetsRequest => "forgets-request",
            Self::ForgetsCarriedPromise => "forgets-carried-promise",
            Self::TakesAnyBase => "takes-any-base",
            Self::WitnessForgetsEarly => "witness-forgets-early",
            Self::ReadsWithoutAsking => "reads-without-asking",
            Self::ReadsByPhase2Quorum => "reads-by-phase2-quorum",
            Self::ReadsBeforeExecuting => "reads-before-executing",
            Self::EndsAtExecuted => "ends-at-executed",
            Self::ClockBeyondBound => "clock-beyond-bound",
            Self::TellsTooSoon => "tells-too-soon",
            Self::ReadsUnsettledKey => "reads-unsettled-key",
            Self::ForgetsStamps => "forgets-stamps",
            Self::GrantorsByMajority => "grantors-by-majority",
            Self::TellsWithoutResponders => "tells-without-responders",
            Self::ForgetsOldRosters => "forgets-old-rosters",
            Self::ReadsDespiteVote => "reads-despite-vote",
            Self::IgnoresFreshSlot => "ignores-fresh-slot",
            Self::AnswersForAnyKey => "answers-for-any-key",
            Self::NoClockMargin => "no-clock-margin",
            Self::GrantsWhileLed => "grants-while-led",
            Self::LeadsOnAfterLoss => "leads-on-after-loss",
            Self::StampsByClockAlone => "stamps-by-clock-alone",
            Self::ReadsBeforeSafeTime => "reads-before-safe-time",
            Self::SkipsCommitWait => "skips-commit-wait",
            Self::LosesTrimmedStamps => "loses-trimmed-stamps",
            Self::IgnoresSession => "ignores-session",
            Self::ShowsUnpassedStamp => "shows-unpassed-stamp",
        }
    }

    /// What goes wrong, in a sentence.
    #[expect(clippy::too_many_lines, reason = "a sentence for each rule")]
    pub const fn story(self) -> &'static str {
        match self {
            Self::DisjointQuorums => {
                "Some phase-1 quorum misses some phase-2 quorum, so a new leader need not hear of \
                 what was chosen."
            }
            Self::ForgetsPromise => {
                "An acceptor that restarts has forgotten its promises, and votes at a ballot that it \
                 promised to refuse."
            }
            Self::ForgetsVote => {
                "An acceptor that restarts has forgotten its votes, and reports nothing where a value \
                 was chosen with its help."
            }
            Self::ForgetsReservation => {
                "A proposer that restarts has forgotten which rounds it may have used, and proposes a \
                 second value at a ballot that it has used before."
            }
            Self::AsksBeforeReserving => {
                "A proposer asks for promises before it is durable which rounds it may use: a crash in between, \
                 and it uses the ballot again."
            }
            Self::CheckpointForgetsReservation => {
                "A checkpoint leaves out which rounds may have been used: a proposer that starts from it uses \
                 a ballot again."
            }
            Self::SkipsAdoption => {
                "A proposer ignores the votes that its phase 1 reports, and proposes its own value \
                 where another may be chosen."
            }
            Self::IgnoresAnnouncedQuorums => {
                "Where each ballot announces its own phase-2 quorum, a new leader is content with any \
                 majority, and need not hear of what was chosen."
            }
            Self::ForgetsAnnouncedEarly => {
                "An acceptor forgets the phase-2 quorums of lower ballots as soon as a leader asks it to \
                 settle its ballot, so a later leader need not hear of what was chosen there."
            }
            Self::CountsPartialPromise => {
                "A promise that reports its first votes only is counted as if there were no others, so \
                 a new leader takes a slot that it was not told of for an empty one."
            }
            Self::SendsBeforePersist => {
                "The driver sends a promise or a vote before it is durable: a crash in between, and a \
                 chosen value was voted for by nobody."
            }
            Self::ForgetsTimers => {
                "The driver sets no timer: a message that is lost is never sent again, and a dead leader \
                 is never missed."
            }
            Self::TrimmedSlotLostWrite => {
                "An acceptor that has executed a slot reports nothing for it, so a new leader uses the \
                 slot again and an acknowledged write is lost."
            }
            Self::ReusesTrimmedSlot => {
                "A new leader does not heed that an acceptor has trimmed slots, takes its silence for \
                 emptiness and proposes there, where something is chosen."
            }
            Self::OverstatesSnapshot => {
                "A replica sends its state and says that one slot more is executed in it than is, so \
                 whoever takes it passes over a write."
            }
            Self::FixedPrefixThriftyStall => {
                "Every proposal, repeated ones too, goes to the nearest phase-2 quorum only: when one \
                 of its members is down, nothing is ever chosen again."
            }
            Self::HoleInLog => {
                "A proposal is sent once and no hole is filled with a no-op: one lost message, and \
                 every later slot waits for ever."
            }
            Self::NeverRenews => {
                "A leader keeps its ballot whatever happens: an acceptor that promised a candidate which \
                 then died refuses it for ever, and a member of its announced quorum that died stops it."
            }
            Self::ForgetsRequest => {
                "A register does not remember which requests led to its state, so one that timed out and was \
                 applied is applied again."
            }
            Self::ForgetsCarriedPromise => {
                "An acceptor that restarts remembers its vote and not the ballot that it promised with it, so \
                 another proposer may come between the owner and its next command."
            }
            Self::TakesAnyBase => {
                "A proposer goes on from the first state that it is told, not from that of the highest ballot, \
                 and a command that was chosen since is lost."
            }
            Self::WitnessForgetsEarly => {
                "A witness forgets its vote as soon as one replica has executed the slot: when that replica is \
                 down, nobody who is up knows what was chosen there."
            }
            Self::ReadsWithoutAsking => {
                "A replica answers a read from its own state at once, and does not know of a write that was \
                 acknowledged before."
            }
            Self::ReadsByPhase2Quorum => {
                "A replica is content with a phase-2 quorum where a read needs a phase-1 quorum: two phase-2 \
                 quorums need not meet, so none of those asked need know of the last write."
            }
            Self::ReadsBeforeExecuting => {
                "A replica asks how far the log goes and answers before it has executed so far."
            }
            Self::EndsAtExecuted => {
                "An acceptor that is asked how far the log goes tells what it has executed, and leaves out what it \
                 voted for: that may be chosen, and acknowledged."
            }
            Self::ClockBeyondBound => {
                "Clocks are off by more than replicas are told: a leader that was replaced takes its lease for valid \
                 when its successor takes it for expired."
            }
            Self::TellsTooSoon => {
                "A new leader answers its clients at once, while the one before it still holds a lease and answers \
                 reads of what was written before."
            }
            Self::ReadsUnsettledKey => {
                "A new leader reads a key while it does not know whether a write that it adopted was told to \
                 somebody, who may have read it from the leader before."
            }
            Self::ForgetsStamps => {
                "A promise tells the stamps of the votes that it reports and not those of slots that are executed or \
                 trimmed, so a new leader does not wait for a lease that rests on them."
            }
            Self::GrantorsByMajority => {
                "A responder is content with the leases of a majority of the acceptors, which need not meet a small phase-1 \
                 quorum: a new leader need not hear that it may still answer."
            }
            Self::TellsWithoutResponders => {
                "A leader answers its client as soon as a phase-2 quorum has voted, and a responder that has not voted \
                 still reads what was there before."
            }
            Self::ForgetsOldRosters => {
                "A new leader does not heed what acceptors granted to responders that are not in its roster, and answers \
                 its clients while one of them still reads what was there before."
            }
            Self::ReadsDespiteVote => {
                "A responder reads a key although it voted in a slot that writes it, and does not know whether that was \
                 told to somebody."
            }
            Self::IgnoresFreshSlot => {
                "A responder that is taken back answers before it knows what was written while it was left out."
            }
            Self::AnswersForAnyKey => {
                "A responder answers alone for keys of a range that it does not answer for, and a write of such a key is \
                 told without its vote."
            }
            Self::NoClockMargin => {
                "Responders and leaders compare stamps with their clocks as if these were exact, so a lease may last for its \
                 holder when it is over for the next leader."
            }
            Self::GrantsWhileLed => {
                "A replica that hears a leader grants a pre-vote to one that does not, so a replica that was cut off \
                 deposes a leader that all others hear."
            }
            Self::LeadsOnAfterLoss => {
                "A leader that learns what a higher ballot chose leads on, and its announcements vouch for votes at \
                 its own ballot in a slot that it lost."
            }
            Self::StampsByClockAlone => {
                "A new leader stamps entries by its clock and does not heed the stamps of the leader before it, whose \
                 clock may be ahead: a later slot has an earlier stamp."
            }
            Self::ReadsBeforeSafeTime => {
                "A replica answers a read of a time that it has not come to, and misses what is stamped earlier and \
                 arrives later."
            }
            Self::SkipsCommitWait => {
                "A leader tells a client of a write whose stamp has not surely passed: a replica whose clock is behind \
                 reads an earlier time afterwards."
            }
            Self::LosesTrimmedStamps => {
                "Promises tell the stamps of the votes that they report and no others, and a state comes without that \
                 of its last slot: a new leader that took one stamps later slots earlier."
            }
            Self::ShowsUnpassedStamp => {
                "A replica shows a value whose stamp has not surely passed: another client reads less afterwards, at a \
                 replica whose clock is behind."
            }
            Self::IgnoresSession => {
                "A replica does not heed what a client says that it has seen: the client misses its own write, or what \
                 it has read at another replica."
            }
        }
    }

    /// What breaking it breaks.
    pub const fn breaks(self) -> Breaks {
        match self {
            Self::ForgetsTimers
            | Self::FixedPrefixThriftyStall
            | Self::HoleInLog
            | Self::NeverRenews
            | Self::GrantsWhileLed => Breaks::Progress,
            _ => Breaks::Safety,
        }
    }

    /// The defect of a driver that breaks this rule; `None` if a replica breaks it.
    pub const fn driver_defect(self) -> Option<Defect> {
        match self {
            Self::SendsBeforePersist => Some(Defect::SendsBeforePersist),
            Self::ForgetsTimers => Some(Defect::ForgetsTimers),
            _ => None,
        }
    }

    /// The quorum table for replicas that break this rule: as it is, or with a phase-1 quorum that
    /// misses a phase-2 quorum, for [`Self::DisjointQuorums`].
    ///
    /// A single replica has only one quorum, which meets itself.
    #[must_use]
    pub fn quorums(self, honest: &QuorumSystem) -> QuorumSystem {
        if self == Self::DisjointQuorums { honest.split() } else { honest.clone() }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Rule {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|rule| rule.name() == name);
        known.ok_or_else(|| Error { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_what_its_name_says_and_has_a_story() {
        for rule in Rule::ALL {
            assert_eq!(rule.name().parse(), Ok(rule));
            assert!(rule.story().ends_with('.'), "{rule}");
        }
        let error = "forgets-votes".parse::<Rule>().unwrap_err();
        assert!(error.to_string().contains("forgets-vote, forgets-reservation"), "{error}");
    }

    #[test]
    fn only_disjoint_quorums_are_another_table_and_they_are_disjoint() {
        let grid = QuorumSystem::explicit(4, &[vec![0, 1], vec![2, 3]], &[vec![0, 2], vec![1, 3]]);
        let systems = [
            QuorumSystem::majority(3),
            QuorumSystem::counts(5, 4, 2).unwrap(),
            QuorumSystem::counts(4, 1, 4).unwrap(),
            QuorumSystem::majority(2),
            grid.unwrap(),
            QuorumSystem::explicit(3, &[vec![0]], &[vec![0, 1, 2]]).unwrap(),
        ];
        for system in systems {
            assert_eq!(system.disjoint(), None);
            for rule in Rule::ALL {
                let broken = rule.quorums(&system);
                assert_eq!(
                    broken.disjoint().is_some(),
                    rule == Rule::DisjointQuorums,
                    "{broken:?}"
                );
                assert!(broken == system || rule == Rule::DisjointQuorums);
            }
        }
        let single = QuorumSystem::majority(1);
        assert_eq!(Rule::DisjointQuorums.quorums(&single), single);
    }
}
