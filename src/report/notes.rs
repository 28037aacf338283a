//! The remarks about all trials: one line for each kind, with the range of its numbers.
//!
//! Every trial has its sentences in `trials.csv`. Those of one kind mostly differ in numbers and in the names
//! of members only, so they become one sentence here.

use std::collections::{BTreeMap, BTreeSet};

use super::table::counted;
use crate::findings::Finished;
use crate::measure::rows::Flag;
use crate::trial::Backend;

/// Remarks that have lines of their own, or say that there is nothing else to remark.
const ELSEWHERE: [Flag; 5] =
    [Flag::Invalid, Flag::Refused, Flag::Floor, Flag::ClientWait, Flag::Incomplete];

/// So many different sentences of one kind are printed.
const SENTENCES_MAX: usize = 2;

/// Which trial, and where it ran.
type Place = (Backend, usize);

/// `noisy links: 7 of 9 trials (1-8 of 40 links were later than their tolerance at p99)`: a line for each
/// kind of remark about valid trials.
pub fn notes(finished: &[Finished]) -> Vec<String> {
    let mut kinds: BTreeMap<Flag, Vec<(Place, &str)>> = BTreeMap::new();
    for ended in finished.iter().filter(|ended| ended.row.valid) {
        for (flag, text) in ended.row.remarks().filter(|(flag, _)| !ELSEWHERE.contains(flag)) {
            kinds.entry(flag).or_default().push(((ended.backend, ended.trial.index), text));
        }
    }
    kinds.into_iter().map(|(flag, remarks)| line(flag, &remarks, finished)).collect()
}

/// `trial 2 (multi) INVALID: why`: a line for each of these trials.
pub fn invalid(finished: &[Finished]) -> Vec<String> {
    let of = |ended: &Finished| {
        let (_, why) = ended.row.remarks().find(|(flag, _)| *flag == Flag::Invalid)?;
        Some(format!("trial {} ({}) {why}", ended.trial.number(), ended.row.variant))
    };
    finished.iter().filter_map(of).collect()
}

/// All remarks of one kind.
fn line(flag: Flag, remarks: &[(Place, &str)], finished: &[Finished]) -> String {
    let name = flag.code().replace('-', " ");
    let places: BTreeSet<Place> = remarks.iter().map(|(place, _)| *place).collect();
    let worlds: BTreeSet<Backend> = places.iter().map(|(backend, _)| *backend).collect();
    let all: Vec<Backend> = finished.iter().map(|ended| ended.backend).collect();
    let possible = all.iter().filter(|backend| worlds.contains(backend)).count();
    // Where the other world has no such trial, its trials are not counted.
    let world = match worlds.first() {
        Some(one) if possible < all.len() => format!("{} ", one.name()),
        _ => String::new(),
    };
    let trials = counted(possible, &format!("{world}trial"));
    let mut merged: Vec<(Sentence, BTreeSet<Place>)> = Vec::new();
    for (place, text) in remarks {
        let sentence = Sentence::of(&essence(flag, &name, text));
        match merged.iter_mut().find(|(known, _)| known.is_like(&sentence)) {
            Some((known, places)) => {
                known.merge(sentence);
                places.insert(*place);
            }
            None => merged.push((sentence, [*place].into())),
        }
    }
    // The most frequent first; of two that are as frequent the one that came first.
    merged.sort_by_key(|(_, places)| std::cmp::Reverse(places.len()));
    let mut said: Vec<String> =
        merged.iter().take(SENTENCES_MAX).map(|(it, _)| it.text()).collect();
    if let Some(more) = merged.len().checked_sub(SENTENCES_MAX).filter(|more| *more > 0) {
        said.push(format!("and {}, see trials.csv", counted(more, "other reason")));
    }
    let consequence = if flag == Flag::Saturated { ": a queue may have set the pace" } else { "" };
    format!("{name}: {} of {trials} ({}){consequence}", places.len(), said.join("; "))
}

