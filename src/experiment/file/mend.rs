//! Reads a file although something in it is wrong, so that all of its mistakes are found in one round.
//!
//! The TOML reader stops at the first mistake. So what is wrong is taken out of the tree, or a value that
//! fits is put in its place, and the tree is read again, until it says something.
//! Values that were put in stand behind the end of the text: what is said of them, here or by the plan, is
//! no mistake of the file.
//! The sections that were mended are told as [`Doubts`]: they do not say all that they were meant to say.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, ValueDeserializer};

use super::document::Added;
use super::explain::{missing_key, unknown_key};
use super::{File, Mistake, Source, Value};
use crate::experiment::refusal::{Refused, sweep};
use crate::nearest::nearest;

/// After so many mistakes a file is not mended any more.
const MENDED_MAX: usize = 500;

/// What fits into the place of a value that is wrong or absent: a text or a length of time, a number, a
/// list, and each kind and section that a file must have.
const STAND_INS: [&str; 8] = [
    "\"100000h\"",
    "1",
    "[]",
    "{ closed = { clients = 1 } }",
    "{ classic = {} }",
    "{ majority = {} }",
    "{ profile = \"lan\", replicas = [], clients = [] }",
    "{ arrival = { closed = { clients = 1 } }, duration = \"100000h\" }",
];

/// What could be read of a file.
#[derive(Debug)]
pub(in crate::experiment) struct Reading {
    /// What it says, mended; none where too much is wrong.
    pub(in crate::experiment) file: Option<File>,
    /// What is wrong with its form.
    pub(in crate::experiment) mistakes: Vec<Mistake>,
    /// What was mended.
    pub(in crate::experiment) doubts: Doubts,
}

/// The parts of a file that do not say all that they were meant to say.
#[derive(Clone, Debug, Default)]
pub(in crate::experiment) struct Doubts {
    sections: BTreeSet<String>,
    variants: BTreeSet<usize>,
    faults: BTreeSet<usize>,
}

impl Doubts {
    /// Whether a section is in doubt; of `variant` and `fault` whether it is unknown how many there are.
    pub(in crate::experiment) fn of(&self, section: &str) -> bool {
        self.sections.contains(section)
    }

    /// Whether the variant at this position is in doubt.
    pub(in crate::experiment) fn of_variant(&self, index: usize) -> bool {
        self.of("variant") || self.variants.contains(&index)
    }

    /// Whether the fault at this position is in doubt.
    pub(in crate::experiment) fn of_fault(&self, index: usize) -> bool {
        self.of("fault") || self.faults.contains(&index)
    }

    /// A section is in doubt.
    pub(super) fn add(&mut self, section: &str) {
        self.sections.insert(section.to_owned());
    }
}

/// A place of this number behind the end of a text, where nothing of the text stands.
pub(super) fn behind(source: &Source, number: usize) -> Range<usize> {
    let start = source.text.len() + 1 + number;
    start..start + 1
}

/// A value of this notation, every part of which stands at this place.
pub(super) fn stand_in(text: &'static str, at: &Range<usize>) -> Value<'static> {
    let value = DeValue::parse(text).expect("a stand-in is TOML");
    moved(value, at)
}

fn moved<'a>(value: Value<'a>, at: &Range<usize>) -> Value<'a> {
    let value = match value.into_inner() {
        DeValue::Array(items) => {
            let mut all = DeArray::new();
            for item in items {
                all.push(moved(item, at));
            }
            DeValue::Array(all)
        }
        DeValue::Table(table) => DeValue::Table(
            table
                .into_iter()
                .map(|(key, value)| (Spanned::new(at.clone(), key.into_inner()), moved(value, at)))
                .collect(),
        ),
        other => other,
    };
    Spanned::new(at.clone(), value)
}

/// A step from a value into it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Item(usize),
}

/// A value in the tree.
struct Node {
    path: Vec<Step>,
    key_at: Option<Range<usize>>,
    at: Range<usize>,
}

/// A tree that is read and mended.
pub(super) struct Mender<'a> {
    source: &'a Source,
    tree: Value<'a>,
    /// The keys that a sweep put beside others.
    added: Vec<Added>,
    doubts: Doubts,
    /// How many values were put in.
    stand_in_count: usize,
    mistakes: Vec<Mistake>,
    /// What was taken out: the place of the table, and the key.
    removed: Vec<(Range<usize>, String)>,
    /// Where the tables of variants and faults begin that were mended.
    elements: BTreeSet<usize>,
}

