//! Differences with their verdicts, and predictions judged, as tables and as running text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write};

use super::table::{self, Column, Table, Width, counted};
use crate::compare::contrast::{Contrast, EFFECTS, Family, Judged, NotComparable};
use crate::compare::expectations::{Found, Judgement, NotJudged, Shown};
use crate::compare::{Conclusions, REPEATS_MIN};
use crate::findings::Finished;
use crate::measure::{OperationKind, Quantity, Unit};
use crate::time::Span;

/// The columns and rows of a table, for any format.
#[derive(Clone, Debug)]
pub struct Cells {
    columns: Vec<(String, Rank)>,
    rows: Vec<Vec<String>>,
}

/// The blanks between two columns.
const GAP: usize = 2;

/// What a column holds, and when it is left out.
#[derive(Clone, Copy, Debug)]
enum Rank {
    /// Names, which stay.
    Name,
    /// Numbers that stay.
    Number,
    /// Numbers that are left out where there is little room, the least first.
    Optional(u8),
}

/// The form in which tables are written.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    /// A table of the terminal, as it fits.
    Terminal(Width),
    /// A table of Markdown.
    Markdown,
}

impl Format {
    /// The width of the text around a table.
    const fn width(self) -> Width {
        match self {
            Self::Terminal(width) => width,
            Self::Markdown => Width::Whole,
        }
    }
}

impl Cells {
    /// Drops the columns in which every row is empty.
    fn new(columns: Vec<(String, Rank)>, rows: Vec<Vec<String>>) -> Self {
        let is_there: Vec<bool> = (0..columns.len())
            .map(|column| rows.iter().any(|row| !row[column].is_empty()))
            .collect();
        let rows = rows.into_iter().map(|row| {
            row.into_iter()
                .zip(&is_there)
                .filter(|(_, is_there)| **is_there)
                .map(|(it, _)| it)
                .collect()
        });
        let rows = rows.collect();
        let columns = columns.into_iter().zip(is_there).filter(|(_, it)| *it).map(|(it, _)| it);
        Self { columns: columns.collect(), rows }
    }

    /// The headers, and whether their columns hold numbers.
    pub fn headers(&self) -> Vec<(String, bool)> {
        let header =
            |(header, rank): &(String, Rank)| (header.clone(), !matches!(rank, Rank::Name));
        self.columns.iter().map(header).collect()
    }

    /// The rows.
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Whether it fits without shortening a cell.
    fn fits(&self, format: Format) -> bool {
        let Format::Terminal(Width::Columns(most)) = format else { return true };
        let stays = |rank: &Rank| !matches!(rank, Rank::Optional(_));
        let widths = self.columns.iter().enumerate().filter(|(_, (_, rank))| stays(rank)).map(
            |(column, (header, _))| {
                let cells = self.rows.iter().map(|row| row[column].chars().count());
                cells.fold(header.chars().count(), usize::max)
            },
        );
        widths.map(|width| width + GAP).sum::<usize>() <= most + GAP
    }

    /// The place of the column with this header.
    fn place(&self, header: &str) -> Option<usize> {
        self.columns.iter().position(|(known, _)| known == header)
    }

    /// Takes a column out, if all rows say the same in it: what they say.
    fn take_constant(&mut self, header: &str) -> Option<String> {
        let column = self.place(header)?;
        let said = self.rows.first()?[column].clone();
        if self.rows.iter().any(|row| row[column] != said) {
            return None;
        }
        self.columns.remove(column);
        self.rows.iter_mut().for_each(|row| drop(row.remove(column)));
        Some(said)
    }

    /// Puts numbers into a column, from 1 for its first value: its values in their order.
    fn number(&mut self, header: &str) -> Vec<String> {
        let Some(column) = self.place(header) else { return Vec::new() };
        "no.".clone_into(&mut self.columns[column].0);
        let mut values: Vec<String> = Vec::new();
        for row in &mut self.rows {
            let value = std::mem::take(&mut row[column]);
            let place = values.iter().position(|known| *known == value).unwrap_or_else(|| {
                values.push(value);
                values.len() - 1
            });
            row[column] = (place + 1).to_string();
        }
        values
    }

