//! Progress on stderr: which trial, which stage, how long it will still take.

mod forecast;

use std::fmt;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::cluster::Progress;
use crate::experiment::plan::Plan;
use crate::experiment::trial::Trial;
use crate::findings::Finished;
use crate::measure::rows::Flag;
use crate::run::Event;
use crate::trial::Backend;
pub(super) use forecast::{Forecast, Left};

/// How often the clock moves where nothing else is to be told.
const TICK: Duration = Duration::from_secs(1);

/// The clock of a run, from before the calibration up to the last trial: a bar on a terminal.
pub(super) struct Clock {
    bar: ProgressBar,
    style: Style,
    expected: Arc<Mutex<Expected>>,
}

/// What is left of a run.
#[derive(Clone, Copy, Debug, Default)]
struct Expected {
    /// When it ends, by the clock.
    end: Duration,
    /// What is left at the least, however long the trial that runs now still takes.
    least: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Bar,
    Lines,
    Silent,
}

impl Clock {
    /// Starts it.
    pub(super) fn start(quiet: bool) -> Self {
        let style = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Style::Silent,
            (false, true) => Style::Bar,
            (false, false) => Style::Lines,
        };
        let bar = ProgressBar::new(1);
        let expected: Arc<Mutex<Expected>> = Arc::default();
        if style == Style::Bar {
            let shared = Arc::clone(&expected);
            let left = move |state: &ProgressState, out: &mut dyn fmt::Write| {
                let Expected { end, least } = *locked(&shared);
                // That the bar cannot be drawn ends no run.
                let _ = write!(out, "{}", words(end.saturating_sub(state.elapsed()).max(least)));
            };
            let look =
                ProgressStyle::with_template("{elapsed_precise} [{bar:10}] {left}{wide_msg}");
            if let Ok(look) = look {
                bar.set_style(look.progress_chars("=> ").with_key("left", left));
            }
            bar.enable_steady_tick(TICK);
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bar, style, expected }
    }

    /// The bar, on which other work says what it does.
    pub(super) const fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// Whether only lines are printed, because stderr is no terminal.
    pub(super) fn is_of_lines(&self) -> bool {
        self.style == Style::Lines
    }

    /// From now on the run is expected to take so long.
    pub(super) fn expect(&self, left: Left) {
        let elapsed = self.bar.elapsed();
        let Left { expected: left, least } = left;
        *locked(&self.expected) = Expected { end: elapsed + left, least };
        self.bar.set_length((elapsed + left).as_secs().max(1));
        self.bar.set_position(elapsed.as_secs());
    }

    /// The bar says where a trial of a search is.
    pub(super) fn say(&self, plan: &Plan, trial: &Trial, stage: Progress) {
        let label = spaced(&plan.point(trial).label);
        let variant = &plan.variant(trial).name;
        self.bar.set_message(format!("trial {} {variant}{label}: {}", trial.number(), word(stage)));
    }

    /// The run is over.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Prints a line, above the bar if there is one.
    pub(super) fn print(&self, line: &str) {
        match self.style {
            Style::Bar => self.bar.println(line),
            Style::Lines => eprintln!("{line}"),
            Style::Silent => {}
        }
    }
}

/// `about 2m 10s left, `.
fn words(left: Duration) -> String {
    match left.as_secs() {
        0 => String::new(),
        seconds => {
            format!("about {} left, ", humantime::format_duration(Duration::from_secs(seconds)))
        }
    }
}

/// What the mutex holds: a thread that panicked left it whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says how a run goes: a bar on a terminal, a line for each trial elsewhere, or nothing.
pub(super) struct RunProgress<'a> {
    plan: &'a Plan,
    clock: Clock,
    state: Mutex<State>,
    /// Simulated trials that were not finished when the run began.
    sim_count: usize,
}

struct State {
    forecast: Forecast,
    /// When the last trial ended, by the clock.
    last_end: Duration,
    /// How many simulated trials ended.
    sim_ended_count: usize,
}

