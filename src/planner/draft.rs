//! A row of a front as an experiment file.
//!
//! [`text`] writes no file.
//! The text is planned before it is returned, so `flexpaxos plan` and `flexpaxos run` take it as it stands.
//! It has the takeover that the row is judged by: the faults lose the region and make the replica lead with which
//! phase 1 takes longest.

use std::path::Path;

use super::objective::Objective;
use super::row::{Row, slowest_takeover};
use super::search::{Proposers, Search};
use crate::experiment::file::{self, Source};
use crate::experiment::plan::{Plan, Size, Variant};
use crate::experiment::template::strings::{prose, quoted};
use crate::protocol::{Order, SendPolicy};
use crate::time::Span;
use crate::topology::Floor;

/// The rate of each client region: low, because the search knows no queues.
const RATE_PER_S: usize = 50;

/// The rate of all clients where several proposers compete: so low that most commands have no rival.
const RATE_OF_RIVALS_PER_S: usize = 1;

/// Medians above their floor by more than this were not those of the network alone.
const ABOVE_FLOOR_MS: u64 = 3;

/// How long clients are measured.
const DURATION_S: u64 = 15;

/// The same where several proposers compete, at their low rate.
const DURATION_OF_RIVALS_S: u64 = 60;

/// When the faults begin: so late that most writes are answered before.
const FAULT_AT_S: u64 = 13;

/// The experiment of a row with this number, in a file at `path`.
///
/// The path of a latency profile stands in it as it is, so a relative one is relative to the folder of `path`.
pub fn text(
    search: &Search<'_>,
    row: &Row,
    number: usize,
    path: &Path,
) -> Result<String, file::Error> {
    let draft = Draft {
        search,
        row,
        name: format!("row-{number}"),
        number,
        takeover: takeover(search, row),
        has_baseline: true,
    };
    let planned = |draft: &Draft<'_>| {
        let source = Source { path: path.to_owned(), text: draft.text() };
        Plan::from_source(&source, Size::default()).map(|plan| (source.text, plan))
    };
    let (text, plan) = planned(&draft)?;
    let same = |one: &Variant, other: &Variant| {
        one.mode == other.mode
            && one.quorums.phase1() == other.quorums.phase1()
            && one.quorums.phase2() == other.quorums.phase2()
    };
    match &plan.points[0].variants[..] {
        // The row is the majority system: compared with itself it says nothing.
        [baseline, own] if same(baseline, own) => {
            Ok(planned(&Draft { has_baseline: false, ..draft })?.0)
        }
        _ => Ok(text),
    }
}

/// The takeover that the experiment measures.
#[derive(Debug)]
struct Takeover {
    /// The region that is lost.
    region: String,
    /// The next leader.
    next: String,
    /// Its phase 1.
    phase1: Span,
}

/// The slowest takeover of a row, if a leader elsewhere then commits.
///
/// A next leader that asks its nearest quorum alone first waits for those of it that are lost, until a time-out: that is
/// no figure of the network.
fn takeover(search: &Search<'_>, row: &Row) -> Option<Takeover> {
    let Proposers { are_led, send, .. } = search.proposers;
    let losses = (are_led && send == SendPolicy::All).then(|| row.losses(search.space).ok())??;
    let (loss, next) = slowest_takeover(&losses).filter(|(loss, _)| loss.has_phase2)?;
    let (region, next, phase1) = (loss.region.clone(), row.name(next.node), next.takeover?);
    Some(Takeover { region, next, phase1 })
}

struct Draft<'a> {
    search: &'a Search<'a>,
    row: &'a Row,
    name: String,
    number: usize,
    takeover: Option<Takeover>,
    /// Whether majorities are a variant too.
    has_baseline: bool,
}

