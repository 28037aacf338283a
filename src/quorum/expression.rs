//! Quorums as expressions: `choose(2, us-east-1, eu-west-1 * eu-west-2)`.
//!
//! `*` is and, `+` is or; `choose(k, …)` asks for `k` of what follows, `majority(…)` for a majority of it.
//! The operators are those of Whittaker et al. (2021), "Read-Write Quorum Systems Made Practical".
//! Who a name means is decided by the caller.

use std::fmt;
use std::ops::Range;

use super::{Gate, NodeId, majority};

/// How deep parentheses may stand in one another.
const DEPTH_MAX: usize = 32;

/// An expression over names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// An acceptor.
    Name {
        /// What it is called.
        name: String,
        /// Where that stands, in bytes.
        at: Range<usize>,
    },
    /// At least so many of these.
    Choose {
        /// How many.
        count: usize,
        /// Of what.
        parts: Vec<Expression>,
    },
}

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where it goes wrong, in bytes.
    pub at: Range<usize>,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for SyntaxError {}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// If `text` is none: everything that is wrong with it, with the places.
    pub fn parse(text: &str) -> Result<Self, Vec<SyntaxError>> {
        match Self::read(text) {
            (found, wrong) if wrong.is_empty() => Ok(found),
            (_, wrong) => Err(wrong),
        }
    }

    /// Reads as much as it can, and everything that is wrong, so that the names in a text that is no expression can be
    /// looked up, too.
    pub fn read(text: &str) -> (Self, Vec<SyntaxError>) {
        let mut parser = Parser { text, at: 0, depth: 0, wrong: Vec::new(), is_lost: false };
        let mut parts = vec![parser.sum()];
        while let Some(letter) = parser.peek() {
            parser.refuse(match letter {
                ')' => "`)` closes nothing",
                _ => "expected `*`, `+` or the end",
            });
            // What follows is read as if an operator stood before it.
            if letter.is_alphanumeric() || letter == '(' {
                parts.push(parser.sum());
            } else {
                parser.at += letter.len_utf8();
            }
        }
        (chosen(|_| 1, parts), parser.wrong)
    }

    /// The gate that it is when `node` says whom each name means.
    ///
    /// # Errors
    /// All that `node` reports, which is given each name and its place.
    pub fn gate<E>(
        &self,
        node: &mut impl FnMut(&str, Range<usize>) -> Result<NodeId, E>,
    ) -> Result<Gate, Vec<E>> {
        match self {
            Self::Name { name, at } => {
                node(name, at.clone()).map(Gate::node).map_err(|error| vec![error])
            }
            Self::Choose { count, parts } => {
                let (mut gates, mut errors) = (Vec::new(), Vec::new());
                for part in parts {
                    match part.gate(node) {
                        Ok(gate) => gates.push(gate),
                        Err(more) => errors.extend(more),
                    }
                }
                if errors.is_empty() { Ok(Gate::of(*count as u64, gates)) } else { Err(errors) }
            }
        }
    }

    /// What stands where an expression is missing.
    const fn missing() -> Self {
        Self::Choose { count: 1, parts: Vec::new() }
    }
}

/// Reads on behind a mistake, as if what is missing were there.
struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    wrong: Vec<SyntaxError>,
    /// It has given up, and says no more.
    is_lost: bool,
}

impl<'a> Parser<'a> {
    fn sum(&mut self) -> Expression {
        let parts = self.separated('+', Self::product);
        chosen(|_| 1, parts)
    }

    fn product(&mut self) -> Expression {
        let parts = self.separated('*', Self::factor);
        chosen(|count| count, parts)
    }

    fn separated(&mut self, separator: char, part: fn(&mut Self) -> Expression) -> Vec<Expression> {
        let mut parts = vec![part(self)];
        while self.take(separator) {
            parts.push(part(self));
        }
        parts
    }

    fn factor(&mut self) -> Expression {
        if self.depth == DEPTH_MAX {
            self.refuse("the parentheses stand too deep in one another");
            (self.at, self.is_lost) = (self.text.len(), true);
            return Expression::missing();
        }
        self.depth += 1;
        let found = if self.take('(') {
            let inner = self.sum();
            self.close();
            inner
        } else {
            match self.name() {
                None => Expression::missing(),
                Some(("choose", _)) if self.peek() == Some('(') => self.choose(),
                Some(("majority", _)) if self.peek() == Some('(') => {
                    self.take('(');
                    let parts = self.separated(',', Self::sum);
                    self.close();
                    Expression::Choose { count: majority(parts.len()), parts }
                }
                Some((name, at)) => Expression::Name { name: name.to_owned(), at },
            }
        };
        self.depth -= 1;
        found
    }

    fn choose(&mut self) -> Expression {
        self.take('(');
        let before = self.wrong.len();
        let Some((number, at)) = self.name() else { return Expression::missing() };
        let count: Option<usize> = number.parse().ok();
        if count.is_none() {
            let what = format!(
                "`{number}` is no number: `choose` begins with how many, `choose(2, a, b, c)`"
            );
            self.refuse_at(at.clone(), what);
        }
        if !self.take(',') {
            self.refuse("expected `,`: `choose(2, a, b, c)`");
        }
        let parts = self.separated(',', Self::sum);
        self.close();
        let count = count.unwrap_or(1);
        if self.wrong.len() == before && !(1..=parts.len()).contains(&count) {
            self.refuse_at(at, format!("{count} of {} cannot be chosen", parts.len()));
        }
        Expression::Choose { count, parts }
    }