impl<'a> RunProgress<'a> {
    /// The trials of `forecast` begin now.
    pub(super) fn new(plan: &'a Plan, clock: Clock, forecast: Forecast) -> Self {
        clock.expect(Left::about(forecast.left()));
        let sim_count = forecast.open_count(Backend::Sim);
        let last_end = clock.bar.elapsed();
        Self {
            plan,
            clock,
            state: Mutex::new(State { forecast, last_end, sim_ended_count: 0 }),
            sim_count,
        }
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Stage(trial, stage) => {
                let (variant, point) = (self.plan.variant(trial), self.plan.point(trial));
                let label = spaced(&point.label);
                self.clock.bar.set_message(format!(
                    "trial {} of {} {}{label}: {}",
                    trial.number(),
                    self.plan.trials.len(),
                    variant.name,
                    word(*stage)
                ));
                let left = locked(&self.state).forecast.left_from(point, *stage);
                if let Some(left) = left {
                    self.clock.expect(left);
                }
            }
            Event::Ended(ended) => self.ended(ended),
        }
    }

    fn ended(&self, ended: &Finished) {
        let point = self.plan.point(&ended.trial);
        let mut state = locked(&self.state);
        let now = self.clock.bar.elapsed();
        let took = now.saturating_sub(state.last_end);
        state.last_end = now;
        state.forecast.end(point, ended.backend, took);
        self.clock.expect(Left::about(state.forecast.left()));
        if ended.backend == Backend::Sim {
            state.sim_ended_count += 1;
            let (ended_count, all) = (state.sim_ended_count, self.sim_count);
            self.clock.bar.set_message(simulated(ended_count, all));
            // There may be thousands, and nothing is to be told of a good one.
            if ended.row.valid && ended.row.flag_codes.is_empty() {
                return;
            }
        }
        self.clock.print(&line(ended, self.plan.trials.len()));
    }

    pub(super) fn finish(&self) {
        self.clock.finish();
    }
}

/// `49 of 1000 trials simulated`; after thousands the tables and the page take a while.
fn simulated(ended_count: usize, all: usize) -> String {
    let then = if ended_count == all { ", tables follow" } else { "" };
    format!("{ended_count} of {all} trials simulated{then}")
}

/// `trial 3 of 9 (live) multi clients=16: valid, noisy-links`.
fn line(ended: &Finished, count: usize) -> String {
    let row = &ended.row;
    let verdict = if row.valid { "valid" } else { "INVALID" };
    let flags = row.remarks().map(|(flag, _)| flag).filter(|flag| *flag != Flag::Invalid);
    let mut words: Vec<&str> = [verdict].into_iter().chain(flags.map(Flag::code)).collect();
    // One trial may have several remarks of one kind.
    words.dedup();
    format!(
        "trial {} of {count} ({}) {}{}: {}",
        ended.trial.number(),
        ended.backend.name(),
        row.variant,
        spaced(&row.point),
        words.join(", ")
    )
}

/// ` clients=16`; nothing where nothing is swept.
fn spaced(label: &str) -> String {
    if label.is_empty() { String::new() } else { format!(" {label}") }
}

const fn word(stage: Progress) -> &'static str {
    match stage {
        Progress::Joining => "members join",
        Progress::Meshing => "members connect",
        Progress::Probing => "links are measured",
        Progress::WarmUp => "warm-up",
        Progress::Measuring => "measuring",
        Progress::Draining => "draining",
        Progress::Collecting => "collecting",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::rows::TrialRow;

    #[test]
    fn a_trial_that_ended_is_one_short_line() {
        let mut row = TrialRow { variant: "multi".into(), valid: true, ..TrialRow::default() };
        let mut ended = Finished {
            trial: Trial { index: 2, repeat: 0, variant: 0, point: 0, seed: 0 },
            backend: Backend::Live,
            row: row.clone(),
            measured: vec![],
            disagreements: vec![],
            recovery: vec![],
            probes: None,
            violations: vec![],
            unfit: vec![],
        };
        assert_eq!(line(&ended, 9), "trial 3 of 9 (live) multi: valid");
        let long = "r0 waited 14 % of the window for a processor";
        for flag in [Flag::NoisyLinks, Flag::Omits, Flag::Omits, Flag::Saturated] {
            row.add(&flag.note(long));
        }
        row.point = "clients=16".into();
        ended.row = row.clone();
        let said = "trial 3 of 9 (live) multi clients=16: valid, noisy-links, omits, saturated";
        assert_eq!(line(&ended, 9), said);
        row.invalidate("why");
        ended.row = row;
        assert!(line(&ended, 9).ends_with(": INVALID, noisy-links, omits, saturated"));
    }

    /// With the clock, the bar and the time left in a line of 80 columns.
    #[test]
    fn what_is_simulated_is_counted_and_finds_room() {
        assert_eq!(simulated(49, 1000), "49 of 1000 trials simulated");
        let last = simulated(10_000, 10_000);
        assert!(last.ends_with("simulated, tables follow"));
        let long = words(Duration::from_secs(3599)) + &simulated(9_999, 10_000);
        for message in [last, long] {
            let line = format!("00:00:00 [==========] {message}");
            assert!(line.len() <= 80, "{line}");
        }
    }

    #[test]
    fn the_time_left_is_in_words_and_ends_with_nothing() {
        assert_eq!(words(Duration::from_millis(130_900)), "about 2m 10s left, ");
        assert_eq!(words(Duration::from_millis(900)), "");
    }

    #[test]
    fn a_clock_runs_from_its_start_and_is_silent_if_asked() {
        let clock = Clock::start(true);
        assert!(clock.bar().is_hidden() && !clock.is_of_lines());
        clock.expect(Left::about(Duration::from_secs(100)));
        let end = locked(&clock.expected).end;
        assert!(end >= Duration::from_secs(100) && clock.bar().length() >= Some(100));
    }
}
