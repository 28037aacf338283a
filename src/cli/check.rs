//! `flexpaxos check`: every interleaving of a small deployment.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::{Exit, Failure, output};
use crate::check::{Counterexample, INVARIANTS, Outcome, Search};
use crate::monitor::Invariant;
use crate::registry::Preset;
use crate::report::table::{Column, Table, Width, counted, legend, line};
use crate::sabotage::Rule;

/// Explores every interleaving of a small deployment, and shows the shortest way to a violation.
///
/// Replicas are the ones that run over QUIC; messages are lost, repeated and reordered, replicas
/// crash with and without what they had not synced, as far as the preset allows.
/// With --break the replicas break one rule, and the check must find it out: a preset that cannot is
/// refused, and a check that finds nothing ends with 2.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  flexpaxos check                       every preset, as a table
  flexpaxos check duel                  one of them, property by property
  flexpaxos check duel --break skips-adoption --svg counterexample.svg
  flexpaxos check duel --explore 127.0.0.1:3000
  flexpaxos check --list")]
pub(super) struct Check {
    /// The preset; without it all of them, or with --break those that can find the rule.
    #[arg(value_name = "PRESET", value_parser = presets())]
    preset: Option<String>,

    /// Breaks this rule on purpose.
    #[arg(long = "break", value_name = "RULE", value_parser = rules())]
    rule: Option<Rule>,

    /// Looks at this property only.
    #[arg(long, value_name = "PROPERTY", value_parser = invariants())]
    only: Option<Invariant>,

    /// Goes to this depth and no further.
    #[arg(long, value_name = "DEPTH", value_parser = clap::value_parser!(u16).range(1..))]
    depth: Option<u16>,

    /// Serves the states of the preset to a browser instead, until Ctrl-C.
    #[arg(long, value_name = "ADDR:PORT", requires = "preset", conflicts_with_all = ["svg", "depth"])]
    explore: Option<SocketAddr>,

    /// Draws the counterexample to this file.
    #[arg(long, value_name = "FILE", requires = "preset")]
    svg: Option<PathBuf>,

    /// How many threads search; with more than one, a counterexample need not be the shortest.
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

fn presets() -> PossibleValuesParser {
    PossibleValuesParser::new(Preset::all().into_iter().map(|preset| preset.name))
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
        let Some(preset) = self.preset.as_deref().and_then(Preset::named) else {
            return self.run_all(out);
        };
        let search = self.search(preset);
        self.check_findable(&search.preset)?;
        if let Some(address) = self.explore {
            return explore(&search, address, out);
        }
        let width = output::width(self.wide);
        let about = format!("{}: {}", search.preset.name, search.preset.about);
        writeln!(out, "{}\n{}", line(&about, width), line(&search.preset.describe(), width))?;
        if let Some(rule) = self.rule {
            let story = format!("broken on purpose: {rule}. {}", rule.story());
            writeln!(out, "{}", line(&story, width))?;
        }
        let (outcome, took) = timed(|| search.run());
        print(out, &outcome, took, width)?;
        if let (Some(_), None) = (&self.svg, outcome.violation()) {
            writeln!(out, "\nnothing is drawn: no property is violated")?;
        }
        if let (Some(path), Some((invariant, found))) = (&self.svg, outcome.violation()) {
            let trace = found.trace(format!("{}: {invariant} is violated", search.preset.name));
            super::write_file(path, &trace.svg())?;
            writeln!(out, "\ndrawn in {}", path.display())?;
        }
        self.check_found(exit(&outcome))
    }

    /// Refuses a preset that is no control of the broken rule.
    fn check_findable(&self, preset: &Preset) -> Result<(), Failure> {
        let Some(rule) = self.rule.filter(|rule| !preset.finds(*rule)) else { return Ok(()) };
        let finders: Vec<&str> =
            Preset::all().iter().filter(|it| it.finds(rule)).map(|it| it.name).collect();
        Err(Failure::request(
            format!("the preset {} is no control of {rule}: it may find nothing", preset.name),
            format!("these presets find it: {}", finders.join(", ")),
        ))
    }

