//! The text of an experiment as a tree, into which a sweep puts its values before the file is read.
//!
//! Every key and value keeps its place in the text, also one that was put elsewhere: so what is wrong
//! with a swept value is shown where the sweep names it.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::mend::{self, Doubts, Mender, Reading};
use super::{Error, Mistake, Source};
use crate::experiment::refusal::Refused;
use crate::experiment::refusal::sweep;

/// A key, and where it stands.
pub(in crate::experiment) type Key<'a> = Spanned<DeString<'a>>;

/// A value, and where it stands.
pub(in crate::experiment) type Value<'a> = Spanned<DeValue<'a>>;

/// The lists of tables of a file, which a path goes through without a number.
const LISTS: [&str; 2] = ["variant", "fault"];

/// An experiment file as a tree.
#[derive(Clone, Debug)]
pub(in crate::experiment) struct Document<'a> {
    source: &'a Source,
    root: Spanned<DeTable<'a>>,
    added: Vec<Added>,
    doubts: Doubts,
    /// How many values stand in for others.
    stand_in_count: usize,
}

/// A key that a sweep put beside others; among kinds that is one too many.
#[derive(Clone, Debug)]
pub(super) struct Added {
    /// The table that got it.
    pub(super) table: Range<usize>,
    /// What was there before.
    pub(super) before: String,
    /// The key, as a path.
    pub(super) path: String,
    /// Where the sweep names it.
    pub(super) at: Range<usize>,
}

impl<'a> Document<'a> {
    /// The tree of a text.
    pub(in crate::experiment) fn parse(source: &'a Source) -> Result<Self, Error> {
        let root = DeTable::parse(&source.text)
            .map_err(|error| source.wrong(vec![source.explained(&error)]))?;
        Ok(Self { source, root, added: Vec::new(), doubts: Doubts::default(), stand_in_count: 0 })
    }

    /// The text that it is the tree of.
    pub(in crate::experiment) const fn source(&self) -> &'a Source {
        self.source
    }

    /// Gives the experiment the size of its `[smoke]` section, which must say some size.
    pub(in crate::experiment) fn smoke(mut self) -> Result<Self, Error> {
        let root = self.root.get_mut();
        let section = root.get("smoke");
        let at = section.map_or(0..0, Spanned::span);
        let smoke = section.and_then(|smoke| smoke.get_ref().as_table()).cloned();
        let smoke = smoke.unwrap_or_default();
        if smoke.is_empty() {
            let message = "this experiment has no smaller size: its section `[smoke]` says nothing";
            let help =
                "leave out `--smoke`, or write the section: `[smoke]` and `duration = \"1s\"`";
            let (message, help) = (message.to_owned(), Some(help.to_owned()));
            return Err(self.source.wrong(vec![Mistake { at, message, help }]));
        }
        for (key, value) in smoke {
            if matches!(key.get_ref().as_ref(), "trials" | "sweep") {
                root.insert(key, value);
            } else if let Some(workload) = root.get_mut("workload")
                && let DeValue::Table(workload) = workload.get_mut()
            {
                workload.insert(key, value);
            }
        }
        Ok(self)
    }

    /// Takes the sweep out of the tree.
    pub(in crate::experiment) fn take_sweep(&mut self) -> Option<Value<'a>> {
        self.root.get_mut().remove("sweep")
    }

    /// Puts `value` at `path`, whatever was there: in the lists of tables into every table where the
    /// table around it exists, elsewhere with the tables around it.
    pub(in crate::experiment) fn put(
        &mut self,
        path: &[Key<'a>],
        value: &Value<'a>,
    ) -> Result<(), Refused> {
        let Some((first, rest)) = path.split_first() else { return Ok(()) };
        let list = first.get_ref().as_ref();
        if !LISTS.contains(&list) || rest.is_empty() {
            let at = self.root.span();
            put_in(self.root.get_mut(), &at, path, 0, value, &mut self.added);
            return Ok(());
        }
        let mut is_put = false;
        if let Some(tables) = self.root.get_mut().get_mut(list)
            && let DeValue::Array(tables) = tables.get_mut()
        {
            for table in tables.iter_mut() {
                is_put |= put_in_existing(table, path, 1, value, &mut self.added);
            }
        }
        if is_put {
            return Ok(());
        }
        let parent = dotted(&rest[..rest.len() - 1]);
        let at = rest.get(rest.len().saturating_sub(2)).unwrap_or(first).span();
        let error = sweep::Error::NoElement { list: list.to_owned(), parent };
        Err(Refused::new(at, error.into()))
    }

    /// A value that cannot be used is swept here: whatever fits stands in for it.
    pub(in crate::experiment) fn stand_in(&mut self, path: &[Key<'a>]) {
        let at = mend::behind(self.source, self.stand_in_count);
        self.stand_in_count += 1;
        if self.put(path, &mend::stand_in("\"100000h\"", &at)).is_ok()
            && let Some(section) = path.first()
        {
            self.doubts.add(section.get_ref());
        }
    }

    /// What the tree says, and everything that is wrong with it.
    pub(in crate::experiment) fn read(self) -> Reading {
        let Self { source, root, added, doubts, stand_in_count } = self;
        Mender::new(source, mend::rooted(root), added, (doubts, stand_in_count)).read()
    }
}

/// The keys of a path with dots between them.
pub(in crate::experiment) fn dotted(path: &[Key<'_>]) -> String {
    path.iter().map(|key| key.get_ref().as_ref()).collect::<Vec<_>>().join(".")
}

/// Puts `value` at the rest of `path` below `table`, which ends at `depth`; makes the tables around it.
fn put_in<'a>(
    table: &mut DeTable<'a>,
    place: &Range<usize>,
    path: &[Key<'a>],
    depth: usize,
    value: &Value<'a>,
    added: &mut Vec<Added>,
) {
    let key = &path[depth];
    note(table, place, path, depth, added);
    if depth + 1 == path.len() {
        table.insert(key.clone(), value.clone());
        return;
    }
    let new = || Spanned::new(key.span(), DeValue::Table(DeTable::new()));
    let inner = table.entry(key.clone()).or_insert_with(new);
    if !inner.get_ref().is_table() {
        *inner = new();
    }
    let place = inner.span();
    if let DeValue::Table(inner) = inner.get_mut() {
        put_in(inner, &place, path, depth + 1, value, added);
    }
}

/// As [`put_in`], and says whether all the tables around the value were there.
fn put_in_existing<'a>(
    table: &mut Value<'a>,
    path: &[Key<'a>],
    depth: usize,
    value: &Value<'a>,
    added: &mut Vec<Added>,
) -> bool {
    let place = table.span();
    let DeValue::Table(table) = table.get_mut() else { return false };
    if depth + 1 == path.len() {
        note(table, &place, path, depth, added);
        table.insert(path[depth].clone(), value.clone());
        return true;
    }
    let inner = table.get_mut(path[depth].get_ref().as_ref());
    inner.is_some_and(|inner| put_in_existing(inner, path, depth + 1, value, added))
}

/// Remembers a key that comes beside others.
fn note(
    table: &DeTable<'_>,
    place: &Range<usize>,
    path: &[Key<'_>],
    depth: usize,
    added: &mut Vec<Added>,
) {
    let key = &path[depth];
    if table.is_empty() || table.contains_key(key.get_ref().as_ref()) {
        return;
    }
    let before: Vec<&str> = table.keys().map(|key| key.get_ref().as_ref()).collect();
    added.push(Added {
        table: place.clone(),
        before: before.join(", "),
        path: dotted(&path[..=depth]),
        at: key.span(),
    });
}
