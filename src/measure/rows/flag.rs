//! What else to know about a trial: a code for programs, and a sentence for people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of remark about a trial, as a code in the column `flag_codes`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Flag {
    /// The trial is INVALID, for the reason in its sentence: it has no numbers.
    Invalid,
    /// The probe refused the links, so the trial did not run.
    Refused,
    /// The emulated network or a disk was broken on purpose.
    BrokenOnPurpose,
    /// The trial did not keep up with its load: its latencies are those of a queue.
    Saturated,
    /// Links are asked to be faster than their path on this machine.
    FlooredLinks,
    /// Links were later at p99 than their tolerance allows, but the interval of the p99 includes the
    /// tolerance.
    NoisyLinks,
    /// The clocks of two hosts may have been so far apart that the check of real time was weak.
    ApartClocks,
    /// The kernel dropped datagrams of a member that was paused.
    KernelDrops,
    /// Datagrams to addresses of no member were not sent.
    Strangers,
    /// A replica cut a torn frame off its log.
    TornFrame,
    /// A member was lost that the experiment did not crash itself.
    LostMember,
    /// A replica was lost with its host, which the host file calls expendable.
    LostHost,
    /// The histories lack evidence that the check needs.
    Incomplete,
    /// A fault of the experiment never began.
    NeverStruck,
    /// A replica ended with fewer slots executed than another.
    Behind,
    /// Operations were never answered; they rank as infinite.
    Unanswered,
    /// A closed loop hides a pause of its clients.
    Omits,
    /// A median contradicts its floor.
    Floor,
    /// Clients waited longer after a fault, for a retry or a redirect, than the recovery took.
    ClientWait,
    /// Replicas reported more milestones of recoveries than are kept.
    OmittedMilestones,
}

/// One remark about a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its kind.
    pub flag: Flag,
    /// What happened, as a sentence.
    pub text: String,
}

impl Flag {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Invalid,
        Self::Refused,
        Self::BrokenOnPurpose,
        Self::Saturated,
        Self::FlooredLinks,
        Self::NoisyLinks,
        Self::ApartClocks,
        Self::KernelDrops,
        Self::Strangers,
        Self::TornFrame,
        Self::LostMember,
        Self::LostHost,
        Self::Incomplete,
        Self::NeverStruck,
        Self::Behind,
        Self::Unanswered,
        Self::Omits,
        Self::Floor,
        Self::ClientWait,
        Self::OmittedMilestones,
    ];

    /// Its code in the column `flag_codes`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::BrokenOnPurpose => "broken-on-purpose",
            Self::Saturated => "saturated",
            Self::FlooredLinks => "floored-links",
            Self::NoisyLinks => "noisy-links",
            Self::ApartClocks => "apart-clocks",
            Self::KernelDrops => "kernel-drops",
            Self::Strangers => "strangers",
            Self::TornFrame => "torn-frame",
            Self::LostMember => "lost-member",
            Self::LostHost => "lost-host",
            Self::Incomplete => "incomplete",
            Self::NeverStruck => "never-struck",
            Self::Behind => "behind",
            Self::Unanswered => "unanswered",
            Self::Omits => "omits",
            Self::Floor => "floor",
            Self::ClientWait => "client-wait",
            Self::OmittedMilestones => "omitted-milestones",
        }
    }

    /// The kind with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|flag| flag.code() == code)
    }

    /// A remark of this kind.
    pub fn note(self, text: impl Into<String>) -> Note {
        Note { flag: self, text: text.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words_with_hyphens_and_each_means_one_flag() {
        for (number, flag) in Flag::ALL.into_iter().enumerate() {
            assert_eq!(flag as usize, number, "ALL has all of them in order");
            assert_eq!(Flag::from_code(flag.code()), Some(flag));
            assert!(flag.code().chars().all(|char| char.is_ascii_lowercase() || char == '-'));
            assert_eq!(serde_json::to_value(flag).unwrap(), flag.code());
        }
        assert_eq!(Flag::from_code("tired"), None);
        assert_eq!(Flag::OmittedMilestones as usize + 1, Flag::ALL.len());
    }
}
