//! Progress on stderr: which trial, which stage, how long it will still take.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cluster::Progress;
use crate::experiment::plan::{Plan, Point};
use crate::run::Event;
use crate::time::Span;
use crate::trial::Backend;

/// Joining, connecting and collecting take about so long.
const AROUND: Span = Span::from_millis(2_000);

/// Says how a run goes: a bar on a terminal, a line for each trial elsewhere, or nothing.
pub(super) struct RunProgress<'a> {
    plan: &'a Plan,
    bar: ProgressBar,
    style: Style,
    /// Seconds of the trials that ended.
    done_s: Mutex<u64>,
    /// Trials in all worlds, and how many of them ended.
    total_count: usize,
    ended_count: AtomicUsize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Bar,
    Lines,
    Silent,
}

impl<'a> RunProgress<'a> {
    pub(super) fn new(plan: &'a Plan, backends: &[Backend], quiet: bool) -> Self {
        let style = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Style::Silent,
            (false, true) => Style::Bar,
            (false, false) => Style::Lines,
        };
        let trials = plan.trials.iter().map(|trial| plan.point(trial));
        let trials =
            trials.flat_map(|point| backends.iter().map(|backend| trial_s(point, *backend)));
        let total_s = trials.sum();
        let total_count = plan.trials.len() * backends.len();
        let bar = ProgressBar::new(total_s);
        if style != Style::Bar {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        if let Ok(look) = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {msg}") {
            bar.set_style(look.progress_chars("=> "));
        }
        Self {
            plan,
            bar,
            style,
            done_s: Mutex::new(0),
            total_count,
            ended_count: AtomicUsize::new(0),
        }
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        match event {
            Event::Stage(trial, stage) => {
                let variant = &self.plan.variant(trial).name;
                let point = self.plan.point(trial);
                let label = &point.label;
                let count = self.plan.trials.len();
                let index = trial.index;
                let text = format!(
                    "trial {index} ({} of {count}) {variant} {label}: {}",
                    index + 1,
                    word(*stage)
                );
                let done_s = self.done_s();
                let inside_s = match stage {
                    Progress::Joining | Progress::Meshing | Progress::Probing => 0,
                    Progress::WarmUp => 1,
                    Progress::Measuring => seconds(point.warmup) + 1,
                    Progress::Draining | Progress::Collecting => {
                        seconds(point.warmup + point.duration) + 1
                    }
                };
                let left_s = self.bar.length().unwrap_or(0).saturating_sub(done_s + inside_s);
                self.bar.set_position(done_s + inside_s);
                let left = humantime::format_duration(Duration::from_secs(left_s));
                self.bar.set_message(format!("{text}, about {left} left"));
            }
            Event::Ended(ended) => {
                let done_s = self.done_s() + trial_s(self.plan.point(&ended.trial), ended.backend);
                if let Ok(mut done) = self.done_s.lock() {
                    *done = done_s;
                }
                self.bar.set_position(done_s);
                let row = &ended.row;
                let verdict = if row.valid { "valid" } else { "INVALID" };
                let notes = match row.notes.as_str() {
                    "" => String::new(),
                    notes => format!(" ({notes})"),
                };
                let line = format!(
                    "trial {} ({}, {} of {}) {} {}: {verdict}{notes}",
                    ended.trial.index,
                    ended.backend.name(),
                    ended.trial.index + 1,
                    self.plan.trials.len(),
                    row.variant,
                    row.point,
                );
                if ended.backend == Backend::Sim {
                    let ended_count = self.ended_count.fetch_add(1, Ordering::Relaxed) + 1;
                    self.bar.set_message(format!("{ended_count} of {} trials", self.total_count));
                    // There may be thousands, and nothing is to be told of a good one.
                    if row.valid && row.flags.is_empty() {
                        return;
                    }
                }
                match self.style {
                    Style::Bar => self.bar.println(line),
                    Style::Lines => eprintln!("{line}"),
                    Style::Silent => {}
                }
            }
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn done_s(&self) -> u64 {
        self.done_s.lock().map_or(0, |done| *done)
    }
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

/// About how long a trial takes; a simulated one next to nothing.
fn trial_s(point: &Point, backend: Backend) -> u64 {
    match backend {
        Backend::Sim => 1,
        Backend::Live => seconds(point.warmup + point.duration + point.probe.time + AROUND),
    }
}

const fn seconds(span: Span) -> u64 {
    span.0.div_ceil(1_000_000_000)
}
