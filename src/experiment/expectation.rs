//! A prediction in a form that can be judged: `flex-4-2.p50 < multi.p50 in us-east-1`.
//!
//! ```text
//! expectation = side ("<" | ">") side tail  |  side "within" side tail
//! side        = item (("+" | "-") item)*
//! item        = [number "*"] value
//! value       = VARIANT "." [OPERATION "."] QUANTITY ["[" KEY=VALUE "," ... "]"]
//!             | "floor"  |  length  |  rate  |  number
//! tail        = ["in" REGION] ["at" KEY=VALUE ...] ["after fault" NUMBER]
//! ```
//!
//! Words have spaces between them, because names of variants have hyphens.
//! `a within b` says that `a` is between `-b` and `b`. `floor` is the floor of the one measured value beside
//! it. A length is `3ms`, a rate `500/s`. In brackets a value names its point, so that points are compared:
//! `multi.p99[loss=0.01] > multi.p99[loss=0.0]`; then every value does. Without a tail it is expected everywhere: in every client region,
//! at every point, after every fault.

use std::ops::Range;

use crate::measure::{OperationKind, Quantity, Scope, Unit};
use crate::nearest::nearest;
use crate::time::Span;

/// A prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// As typed.
    pub text: String,
    /// Why it is expected; empty if nobody says.
    pub because: String,
    /// The left side.
    pub left: Side,
    /// How it relates to the right side.
    pub relation: Relation,
    /// The right side.
    pub right: Side,
    /// The clients in which region; all if absent.
    pub client_region: Option<String>,
    /// The settings of the point, keys as far as they are told apart; all points if empty.
    pub settings: Vec<(String, String)>,
    /// Which fault, from 0; all if absent.
    pub fault: Option<u32>,
}

/// How two sides relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The left one is less.
    Less,
    /// The left one is more.
    More,
    /// The left one is between the negative of the right one and the right one.
    Within,
}

/// A sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Side {
    /// What is added.
    pub items: Vec<Item>,
}

/// A multiple of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// How often.
    pub factor: f64,
    /// Of what.
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A quantity of a variant.
    Measured(Measured),
    /// The floor of the measured value beside it.
    Floor(Measured),
    /// A number.
    Number(f64, Unit),
}

/// A quantity of a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The variant's name.
    pub variant: String,
    /// Of which operations, for latencies.
    pub operation: OperationKind,
    /// The quantity.
    pub quantity: Quantity,
    /// The settings of its point, if it names one.
    pub settings: Vec<(String, String)>,
}

/// Why a text is no prediction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Where in the text.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to change.
    pub help: String,
}

impl Expectation {
    /// The prediction that a text makes about these variants.
    pub fn parse(text: &str, because: &str, variants: &[&str]) -> Result<Self, Error> {
        let mut words = Words::of(text, variants);
        let mut left = words.side()?;
        let relation = words.relation()?;
        let mut right = words.side()?;
        let mut expectation = Self {
            text: text.to_owned(),
            because: because.to_owned(),
            left: Side { items: Vec::new() },
            relation,
            right: Side { items: Vec::new() },
            client_region: None,
            settings: Vec::new(),
            fault: None,
        };
        words.tail(&mut expectation)?;
        settle_floors(&mut left, &mut right, 0..text.len())?;
        (expectation.left, expectation.right) = (left, right);
        expectation.check_units(0..text.len())?;
        Ok(expectation)
    }

    /// All measured values, of both sides.
    pub fn measured(&self) -> impl Iterator<Item = &Measured> {
        self.items().filter_map(|item| match &item.value {
            Value::Measured(measured) => Some(measured),
            Value::Floor(_) | Value::Number(..) => None,
        })
    }

    fn items(&self) -> impl Iterator<Item = &Item> {
        self.left.items.iter().chain(&self.right.items)
    }

    /// Whether it is about the clients of a region.
    pub fn is_of_region(&self) -> bool {
        self.measured()
            .any(|it| matches!(it.quantity.scope(), Scope::Operation | Scope::FaultRegion))
    }

    /// Whether its values are of points that each of them names.
    pub fn is_across_points(&self) -> bool {
        self.measured().any(|measured| !measured.settings.is_empty())
    }

