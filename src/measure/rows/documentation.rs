//! The schema of the results, as a page for people and as JSON for programs.

use std::fmt::Write as _;

use schemars::schema_for;
use serde_json::{Map, Value, json};

use super::columns::{Column, SWEPT, Table, meaning, tables};
use super::{Flag, SCHEMA_VERSION};

/// What the tables have in common.
const COMMON: &str = "\
Every table is a CSV file in UTF-8 with a header; a reference may have it compressed, as `NAME.csv.gz`.
A table without rows has its header all the same.
`columns.csv` in the same folder lists these columns again for programs: \
[`scripts/load.py`](../scripts/load.py) and [`scripts/load.R`](../scripts/load.R) read their types from it.

- An empty field means that the value was not measured, did not happen, or falls among operations that were never answered; it is never zero.
  An empty text is a value.
- Trials, repeats and faults count from 1.
- A member is named as in its files: `r0` is a replica, `c0` the clients of one region.
  A column that holds a place ends in `region` or `regions`.
- A length of time is a whole number of nanoseconds (`_ns`), a size is in bytes (`_bytes`), a share is from 0 to 1 (`_share`), a rate ends in `_per_` and its unit.
  What was aggregated follows the unit: `latency_ns_p99`.
- A seed is text, `s` and a number of 64 bits.
- A region called `NA` is in quotes; pandas still reads it as a missing value, unless it gets `keep_default_na=False`.
";

/// Every table and column, and every code of a remark, in Markdown.
pub fn documentation() -> String {
    let mut page =
        format!("# The tables of a results folder\n\nSchema version {SCHEMA_VERSION}.\n");
    page.push_str(
        "This page is made from the row structs in [`src/measure/rows`](../src/measure/rows.rs) and their \
         comments: `flexpaxos schema results > docs/columns.md` makes it again.\n\n",
    );
    page.push_str(COMMON);
    for table in tables() {
        write_table(&mut page, &table);
    }
    page.push_str(
        "\n## Swept keys\n\nEvery table of trials ends with a column for each key that the experiment sweeps.\n",
    );
    let _ = writeln!(
        page,
        "Its name is `{SWEPT}` and the dotted path of the key with underscores, \
         `{SWEPT}workload_arrival_closed_clients`; its values are text as in the experiment file.\n\
         In a union of sweeps (`[[sweep]]`) it is empty where the sweep of a point leaves the key as it is.\n\
         The column `point` has all of them in one text."
    );
    page.push_str(
        "\n## Codes of remarks\n\nThese stand in the column `flag_codes` of `trials.csv`.\n\n",
    );
    page.push_str("| code | meaning |\n|---|---|\n");
    for (code, meaning) in flags() {
        let _ = writeln!(page, "| `{code}` | {} |", cell(&meaning));
    }
    page
}

/// The same as JSON: the tables by the names of their files, each with its columns in their order.
pub fn schema() -> Value {
    let tables: Map<String, Value> = tables()
        .into_iter()
        .map(|table| {
            let Table { file, meaning, columns, is_of_trials } = table;
            let columns: Vec<Value> = columns.iter().map(column_value).collect();
            let table = json!({
                "description": meaning,
                "columns": columns,
                "has_swept_columns": is_of_trials,
            });
            (file.to_owned(), table)
        })
        .collect();
    let flags: Vec<Value> = flags()
        .into_iter()
        .map(|(code, meaning)| json!({ "code": code, "description": meaning }))
        .collect();
    json!({
        "table_schema_version": SCHEMA_VERSION,
        "swept_column_prefix": SWEPT,
        "tables": tables,
        "flags": flags,
    })
}

fn column_value(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.value_type.word(),
        "optional": column.is_optional,
        "unit": column.unit,
        "description": column.meaning,
    })
}

fn write_table(page: &mut String, table: &Table) {
    let _ = writeln!(page, "\n## `{}`\n\n{}\n", table.file, table.meaning);
    page.push_str("| column | type | unit | meaning |\n|---|---|---|---|\n");
    for Column { name, value_type, is_optional, unit, meaning } in &table.columns {
        let absent = if *is_optional { " or empty" } else { "" };
        let _ = writeln!(
            page,
            "| `{name}` | {}{absent} | {unit} | {} |",
            value_type.word(),
            cell(meaning)
        );
    }
}

/// A text as a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The codes of remarks with their meaning.
fn flags() -> Vec<(&'static str, String)> {
    let schema = schema_for!(Flag).to_value();
    let meaning_of = |flag: Flag| {
        let kinds = schema["oneOf"].as_array();
        let of_kind = kinds.into_iter().flatten().find(|kind| kind["const"] == flag.code());
        of_kind.map(meaning).unwrap_or_default()
    };
    Flag::ALL.into_iter().map(|flag| (flag.code(), meaning_of(flag))).collect()
}
