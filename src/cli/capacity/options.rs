//! What of an experiment and of the options makes no sense for a search: each is refused before anything starts,
//! with what to change.

use super::{Capacity, Choice};
use crate::cli::Failure;
use crate::experiment::file::{Assignment, Source};
use crate::experiment::plan::{Plan, Size};
use crate::run::capacity::held::OPERATIONS_MIN;
use crate::run::capacity::search::Bounds;
use crate::run::worlds;
use crate::time::Span;

/// A step that nobody gives a length is measured for no longer than this.
const DURATION_MAX: Span = Span::from_millis(3_000);

/// And runs for no longer than this before.
const WARMUP_MAX: Span = Span::from_millis(1_000);

/// A rate of the command line.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate <= 1e9);
    number.ok_or_else(|| "give operations a second, above 0 and at most 1e9".into())
}

/// A share of the command line.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    let share = number.map(|percent| percent / 100.0).filter(|it| (0.01..=1.0).contains(it));
    share.ok_or_else(|| "give a share from 1 % to 100 %, as `5%`".into())
}

impl Capacity {
    /// The experiment with the lengths of a step, and without trials of its own.
    pub(super) fn open(&self) -> Result<(Source, Plan), Failure> {
        let (mut source, size) = (Source::read(&self.experiment)?, Size::default());
        self.overrides.apply(&mut source, size)?;
        let plan = Plan::from_source(&source, size)?;
        check_load(&plan)?;
        let longest = |of: fn(&crate::experiment::plan::Point) -> Span| {
            plan.points.iter().map(of).max().unwrap_or(Span::ZERO)
        };
        let length = |given: Option<std::time::Duration>, most: Span, own: Span| {
            given.map(Span::from).or_else(|| (own > most).then_some(most))
        };
        let lengths = [
            ("workload.duration", self.step_duration, DURATION_MAX, longest(|it| it.duration)),
            ("workload.warmup", self.step_warmup, WARMUP_MAX, longest(|it| it.warmup)),
        ];
        let changes = lengths.into_iter().filter_map(|(key, given, most, own)| {
            let length = length(given, most, own)?;
            Some(format!("{key}=\"{}us\"", length.0 / 1_000).parse::<Assignment>())
        });
        let changes: Vec<Assignment> = changes.collect::<Result<_, _>>()?;
        source.set(&changes, false)?;
        let mut plan = Plan::from_source(&source, size)?;
        // Those of the file are at rates that may never be tried.
        plan.expectations.clear();
        plan.trials.clear();
        Ok((source, plan))
    }

    /// Where the search begins and ends.
    pub(super) fn bounds(&self, plan: &Plan) -> Result<Bounds, Failure> {
        let own = plan.points[0].rate_per_s().expect("an open loop has a rate");
        let (from_per_s, to_per_s) = (self.from.unwrap_or(own), self.to);
        if from_per_s > to_per_s {
            return Err(Failure::request(
                format!("the search would begin at {from_per_s}/s, above its end at {to_per_s}/s"),
                "lower --from, which is the rate of the experiment if absent, or raise --to",
            ));
        }
        if self.p99_max.is_some_and(|limit| limit.is_zero()) {
            return Err(Failure::request("`--p99-max 0s` is met by no rate", "give a longer time"));
        }
        let shortest = plan.points.iter().map(|point| point.duration).min().unwrap_or(Span::ZERO);
        let least_per_s = OPERATIONS_MIN as f64 * 1e3 / shortest.as_millis_f64();
        let operations = from_per_s * shortest.as_millis_f64() / 1e3;
        if from_per_s < least_per_s {
            return Err(Failure::request(
                format!(
                    "a step at {from_per_s}/s has {operations:.0} operations, and fewer than \
                     {OPERATIONS_MIN} show nothing"
                ),
                "raise --from, which is the rate of the experiment if absent, or --step-duration",
            ));
        }
        let (within, repeats) = (self.within, usize::from(self.repeats));
        Ok(Bounds { from_per_s, to_per_s, least_per_s, within, repeats })
    }

