//! What is printed of a search.

use std::io::{self, Write};

use crate::cli::Failure;
use crate::planner::relax::Relaxed;
use crate::planner::{Found, Limit, Objective, Row, Search, Space};
use crate::protocol::SendPolicy;
use crate::report::table::{Column, Table, Width, counted, fold, legend};

/// How many replicas a placement of so many regions has.
pub(super) fn replica_count(space: &Space, size: usize) -> usize {
    space.replica_sets(size).iter().map(|set| set.len()).sum()
}

/// A number with commas: `3,162,510`.
pub(super) fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints the front.
pub(super) fn print(
    search: &Search<'_>,
    found: &Found,
    width: Width,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (name, text) in head(search, found) {
        writeln!(out, "{name:<12}{}", fold(&text, 12))?;
    }
    writeln!(out, "\n{}", table(search, found).fit(width))?;
    writeln!(out, "{}", legend(&key(search), width))?;
    writeln!(out, "\nreplicas of each row")?;
    for (number, row) in (1..).zip(&found.rows) {
        writeln!(out, "{number:>3}  {}", fold(&row.replicas().join(", "), 5))?;
    }
    Ok(())
}

fn head(search: &Search<'_>, found: &Found) -> Vec<(&'static str, String)> {
    let space = search.space;
    let systems: usize = found.systems.iter().sum();
    let sizes: Vec<String> = space.sizes().iter().map(ToString::to_string).collect();
    let point = if search.proposers.are_led { "leader and system" } else { "system" };
    let searched = format!(
        "{} of {} of {}: {} with {} make {} points, one for each placement, {point}",
        counted_large(found.placements, "placement"),
        sizes.join(" or "),
        counted(space.regions().len(), "region"),
        if search.proposers.are_led { "every leader" } else { "one proposer for each client" },
        counted(systems, "quorum system"),
        grouped(found.points),
    );
    let jitter = if space.varies() { "; p50 and p99 with its jitter" } else { "" };
    let clients = space.client_regions().iter().zip(space.weights());
    let clients: Vec<String> =
        clients.map(|(region, weight)| format!("{region} ({weight})")).collect();
    let families: Vec<&str> = search.families.iter().map(|family| family.name()).collect();
    let mut limits: Vec<String> = search.rules.limits.iter().map(limit).collect();
    if limits.is_empty() {
        limits.push("none".to_owned());
    }
    vec![
        ("searched", searched),
        ("latency", format!("{}, every delay at its median{jitter}", space.profile().name())),
        ("clients", format!("{} by weight", clients.join(", "))),
        ("families", families.join(", ")),
        ("limits", limits.join("; ")),
        ("front", front(search, found)),
    ]
}

fn counted_large(count: u128, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(count))
}

fn front(search: &Search<'_>, found: &Found) -> String {
    let names: Vec<&str> = search.rules.objectives.iter().map(|it| it.name()).collect();
    let points: u128 = found.rows.iter().map(|row| u128::from(row.count)).sum();
    format!(
        "by {}: {}, which {} of the points have",
        names.join(" and "),
        counted(found.rows.len(), "value"),
        grouped(points)
    )
}

/// A limit in words.
pub(super) fn limit(limit: &Limit) -> String {
    let Limit { objective, most } = *limit;
    match objective {
        Objective::Phase1Nodes => survives("phase 1", objective, most, "replica"),
        Objective::Phase2Nodes => survives("phase 2", objective, most, "replica"),
        Objective::Phase1Regions => survives("phase 1", objective, most, "region"),
        Objective::Phase2Regions => survives("phase 2", objective, most, "region"),
        _ => format!("{} at most {}", objective.name(), objective.words(most)),
    }
}

fn survives(phase: &str, objective: Objective, most: u64, of: &str) -> String {
    let count = objective.words(most);
    let plural = if count == "1" { "" } else { "s" };
    format!("{phase} survives any {count} {of}{plural}")
}

