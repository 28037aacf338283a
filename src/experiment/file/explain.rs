//! Messages of the TOML reader, which speak of Rust, in the language of the experiment file.

use crate::nearest::nearest;

/// What the TOML reader's `message` about the text `found` means, and what to change.
pub(super) fn explain(message: &str, found: &str) -> (String, Option<String>) {
    if let Some((name, known)) = unknown_key(message) {
        return (format!("unknown key `{name}`"), Some(suggest(&name, &known, "known keys here")));
    }
    if message.starts_with("unknown variant") {
        let (name, known) = names(message);
        return (format!("unknown value `{name}`"), Some(suggest(&name, &known, "allowed")));
    }
    if let Some(name) = missing_key(message) {
        return (format!("`{name}` is missing"), Some(add(&name)));
    }
    if message.starts_with("invalid type: unit variant") {
        let kind = found.trim_matches(['"', '\'']);
        return (
            format!("`{kind}` stands alone, but it is a table with its own settings"),
            Some(format!("write `{{ {kind} = {} }}`", settings_of(kind))),
        );
    }
    if message.starts_with("wanted exactly 1 element") {
        let help = "write one kind with its settings, such as `{ majority = {} }`";
        return ("exactly one kind is wanted here".to_owned(), Some(help.to_owned()));
    }
    if message.starts_with("invalid type: map, expected a sequence") {
        let name = found.trim_matches(['[', ']']);
        return (
            format!("`{name}` is a list of tables"),
            Some(format!("write its heading with two brackets: `[[{name}]]`")),
        );
    }
    if message.starts_with("wanted string or table") {
        let help = "give a name in quotes, or a kind with its settings, as in `{ majority = {} }`";
        return (format!("`{found}` does not fit here"), Some(help.to_owned()));
    }
    if message.contains("is no length of time") {
        let (head, _) = message.split_once(": ").unwrap_or((message, ""));
        let help = "write a number and its unit in quotes: \"2s\", \"250ms\" or \"1m 30s\"";
        return (head.to_owned(), Some(help.to_owned()));
    }
    for prefix in ["invalid type: ", "invalid value: "] {
        if let Some(rest) = message.strip_prefix(prefix) {
            let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, "another"));
            return (format!("{found} does not fit here"), Some(wanted(expected)));
        }
    }
    (message.to_owned(), None)
}

/// The first key that a table does not have, and those that it has.
pub(super) fn unknown_key(message: &str) -> Option<(String, Vec<String>)> {
    if message.starts_with("unknown field") {
        return Some(names(message));
    }
    let rest = message.strip_prefix("unexpected keys in table: ")?;
    let (unknown, known) = rest.split_once(", available keys: ").unwrap_or((rest, ""));
    let name = unknown.split(", ").next().unwrap_or_default();
    let known = known.split(", ").filter(|key| !key.is_empty()).map(str::to_owned).collect();
    Some((name.to_owned(), known))
}

/// The key that must be there.
pub(super) fn missing_key(message: &str) -> Option<String> {
    message.starts_with("missing field").then(|| names(message).0)
}

/// The names between backticks: the one at fault, and those expected.
fn names(message: &str) -> (String, Vec<String>) {
    let mut names = message.split('`').skip(1).step_by(2).map(str::to_owned);
    (names.next().unwrap_or_default(), names.collect())
}

/// The known name that `name` may have meant, and all of them.
fn suggest(name: &str, known: &[String], introduction: &str) -> String {
    let guess = nearest(name, known).map(|near| format!("did you mean `{near}`? "));
    let all = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("{}{introduction}: {all}", guess.unwrap_or_default())
}

/// What to add for a key that is missing.
fn add(name: &str) -> String {
    match name {
        "question" => "add `question = \"…\"`: what the experiment is to find out".to_owned(),
        "prediction" => {
            "add `prediction = \"…\"`: what you expect, and what would refute it".to_owned()
        }
        "topology" | "workload" => format!("add a `[{name}]` section"),
        "variant" => "add at least one `[[variant]]` section".to_owned(),
        "duration" => "add `duration = \"10s\"`: the time that is measured".to_owned(),
        _ => format!("add `{name} = …` to this table"),
    }
}

/// The settings of a kind, as one would type them.
fn settings_of(kind: &str) -> &'static str {
    match kind {
        "multi" => "{ leader = \"…\" }",
        "counts" => "{ phase1 = …, phase2 = … }",
        "dual" => "{ phase2 = … }",
        "explicit" => "{ phase1 = [[…]], phase2 = [[…]] }",
        "grid" => "{ rows = …, columns = …, phase1 = \"row\", phase2 = \"column\" }",
        "groups" => "{ phase1 = {}, phase2 = {} }",
        "weighted" => "{ weights = […], phase1 = …, phase2 = … }",
        "wall" => "{ rows = […] }",
        "tree" => "{ degree = … }",
        "expression" => "{ phase1 = \"…\", phase2 = \"…\" }",
        "poisson" | "fixed" => "{ rate_per_s = … }",
        "closed" => "{ clients = … }",
        "uniform" => "{ count = … }",
        "zipf" => "{ count = …, exponent = … }",
        _ => "{}",
    }
}

/// What the TOML reader expected, in words.
fn wanted(expected: &str) -> String {
    match expected {
        "a string" => "give a text in quotes".to_owned(),
        "f64" => "give a number, without quotes".to_owned(),
        "usize" | "u32" | "u64" => "give a whole number from 0 up, without quotes".to_owned(),
        "a boolean" => "give `true` or `false`, without quotes".to_owned(),
        "a sequence" => "give a list: `[…, …]`".to_owned(),
        other => {
            let other = other.strip_prefix("struct ").map_or(other, |_| "a table: `{ … }`");
            format!("give {other}")
        }
    }
}
