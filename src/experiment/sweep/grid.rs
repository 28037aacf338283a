//! `[sweep]` as typed: which keys take which values, and every combination of them.
//!
//! A sweep looks like the file itself, but every value is a list or a range of values.
//! `[[sweep]]` is a union of grids, for keys that depend on one another.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::range;
use crate::experiment::file::{Document, Key, Source, Value, dotted};
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::Refused;
use crate::experiment::refusal::sweep::Error;

/// What is of the whole experiment, or no parameter at all.
const WHOLE: [&str; 6] = ["question", "prediction", "seed", "trials", "sweep", "smoke"];

/// The sweep of a file.
#[derive(Debug)]
pub(in crate::experiment) struct Sweep<'a> {
    /// The axes of each grid, in the order of the text; one grid without an axis if nothing is swept.
    grids: Vec<Vec<Axis<'a>>>,
    /// The keys whose values cannot be used.
    wrong: Vec<Vec<Key<'a>>>,
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
    /// Reads a sweep that was taken out of the text of `source`; what is wrong is left out.
    pub(in crate::experiment) fn read(
        typed: Option<Value<'a>>,
        source: &Source,
        mistakes: &mut Mistakes<'_>,
    ) -> Self {
        let (at, mut grids, mut wrong) =
            (typed.as_ref().map(Spanned::span), Vec::new(), Vec::new());
        let tables = match typed.map(|typed| (typed.span(), typed.into_inner())) {
            None => Vec::new(),
            Some((_, DeValue::Array(tables))) if !tables.is_empty() => tables.into_iter().collect(),
            Some((at, table)) => vec![Spanned::new(at, table)],
        };
        for table in tables {
            let at = table.span();
            let DeValue::Table(table) = table.into_inner() else {
                mistakes.refuse_at(at, Error::NoTable);
                continue;
            };
            let (mut axes, before) = (Vec::new(), mistakes.count());
            read_table(table, &[], source, &mut axes, &mut wrong, mistakes);
            if axes.is_empty() && mistakes.count() == before {
                mistakes.refuse_at(at, Error::Empty);
            }
            // A table is sorted by its keys; what is written first varies slowest.
            axes.sort_by_key(|axis| axis.path.last().map(Spanned::span).map(|at| at.start));
            grids.push(axes);
        }
        if grids.is_empty() {
            grids.push(Vec::new());
        }
        Self { grids, wrong, at: at.unwrap_or(0..0) }
    }

    /// The file at a combination; a key without a value that can be used has one that stands in.
    pub(in crate::experiment) fn point<'d>(
        &'d self,
        document: &Document<'d>,
        combination: &[(&'d Axis<'a>, usize)],
        mistakes: &mut Mistakes<'_>,
    ) -> Document<'d> {
        let mut document = document.clone();
        for path in &self.wrong {
            document.stand_in(path);
        }
        for (axis, index) in combination {
            mistakes.note(document.put(&axis.path, &axis.value(*index)));
        }
        document
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

/// The axes in a table and in the tables below it, and the keys whose values cannot be used.
fn read_table<'a>(
    table: DeTable<'a>,
    above: &[Key<'a>],
    source: &Source,
    axes: &mut Vec<Axis<'a>>,
    wrong: &mut Vec<Vec<Key<'a>>>,
    mistakes: &mut Mistakes<'_>,
) {
    for (key, value) in table {
        if above.is_empty() && WHOLE.contains(&key.get_ref().as_ref()) {
            let (at, key) = (key.span(), key.into_inner().into_owned());
            mistakes.refuse_at(at, Error::OfTheWhole { key });
            continue;
        }
        let path = [above, &[key]].concat();
        match value.get_ref() {
            DeValue::Table(table) if !range::is_range(table) => {
                let DeValue::Table(table) = value.into_inner() else { continue };
                read_table(table, &path, source, axes, wrong, mistakes);
            }
            _ => match mistakes.note(candidates(value, &path, source)) {
                Some(candidates) => axes.push(Axis { path, candidates }),
                None => wrong.push(path),
            },
        }
    }
}

/// The values in a list or a range.
fn candidates<'a>(
    value: Value<'a>,
    path: &[Key<'a>],
    source: &Source,
) -> Result<Candidates<'a>, Refused> {
    let at = value.span();
    match value.into_inner() {
        DeValue::Table(table) => Ok(Candidates::Range(range::read(&table, &at)?, at)),
        DeValue::Array(items) if items.is_empty() => {
            Err(Refused::new(at, Error::NoValue { path: dotted(path) }.into()))
        }
        DeValue::Array(items) => {
            let items = items.into_iter().map(|item| {
                let text = text(&item, source);
                (item, text)
            });
            Ok(Candidates::List(items.collect()))
        }
        _ => Err(Refused::new(at, Error::NoList { path: dotted(path) }.into())),
    }
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
pub fn short<'p>(path: &'p str, all: &BTreeSet<String>) -> &'p str {
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
