//! Which presets are the negative controls of which rule.
//!
//! A preset finds a broken rule if something can happen in it at which the rule matters: a replica that
//! forgets its promises is honest as long as nobody restarts.
//! The pairs are those that `tests/it/check.rs` tries; others may find a rule, too.

use super::preset::Preset;
use crate::sabotage::Rule;

impl Preset {
    /// Whether this preset is a control of the rule: broken, it is found out.
    pub fn finds(&self, rule: Rule) -> bool {
        controls(rule).contains(&self.name)
    }
}

const fn controls(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::DisjointQuorums => &[
            "duel",
            "flexible-four",
            "flex-3-of-4",
            "classic-duel",
            "classic-crowd",
            "per-ballot",
            "snapshot",
        ],
        Rule::ForgetsPromise | Rule::ForgetsVote | Rule::SendsBeforePersist => {
            &["acceptor-crash", "leader-change", "two-writes-crash"]
        }
        Rule::ForgetsReservation => &["reservation"],
        Rule::SkipsAdoption => &[
            "duel",
            "flexible-four",
            "flex-3-of-4",
            "classic-duel",
            "classic-crowd",
            "per-ballot",
            "snapshot",
            "partial-promise",
        ],
        Rule::IgnoresAnnouncedQuorums => &["per-ballot"],
        Rule::ForgetsAnnouncedEarly => &["settling"],
        Rule::NeverRenews => &["refused", "hung-member"],
        Rule::CountsPartialPromise => &["partial-promise"],
        Rule::TrimmedSlotLostWrite => {
            &["duel", "flexible-four", "flex-3-of-4", "per-ballot", "snapshot"]
        }
        Rule::ReusesTrimmedSlot | Rule::OverstatesSnapshot => &["snapshot"],
        Rule::FixedPrefixThriftyStall => &["thrifty"],
        Rule::ForgetsTimers => &["thrifty", "lossy"],
        Rule::HoleInLog => &["thrifty", "lossy", "partial-promise"],
    }
}
