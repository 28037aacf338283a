//! The forms in which differences are written.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use super::{Compared, Format};
use crate::cli::Failure;
use crate::compare::{Observations, rows};
use crate::measure::rows::{ComparisonRow, ExpectationRow};
use crate::measure::{Quantity, Unit};
use crate::report::folder::Results;
use crate::report::table::{Width, line};
use crate::report::verdicts;

/// All rows, as JSON.
#[derive(Serialize)]
struct Whole {
    comparison: Vec<ComparisonRow>,
    expectations: Vec<ExpectationRow>,
    remarks: Vec<String>,
}

pub(super) fn write(
    compared: &Compared,
    format: Format,
    width: Width,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Compared { families, judgements, remarks } = compared;
    let form = match format {
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(out);
            for row in rows::comparison(families) {
                writer.serialize(row)?;
            }
            return Ok(writer.flush()?);
        }
        Format::Json => {
            let (comparison, expectations) =
                (rows::comparison(families), rows::expectations(judgements));
            let whole = Whole { comparison, expectations, remarks: remarks.clone() };
            let text = serde_json::to_string_pretty(&whole).expect("rows are plain data");
            return Ok(writeln!(out, "{text}")?);
        }
        Format::Markdown => verdicts::Format::Markdown,
        Format::Table | Format::Otava => verdicts::Format::Terminal(width),
    };
    for remark in remarks {
        writeln!(out, "{}", line(remark, width))?;
    }
    verdicts::write_predictions(judgements, form, out)?;
    verdicts::write_families(families, form, out)?;
    Ok(())
}

/// One row for each run, in the order named: its time, its commit, and the geometric mean of every figure
/// over the repeats, in milliseconds or operations a second.
pub(super) fn otava(
    results: &[Results],
    quantities: &[Quantity],
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut columns: Vec<String> = Vec::new();
    let mut runs: Vec<BTreeMap<String, f64>> = Vec::new();
    for one in results {
        let all = Observations::of(&one.finished);
        let mut figures = BTreeMap::new();
        for series in all.series.iter().filter(|it| quantities.contains(&it.subject.quantity)) {
            let subject = &series.subject;
            let fault = subject.fault.map(|fault| format!("fault-{}", fault + 1));
            let operation = subject.operation.map(|operation| operation.name().to_owned());
            let parts = [
                Some(subject.backend.name().to_owned()),
                Some(subject.point.replace(' ', "_")).filter(|point| !point.is_empty()),
                Some(series.variant.clone()),
                fault,
                subject.client_region.clone(),
                operation,
                Some(subject.quantity.code().to_owned()),
            ];
            let column = parts.into_iter().flatten().collect::<Vec<_>>().join(".");
            let numbers: Option<Vec<f64>> =
                series.values.values().map(|value| value.number.ok()).collect();
            // A run without all its values has no figure.
            let Some(numbers) = numbers.filter(|numbers| !numbers.is_empty()) else { continue };
            let mean = numbers.iter().map(|it| it.ln()).sum::<f64>() / numbers.len() as f64;
            let unit = if subject.quantity.unit() == Unit::Nanoseconds { 1e6 } else { 1.0 };
            if !columns.contains(&column) {
                columns.push(column.clone());
            }
            figures.insert(column, mean.exp() / unit);
        }
        runs.push(figures);
    }
    let mut writer = csv::Writer::from_writer(out);
    writer
        .write_record(["time", "commit"].into_iter().chain(columns.iter().map(String::as_str)))?;
    for (one, figures) in results.iter().zip(&runs) {
        let mut record = vec![one.origin.started_at.clone(), one.origin.commit.clone()];
        record.extend(columns.iter().map(|column| {
            figures.get(column).map_or(String::new(), |figure| format!("{figure:.6}"))
        }));
        writer.write_record(&record)?;
    }
    Ok(writer.flush()?)
}
