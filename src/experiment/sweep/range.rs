//! `{ from = 1, to = 5, step = 1 }`: numbers at even distances, both ends included.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::experiment::refusal::Refused;
use crate::experiment::refusal::sweep::Error;

/// The keys of a range.
const KEYS: [&str; 3] = ["from", "to", "step"];

/// More values than this are a slip of the pen.
const VALUES_MAX: usize = 10_000;

/// A number as typed.
#[derive(Clone, Copy, Debug)]
enum Number {
    Whole(i64),
    Real(f64),
}

/// Whether a table of a sweep is a range, and not a section of the file with the same keys: those have
/// lists.
pub(super) fn is_range(table: &DeTable<'_>) -> bool {
    let is_single = |key: &&str| {
        table
            .get(*key)
            .is_some_and(|value| !value.get_ref().is_table() && !value.get_ref().is_array())
    };
    KEYS.iter().any(is_single)
}

/// The values of a range that stands at `at`, as text.
pub(super) fn read(table: &DeTable<'_>, at: &Range<usize>) -> Result<Vec<String>, Refused> {
    for key in table.keys() {
        if !KEYS.contains(&key.get_ref().as_ref()) {
            let error = Error::RangeKey { key: key.get_ref().to_string() };
            return Err(Refused::new(key.span(), error.into()));
        }
    }
    let number = |key: &'static str| match table.get(key) {
        None => Ok(None),
        Some(value) => match number(value.get_ref()) {
            Some(number) => Ok(Some(number)),
            None => Err(Refused::new(value.span(), Error::NoNumber { key }.into())),
        },
    };
    let refused = |error: Error| Refused::new(at.clone(), error.into());
    let end = |key| number(key)?.ok_or_else(|| refused(Error::RangeEnd { key }));
    let (from, to, step) = (end("from")?, end("to")?, number("step")?.unwrap_or(Number::Whole(1)));
    let values = match (from, to, step) {
        (Number::Whole(from), Number::Whole(to), Number::Whole(step)) => whole(from, to, step),
        _ => real(from.real(), to.real(), step.real()),
    };
    values.map_err(refused)
}

fn number(value: &DeValue<'_>) -> Option<Number> {
    match value {
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(Number::Whole)
        }
        DeValue::Float(number) => number.as_str().parse().ok().map(Number::Real),
        _ => None,
    }
}

impl Number {
    fn real(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Real(number) => number,
        }
    }
}

fn whole(from: i64, to: i64, step: i64) -> Result<Vec<String>, Error> {
    let distance = i128::from(to) - i128::from(from);
    let steps = distance.checked_div(i128::from(step)).filter(|steps| {
        // Rounded towards zero: one step too short in the wrong direction is none either.
        *steps >= 0 && (distance == 0 || distance.signum() == i128::from(step).signum())
    });
    let Some(steps) = steps else { return Err(endless(from, to, step)) };
    let count = usize::try_from(steps).unwrap_or(usize::MAX).saturating_add(1);
    check_length(count)?;
    Ok((0..=steps).map(|index| (i128::from(from) + index * i128::from(step)).to_string()).collect())
}

fn real(from: f64, to: f64, step: f64) -> Result<Vec<String>, Error> {
    // 0.1 + 0.2 goes past 0.3 by a trifle, and is meant to be it.
    let steps = ((to - from) / step + 1e-9).floor();
    if !steps.is_finite() || steps < 0.0 {
        return Err(endless(from, to, step));
    }
    let mut values = Vec::new();
    let mut index = 0.0;
    while index <= steps {
        check_length(values.len() + 1)?;
        values.push(format!("{:?}", rounded(from + index * step)));
        index += 1.0;
    }
    Ok(values)
}

/// The number to twelve digits: what was typed has fewer, and sums of binary fractions look worse.
fn rounded(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}

fn check_length(count: usize) -> Result<(), Error> {
    if count > VALUES_MAX { Err(Error::RangeLength { most: VALUES_MAX }) } else { Ok(()) }
}

fn endless<T: ToString + Copy>(from: T, to: T, step: T) -> Error {
    Error::RangeEndless { from: from.to_string(), to: to.to_string(), step: step.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<Vec<String>, String> {
        let table = DeTable::parse(text).unwrap();
        assert!(is_range(table.get_ref()), "{text}");
        read(table.get_ref(), &table.span()).map_err(|refused| refused.error.to_string())
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(values(text).unwrap(), expected, "{text}");
    }

    #[track_caller]
    fn check_refused(text: &str, phrase: &str) {
        let said = values(text).unwrap_err();
        assert!(said.contains(phrase), "{phrase:?} is missing in {said:?}");
    }

    #[test]
    fn both_ends_belong_to_a_range_and_the_step_is_one() {
        check("from = 1\nto = 4", &["1", "2", "3", "4"]);
        check("from = 1\nto = 8\nstep = 3", &["1", "4", "7"]);
        check("from = 3\nto = 3", &["3"]);
        check("from = 0x10\nto = 1_7", &["16", "17"]);
    }

    #[test]
    fn a_range_may_go_down() {
        check("from = 3\nto = 1\nstep = -1", &["3", "2", "1"]);
        check("from = 1.0\nto = 0.5\nstep = -0.25", &["1.0", "0.75", "0.5"]);
    }

    #[test]
    fn fractions_are_what_their_writer_means() {
        check("from = 0.1\nto = 0.3\nstep = 0.1", &["0.1", "0.2", "0.3"]);
        check("from = 1\nto = 2.5", &["1.0", "2.0"]);
    }

    #[test]
    fn a_range_that_never_arrives_is_refused() {
        for text in
            ["from = 5\nto = 1", "from = 1\nto = 5\nstep = -2", "from = 1\nto = 5\nstep = 0"]
        {
            check_refused(text, "never arrives");
        }
        check_refused("from = 5.5\nto = 5", "never arrives");
        check_refused("from = 0\nto = inf", "never arrives");
        check_refused("from = nan\nto = 1.0", "never arrives");
        check_refused("from = 2\nto = 1\nstep = 7", "never arrives");
    }

    #[test]
    fn a_range_of_very_many_values_is_refused() {
        assert_eq!(values("from = 1\nto = 10_000").unwrap().len(), 10_000);
        check_refused("from = 0\nto = 10_000", "more than 10000 values");
        check_refused("from = 0.0\nto = 1.0\nstep = 1e-300", "more than 10000 values");
    }

    #[test]
    fn a_range_says_what_it_lacks() {
        check_refused("from = 1", "a range without `to`");
        check_refused("to = 1", "a range without `from`");
        check_refused("from = 1\nto = \"5\"", "`to` of a range is no number");
        check_refused("from = 1\nto = 5\nsteps = 2", "unknown key `steps`");
    }

    #[test]
    fn a_section_with_the_keys_of_a_range_has_lists() {
        let section = DeTable::parse("from = [[\"a\"]]\nto = [[\"b\"]]").unwrap();
        assert!(!is_range(section.get_ref()));
    }
}
