//! The reference of the experiment file: it has a row for each key of the schema, and no other row.
//!
//! The schema is made from the types that read the file, so a key without documentation fails here.
//! Every rule is a function from texts to findings, and is shown to fail on a small made-up text.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// What is wrong, as `file:line: what`.
type Findings = Vec<String>;

/// The page with the tables of keys.
const PAGE: &str = "docs/experiment.md";

/// The schema of the keys.
const SCHEMA: &str = "docs/experiment.schema.json";

/// The header of a table of keys; other tables of the page have another header.
const HEADER: &str = "| key | type | default | example | meaning |";

/// The columns of a table of keys.
const COLUMNS: [&str; 5] = ["key", "type", "default", "example", "meaning"];

/// A row of a table of keys.
#[derive(Clone, Debug)]
struct Row {
    /// Its line in the page, from 1.
    line: usize,
    /// The texts between the bars, without the spaces around them.
    cells: Vec<String>,
}

impl Row {
    /// The path of the key.
    fn key(&self) -> &str {
        self.cells.first().map_or("", |cell| cell.trim_matches('`'))
    }

    fn finding(&self, what: &str) -> String {
        format!("{PAGE}:{}: {what}", self.line)
    }
}

#[test]
fn experiment_reference_has_every_key_and_no_other() {
    let schema: Value = serde_json::from_str(&read(SCHEMA)).expect("the schema is JSON");
    let keys = schema_keys(&schema);
    assert!(keys.len() > 100, "the keys of the schema were not found: {keys:?}");
    report(&differences(&keys, &rows(&read(PAGE))));
}

#[test]
fn experiment_reference_has_five_cells_in_each_row() {
    report(&rows(&read(PAGE)).iter().flat_map(form).collect::<Findings>());
}

#[test]
fn experiment_reference_has_examples_that_are_toml() {
    report(&rows(&read(PAGE)).iter().filter_map(unreadable_example).collect::<Findings>());
}

/// The path of each key that a schema knows: tables and the keys in them, lists with `[]`.
fn schema_keys(schema: &Value) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    collect_keys(schema, schema, "", &mut keys);
    keys
}

/// Adds the keys in the value at `path`, which `part` of the schema describes.
fn collect_keys(schema: &Value, part: &Value, path: &str, keys: &mut BTreeSet<String>) {
    if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
        let pointer = reference.strip_prefix('#').expect("a reference stays in the schema");
        let target = schema.pointer(pointer).expect("a reference leads somewhere");
        collect_keys(schema, target, path, keys);
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        let parts = part.get(choice).and_then(Value::as_array);
        for chosen in parts.into_iter().flatten() {
            collect_keys(schema, chosen, path, keys);
        }
    }
    if let Some(items) = part.get("items") {
        collect_keys(schema, items, &format!("{path}[]"), keys);
    }
    let properties = part.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        collect_keys(schema, property, &key, keys);
        keys.insert(key);
    }
}

/// The rows of all tables of keys.
fn rows(page: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut is_table_of_keys = false;
    for (text, line) in page.lines().zip(1..) {
        let text = text.trim();
        let is_rule = text.chars().all(|letter| "|-: ".contains(letter));
        if text == HEADER {
            is_table_of_keys = true;
        } else if !text.starts_with('|') {
            is_table_of_keys = false;
        } else if is_table_of_keys && !is_rule {
            let inner = text.strip_prefix('|').unwrap_or(text);
            let inner = inner.strip_suffix('|').unwrap_or(inner);
            let cells = inner.split('|').map(|cell| cell.trim().to_owned()).collect();
            rows.push(Row { line, cells });
        }
    }
    rows
}

/// Keys without a row, rows without a key, and keys with two rows.
fn differences(keys: &BTreeSet<String>, rows: &[Row]) -> Findings {
    let documented: BTreeSet<&str> = rows.iter().map(Row::key).collect();
    let missing = keys.iter().filter(|key| !documented.contains(key.as_str()));
    let mut findings: Findings =
        missing.map(|key| format!("{PAGE}: no row is about `{key}`")).collect();
    let mut seen = BTreeSet::new();
    for row in rows {
        let key = row.key();
        if !keys.contains(key) {
            findings.push(row.finding(&format!("the schema has no key `{key}`")));
        }
        if !seen.insert(key) {
            findings.push(row.finding(&format!("a second row is about `{key}`")));
        }
    }
    findings
}

