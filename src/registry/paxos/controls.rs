//! Which presets of Paxos are the negative controls of which rule.

use crate::sabotage::Rule;

pub(super) const fn controls(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::DisjointQuorums => &[
            "duel",
            "flexible-four",
            "flex-3-of-4",
            "classic-duel",
            "classic-crowd",
            "per-ballot",
            "snapshot",
            "grid",
            "groups",
            "weighted",
            "expression",
        ],
        Rule::ForgetsPromise | Rule::ForgetsVote | Rule::SendsBeforePersist => &[
            "acceptor-crash",
            "leader-change",
            "two-writes-crash",
            "per-ballot-crash",
            "election-crash",
            "snapshot-crash",
            "deep-five",
            "deep-successors",
            "deep-grid",
            "deep-explicit",
            "deep-snapshot",
            "deep-election",
        ],
        Rule::ForgetsReservation => &["reservation"],
        Rule::AsksBeforeReserving => &["first-ballot"],
        Rule::GrantsWhileLed => &["silence"],
        Rule::LeadsOnAfterLoss => &["lost-slot"],
        Rule::CheckpointForgetsReservation => &["checkpoint"],
        Rule::SkipsAdoption => &[
            "duel",
            "flexible-four",
            "flex-3-of-4",
            "classic-duel",
            "classic-crowd",
            "per-ballot",
            "snapshot",
            "partial-promise",
            "deep-grid",
        ],
        Rule::IgnoresAnnouncedQuorums => &["per-ballot", "per-ballot-crash"],
        Rule::ForgetsAnnouncedEarly => &["settling"],
        Rule::NeverRenews => &["refused", "hung-member"],
        Rule::CountsPartialPromise => &["partial-promise"],
        Rule::TrimmedSlotLostWrite => {
            &["duel", "flexible-four", "flex-3-of-4", "per-ballot", "snapshot"]
        }
        Rule::ReusesTrimmedSlot | Rule::OverstatesSnapshot => &["snapshot", "snapshot-crash"],
        Rule::WitnessForgetsEarly => &["witness"],
        Rule::ReadsWithoutAsking
        | Rule::ReadsByPhase2Quorum
        | Rule::ReadsBeforeExecuting
        | Rule::EndsAtExecuted => &["quorum-read"],
        Rule::TellsWithoutResponders | Rule::ReadsDespiteVote => &["responder-read"],
        Rule::AnswersForAnyKey => &["responder-range"],
        Rule::ForgetsOldRosters => &["responder-deposed"],
        Rule::GrantorsByMajority => &["responder-grants"],
        Rule::StampsByClockAlone => &["stamps"],
        Rule::FixedPrefixThriftyStall => &["thrifty"],
        Rule::ForgetsTimers => &["thrifty", "lossy"],
        Rule::HoleInLog => &["thrifty", "lossy", "partial-promise"],
        _ => &[],
    }
}
