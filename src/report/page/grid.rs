//! Tables that sort, filter and copy.

use maud::{Markup, html};

use crate::compare::Series;
use crate::compare::observations::Gap;
use crate::measure::rows::{KneeRow, SummaryRow};
use crate::measure::{OperationKind, Quantity};
use crate::report::figure::Data;
use crate::report::figure::data::{Mean, in_ms, ms};
use crate::report::{capacity, summary, verdicts};

/// More rows than these have a box for a text that filters them.
const FILTERED_ABOVE: usize = 6;

/// More rows than these are folded away until somebody opens them.
const FOLDED_ABOVE: usize = 24;

/// A table of a page.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// What its rows are.
    pub caption: String,
    /// The header of each column, and whether it holds numbers.
    pub headers: Vec<(String, bool)>,
    /// Its rows.
    pub rows: Vec<Vec<String>>,
    /// The column that names the variant of a row.
    pub variant: Option<usize>,
}

impl Grid {
    /// The table with its tools; nothing if it has no row.
    pub fn html(&self, id: &str) -> Markup {
        if self.rows.is_empty() {
            return html! {};
        }
        let table = self.table(id);
        html! {
            @if self.rows.len() > FOLDED_ABOVE {
                details { summary { (self.caption) " (" (self.rows.len()) " rows)" } (table) }
            } @else {
                (table)
            }
        }
    }

