//! `flexpaxos check`: every interleaving of a small deployment.

mod progress;
mod target;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::overrides::Overrides;
use super::{Exit, Failure, output};
use crate::check::{Counterexample, INVARIANTS, Outcome, Search};
use crate::monitor::Invariant;
use crate::registry::Preset;
use crate::report::table::{Column, Table, Width, counted, legend, line};
use crate::runtime::machine::usage::{memory_peak_bytes, reset_memory_peak};
use crate::sabotage::Rule;
use progress::Line;
use target::{Budget, Target};

/// Explores every interleaving of a small deployment, and shows the shortest way to a violation.
///
/// Replicas are the ones that run over QUIC. As far as the deployment allows, the search loses, repeats and
/// reorders messages, and crashes replicas with and without what they had not synced.
/// Presets are such deployments, each with what may go wrong in it. Of an experiment the quorums, the protocol
/// and the leader of a variant are checked, with up to five replicas and a write at each of two of them.
/// With --break the replicas break one rule, and the check must find it out: a preset that cannot is
/// refused, and a check that finds nothing ends with 2.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos check                       every preset, as a table
  flexpaxos check duel                  one of them, property by property
  flexpaxos check duel --break skips-adoption --svg counterexample.svg
  flexpaxos check duel --explore 127.0.0.1:3000
  flexpaxos check --list
  flexpaxos check --deep --threads 2    larger ones, for minutes

  flexpaxos check experiments/quickstart.toml
      every variant of an experiment, while another replica takes over
  flexpaxos check experiments/quickstart.toml --variant flex-4-2 \\
      --budget crashes=1
      one of them, and a replica crashes, too")]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Check {
    /// A preset, or an experiment file; without it all presets, or with --break those that can find the rule.
    #[arg(value_name = "PRESET|EXPERIMENT")]
    target: Option<String>,

    /// Checks this variant of the experiment only.
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,

    /// Lets something go wrong so often while a variant is checked: campaigns, checkpoints, crashes, drops,
    /// duplicates or timers.
    ///
    /// Without it another replica is told to lead once (`campaigns=1`). Where proposers ask a quorum only, one timer
    /// runs out, too (`timers=1`).
    #[arg(long = "budget", value_name = "KIND=COUNT", value_delimiter = ',')]
    budgets: Vec<Budget>,

    #[command(flatten)]
    overrides: Overrides,

    /// Breaks this rule on purpose.
    #[arg(long = "break", value_name = "RULE", value_parser = rules())]
    rule: Option<Rule>,

    /// Explores larger deployments instead, for some minutes and with some gigabytes: none of them to its end.
    #[arg(long, conflicts_with = "target")]
    deep: bool,

    /// Takes states that differ only in which of several interchangeable replicas or clients did what for one.
    ///
    /// Interchangeable are replicas that only vote, and clients that ask the same replicas for as much. With --deep this is done wherever there are any.
    #[arg(long, requires = "target", conflicts_with = "explore")]
    symmetry: bool,

    /// Looks at this property only.
    #[arg(long, value_name = "PROPERTY", value_parser = invariants())]
    only: Option<Invariant>,

    /// Goes to this depth and no further.
    #[arg(long, value_name = "DEPTH", value_parser = clap::value_parser!(u16).range(1..))]
    depth: Option<u16>,

    /// Ends after about so many states, each counted as often as something leads to it; 10 million if absent
    /// and an experiment is checked.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    states: Option<u64>,

    /// Serves the states of the preset to a browser instead, until Ctrl-C.
    #[arg(long, value_name = "ADDR:PORT", requires = "target", conflicts_with_all = ["svg", "depth", "states"])]
    explore: Option<SocketAddr>,

    /// Draws the counterexample to this file.
    #[arg(long, value_name = "FILE", requires = "target")]
    svg: Option<PathBuf>,

    /// How many threads search; on any number a counterexample is a shortest one, and on one always the same.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    threads: u8,

    /// Lists the presets, the rules and the properties.
    #[arg(long, exclusive = true)]
    list: bool,

    /// Prints all columns of the tables, however narrow the terminal is.
    #[arg(long)]
    wide: bool,
}