    /// Whether it is about a fault.
    pub fn is_of_fault(&self) -> bool {
        self.measured().any(|it| matches!(it.quantity.scope(), Scope::Fault | Scope::FaultRegion))
    }

    fn check_units(&self, at: Range<usize>) -> Result<(), Error> {
        let refused = |message: &str, help: &str| {
            Err(Error { at: at.clone(), message: message.into(), help: help.into() })
        };
        let mut measured = self.measured();
        let Some(first) = measured.next() else {
            return refused(
                "this prediction is about no variant",
                "name a quantity of a variant, such as `multi.p50`",
            );
        };
        let is_number = |item: &Item| matches!(item.value, Value::Number(..));
        if self.relation == Relation::Within && !self.right.items.iter().all(is_number) {
            return refused(
                "`within` is followed by a measured value",
                "write a length or a rate: `a.away - b.away within 100ms`",
            );
        }
        let unit = first.quantity.unit();
        let is_of_unit = |item: &Item| match &item.value {
            Value::Measured(measured) | Value::Floor(measured) => measured.quantity.unit() == unit,
            Value::Number(_, of) => *of == unit,
        };
        if !self.items().all(is_of_unit) {
            return refused(
                "this prediction compares things of different units",
                "a latency is compared with a latency or a length such as `3ms`, `throughput` with a rate \
                 such as `500/s`, and `attempts` with a number",
            );
        }
        let is_across = self.is_across_points();
        if is_across && measured.chain([first]).any(|it| it.settings.is_empty()) {
            return refused(
                "one value names its point, and another one does not",
                "give every value its settings, as in `a.p99[loss=0.01] > a.p99[loss=0.0]`",
            );
        }
        Ok(())
    }
}

/// Lets `floor` be that of the one measured value.
fn settle_floors(left: &mut Side, right: &mut Side, at: Range<usize>) -> Result<(), Error> {
    let items = || left.items.iter().chain(&right.items);
    if !items().any(|item| matches!(item.value, Value::Floor(_))) {
        return Ok(());
    }
    let mut measured: Vec<&Measured> = Vec::new();
    for item in items() {
        if let Value::Measured(it) = &item.value
            && !measured.contains(&it)
        {
            measured.push(it);
        }
    }
    let refused =
        |message: &str, help: &str| Err(Error { at, message: message.into(), help: help.into() });
    let [one] = measured[..] else {
        return refused(
            "`floor` beside more than one measured value: it is the floor of one",
            "write one prediction for each, such as `multi.p50 - floor < 3ms`",
        );
    };
    if !matches!(one.quantity, Quantity::P50 | Quantity::P99 | Quantity::Phase1) {
        return refused(
            "only p50, p99 and phase1 have a floor",
            "write `multi.p50 - floor < 3ms`, or leave `floor` out",
        );
    }
    let one = one.clone();
    for item in left.items.iter_mut().chain(&mut right.items) {
        if let Value::Floor(of) = &mut item.value {
            *of = one.clone();
        }
    }
    Ok(())
}

/// The words of a text, read from left to right.
struct Words<'a> {
    text: &'a str,
    all: Vec<(Range<usize>, &'a str)>,
    next: usize,
    variants: &'a [&'a str],
}

impl<'a> Words<'a> {
    fn of(text: &'a str, variants: &'a [&'a str]) -> Self {
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        let words =
            text.split_whitespace().map(|word| (start(word)..start(word) + word.len(), word));
        Self { text, all: words.collect(), next: 0, variants }
    }

    fn peek(&self) -> Option<&'a str> {
        self.all.get(self.next).map(|(_, word)| *word)
    }

    fn take(&mut self, wanted: &str) -> Result<(Range<usize>, &'a str), Error> {
        let found = self.all.get(self.next).cloned();
        self.next += 1;
        found.ok_or_else(|| Error {
            at: self.text.len()..self.text.len(),
            message: format!("the prediction ends where {wanted} is wanted"),
            help: EXAMPLE.into(),
        })
    }

    fn side(&mut self) -> Result<Side, Error> {
        let mut items = vec![self.item(1.0)?];
        while let Some(sign) = self.peek().filter(|word| matches!(*word, "+" | "-")) {
            self.next += 1;
            items.push(self.item(if sign == "-" { -1.0 } else { 1.0 })?);
        }
        Ok(Side { items })
    }