/// A remark without the name of its kind, and without the part that is the same for all of the kind.
fn essence(flag: Flag, name: &str, text: &str) -> String {
    let first = |text: &str| text.split([' ', ':']).next().unwrap_or_default().to_owned();
    let is_word = |char: char| char.is_alphabetic() || char == ' ';
    let text = match text.split_once(": ") {
        Some((prefix, rest)) if prefix.chars().all(is_word) && first(prefix) == first(name) => rest,
        _ => text,
    };
    match flag {
        Flag::NoisyLinks => {
            let short = text.split(" when they were probed").next().unwrap_or(text);
            short.replace("directed links", "links")
        }
        _ => text.to_owned(),
    }
}

/// The words of a remark, some of which are numbers or members.
#[derive(Clone, Debug)]
struct Sentence(Vec<Word>);

#[derive(Clone, Debug)]
enum Word {
    /// The same in all sentences that are merged.
    Plain(String),
    /// A number as it is written, and what stands around it: `(17`, `4.27ms,`.
    Number { before: String, least: String, most: String, after: String },
    /// `r0` or `c1`, and what follows it.
    Members { names: BTreeSet<String>, after: String },
}

impl Sentence {
    fn of(text: &str) -> Self {
        Self(text.split_whitespace().map(Word::of).collect())
    }

    /// Whether both differ in numbers and members only.
    fn is_like(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        self.0.len() == other.0.len() && pairs.into_iter().all(|(one, other)| one.is_like(other))
    }

    fn merge(&mut self, other: Self) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            word.merge(other);
        }
    }

    fn text(&self) -> String {
        self.0.iter().map(Word::text).collect::<Vec<_>>().join(" ")
    }
}