fn rules() -> impl clap::builder::TypedValueParser<Value = Rule> {
    use clap::builder::TypedValueParser;
    PossibleValuesParser::new(Rule::ALL.map(Rule::name)).try_map(|name| name.parse::<Rule>())
}

fn invariants() -> impl clap::builder::TypedValueParser<Value = Invariant> {
    use clap::builder::TypedValueParser;
    PossibleValuesParser::new(INVARIANTS.map(Invariant::name))
        .try_map(|name| name.parse::<Invariant>())
}

impl Check {
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        if self.list {
            return list(out);
        }
        if let Some(rule) = self.rule.filter(|rule| rule.is_of_time()) {
            return Err(Failure::request(
                format!("{rule} is about time, which stands still in this search"),
                format!("break it with `flexpaxos fuzz --break {rule}`"),
            ));
        }
        let mut targets = self.targets()?;
        if let Some(target) = targets.iter().find(|target| target.compares_clocks()) {
            return Err(Failure::request(
                format!("{} compares clocks, and time stands still in this search", target.name),
                "choose another with --variant; what compares clocks is for `flexpaxos fuzz`",
            ));
        }
        let reads = |target: &Target| target.setup.mode.asks_quorum();
        if self.only == Some(Invariant::Linearizability) && !targets.iter().any(reads) {
            return Err(Failure::request(
                "--only linearizability is about reads that do not go through the log, and nothing here has any",
                "choose the preset `quorum-read`, or a variant with `reads = \"quorum\"`",
            ));
        }
        self.check_symmetry(&targets)?;
        if targets.len() > 1 || self.target.is_none() {
            if self.explore.is_some() || self.svg.is_some() {
                return Err(Failure::request(
                    "--explore and --svg are of one deployment, and the experiment has several variants",
                    "choose one with --variant",
                ));
            }
            return self.run_all(targets, out);
        }
        let target = targets.remove(0);
        let search = self.search(&target);
        if let Some(address) = self.explore {
            return explore(&target.name, &search, address, out);
        }
        let width = output::width(self.wide);
        let about = format!("{}: {}", target.name, target.about);
        writeln!(out, "{}\n{}", line(&about, width), line(&search.setup.describe(), width))?;
        if let Some(rule) = self.rule {
            let story = format!("broken on purpose: {rule}. {}", rule.story());
            writeln!(out, "{}", line(&story, width))?;
        }
        let (outcome, took) = Self::run_one(&target.name, &search);
        print(out, &outcome, took, width)?;
        if let (Some(_), None) = (&self.svg, outcome.violation()) {
            writeln!(out, "\nnothing is drawn: no property is violated")?;
        }
        if let (Some(path), Some((invariant, found))) = (&self.svg, outcome.violation()) {
            let trace = found.trace(format!("{}: {invariant} is violated", target.name));
            super::write_file(path, &trace.svg())?;
            writeln!(out, "\ndrawn in {}", path.display())?;
        }
        self.check_found(exit(&outcome))
    }

    /// The exit code, unless a rule was broken and nothing came of it.
    fn check_found(&self, exit: Exit) -> Result<Exit, Failure> {
        let Some(rule) = self.rule.filter(|_| exit == Exit::Done) else { return Ok(exit) };
        let help = match (self.depth, self.only) {
            (Some(_), _) => "raise --depth, or leave it out",
            (None, Some(_)) => "leave out --only: another property is violated",
            (None, None) => {
                "the control failed: this one was to find it; `flexpaxos check --break RULE` tries those that can"
            }
        };
        Err(Failure::request(format!("{rule} is broken, and no property was seen violated"), help))
    }

    fn search(&self, target: &Target) -> Search {
        let asked = self.states.map(|count| usize::try_from(count).unwrap_or(usize::MAX));
        Search {
            setup: target.setup.clone(),
            rule: self.rule,
            only: self.only,
            depth: self.depth.map(usize::from),
            state_count_max: asked.or(target.state_count_max),
            thread_count: usize::from(self.threads),
            is_symmetric: self.symmetry || self.deep,
        }
    }

    /// Searches a deployment, and shows how far that is.
    fn run_one(name: &str, search: &Search) -> (Outcome, Duration) {
        let line = Line::start(name);
        let found = timed(|| search.run_and_tell(&|glimpse| line.tell(glimpse)));
        line.finish();
        found
    }

    /// Refuses --symmetry where no two replicas and no two clients are interchangeable.
    fn check_symmetry(&self, targets: &[Target]) -> Result<(), Failure> {
        if !self.symmetry {
            return Ok(());
        }
        let mut reason = String::new();
        for target in targets {
            match self.search(target).symmetry() {
                Ok(_) => return Ok(()),
                Err(why) => reason = format!("{}: {why}", target.name),
            }
        }
        Err(Failure::request(
            format!("--symmetry has no effect on {reason}"),
            "leave it out, or check a deployment in which two replicas only vote or two clients ask alike",
        ))
    }

    fn run_all(&self, targets: Vec<Target>, out: &mut dyn Write) -> Result<Exit, Failure> {
        let mut rows = Vec::new();
        let mut worst = Exit::Done;
        let (mut states, mut seconds, mut memory) = (0, Duration::ZERO, None);
        for (number, target) in (1..).zip(targets) {
            let search = self.search(&target);
            if self.deep {
                eprintln!("{number}: {}, {}", target.name, search.setup.describe());
            }
            let is_own_peak = self.deep && reset_memory_peak();
            let (outcome, took) = Self::run_one(&target.name, &search);
            states += outcome.unique_count;
            seconds += took;
            let peak = memory_peak_bytes();
            memory = memory.max(peak);
            if exit(&outcome) == Exit::Unsafe {
                worst = Exit::Unsafe;
            }
            let mut row = row(target.name, &outcome, took);
            if self.deep {
                let peak = peak.filter(|_| is_own_peak);
                let peak = peak.map_or_else(|| "-".to_owned(), gigabytes);
                row.splice(2..2, [outcome.symmetric_count.to_string()]);
                row.insert(row.len() - 1, peak);
            }
            rows.push(row);
        }
        let mut columns = vec![
            Column::name(if self.target.is_some() { "variant" } else { "preset" }),
            Column::number("states"),
            Column::number("generated").rank(1),
            Column::number("depth").rank(3),
            Column::number("seconds").rank(2),
            Column::text("verdict"),
        ];
        if self.deep {
            columns.insert(2, Column::number("stand for").rank(4));
            columns.insert(columns.len() - 1, Column::number("memory [GB]").rank(5));
        }
        let width = output::width(self.wide);
        writeln!(out, "{}", Table::new(columns, rows).fit(width))?;
        if self.deep {
            let memory = memory.map_or_else(
                || "memory not known".to_owned(),
                |bytes| format!("{} GB of memory at the most", gigabytes(bytes)),
            );
            let seconds = seconds.as_secs_f64();
            writeln!(out, "\n{states} states in {seconds:.0} s, {memory}")?;
            let text = "stand for: states that differ only in which of several interchangeable replicas did what are \
                        looked at once; memory: the most while the deployment was searched; so far: the search of a \
                        deployment ends when so many states are generated, nearest first (--states says how many)";
            writeln!(out, "\n{}", legend(text, width))?;
        }
        self.check_found(worst)
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e9)
}

