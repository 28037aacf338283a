//! Keys that are set from outside: the text is changed, so that it is what is run, shown and recorded.
//!
//! Comments and the order of keys stay, and a line that was set says so.

use std::str::FromStr;

use miette::Diagnostic;
use toml_edit::{DocumentMut, InlineTable, Item, Key, Table, TableLike, Value};

use super::Source;

/// What stands behind a value that was set.
const MARK: &str = "  # --set";

/// `KEY=VALUE`: a key as in a sweep, and its value in TOML; a bare word is a text.
#[derive(Clone, Debug)]
pub struct Assignment {
    path: Vec<String>,
    value: Value,
}

/// Why a key cannot be set.
#[derive(Clone, Debug, thiserror::Error, Diagnostic)]
pub enum Unset {
    /// No key and value.
    #[error("`{text}` is no KEY=VALUE")]
    #[diagnostic(help("write the key with dots, as in `workload.duration=5s`"))]
    NoAssignment {
        /// What was given.
        text: String,
    },
    /// No key.
    #[error("`{text}` is no key")]
    #[diagnostic(help("write its sections with dots between them, as in `workload.duration`"))]
    NoKey {
        /// What was given.
        text: String,
    },
    /// No value.
    #[error("`{text}` is no TOML value")]
    #[diagnostic(help("close its quotes or brackets; a bare word needs none"))]
    NoValue {
        /// What was given.
        text: String,
    },
    /// The same key more than once.
    #[error("`{key}` is set twice")]
    #[diagnostic(help("leave one of the two out"))]
    Twice {
        /// The key.
        key: String,
    },
    /// No table where the key would be.
    #[error("nothing in the file has a place for `{key}`")]
    #[diagnostic(help(
        "a key of `variant` or `fault` is set in every one that has the table around it: set that table \
         as a whole"
    ))]
    Nowhere {
        /// The key.
        key: String,
    },
    /// Another part of the file gives the key its value.
    #[error("setting `{key}` has no effect: {because}")]
    #[diagnostic(help("set `{instead}`"))]
    Idle {
        /// The key.
        key: String,
        /// Who gives the value.
        because: &'static str,
        /// What has an effect.
        instead: String,
    },
}

impl Assignment {
    /// The seed.
    pub fn seed(seed: u64) -> Self {
        // TOML has no larger numbers.
        let value = i64::try_from(seed).map_or_else(|_| seed.to_string().into(), Value::from);
        Self { path: vec!["seed".to_owned()], value }
    }

    /// The key, with dots.
    pub fn key(&self) -> String {
        self.path.join(".")
    }
}

impl FromStr for Assignment {
    type Err = Unset;

    fn from_str(text: &str) -> Result<Self, Unset> {
        let (key, value) =
            text.split_once('=').ok_or_else(|| Unset::NoAssignment { text: text.to_owned() })?;
        let (key, value) = (key.trim(), value.trim());
        let path = Key::parse(key).map_err(|_| Unset::NoKey { text: key.to_owned() })?;
        let path = path.iter().map(|key| key.get().to_owned()).collect();
        let typed = value.parse::<Value>().or_else(|_| {
            let is_begun = value.starts_with(['"', '\'', '[', '{']) || value.is_empty();
            if is_begun { Err(Unset::NoValue { text: value.to_owned() }) } else { Ok(value.into()) }
        })?;
        Ok(Self { path, value: typed })
    }
}

impl Source {
    /// Sets these keys in the text; `is_smoke` says whether its section `[smoke]` gives the size.
    ///
    /// A text that is no TOML stays as it is: whoever reads it says so.
    pub fn set(&mut self, assignments: &[Assignment], is_smoke: bool) -> Result<(), Unset> {
        let Ok(mut document) = self.text.parse::<DocumentMut>() else { return Ok(()) };
        if assignments.is_empty() {
            return Ok(());
        }
        for (index, assignment) in assignments.iter().enumerate() {
            let key = assignment.key();
            if assignments[..index].iter().any(|other| other.path == assignment.path) {
                return Err(Unset::Twice { key });
            }
            if !put(document.as_item_mut(), &assignment.path, &assignment.value, true) {
                return Err(Unset::Nowhere { key });
            }
        }
        for assignment in assignments {
            refuse_idle(&document, assignment, is_smoke)?;
        }
        self.text = document.to_string();
        Ok(())
    }
}