impl Draft<'_> {
    fn text(&self) -> String {
        let objectives: Vec<&str> =
            self.search.rules.objectives.iter().map(|objective| objective.name()).collect();
        let header = format!(
            "\
# Written by `flexpaxos plan --search`: row {} of the front of {}.
#
#   flexpaxos plan FILE                     what would run, and what is predicted
#   flexpaxos run  FILE                     run it with real replicas
#   flexpaxos run  FILE --backend sim       run it in virtual time
",
            self.number,
            objectives.join(", ")
        );
        let sections = [
            header,
            prose("question", &self.question()),
            prose("prediction", &self.prediction()),
            self.settings(),
            self.variants(),
            self.faults(),
            self.expectations(),
            self.smoke(),
        ];
        sections.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn question(&self) -> String {
        let Row { described, leader, .. } = self.row;
        let proposer = match leader {
            Some(leader) => format!("the leader in {}", self.row.name(*leader)),
            None => "one proposer for each client".to_owned(),
        };
        let takeover = if self.takeover.is_some() { " and the takeover" } else { "" };
        format!(
            "Does `{described}` on these {} replicas, with {proposer}, have the commit latency{takeover} that the \
             search predicts?",
            self.row.replicas().len()
        )
    }

    fn prediction(&self) -> String {
        let of_client = |(region, floor): (&String, &Floor)| {
            let [p50, p99] =
                [floor.p50, floor.p99].map(|span| format!("{:.2}", span.as_millis_f64()));
            let p99 = if p50 == p99 { String::new() } else { format!(" (p99 {p99} ms)") };
            format!("{region} {p50} ms{p99}")
        };
        let clients = self.search.space.client_regions().iter().zip(&self.row.floors);
        let clients: Vec<String> = clients.map(of_client).collect();
        let mean = if clients.len() > 1 {
            let commit = self.row.costs[Objective::Commit.place()];
            format!(
                " The mean of the clients, by their weights, is {}.",
                Objective::Commit.words(commit)
            )
        } else {
            String::new()
        };
        let (takeover, or_phase1) = match &self.takeover {
            Some(Takeover { region, next, phase1 }) => (
                format!(
                    " When {region} is lost and {next} leads next, its phase 1 takes {} ms: the slowest takeover \
                     after the loss of any one region.",
                    phase1.milliseconds()
                ),
                " or that phase 1",
            ),
            None => (String::new(), ""),
        };
        format!(
            "The closed form, network only: the median of a client's writes is {}.{mean}{takeover} It is refuted if \
             a median{or_phase1} is below its floor, or more than {ABOVE_FLOOR_MS} ms above it.",
            clients.join(", "),
        )
    }

    fn settings(&self) -> String {
        let space = self.search.space;
        let replicas: Vec<String> = self.row.replicas().iter().map(|name| quoted(name)).collect();
        let client = |(region, weight): (&String, &f64)| {
            if space.is_even() {
                return quoted(region);
            }
            format!("{{ region = {}, weight = {weight:?} }}", quoted(region))
        };
        let clients = space.client_regions().iter().zip(space.weights()).map(client);
        let clients: Vec<String> = clients.collect();
        let jitter = if space.varies() { "jitter   = \"profile\"\n" } else { "" };
        format!(
            "\
seed   = 1
trials = 3

[topology]
profile  = {profile}
{jitter}replicas = [
    {replicas},
]
clients  = [
    {clients},
]

[workload]
arrival  = {{ poisson = {{ rate_per_s = {rate} }} }}  # in total, shared by the client regions
warmup   = \"2s\"
duration = \"{duration}s\"

[durability]
mode = \"memory\"      # the search predicts the network alone; \"fsync\" adds the disk
",
            profile = quoted(&profile(self.search)),
            replicas = replicas.join(",\n    "),
            clients = clients.join(",\n    "),
            rate =
                if self.has_rivals() { RATE_OF_RIVALS_PER_S } else { RATE_PER_S * clients.len() },
            duration = self.duration_s(),
        )
    }

    fn duration_s(&self) -> u64 {
        if self.has_rivals() { DURATION_OF_RIVALS_S } else { DURATION_S }
    }

    /// Whether commands of several proposers compete for a slot.
    fn has_rivals(&self) -> bool {
        !self.search.proposers.are_led && self.row.mode.order() == Order::Total
    }

    fn variants(&self) -> String {
        let Proposers { protocol, are_led, send } = self.search.proposers;
        let of = |leader: &str| {
            let leader =
                if are_led { format!(" leader = {} ", quoted(leader)) } else { String::new() };
            format!("{{ {protocol} = {{{leader}}} }}")
        };
        let send = match send {
            SendPolicy::All => "",
            SendPolicy::Quorum => "send     = \"quorum\"\n",
        };
        let variant = |comment: &str, name: &str, leader: &str, quorums: &str| {
            format!(
                "\
# {comment}
[[variant]]
name     = {}
protocol = {}
{send}quorums  = {quorums}
",
                quoted(name),
                of(leader)
            )
        };
        let leader = self.row.leader.map_or_else(String::new, |leader| self.row.name(leader));
        let own = variant(
            &format!("Row {} of the front: {}.", self.number, self.row.described),
            &self.name,
            &leader,
            &self.row.described.toml(),
        );
        if !self.has_baseline {
            return own;
        }
        let comment = "The baseline: majorities on the same replicas, with their best leader.";
        [variant(comment, "majority", "best", "{ majority = {} }"), own].join("\n")
    }

    fn faults(&self) -> String {
        let Some(Takeover { region, next, .. }) = &self.takeover else {
            return "# No fault: where a region is lost, no leader takes over and commits.\n"
                .to_owned();
        };
        format!(
            "\
# The slowest takeover: this region is lost, and this replica leads next.
[[fault]]
at    = \"{FAULT_AT_S}s\"   # late: the medians are those of writes before
crash = {}

[[fault]]
at       = \"{FAULT_AT_S}s\"
campaign = {}
",
            quoted(region),
            quoted(next)
        )
    }

    fn expectations(&self) -> String {
        let expectation = |that: &str, because: &str| {
            format!(
                "[[expect]]\nthat    = {}\nbecause = {}\n",
                quoted(&format!("{}.{that}", self.name)),
                quoted(because)
            )
        };
        let commit = expectation(
            &format!("p50 - floor < {ABOVE_FLOOR_MS}ms"),
            "processing, and links that are emulated on one machine",
        );
        let phase1 = expectation(
            &format!("phase1 - floor < {ABOVE_FLOOR_MS}ms after fault 2"),
            "a takeover is one round trip to a phase-1 quorum of those that are left",
        );
        if self.takeover.is_some() { [commit, phase1].join("\n") } else { commit }
    }

    /// The smaller size: as long where a fault comes late.
    fn smoke(&self) -> String {
        let is_short = self.takeover.is_none() && !self.has_rivals();
        let duration_s = if is_short { 2 } else { self.duration_s() };
        format!(
            "\
[smoke]               # the smaller size of `--smoke`, for a quick test
trials   = 1
warmup   = \"1s\"
duration = \"{duration_s}s\"
"
        )
    }
}

/// The profile as a file anywhere can name it.
fn profile(search: &Search<'_>) -> String {
    let profile = search.space.profile();
    let file = profile.path().and_then(|path| path.canonicalize().ok());
    file.map_or_else(|| profile.name().to_owned(), |path| path.to_string_lossy().into_owned())
}