fn row(name: String, outcome: &Outcome, took: Duration) -> Vec<String> {
    let verdict = match outcome.violation() {
        Some((invariant, found)) => {
            format!("VIOLATED {invariant} in {}", counted(found.steps.len(), "step"))
        }
        None if outcome.is_cut_short => "holds so far".to_owned(),
        None if outcome.is_lively() => "holds".to_owned(),
        None => "holds, but idly".to_owned(),
    };
    vec![
        name,
        outcome.unique_count.to_string(),
        outcome.generated_count.to_string(),
        outcome.depth.to_string(),
        format!("{:.1}", took.as_secs_f64()),
        verdict,
    ]
}

fn print(out: &mut dyn Write, outcome: &Outcome, took: Duration, width: Width) -> io::Result<()> {
    let Outcome { unique_count, symmetric_count, generated_count, depth, .. } = outcome;
    let stand_for = if symmetric_count == unique_count {
        String::new()
    } else {
        format!(" that stand for {symmetric_count}")
    };
    writeln!(
        out,
        "\n{unique_count} states{stand_for} ({generated_count} generated), depth {depth}, {:.1} s\n",
        took.as_secs_f64()
    )?;
    print_properties(out, outcome, width)?;
    if let Some((invariant, found)) = outcome.violation() {
        print_counterexample(out, invariant, found)?;
    }
    Ok(())
}