    fn item(&mut self, sign: f64) -> Result<Item, Error> {
        let (at, word) = self.take("a value")?;
        if self.peek() == Some("*") {
            let number = word.parse::<f64>().ok().filter(|it| it.is_finite() && *it != 0.0);
            let Some(number) = number else {
                let message = format!("`{word}` is no number");
                return Err(Error { at, message, help: "write `0.9 * multi.p50`".into() });
            };
            self.next += 1;
            let (at, word) = self.take("a value")?;
            return Ok(Item { factor: sign * number, value: self.value(at, word)? });
        }
        Ok(Item { factor: sign, value: self.value(at, word)? })
    }

    fn value(&self, at: Range<usize>, word: &str) -> Result<Value, Error> {
        if word == "floor" {
            // Of which value is known when both sides are.
            return Ok(Value::Floor(Measured {
                variant: String::new(),
                operation: OperationKind::Write,
                quantity: Quantity::P50,
                settings: Vec::new(),
            }));
        }
        if let Some(number) = word.strip_suffix("/s").and_then(finite) {
            return Ok(Value::Number(number, Unit::PerSecond));
        }
        if let Some(number) = finite(word) {
            return Ok(Value::Number(number, Unit::Count));
        }
        if word.starts_with(|first: char| first.is_ascii_digit())
            && !self.variants.iter().any(|name| word.starts_with(&format!("{name}.")))
        {
            let length = humantime::parse_duration(word).map_err(|error| Error {
                at,
                message: format!("`{word}` is no length of time: {error}"),
                help: "write a number and its unit: `3ms`, `1.5ms` is `1500us`".into(),
            })?;
            return Ok(Value::Number(Span::from(length).0 as f64, Unit::Nanoseconds));
        }
        self.measured(at, word).map(Value::Measured)
    }

    fn measured(&self, at: Range<usize>, word: &str) -> Result<Measured, Error> {
        let of_variant = |name: &&&str| word.starts_with(&format!("{name}."));
        let variant = self.variants.iter().filter(of_variant).max_by_key(|name| name.len());
        let Some(variant) = variant else {
            let name = word.split('.').next().unwrap_or(word);
            let known: Vec<String> = self.variants.iter().map(|&name| name.to_owned()).collect();
            let guess = nearest(name, &known).map(|near| format!("did you mean `{near}`? "));
            return Err(Error {
                at,
                message: format!("`{word}` is no quantity of a variant"),
                help: format!(
                    "{}write VARIANT.QUANTITY; the variants are {}",
                    guess.unwrap_or_default(),
                    known.join(", ")
                ),
            });
        };
        let rest = &word[variant.len() + 1..];
        let (rest, settings) = match rest.split_once('[') {
            None => (rest, Vec::new()),
            Some((rest, inside)) => (rest, settings(&at, inside)?),
        };
        let (operation, code) = match rest.split_once('.') {
            None => (OperationKind::Write, rest),
            Some((name, code)) => {
                let kind = OperationKind::ALL.into_iter().find(|kind| kind.name() == name);
                let known: Vec<&str> = OperationKind::ALL.iter().map(|kind| kind.name()).collect();
                let kind = kind.ok_or_else(|| Error {
                    at: at.clone(),
                    message: format!("`{name}` is no kind of operation"),
                    help: format!("the kinds are {}", known.join(", ")),
                })?;
                (kind, code)
            }
        };
        let (place, kind_given) = (at.clone(), rest.contains('.'));
        let quantity = Quantity::from_code(code).ok_or_else(|| {
            let known: Vec<String> = Quantity::ALL.iter().map(|it| it.code().to_owned()).collect();
            let guess = nearest(code, &known).map(|near| format!("did you mean `{near}`? "));
            Error {
                at,
                message: format!("`{code}` is no quantity"),
                help: format!(
                    "{}the quantities are {}",
                    guess.unwrap_or_default(),
                    known.join(", ")
                ),
            }
        })?;
        if kind_given && !quantity.is_of_kind(operation) {
            return Err(Error {
                at: place,
                message: format!("`{code}` is not measured for each kind of operation"),
                help: format!(
                    "leave out `{}.`: latencies have kinds, and `away` those of writes and reads",
                    operation.name()
                ),
            });
        }
        Ok(Measured { variant: (*variant).to_owned(), operation, quantity, settings })
    }

