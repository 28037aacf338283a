//! The options of `flexpaxos plan --search`, and what they mean.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::super::super::unmeasured;
use super::Failure;
use crate::nearest::resembling;
use crate::planner::objective::OBJECTIVES_MAX;
use crate::planner::{Choice, Family, Limit, Objective, Proposers, Rules};
use crate::protocol::SendPolicy;
use crate::registry::Mode;
use crate::topology::{Jitter, NATIVE, Profile};

/// Every family that the number of replicas allows.
const ALL: &str = "all";

/// The profile without `--profile`.
const PROFILE: &str = "aws-2025-07";

/// What `--search` searches. None of these has a default for clap: each needs `--search`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of --search")]
pub(in crate::cli::plan) struct Options {
    /// Searches for the best placements, leaders and quorum systems instead of showing an experiment.
    ///
    /// It prints a Pareto front: the points that no other point beats by all objectives.
    /// Reads go through the log and cost what a write costs, so the share of reads changes no figure, and
    /// there is no option for it.
    #[arg(long, requires = "client", requires = "where")]
    #[arg(conflicts_with_all = ["experiment", "trials", "smoke", "order", "all", "assignments", "seed"])]
    pub(in crate::cli::plan) search: bool,

    /// The latency profile: its name or a CSV file [default: aws-2025-07].
    #[arg(long, value_name = "NAME", requires = "search")]
    profile: Option<String>,

    /// The replicas are in these regions; a region that is named twice has two.
    #[arg(
        long,
        value_name = "REGION,…",
        value_delimiter = ',',
        requires = "search",
        group = "where"
    )]
    these: Vec<String>,

    /// The replicas are in any COUNT regions of those of `--of`; several counts are searched one by one.
    #[arg(
        long,
        value_name = "COUNT,…",
        value_delimiter = ',',
        requires = "search",
        group = "where"
    )]
    any: Vec<usize>,

    /// The regions to choose from: names, or `all` of the profile [default: all].
    #[arg(long, value_name = "REGION,…", value_delimiter = ',', requires = "any")]
    of: Vec<String>,

    /// Regions that every placement has.
    #[arg(long, value_name = "REGION,…", value_delimiter = ',', requires = "any")]
    must: Vec<String>,

    /// Regions that no placement has.
    #[arg(long, value_name = "REGION,…", value_delimiter = ',', requires = "any")]
    must_not: Vec<String>,

    /// So many replicas in each chosen region [default: 1].
    #[arg(long, value_name = "COUNT", requires = "any")]
    per_region: Option<usize>,

    /// The client regions, each with its part of the load if these are not alike.
    #[arg(long, value_name = "REGION[=WEIGHT],…", value_delimiter = ',', requires = "search")]
    client: Vec<String>,

    /// The families of quorum systems: majority, counts, grid, groups, wall, tree, weighted, explicit, or
    /// `all` that can be searched at this number of replicas [default: counts].
    ///
    /// `counts` are all sizes of the two phases.
    /// `weighted` has weights from 0 to 3; `explicit` is every system there is, up to 5 replicas.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', requires = "search")]
    #[arg(value_parser = PossibleValuesParser::new(families()), hide_possible_values = true)]
    family: Vec<String>,

    /// Who proposes: `multi` is one leader; `classic` and `caspaxos` are one proposer for each client, the
    /// replica nearest to it [default: multi].
    #[arg(long, value_name = "NAME", requires = "search")]
    #[arg(value_parser = PossibleValuesParser::new(Mode::names()), hide_possible_values = true)]
    protocol: Option<String>,

    /// Whom a proposer contacts: `all`, or the nearest `quorum` alone; that changes the messages of a write,
    /// and the percentiles with --jitter [default: all].
    #[arg(long, value_name = "WHOM", requires = "search")]
    #[arg(value_parser = ["all", "quorum"], hide_possible_values = true)]
    send: Option<String>,

    /// The objectives of the front [default: commit,takeover; without a leader commit,after-loss].
    ///
    /// commit: the mean commit latency of the clients by their weights, all delays at their medians.
    /// p50, p99: percentiles of the commit latency over the writes of all clients.
    /// takeover: phase 1 of the slowest next leader after the loss of any one region; takeover-mean of all
    /// next leaders in the mean, takeover-best of the fastest.
    /// after-loss: without a leader, the commit latency while any one region is lost.
    /// phase1-nodes, phase2-nodes, phase1-regions, phase2-regions: how many of these each phase survives the
    /// loss of.
    /// load: the share of the writes in which the busiest replica votes.
    /// messages: those between replicas for a write.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', requires = "search")]
    #[arg(value_parser = PossibleValuesParser::new(objectives()), hide_possible_values = true)]
    objectives: Vec<String>,

    /// Each phase survives the loss of any so many replicas; two numbers are phase 1 and phase 2.
    #[arg(
        long,
        value_name = "COUNT[,COUNT]",
        value_delimiter = ',',
        requires = "search",
        num_args = 1
    )]
    survive_nodes: Vec<u8>,

    /// Each phase survives the loss of any so many whole regions [default: 1].
    #[arg(
        long,
        value_name = "COUNT[,COUNT]",
        value_delimiter = ',',
        requires = "search",
        num_args = 1
    )]
    survive_regions: Vec<u8>,

    /// Limits: times in milliseconds, load as a share, messages as a number: `takeover=150,load=0.5`.
    #[arg(long, value_name = "NAME=VALUE,…", value_delimiter = ',', requires = "search")]
    at_most: Vec<String>,

    /// Percentiles are those of links that vary as the profile says; without it delays are their medians.
    #[arg(long, requires = "search")]
    jitter: bool,

    /// Says in words why row K is on the front, and what its neighbours trade.
    #[arg(long, value_name = "K", requires = "search")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) explain: Option<u32>,

    /// Writes row K as an experiment file that `plan` and `run` take as it stands.
    #[arg(long, value_name = "K", requires = "search")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) write: Option<u32>,

    /// The file of --write, which must not exist yet [default: plan-row-K.toml].
    #[arg(long, value_name = "FILE", requires = "write")]
    pub(super) out: Option<PathBuf>,

    /// Prints no progress.
    #[arg(long, requires = "search")]
    pub(super) quiet: bool,
}

