//! The options of `flexpaxos new`, and the choices that they make.

use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::causes::chain;
use crate::cli::Failure;
use crate::experiment::template::{self, CRASH_DURATION_MIN, Choices, Counts, Load};
use crate::topology::Profile;

/// Options that choose what the new experiment compares.
#[derive(Clone, Debug, Args)]
pub(super) struct Flags {
    /// The latency profile: its name, or the path of a CSV file from the folder of FILE; aws-2025-07 if
    /// absent.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,

    /// The regions of the replicas; the five of experiments/quickstart.toml if absent.
    #[arg(long, value_name = "REGION,...", value_delimiter = ',')]
    replicas: Vec<String>,

    /// The regions of the clients; that of the leader if absent, and those of all replicas with
    /// `--leader best`.
    #[arg(long, value_name = "REGION,...", value_delimiter = ',')]
    clients: Vec<String>,

    /// The replica that leads: its region, its number as `r2`, or `best` for the one with the least
    /// predicted latency; the first one if absent.
    #[arg(long, value_name = "REGION|best")]
    leader: Option<String>,

    /// Quorums of these sizes for phase 1 and phase 2; may be given several times, each is a variant.
    ///
    /// The first variant always has majorities: the others are compared with it.
    /// If absent, one variant has a smaller quorum for phase 2.
    #[arg(long, value_name = "Q1,Q2|majority", value_parser = parse_quorums)]
    quorums: Vec<Quorums>,

    /// Compares classic Paxos, too.
    #[arg(long)]
    classic: bool,

    /// So many operations begin in a second, at random moments; 100 if absent.
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate, conflicts_with = "closed")]
    rate: Option<f64>,

    /// So many clients, each of which begins an operation when the one before was answered.
    #[arg(long, value_name = "CLIENTS", value_parser = clap::value_parser!(u32).range(1..))]
    closed: Option<u32>,

    /// How often every variant is repeated; 5 if absent.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    trials: Option<u32>,

    /// The time that is measured; 10s if absent.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,

    /// Something that goes wrong in every trial.
    #[arg(long, value_enum, value_name = "FAULT")]
    faults: Option<Faults>,
}

/// A quorum system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quorums {
    /// Majorities: the first variant has them in any case.
    Majority,
    /// Any sets of these sizes.
    Counts(Counts),
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Faults {
    /// The leader crashes after a quarter of the measured time, and comes back after another half.
    LeaderCrash,
}

impl Flags {
    /// Whether any of them is given.
    pub(super) fn are_given(&self) -> bool {
        self.profile.is_some()
            || !self.replicas.is_empty()
            || !self.clients.is_empty()
            || self.leader.is_some()
            || !self.quorums.is_empty()
            || self.classic
            || self.rate.is_some()
            || self.closed.is_some()
            || self.trials.is_some()
            || self.duration.is_some()
            || self.faults.is_some()
    }

    /// Whether the regions of the replicas are given.
    pub(super) fn name_replicas(&self) -> bool {
        !self.replicas.is_empty()
    }

    /// The choices that they make; what is not given is as usual. `folder` is that of the new file.
    pub(super) fn choices(&self, folder: &Path) -> Result<Choices, Failure> {
        let profile = self.profile.as_deref().unwrap_or(template::PROFILE);
        let replicas = if self.replicas.is_empty() {
            usual_replicas(profile, folder)?
        } else {
            self.replicas.clone()
        };
        let usual = Choices::new(profile, replicas);
        let flexible = flexible(&self.quorums);
        let load = match (self.closed, self.rate) {
            (Some(clients), _) => Load::Closed { clients },
            (None, Some(rate_per_s)) => Load::Open { rate_per_s },
            (None, None) => usual.load,
        };
        let choices = Choices {
            clients: self.clients.clone(),
            leader: self.leader.clone().unwrap_or(usual.leader),
            flexible: if self.quorums.is_empty() { usual.flexible } else { flexible },
            has_classic: self.classic,
            load,
            trials: self.trials.unwrap_or(usual.trials),
            duration: self.duration.unwrap_or(usual.duration),
            has_leader_crash: self.faults == Some(Faults::LeaderCrash),
            ..usual
        };
        choices.check().map_err(|reason| {
            let help = "`flexpaxos new --help` has examples; nothing is written";
            Failure::request(reason, help)
        })?;
        check_crash(&choices)?;
        Ok(choices)
    }
}