    fn close(&mut self) {
        if !self.take(')') {
            self.refuse("expected `)`");
        }
    }

    fn name(&mut self) -> Option<(&'a str, Range<usize>)> {
        self.peek();
        let text = self.text;
        let rest = &text[self.at..];
        let is_end = |letter: char| !(letter.is_alphanumeric() || "-_.:/#".contains(letter));
        let length = rest.find(is_end).unwrap_or(rest.len());
        if length == 0 {
            self.refuse("expected a replica, `choose(…)` or `(`");
            return None;
        }
        let at = self.at..self.at + length;
        self.at = at.end;
        Some((&text[at.clone()], at))
    }

    /// The next letter, after blanks.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, letter: char) -> bool {
        let is_next = self.peek() == Some(letter);
        if is_next {
            self.at += letter.len_utf8();
        }
        is_next
    }

    /// Something is wrong here.
    fn refuse(&mut self, what: &str) {
        let length = self.peek().map_or(0, char::len_utf8);
        self.refuse_at(self.at..self.at + length, what.to_owned());
    }

    /// One mistake is kept for each place.
    fn refuse_at(&mut self, at: Range<usize>, what: String) {
        let is_known = |known: &SyntaxError| known.at == at;
        if !self.is_lost && !self.wrong.iter().any(is_known) {
            self.wrong.push(SyntaxError { at, what });
        }
    }
}

/// One part as it is; of more, so many.
fn chosen(count: impl Fn(usize) -> usize, mut parts: Vec<Expression>) -> Expression {
    match parts.len() {
        1 => parts.swap_remove(0),
        of => Expression::Choose { count: count(of), parts },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::{Family, NodeSet};

    fn family(text: &str) -> Family {
        let mut node = |name: &str, _| match name {
            "a" => Ok(NodeId(0)),
            "b" => Ok(NodeId(1)),
            "c" => Ok(NodeId(2)),
            "us-east-1" => Ok(NodeId(3)),
            _ => Err(name.to_owned()),
        };
        Family::of_gate(Expression::parse(text).unwrap().gate(&mut node).unwrap(), 4)
    }

    #[track_caller]
    fn check(text: &str, masks: &[u64]) {
        let listed = Family::of_sets(masks.iter().copied().map(NodeSet::from_mask).collect());
        for set in (0..16).map(NodeSet::from_mask) {
            assert_eq!(family(text).contains(set), listed.contains(set), "{text}: {set}");
        }
    }

    #[test]
    fn operators_bind_as_in_arithmetic() {
        check("a", &[0b0001]);
        check("a * b + c", &[0b0011, 0b0100]);
        check(" a*(b+ c) ", &[0b0011, 0b0101]);
        check("choose(2, a, b * c, us-east-1)", &[0b0111, 0b1001, 0b1110]);
        check("majority(a, b, c)", &[0b0011, 0b0101, 0b0110]);
        check("choose(3, a, a, b, c)", &[0b0011, 0b0101]);
        check("a + a * b", &[0b0001]);
    }

    #[test]
    fn mistakes_are_found_where_they_stand() {
        let refused = |text: &str| {
            let wrong = Expression::parse(text).unwrap_err();
            let [SyntaxError { at, what }] = &wrong[..] else { panic!("{text}: {wrong:?}") };
            (at.start, what.clone())
        };
        assert_eq!(refused("").1, "expected a replica, `choose(…)` or `(`");
        assert_eq!(refused("a + "), (4, "expected a replica, `choose(…)` or `(`".to_owned()));
        assert_eq!(refused("(a * b").1, "expected `)`");
        assert_eq!(refused("a)"), (1, "`)` closes nothing".to_owned()));
        assert_eq!(refused("a b"), (2, "expected `*`, `+` or the end".to_owned()));
        assert_eq!(refused("choose(4, a, b)"), (7, "4 of 2 cannot be chosen".to_owned()));
        assert!(refused("choose(a, b)").1.contains("`a` is no number"));
        assert!(refused(&"(".repeat(99)).1.contains("too deep"));
    }

    #[test]
    fn all_mistakes_of_a_text_are_found() {
        let refused = |text: &str| {
            let wrong = Expression::parse(text).unwrap_err();
            wrong.into_iter().map(|it| (it.at.start, it.what)).collect::<Vec<_>>()
        };
        let found = refused("choose(x, a, * b) + choose(3, a, b) c");
        let starts: Vec<usize> = found.iter().map(|(at, _)| *at).collect();
        assert_eq!(starts, [7, 13, 27, 36], "{found:?}");
        let mut unknown = |name: &str, _| Err(name.to_owned());
        let (read, wrong) = Expression::read("x * (y + choose(2, z)");
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert_eq!(read.gate(&mut unknown), Err(["x", "y", "z"].map(str::to_owned).to_vec()));
    }
}
