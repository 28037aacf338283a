//! A front as CSV and JSON.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::cli::Failure;
use crate::planner::objective::NEVER;
use crate::planner::{Found, Objective, Row, Search};

/// The names of the figures, with their units.
const FIGURES: [(Objective, &str); 13] = [
    (Objective::Commit, "commit_ns_mean"),
    (Objective::P50, "commit_ns_p50"),
    (Objective::P99, "commit_ns_p99"),
    (Objective::Takeover, "takeover_ns_max"),
    (Objective::TakeoverMean, "takeover_ns_mean"),
    (Objective::TakeoverBest, "takeover_ns_min"),
    (Objective::AfterLoss, "after_loss_ns_mean"),
    (Objective::Phase1Nodes, "phase1_survives_nodes"),
    (Objective::Phase2Nodes, "phase2_survives_nodes"),
    (Objective::Phase1Regions, "phase1_survives_regions"),
    (Objective::Phase2Regions, "phase2_survives_regions"),
    (Objective::Load, "load"),
    (Objective::Messages, "message_count"),
];

/// A figure; nothing of what never ends, and of what there is not.
fn figure(search: &Search<'_>, row: &Row, objective: Objective) -> Option<Value> {
    let is_led = search.proposers.are_led;
    let is_there =
        if is_led { objective != Objective::AfterLoss } else { !objective.is_takeover() };
    let cost = row.costs[objective.place()];
    if !is_there || (objective.is_time() && cost == NEVER) {
        return None;
    }
    Some(match objective {
        _ if objective.is_time() => json!(cost),
        Objective::Load => json!(objective.value(cost)),
        _ => json!(objective.words(cost).parse::<u64>().unwrap_or_default()),
    })
}

/// A row for each value of the front.
pub(super) fn csv(search: &Search<'_>, found: &Found, out: &mut dyn Write) -> Result<(), Failure> {
    let mut table = csv::Writer::from_writer(out);
    let names = ["row", "alike_count", "n", "protocol", "system", "quorums", "leader", "replicas"];
    table.write_record(names.into_iter().chain(FIGURES.map(|(_, name)| name)))?;
    for (number, row) in (1_usize..).zip(&found.rows) {
        let mut cells = vec![
            number.to_string(),
            row.count.to_string(),
            row.replicas().len().to_string(),
            search.proposers.protocol.to_owned(),
            row.described.to_string(),
            row.described.toml(),
            row.leader.map_or_else(String::new, |leader| row.name(leader)),
            row.replicas().join(";"),
        ];
        let figures = FIGURES.map(|(objective, _)| figure(search, row, objective));
        cells.extend(figures.map(|it| it.map_or_else(String::new, |value| value.to_string())));
        table.write_record(cells)?;
    }
    table.flush()?;
    Ok(())
}

/// What was searched, and the front.
pub(super) fn json(search: &Search<'_>, found: &Found, out: &mut dyn Write) -> Result<(), Failure> {
    let space = search.space;
    let clients = space.client_regions().iter().zip(space.weights());
    let clients: Vec<Value> =
        clients.map(|(region, weight)| json!({ "region": region, "weight": weight })).collect();
    let limits = search.rules.limits.iter().map(|limit| {
        let value = limit.objective.value(limit.most);
        let unit = if limit.objective.is_time() { "ms" } else { "" };
        json!({ "name": limit.objective.name(), "value": value, "unit": unit })
    });
    let names = |list: Vec<&'static str>| json!(list);
    let rows: Vec<Value> = (1_usize..).zip(&found.rows).map(|it| row(search, it)).collect();
    let value = json!({
        "profile": space.profile().name(),
        "jitter": if space.varies() { "profile" } else { "none" },
        "protocol": search.proposers.protocol,
        "regions": space.regions(),
        "region_counts": space.sizes(),
        "clients": clients,
        "families": names(search.families.iter().map(|it| it.name()).collect()),
        "objectives": names(search.rules.objectives.iter().map(|it| it.name()).collect()),
        "limits": limits.collect::<Vec<_>>(),
        "placement_count": found.placements.to_string(),
        "point_count": found.points.to_string(),
        "rows": rows,
    });
    writeln!(out, "{value:#}")?;
    Ok(())
}

fn row(search: &Search<'_>, (number, row): (usize, &Row)) -> Value {
    let figures = FIGURES.map(|(objective, name)| {
        (name.to_owned(), figure(search, row, objective).unwrap_or(Value::Null))
    });
    let clients = search.space.client_regions().iter().zip(&row.floors);
    let clients: Vec<Value> = clients
        .map(|(region, floor)| {
            json!({ "region": region, "floor_ns_p50": floor.p50.0, "floor_ns_p99": floor.p99.0 })
        })
        .collect();
    json!({
        "row": number,
        "alike_count": row.count,
        "system": row.described.to_string(),
        "quorums": row.described.toml(),
        "leader": row.leader.map(|leader| row.name(leader)),
        "replicas": row.replicas(),
        "figures": Value::Object(figures.into_iter().collect::<Map<_, _>>()),
        "clients": clients,
    })
}