impl<'a> Mender<'a> {
    /// Of a tree of this text, of which some is in doubt: so many values stand in for others.
    pub(super) fn new(
        source: &'a Source,
        tree: Value<'a>,
        added: Vec<Added>,
        (doubts, stand_in_count): (Doubts, usize),
    ) -> Self {
        let (mistakes, removed, elements) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { source, tree, added, doubts, stand_in_count, mistakes, removed, elements }
    }

    /// Reads the tree to the end.
    pub(super) fn read(mut self) -> Reading {
        let mut file = None;
        for _ in 0..MENDED_MAX {
            match said(&self.tree) {
                Ok(said) => {
                    file = Some(said);
                    break;
                }
                Err(error) => {
                    self.note(&error);
                    if !self.mend(&error) {
                        break;
                    }
                }
            }
        }
        for (list, found) in
            [("variant", &mut self.doubts.variants), ("fault", &mut self.doubts.faults)]
        {
            let tables = self.tree.get_ref().get(list).and_then(|list| list.get_ref().as_array());
            let tables = tables.into_iter().flat_map(|tables| tables.iter().enumerate());
            let mended = tables.filter(|(_, table)| self.elements.contains(&table.span().start));
            found.extend(mended.map(|(index, _)| index));
        }
        Reading { file, mistakes: self.mistakes, doubts: self.doubts }
    }

