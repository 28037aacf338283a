//! The table: time, who, what; 100 columns.

use std::fmt::Write;

use textwrap::{Options, WordSplitter, wrap};

use super::rows::{Deed, rows};
use super::{Scale, Trace};

const COLUMNS: usize = 100;
/// Who may take this much before what follows is pushed to the right.
const WHO: usize = 24;
/// What has at least this much, however long the names are.
const WHAT: usize = 30;

pub(super) fn render(trace: &Trace) -> String {
    let mut out = String::new();
    let mut put = |line: &str| writeln!(out, "{}", line.trim_end()).expect("a String takes all");
    for line in folded(&trace.title, COLUMNS) {
        put(&line);
    }
    let member = |line: &super::Line| format!("{} {}", line.name, line.place).trim_end().to_owned();
    let members = trace.lines.iter().map(member).collect::<Vec<_>>().join(", ");
    for line in folded(&members, COLUMNS) {
        put(&line);
    }
    let rows: Vec<_> = rows(trace)
        .iter()
        .map(|row| {
            let arrow = if matches!(row.deed, Deed::Sent(_)) { "->" } else { "<-" };
            let who = match row.others(trace) {
                Some(others) => format!("{} {arrow} {others}", row.who(trace)),
                None => row.who(trace),
            };
            let what = row.what(trace);
            let what = if row.is_turn() { format!("** {what} **") } else { what };
            (trace.scale.instant(row.at, trace.origin), who, what)
        })
        .collect();
    let widest = |widths: &mut dyn Iterator<Item = usize>| widths.max().unwrap_or(0);
    let when = widest(&mut rows.iter().map(|(at, ..)| at.len())).max(trace.scale.unit().len());
    let who_width = widest(&mut rows.iter().map(|(_, who, _)| who.chars().count())).min(WHO);
    if rows.is_empty() {
        put("nothing happened");
        return out;
    }
    put(&format!(
        "{:>when$}",
        if trace.scale == Scale::Steps { "step" } else { trace.scale.unit() }
    ));
    let what_width = COLUMNS.saturating_sub(when + who_width + 4).max(WHAT);
    let mut before = "";
    for (at, who, what) in &rows {
        let at_once = if at == before { "" } else { at };
        before = at;
        let mut lines = folded(what, what_width).into_iter();
        let mut who = who.as_str();
        if who.chars().count() > who_width {
            put(&format!("{at_once:>when$}  {who}"));
            who = "";
        } else {
            let first = lines.next().unwrap_or_default();
            put(&format!("{at_once:>when$}  {who:<who_width$}  {first}"));
        }
        for line in lines {
            put(&format!("{:>when$}  {:<who_width$}  {line}", "", ""));
        }
    }
    out
}

/// Lines of at most `width` characters; names are not broken at their hyphens.
pub(super) fn folded(text: &str, width: usize) -> Vec<String> {
    let options = Options::new(width).word_splitter(WordSplitter::NoHyphenation);
    let legible: String =
        text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect();
    wrap(&legible, options).into_iter().map(std::borrow::Cow::into_owned).collect()
}
