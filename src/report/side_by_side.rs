//! The table of a run in both worlds: predicted, simulated and measured beside one another.

use comfy_table::Table;

use super::comparison::{has_reads, line_name, merged};
use super::outline::Outline;
use super::table::{figure, milliseconds, table};
use crate::findings::Finished;
use crate::measure::{Figure, Latencies, OperationKind};
use crate::topology::Floor;
use crate::trial::Backend;

/// A measured median that is farther from the simulated one than this is marked.
const NEAR: f64 = 0.05;

/// One line for every point, variant, client region and kind of operation that ran in both worlds.
pub fn side_by_side(plan: &Outline, finished: &[Finished]) -> Table {
    let kinds: &[OperationKind] =
        if has_reads(finished) { &OperationKind::ALL } else { &[OperationKind::Write] };
    let mut rows = Vec::new();
    for (point_index, point) in plan.points.iter().enumerate() {
        for (variant_index, variant) in point.variants.iter().enumerate() {
            for (client, region) in point.client_regions.iter().enumerate() {
                for operation in kinds {
                    let of_world = |backend| {
                        let is_of = |ended: &&Finished| {
                            let Finished { trial, row, .. } = ended;
                            (trial.point, trial.variant, ended.backend)
                                == (point_index, variant_index, backend)
                                && row.valid
                        };
                        merged(finished.iter().filter(is_of), client, *operation, false).0
                    };
                    let mut name = line_name(&variant.name, &point.label);
                    if kinds.len() > 1 {
                        name = format!("{name} {}", operation.name());
                    }
                    let worlds = [of_world(Backend::Sim), of_world(Backend::Live)];
                    rows.push(row(name, region.clone(), variant.floors[client], &worlds));
                }
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

fn row(name: String, region: String, floor: Option<Floor>, worlds: &[Latencies; 2]) -> Vec<String> {
    let [sim50, live50] = worlds.each_ref().map(|latencies| latencies.percentile(0.5));
    let [sim99, live99] = worlds.each_ref().map(|latencies| latencies.percentile(0.99));
    vec![
        name,
        region,
        milliseconds(floor.map(|floor| floor.p50.0)),
        figure(sim50),
        figure(live50),
        difference(sim50, live50),
        milliseconds(floor.map(|floor| floor.p99.0)),
        figure(sim99),
        figure(live99),
    ]
}

/// How far the measured median is from the simulated one; one that is known in one world alone is far.
fn difference(sim: Option<Figure>, live: Option<Figure>) -> String {
    match (sim, live) {
        (Some(Figure::Known(sim)), Some(Figure::Known(live))) if sim.0 > 0 => {
            let share = (live.0 as f64 - sim.0 as f64) / sim.0 as f64;
            let mark = if share.abs() > NEAR { " !" } else { "" };
            format!("{:+.2} %{mark}", share * 100.0)
        }
        (Some(Figure::Known(_)), Some(Figure::Above(_)))
        | (Some(Figure::Above(_)), Some(Figure::Known(_))) => "- !".into(),
        _ => "-".into(),
    }
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
            row("multi".into(), "a".into(), Some(Floor::default()), &[all(ms(sim)), all(ms(live))])
                [5]
            .clone()
        };
        assert!(difference(100, 102).starts_with("+2.0"), "{}", difference(100, 102));
        assert!(!difference(100, 102).contains('!'));
        assert!(difference(100, 106).ends_with('!') && difference(100, 90).ends_with('!'));
        let nothing = row(
            "multi".into(),
            "a".into(),
            Some(Floor::default()),
            &[all(ms(1)), Latencies::new()],
        );
        assert_eq!(nothing[5], "-");
        let mut lost = Latencies::new();
        lost.record_unanswered(ms(900));
        let lost = row("multi".into(), "a".into(), Some(Floor::default()), &[all(ms(1)), lost]);
        assert!(lost[4].starts_with('>') && lost[5] == "- !", "{lost:?}");
    }
}