impl Word {
    fn of(word: &str) -> Self {
        let is_digit = |char: char| char.is_ascii_digit();
        let name = word.trim_end_matches([',', ':', ')']);
        if let Some(number) = name.strip_prefix(['r', 'c'])
            && !number.is_empty()
            && number.chars().all(is_digit)
        {
            let after = word[name.len()..].to_owned();
            return Self::Members { names: [name.to_owned()].into(), after };
        }
        let start = word.len() - word.trim_start_matches('(').len();
        let rest = &word[start..];
        let end = rest.find(|char: char| !is_digit(char) && char != '.').unwrap_or(rest.len());
        if !rest.starts_with(is_digit) || rest[..end].parse::<f64>().is_err() {
            return Self::Plain(word.to_owned());
        }
        let (before, number, after) = (&word[..start], &rest[..end], &rest[end..]);
        let [before, least, most, after] = [before, number, number, after].map(str::to_owned);
        Self::Number { before, least, most, after }
    }

    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => one == other,
            (
                Self::Number { before, after, .. },
                Self::Number { before: other_before, after: other_after, .. },
            ) => (before, after) == (other_before, other_after),
            (Self::Members { after, .. }, Self::Members { after: other, .. }) => after == other,
            _ => false,
        }
    }

    fn merge(&mut self, other: Self) {
        let value = |text: &str| text.parse::<f64>().unwrap_or_default();
        match (self, other) {
            (Self::Number { least, most, .. }, Self::Number { least: low, most: high, .. }) => {
                if value(&low) < value(least) {
                    *least = low;
                }
                if value(&high) > value(most) {
                    *most = high;
                }
            }
            (Self::Members { names, .. }, Self::Members { names: others, .. }) => {
                names.extend(others);
            }
            _ => {}
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Plain(word) => word.clone(),
            Self::Number { before, least, most, after } if least == most => {
                format!("{before}{least}{after}")
            }
            Self::Number { before, least, most, after } => {
                format!("{before}{least}-{most}{after}")
            }
            Self::Members { names, after } => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("{}{after}", names.join("/"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::trial::Trial;
    use crate::measure::rows::TrialRow;

    /// A trial with these remarks.
    fn ended(index: usize, backend: Backend, remarks: &[(Flag, &str)]) -> Finished {
        let mut row = TrialRow { valid: true, ..TrialRow::default() };
        for (flag, text) in remarks {
            row.add(&flag.note(*text));
        }
        Finished {
            trial: Trial { index, repeat: 0, variant: 0, point: 0, seed: 0 },
            backend,
            row,
            measured: vec![],
            disagreements: vec![],
            recovery: vec![],
            probes: None,
            violations: vec![],
            unfit: vec![],
        }
    }

    /// Live trials, each with one remark of this kind.
    fn live(flag: Flag, texts: &[&str]) -> Vec<Finished> {
        let remarks = texts.iter().enumerate();
        remarks.map(|(index, text)| ended(index, Backend::Live, &[(flag, text)])).collect()
    }

    fn noisy(count: u32) -> String {
        format!(
            "noisy links: {count} of 40 directed links were later than their tolerance at p99 when they were \
             probed, though not beyond its interval, see links.csv"
        )
    }

    #[test]
    fn remarks_of_one_kind_are_one_line_with_ranges() {
        let (one, eight) = (noisy(1), noisy(8));
        let mut trials = live(Flag::NoisyLinks, &[&eight, &one, &one]);
        trials.push(ended(3, Backend::Live, &[]));
        let saturated =
            |percent| format!("saturated: r0 waited {percent} % of the window for a processor");
        trials[0].row.add(&Flag::Saturated.note(saturated(18)));
        trials[1].row.add(&Flag::Saturated.note(saturated(9)));
        assert_eq!(
            notes(&trials),
            [
                "saturated: 2 of 4 trials (r0 waited 9-18 % of the window for a processor): a queue may have set the \
                 pace",
                "noisy links: 3 of 4 trials (1-8 of 40 links were later than their tolerance at p99)",
            ]
        );
    }

    #[test]
    fn members_are_named_and_units_kept_apart() {
        let texts = [
            "behind in the end: r1 executed 440 of 450 slots",
            "behind in the end: r2 executed 441 of 452 slots",
        ];
        assert_eq!(
            notes(&live(Flag::Behind, &texts)),
            ["behind: 2 of 2 trials (r1/r2 executed 440-441 of 450-452 slots)"]
        );
        let texts = [
            "omits: c had no answer for 14.33ms, 11 times",
            "omits: c had no answer for 2s, 9 times",
        ];
        let said = notes(&live(Flag::Omits, &texts));
        let expected = "omits: 2 of 2 trials (c had no answer for 14.33ms, 11 times; c had no answer for 2s, 9 \
                        times)";
        assert_eq!(said, [expected]);
    }

    #[test]
    fn many_different_sentences_are_counted() {
        let texts = ["lost r1 (killed: 9)", "lost r1 (exit)", "lost r2 (exit)", "lost c0 (gone)"];
        assert_eq!(
            notes(&live(Flag::LostMember, &texts)),
            [
                "lost member: 4 of 4 trials (lost r1/r2 (exit); lost r1 (killed: 9); and 1 other reason, see \
              trials.csv)"
            ]
        );
    }

    #[test]
    fn the_other_world_is_not_counted_where_it_has_none() {
        let one = noisy(1);
        let mut trials = live(Flag::NoisyLinks, &[&one, &one]);
        trials.extend((0..2).map(|index| ended(index, Backend::Sim, &[])));
        assert!(notes(&trials)[0].starts_with("noisy links: 2 of 2 live trials ("));
        trials[2].row.add(&Flag::NoisyLinks.note(one));
        assert!(notes(&trials)[0].starts_with("noisy links: 3 of 4 trials ("));
    }

    #[test]
    fn remarks_with_lines_of_their_own_are_not_repeated() {
        for flag in ELSEWHERE {
            assert_eq!(notes(&live(flag, &["a sentence"])), [""; 0]);
        }
        let mut trials = live(Flag::Behind, &["behind in the end: r1 executed 4 of 5 slots"]);
        trials[0].row.valid = false;
        assert_eq!(notes(&trials), [""; 0]);
    }
}
