//! The plan for other programs: floors as comma-separated values, and all of it as JSON.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::words;
use crate::cli::Failure;
use crate::experiment::file::Source;
use crate::experiment::plan::{Plan, Point, Variant};
use crate::run::configuration;

/// A point, a variant and a client region, with the floor of that region.
fn row(point: &Point, variant: &Variant, client: usize) -> Vec<(String, Value)> {
    let regions = &point.links.client_regions;
    let (floor, read_floor) = (variant.floors[client], variant.read_floors[client]);
    let asked = variant.mode.asked().map(|asked| point.region(asked));
    let mut row = vec![("point".to_owned(), json!(point.label))];
    row.extend(point.settings.iter().map(|(path, value)| (path.clone(), json!(value))));
    let others = [
        ("variant", json!(variant.name)),
        ("protocol", json!(variant.mode.name())),
        ("n", json!(point.links.replica_regions.len())),
        ("q1", json!(variant.quorums.phase1().min_size())),
        ("q2", json!(variant.quorums.phase2().min_size())),
        ("send", json!(words::send(variant.send))),
        ("asked_first", json!(asked.unwrap_or_default())),
        ("client_region", json!(regions[client])),
        ("load_share", json!(point.workload.part(client, regions.len()))),
        ("floor_ns_p50", json!(floor.p50.0)),
        ("floor_ns_p99", json!(floor.p99.0)),
        ("read_floor_ns_p50", json!(read_floor.p50.0)),
        ("read_floor_ns_p99", json!(read_floor.p99.0)),
    ];
    row.extend(others.into_iter().map(|(name, value)| (name.to_owned(), value)));
    row
}

/// All rows; those of a sweep have a column for each swept key.
fn rows(plan: &Plan) -> Vec<Vec<(String, Value)>> {
    let mut rows = Vec::new();
    for point in &plan.points {
        let clients = 0..point.links.client_regions.len();
        for variant in &point.variants {
            rows.extend(clients.clone().map(|client| row(point, variant, client)));
        }
    }
    rows
}

/// Writes the table of points, variants and client regions.
pub(super) fn csv(plan: &Plan, out: &mut dyn Write) -> Result<(), Failure> {
    let rows = rows(plan);
    let mut columns: Vec<&str> = Vec::new();
    // Grids of a union may sweep other keys; those come behind the ones before them.
    for row in &rows {
        let mut place = 0;
        for (name, _) in row {
            if let Some(found) = columns.iter().position(|column| column == name) {
                place = found + 1;
            } else {
                columns.insert(place, name);
                place += 1;
            }
        }
    }
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(&columns)?;
    for row in &rows {
        let cell = |column: &&str| {
            let found = row.iter().find(|(name, _)| name == column);
            found.map_or_else(String::new, |(_, value)| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
        };
        writer.write_record(columns.iter().map(cell))?;
    }
    Ok(writer.flush()?)
}

/// Writes all that is planned: the table, the warnings, and the settings as a run would record them.
pub(super) fn json(
    source: &Source,
    plan: &Plan,
    warnings: &[String],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let floors: Vec<Map<String, Value>> =
        rows(plan).into_iter().map(|row| row.into_iter().collect()).collect();
    let whole = json!({
        "experiment": source.name(),
        "question": plan.question,
        "prediction": plan.prediction,
        "trial_count": plan.trials.len(),
        "expected_time_ns": plan.expected_time().0,
        "warnings": warnings,
        "floors": floors,
        "configuration": configuration::of_plan(plan),
    });
    writeln!(out, "{whole:#}")?;
    Ok(())
}
