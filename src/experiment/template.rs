//! A new experiment file, written from a few choices.
//!
//! [`text`] returns the text of the file; it writes no file itself.
//! It plans two texts.
//! The first text is a draft without predictions. The plan of the draft has the floors, from which the
//! prediction and the `[[expect]]` entries are written.
//! The second text is the whole file. It is planned too, so `flexpaxos plan` accepts every text that
//! [`text`] returns.

mod choices;
pub use choices::{
    BEST, CRASH_DURATION_MIN, Choices, Counts, Load, PROFILE, REGIONS, usual_replicas,
};
mod prediction;
pub(crate) mod strings;

use std::path::Path;

use humantime::format_duration;

use super::file::{self, Source};
use super::plan::{Plan, Point, Size};
use crate::time::Span;
use crate::topology::{Links, Site};
use prediction::Expected;
use strings::{prose, quoted};

/// How often a leader is heard of, in an experiment with a crash.
const HEARTBEAT: Span = Span::from_millis(100);

/// The longest random wait before an election begins.
const SPREAD: Span = Span::from_millis(250);

/// So many heartbeats are missed at least before a leader is suspected.
const MISSES_MIN: u64 = 5;

const HEADER: &str = "\
# Written by `flexpaxos new`. Change what you like: `flexpaxos schema experiment` describes every key.
#
#   flexpaxos plan FILE                     what would run, and what is predicted
#   flexpaxos run  FILE                     run it with real replicas
#   flexpaxos run  FILE --backend sim       run it in virtual time
";

const SERVICE: &str = "\
[durability]
mode = \"fsync\"

[service]             # what work costs in the simulator
receive = \"20us\"
send    = \"10us\"
sync    = \"400us\"
";

/// The text of a new experiment file at `path`, or what `flexpaxos plan` would refuse in it.
///
/// The path of a latency profile is relative to the folder of `path`.
pub fn text(choices: &Choices, path: &Path) -> Result<String, file::Error> {
    let draft = plan(path, draft(choices))?;
    let text = whole(choices, &draft.points[0]);
    plan(path, text.clone())?;
    Ok(text)
}

fn plan(path: &Path, text: String) -> Result<Plan, file::Error> {
    Plan::from_source(&Source { path: path.to_owned(), text }, Size::default())
}

/// The file without its predictions and its fault.
fn draft(choices: &Choices) -> String {
    let prose = ["question", "prediction"].map(|key| prose(key, "This is a draft."));
    [&prose[..], &[settings(choices), variants(choices)]].concat().join("\n")
}

/// The whole file, where the plan of the draft has this point.
fn whole(choices: &Choices, point: &Point) -> String {
    let mut sections = vec![
        HEADER.to_owned(),
        prose("question", &prediction::question(choices, point)),
        prose("prediction", &prediction::prediction(choices, point)),
        settings(choices),
    ];
    if choices.has_leader_crash {
        sections.push(election(&point.links));
    }
    sections.push(variants(choices));
    if choices.has_leader_crash {
        sections.push(fault(choices));
    }
    sections.extend(prediction::expectations(choices, point).iter().map(expect));
    sections.push(smoke(choices));
    sections.join("\n")
}

/// Everything between the prediction and the variants.
fn settings(choices: &Choices) -> String {
    let list = |regions: &[String]| {
        let names: Vec<String> = regions.iter().map(|region| quoted(region)).collect();
        format!("[{}]", names.join(", "))
    };
    let arrival = match choices.load {
        Load::Open { rate_per_s } => format!("{{ poisson = {{ rate_per_s = {rate_per_s} }} }}"),
        Load::Closed { clients } => format!("{{ closed = {{ clients = {clients} }} }}"),
    };
    format!(
        "\
seed   = 1            # all random numbers follow from it
trials = {trials}            # how often every variant is repeated

[topology]
profile  = {profile}
replicas = {replicas}
clients  = {clients}

[workload]
arrival  = {arrival}  # in total, shared by the client regions
warmup   = \"2s\"
duration = \"{duration}\"

{SERVICE}",
        trials = choices.trials,
        profile = quoted(&choices.profile),
        replicas = list(&choices.replicas),
        clients = list(&choices.client_regions()),
        duration = format_duration(choices.duration),
    )
}

/// The section that lets another replica lead when the leader is silent.
fn election(links: &Links) -> String {
    format!(
        "\
[election]            # a leader that is silent for {timeout} ms is replaced
mode      = \"timeout\"
heartbeat = \"{heartbeat}ms\"
misses    = {misses}
spread    = \"{spread}ms\"
",
        timeout = timeout(links).milliseconds_short(),
        heartbeat = HEARTBEAT.milliseconds_short(),
        misses = misses(links),
        spread = SPREAD.milliseconds_short(),
    )
}

/// After how long a silent leader is suspected.
fn timeout(links: &Links) -> Span {
    HEARTBEAT.times(misses(links))
}

/// How many heartbeats in a row are missed before a leader is suspected: more than the usual number where
/// the farthest replica answers late, as the plan refuses a shorter time-out.
fn misses(links: &Links) -> u64 {
    let sites = || links.replicas().map(Site::Replica);
    let pairs = sites().flat_map(|from| sites().map(move |to| (from, to)));
    let longest = pairs.map(|(from, to)| links.round_trip(from, to)).max().unwrap_or(Span::ZERO);
    (longest.0 / HEARTBEAT.0 + 2).max(MISSES_MIN)
}

/// What is compared; the first variant is the baseline.
fn variants(choices: &Choices) -> String {
    let majority = "{ majority = {} }";
    let leader = format!("{{ multi = {{ leader = {} }} }}", quoted(&choices.leader));
    let mut all = vec![variant("The baseline: majorities.", "multi", &leader, majority)];
    for counts in &choices.flexible {
        let Counts { phase1, phase2 } = *counts;
        let comment = format!("Phase 1 waits for {phase1} replicas, phase 2 for {phase2}.");
        let quorums = format!("{{ counts = {{ phase1 = {phase1}, phase2 = {phase2} }} }}");
        all.push(variant(&comment, &counts.name(), &leader, &quorums));
    }
    if choices.has_classic {
        let comment = "No leader: the replica nearest to the client runs both phases.";
        all.push(variant(comment, "classic", "{ classic = {} }", majority));
    }
    all.join("\n")
}

fn variant(comment: &str, name: &str, protocol: &str, quorums: &str) -> String {
    format!(
        "\
# {comment}
[[variant]]
name     = {name}
protocol = {protocol}
quorums  = {quorums}
",
        name = quoted(name),
    )
}

fn fault(choices: &Choices) -> String {
    format!(
        "\
[[fault]]             # `at` counts from the end of the warm-up
at            = \"{at}\"
crash         = \"leader\"
restart_after = \"{restart_after}\"
",
        at = format_duration(choices.crash_at()),
        restart_after = format_duration(choices.restart_after()),
    )
}

fn expect(Expected { that, because }: &Expected) -> String {
    format!(
        "\
[[expect]]
that    = {that}
because = {because}
",
        that = quoted(that),
        because = quoted(because),
    )
}

/// The smaller size; a fault must stay within its measured time, so with a fault that is not shortened.
fn smoke(choices: &Choices) -> String {
    let duration = if choices.has_leader_crash { "" } else { "duration = \"1s\"\n" };
    format!(
        "\
[smoke]               # the smaller size of `--smoke`, for a quick test
trials   = 1
warmup   = \"1s\"
{duration}"
    )
}

#[cfg(test)]
mod tests;
