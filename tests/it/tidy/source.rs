//! A Rust file as the house rules see it: without comments and literals, line by line.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

/// One file.
pub(super) struct Source {
    /// From the root of the project, with `/`.
    pub(super) path: String,
    pub(super) text: String,
    /// The text with spaces for comments and for what literals hold; lines stay where they are.
    pub(super) code: String,
    /// Where `#[cfg(test)] mod … {` begins; tests end the file.
    inline_tests_at: Option<usize>,
    /// The whole file is tests.
    is_test_file: bool,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let is_test_file = !path.starts_with("src/")
            || ["/tests.rs", "/testing.rs", "_tests.rs"].iter().any(|end| path.ends_with(end))
            || path.contains("/tests/");
        let inline_tests_at = inline_tests(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, inline_tests_at, is_test_file }
    }

    /// The module below the crate that the file is in; none for the crate itself and for tests.
    pub(super) fn module(&self) -> Option<&str> {
        let path = self.path.strip_prefix("src/")?;
        let name = path.split('/').next()?.trim_end_matches(".rs");
        (!matches!(name, "lib" | "main")).then_some(name)
    }

    pub(super) fn finding(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }

    /// Whether a line is part of the product, not of its tests.
    pub(super) fn is_product(&self, line: usize) -> bool {
        !self.is_test_file && self.inline_tests_at.is_none_or(|at| line < self.line(at))
    }

    /// The lines of the product that hold a word.
    pub(super) fn product_words(&self, word: &str) -> Vec<usize> {
        let lines = self.words(word).map(|at| self.line(at));
        lines.filter(|line| self.is_product(*line)).collect()
    }

    /// The lines of the product that use a foreign crate.
    pub(super) fn crate_uses(&self, name: &str) -> Vec<usize> {
        let used = self.words(name).filter(|at| {
            let before = self.code[..*at].trim_end();
            let after = self.code[*at + name.len()..].trim_start();
            let is_root = !before.ends_with("::") || before.trim_end_matches("::").ends_with(' ');
            let is_use = before.ends_with("use") || before.ends_with("extern crate");
            is_root && !before.ends_with('.') && (after.starts_with("::") || is_use)
        });
        used.map(|at| self.line(at)).filter(|line| self.is_product(*line)).collect()
    }

    /// What follows `root::` in every path, with its line; `root::{a, b::c}` gives `a` and `b`.
    pub(super) fn paths_from(&self, root: &str) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for at in self.words(root) {
            let after = at + root.len();
            let Some(rest) = self.code[after..].strip_prefix("::") else { continue };
            if !rest.starts_with('{') {
                found.push((self.line(at), identifier(rest).to_owned()));
                continue;
            }
            let start = after + "::{".len();
            for (offset, name) in group_names(&self.code[start..]) {
                found.push((self.line(start + offset), name.to_owned()));
            }
        }
        found
    }

    /// The lines where a chain of `super` leaves the top module of the file.
    pub(super) fn supers_to_the_root(&self) -> impl Iterator<Item = usize> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let depth = path.split('/').filter(|name| *name != "mod").count();
        let chains = self.words("super").filter(|at| !self.code[..*at].ends_with("super::"));
        chains.filter_map(move |at| {
            let is_inside = self.inline_tests_at.is_some_and(|tests_at| tests_at < at);
            let mut rest = &self.code[at..];
            let mut length = 0;
            while let Some(after) = rest.strip_prefix("super::") {
                rest = after;
                length += 1;
            }
            (length >= depth + usize::from(is_inside)).then(|| self.line(at))
        })
    }

    /// Where a whole word stands.
    fn words<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(word).map(|(at, _)| at).filter(move |at| {
            let before = self.code[..*at].chars().next_back();
            let after = self.code[at + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
    }

    fn line(&self, at: usize) -> usize {
        1 + self.code[..at].matches('\n').count()
    }
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

fn identifier(text: &str) -> &str {
    text.split(|char| !is_word(char)).next().unwrap_or("")
}

/// The first name of each path in `a::b, c::{d, e}, f}…`, with its place.
fn group_names(text: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut awaits_name = true;
    for (at, char) in text.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => awaits_name = true,
            _ if awaits_name && is_word(char) => {
                names.push((at, identifier(&text[at..])));
                awaits_name = false;
            }
            _ => {}
        }
    }
    names
}

/// Where the tests inside a file begin.
fn inline_tests(code: &str) -> Option<usize> {
    code.match_indices("#[cfg(test)]").map(|(at, _)| at).find(|at| {
        let item = code[at + "#[cfg(test)]".len()..].trim_start();
        let end = item.find(['{', ';']);
        item.starts_with("mod ") && end.is_some_and(|end| item[end..].starts_with('{'))
    })
}

/// Puts spaces for comments and for literals that are no numbers; everything else stays where it is.
///
/// # Panics
/// If the text is no Rust.
fn blank(text: &str) -> String {
    let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{error} in:\n{text}"));
    let mut code: Vec<u8> =
        text.bytes().map(|byte| if byte == b'\n' { byte } else { b' ' }).collect();
    keep(tokens, text, &mut code);
    String::from_utf8(code).expect("whole tokens are kept")
}

fn keep(tokens: TokenStream, text: &str, code: &mut [u8]) {
    let copy = |span: Span, token: &str, code: &mut [u8]| {
        let range = span.byte_range();
        // A comment that documents is an attribute with the place of the comment.
        if text.get(range.clone()) == Some(token) {
            code[range].copy_from_slice(token.as_bytes());
        }
    };
    for token in tokens {
        match token {
            TokenTree::Ident(name) => copy(name.span(), &name.to_string(), code),
            TokenTree::Punct(sign) => copy(sign.span(), &sign.to_string(), code),
            // A number is no text.
            TokenTree::Literal(literal) => {
                let number = literal.to_string();
                if number.starts_with(|first: char| first.is_ascii_digit()) {
                    copy(literal.span(), &number, code);
                }
            }
            TokenTree::Group(group) => {
                let ends = match group.delimiter() {
                    Delimiter::Parenthesis => ["(", ")"],
                    Delimiter::Brace => ["{", "}"],
                    Delimiter::Bracket => ["[", "]"],
                    Delimiter::None => ["", ""],
                };
                copy(group.span_open(), ends[0], code);
                copy(group.span_close(), ends[1], code);
                keep(group.stream(), text, code);
            }
        }
    }
}

#[test]
fn comments_and_literals_are_blanked_and_lines_stay() {
    let cases = [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"a "b \" c" d"#, "a          d"),
        ("r#\"a \" b\"# c", "           c"),
        ("for x 'a' '\\'' '\"' y", "for x              y"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("\"a\nb\" c", "  \n   c"),
    ];
    for (text, code) in cases {
        assert_eq!(blank(text), code, "{text}");
    }
}
