//! As much of an XML reader as shows that a figure is well formed, and what is in it.

use std::collections::BTreeMap;

/// An element, in the order in which they begin.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    attributes: BTreeMap<String, String>,
    /// All text in it, also in its children.
    pub(super) text: String,
}

impl Element {
    /// An attribute; empty if it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// An attribute that is a number.
    pub(super) fn number(&self, name: &str) -> f64 {
        self.get(name).parse().unwrap_or_else(|_| panic!("{name} of {self:?}"))
    }
}

/// All elements, or why it is no document.
pub(super) fn elements(document: &str) -> Result<Vec<Element>, String> {
    let mut all: Vec<Element> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut rest = document.strip_prefix('<').ok_or("it begins with no tag")?;
    loop {
        let (tag, after) = rest.split_once('>').ok_or("a tag without an end")?;
        if let Some(name) = tag.strip_prefix('/') {
            let begun = open.pop().ok_or("an end without a begin")?;
            if all[begun].name != name {
                return Err(format!("{} ends as {name}", all[begun].name));
            }
        } else {
            let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            all.push(element(tag)?);
            if !is_empty {
                open.push(all.len() - 1);
            }
        }
        let (text, next) = after.split_once('<').unwrap_or((after, ""));
        let text = plain(text)?;
        for &index in &open {
            all[index].text.push_str(&text);
        }
        if next.is_empty() {
            let is_whole = open.is_empty() && text.trim().is_empty();
            return if is_whole { Ok(all) } else { Err("an element without an end".to_owned()) };
        }
        rest = next;
    }
}

fn element(tag: &str) -> Result<Element, String> {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    let mut element = Element { name: name.to_owned(), ..Element::default() };
    while !rest.trim().is_empty() {
        let (name, after) = rest.trim_start().split_once("=\"").ok_or("no value")?;
        let (value, next) = after.split_once('"').ok_or("a value without an end")?;
        if element.attributes.insert(name.to_owned(), plain(value)?).is_some() {
            return Err(format!("{name} twice"));
        }
        rest = next;
    }
    Ok(element)
}

/// Text without its escapes.
fn plain(text: &str) -> Result<String, String> {
    let mut pieces = text.split('&');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once(';').ok_or("a bare &")?;
        let char = match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            _ => return Err(format!("an unknown escape &{name};")),
        };
        plain.push(char);
        plain.push_str(rest);
    }
    let is_legal = |char: char| !char.is_control() || char == '\n';
    if plain.chars().all(is_legal) { Ok(plain) } else { Err("a control character".to_owned()) }
}
