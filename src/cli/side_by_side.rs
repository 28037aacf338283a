//! The table of a run in both worlds: predicted, simulated and measured beside one another.

use comfy_table::Table;

use super::comparison::{line_name, merged, milliseconds};
use super::table::table;
use crate::experiment::backend::Backend;
use crate::experiment::plan::Plan;
use crate::experiment::run::Finished;
use crate::measure::{Latencies, Summary};
use crate::topology::Floor;

/// A measured median that is farther from the simulated one than this is marked.
const NEAR: f64 = 0.05;

/// One line for every point, variant and client region that ran in both worlds.
pub(super) fn side_by_side(plan: &Plan, finished: &[Finished]) -> Table {
    let mut rows = Vec::new();
    for (point_index, point) in plan.points.iter().enumerate() {
        for (variant_index, variant) in point.variants.iter().enumerate() {
            for (client, region) in point.links.client_regions.iter().enumerate() {
                let writes = |backend| {
                    let is_of = |ended: &&Finished| {
                        let Finished { trial, row, .. } = ended;
                        (trial.point, trial.variant, ended.backend)
                            == (point_index, variant_index, backend)
                            && row.valid
                    };
                    merged(finished.iter().filter(is_of), client).0
                };
                let name = line_name(&variant.name, &point.label);
                let worlds = [writes(Backend::Sim), writes(Backend::Live)];
                rows.push(row(name, region.clone(), variant.floors[client], &worlds));
            }
        }
    }
    let header = [
        "variant",
        "client",
        "p50 floor",
        "p50 sim",
        "p50 live",
        "live/sim",
        "p99 floor",
        "p99 sim",
        "p99 live",
    ];
    table(&header, &[2, 3, 4, 5, 6, 7, 8], &rows)
}

fn row(name: String, region: String, floor: Floor, worlds: &[Latencies; 2]) -> Vec<String> {
    let [sim, live] = worlds.each_ref().map(Summary::of);
    let difference = match (sim.p50, live.p50) {
        (Some(sim), Some(live)) if sim > 0 => {
            let share = (live as f64 - sim as f64) / sim as f64;
            let mark = if share.abs() > NEAR { " !" } else { "" };
            format!("{:+.2} %{mark}", share * 100.0)
        }
        _ => "-".into(),
    };
    vec![
        name,
        region,
        milliseconds(Some(floor.p50.0)),
        milliseconds(sim.p50),
        milliseconds(live.p50),
        difference,
        milliseconds(Some(floor.p99.0)),
        milliseconds(sim.p99),
        milliseconds(live.p99),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    fn all(span: Span) -> Latencies {
        let mut latencies = Latencies::new();
        latencies.record(span);
        latencies
    }

    #[test]
    fn a_median_that_is_far_from_the_simulated_one_is_marked() {
        let ms = Span::from_millis;
        let difference = |sim, live| {
            row("multi".into(), "a".into(), Floor::default(), &[all(ms(sim)), all(ms(live))])[5]
                .clone()
        };
        assert!(difference(100, 102).starts_with("+2.0"), "{}", difference(100, 102));
        assert!(!difference(100, 102).contains('!'));
        assert!(difference(100, 106).ends_with('!') && difference(100, 90).ends_with('!'));
        let nothing =
            row("multi".into(), "a".into(), Floor::default(), &[all(ms(1)), Latencies::new()]);
        assert_eq!(nothing[5], "-");
    }
}
