//! `flexpaxos fuzz`: random faults in virtual time, from a seed.

use std::io::{IsTerminal, Write};
use std::ops::Range;

use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Exit, Failure};
use crate::fuzz::{
    Address, Case, Failed, Found, Guidance, Limits, Search, Shrunk, Tally, excerpt, run,
    run_traced, shrink,
};
use crate::quorum::NodeId;
use crate::registry::Mode;
use crate::report::table::{counted, table};
use crate::runtime::machine;
use crate::sabotage::Rule;

/// So many violations are printed; all are counted.
const SHOWN: usize = 20;

/// Runs replicas in virtual time under random faults, and checks what must survive them.
///
/// Each seed draws a quorum system, a protocol, links, load and faults, and runs to its end.
/// A seed that fails is printed with the command that replays it, and the first one also with the fewest faults and
/// operations that fail in the same way.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos fuzz --seeds 0..100000
  flexpaxos fuzz --seeds 0..100000 --guided            goes on from the cases that were new
  flexpaxos fuzz --seeds 17 --trace                    what happened, line by line
  flexpaxos fuzz --seeds 7 --break forgets-vote --shrink
      the fewest faults and operations with which it fails, on a screen
  flexpaxos fuzz --seeds 7 --break forgets-vote --shrink --trace
      the same, with every line of it
  flexpaxos fuzz --seeds 0..1000 --break forgets-vote  seen to fail when a rule is broken

Exit code 5: a property did not hold.
Exit code 2: a rule was to be broken, and no seed showed it.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Fuzz {
    /// One seed, or A..B: from A to before B.
    #[arg(long, value_name = "N|A..B", value_parser = parse_range)]
    seeds: Range<u64>,

    /// Mutates the cases that reached a new situation, instead of drawing each one afresh.
    #[arg(long, conflicts_with_all = ["trace", "shrink"])]
    guided: bool,

    /// Counts the different situations that the cases were in, as --guided does.
    #[arg(long, conflicts_with_all = ["trace", "shrink"])]
    situations: bool,

    /// What was changed of the seed, as a guided search prints it: for one seed.
    #[arg(long, value_name = "N,…", value_delimiter = ',', conflicts_with_all = ["guided"])]
    mutations: Vec<u32>,

    /// Only this protocol.
    #[arg(long, value_name = "PROTOCOL", value_parser = protocols())]
    protocol: Option<&'static str>,

    /// Only so many replicas, or A..B: from A to before B.
    #[arg(long, value_name = "N|A..B", value_parser = parse_replicas, default_value = "1..8")]
    replicas: Range<usize>,

    /// Makes every replica break a rule.
    #[arg(long = "break", value_name = "RULE", value_parser = rule_parser())]
    rule: Option<Rule>,

    /// On so many threads; on every core, if not given.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Prints what the seed draws and everything that happens: for one seed.
    #[arg(long, conflicts_with_all = ["threads", "keep_going", "quiet"])]
    trace: bool,

    /// Prints the smallest case that fails like the seed, with the fewest faults and operations, and the lines
    /// of its trace that the violation is about; with --trace every line.
    #[arg(long, conflicts_with_all = ["threads", "keep_going", "quiet"])]
    shrink: bool,

    /// Goes on after a violation.
    #[arg(long)]
    keep_going: bool,

    /// Shows no progress.
    #[arg(long, short)]
    quiet: bool,
}

fn protocols() -> impl clap::builder::TypedValueParser<Value = &'static str> {
    use clap::builder::TypedValueParser;
    let names = Mode::names();
    PossibleValuesParser::new(names.clone()).map(move |typed| {
        let known = names.iter().find(|name| **name == typed);
        *known.expect("the parser knows only these")
    })
}