/// What must always hold, and what must happen sometimes.
fn print_properties(out: &mut dyn Write, outcome: &Outcome, width: Width) -> io::Result<()> {
    let is_cut = outcome.violation().is_some();
    let invariants = outcome.invariants.iter().map(|(invariant, found)| {
        let verdict = match found {
            Some(_) => "VIOLATED",
            None if is_cut => "open",
            None if outcome.is_cut_short => "holds so far",
            None => "holds",
        };
        [invariant.name(), invariant.says(), verdict].map(str::to_owned).to_vec()
    });
    let columns = vec![Column::text("property"), Column::name("meaning"), Column::text("verdict")];
    writeln!(out, "{}", Table::new(columns, invariants.collect()).fit(width))?;
    let covers = outcome.covers.iter().map(|(cover, found)| {
        let verdict = match found {
            Some(length) => format!("seen after {}", counted(*length, "step")),
            None if is_cut || outcome.is_cut_short => "open".to_owned(),
            None => "NEVER SEEN".to_owned(),
        };
        vec![cover.says().to_owned(), verdict]
    });
    let mut text = "property: must hold in every state".to_owned();
    if !outcome.covers.is_empty() {
        let columns = vec![Column::name("sometimes"), Column::text("verdict")];
        writeln!(out, "\n{}", Table::new(columns, covers.collect()).fit(width))?;
        text.push_str(
            "; sometimes: must happen in at least one execution, which shows that the search tests what \
             this preset is for; seen after so many steps at the least, and after NEVER SEEN `holds` says \
             little",
        );
    }
    if is_cut {
        text.push_str("; open: the search ended at the violation");
    } else if outcome.is_cut_short {
        text.push_str("; so far: there may be more states than were looked at (--states and --depth say how many)");
    }
    writeln!(out, "\n{}", legend(&text, width))
}

fn print_counterexample(
    out: &mut dyn Write,
    invariant: Invariant,
    found: &Counterexample,
) -> io::Result<()> {
    writeln!(out, "\nVIOLATED {invariant}: {}", found.how)?;
    let number = |out: &mut dyn Write, first: usize, steps: &[String]| {
        let mut lines = (first..).zip(steps);
        lines.try_for_each(|(number, step)| writeln!(out, "{number:>4}  {step}"))
    };
    number(out, 1, &found.steps)?;
    if !found.future.is_empty() {
        writeln!(out, "from here on nothing goes wrong any more:")?;
        number(out, found.steps.len() + 1, &found.future)?;
        writeln!(out, "      and so on")?;
    }
    Ok(())
}

fn exit(outcome: &Outcome) -> Exit {
    if outcome.violation().is_some() { Exit::Unsafe } else { Exit::Done }
}

fn list(out: &mut dyn Write) -> Result<Exit, Failure> {
    for preset in Preset::all().into_iter().chain(Preset::deep()) {
        writeln!(out, "{:<18}{}\n{:18}{}", preset.name, preset.about, "", preset.setup.describe())?;
    }
    writeln!(out, "\nrules to break:")?;
    for rule in Rule::ALL {
        let story = crate::report::table::fold(rule.story(), 33);
        writeln!(out, "  {:<31}{story}", rule.name())?;
    }
    writeln!(out, "\nproperties:")?;
    for invariant in INVARIANTS {
        writeln!(out, "  {:<28}{}", invariant.name(), invariant.says())?;
    }
    Ok(Exit::Done)
}

fn explore(
    name: &str,
    search: &Search,
    address: SocketAddr,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    // The explorer does not say why it cannot listen; this does.
    TcpListener::bind(address).map_err(|error| {
        Failure::world(&error, format!("nothing can listen on {address}: give another address"))
    })?;
    writeln!(out, "http://{address} shows {name}; Ctrl-C ends it")?;
    out.flush()?;
    search.explore(address);
    Ok(Exit::Done)
}

#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "how long a search took is for its user only"
)]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = std::time::Instant::now();
    let result = work();
    (result, start.elapsed())
}