    /// The options that the steps depend on: a search that is resumed must have the same.
    pub(super) fn switches(&self, bounds: &Bounds) -> Vec<(&'static str, String)> {
        let p99_max = self.p99_max.map_or_else(
            || "absent".to_owned(),
            |limit| humantime::format_duration(limit).to_string(),
        );
        let achieved_only = if self.achieved_only { "given" } else { "absent" };
        vec![
            ("--from", bounds.from_per_s.to_string()),
            ("--to", bounds.to_per_s.to_string()),
            ("--within", format!("{}%", bounds.within * 100.0)),
            ("--repeats", bounds.repeats.to_string()),
            ("--p99-max", p99_max),
            ("--achieved-only", achieved_only.to_owned()),
        ]
    }

    /// Options about a world in which no trial runs.
    pub(super) fn check_options(&self) -> Result<(), Failure> {
        let (idle, backend, other) = match self.backend {
            Choice::Sim => (self.venue.of_live(), "sim", "live"),
            Choice::Live => (self.venue.of_simulated(), "live", "sim"),
        };
        let Some(name) = idle else { return Ok(()) };
        Err(Failure::request(
            format!("{name} has no effect with `--backend {backend}`"),
            format!("leave it out, or choose `--backend {other}`"),
        ))
    }

    /// Refuses what this world cannot run, and what it holds at any rate.
    pub(super) fn check_backend(&self, source: &Source, plan: &Plan) -> Result<(), Failure> {
        if self.backend == Choice::Live {
            if let Some(refused) = plan.needs_simulator() {
                return Err(source.refused(&refused).into());
            }
            let help = "nothing was started; `--backend sim` needs no network at all";
            return worlds::check_host(plan).map_err(|error| Failure::world(&error, help));
        }
        let is_endless = |point: &&crate::experiment::plan::Point| {
            // A sync covers whatever waits for it, and a checkpoint keeps nothing waiting.
            !point.sim.takes_processor_time() && !point.network.capacity().is_limited()
        };
        let Some(point) = plan.points.iter().find(is_endless) else { return Ok(()) };
        let at =
            if point.label.is_empty() { String::new() } else { format!(" at {}", point.label) };
        Err(Failure::request(
            format!(
                "a simulated replica holds every rate{at}: no message takes time, and no wire is limited"
            ),
            "say what work costs: `--set service.receive=20us`, a section [service], or `--calibration FILE` \
             with what `flexpaxos calibrate --out FILE` measured",
        ))
    }
}

/// Refuses an experiment that has no rate to search for.
fn check_load(plan: &Plan) -> Result<(), Failure> {
    if let Some(path) = plan.swept().into_iter().find(|path| path.starts_with("workload.arrival")) {
        return Err(Failure::request(
            format!("the experiment sweeps `{path}`, and a search chooses the rate itself"),
            "leave that key out of [sweep]; `flexpaxos run` runs the sweep as it is, and its figure `load` is \
             latency against throughput too",
        ));
    }
    if plan.points.iter().any(|point| point.rate_per_s().is_none()) {
        return Err(Failure::request(
            "the load is a closed loop, which asks for no more than is answered: it misses no rate",
            "search with an open loop: `--set 'workload.arrival={poisson={rate_per_s=1000}}'`; for a closed \
             loop let `run` sweep the clients, `workload.arrival.closed.clients = [1, 2, 4, 8]` in [sweep]",
        ));
    }
    if plan.has_faults() {
        return Err(Failure::request(
            "the experiment has faults, and while one lasts less is achieved than is offered, at any rate",
            "search without them: take [[fault]] out of a copy of the file",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_shares_are_read_with_their_bounds() {
        assert_eq!((rate("12.5"), rate("1e6")), (Ok(12.5), Ok(1e6)));
        for wrong in ["0", "-1", "fast", "2e9", "NaN", "inf", ""] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!((percent("5%"), percent("100%")), (Ok(0.05), Ok(1.0)));
        for wrong in ["5", "0.5%", "101%", "%", "-5%", "NaN%"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }
}
