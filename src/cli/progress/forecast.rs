//! How long the rest of a run takes: the lengths that the plan gives, and what trials took beyond them so far.
//!
//! A live trial takes its warm-up and its window, and then what starting, measuring the links, draining and
//! checking take. The last is known once a trial ended; before that it is guessed from the plan.

use std::time::Duration;

use crate::cluster::Progress;
use crate::experiment::plan::{Plan, Point};
use crate::experiment::trial::Trial;
use crate::time::Span;
use crate::trial::Backend;

/// A guess: members start, join, connect and stop, and the trial is checked.
const STARTING: Span = Span::from_millis(3_000);

/// A guess: outstanding operations return, members stop, and the trial is checked.
const STOPPING: Span = Span::from_millis(1_000);

/// A guess: one simulated trial.
const SIMULATING: Span = Span::from_millis(1_000);

/// The trials that did not end yet, and what those that did end took.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Forecast {
    sim: Pace,
    live: Pace,
}

/// The time until a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Left {
    /// About how long.
    pub(super) expected: Duration,
    /// The part of it that does not begin before the trial that runs now has ended.
    pub(super) least: Duration,
}

impl Left {
    /// About so long, and nothing is known of its parts.
    pub(in crate::cli) const fn about(expected: Duration) -> Self {
        Self { expected, least: Duration::ZERO }
    }
}

/// The trials of one world.
#[derive(Clone, Debug, Default)]
struct Pace {
    open_count: u32,
    /// The warm-ups and windows of the open ones: real time, so nothing of a simulated trial.
    open_windows: Duration,
    /// What each takes beyond that, as long as none ended; the sum over the open ones.
    open_guess: Duration,
    ended_count: u32,
    /// What those that ended took beyond their warm-ups and windows.
    extra: Duration,
}

impl Forecast {
    /// The rest of a run of which these trials are open; with `probes` links are measured before live ones.
    pub(in crate::cli) fn of<'a>(
        plan: &Plan,
        open: impl IntoIterator<Item = (&'a Trial, Backend)>,
        probes: bool,
    ) -> Self {
        let mut forecast = Self::default();
        for (trial, backend) in open {
            let point = plan.point(trial);
            let guess = match backend {
                Backend::Sim => SIMULATING,
                Backend::Live if probes => STARTING + point.probe.attempt_time(link_count(point)),
                Backend::Live => STARTING,
            };
            let pace = forecast.pace(backend);
            pace.open_count += 1;
            pace.open_windows += window(point, backend);
            pace.open_guess += Duration::from(guess);
        }
        forecast
    }

    /// The time until the last trial ends, if one begins now.
    pub(in crate::cli) fn left(&self) -> Duration {
        self.sim.left() + self.live.left()
    }

    /// How many trials are open.
    pub(in crate::cli) const fn open_count(&self, backend: Backend) -> usize {
        match backend {
            Backend::Sim => self.sim.open_count as usize,
            Backend::Live => self.live.open_count as usize,
        }
    }

    /// The time until the last trial ends, if a live one at this point comes to this stage now; `None` between
    /// its beginning and its warm-up, when a stage says nothing new.
    pub(super) fn left_from(&self, point: &Point, stage: Progress) -> Option<Left> {
        let mut others = self.clone();
        others.live.leave(window(point, Backend::Live));
        let least = others.left();
        let rest = match stage {
            Progress::Joining => {
                let least = least + window(point, Backend::Live);
                return Some(Left { expected: self.left(), least });
            }
            Progress::Meshing | Progress::Probing => return None,
            Progress::WarmUp => point.warmup + point.duration + STOPPING,
            Progress::Measuring => point.duration + STOPPING,
            Progress::Draining | Progress::Collecting => STOPPING,
        };
        Some(Left { expected: least + Duration::from(rest), least })
    }

    /// A trial at this point ended, so long after the one before.
    pub(super) fn end(&mut self, point: &Point, backend: Backend, took: Duration) {
        let window = window(point, backend);
        let pace = self.pace(backend);
        pace.leave(window);
        pace.ended_count += 1;
        pace.extra += took.saturating_sub(window);
    }

    const fn pace(&mut self, backend: Backend) -> &mut Pace {
        match backend {
            Backend::Sim => &mut self.sim,
            Backend::Live => &mut self.live,
        }
    }
}

impl Pace {
    fn left(&self) -> Duration {
        let extra = match self.ended_count {
            0 => self.open_guess,
            ended => self.extra / ended * self.open_count,
        };
        self.open_windows + extra
    }

