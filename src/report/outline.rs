//! The lines of the tables: every point, variant and client region of a run, in the order of its file.

use std::collections::BTreeSet;

use super::table::Column;
use crate::experiment::plan::Plan;
use crate::experiment::sweep;
use crate::experiment::trial::Trial;
use crate::measure::OperationKind;
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
    /// The same in parts: the dotted path of each swept key, and its value here.
    pub settings: Vec<(String, String)>,
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
    /// The same of its reads.
    pub read_floors: Vec<Option<Floor>>,
    /// The same of its control operations.
    pub control_floors: Vec<Option<Floor>>,
}

impl Variant {
    /// The floor of a kind of operation of a client region, if it is known.
    pub fn floor(&self, client: usize, operation: OperationKind) -> Option<Floor> {
        match operation {
            OperationKind::Write => self.floors[client],
            OperationKind::Read => self.read_floors[client],
            OperationKind::Control => self.control_floors[client],
        }
    }

    /// The floors of a kind of operation, to be noted.
    pub(super) fn floors_mut(&mut self, operation: OperationKind) -> &mut [Option<Floor>] {
        match operation {
            OperationKind::Write => &mut self.floors,
            OperationKind::Read => &mut self.read_floors,
            OperationKind::Control => &mut self.control_floors,
        }
    }
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

    /// The names of the variants, in the order of the experiment; every point has them.
    pub fn variant_names(&self) -> Vec<&str> {
        let variants = self.points.first().map_or(&[][..], |point| &point.variants);
        variants.iter().map(|variant| variant.name.as_str()).collect()
    }

    /// A column for each swept key: its header is the end of its path that no other swept key has.
    pub fn columns(&self) -> Vec<Column> {
        let paths = self.swept();
        let all: BTreeSet<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let column = |path: &&str| {
            let header = sweep::short(path, &all);
            let mut values = self.points.iter().filter_map(|point| point.value(path));
            let is_number = values.all(|value| value.parse::<f64>().is_ok());
            if is_number { Column::number(header) } else { Column::name(header) }
        };
        paths.iter().map(column).collect()
    }

    /// The cells of a point in these columns; `-` for a key that is not swept there.
    pub fn cells(&self, point: usize) -> Vec<String> {
        let value = |path: &str| self.points[point].value(path).unwrap_or("-").to_owned();
        self.swept().into_iter().map(value).collect()
    }

    /// The paths of the swept keys, in the order of the points.
    fn swept(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = Vec::new();
        for (path, _) in self.points.iter().flat_map(|point| &point.settings) {
            if !paths.contains(&path.as_str()) {
                paths.push(path);
            }
        }
        paths
    }
}

impl Point {
    /// The value of a swept key, by its path.
    fn value(&self, path: &str) -> Option<&str> {
        let found = self.settings.iter().find(|(other, _)| other == path);
        found.map(|(_, value)| value.as_str())
    }
}

impl From<&Plan> for Outline {
    fn from(plan: &Plan) -> Self {
        let points = plan.points.iter().map(|point| Point {
            label: point.label.clone(),
            settings: point.settings.clone(),
            client_regions: point.links.client_regions.clone(),
            variants: point
                .variants
                .iter()
                .map(|variant| Variant {
                    name: variant.name.clone(),
                    q1: variant.quorums.phase1().min_size(),
                    q2: variant.quorums.phase2().min_size(),
                    floors: variant.floors.iter().copied().map(Some).collect(),
                    read_floors: variant.read_floors.iter().copied().map(Some).collect(),
                    control_floors: variant.control_floors.iter().copied().map(Some).collect(),
                })
                .collect(),
        });
        Self { points: points.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::Table;

    fn outline(settings: &[&[(&str, &str)]]) -> Outline {
        let point = |settings: &&[(&str, &str)]| {
            let owned = settings.iter().map(|(path, value)| ((*path).into(), (*value).into()));
            Point { settings: owned.collect(), ..Point::default() }
        };
        Outline { points: settings.iter().map(point).collect() }
    }

    #[test]
    fn a_swept_key_is_a_column_with_its_value_at_each_point() {
        let outline = outline(&[
            &[("workload.arrival.closed.clients", "16"), ("durability.mode", "fsync")],
            &[("workload.arrival.closed.clients", "128"), ("durability.mode", "memory")],
            // Of another grid.
            &[("durability.mode", "memory")],
        ]);
        let rows = (0..3).map(|point| outline.cells(point)).collect();
        let text = Table::new(outline.columns(), rows).to_string();
        // Numbers stand to the right.
        let expected = [
            "clients  mode",
            "───────────────",
            "     16  fsync",
            "    128  memory",
            "      -  memory",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn keys_with_the_same_end_have_longer_headers() {
        let outline = outline(&[&[("a.clients", "1"), ("b.clients", "2"), ("b.mode", "x")]]);
        let text = Table::new(outline.columns(), vec![outline.cells(0)]).to_string();
        assert_eq!(text.lines().next(), Some("a.clients  b.clients  mode"));
    }
}
