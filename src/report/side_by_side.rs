//! The table of a run in both worlds: predicted, simulated and measured beside one another.

use super::comparison::{kinds, merged};
use super::outline::Outline;
use super::table::{self, Column, Table, Width, figure, milliseconds};
use crate::findings::Finished;
use crate::measure::{Figure, Latencies};
use crate::topology::Floor;
use crate::trial::Backend;

/// A measured median that is farther from the simulated one than this is marked.
const NEAR: f64 = 0.05;

/// A share that is greater than this is not printed: the simulated median is next to nothing.
const SHARE_MAX: f64 = 10.0;

/// One line for every point, variant, client region and kind of operation that ran in both worlds.
pub fn side_by_side(plan: &Outline, finished: &[Finished]) -> Table {
    let kinds = kinds(finished);
    let mut rows = Vec::new();
    for (point_index, point) in plan.points.iter().enumerate() {
        for (variant_index, variant) in point.variants.iter().enumerate() {
            for (client, region) in point.client_regions.iter().enumerate() {
                for operation in &kinds {
                    let of_world = |backend| {
                        let is_of = |ended: &&Finished| {
                            let Finished { trial, row, .. } = ended;
                            (trial.point, trial.variant, ended.backend)
                                == (point_index, variant_index, backend)
                                && row.valid
                        };
                        merged(finished.iter().filter(is_of), client, *operation, false).0
                    };
                    let names = [&variant.name, region, operation.name()].map(str::to_owned);
                    let worlds = [of_world(Backend::Sim), of_world(Backend::Live)];
                    let figures = row(variant.floor(client, *operation), &worlds);
                    rows.push([plan.cells(point_index), names.into(), figures].concat());
                }
            }
        }
    }
    let columns = [
        Column::name("variant"),
        Column::name("client"),
        Column::text("op").only_if(kinds.len() > 1),
        Column::number("p50 floor").rank(2),
        Column::number("p50 sim"),
        Column::number("p50 live"),
        Column::number("live/sim"),
        Column::number("p99 floor").rank(1),
        Column::number("p99 sim").rank(3),
        Column::number("p99 live").rank(4),
    ];
    Table::new(plan.columns().into_iter().chain(columns).collect(), rows)
}

/// What the columns mean.
pub fn legend(width: Width) -> String {
    table::legend(
        "latencies in ms: the least that the network allows (floor), simulated, and measured; live/sim: how \
         far the measured median is from the simulated one (!: by more than 5 %)",
        width,
    )
}

/// The figures of one line.
fn row(floor: Option<Floor>, worlds: &[Latencies; 2]) -> Vec<String> {
    let [sim50, live50] = worlds.each_ref().map(|latencies| latencies.percentile(0.5));
    let [sim99, live99] = worlds.each_ref().map(|latencies| latencies.percentile(0.99));
    vec![
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
            if share > SHARE_MAX {
                return format!(">+{:.0} %{mark}", SHARE_MAX * 100.0);
            }
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
        let of = |worlds: [Latencies; 2]| row(Some(Floor::default()), &worlds);
        let difference = |sim, live| of([all(ms(sim)), all(ms(live))])[3].clone();
        assert!(difference(100, 102).starts_with("+2.0"), "{}", difference(100, 102));
        assert!(!difference(100, 102).contains('!'));
        assert!(difference(100, 106).ends_with('!') && difference(100, 90).ends_with('!'));
        assert_eq!(difference(1, 100), ">+1000 % !");
        assert_eq!(of([all(ms(1)), Latencies::new()])[3], "-");
        let mut lost = Latencies::new();
        lost.record_unanswered(ms(900));
        let lost = of([all(ms(1)), lost]);
        assert!(lost[2].starts_with('>') && lost[3] == "- !", "{lost:?}");
    }
}
