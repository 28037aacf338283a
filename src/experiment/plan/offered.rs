//! Rates that no file names: a plan that grows by one trial after the other.

use super::{Plan, Point};
use crate::experiment::trial::Trial;
use crate::workload::Arrival;

impl Plan {
    /// The same experiment without a point, a trial and a prediction: what a search adds trials to.
    #[must_use]
    pub fn without_trials(&self) -> Self {
        let (expectations, points, trials) = (Vec::new(), Vec::new(), Vec::new());
        Self { expectations, points, trials, ..self.clone() }
    }

    /// Adds a trial of a variant at this rate; what else it runs with is of the point `at`, whose load must be
    /// an open loop.
    ///
    /// It has the seed that this repeat of an experiment has, so the same repeat of two variants faces the same
    /// chance.
    pub fn offer(&mut self, at: &Point, rate_per_s: f64, variant: usize, repeat: usize) -> Trial {
        let offered = at.offering(rate_per_s);
        let known = self.points.iter().position(|point| point.label == offered.label);
        let point = known.unwrap_or_else(|| {
            self.points.push(offered);
            self.points.len() - 1
        });
        let trial = Trial::after(self.trials.len(), [point, variant, repeat], self.seed);
        self.trials.push(trial);
        trial
    }
}

impl Point {
    /// Operations a second over all clients; `None` for a closed loop, which offers nothing by itself.
    pub const fn rate_per_s(&self) -> Option<f64> {
        match self.workload.arrival {
            Arrival::Poisson { rate_per_s } | Arrival::Fixed { rate_per_s } => Some(rate_per_s),
            Arrival::Closed { .. } => None,
        }
    }

    /// The same at another rate, as if that were swept.
    fn offering(&self, rate_per_s: f64) -> Self {
        let mut point = self.clone();
        let (arrival, kind) = match self.workload.arrival {
            Arrival::Poisson { .. } => (Arrival::Poisson { rate_per_s }, "poisson"),
            Arrival::Fixed { .. } => (Arrival::Fixed { rate_per_s }, "fixed"),
            Arrival::Closed { .. } => panic!("a closed loop has no rate"),
        };
        point.workload.arrival = arrival;
        let name = format!("rate_per_s={rate_per_s}");
        point.label = match self.label.as_str() {
            "" => name,
            label => format!("{label} {name}"),
        };
        let path = format!("workload.arrival.{kind}.rate_per_s");
        point.settings.push((path, rate_per_s.to_string()));
        point
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan::Size;
    use crate::experiment::testing::{GOOD, source};

    #[test]
    fn a_rate_that_is_offered_is_a_point_as_if_it_were_swept() {
        let sweep = "[sweep]\nworkload.reads = [0.0, 0.5]\n[durability]";
        let text = GOOD.replace("[durability]", sweep);
        let plan = Plan::from_source(&source(&text), Size::default()).unwrap();
        let mut grown = plan.without_trials();
        assert_eq!((grown.points.len(), grown.trials.len()), (0, 0));
        let [one, other] = [&plan.points[0], &plan.points[1]];
        let first = grown.offer(one, 250.5, 0, 0);
        let again = grown.offer(one, 250.5, 0, 1);
        let elsewhere = grown.offer(other, 250.5, 0, 0);
        assert_eq!([first, again, elsewhere].map(|trial| trial.point), [0, 0, 1]);
        assert_eq!([first, again, elsewhere].map(|trial| trial.index), [0, 1, 2]);
        assert_eq!(grown.points[0].label, "reads=0.0 rate_per_s=250.5");
        assert_eq!(grown.points[0].rate_per_s(), Some(250.5));
        assert_eq!(grown.points[0].variants, plan.points[0].variants);
        let setting = grown.points[0].settings.last().unwrap();
        assert_eq!(setting.0, "workload.arrival.poisson.rate_per_s");
        assert_eq!(setting.1, "250.5");
        // The seeds of the experiment: one for each repeat, whatever the point.
        assert_eq!((first.seed, elsewhere.seed), (plan.trials[0].seed, first.seed));
        assert_ne!(again.seed, first.seed);
    }
}