    /// One of the open ones is open no more.
    fn leave(&mut self, window: Duration) {
        let guess = self.open_guess / self.open_count.max(1);
        self.open_guess = self.open_guess.saturating_sub(guess);
        self.open_count = self.open_count.saturating_sub(1);
        self.open_windows = self.open_windows.saturating_sub(window);
    }
}

/// The part of a trial whose length the plan gives; a simulated one takes next to nothing of it.
fn window(point: &Point, backend: Backend) -> Duration {
    match backend {
        Backend::Sim => Duration::ZERO,
        Backend::Live => (point.warmup + point.duration).into(),
    }
}

/// The directed links of a trial: between any two replicas, and between each client and each replica.
fn link_count(point: &Point) -> usize {
    let (replicas, clients) = (point.links.replica_regions.len(), point.links.client_regions.len());
    replicas * replicas.saturating_sub(1) + 2 * replicas * clients
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::experiment::file::Source;
    use crate::experiment::plan::Size;

    /// Four trials of two seconds of warm-up and three of a window.
    fn plan() -> Plan {
        let text = r#"
question = "Which?"
prediction = "That."
trials = 4

[topology]
profile = "uniform:20ms"
replicas = ["a", "b", "c"]
clients = ["a"]

[workload]
arrival = { poisson = { rate_per_s = 100 } }
warmup = "2s"
duration = "3s"

[[variant]]
name = "multi"
protocol = { multi = { leader = "a" } }
quorums = { majority = {} }
"#;
        let source = Source { path: PathBuf::from("made-up.toml"), text: text.into() };
        Plan::from_source(&source, Size::default()).unwrap()
    }

    fn seconds(duration: Duration) -> f64 {
        duration.as_secs_f64()
    }

    #[test]
    fn before_the_first_trial_starting_and_the_probe_are_guessed() {
        let plan = plan();
        let live = || plan.trials.iter().map(|trial| (trial, Backend::Live));
        let unprobed = Forecast::of(&plan, live(), false);
        assert!((seconds(unprobed.left()) - 4.0 * (5.0 + 3.0)).abs() < 0.01, "{unprobed:?}");
        // Twelve links: 167 rounds of 12 ms, and a quarter of them more for the baseline.
        let probed = Forecast::of(&plan, live(), true);
        let probe = (seconds(probed.left()) - seconds(unprobed.left())) / 4.0;
        assert!((2.4..2.6).contains(&probe), "{probe}");
        assert_eq!((probed.open_count(Backend::Live), probed.open_count(Backend::Sim)), (4, 0));
    }

    #[test]
    fn what_trials_took_beyond_their_windows_is_learnt() {
        let plan = plan();
        let point = &plan.points[0];
        let live = plan.trials.iter().map(|trial| (trial, Backend::Live));
        let mut forecast = Forecast::of(&plan, live, true);
        forecast.end(point, Backend::Live, Duration::from_secs(15));
        assert_eq!(forecast.left(), Duration::from_secs(3 * 15));
        forecast.end(point, Backend::Live, Duration::from_secs(25));
        assert_eq!(forecast.left(), Duration::from_secs(2 * 20));
        // Of the third trial only its window and its end are left.
        assert_eq!(forecast.left_from(point, Progress::Probing), None);
        let s = Duration::from_secs;
        let left = |expected, least| Some(Left { expected: s(expected), least: s(least) });
        assert_eq!(forecast.left_from(point, Progress::Measuring), left(20 + 3 + 1, 20));
        // However long its probe takes, its window and the last trial follow.
        assert_eq!(forecast.left_from(point, Progress::Joining), left(40, 20 + 5));
        forecast.end(point, Backend::Live, Duration::from_secs(20));
        forecast.end(point, Backend::Live, Duration::from_secs(20));
        assert_eq!(forecast.left(), Duration::ZERO);
    }

    #[test]
    fn simulated_trials_have_a_pace_of_their_own() {
        let plan = plan();
        let of = |backend| plan.trials.iter().map(move |trial| (trial, backend));
        let mut forecast = Forecast::of(&plan, of(Backend::Sim).chain(of(Backend::Live)), false);
        assert_eq!(forecast.left(), Duration::from_secs(4 + 4 * 8));
        for _ in 0..2 {
            forecast.end(&plan.points[0], Backend::Sim, Duration::from_millis(100));
        }
        assert_eq!(forecast.left(), Duration::from_millis(200 + 32_000));
    }
}