impl Fuzz {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        self.check_breakable()?;
        if self.trace || self.shrink {
            return self.trace(out);
        }
        if !self.mutations.is_empty() {
            return self.mutated(out);
        }
        let interrupt = super::interrupt()?;
        let bar = self.bar();
        let cpu_before = machine::cpu_s();
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let search = Search {
            seeds: self.seeds.clone(),
            limits: self.limits(),
            is_to_go_on: self.keep_going,
            threads: self.threads.map_or_else(cores, usize::from),
            guidance: match (self.guided, self.situations) {
                (true, _) => Guidance::Corpus,
                (false, true) => Guidance::Counted,
                (false, false) => Guidance::None,
            },
        };
        let found = search.run(&|done_count| {
            bar.set_position(done_count);
            interrupt.is_asked()
        });
        let cpu_s = cpu_before.zip(machine::cpu_s()).map(|(before, after)| after - before);
        let wall_s = bar.elapsed().as_secs_f64();
        bar.finish_and_clear();
        let found =
            found.map_err(|error| Failure::world(&error, "ask for fewer with --threads"))?;
        self.conclude(&found, out)?;
        if !self.quiet {
            eprintln!("{}", pace(found.tally.histories, wall_s, cpu_s));
        }
        if !found.violations.is_empty() {
            Ok(Exit::Unsafe)
        } else if interrupt.is_asked() {
            Ok(Exit::Partial)
        } else {
            self.nothing_found()
        }
    }

    /// Refuses a rule that none of the drawn replicas could break.
    fn check_breakable(&self) -> Result<(), Failure> {
        let Some(rule) = self.rule else { return Ok(()) };
        let has_rule = |mode: &Mode| {
            self.protocol.is_none_or(|name| mode.name() == name) && mode.can_break(rule)
        };
        let (unbreakable, help) = match rule {
            _ if !Mode::all(NodeId(0)).iter().any(has_rule) => {
                ("the protocol has no such rule", "leave out --protocol")
            }
            Rule::IgnoresAnnouncedQuorums if self.protocol == Some("classic") => {
                ("classic Paxos announces no quorums", "leave out --protocol, or give `multi`")
            }
            Rule::GrantsWhileLed => (
                "no property of these runs is about pre-votes",
                "use `flexpaxos check silence --break grants-while-led`",
            ),
            Rule::DisjointQuorums if self.replicas.end <= 2 => {
                ("a single replica has one quorum", "raise --replicas, or leave it out")
            }
            _ => return Ok(()),
        };
        Err(Failure::request(format!("{rule} cannot be broken here: {unbreakable}"), help))
    }

    /// No violation: that is well for honest replicas, and a control that failed for others.
    fn nothing_found(&self) -> Result<Exit, Failure> {
        let Some(rule) = self.rule else { return Ok(Exit::Done) };
        let message = format!("{rule} is broken, and no seed showed it");
        Err(Failure::request(message, "give more seeds: some rules show in one of several hundred"))
    }

    fn limits(&self) -> Limits {
        Limits { protocol: self.protocol, replicas: self.replicas.clone(), rule: self.rule }
    }

    /// The address of the only case.
    fn address(&self, option: &str) -> Result<Address, Failure> {
        if self.seeds.end - self.seeds.start != 1 {
            let Range { start, end } = self.seeds;
            return Err(Failure::request(
                format!("{option} is for one seed, and {start}..{end} are {}", end - start),
                format!("name one: --seeds {start} {option}"),
            ));
        }
        Ok(Address { seed: self.seeds.start, mutations: self.mutations.clone() })
    }

    /// The one case with its mutations, as a search runs it.
    fn mutated(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let address = self.address("--mutations")?;
        let ran = run(&Case::of(&address, &self.limits()));
        let failed = |violation| Failed { case_count: 1, address, violation };
        let violations: Vec<Failed> = ran.violation.map(failed).into_iter().collect();
        let found = Found { tally: ran.tally, violations, situation_count: 0 };
        self.conclude(&found, out)?;
        if found.violations.is_empty() { self.nothing_found() } else { Ok(Exit::Unsafe) }
    }

    /// The one case, line by line; its smallest case alone in the lines that matter.
    fn trace(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let address = self.address(if self.shrink { "--shrink" } else { "--trace" })?;
        let drawn = Case::of(&address, &self.limits());
        let shrunk = self.shrink.then(|| shrunk(&drawn)).flatten();
        if let Some((shrunk, words)) = &shrunk {
            writeln!(out, "{words}, after {} runs\n", shrunk.run_count)?;
        }
        let case = shrunk.map_or(drawn, |(shrunk, _)| shrunk.case);
        let ran = run_traced(&case);
        writeln!(out, "{case}")?;
        match &ran.violation {
            Some(violation) if !self.trace => {
                let command = format!("{} --shrink --trace", self.command(&address));
                writeln!(out, "{}\nall of them: {command}", excerpt(&ran.trace, violation))?;
            }
            // There is nothing to shrink.
            None if self.shrink && !self.trace => {}
            _ => {
                for line in &ran.trace {
                    writeln!(out, "{line}")?;
                }
                writeln!(out, "\n{}", counts(&ran.tally))?;
            }
        }
        match ran.violation {
            None => {
                writeln!(out, "\nno violation")?;
                self.nothing_found()
            }
            Some(violation) => {
                writeln!(out, "\nVIOLATION {violation}")?;
                Ok(Exit::Unsafe)
            }
        }
    }

    fn bar(&self) -> ProgressBar {
        let bar = ProgressBar::new(self.seeds.end - self.seeds.start);
        if self.quiet || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = "{elapsed_precise} [{bar:30}] {pos} of {len} seeds, about {eta} left";
        if let Ok(look) = ProgressStyle::with_template(template) {
            bar.set_style(look.progress_chars("=> "));
        }
        bar
    }

    fn conclude(&self, found: &Found, out: &mut dyn Write) -> Result<(), Failure> {
        writeln!(out, "{}\n", counts(&found.tally))?;
        if found.situation_count > 0 {
            let count = found.situation_count;
            writeln!(out, "{count} different situations in {} cases", found.tally.histories)?;
        }
        for (index, failed) in found.violations.iter().take(SHOWN).enumerate() {
            let Failed { case_count, address, violation } = failed;
            if self.guided {
                write!(out, "case {case_count}, ")?;
            }
            writeln!(out, "seed {address} VIOLATION {violation}")?;
            writeln!(out, "  {} --trace", self.command(address))?;
            // Who asks for one seed knows it already.
            let is_news = index == 0 && self.seeds.end - self.seeds.start > 1;
            let smaller = is_news.then(|| shrunk(&Case::of(address, &self.limits()))).flatten();
            if let Some((_, words)) = smaller {
                writeln!(out, "  {} --shrink   {words}", self.command(address))?;
            }
        }
        let Range { start, end } = self.seeds;
        let (done_count, asked_count) = (found.tally.histories, end - start);
        if done_count < asked_count {
            let why = if found.violations.is_empty() {
                "it was interrupted"
            } else {
                "these failed; --keep-going runs the others, too"
            };
            writeln!(out, "ended after {done_count} of {asked_count} seeds: {why}")?;
        }
        writeln!(out, "{}", verdict(done_count, &found.violations))?;
        Ok(())
    }

    /// The one command that runs a case again.
    fn command(&self, address: &Address) -> String {
        format!("flexpaxos fuzz --seeds {address}{}", self.limits().arguments())
    }
}

