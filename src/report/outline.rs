//! The lines of the tables: every point, variant and client region of a run, in the order of its file.

use crate::experiment::plan::Plan;
use crate::experiment::trial::Trial;
use crate::topology::Floor;

/// The points of a run.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// In the order of the plan; [`Trial::point`] is a position in it.
    pub points: Vec<Point>,
}

/// One combination of settings.
#[derive(Clone, Debug, Default)]
pub struct Point {
    /// What is swept, and its values here; empty if nothing is swept.
    pub label: String,
    /// The regions of the clients.
    pub client_regions: Vec<String>,
    /// Its variants; [`Trial::variant`] is a position in it.
    pub variants: Vec<Variant>,
}

/// One variant at one point.
#[derive(Clone, Debug, Default)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// The least number of acceptors in a phase-1 quorum.
    pub q1: usize,
    /// The least number of acceptors in a phase-2 quorum.
    pub q2: usize,
    /// The floor of each client region; `None` where it is not known.
    pub floors: Vec<Option<Floor>>,
}

impl Outline {
    /// The point of a trial.
    pub fn point(&self, trial: &Trial) -> &Point {
        &self.points[trial.point]
    }

    /// The variant of a trial.
    pub fn variant(&self, trial: &Trial) -> &Variant {
        &self.point(trial).variants[trial.variant]
    }
}

impl From<&Plan> for Outline {
    fn from(plan: &Plan) -> Self {
        let points = plan.points.iter().map(|point| Point {
            label: point.label.clone(),
            client_regions: point.links.client_regions.clone(),
            variants: point
                .variants
                .iter()
                .map(|variant| Variant {
                    name: variant.name.clone(),
                    q1: variant.quorums.phase1().min_size(),
                    q2: variant.quorums.phase2().min_size(),
                    floors: variant.floors.iter().copied().map(Some).collect(),
                })
                .collect(),
        });
        Self { points: points.collect() }
    }
}
