//! What is printed of a search.

use std::io::{self, Write};

use crate::cli::Failure;
use crate::planner::relax::Relaxed;
use crate::planner::{Found, Limit, Objective, Row, Search, Space};
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
    writeln!(out, "\nall figures of each row, times in ms")?;
    writeln!(out, "{}", figures(search, found).fit(width))?;
    writeln!(out, "{}", legend(key_of_figures(search), width))?;
    writeln!(out, "\nreplicas of each row")?;
    for (number, row) in (1..).zip(&found.rows) {
        writeln!(out, "{number:>3}  {}", fold(&row.replicas().join(", "), 5))?;
    }
    Ok(())
}

fn head(search: &Search<'_>, found: &Found) -> Vec<(&'static str, String)> {
    let space = search.space;
    let either = |numbers: &[usize]| {
        numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
    };
    let with = if search.proposers.are_led { "a leader and one" } else { "one" };
    let searched = format!(
        "{} points; a point is one of {} ({} of {}) with {with} of {} quorum system{}",
        grouped(found.points),
        counted_large(found.placements, "placement"),
        either(space.sizes()),
        counted(space.regions().len(), "region"),
        either(&found.systems),
        if found.systems == [1] { "" } else { "s" },
    );
    let jitter = if space.varies() { "; p50 and p99 with its jitter" } else { "" };
    let is_even = space.is_even();
    let client = |(region, weight): (&String, &f64)| {
        if is_even { region.clone() } else { format!("{region} (weight {weight})") }
    };
    let clients = space.client_regions().iter().zip(space.weights()).map(client);
    let families: Vec<&str> = search.families.iter().map(|family| family.name()).collect();
    vec![
        ("searched", searched),
        ("latency", format!("{}, every delay at its median{jitter}", space.profile().name())),
        ("clients", clients.collect::<Vec<_>>().join(", ")),
        ("families", families.join(", ")),
        ("limits", limits(&search.rules.limits)),
        ("front", front(search, found)),
    ]
}

/// All limits; those that both phases have in common are one.
fn limits(all: &[Limit]) -> String {
    let pairs = [
        (Objective::Phase1Nodes, Objective::Phase2Nodes),
        (Objective::Phase1Regions, Objective::Phase2Regions),
    ];
    let of = |objective| all.iter().find(|limit| limit.objective == objective);
    let mut texts: Vec<String> = Vec::new();
    for it in all {
        let pair = pairs.iter().find(|pair| pair.0 == it.objective || pair.1 == it.objective);
        let both = pair.and_then(|pair| Some((of(pair.0)?, of(pair.1)?)));
        match both.filter(|(first, second)| first.most == second.most) {
            None => texts.push(limit(it)),
            Some((first, _)) if first == it => {
                texts.push(limit(it).replacen("phase 1 survives", "each phase survives", 1));
            }
            Some(_) => {}
        }
    }
    if texts.is_empty() { "none".to_owned() } else { texts.join("; ") }
}

fn counted_large(count: u128, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(count))
}

fn front(search: &Search<'_>, found: &Found) -> String {
    let names: Vec<&str> = search.rules.objectives.iter().map(|it| it.name()).collect();
    let points: u128 = found.rows.iter().map(|row| u128::from(row.count)).sum();
    let rows = counted(found.rows.len(), "row");
    let rows = if points == found.rows.len() as u128 {
        rows
    } else {
        format!("{rows} for {} points: equal points share a row", grouped(points))
    };
    match names[..] {
        [name] => format!("the best {name}: {rows}"),
        _ => format!("the best trade-offs between {}: {rows}", names.join(" and ")),
    }
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
    format!("{phase} survives the loss of any {count} {of}{plural}")
}

