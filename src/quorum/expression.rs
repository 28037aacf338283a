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
    /// If `text` is none, with the place.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let found = parser.sum()?;
        match parser.peek() {
            None => Ok(found),
            Some(')') => Err(parser.wrong("`)` closes nothing")),
            Some(_) => Err(parser.wrong("expected `*`, `+` or the end")),
        }
    }

    /// The gate that it is when `node` says whom each name means.
    ///
    /// # Errors
    /// The first that `node` reports, which is given the name and its place.
    pub fn gate<E>(
        &self,
        node: &mut impl FnMut(&str, Range<usize>) -> Result<NodeId, E>,
    ) -> Result<Gate, E> {
        match self {
            Self::Name { name, at } => node(name, at.clone()).map(Gate::node),
            Self::Choose { count, parts } => {
                let gates: Result<Vec<Gate>, E> =
                    parts.iter().map(|part| part.gate(node)).collect();
                Ok(Gate::of(*count as u64, gates?))
            }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn sum(&mut self) -> Result<Expression, SyntaxError> {
        let parts = self.separated('+', Self::product)?;
        Ok(chosen(|_| 1, parts))
    }

    fn product(&mut self) -> Result<Expression, SyntaxError> {
        let parts = self.separated('*', Self::factor)?;
        Ok(chosen(|count| count, parts))
    }

    fn separated(
        &mut self,
        separator: char,
        part: fn(&mut Self) -> Result<Expression, SyntaxError>,
    ) -> Result<Vec<Expression>, SyntaxError> {
        let mut parts = vec![part(self)?];
        while self.take(separator) {
            parts.push(part(self)?);
        }
        Ok(parts)
    }

    fn factor(&mut self) -> Result<Expression, SyntaxError> {
        if self.depth == DEPTH_MAX {
            return Err(self.wrong("the parentheses stand too deep in one another"));
        }
        self.depth += 1;
        let found = if self.take('(') {
            let inner = self.sum()?;
            self.close()?;
            inner
        } else {
            let (name, at) = self.name()?;
            match name {
                "choose" if self.peek() == Some('(') => self.choose()?,
                "majority" if self.peek() == Some('(') => {
                    self.take('(');
                    let parts = self.separated(',', Self::sum)?;
                    self.close()?;
                    Expression::Choose { count: majority(parts.len()), parts }
                }
                _ => Expression::Name { name: name.to_owned(), at },
            }
        };
        self.depth -= 1;
        Ok(found)
    }

    fn choose(&mut self) -> Result<Expression, SyntaxError> {
        self.take('(');
        let (number, at) = self.name()?;
        let wrong = |what: String| SyntaxError { at: at.clone(), what };
        let count: usize = number.parse().map_err(|_| {
            wrong(format!(
                "`{number}` is no number: `choose` begins with how many, `choose(2, a, b, c)`"
            ))
        })?;
        if !self.take(',') {
            return Err(self.wrong("expected `,`: `choose(2, a, b, c)`"));
        }
        let parts = self.separated(',', Self::sum)?;
        self.close()?;
        if !(1..=parts.len()).contains(&count) {
            return Err(wrong(format!("{count} of {} cannot be chosen", parts.len())));
        }
        Ok(Expression::Choose { count, parts })
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        if self.take(')') { Ok(()) } else { Err(self.wrong("expected `)`")) }
    }

    fn name(&mut self) -> Result<(&'a str, Range<usize>), SyntaxError> {
        self.peek();
        let text = self.text;
        let rest = &text[self.at..];
        let is_end = |letter: char| !(letter.is_alphanumeric() || "-_.:/".contains(letter));
        let length = rest.find(is_end).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.wrong("expected a replica, `choose(…)` or `(`"));
        }
        let at = self.at..self.at + length;
        self.at = at.end;
        Ok((&text[at.clone()], at))
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

    fn wrong(&mut self, what: &str) -> SyntaxError {
        let length = self.peek().map_or(0, char::len_utf8);
        SyntaxError { at: self.at..self.at + length, what: what.to_owned() }
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
            let error = Expression::parse(text).unwrap_err();
            (error.at.start, error.what)
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
}