/// Refuses a crash of a leader that some variant does not have, and one that ends before it is seen.
fn check_crash(choices: &Choices) -> Result<(), Failure> {
    if !choices.has_leader_crash {
        return Ok(());
    }
    if choices.has_classic {
        return Err(Failure::request(
            "`--faults leader-crash` needs a leader in every variant, and classic Paxos has none",
            "leave out `--classic` or `--faults`",
        ));
    }
    if choices.duration < CRASH_DURATION_MIN {
        let least = humantime::format_duration(CRASH_DURATION_MIN);
        let given = humantime::format_duration(choices.duration);
        return Err(Failure::request(
            format!("`--faults leader-crash` needs {least} of measured time, and not {given}"),
            "raise `--duration`: the leader must be away for longer than an election takes",
        ));
    }
    Ok(())
}

/// The regions of the replicas where none are given.
fn usual_replicas(name: &str, folder: &Path) -> Result<Vec<String>, Failure> {
    let profile = Profile::load_beside(folder, name).map_err(|error| {
        Failure::request(chain(&error), "`flexpaxos profiles` lists the profiles")
    })?;
    template::usual_replicas(&profile).ok_or_else(|| {
        Failure::request(
            format!("profile {name} does not have the regions where replicas are by default"),
            format!("name some with `--replicas`: `flexpaxos profiles {name}` lists its regions"),
        )
    })
}

/// The quorums that are not those of the first variant.
pub(super) fn flexible(quorums: &[Quorums]) -> Vec<Counts> {
    let counts = quorums.iter().filter_map(|quorums| match quorums {
        Quorums::Majority => None,
        Quorums::Counts(counts) => Some(*counts),
    });
    counts.collect()
}

/// The quorum system that a text means.
pub(super) fn parse_quorums(text: &str) -> Result<Quorums, String> {
    if text == "majority" {
        return Ok(Quorums::Majority);
    }
    let refuse =
        || format!("`{text}` is no quorum system: write `majority`, or two sizes, as in `4,2`");
    let (phase1, phase2) = text.split_once(',').ok_or_else(refuse)?;
    let number = |text: &str| text.trim().parse().map_err(|_| refuse());
    Ok(Quorums::Counts(Counts { phase1: number(phase1)?, phase2: number(phase2)? }))
}

/// The rate that a text means.
pub(super) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate <= 1e9);
    rate.ok_or_else(|| format!("`{text}` is no rate: write a number above 0 and at most 1e9"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_are_two_sizes_or_a_majority() {
        let counts = Counts { phase1: 4, phase2: 2 };
        let read = [parse_quorums("majority"), parse_quorums("4,2"), parse_quorums("4, 2")];
        assert_eq!(
            read,
            [Ok(Quorums::Majority), Ok(Quorums::Counts(counts)), Ok(Quorums::Counts(counts))]
        );
        assert_eq!(flexible(&read.map(Result::unwrap)), [counts, counts]);
        for wrong in ["", "4", "4,", "4,2,1", "-4,2", "majorities"] {
            assert!(parse_quorums(wrong).unwrap_err().contains("write `majority`"), "{wrong}");
        }
    }

    #[test]
    fn rates_are_above_zero() {
        assert_eq!(parse_rate("0.5"), Ok(0.5));
        for wrong in ["0", "-1", "NaN", "inf", "1e10", "many", ""] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }
}