    fn table(&self, id: &str) -> Markup {
        let is_number = |column: usize| self.headers[column].1;
        let variant = |row: &[String]| self.variant.map(|column| row[column].clone());
        html! {
            div.table id={ "table-" (id) } {
                p.quiet { (self.caption) }
                div.tools {
                    @if self.rows.len() > FILTERED_ABOVE {
                        input type="search" placeholder="filter rows" aria-label={ "filter the rows of " (self.caption) };
                    }
                    button.copy type="button" { "copy as CSV" }
                }
                div.scroll tabindex="0" role="region" aria-label=(self.caption) {
                    table {
                        thead {
                            tr {
                                @for (header, is_number) in &self.headers {
                                    th.n[*is_number] scope="col" { button type="button" { (header) } }
                                }
                            }
                        }
                        tbody {
                            @for row in &self.rows {
                                tr data-variant=[variant(row)] {
                                    @for (column, cell) in row.iter().enumerate() {
                                        td.n[is_number(column)] {
                                            @match badge(cell) {
                                                Some(class) => span class={ "badge " (class) } { (cell) },
                                                None => (cell),
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn of_cells(caption: &str, cells: &verdicts::Cells) -> Self {
        let headers: Vec<(String, bool)> = cells.headers();
        let variant = headers.iter().position(|(header, _)| header == "variant");
        Self { caption: caption.to_owned(), headers, rows: cells.rows().to_vec(), variant }
    }
}

/// The colour of a verdict.
fn badge(cell: &str) -> Option<&'static str> {
    match cell {
        "better" | "held" => Some("good"),
        "worse" | "refuted" => Some("bad"),
        "inside the noise" | "not judged" => Some(""),
        _ => None,
    }
}

/// The highest rate that each variant held.
pub fn knees(data: &Data<'_>) -> Grid {
    let knees = &data.searched.knees;
    let headers = [
        ("point", false),
        ("variant", false),
        ("held (/s)", true),
        ("missed (/s)", true),
        ("trials that held, that missed", false),
        ("verdict", false),
        ("p50 - floor (ms)", true),
        ("p99 (ms)", true),
        ("most achieved (/s)", true),
    ];
    let time = |ns: Option<u64>| ns.map_or_else(String::new, |ns| ms(in_ms(ns)));
    let row = |knee: &KneeRow| {
        let held = format!("{} of {}", knee.held_count, knee.held_trial_count);
        let missed = format!("{} of {}", knee.missed_count, knee.missed_trial_count);
        vec![
            knee.point.clone(),
            knee.variant.clone(),
            capacity::rate(knee.held_per_s),
            capacity::rate(knee.missed_per_s),
            format!("{held}, {missed}"),
            knee.verdict.clone(),
            time(knee.above_floor_ns_p50),
            time(knee.latency_ns_p99),
            capacity::rate(knee.most_achieved_per_s),
        ]
    };
    let headers = headers.map(|(header, is_number)| (header.to_owned(), is_number)).to_vec();
    let caption = "The capacity lies between the highest rate that was held and the lowest above it that was missed; \
                   latencies at the rate that was held, p50 - floor: what the load adds";
    let rows = knees.iter().map(row).collect();
    without_empty_columns(Grid { caption: caption.to_owned(), headers, rows, variant: Some(1) })
}

/// Commit and takeover of each variant, with intervals: the answer in one table.
pub fn costs(data: &Data<'_>) -> Grid {
    let Some(point) = data.only_point() else { return Grid::default() };
    let kind = data.operations().first().copied().unwrap_or(OperationKind::Write);
    let regions = &point.client_regions;
    let mut headers = vec![("variant".to_owned(), false), ("Q1/Q2".to_owned(), true)];
    let have_reads =
        kind == OperationKind::Write && data.operations().contains(&OperationKind::Read);
    if have_reads {
        headers.push(("a read needs".to_owned(), false));
    }
    let when = if data.has_faults() { " before the fault" } else { "" };
    headers.extend(regions.iter().map(|region| (format!("p50{when}, {region} (ms)"), true)));
    let readers = if have_reads { &regions[..] } else { &[] };
    let read = Some(OperationKind::Read);
    headers
        .extend(readers.iter().map(|region| (format!("p50 of reads{when}, {region} (ms)"), true)));
    headers.push(("phase 1 of the new leader (ms)".to_owned(), true));
    headers.push(("its floor (ms)".to_owned(), true));
    headers.extend(regions.iter().map(|region| (format!("without a write, {region} (ms)"), true)));
    headers.extend(readers.iter().map(|region| (format!("without a read, {region} (ms)"), true)));
    let cell = |found: Option<&Series>| {
        let Some(series) = found else { return String::new() };
        let mean = Mean::of(series).map(Mean::in_ms);
        mean.map_or_else(|| lacking(series), |mean| with_interval(&mean))
    };
    let row = |variant: &crate::report::outline::Variant| {
        let name = &variant.name;
        let of = |quantity, region: Option<&str>, kind| {
            data.series(name, &point.label, quantity, region, kind).next()
        };
        let mut row = vec![name.clone(), format!("{}/{}", variant.q1, variant.q2)];
        if have_reads {
            let needed = data.valid(name).next().map(|ended| ended.row.reads_need.clone());
            row.push(needed.unwrap_or_default());
        }
        let median = |region: &String, kind| {
            let found = data.median(name, &point.label, region, kind);
            found.map_or_else(String::new, |it| with_interval(&it))
        };
        row.extend(regions.iter().map(|it| median(it, kind)));
        row.extend(readers.iter().map(|it| median(it, OperationKind::Read)));
        let phase1 = of(Quantity::Phase1, None, None);
        row.push(cell(phase1));
        let floors =
            phase1.map(|series| series.values.values().filter_map(|it| it.floor).collect());
        let floor = floors.and_then(|floors: Vec<f64>| Mean::of_numbers(&floors));
        row.push(floor.map_or_else(String::new, |mean| ms(mean.value / 1e6)));
        row.extend(regions.iter().map(|it| cell(of(Quantity::Away, Some(it), None))));
        row.extend(readers.iter().map(|it| cell(of(Quantity::Away, Some(it), read))));
        row
    };
    let rows: Vec<Vec<String>> = point.variants.iter().map(row).collect();
    let of_reads = if have_reads { " and of reads" } else { "" };
    let away = match (data.has_faults(), have_reads) {
        (false, _) => "",
        (true, false) => {
            "; without a write: the longest time of a client region without an acknowledged write, after the first \
             fault"
        }
        (true, true) => {
            "; without a write, without a read: the longest time of a client region without an acknowledged one, \
             after the first fault"
        }
    };
    let caption = format!(
        "Geometric means over the repeats with their 95 % intervals ({}); p50: of {}s{of_reads}{when}{away}",
        data.backend.name(),
        kind.name(),
    );
    without_empty_columns(Grid { caption, headers, rows, variant: Some(0) })
}

/// Why a series has no mean: `never ended in 2 of 3`.
fn lacking(series: &Series) -> String {
    let count = |is_it: fn(Gap) -> bool| {
        series.values.values().filter(|it| it.number.is_err_and(is_it)).count()
    };
    let all = series.values.len();
    let never = count(|gap| gap == Gap::Unanswered);
    let absent = count(|gap| gap == Gap::Absent);
    match (never, absent) {
        (0, 0) => "-".to_owned(),
        (0, absent) => format!("did not happen in {absent} of {all}"),
        (never, _) => format!("never ended in {never} of {all}"),
    }
}

fn with_interval(mean: &Mean) -> String {
    match mean.interval {
        Some((low, high)) if ms(low) != ms(high) => {
            format!("{} ({} to {})", ms(mean.value), ms(low), ms(high))
        }
        _ => ms(mean.value),
    }
}

/// The table without the columns in which every row is empty.
pub fn without_empty_columns(grid: Grid) -> Grid {
    let is_there = |column: &usize| grid.rows.iter().any(|row| !row[*column].is_empty());
    let kept: Vec<usize> = (0..grid.headers.len()).filter(is_there).collect();
    let of_row = |row: &Vec<String>| kept.iter().map(|column| row[*column].clone()).collect();
    let headers = kept.iter().map(|column| grid.headers[*column].clone()).collect();
    let rows = grid.rows.iter().map(of_row).collect();
    Grid { headers, rows, ..grid }
}

/// The predictions with what came out.
pub fn predictions(data: &Data<'_>) -> Grid {
    let cells = verdicts::predictions(&data.conclusions.judgements);
    Grid::of_cells(
        "The predictions of the experiment, judged by Student's t with Holm's correction",
        &cells,
    )
}

/// All tables at the end of the page, with their names.
pub fn tables(data: &Data<'_>) -> Vec<(&'static str, Grid)> {
    let mut tables = vec![("summary", summary_grid(data))];
    for (number, family) in data.conclusions.families.iter().enumerate() {
        let id = ["differences-1", "differences-2", "differences-3", "differences-4"];
        let caption = format!("Differences from the baseline ({})", family.name);
        let id = id[number.min(id.len() - 1)];
        tables.push((id, Grid::of_cells(&caption, &verdicts::differences(family))));
    }
    tables
}

fn summary_grid(data: &Data<'_>) -> Grid {
    let headers = [
        ("point", false),
        ("variant", false),
        ("backend", false),
        ("client", false),
        ("operation", false),
        ("Q1/Q2", true),
        ("valid", true),
        ("rate", true),
        ("answered", true),
        ("unanswered", true),
        ("floor p50", true),
        ("p50", true),
        ("p90", true),
        ("floor p99", true),
        ("p99", true),
        ("p99.9", true),
    ];
    let time = |ns: Option<u64>| ns.map_or_else(String::new, |ns| ms(in_ms(ns)));
    let row = |row: &SummaryRow| {
        let rate = row.achieved_per_s.map_or_else(String::new, |rate| format!("{rate:.1}"));
        vec![
            row.point.clone(),
            row.variant.clone(),
            row.backend.clone(),
            row.client_region.clone(),
            row.operation.clone(),
            format!("{}/{}", row.q1, row.q2),
            format!("{}/{}", row.valid_count, row.trial_count),
            rate,
            row.answered_count.to_string(),
            row.unanswered_count.to_string(),
            time(row.floor_ns_p50),
            time(row.latency_ns_p50),
            time(row.latency_ns_p90),
            time(row.floor_ns_p99),
            time(row.latency_ns_p99),
            time(row.latency_ns_p999),
        ]
    };
    let rows = summary::rows(&data.results.outline, &data.results.finished);
    let headers = headers.map(|(header, is_number)| (header.to_owned(), is_number)).to_vec();
    let caption = "All valid repeats merged, latencies in ms; empty: too few operations, or among those without an answer";
    let rows = rows.iter().map(row).collect();
    without_empty_columns(Grid { caption: caption.to_owned(), headers, rows, variant: Some(1) })
}
