//! Predictions, checked: each is about something that the experiment measures.

use std::ops::Range;

use super::Point;
use crate::experiment::expectation::{self, Expectation};
use crate::experiment::file::{Expect, Spanned};
use crate::experiment::mistakes::Mistakes;
use crate::experiment::refusal::{Error, Refused};
use crate::measure::{OperationKind, Quantity, Scope};
use crate::workload::Arrival;

/// The predictions of a file whose text is `text`, and which has so many faults; at its smaller size, those about what
/// is there.
pub(super) fn expectations(
    (typed, fault_count): (&[Expect], usize),
    points: &[Point],
    text: &str,
    is_smoke: bool,
    mistakes: &mut Mistakes<'_>,
) -> Vec<Expectation> {
    let variants: Vec<&str> = points[0].variants.iter().map(|it| it.name.as_str()).collect();
    let one = |typed: &Expect| {
        let refused = |error: expectation::Error| {
            let at = place(&typed.that, text, error.at);
            let (message, remedy) = (error.message, error.help);
            Refused::new(at, Error::Expectation { message, remedy })
        };
        let found =
            Expectation::parse(typed.that.get_ref(), &typed.because, &variants).map_err(refused)?;
        match check(&found, points, fault_count) {
            Ok(()) => Ok(Some(found)),
            // A smaller size may lack its point.
            Err(_) if is_smoke => Ok(None),
            Err(error) => Err(refused(error)),
        }
    };
    typed.iter().filter_map(|typed| mistakes.note(one(typed)).flatten()).collect()
}

/// Where a part of the prediction stands in the file.
fn place(typed: &Spanned<String>, text: &str, part: Range<usize>) -> Range<usize> {
    let whole = typed.span();
    let inner = whole.start + 1..whole.end.saturating_sub(1);
    // With escapes, or over several lines, the places differ.
    if text.get(inner.clone()) != Some(typed.get_ref()) {
        return whole;
    }
    inner.start + part.start..inner.start + part.end.max(part.start)
}

/// Refuses a prediction about what no trial measures.
fn check(
    found: &Expectation,
    points: &[Point],
    fault_count: usize,
) -> Result<(), expectation::Error> {
    let refused = |word: &str, message: String, help: String| {
        let start = found.text.rfind(word).unwrap_or(0);
        Err(expectation::Error { at: start..start + word.len(), message, help })
    };
    let is_at = |point: &&Point| has_settings(&point.label, &found.settings);
    let at: Vec<&Point> = points.iter().filter(is_at).collect();
    if at.is_empty() {
        let (key, value) = found.settings.first().map_or(("", ""), |(key, value)| (key, value));
        let labels: Vec<&str> = points.iter().map(|point| point.label.as_str()).take(3).collect();
        let help = match labels[..] {
            [""] => "nothing is swept: leave out `at`".to_owned(),
            _ => format!("points are such as {}", labels.join("; ")),
        };
        return refused(&format!("{key}={value}"), "no point has these settings".into(), help);
    }
    if let Some(region) = &found.client_region {
        let regions = || at.iter().flat_map(|point| &point.links.client_regions);
        if !regions().any(|known| known == region) {
            let known: Vec<&str> = regions().map(String::as_str).take(8).collect();
            let help = format!("clients are in {}", known.join(", "));
            return refused(region, format!("no client is in {region}"), help);
        }
        if !found.is_of_region() {
            let help = "leave out `in`".to_owned();
            return refused(region, "this quantity is the same for all clients".into(), help);
        }
    }
    for measured in found.measured() {
        let is_named = |point: &&&Point| has_settings(&point.label, &measured.settings);
        let count = at.iter().filter(is_named).count();
        if !measured.settings.is_empty() && count != 1 {
            let (key, value) = &measured.settings[0];
            let help = "name as many settings as tell one point, as `plan` shows them".to_owned();
            return refused(
                &format!("{key}={value}"),
                format!("{count} points have these settings"),
                help,
            );
        }
        let code = measured.quantity.code();
        // The place of this value, and not of another one with the same code.
        let begin = format!("{}.", measured.variant);
        let mut words = found.text.split_whitespace();
        let word =
            words.find(|word| word.starts_with(&begin) && word.contains(code)).unwrap_or(code);
        let is_asked = |point: &&Point| match measured.operation {
            OperationKind::Write => point.workload.reads < 1.0,
            OperationKind::Read => point.workload.reads > 0.0,
            OperationKind::Control => point.control.is_some(),
        };
        if measured.quantity.is_of_kind(measured.operation) && !at.iter().all(is_asked) {
            let name = measured.operation.name();
            let help = "set `workload.reads` or `[control]`, or leave this out".to_owned();
            return refused(word, format!("no client asks for a {name}"), help);
        }
        let is_closed = |point: &&Point| matches!(point.workload.arrival, Arrival::Closed { .. });
        if measured.quantity == Quantity::Throughput && !at.iter().all(is_closed) {
            let help =
                "in an open loop it is the rate of arrivals; use `closed` arrivals".to_owned();
            return refused(word, "`throughput` is measured in closed loops alone".into(), help);
        }
        let is_of_fault = matches!(measured.quantity.scope(), Scope::Fault | Scope::FaultRegion);
        let needed = found.fault.map_or(1, |fault| fault as usize + 1);
        if is_of_fault && fault_count < needed {
            let message = match found.fault {
                None => format!("`{code}` is measured after a fault, and there is none"),
                Some(fault) => format!("there is no fault {}", fault + 1),
            };
            return refused(word, message, "add a `[[fault]]`, or leave this out".into());
        }
    }
    if found.fault.is_some() && !found.is_of_fault() {
        let help = "leave out `after fault`".to_owned();
        return refused("fault", "this quantity is of no fault".into(), help);
    }
    Ok(())
}

/// Whether the point of this label has all these settings.
///
/// A value with spaces is typed without them: `arrival={closed={clients=20}}`.
pub fn has_settings(label: &str, settings: &[(String, String)]) -> bool {
    let of_label = settings_of(label);
    settings.iter().all(|(key, value)| of_label.contains(&format!("{key}={value}")))
}

/// The settings of a label, each without spaces; those inside braces separate none.
fn settings_of(label: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut depth = 0;
    for char in label.chars() {
        match char {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ' ' if depth == 0 => {
                found.push(String::new());
                continue;
            }
            ' ' => continue,
            _ => {}
        }
        found.last_mut().expect("there is one").push(char);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_label_are_found_whole() {
        let label = "uplink=10.0 arrival={ closed = { clients = 20 } } phase2=2";
        let has = |key: &str, value: &str| has_settings(label, &[(key.into(), value.into())]);
        assert!(has("uplink", "10.0") && has("phase2", "2") && has_settings(label, &[]));
        assert!(has("arrival", "{closed={clients=20}}"));
        assert!(!has("uplink", "10") && !has("clients", "20") && !has("phase2", "20"));
    }
}