/// Puts a value at a path, in lists of tables into every table that has the one around it; false if there
/// is no place for it.
fn put(item: &mut Item, path: &[String], value: &Value, makes_tables: bool) -> bool {
    match item {
        Item::ArrayOfTables(tables) => {
            let put = |table: &mut Table| put_in(table, path, value, false, true);
            tables.iter_mut().map(put).fold(false, |any, is_put| any | is_put)
        }
        Item::Value(Value::Array(list)) => {
            let tables = list.iter_mut().filter_map(Value::as_inline_table_mut);
            let put = |table: &mut InlineTable| put_in(table, path, value, false, false);
            tables.map(put).fold(false, |any, is_put| any | is_put)
        }
        Item::Value(Value::InlineTable(table)) => put_in(table, path, value, makes_tables, false),
        Item::Table(table) => put_in(table, path, value, makes_tables, true),
        _ => false,
    }
}

/// As [`put`], in one table; a comment has room where each key has a line.
fn put_in(
    table: &mut dyn TableLike,
    path: &[String],
    value: &Value,
    makes_tables: bool,
    has_lines: bool,
) -> bool {
    let [key, rest @ ..] = path else { return false };
    if rest.is_empty() {
        let mut value = value.clone();
        let before = table.get(key).and_then(Item::as_value).map(|value| value.decor().clone());
        let text = |raw: Option<&toml_edit::RawString>| {
            raw.and_then(toml_edit::RawString::as_str).unwrap_or_default().to_owned()
        };
        let (prefix, suffix) = match &before {
            Some(decor) => (text(decor.prefix()), text(decor.suffix())),
            None => (" ".to_owned(), String::new()),
        };
        let mark = if has_lines { MARK } else { "" };
        let decor = value.decor_mut();
        decor.set_prefix(if prefix.is_empty() { " ".to_owned() } else { prefix });
        decor.set_suffix(format!("{suffix}{mark}"));
        match table.get_mut(key) {
            Some(item) => *item = Item::Value(value),
            None => {
                table.insert(key, Item::Value(value));
            }
        }
        return true;
    }
    if table.get(key).is_none() {
        if !makes_tables {
            return false;
        }
        let new = if has_lines {
            Item::Table(Table::new())
        } else {
            Item::Value(Value::InlineTable(InlineTable::new()))
        };
        table.insert(key, new);
    }
    table.get_mut(key).is_some_and(|item| put(item, rest, value, makes_tables))
}

/// Refuses a key whose value comes from elsewhere: the sweep, or the smaller size.
fn refuse_idle(
    document: &DocumentMut,
    assignment: &Assignment,
    is_smoke: bool,
) -> Result<(), Unset> {
    let key = assignment.key();
    let idle = |because, instead: String| {
        let key = key.clone();
        Err(Unset::Idle { key, because, instead })
    };
    if document.get("sweep").is_some_and(|sweep| has(sweep, &assignment.path)) {
        return idle("the sweep gives it its values", format!("sweep.{key}"));
    }
    let path: Vec<&str> = assignment.path.iter().map(String::as_str).collect();
    let of_smoke = match path[..] {
        ["trials"] => "trials",
        ["workload", key @ ("warmup" | "duration" | "drain")] => key,
        _ => return Ok(()),
    };
    let smoke = document.get("smoke").filter(|_| is_smoke);
    if smoke.and_then(|smoke| smoke.get(of_smoke)).is_some() {
        return idle("`[smoke]` gives the size", format!("smoke.{of_smoke}"));
    }
    Ok(())
}

/// Whether there is something at this path, in some table of a list of tables.
fn has(item: &Item, path: &[String]) -> bool {
    let [key, rest @ ..] = path else { return true };
    if let Some(tables) = item.as_array_of_tables() {
        return tables.iter().any(|table| table.get(key).is_some_and(|item| has(item, rest)));
    }
    item.get(key).is_some_and(|item| has(item, rest))
}
