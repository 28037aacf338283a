//! `[sweep]` as typed: which keys take which values, and every combination of them.
//!
//! A sweep looks like the file itself, but every value is a list or a range of values.
//! `[[sweep]]` is a union of grids, for keys that depend on one another.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::range;
use crate::experiment::file::{Key, Source, Value, dotted};
use crate::experiment::refusal::Refused;
use crate::experiment::refusal::sweep::Error;

/// What is of the whole experiment, or no parameter at all.
const WHOLE: [&str; 6] = ["question", "prediction", "seed", "trials", "sweep", "smoke"];

/// The sweep of a file.
#[derive(Debug)]
pub(in crate::experiment) struct Sweep<'a> {
    /// The axes of each grid, in the order of the text; one grid without an axis if nothing is swept.
    grids: Vec<Vec<Axis<'a>>>,
    /// Where it stands.
    pub(in crate::experiment) at: Range<usize>,
}

/// A key and the values that it takes.
#[derive(Debug)]
pub(in crate::experiment) struct Axis<'a> {
    /// The key.
    pub(in crate::experiment) path: Vec<Key<'a>>,
    candidates: Candidates<'a>,
}

#[derive(Debug)]
enum Candidates<'a> {
    /// Each with how it is written.
    List(Vec<(Value<'a>, String)>),
    /// Numbers as text, and where their range stands.
    Range(Vec<String>, Range<usize>),
}

impl<'a> Sweep<'a> {
    /// Reads a sweep that was taken out of the text of `source`.
    pub(in crate::experiment) fn read(
        typed: Option<Value<'a>>,
        source: &Source,
    ) -> Result<Self, Refused> {
        let Some(typed) = typed else { return Ok(Self { grids: vec![Vec::new()], at: 0..0 }) };
        let at = typed.span();
        let tables = match typed.into_inner() {
            DeValue::Array(tables) => tables.into_iter().collect(),
            table => vec![Spanned::new(at.clone(), table)],
        };
        let mut grids = Vec::new();
        for table in tables {
            let at = table.span();
            let DeValue::Table(table) = table.into_inner() else {
                return Err(Refused::new(at, Error::NoTable.into()));
            };
            let mut axes = Vec::new();
            read_table(table, &[], source, &mut axes)?;
            if axes.is_empty() {
                return Err(Refused::new(at, Error::Empty.into()));
            }
            // A table is sorted by its keys; what is written first varies slowest.
            axes.sort_by_key(|axis| axis.path.last().map(Spanned::span).map(|at| at.start));
            grids.push(axes);
        }
        if grids.is_empty() {
            return Err(Refused::new(at, Error::Empty.into()));
        }
        Ok(Self { grids, at })
    }

    /// How many combinations there are, those that occur twice counted twice.
    pub(in crate::experiment) fn len(&self) -> usize {
        let size = |axes: &Vec<Axis<'_>>| axes.iter().map(Axis::len).fold(1, usize::saturating_mul);
        self.grids.iter().map(size).fold(0, usize::saturating_add)
    }

    /// Every combination: the axes of one grid, each with the position of one of its values.
    pub(in crate::experiment) fn combinations(
        &self,
    ) -> impl Iterator<Item = Vec<(&Axis<'a>, usize)>> {
        self.grids.iter().flat_map(|axes| {
            let size = axes.iter().map(Axis::len).fold(1, usize::saturating_mul);
            (0..size).map(move |number| {
                let mut rest = number;
                let mut chosen: Vec<_> = axes
                    .iter()
                    .rev()
                    .map(|axis| {
                        let index = rest % axis.len();
                        rest /= axis.len();
                        (axis, index)
                    })
                    .collect();
                chosen.reverse();
                chosen
            })
        })
    }

    /// What a combination is called: each key by the last words of its path that are its own.
    pub(in crate::experiment) fn label(&self, settings: &[(String, String)]) -> String {
        let all = self.grids.iter().flatten().map(|axis| dotted(&axis.path));
        let all: BTreeSet<String> = all.collect();
        let words: Vec<String> =
            settings.iter().map(|(path, value)| format!("{}={value}", short(path, &all))).collect();
        words.join(" ")
    }
}

impl Axis<'_> {
    fn len(&self) -> usize {
        match &self.candidates {
            Candidates::List(values) => values.len(),
            Candidates::Range(texts, _) => texts.len(),
        }
    }

    /// The key and one of its values, as text.
    pub(in crate::experiment) fn setting(&self, index: usize) -> (String, String) {
        let text = match &self.candidates {
            Candidates::List(values) => values[index].1.clone(),
            Candidates::Range(texts, _) => texts[index].clone(),
        };
        (dotted(&self.path), text)
    }

    /// One of the values, at the place of the sweep where it stands.
    pub(in crate::experiment) fn value(&self, index: usize) -> Value<'_> {
        match &self.candidates {
            Candidates::List(values) => values[index].0.clone(),
            Candidates::Range(texts, at) => {
                let value = DeValue::parse(&texts[index]).expect("a printed number is TOML");
                Spanned::new(at.clone(), value.into_inner())
            }
        }
    }
}

/// The axes in a table and in the tables below it.
fn read_table<'a>(
    table: DeTable<'a>,
    above: &[Key<'a>],
    source: &Source,
    axes: &mut Vec<Axis<'a>>,
) -> Result<(), Refused> {
    for (key, value) in table {
        let (key_at, at) = (key.span(), value.span());
        if above.is_empty() && WHOLE.contains(&key.get_ref().as_ref()) {
            let key = key.into_inner().into_owned();
            return Err(Refused::new(key_at, Error::OfTheWhole { key }.into()));
        }
        let path = [above, &[key]].concat();
        let name = || dotted(&path);
        let candidates = match value.into_inner() {
            DeValue::Table(table) if range::is_range(&table) => {
                let texts = range::read(&table, &at)?;
                Candidates::Range(texts, at)
            }
            DeValue::Table(table) => {
                read_table(table, &path, source, axes)?;
                continue;
            }
            DeValue::Array(items) if items.is_empty() => {
                return Err(Refused::new(at, Error::NoValue { path: name() }.into()));
            }
            DeValue::Array(items) => {
                let items = items.into_iter().map(|item| {
                    let text = text(&item, source);
                    (item, text)
                });
                Candidates::List(items.collect())
            }
            _ => return Err(Refused::new(at, Error::NoList { path: name() }.into())),
        };
        axes.push(Axis { path, candidates });
    }
    Ok(())
}

/// How a value is written, on one line and a string without its quotes.
fn text(value: &Value<'_>, source: &Source) -> String {
    if let Some(text) = value.get_ref().as_str() {
        return text.to_owned();
    }
    let typed = source.text.get(value.span()).unwrap_or_default();
    typed.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// As many of the last words of `path` as no other path ends with.
fn short<'p>(path: &'p str, all: &BTreeSet<String>) -> &'p str {
    let starts = path.match_indices('.').map(|(dot, _)| dot + 1);
    let is_shared = |words: &str| {
        let ends = |other: &&String| {
            other.strip_suffix(words).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        all.iter().filter(ends).count() > 1
    };
    let mut ends: Vec<&str> = starts.map(|start| &path[start..]).collect();
    ends.reverse();
    ends.into_iter().find(|words| !is_shared(words)).unwrap_or(path)
}