    fn relation(&mut self) -> Result<Relation, Error> {
        let (at, word) = self.take("`<`, `>` or `within`")?;
        Ok(match word {
            "<" => Relation::Less,
            ">" => Relation::More,
            "within" => Relation::Within,
            _ => {
                let message = format!("`{word}` stands where `<`, `>` or `within` is wanted");
                return Err(Error { at, message, help: EXAMPLE.into() });
            }
        })
    }

    fn tail(&mut self, expectation: &mut Expectation) -> Result<(), Error> {
        while self.next < self.all.len() {
            let (at, word) = self.take("a word")?;
            match word {
                "in" => {
                    let (_, region) = self.take("a client region")?;
                    expectation.client_region = Some(region.to_owned());
                }
                "at" => {
                    let (_, mut setting) = self.take("KEY=VALUE")?;
                    loop {
                        let Some((key, value)) = setting.split_once('=') else {
                            let message = format!("`{setting}` is no setting of a point");
                            let help = "write KEY=VALUE, as `plan` shows the points";
                            return Err(Error { at, message, help: help.into() });
                        };
                        expectation.settings.push((key.to_owned(), value.to_owned()));
                        match self.peek().filter(|word| word.contains('=')) {
                            Some(more) => (self.next, setting) = (self.next + 1, more),
                            None => break,
                        }
                    }
                }
                "after" => {
                    let (_, fault) = self.take("`fault`")?;
                    let (number_at, number) = self.take("the number of a fault")?;
                    let number = number.parse::<u32>().ok().filter(|number| *number > 0);
                    let Some(number) = number.filter(|_| fault == "fault") else {
                        let message = "this names no fault".to_owned();
                        let help = "write `after fault 1` for the first `[[fault]]` of the file";
                        return Err(Error { at: number_at, message, help: help.into() });
                    };
                    expectation.fault = Some(number - 1);
                }
                _ => {
                    let message = format!("`{word}` does not fit here");
                    let help = "after both sides there may be `in REGION`, `at KEY=VALUE` and `after \
                                fault NUMBER`";
                    return Err(Error { at, message, help: help.into() });
                }
            }
        }
        Ok(())
    }
}

/// A number that is one.
fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The settings in brackets, without the first of them.
fn settings(at: &Range<usize>, inside: &str) -> Result<Vec<(String, String)>, Error> {
    let refused = || Error {
        at: at.clone(),
        message: "the brackets hold no settings of a point".to_owned(),
        help: "write them without spaces: `a.p99[protocol=tcp,loss=0.01]`".to_owned(),
    };
    let inside = inside.strip_suffix(']').ok_or_else(refused)?;
    let setting = |setting: &str| {
        let (key, value) = setting.split_once('=').ok_or_else(refused)?;
        Ok((key.to_owned(), value.to_owned()))
    };
    inside.split(',').map(setting).collect()
}

/// What a prediction looks like.
const EXAMPLE: &str = "write it as `flex-4-2.p50 < multi.p50 in us-east-1`, `multi.p50 - floor < 3ms` or \
                       `a.away - b.away within 100ms`";

#[cfg(test)]
mod tests {
    use super::*;

    const VARIANTS: [&str; 4] = ["multi", "flex-4-2", "flex-4-2.5", "3x"];

    fn parse(text: &str) -> Result<Expectation, Error> {
        Expectation::parse(text, "", &VARIANTS)
    }

    fn item(factor: f64, variant: &str, quantity: Quantity) -> Item {
        let operation = OperationKind::Write;
        let (variant, settings) = (variant.into(), Vec::new());
        let value = Value::Measured(Measured { variant, operation, quantity, settings });
        Item { factor, value }
    }