    /// Keeps what the reader refused, unless it follows from what was mended.
    fn note(&mut self, error: &toml::de::Error) {
        let at = error.span().unwrap_or(0..0);
        let follows = missing_key(error.message())
            .is_some_and(|key| self.removed.contains(&(at.clone(), key)));
        if follows || at.start > self.source.text.len() {
            return;
        }
        let mut mistake = self.beside(error).unwrap_or_else(|| self.source.explained(error));
        if error.message().starts_with("wanted exactly 1 element, more") && mistake.at == at {
            mistake.help = self.kinds(&at);
        }
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    /// The mistake of a sweep that sets one kind where the file has another one.
    fn beside(&self, error: &toml::de::Error) -> Option<Mistake> {
        if !error.message().starts_with("wanted exactly 1 element, more") {
            return None;
        }
        let added = self.added.iter().find(|added| Some(&added.table) == error.span().as_ref())?;
        let (path, before) = (added.path.clone(), added.before.clone());
        let error = sweep::Error::OtherKind { path, before };
        Some((&Refused::new(added.at.clone(), error.into())).into())
    }

    /// What to change where several kinds stand in one table.
    fn kinds(&self, at: &Range<usize>) -> Option<String> {
        let mut tree = self.tree.clone();
        let path = self.paths(|node| node.at == *at).pop()?;
        let DeValue::Table(table) = get(&mut tree, &path)? else { return None };
        let mut keys: Vec<(usize, String)> =
            table.keys().map(|key| (key.span().start, format!("`{}`", key.get_ref()))).collect();
        keys.sort();
        let kinds: Vec<String> = keys.into_iter().map(|(_, kind)| kind).collect();
        Some(format!("leave one of {} and its settings, and no other", kinds.join(", ")))
    }

    /// Takes out or replaces what the reader refused; false if nothing helps.
    fn mend(&mut self, error: &toml::de::Error) -> bool {
        let at = error.span().unwrap_or(0..0);
        if let Some((key, known)) = unknown_key(error.message()) {
            return self.mend_unknown(&at, &key, &known);
        }
        if let Some(key) = missing_key(error.message()) {
            return self.mend_missing(error, &at, &key);
        }
        self.mend_value(error, &at)
    }

    /// An unknown key is the one that it resembles, if that is absent; else it is taken out.
    fn mend_unknown(&mut self, at: &Range<usize>, key: &str, known: &[String]) -> bool {
        let is_it = |node: &Node| {
            node.key_at.as_ref() == Some(at) && node.path.last() == Some(&Step::Key(key.to_owned()))
        };
        let paths = self.paths(is_it);
        let meant = nearest(key, known);
        for path in &paths {
            let table = &path[..path.len() - 1];
            let Some(DeValue::Table(table)) = get(&mut self.tree, table) else { continue };
            let Some((typed, value)) = table.remove_entry(key) else { continue };
            match meant.filter(|meant| !table.contains_key(*meant)) {
                Some(meant) => {
                    table.insert(Spanned::new(typed.span(), meant.to_owned().into()), value);
                }
                // What it was for is missed there.
                None if path.len() > 2 && is_about_one_thing(path) => self.doubt(path),
                None => {}
            }
        }
        !paths.is_empty()
    }

    /// A key that must be there gets a value.
    fn mend_missing(&mut self, error: &toml::de::Error, at: &Range<usize>, key: &str) -> bool {
        let is_table = |node: &Node| node.at == *at;
        let mut paths = self.paths(is_table);
        let tree = &mut self.tree;
        paths.retain(|path| match get(tree, path) {
            Some(DeValue::Table(table)) => !table.contains_key(key),
            _ => false,
        });
        for path in &mut paths {
            path.push(Step::Key(key.to_owned()));
        }
        let is_mended = STAND_INS.iter().any(|text| self.replace(error, &paths, Some(text)));
        !paths.is_empty() && is_mended
    }

    /// A value that is wrong is taken out; where it must be there, it gets another one; where none fits, what
    /// is around it is mended.
    fn mend_value(&mut self, error: &toml::de::Error, at: &Range<usize>) -> bool {
        let mut paths = self.paths(|node| node.at == *at || node.key_at.as_ref() == Some(at));
        while paths.iter().all(|path| !path.is_empty()) && !paths.is_empty() {
            if error.message().ends_with("expected a sequence") && self.wrap(error, &paths) {
                return true;
            }
            if self.replace(error, &paths, None)
                || STAND_INS.iter().any(|text| self.replace(error, &paths, Some(text)))
            {
                return true;
            }
            for path in &mut paths {
                path.pop();
            }
        }
        false
    }

    /// Makes a list of one table where a list of tables is wanted.
    fn wrap(&mut self, error: &toml::de::Error, paths: &[Vec<Step>]) -> bool {
        let mut trial = self.tree.clone();
        for path in paths {
            let Some(value) = get(&mut trial, path).filter(|value| value.is_table()) else {
                return false;
            };
            let at = error.span().unwrap_or(0..0);
            let mut list = DeArray::new();
            list.push(Spanned::new(at, value.clone()));
            *value = DeValue::Array(list);
        }
        self.accept(trial, error, paths)
    }

    /// Puts this value in all of these places, or takes out what is there; false if that does not help.
    fn replace(
        &mut self,
        error: &toml::de::Error,
        paths: &[Vec<Step>],
        text: Option<&'static str>,
    ) -> bool {
        let mut trial = self.tree.clone();
        let stand_in_at = behind(self.source, self.stand_in_count);
        for path in paths {
            let Some((last, around)) = path.split_last() else { return false };
            let value = text.map(|text| stand_in(text, &stand_in_at));
            match (get(&mut trial, around), last, value) {
                (Some(DeValue::Table(table)), Step::Key(key), Some(value)) => {
                    let key_at = table.get_key_value(key.as_str()).map(|(key, _)| key.span());
                    let key_at = key_at.unwrap_or_else(|| value.span());
                    table.insert(Spanned::new(key_at, key.clone().into()), value);
                }
                (Some(DeValue::Table(table)), Step::Key(key), None) => {
                    table.remove(key.as_str());
                }
                (Some(DeValue::Array(items)), Step::Item(index), None) => {
                    let mut rest = DeArray::new();
                    let others = items.iter().enumerate().filter(|(other, _)| other != index);
                    others.for_each(|(_, item)| rest.push(item.clone()));
                    *items = rest;
                }
                _ => return false,
            }
        }
        self.accept(trial, error, paths)
    }

    /// Goes on with a tree in which these places were changed, unless the same is wrong or they are.
    fn accept(
        &mut self,
        mut trial: Value<'a>,
        error: &toml::de::Error,
        paths: &[Vec<Step>],
    ) -> bool {
        let found = said(&trial).err();
        let tables: Vec<(Range<usize>, &str)> = paths
            .iter()
            .filter_map(|path| match path.split_last() {
                Some((Step::Key(key), around)) => Some((place(&mut trial, around)?, key.as_str())),
                _ => None,
            })
            .collect();
        let is_wrong = found.is_some_and(|found| {
            let at = found.span().unwrap_or(0..0);
            let is_same =
                (found.message(), &at) == (error.message(), &error.span().unwrap_or(0..0));
            let missing = missing_key(found.message());
            let is_empty = found.message().starts_with("wanted exactly 1 element, found 0");
            let lacks = tables
                .iter()
                .any(|(table, key)| *table == at && (is_empty || missing.as_deref() == Some(*key)));
            is_same || lacks || at == behind(self.source, self.stand_in_count)
        });
        if is_wrong {
            return false;
        }
        self.removed.extend(tables.into_iter().map(|(table, key)| (table, key.to_owned())));
        for path in paths {
            self.doubt(path);
        }
        self.stand_in_count += 1;
        self.tree = trial;
        true
    }

    /// What is at this place is in doubt from now on.
    fn doubt(&mut self, path: &[Step]) {
        let Some(Step::Key(section)) = path.first() else { return };
        match path.get(1) {
            Some(Step::Item(_)) if path.len() > 2 => {
                let element = place(&mut self.tree, &path[..2]);
                self.elements.extend(element.map(|at| at.start));
            }
            _ => self.doubts.add(section),
        }
    }

    /// The innermost places that are meant.
    fn paths(&self, is_meant: impl Fn(&Node) -> bool) -> Vec<Vec<Step>> {
        let mut nodes = Vec::new();
        collect(
            &self.tree,
            &Node { path: Vec::new(), key_at: None, at: self.tree.span() },
            &mut nodes,
        );
        let paths: Vec<Vec<Step>> =
            nodes.into_iter().filter(is_meant).map(|node| node.path).collect();
        let is_around = |path: &Vec<Step>| {
            paths.iter().any(|other| other.len() > path.len() && other.starts_with(path))
        };
        paths.iter().filter(|path| !is_around(path)).cloned().collect()
    }
}

/// Whether a table is about one thing, which a key that was taken out may have been to name.
fn is_about_one_thing(path: &[Step]) -> bool {
    let sections = ["topology", "variant", "fault"].map(|key| Step::Key(key.to_owned()));
    path.first().is_some_and(|section| sections.contains(section))
}

/// What a tree says.
fn said(tree: &Value<'_>) -> Result<File, toml::de::Error> {
    File::deserialize(ValueDeserializer::from(tree.clone()))
}

/// The value at the end of a path.
fn get<'t, 'a>(tree: &'t mut Value<'a>, path: &[Step]) -> Option<&'t mut DeValue<'a>> {
    let mut value = tree.get_mut();
    for step in path {
        value = match (value, step) {
            (DeValue::Table(table), Step::Key(key)) => table.get_mut(key.as_str())?.get_mut(),
            (DeValue::Array(list), Step::Item(index)) => list.get_mut(*index)?.get_mut(),
            _ => return None,
        };
    }
    Some(value)
}

/// Where the value at the end of a path stands.
fn place(tree: &mut Value<'_>, path: &[Step]) -> Option<Range<usize>> {
    let Some((last, around)) = path.split_last() else { return Some(tree.span()) };
    match (get(tree, around)?, last) {
        (DeValue::Table(table), Step::Key(key)) => table.get(key.as_str()).map(Spanned::span),
        (DeValue::Array(items), Step::Item(index)) => items.get(*index).map(Spanned::span),
        _ => None,
    }
}

/// All values in a tree, those around others first.
fn collect(value: &Value<'_>, own: &Node, nodes: &mut Vec<Node>) {
    nodes.push(Node { path: own.path.clone(), key_at: own.key_at.clone(), at: own.at.clone() });
    let below = |step: Step, key_at: Option<Range<usize>>, value: &Value<'_>| Node {
        path: [own.path.as_slice(), &[step]].concat(),
        key_at,
        at: value.span(),
    };
    match value.get_ref() {
        DeValue::Table(table) => {
            for (key, value) in table {
                let step = Step::Key(key.get_ref().to_string());
                collect(value, &below(step, Some(key.span()), value), nodes);
            }
        }
        DeValue::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                collect(value, &below(Step::Item(index), None, value), nodes);
            }
        }
        _ => {}
    }
}

/// The root of a file as a value.
pub(super) fn rooted(root: Spanned<DeTable<'_>>) -> Value<'_> {
    let at = root.span();
    Spanned::new(at, DeValue::Table(root.into_inner()))
}