/// The objectives, and what has them.
fn table(search: &Search<'_>, found: &Found) -> Table {
    let objectives = &search.rules.objectives;
    let has_regions = !search.space.has_one_each();
    let mut columns = vec![Column::number("row")];
    columns.extend(objectives.iter().map(|objective| {
        let unit = if objective.is_time() { " ms" } else { "" };
        Column::number(format!("{}{unit}", objective.name()))
    }));
    columns.extend([
        Column::name("system"),
        Column::name("leader").only_if(search.proposers.are_led),
        Column::text("survives").rank(1),
        Column::text("regions").rank(1).only_if(has_regions),
        Column::number("alike"),
    ]);
    let cells = |(number, row): (usize, &Row)| {
        let both = |first, second| format!("{}/{}", figure(row, first), figure(row, second));
        let mut cells = vec![number.to_string()];
        cells.extend(objectives.iter().map(|objective| figure(row, *objective)));
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

/// All figures that are times, loads and messages.
fn figures(search: &Search<'_>, found: &Found) -> Table {
    let is_led = search.proposers.are_led;
    let shown = [
        (Objective::Commit, "commit", true),
        (Objective::P50, "p50", true),
        (Objective::P99, "p99", true),
        (Objective::Takeover, "takeover", is_led),
        (Objective::TakeoverMean, "mean", is_led),
        (Objective::TakeoverBest, "best", is_led),
        (Objective::AfterLoss, "after-loss", !is_led),
        (Objective::Load, "load", true),
        (Objective::Messages, "messages", true),
    ];
    let mut columns = vec![Column::number("row")];
    columns.extend(shown.map(|(_, header, is_there)| Column::number(header).only_if(is_there)));
    let cells = |(number, row): (usize, &Row)| {
        let figures = shown.map(|(objective, _, _)| figure(row, objective));
        std::iter::once(number.to_string()).chain(figures).collect()
    };
    Table::new(columns, (1..).zip(&found.rows).map(cells).collect())
}

/// A figure without its unit.
fn figure(row: &Row, objective: Objective) -> String {
    objective.words(row.costs[objective.place()]).trim_end_matches(" ms").to_owned()
}

fn key(search: &Search<'_>) -> String {
    let mut text = String::from(
        "system: the family, and its phase 1/phase 2; survives: how many lost replicas phase 1/phase 2 survives, \
         whichever they are",
    );
    if !search.space.has_one_each() {
        text += "; regions: how many lost regions";
    }
    text + "; alike: how many points have these values; the row shows the one that survives the most losses"
}

const fn key_of_figures(search: &Search<'_>) -> &'static str {
    if search.proposers.are_led {
        "commit: the mean over the clients, by their weights; p50, p99: percentiles over the writes of all clients; \
         takeover: phase 1 of the next leader after the loss of a region, for the slowest next leader; mean, best: \
         for the mean of all next leaders, for the fastest one; each for the region with which it is longest"
    } else {
        "commit: the mean over the clients, by their weights; p50, p99: percentiles over the writes of all clients; \
         after-loss: commit while a region is lost, for the region with which it is longest"
    }
}

/// Nothing keeps to all limits: which of them to relax, and by how much.
pub(super) fn no_solution(found: &Found, relaxed: &[Relaxed]) -> Failure {
    let best = |objective: Objective, cost: u64| {
        let word = if objective.is_resilience() { "the most" } else { "the least" };
        format!("{word} {} is {}", objective.name(), objective.words(cost))
    };
    let line = |it: &Relaxed| {
        let objective = it.limit.objective;
        let with_others = match it.with_others {
            Some(cost) => format!("without this limit alone, {}", best(objective, cost)),
            None => "without this limit alone, still no point keeps the others".to_owned(),
        };
        let alone = it.alone.map_or_else(
            || "no point has it at all".to_owned(),
            |cost| format!("without any limit, {}", best(objective, cost)),
        );
        format!("{}: {with_others}; {alone}", limit(&it.limit))
    };
    let lines: Vec<String> = relaxed.iter().map(line).collect();
    Failure::request(
        format!("none of the {} points searched keeps all limits", grouped(found.points)),
        format!("relax a limit:\n{}", lines.join("\n")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_both_phases_are_one() {
        let of =
            |objective: Objective, value: f64| Limit { objective, most: objective.cost(value) };
        let both = [of(Objective::Phase1Nodes, 2.0), of(Objective::Phase2Nodes, 2.0)];
        assert_eq!(limits(&both), "each phase survives the loss of any 2 replicas");
        let each = [
            of(Objective::Phase1Regions, 1.0),
            of(Objective::Phase2Regions, 2.0),
            of(Objective::Takeover, 150.0),
        ];
        let expected = "phase 1 survives the loss of any 1 region; phase 2 survives the loss of any 2 regions; \
                        takeover at most 150.00 ms";
        assert_eq!(limits(&each), expected);
        assert_eq!(limits(&[]), "none");
    }

    #[test]
    fn large_numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (3_162_510, "3,162,510")] {
            assert_eq!(grouped(number), text);
        }
    }
}
