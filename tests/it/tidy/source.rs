//! A Rust file as the house rules see it: without comments and texts, line by line.
//!
//! This is no parser: it knows comments, literals, paths and where the tests of a file begin.

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

/// Puts spaces for comments and for what is inside literals.
fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let taken = hidden(rest, code.chars().next_back());
        if taken == 0 {
            code.push(char);
            rest = &rest[char.len_utf8()..];
        } else {
            let spaces = rest[..taken].chars().map(|char| if char == '\n' { '\n' } else { ' ' });
            code.extend(spaces);
            rest = &rest[taken..];
        }
    }
    code
}

/// How many bytes from here on are a comment or a literal.
fn hidden(text: &str, before: Option<char>) -> usize {
    let to = |end: Option<usize>| end.unwrap_or(text.len());
    if text.starts_with("//") {
        to(text.find('\n'))
    } else if text.starts_with("/*") {
        block_comment(text)
    } else if text.starts_with('"') {
        quoted(text, '"')
    } else if text.starts_with('r') && !before.is_some_and(|char| is_word(char) && char != 'b') {
        let hashes = text[1..].chars().take_while(|char| *char == '#').count();
        let start = 1 + hashes;
        if !text[start..].starts_with('"') {
            return 0;
        }
        let end = format!("\"{}", "#".repeat(hashes));
        to(text[start + 1..].find(&end).map(|at| start + 1 + at + end.len()))
    } else if text.starts_with("'\\") {
        quoted(text, '\'')
    } else if text.starts_with('\'') {
        // A lifetime has no quote after its first letter.
        let mut chars = text.char_indices().skip(2);
        chars.next().filter(|(_, char)| *char == '\'').map_or(0, |(at, _)| at + 1)
    } else {
        0
    }
}

fn quoted(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        if char == '\\' {
            chars.next();
        } else if char == quote {
            return at + 1;
        }
    }
    text.len()
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
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