fn table(search: &Search<'_>, found: &Found) -> Table {
    let rules = &search.rules;
    let is_led = search.proposers.are_led;
    let has_jitter = search.space.varies();
    let has_regions = !search.space.has_one_each();
    let is_asked = |objective: Objective| {
        rules.objectives.contains(&objective)
            || rules.limits.iter().any(|it| it.objective == objective)
    };
    // The objectives stand first and stay; what is not asked for may be left out.
    let others = [
        (Objective::Commit, 9, true),
        (Objective::Takeover, 8, is_led),
        (Objective::AfterLoss, 8, !is_led),
        (Objective::P50, 4, true),
        (Objective::P99, if has_jitter { 6 } else { 3 }, true),
        (Objective::TakeoverMean, 2, is_led),
        (Objective::TakeoverBest, 5, is_led),
        (Objective::Load, 4, true),
        (Objective::Messages, 1, true),
    ];
    let mut figures: Vec<(Objective, Option<u8>)> =
        rules.objectives.iter().filter(|it| !it.is_resilience()).map(|it| (*it, None)).collect();
    for (objective, rank, is_there) in others {
        if is_there && figures.iter().all(|(known, _)| *known != objective) {
            figures.push((objective, (!is_asked(objective)).then_some(rank)));
        }
    }
    let ranked = |column: Column, rank: Option<u8>| match rank {
        Some(rank) => column.rank(rank),
        None => column,
    };
    let unit = |objective: Objective| if objective.is_time() { " ms" } else { "" };
    let header = |objective: Objective| format!("{}{}", objective.name(), unit(objective));
    let mut columns = vec![Column::number("row")];
    columns.extend(figures.iter().map(|(it, rank)| ranked(Column::number(header(*it)), *rank)));
    columns.extend([
        Column::text("system"),
        Column::name("leader").only_if(is_led),
        Column::text("survives"),
        Column::text("regions").only_if(has_regions),
        Column::number("alike"),
    ]);
    let cells = |(number, row): (usize, &Row)| {
        let figure = |objective: Objective| {
            let words = objective.words(row.costs[objective.place()]);
            words.trim_end_matches(" ms").to_owned()
        };
        let both = |first, second| format!("{}/{}", figure(first), figure(second));
        let mut cells = vec![number.to_string()];
        cells.extend(figures.iter().map(|(objective, _)| figure(*objective)));
        cells.extend([
            row.described.to_string(),
            row.leader.map_or_else(String::new, |leader| row.name(leader)),
            both(Objective::Phase1Nodes, Objective::Phase2Nodes),
            both(Objective::Phase1Regions, Objective::Phase2Regions),
            grouped(row.count.into()),
        ]);
        cells
    };
    Table::new(columns, (1..).zip(&found.rows).map(cells).collect())
}

fn key(search: &Search<'_>) -> String {
    let mut text = String::from("system: phase 1/phase 2; survives: any so many replicas");
    if !search.space.has_one_each() {
        text += ", regions: any so many whole regions";
    }
    text += ", phase 1/phase 2; alike: points with this value, of which the first is shown";
    if search.proposers.are_led {
        text += "; takeover: phase 1 of the slowest next leader after the loss of any one region";
    } else {
        text += "; after-loss: the commit latency while any one region is lost";
    }
    if search.proposers.send == SendPolicy::Quorum {
        text += "; a proposer contacts its nearest quorum";
    }
    text
}

/// Nothing keeps to all limits: which of them to relax, and by how much.
pub(super) fn no_solution(found: &Found, relaxed: &[Relaxed]) -> Failure {
    let best = |objective: Objective, cost: u64| {
        let word = if objective.is_resilience() { "at most" } else { "at least" };
        format!("{word} {}", objective.words(cost))
    };
    let line = |it: &Relaxed| {
        let objective = it.limit.objective;
        let with_others = match it.with_others {
            Some(cost) => format!("beside the other limits it can be {}", best(objective, cost)),
            None => "relaxing it alone does not help".to_owned(),
        };
        let alone = it.alone.map_or_else(
            || "nothing has it".to_owned(),
            |cost| format!("without any other limit it can be {}", best(objective, cost)),
        );
        format!("{} ({}): {with_others}; {alone}", limit(&it.limit), objective.name())
    };
    let lines: Vec<String> = relaxed.iter().map(line).collect();
    Failure::request(
        format!("none of the {} points keeps to all limits", grouped(found.points)),
        format!("relax a limit:\n{}", lines.join("\n")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (3_162_510, "3,162,510")] {
            assert_eq!(grouped(number), text);
        }
    }
}