    /// The rows of each value of a column, in their order, without it.
    fn apart(self, header: &str) -> Vec<(String, Self)> {
        let Some(column) = self.place(header) else { return vec![(String::new(), self)] };
        let mut parts: Vec<(String, Self)> = Vec::new();
        let columns: Vec<(String, Rank)> = self
            .columns
            .into_iter()
            .enumerate()
            .filter(|(at, _)| *at != column)
            .map(|(_, it)| it)
            .collect();
        for mut row in self.rows {
            let value = row.remove(column);
            match parts.iter_mut().find(|(known, _)| *known == value) {
                Some((_, part)) => part.rows.push(row),
                None => parts.push((value, Self { columns: columns.clone(), rows: vec![row] })),
            }
        }
        parts
    }

    /// In this form.
    pub fn print(&self, format: Format) -> String {
        match format {
            Format::Terminal(width) => self.table().fit(width),
            Format::Markdown => self.markdown(),
        }
    }

    fn table(&self) -> Table {
        let column = |(header, rank): &(String, Rank)| match rank {
            Rank::Name => Column::name(header),
            Rank::Number => Column::number(header),
            Rank::Optional(rank) => Column::number(header).rank(*rank),
        };
        Table::new(self.columns.iter().map(column).collect(), self.rows.clone())
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let header: Vec<String> = self.columns.iter().map(|(header, _)| header.clone()).collect();
        let ruler: Vec<String> = self
            .columns
            .iter()
            .map(|(_, rank)| if matches!(rank, Rank::Name) { "---" } else { "--:" }.to_owned())
            .collect();
        let rows = self.rows.iter().map(|row| line(row));
        [line(&header), line(&ruler)].into_iter().chain(rows).collect()
    }
}

/// Writes what follows from the trials of one run, which has `repeats` of each variant.
pub fn write_conclusions(
    conclusions: &Conclusions,
    repeats: usize,
    width: Width,
    out: &mut dyn Write,
) -> io::Result<()> {
    let format = Format::Terminal(width);
    write_predictions(&conclusions.judgements, format, out)?;
    if repeats < REPEATS_MIN && !conclusions.families.is_empty() {
        let said = counted(repeats, "repeat");
        let text = format!(
            "no comparison: {said} of each variant, and a verdict needs {REPEATS_MIN}: run with `--trials 5`"
        );
        return writeln!(out, "\n{}", table::line(&text, width));
    }
    write_families(&conclusions.families, format, out)
}

/// Writes what these families say: a table of what can be compared, and a line for what cannot.
pub fn write_families(families: &[Family], format: Format, out: &mut dyn Write) -> io::Result<()> {
    for family in families {
        let cells = differences(family);
        if !cells.rows.is_empty() {
            write_differences(&title(family), cells, format, out)?;
            writeln!(out, "\n{}", legend(family, format.width()))?;
        }
        for text in not_comparable(family) {
            writeln!(out, "{}", table::line(&format!("not comparable: {text}"), format.width()))?;
        }
    }
    Ok(())
}

/// Writes a table of differences; where it does not fit, what all rows have in common goes to its title, and
/// each point of a sweep gets a table of its own.
fn write_differences(
    title: &str,
    mut cells: Cells,
    format: Format,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut title = title.to_owned();
    if !cells.fits(format) {
        let common: Vec<String> =
            ["variant", "what"].into_iter().filter_map(|it| cells.take_constant(it)).collect();
        if !common.is_empty() {
            title = format!("{title}: {}", common.join(", "));
        }
    }
    writeln!(out, "\n{}", table::line(&title, format.width()))?;
    let parts =
        if cells.fits(format) { vec![(String::new(), cells)] } else { cells.apart("point") };
    for (point, cells) in parts {
        if !point.is_empty() {
            writeln!(out, "\n{}", table::line(&point, format.width()))?;
        }
        writeln!(out, "\n{}", cells.print(format).trim_end())?;
    }
    Ok(())
}

/// What a family compares with what.
fn title(family: &Family) -> String {
    let baselines: BTreeSet<&str> = judged(family).map(|(it, _)| it.baseline.as_str()).collect();
    let baselines: Vec<&str> = baselines.into_iter().collect();
    format!("differences from {} ({})", baselines.join(", "), family.name)
}

fn judged(family: &Family) -> impl Iterator<Item = (&Contrast, &Judged)> {
    family.contrasts.iter().filter_map(|it| Some((it, it.outcome.as_ref().ok()?)))
}

