//! A row of a front as an experiment file.
//!
//! [`text`] writes no file.
//! The text is planned before it is returned, so `flexpaxos plan` and `flexpaxos run` take it as it stands.

use std::path::Path;

use super::objective::Objective;
use super::row::Row;
use super::search::{Proposers, Search};
use super::system::Kind;
use crate::experiment::file::{self, Source};
use crate::experiment::plan::{Plan, Size};
use crate::experiment::template::strings::{prose, quoted};
use crate::protocol::{Order, SendPolicy};
use crate::topology::Floor;

/// The rate of each client region: low, because the search knows no queues.
const RATE_PER_S: usize = 50;

/// The rate of all clients where several proposers compete: so low that most commands have no rival.
const RATE_OF_RIVALS_PER_S: usize = 1;

/// Medians above their floor by more than this were not those of the network alone.
const ABOVE_FLOOR_MS: u64 = 3;

/// The experiment of a row with this number, in a file at `path`.
///
/// The path of a latency profile stands in it as it is, so a relative one is relative to the folder of `path`.
pub fn text(
    search: &Search<'_>,
    row: &Row,
    number: usize,
    path: &Path,
) -> Result<String, file::Error> {
    let draft = Draft { search, row, name: format!("row-{number}"), number };
    let text = draft.text();
    Plan::from_source(&Source { path: path.to_owned(), text: text.clone() }, Size::default())?;
    Ok(text)
}

struct Draft<'a> {
    search: &'a Search<'a>,
    row: &'a Row,
    name: String,
    number: usize,
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
            self.expectation(),
            smoke(self.has_rivals()),
        ];
        sections.join("\n")
    }

    fn question(&self) -> String {
        let Row { described, leader, .. } = self.row;
        let proposer = match leader {
            Some(leader) => format!("the leader in {}", self.row.name(*leader)),
            None => "one proposer for each client".to_owned(),
        };
        format!(
            "Does `{described}` on these {} replicas, with {proposer}, have the commit latency that the search \
             predicts?",
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
        let takeover = if self.search.proposers.are_led {
            let figure = |objective: Objective| objective.words(self.row.costs[objective.place()]);
            format!(
                "After the loss of any one region, phase 1 of the next leader takes {} at most, {} if the best one \
                 leads. ",
                figure(Objective::Takeover),
                figure(Objective::TakeoverBest)
            )
        } else {
            String::new()
        };
        format!(
            "The closed form, network only: a write of a client has the median {}. {takeover}It is refuted if a \
             median is below its floor, or more than {ABOVE_FLOOR_MS} ms above it.",
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
            duration = if self.has_rivals() { 60 } else { 10 },
        )
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
        if self.row.described.kind == Kind::Majority {
            return own;
        }
        let comment = "The baseline: majorities on the same replicas, with their best leader.";
        [variant(comment, "majority", "best", "{ majority = {} }"), own].join("\n")
    }

    fn expectation(&self) -> String {
        format!(
            "\
[[expect]]
that    = {}
because = \"processing, and links that are emulated on one machine\"
",
            quoted(&format!("{}.p50 - floor < {ABOVE_FLOOR_MS}ms", self.name))
        )
    }
}

/// The profile as a file anywhere can name it.
fn profile(search: &Search<'_>) -> String {
    let profile = search.space.profile();
    let file = profile.path().and_then(|path| path.canonicalize().ok());
    file.map_or_else(|| profile.name().to_owned(), |path| path.to_string_lossy().into_owned())
}

fn smoke(has_rivals: bool) -> String {
    let duration = if has_rivals { 60 } else { 2 };
    format!(
        "\
[smoke]               # the smaller size of `--smoke`, for a quick test
trials   = 1
warmup   = \"1s\"
duration = \"{duration}s\"
"
    )
}