/// The smallest case that fails like this one, and how small it is; none, if this one does not fail.
fn shrunk(case: &Case) -> Option<(Shrunk, String)> {
    let ran = run(case);
    let (invariant, issued) = (ran.violation.as_ref()?.invariant, ran.tally.issued);
    let shrunk = shrink(case, ran, invariant);
    let words = format!(
        "{} of {} and {} of {issued} operations are enough",
        shrunk.case.faults.len(),
        counted(case.faults.len(), "fault"),
        shrunk.ran.tally.issued,
    );
    Some((shrunk, words))
}

fn verdict(done_count: u64, violations: &[Failed]) -> String {
    let seeds = if done_count == 1 { "1 seed".to_owned() } else { format!("{done_count} seeds") };
    match violations.len() {
        0 => format!("{seeds}, no violation"),
        count => format!("{seeds}, {}", counted(count, "violation")),
    }
}

/// What happened, in all and for each 1000 histories.
fn counts(tally: &Tally) -> String {
    let histories = tally.histories.max(1) as f64;
    let share = |count: u64| format!("{:.1}", count as f64 * 1e3 / histories);
    let mut rows = vec![vec!["histories".to_owned(), tally.histories.to_string(), String::new()]];
    rows.extend(
        tally.rows().map(|(name, count)| vec![name.to_owned(), count.to_string(), share(count)]),
    );
    table(&["", "in all", "per 1000 histories"], &[1, 2], &rows).to_string()
}

/// How fast it went: for whoever waits, so on stderr.
fn pace(seed_count: u64, wall_s: f64, cpu_s: Option<f64>) -> String {
    let per = |seconds: f64| if seconds > 0.0 { seed_count as f64 / seconds } else { 0.0 };
    let wall = format!("{wall_s:.1} s ({:.0} seeds/s)", per(wall_s));
    match cpu_s {
        Some(cpu_s) => {
            format!("{wall}, {cpu_s:.1} s of processor time ({:.0} seeds/s of a core)", per(cpu_s))
        }
        None => wall,
    }
}

fn rule_parser() -> impl clap::builder::TypedValueParser<Value = Rule> {
    use clap::builder::TypedValueParser;
    PossibleValuesParser::new(Rule::ALL.map(Rule::name)).try_map(|name| name.parse::<Rule>())
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| {
        let refuse =
            |_| format!("`{text}` is no number: write one as in `17`, or two as in `0..1000`");
        text.trim().parse::<u64>().map_err(refuse)
    };
    let range = if let Some((start, end)) = text.split_once("..") {
        number(start)?..number(end)?
    } else {
        let only = number(text)?;
        only..only.checked_add(1).ok_or("the last number cannot be a range")?
    };
    if range.is_empty() {
        return Err(format!("`{text}` is empty: the second number is the one after the last"));
    }
    Ok(range)
}

fn parse_replicas(text: &str) -> Result<Range<usize>, String> {
    let Range { start, end } = parse_range(text)?;
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    if start < 1 || end > 17 {
        return Err(format!("`{text}` goes beyond 1 to 16 replicas"));
    }
    Ok(number(start)..number(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_one_number_or_two() {
        assert_eq!(parse_range("17"), Ok(17..18));
        assert_eq!(parse_range("0..100000"), Ok(0..100_000));
        assert!(parse_range("5..5").unwrap_err().contains("is empty"));
        assert!(parse_range("x..5").unwrap_err().starts_with("`x` is no number"));
        assert_eq!(parse_replicas("3"), Ok(3..4));
        assert!(parse_replicas("0..3").unwrap_err().contains("beyond 1 to 16"));
        assert!(parse_replicas("3..99").is_err());
    }

    #[test]
    fn counts_are_in_all_and_per_thousand() {
        let mut tally = Tally { histories: 2000, ..Tally::default() };
        tally.counts.crashes = 500;
        let text = counts(&tally);
        let line = text.lines().find(|line| line.contains("crashes ")).unwrap();
        assert!(line.split_whitespace().eq(["crashes", "500", "250.0"]), "{line}");
    }
}