/// The table of a family.
pub fn differences(family: &Family) -> Cells {
    let effects = EFFECTS.map(|effect| format!("{:.0}", effect * 100.0)).join("/");
    let needed_for = format!("repeats for {effects} %");
    let columns = [
        ("variant", Rank::Name),
        ("beside", Rank::Name),
        ("point", Rank::Name),
        ("client", Rank::Name),
        ("op", Rank::Name),
        ("fault", Rank::Number),
        ("what", Rank::Name),
        ("baseline", Rank::Optional(4)),
        ("value", Rank::Optional(5)),
        ("diff %", Rank::Number),
        ("95 % interval", Rank::Number),
        ("hides %", Rank::Optional(3)),
        (needed_for.as_str(), Rank::Optional(1)),
        ("p (Holm)", Rank::Optional(2)),
        ("verdict", Rank::Name),
    ];
    let operations: BTreeSet<Option<OperationKind>> =
        judged(family).map(|(contrast, _)| contrast.subject.operation).collect();
    let faults: BTreeSet<Option<u32>> = judged(family).map(|(it, _)| it.subject.fault).collect();
    let candidates: BTreeSet<&str> = judged(family).map(|(it, _)| it.candidate.as_str()).collect();
    let row = |(contrast, judged): (&Contrast, &Judged)| {
        let subject = &contrast.subject;
        let has_one = contrast.candidate == contrast.variant || contrast.candidate == subject.point;
        vec![
            contrast.variant.clone(),
            // Which run, where there are more than two of them.
            if has_one || candidates.len() < 2 {
                String::new()
            } else {
                contrast.candidate.clone()
            },
            subject.point.clone(),
            subject.client_region.clone().unwrap_or_else(|| "-".into()),
            subject.operation.filter(|_| operations.len() > 1).map_or("", |it| it.name()).into(),
            subject
                .fault
                .filter(|_| faults.len() > 1)
                .map_or(String::new(), |it| (it + 1).to_string()),
            subject.quantity.code().to_owned(),
            value(judged.baseline_mean, subject.quantity),
            value(judged.candidate_mean, subject.quantity),
            percent(judged.difference()),
            format!("{} to {}", percent(judged.interval.0), percent(judged.interval.1)),
            percent(judged.detectable(subject.quantity)).trim_start_matches('+').to_owned(),
            judged.repeats_needed().map(needed).join("/"),
            p_value(judged.p_adjusted),
            judged.verdict.words().to_owned(),
        ]
    };
    let rows = judged(family).map(row).collect();
    let columns = columns.map(|(header, rank)| (header.to_owned(), rank));
    Cells::new(columns.into(), rows)
}

fn value(mean: f64, quantity: Quantity) -> String {
    match quantity.unit() {
        Unit::Nanoseconds => Span::from_millis_f64(mean / 1e6).milliseconds(),
        Unit::PerSecond => format!("{mean:.1}"),
        Unit::Count => format!("{mean:.3}"),
    }
}

/// A time near zero beside another one is any multiple of it: its digits would say nothing.
const PERCENT_MAX: f64 = 9_999.0;

/// A ratio less one, in percent with its sign; beyond a hundredfold it says no more than that.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= PERCENT_MAX {
        return format!(">{PERCENT_MAX:.0}");
    }
    if percent.abs() < 10.0 { format!("{percent:+.2}") } else { format!("{percent:+.1}") }
}

fn needed(repeats: Option<usize>) -> String {
    repeats.map_or_else(|| ">10000".to_owned(), |repeats| repeats.to_string())
}

fn p_value(p: f64) -> String {
    if p < 0.0001 { "<0.0001".to_owned() } else { format!("{p:.4}") }
}

/// What the columns mean, and what the numbers rest on.
fn legend(family: &Family, width: Width) -> String {
    let count = judged(family).count();
    let repeats: BTreeSet<usize> = judged(family).map(|(_, it)| it.repeat_count()).collect();
    let repeats = match (repeats.first(), repeats.last()) {
        (Some(one), Some(other)) if one == other => counted(*one, "repeat"),
        (Some(least), Some(most)) => format!("{least} to {most} repeats"),
        _ => String::new(),
    };
    let unpaired: BTreeSet<&str> = judged(family).filter_map(|(_, it)| it.unpaired).collect();
    let pairs = match unpaired.iter().next() {
        None => "pairs of one repeat and seed".to_owned(),
        Some(why) => format!("two samples, not pairs, because {why}"),
    };
    let mut text = format!(
        "values: geometric means over {repeats}, times in ms, throughput a second; diff: value over baseline, less one, with its \
         interval by Student's t over {pairs}; verdict: the probability of any false alarm among these \
         {count} is at most 5 % (Holm); hides: a true difference of this size is missed one time in five"
    );
    let busy = judged(family).filter(|(_, it)| it.busy_count > 0).count();
    if busy > 0 {
        let _ = write!(
            text,
            "; {busy} of {count} differences have trials that are `saturated`: they did not keep up with their \
             load, and the queue is part of the difference"
        );
    }
    table::legend(&text, width)
}