    #[test]
    fn forms_of_the_issue_are_read() {
        let found = parse("flex-4-2.p50 < multi.p50 in us-east-1").unwrap();
        assert_eq!(found.left.items, [item(1.0, "flex-4-2", Quantity::P50)]);
        assert_eq!(found.right.items, [item(1.0, "multi", Quantity::P50)]);
        assert_eq!(
            (found.relation, found.client_region.as_deref()),
            (Relation::Less, Some("us-east-1"))
        );

        let found = parse("multi.p50 - floor < 3ms").unwrap();
        let Value::Floor(of) = &found.left.items[1].value else { panic!("{found:?}") };
        assert_eq!((of.variant.as_str(), found.left.items[1].factor), ("multi", -1.0));
        assert_eq!(
            found.right.items,
            [Item { factor: 1.0, value: Value::Number(3e6, Unit::Nanoseconds) }]
        );

        let found = parse("multi.away - flex-4-2.away within 100ms after fault 2").unwrap();
        assert_eq!(
            (found.relation, found.fault, found.is_of_fault()),
            (Relation::Within, Some(1), true)
        );

        let found = parse("multi.read.away < multi.away").unwrap();
        let kinds: Vec<OperationKind> = found.measured().map(|it| it.operation).collect();
        assert_eq!(kinds, [OperationKind::Read, OperationKind::Write]);

        let found = parse("flex-4-2.5.read.p99 > 1.5 * 3x.p99 at clients=16 mode=fsync").unwrap();
        assert_eq!(found.right.items, [item(1.5, "3x", Quantity::P99)]);
        assert_eq!(found.settings.len(), 2);
        let found = parse("multi.p99[protocol=tcp,loss=0.01] > multi.p99[protocol=quic,loss=0.01]");
        assert!(found.unwrap().is_across_points());
        assert!(parse("multi.attempts < 1.5").is_ok());
        assert!(parse("multi.throughput > 500/s").is_ok() && parse("3x.p50 < 30ms").is_ok());
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let cases = [
            ("flex-4-2.p50 < mutli.p50", "mutli.p50", "did you mean `multi`?"),
            ("flex-4-2.p5 < multi.p50", "flex-4-2.p5", "did you mean `p50`?"),
            ("flex-4-2.p50 = multi.p50", "=", "`<`, `>` or `within`"),
            ("flex-4-2.p50 <", "", "a value is wanted"),
            ("flex-4-2.p50 < multi.p50 on x", "on", "does not fit here"),
            ("multi.p50 - floor < 3", "multi.p50 - floor < 3", "different units"),
            ("multi.p50 - floor < 3parsecs", "3parsecs", "is no length of time"),
            ("multi.p50[loss=1 < 3ms", "multi.p50[loss=1", "no settings"),
            (
                "multi.p50[loss=1] < multi.p50",
                "multi.p50[loss=1] < multi.p50",
                "another one does not",
            ),
            (
                "multi.p50 + floor < flex-4-2.p50",
                "multi.p50 + floor < flex-4-2.p50",
                "more than one",
            ),
            ("multi.away - floor < 3ms", "multi.away - floor < 3ms", "have a floor"),
            ("multi.p50 < 3x.throughput", "multi.p50 < 3x.throughput", "different units"),
            ("2ms < 3ms", "2ms < 3ms", "no variant"),
            ("multi.scan.p50 < 3ms", "multi.scan.p50", "no kind of operation"),
            ("multi.read.detect < 3ms", "multi.read.detect", "not measured for each kind"),
            ("multi.control.away < 3ms", "multi.control.away", "not measured for each kind"),
            ("multi.control.detect < 3ms", "multi.control.detect", "leave out `control.`"),
            ("multi.away < 3ms after fault 0", "0", "names no fault"),
            ("multi.p50 < 3ms at clients", "at", "no setting of a point"),
            ("3ms within multi.p50", "3ms within multi.p50", "followed by a measured"),
            ("0 * multi.p50 < 3ms", "0", "no number"),
            ("multi.attempts < inf", "inf", "no quantity of a variant"),
            ("two * multi.p50 < 3ms", "two", "no number"),
        ];
        for (text, place, said) in cases {
            let error = parse(text).expect_err(text);
            assert_eq!(&text[error.at.clone()], place, "{text}: {error}");
            let whole = format!("{} {}", error.message, error.help);
            assert!(whole.contains(said), "{text}: {whole}");
        }
    }
}
