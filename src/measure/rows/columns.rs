//! Every column of every table: its type, its unit and its meaning.
//!
//! Nothing is listed here twice: the order of columns is that of the fields of a row struct, the type
//! follows from the type of the field, the unit from the name, and the meaning is the field's doc comment.
//! A run writes these facts into its folder as `columns.csv`, so who reads the tables in another language
//! need not guess a type.

use std::collections::BTreeSet;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    CapacityRow, ComparisonRow, ExpectationRow, HistoryRow, KneeRow, LatencyRow, LinkRow,
    MemberRow, PercentileRow, PhaseRow, RecoveryRow, SummaryRow, TimelineRow, TrialRow,
};
use crate::measure::store;

/// The name of the table of columns in a results folder.
pub const COLUMNS: &str = "columns.csv";

/// What the name of the column of a swept key begins with.
pub const SWEPT: &str = "swept_";

/// What a value of a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A whole number, below 2^53 as R and JavaScript count.
    Integer,
    /// A number with decimals.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A text, in which empty is a value.
    Text,
}

impl Type {
    /// Its word in the tables and in the documentation.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Text => "text",
        }
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the header.
    pub name: String,
    /// What its values are.
    pub value_type: Type,
    /// Whether a value may be absent, which is an empty field; a text is never absent.
    pub is_optional: bool,
    /// `ns`, `bytes`, `count`, `share` (0 to 1), `ratio`, or a rate such as `1/s`; empty where a value has none.
    pub unit: String,
    /// What it says.
    pub meaning: String,
}

/// One table of a results folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The name of its file.
    pub file: &'static str,
    /// What one row is, in paragraphs that `\n\n` separates.
    pub meaning: String,
    /// Its columns, in the order of the header.
    pub columns: Vec<Column>,
    /// Whether its rows are of trials: then the columns of swept keys come after the others.
    pub is_of_trials: bool,
}

/// One column of one table of this folder, with what another language needs to read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ColumnRow {
    /// The file of the table.
    pub table: String,
    /// The name of the column.
    pub column: String,
    /// The type of its values: `integer`, `number`, `boolean` (`true` or `false`) or `text`.
    pub value_type: String,
    /// A value may be absent, which is an empty field; an empty text is a value.
    pub optional: bool,
    /// `ns`, `bytes`, `count`, `share` (0 to 1), `ratio`, or a rate such as `1/s`; empty where a value has none.
    pub unit: String,
    /// What the column says.
    pub meaning: String,
}

/// All tables of a results folder.
pub fn tables() -> Vec<Table> {
    vec![
        table::<TrialRow>("trials.csv"),
        table::<LatencyRow>("latency.csv"),
        table::<RecoveryRow>("recovery.csv"),
        table::<PhaseRow>("phases.csv"),
        table::<PercentileRow>("percentiles.csv"),
        table::<TimelineRow>("timeline.csv"),
        table::<MemberRow>("members.csv"),
        table::<LinkRow>("links.csv"),
        table::<HistoryRow>("histories.csv"),
        Table { is_of_trials: false, ..table::<SummaryRow>("summary.csv") },
        Table { is_of_trials: false, ..table::<ComparisonRow>("comparison.csv") },
        Table { is_of_trials: false, ..table::<ExpectationRow>("expectations.csv") },
        Table { is_of_trials: false, ..table::<CapacityRow>("capacity.csv") },
        Table { is_of_trials: false, ..table::<KneeRow>("knees.csv") },
        Table { is_of_trials: false, ..table::<ColumnRow>(COLUMNS) },
    ]
}

/// The rows of [`COLUMNS`] for an experiment that sweeps these keys, each the name of its column and its
/// path in the file.
pub fn column_rows(swept: &[(String, String)]) -> Vec<ColumnRow> {
    let mut rows = Vec::new();
    for table in tables() {
        let own = table.columns.iter().cloned();
        let swept = swept.iter().filter(|_| table.is_of_trials).map(swept_column);
        rows.extend(own.chain(swept).map(|column| ColumnRow {
            table: table.file.to_owned(),
            column: column.name,
            value_type: column.value_type.word().to_owned(),
            optional: column.is_optional,
            unit: column.unit,
            meaning: column.meaning,
        }));
    }
    rows
}

fn swept_column((name, path): &(String, String)) -> Column {
    Column {
        name: name.clone(),
        value_type: Type::Text,
        is_optional: false,
        unit: String::new(),
        meaning: format!(
            "The value of the swept key `{path}`, as the experiment has it; empty where the sweep of this \
             point leaves the key as it is."
        ),
    }
}

/// The names of the columns of these swept keys, by their dotted paths: `swept_workload_reads`.
pub fn swept_columns(paths: &[&str]) -> Vec<String> {
    let mut names = BTreeSet::new();
    let name = |path: &&str| {
        let word = |char: char| if char.is_ascii_alphanumeric() { char } else { '_' };
        let first: String = SWEPT.chars().chain(path.chars().map(word)).collect();
        let numbered = (2..).map(|number| format!("{first}_{number}"));
        // Two paths that differ in a dot and an underscore alone.
        let mut candidates = std::iter::once(first.clone()).chain(numbered);
        let free = candidates.find(|name| names.insert(name.clone()));
        free.expect("there are more numbers than columns")
    };
    paths.iter().map(name).collect()
}

/// The table of these rows.
fn table<T: JsonSchema + Serialize + Default>(file: &'static str) -> Table {
    let schema = schema_for!(T).to_value();
    let header = store::header::<T>().expect("a row is plain data");
    let columns = header.iter().map(|name| column(name, &schema["properties"][name])).collect();
    Table { file, meaning: meaning(&schema), columns, is_of_trials: true }
}

/// The column of this field.
fn column(name: &str, field: &Value) -> Column {
    let words: Vec<&str> = match &field["type"] {
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        word => word.as_str().into_iter().collect(),
    };
    let value_type = match words.iter().find(|word| **word != "null") {
        Some(&"integer") => Type::Integer,
        Some(&"number") => Type::Number,
        Some(&"boolean") => Type::Boolean,
        _ => Type::Text,
    };
    let is_numeric = matches!(value_type, Type::Integer | Type::Number);
    Column {
        name: name.to_owned(),
        value_type,
        is_optional: words.contains(&"null"),
        unit: if is_numeric { unit(name) } else { String::new() },
        meaning: meaning(field),
    }
}

/// The doc comment of a struct or a field; each paragraph is one line.
pub(super) fn meaning(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split("\n\n").map(line).collect::<Vec<_>>().join("\n\n")
}

/// The unit that the name of a number ends with, before what it is an aggregate of.
fn unit(name: &str) -> String {
    if let Some((what, per)) = name.rsplit_once("_per_") {
        let what = unit(what);
        let what = if what.is_empty() { "1" } else { &what };
        return format!("{what}/{per}");
    }
    let is_aggregate = |word: &&str| {
        let is_percentile = word
            .strip_prefix('p')
            .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()));
        is_percentile || ["min", "mean", "max", "low", "high", "sd"].contains(word)
    };
    let word = name.rsplit('_').find(|word| !is_aggregate(word)).unwrap_or_default();
    let is_unit = ["ns", "bytes", "count", "share", "ratio"].contains(&word);
    if is_unit { word.to_owned() } else { String::new() }
}