/// What cannot be compared, a line for each quantity and reason.
fn not_comparable(family: &Family) -> Vec<String> {
    let mut groups: BTreeMap<(Quantity, &NotComparable), Vec<&Contrast>> = BTreeMap::new();
    for contrast in &family.contrasts {
        if let Err(reason) = &contrast.outcome {
            groups.entry((contrast.subject.quantity, reason)).or_default().push(contrast);
        }
    }
    let all =
        |quantity| family.contrasts.iter().filter(|it| it.subject.quantity == quantity).count();
    let line = |((quantity, reason), found): ((Quantity, &NotComparable), Vec<&Contrast>)| {
        let whose = if found.len() == all(quantity) {
            String::new()
        } else {
            let places = found.iter().map(|it| match &it.subject.client_region {
                Some(region) => format!("{} in {region}", it.variant),
                None => it.variant.clone(),
            });
            let places: BTreeSet<String> = places.collect();
            format!(" of {}", places.into_iter().collect::<Vec<_>>().join(", "))
        };
        format!("{}{whose}: {}", quantity.code(), reason.words(quantity))
    };
    groups.into_iter().map(line).collect()
}

/// The predictions as a table.
pub fn predictions(judgements: &[Judgement]) -> Cells {
    let columns = [
        ("prediction", Rank::Name),
        ("backend", Rank::Name),
        ("point", Rank::Name),
        ("client", Rank::Name),
        ("fault", Rank::Number),
        ("measured", Rank::Number),
        ("95 % interval", Rank::Optional(1)),
        ("ruling", Rank::Name),
    ];
    let backends: BTreeSet<_> = judgements.iter().map(|it| it.backend).collect();
    let faults: BTreeSet<_> = judgements.iter().map(|it| it.fault).collect();
    let row = |judgement: &Judgement| {
        let (value, interval, ruling) = match &judgement.outcome {
            Ok(found) => (shown(found.value), interval(found), found.ruling.words().to_owned()),
            Err(_) => ("-".into(), "-".into(), "not judged".into()),
        };
        // The region is in the prediction already where it names one.
        let region = judgement.client_region.clone().unwrap_or_default();
        let is_named = judgement.text.ends_with(&format!(" in {region}"));
        vec![
            judgement.text.clone(),
            if backends.len() > 1 { judgement.backend.name() } else { "" }.to_owned(),
            judgement.point.clone(),
            if is_named { String::new() } else { region },
            judgement
                .fault
                .filter(|_| faults.len() > 1)
                .map_or(String::new(), |it| (it + 1).to_string()),
            value,
            interval,
            ruling,
        ]
    };
    let rows = judgements.iter().map(row).collect();
    let columns = columns.map(|(header, rank)| (header.to_owned(), rank));
    Cells::new(columns.into(), rows)
}

fn shown(value: Shown) -> String {
    match value {
        Shown::Ratio(share) => format!("{} %", percent(share)),
        Shown::Nanoseconds(ns) => format!("{} ms", milliseconds(ns)),
        Shown::PerSecond(rate) => format!("{rate:.1}/s"),
        Shown::Count(number) => format!("{number:.3}"),
    }
}

fn interval(found: &Found) -> String {
    let (low, high) = found.interval;
    match found.value {
        Shown::Ratio(_) => format!("{} to {}", percent(low), percent(high)),
        Shown::Nanoseconds(_) => format!("{} to {}", milliseconds(low), milliseconds(high)),
        Shown::PerSecond(_) => format!("{low:.1} to {high:.1}"),
        Shown::Count(_) => format!("{low:.3} to {high:.3}"),
    }
}