    /// The exit code, unless a rule was broken and nothing came of it.
    fn check_found(&self, exit: Exit) -> Result<Exit, Failure> {
        let Some(rule) = self.rule.filter(|_| exit == Exit::Done) else { return Ok(exit) };
        let help = match (self.depth, self.only) {
            (Some(_), _) => "raise --depth, or leave it out",
            (None, Some(_)) => "leave out --only: another property is violated",
            (None, None) => "the control failed: the preset was to find it",
        };
        Err(Failure::request(format!("{rule} is broken, and no property was seen violated"), help))
    }

    fn search(&self, preset: Preset) -> Search {
        let depth = self.depth.map(usize::from);
        let (rule, only) = (self.rule, self.only);
        Search { preset, rule, only, depth, thread_count: usize::from(self.threads) }
    }

    fn run_all(&self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let mut rows = Vec::new();
        let mut worst = Exit::Done;
        let is_asked = |preset: &Preset| self.rule.is_none_or(|rule| preset.finds(rule));
        for preset in Preset::all().into_iter().filter(is_asked) {
            let search = self.search(preset);
            let (outcome, took) = timed(|| search.run());
            if exit(&outcome) == Exit::Unsafe {
                worst = Exit::Unsafe;
            }
            rows.push(row(&search, &outcome, took));
        }
        let columns = vec![
            Column::name("preset"),
            Column::number("states"),
            Column::number("generated").rank(1),
            Column::number("depth").rank(3),
            Column::number("seconds").rank(2),
            Column::text("verdict"),
        ];
        writeln!(out, "{}", Table::new(columns, rows).fit(output::width(self.wide)))?;
        self.check_found(worst)
    }
}

fn row(search: &Search, outcome: &Outcome, took: Duration) -> Vec<String> {
    let verdict = match outcome.violation() {
        Some((invariant, found)) => {
            format!("VIOLATED {invariant} in {}", counted(found.steps.len(), "step"))
        }
        None if outcome.is_lively() => "holds".to_owned(),
        None => "holds, but idly".to_owned(),
    };
    vec![
        search.preset.name.to_owned(),
        outcome.unique_count.to_string(),
        outcome.generated_count.to_string(),
        outcome.depth.to_string(),
        format!("{:.1}", took.as_secs_f64()),
        verdict,
    ]
}

fn print(out: &mut dyn Write, outcome: &Outcome, took: Duration, width: Width) -> io::Result<()> {
    let Outcome { unique_count, generated_count, depth, .. } = outcome;
    writeln!(
        out,
        "\n{unique_count} states ({generated_count} generated), depth {depth}, {:.1} s\n",
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
            None => "holds",
        };
        [invariant.name(), invariant.says(), verdict].map(str::to_owned).to_vec()
    });
    let columns = vec![Column::text("property"), Column::name("meaning"), Column::text("verdict")];
    writeln!(out, "{}", Table::new(columns, invariants.collect()).fit(width))?;
    let covers = outcome.covers.iter().map(|(cover, found)| {
        let verdict = match found {
            Some(length) => format!("seen after {}", counted(*length, "step")),
            None if is_cut => "open".to_owned(),
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
    for preset in Preset::all() {
        writeln!(out, "{:<18}{}\n{:18}{}", preset.name, preset.about, "", preset.describe())?;
    }
    writeln!(out, "\nrules to break:")?;
    for rule in Rule::ALL {
        let story = crate::report::table::fold(rule.story(), 30);
        writeln!(out, "  {:<28}{story}", rule.name())?;
    }
    writeln!(out, "\nproperties:")?;
    for invariant in INVARIANTS {
        writeln!(out, "  {:<28}{}", invariant.name(), invariant.says())?;
    }
    Ok(Exit::Done)
}

fn explore(search: &Search, address: SocketAddr, out: &mut dyn Write) -> Result<Exit, Failure> {
    // The explorer does not say why it cannot listen; this does.
    TcpListener::bind(address).map_err(|error| {
        Failure::world(&error, format!("nothing can listen on {address}: give another address"))
    })?;
    writeln!(out, "http://{address} shows {}; Ctrl-C ends it", search.preset.name)?;
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