/// What is wrong with the cells of a row.
fn form(row: &Row) -> Findings {
    let count = row.cells.len();
    if count != COLUMNS.len() {
        return vec![row.finding(&format!("{count} cells instead of {}", COLUMNS.len()))];
    }
    let mut findings = Findings::new();
    if code(&row.cells[0]).is_none() {
        findings.push(row.finding("the key is not in backticks"));
    }
    for (column, cell) in COLUMNS.iter().zip(&row.cells) {
        if cell.is_empty() {
            findings.push(row.finding(&format!("the cell `{column}` is empty")));
        }
    }
    findings
}

/// The finding about an example that is no value of TOML.
fn unreadable_example(row: &Row) -> Option<String> {
    let cell = row.cells.get(3).map_or("", String::as_str);
    let Some(value) = code(cell) else {
        return Some(row.finding("the example is not in backticks"));
    };
    let parsed = toml::from_str::<toml::Table>(&format!("example = {value}"));
    let error = parsed.err()?;
    Some(row.finding(&format!("the example is not TOML: {}", error.message())))
}

/// The text in a cell that is all in backticks.
fn code(cell: &str) -> Option<&str> {
    let text = cell.strip_prefix('`')?.strip_suffix('`')?;
    Some(text).filter(|text| !text.is_empty() && !text.contains('`'))
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the file is there")
}

fn report(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// A page with one table of keys, whose rows begin at line 3.
fn page(rows: &[&str]) -> String {
    format!("{HEADER}\n|---|---|---|---|---|\n{}\n", rows.join("\n"))
}

#[test]
fn keys_are_found_behind_references_choices_and_lists() {
    let schema = serde_json::json!({
        "properties": {
            "seed": { "type": "integer" },
            "log": { "$ref": "#/$defs/Log" },
            "fault": { "type": "array", "items": { "$ref": "#/$defs/Fault" } },
        },
        "$defs": {
            "Log": { "oneOf": [{ "properties": { "slots": {} } }, { "const": "none" }] },
            "Fault": { "properties": { "cut": { "anyOf": [{ "$ref": "#/$defs/Cut" }] } } },
            "Cut": { "properties": { "from": { "items": { "type": "string" } } } },
        },
    });
    let keys = schema_keys(&schema);
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(keys, ["fault", "fault[].cut", "fault[].cut.from", "log", "log.slots", "seed"]);
}

#[test]
fn missing_unknown_and_repeated_keys_are_found() {
    let keys: BTreeSet<String> = ["log", "seed"].map(str::to_owned).into();
    let text = page(&[
        "| `log` | table | none | `{}` | m |",
        "| `log` | table | none | `{}` | m |",
        "| `sed` | integer | `1` | `7` | m |",
    ]);
    let expected = [
        "docs/experiment.md: no row is about `seed`",
        "docs/experiment.md:4: a second row is about `log`",
        "docs/experiment.md:5: the schema has no key `sed`",
    ];
    assert_eq!(differences(&keys, &rows(&text)), expected);
}

#[test]
fn cells_that_are_absent_or_empty_are_found() {
    let text = page(&[
        "| `a` | integer | `1` | `7` | m |",
        "| `b` | integer | `1` | `7` |",
        "| `c` | integer |  | `7` | m |",
        "| d | integer | `1` | `7` | m |",
        "",
        "| key | meaning |",
        "|---|---|",
        "| of another table | |",
    ]);
    let findings: Findings = rows(&text).iter().flat_map(form).collect();
    let expected = [
        "docs/experiment.md:4: 4 cells instead of 5",
        "docs/experiment.md:5: the cell `default` is empty",
        "docs/experiment.md:6: the key is not in backticks",
    ];
    assert_eq!(findings, expected);
}

#[test]
fn examples_that_are_no_toml_are_found() {
    let is_found = |example: &str| {
        let text = page(&[&format!("| `a` | text | `1` | {example} | m |")]);
        rows(&text).iter().any(|row| unreadable_example(row).is_some())
    };
    assert!(!is_found("`\"2s\"`") && !is_found("`{ a.b = [1, 2] }`"));
    assert!(is_found("`2s`") && is_found("7") && is_found("`[1`") && is_found("`1` or `2`"));
}

/// The targets of the links of a Markdown text, without those to other sites and within the page.
fn targets(text: &str) -> Vec<&str> {
    let parts = text.split("](").skip(1);
    parts
        .filter_map(|part| part.split(')').next())
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| !target.is_empty() && !target.contains("://"))
        .collect()
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    let mut findings = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for target in targets(&text) {
            if !page.parent().unwrap().join(target).exists() {
                findings.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(findings.is_empty(), "{findings:#?}");
    assert_eq!(targets("[a](b.md#c) and [d](https://e) and [f](#g)"), ["b.md"]);
}