/// Signed nanoseconds in milliseconds.
fn milliseconds(ns: f64) -> String {
    let sign = if ns < 0.0 { "-" } else { "" };
    format!("{sign}{}", Span::from_millis_f64(ns.abs() / 1e6).milliseconds())
}

/// Writes the predictions and what came out.
pub fn write_predictions(
    judgements: &[Judgement],
    format: Format,
    out: &mut dyn Write,
) -> io::Result<()> {
    if judgements.is_empty() {
        return Ok(());
    }
    let mut cells = predictions(judgements);
    writeln!(out, "\npredictions\n")?;
    if !cells.fits(format) {
        for (number, text) in (1..).zip(cells.number("prediction")) {
            writeln!(out, "{}", table::line(&format!("{number}  {text}"), format.width()))?;
        }
        writeln!(out)?;
    }
    writeln!(out, "{}", cells.print(format).trim_end())?;
    let legend = table::legend(
        "measured: the left side over the right side, less one, or the left side less the right side unless \
         that is a number; held and refuted: with at most 5 % for any false ruling among them (Holm)",
        format.width(),
    );
    writeln!(out, "\n{legend}")?;
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for reason in judgements.iter().filter_map(|it| it.outcome.as_ref().err().copied()) {
        *reasons.entry(NotJudged::words(reason)).or_default() += 1;
    }
    for (reason, count) in reasons {
        let text = format!("not judged: {}: {reason}", counted(count, "prediction"));
        writeln!(out, "{}", table::line(&text, format.width()))?;
    }
    Ok(())
}

/// How often the variants of these trials are repeated.
pub fn repeats(finished: &[Finished]) -> usize {
    finished.iter().map(|ended| ended.trial.repeat + 1).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two points of a sweep, as they are told in so many columns.
    fn told(most: usize) -> String {
        let columns = ["variant", "point", "client", "what", "verdict"];
        let columns = columns.map(|header| (header.to_owned(), Rank::Name)).into();
        let row = |point: &str, client: &str| {
            ["multi", point, client, "p50", "inside the noise"].map(str::to_owned).to_vec()
        };
        let (one, other) = ("streams=per-message loss=0.01", "streams=datagrams loss=0.01");
        let rows = vec![row(one, "us-east-1"), row(one, "ca-central-1"), row(other, "us-east-1")];
        let mut out = Vec::new();
        let format = Format::Terminal(Width::Columns(most));
        write_differences("differences", Cells::new(columns, rows), format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_multiple_beyond_a_hundredfold_has_no_digits() {
        assert_eq!([0.05, -1.0, 99.5, 1e60].map(percent), ["+5.00", "-100.0", "+9950.0", ">9999"]);
    }

    #[test]
    fn a_table_that_does_not_fit_says_once_what_its_rows_share() {
        let wide = told(100);
        assert!(wide.contains("variant") && wide.contains("\ndifferences\n"), "{wide}");
        let narrow = told(65);
        assert!(narrow.contains("\ndifferences: multi, p50\n"), "{narrow}");
        assert!(!narrow.contains("variant") && narrow.contains("point"), "{narrow}");
    }

    #[test]
    fn each_point_has_its_own_table_where_one_for_all_does_not_fit() {
        let narrow = told(40);
        for line in ["streams=per-message loss=0.01", "ca-central-1  inside the noise"] {
            assert!(narrow.lines().any(|told| told == line), "{line} is missing in\n{narrow}");
        }
        assert_eq!(narrow.matches("us-east-1     inside the noise").count(), 1, "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
    }

    #[test]
    fn long_predictions_are_numbered_and_told_before_their_table() {
        let columns = vec![("prediction".to_owned(), Rank::Name), ("ruling".into(), Rank::Name)];
        let row = |text: &str| vec![text.to_owned(), "held".to_owned()];
        let mut cells = Cells::new(columns, vec![row("a < b"), row("a < b"), row("b < c")]);
        assert!(cells.fits(Format::Markdown) && cells.fits(Format::Terminal(Width::Columns(18))));
        assert!(!cells.fits(Format::Terminal(Width::Columns(17))));
        assert_eq!(cells.number("prediction"), ["a < b", "b < c"]);
        let numbers: Vec<&str> = cells.rows().iter().map(|row| row[0].as_str()).collect();
        assert_eq!((cells.headers()[0].0.as_str(), numbers), ("no.", vec!["1", "1", "2"]));
    }
}