fn families() -> Vec<&'static str> {
    Family::ALL.into_iter().map(Family::name).chain([ALL]).collect()
}

fn objectives() -> Vec<&'static str> {
    Objective::ALL.into_iter().map(Objective::name).collect()
}

impl Options {
    /// The latency data.
    pub(super) fn profile(&self) -> Result<Profile, Failure> {
        let name = self.profile.as_deref().unwrap_or(PROFILE);
        let help = "`flexpaxos profiles` lists the profiles that are built in";
        let profile =
            Profile::load(name).map_err(|error| Failure::request(error.to_string(), help))?;
        if profile.name() == NATIVE {
            return Err(unmeasured());
        }
        Ok(profile)
    }

    /// Whether percentiles are those of links that vary.
    pub(super) const fn jitter(&self) -> Jitter {
        if self.jitter { Jitter::Profile } else { Jitter::None }
    }

    /// Who proposes.
    pub(super) fn proposers(&self) -> Proposers {
        let send = match self.send.as_deref() {
            Some("quorum") => SendPolicy::Quorum,
            _ => SendPolicy::All,
        };
        let protocol = self.protocol.as_deref().unwrap_or("multi");
        Proposers::of(protocol, send).expect("clap takes the names of protocols alone")
    }

    /// The client regions with their weights.
    pub(super) fn clients(&self) -> Result<Vec<(String, f64)>, Failure> {
        let client = |text: &String| match text.rsplit_once('=') {
            None => Ok((text.clone(), 1.0)),
            Some((region, weight)) => {
                let help = "write the region, `=` and a number above 0: `us-east-1=2`";
                let weight = weight.trim().parse().map_err(|_| {
                    Failure::request(
                        format!("the weight `{weight}` of {region} is no number"),
                        help,
                    )
                })?;
                Ok((region.to_owned(), weight))
            }
        };
        self.client.iter().map(client).collect()
    }

    /// Where replicas may be.
    pub(super) fn choice(&self, profile: &Profile) -> Result<Choice, Failure> {
        if !self.these.is_empty() {
            return Ok(Choice::These(self.these.clone()));
        }
        let regions = profile.regions();
        if profile.accepts_any_region() && (self.of.is_empty() || self.of == [ALL]) {
            return Err(Failure::request(
                format!("{} has no list of regions to choose from", profile.name()),
                "name them: `--of a,b,c`",
            ));
        }
        let mut of = self.of.clone();
        if of.is_empty() || of == [ALL] {
            of = regions.iter().map(ToString::to_string).collect();
        }
        for name in &self.must_not {
            if self.must.contains(name) {
                let help = "leave it out of one of `--must` and `--must-not`";
                let message = format!("{name} must and must not be in a placement");
                return Err(Failure::request(message, help));
            }
            if !profile.has_region(name) {
                let near = resembling(name, regions.iter().copied());
                let near = if near.is_empty() {
                    regions.iter().map(ToString::to_string).collect()
                } else {
                    near
                };
                return Err(Failure::request(
                    format!("--must-not: {} has no region {name:?}", profile.name()),
                    format!("did you mean {}?", near.join(", ")),
                ));
            }
        }
        of.retain(|name| !self.must_not.contains(name));
        let each = self.per_region.unwrap_or(1);
        if each == 0 {
            return Err(Failure::request("--per-region 0 places no replica", "give 1 or more"));
        }
        Ok(Choice::Any { sizes: self.any.clone(), of, must: self.must.clone(), each })
    }

    /// The families, where the largest placement has so many replicas.
    pub(super) fn families(&self, n: usize) -> Vec<Family> {
        if self.family.is_empty() {
            return vec![Family::Counts];
        }
        let is_all = self.family.iter().any(|name| name == ALL);
        let is_asked = |family: &Family| {
            (is_all && n <= family.replicas_max())
                || self.family.iter().any(|name| name == family.name())
        };
        Family::ALL.into_iter().filter(is_asked).collect()
    }

    /// What is looked for.
    pub(super) fn rules(&self, proposers: Proposers) -> Result<Rules, Failure> {
        let named = |name: &String| Objective::of_name(name).expect("clap takes these names alone");
        let mut objectives: Vec<Objective> = Vec::new();
        for objective in self.objectives.iter().map(named) {
            if !objectives.contains(&objective) {
                objectives.push(objective);
            }
        }
        if objectives.is_empty() {
            let second = if proposers.are_led { Objective::Takeover } else { Objective::AfterLoss };
            objectives = vec![Objective::Commit, second];
        }
        if objectives.len() > OBJECTIVES_MAX {
            let message =
                format!("{} objectives: nearly every point is on such a front", objectives.len());
            return Err(Failure::request(message, format!("give {OBJECTIVES_MAX} at most")));
        }
        let mut limits = self.resilience()?;
        for text in &self.at_most {
            limits.push(limit(text)?);
        }
        let asked = objectives.iter().copied().chain(limits.iter().map(|limit| limit.objective));
        for objective in asked {
            let misfit = if proposers.are_led {
                (objective == Objective::AfterLoss)
                    .then_some("is of proposers for each client: a leader has `takeover`")
            } else {
                objective.is_takeover().then_some(
                    "is of a leader: where nobody leads, nobody takes over; ask for `after-loss`",
                )
            };
            if let Some(misfit) = misfit {
                let message = format!("`{}` {misfit}", objective.name());
                return Err(Failure::request(
                    message,
                    "`flexpaxos plan --help` lists the objectives",
                ));
            }
        }
        Ok(Rules { objectives, limits })
    }

    fn resilience(&self) -> Result<Vec<Limit>, Failure> {
        let nodes = [Objective::Phase1Nodes, Objective::Phase2Nodes];
        let regions = [Objective::Phase1Regions, Objective::Phase2Regions];
        let one = vec![1];
        let of_regions = if self.survive_regions.is_empty() { &one } else { &self.survive_regions };
        let mut limits = Vec::new();
        for (flag, typed, objectives) in
            [("nodes", &self.survive_nodes, nodes), ("regions", of_regions, regions)]
        {
            let counts = match typed[..] {
                [] => continue,
                [both] => [both; 2],
                [first, second] => [first, second],
                _ => {
                    let message = format!("--survive-{flag} has {} numbers", typed.len());
                    let help = "give one for both phases, or phase 1, a comma, and phase 2: `1,2`";
                    return Err(Failure::request(message, help));
                }
            };
            let wanted = objectives.into_iter().zip(counts).filter(|(_, count)| *count > 0);
            limits.extend(wanted.map(|(objective, count)| Limit {
                objective,
                most: objective.cost(f64::from(count)),
            }));
        }
        Ok(limits)
    }
}

/// `takeover=150`.
fn limit(text: &str) -> Result<Limit, Failure> {
    let names = Objective::ALL.into_iter().filter(|objective| !objective.is_resilience());
    let names: Vec<&str> = names.map(Objective::name).collect();
    let refuse = |message: String| {
        let help = format!(
            "write a name, `=` and a number: `takeover=150`; the names are {}; --survive-nodes and \
             --survive-regions are the limits of resilience",
            names.join(", ")
        );
        Failure::request(message, help)
    };
    let Some((name, value)) = text.split_once('=') else {
        return Err(refuse(format!("--at-most: `{text}` has no value")));
    };
    let (name, value) = (name.trim(), value.trim());
    let known = Objective::of_name(name).filter(|objective| !objective.is_resilience());
    let Some(objective) = known else {
        return Err(refuse(format!("--at-most: `{name}` is no name of a limit")));
    };
    let number = value.strip_suffix("ms").unwrap_or(value).trim().parse::<f64>();
    match number.ok().filter(|number| number.is_finite() && *number >= 0.0) {
        Some(number) => Ok(Limit { objective, most: objective.cost(number) }),
        None => Err(refuse(format!("--at-most: `{value}` is no number"))),
    }
}
