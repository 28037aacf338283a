//! The lines of a trace that a violation is about: as many as fit on a screen.
//!
//! A violation is one sentence, and it names slots, ballots, requests and replicas.
//! Each line of the trace gets points for what it has in common with the sentence, and for what it tells:
//! a crash, a restart, an installed state and the violation itself always come first.
//! The lines with the most points are kept, in the order of time; of equal ones the later ones, which are
//! nearer to the violation.
//!
//! | points | for |
//! |---|---|
//! | 8 | a crash, a restart, an installed state, a violation |
//! | 4 | a slot of the sentence; of CASPaxos, of the same key |
//! | 4 | a phase 1 over many slots, if one of them is of the sentence, and its ballot too |
//! | 7 | what a client asked or was told about a request of the sentence, and what replicas asked one another for it |
//! | 4 | a request of the sentence, a new leader |
//! | 3 | a fault of the case, a replica that is told to lead |
//! | 2 | a ballot of the sentence, or at which one of its slots is chosen |
//! | 2 | the same at another ballot |
//! | 2 | besides: the choice of a slot of the sentence |
//! | 1 | a replica of the sentence |
//!
//! A message that arrives has one point less than when it is sent, and a line that repeats an earlier one half.
//! It explains nothing: a run of which the decisive event has nothing in common with the sentence is read in
//! its whole trace.

use std::collections::BTreeSet;
use std::fmt;

use super::line::{About, Kind, Line};
use crate::command::{ClientId, RequestId};
use crate::monitor::Finding;
use crate::protocol::{Ballot, Log, Slot};
use crate::quorum::{NodeId, NodeSet};

/// Lines that fit on a screen, with room for the violation and the prompt.
const LINES_MAX: usize = 30;

/// Columns of a terminal.
const COLUMNS: usize = 80;

/// A line with fewer points has only a replica in common with the sentence.
const POINTS_LEAST: u32 = 2;

/// The lines of a trace that a violation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// In the order of time, at most thirty, each at most 80 columns wide.
    pub lines: Vec<String>,
    /// How many lines the trace has besides.
    pub left_out: usize,
}

/// The lines of a trace that a violation is about.
pub fn excerpt(trace: &[Line], violation: &Finding) -> Excerpt {
    let lines: Vec<String> = chosen(trace, violation).map(cut).collect();
    Excerpt { left_out: trace.len() - lines.len(), lines }
}

fn chosen<'a>(trace: &'a [Line], violation: &Finding) -> impl Iterator<Item = &'a Line> + use<'a> {
    let subject = Subject::of(violation).with_ballots(trace);
    let (mut seen, mut points) = (BTreeSet::new(), Vec::new());
    for (index, line) in trace.iter().enumerate() {
        let is_repeated = !seen.insert(&line.text);
        let worth = subject.points(&line.about) / if is_repeated { 2 } else { 1 };
        points.push((worth, index));
    }
    points.retain(|(worth, _)| *worth >= POINTS_LEAST);
    points.sort_unstable_by(|one, other| other.cmp(one));
    points.truncate(LINES_MAX);
    let mut kept: Vec<usize> = points.into_iter().map(|(_, index)| index).collect();
    kept.sort_unstable();
    kept.into_iter().map(|index| &trace[index])
}

/// A line of a terminal.
fn cut(line: &Line) -> String {
    let mut text = line.to_string().replace('\n', " ");
    if let Some((end, _)) = text.char_indices().nth(COLUMNS)
        && let Some((last, _)) = text[..end].char_indices().next_back()
    {
        text.truncate(last);
        text.push('…');
    }
    text
}

/// What a sentence names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Subject {
    members: NodeSet,
    ballots: BTreeSet<Ballot>,
    slots: BTreeSet<(Log, Slot)>,
    requests: BTreeSet<RequestId>,
}

impl Subject {
    /// A violation has its evidence in words alone, those of the monitor and those of the history check:
    /// `slot 3`, `slot 3 of x`, `below 3`, `(2.r1)`, `r1`, `request 5 of client 0`, `(c0, request 5)`.
    fn of(violation: &Finding) -> Self {
        let mut subject = Self::default();
        let is_around = |letter: char| "(),;:.".contains(letter);
        let words: Vec<&str> =
            violation.how.split_whitespace().map(|word| word.trim_matches(is_around)).collect();
        let word = |index: usize| words.get(index).copied().unwrap_or_default();
        let number = |index: usize| word(index).parse::<u64>().ok();
        for index in 0..words.len() {
            match (word(index), number(index + 1)) {
                ("slot", Some(slot)) => {
                    let key = (word(index + 2) == "of").then(|| key(word(index + 3))).flatten();
                    let log = key.map_or(Log::Whole, Log::Of);
                    subject.slots.insert((log, Slot(slot)));
                }
                ("below", Some(slot)) => {
                    subject.slots.insert((Log::Whole, Slot(slot)));
                }
                ("request", Some(sequence)) => {
                    let before = index.checked_sub(1).map(word).unwrap_or_default();
                    let behind = word(index + 3);
                    let named = client(before)
                        .or_else(|| client(behind))
                        .or_else(|| number(index + 4).filter(|_| behind == "client"))
                        .or_else(|| before.parse().ok());
                    let client = named.and_then(|client| u32::try_from(client).ok());
                    subject.requests.extend(
                        client.map(|client| RequestId { client: ClientId(client), sequence }),
                    );
                }
                (other, _) => {
                    subject.ballots.extend(ballot(other));
                    let member = member(other);
                    subject.members = member.into_iter().fold(subject.members, NodeSet::with);
                }
            }
        }
        subject
    }

    /// With the ballots at which its slots are chosen: a sentence may name one of two.
    fn with_ballots(mut self, trace: &[Line]) -> Self {
        let chosen = trace.iter().filter(|line| line.about.kind == Kind::Chosen);
        let ballots: Vec<Ballot> = chosen
            .filter(|line| self.is_of_slot(&line.about))
            .flat_map(|line| line.about.ballots.clone())
            .collect();
        self.ballots.extend(ballots);
        self
    }

    fn points(&self, about: &About) -> u32 {
        let own = match about.kind {
            Kind::Crashes | Kind::Restarts | Kind::Installs | Kind::Violation => 8,
            Kind::Leads => 4,
            Kind::Fault | Kind::Told => 3,
            Kind::Chosen if self.is_of_slot(about) => 2,
            Kind::Chosen | Kind::Received | Kind::Other => 0,
        };
        let is_of_request = about.requests.iter().any(|it| self.requests.contains(it));
        let is_of_ballot = about.ballots.iter().any(|it| self.ballots.contains(it));
        let is_of_member = !about.members.intersection(self.members).is_empty();
        let covers_slot = about.slots.iter().any(|it| self.covers(it));
        let is_near = self.is_of_slot(about) || is_of_ballot;
        let slot = u32::from(covers_slot) * if is_near { 4 } else { 2 };
        // What a client asked or was told, and replicas asked for it: a read may have no slot.
        let is_of_client = is_of_request && about.slots.is_empty();
        let common = slot
            + 4 * u32::from(is_of_request)
            + 3 * u32::from(is_of_client)
            + 2 * u32::from(is_of_ballot)
            + u32::from(is_of_member);
        own + common.saturating_sub(u32::from(about.kind == Kind::Received))
    }

    /// Whether it is about one of the slots, and not about all slots from one on.
    fn is_of_slot(&self, about: &About) -> bool {
        about.slots.iter().any(|it @ (_, _, last)| last.0 < u64::MAX && self.covers(it))
    }

    fn covers(&self, (log, first, last): &(Log, Slot, Slot)) -> bool {
        first <= last && self.slots.range((*log, *first)..=(*log, *last)).next().is_some()
    }
}

/// A key as a trace writes it: a letter, or a number.
fn key(word: &str) -> Option<u64> {
    let mut letters = word.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_lowercase() => Some(u64::from(u32::from(letter))),
        _ => word.parse().ok(),
    }
}

/// `c0`.
fn client(word: &str) -> Option<u64> {
    word.strip_prefix('c')?.parse().ok()
}

/// `r1`.
fn member(word: &str) -> Option<NodeId> {
    let number: u8 = word.strip_prefix('r')?.parse().ok()?;
    (usize::from(number) < NodeSet::CAPACITY).then_some(NodeId(number))
}

/// `2.r1`.
fn ballot(word: &str) -> Option<Ballot> {
    let (round, proposer) = word.split_once('.')?;
    Some(Ballot { round: round.parse().ok()?, proposer: member(proposer)? })
}

/// How much was left out.
impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        let (shown, all) = (self.lines.len(), self.lines.len() + self.left_out);
        write!(f, "{shown} of {all} lines: those about what the violation names")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{Case, Limits, run, run_traced, shrink};
    use crate::monitor::Invariant;
    use crate::protocol::Position;
    use crate::sabotage::Rule;

    /// The excerpt of the smallest case that shows a broken rule with this seed.
    fn shown(rule: Rule, seed: u64) -> (Vec<Line>, Excerpt) {
        let case = Case::draw(seed, &Limits { rule: Some(rule), ..Limits::default() });
        let ran = run(&case);
        let invariant = ran.violation.as_ref().unwrap().invariant;
        let ran = run_traced(&shrink(&case, ran, invariant).case);
        let excerpt = excerpt(&ran.trace, &ran.violation.unwrap());
        (ran.trace, excerpt)
    }

    /// That the excerpt fits and has these in this order, each somewhere behind the one before.
    fn check(rule: Rule, seed: u64, expected: &[&str]) {
        let (trace, Excerpt { lines, left_out }) = shown(rule, seed);
        assert!(lines.len() <= 30 && lines.iter().all(|line| line.chars().count() <= 80));
        assert_eq!(lines.len() + left_out, trace.len());
        let text = lines.join("\n");
        let mut rest = lines.iter();
        for phrase in expected {
            let is_found = rest.any(|line| line.contains(phrase));
            assert!(is_found, "{rule}: no {phrase:?} in its place in\n{text}");
        }
    }

    #[test]
    fn an_excerpt_holds_the_vote_that_a_crash_forgot() {
        let expected = [
            "r2              writes vote slot 0 at (1.r0)",
            "CHOSEN          slot 0 at (1.r0)",
            "r2              CRASHES",
            "r2              STARTS AGAIN",
            "VIOLATION       promises-kept: r2 told a vote at (1.r0)",
        ];
        check(Rule::ForgetsVote, 7, &expected);
    }

    #[test]
    fn an_excerpt_holds_the_promises_that_missed_a_choice() {
        let expected = [
            "phase1a (3.r4) from slot 61, phase 2 by {4}",
            "phase2a (2.r1) slot 61",
            "CHOSEN          slot 61 at (2.r1) by {1}",
            "phase1b (3.r4) from slot 61, voted nothing",
            "phase2a (3.r4) slot 61",
            "VIOLATION       chosen-stays-chosen",
        ];
        check(Rule::IgnoresAnnouncedQuorums, 169, &expected);
    }

    #[test]
    fn an_excerpt_holds_the_two_states_of_a_register() {
        let expected = [
            "CHOSEN          slot 9 of 0 at (10.r2)",
            "phase1b (14.r3) of 0, voted at (12.r2): slot 9",
            "phase2a (14.r3) of 0: slot 9",
            "VIOLATION       chosen-stays-chosen",
        ];
        check(Rule::TakesAnyBase, 0, &expected);
    }

    #[test]
    fn an_excerpt_of_another_violation_holds_other_lines() {
        let (trace, own) = shown(Rule::ForgetsVote, 7);
        let how = "slot 999 was chosen with 1?, and now at (999.r9) with 2?".to_owned();
        let other = excerpt(&trace, &Finding::new(Invariant::ChosenStaysChosen, how));
        assert!(other.lines.iter().all(|line| !line.contains("slot 0 at")), "{other}");
        assert!(other.lines.len() < own.lines.len(), "{other}");
        assert!(other.lines.iter().any(|line| line.contains("CRASHES")), "{other}");
    }

    #[test]
    fn a_sentence_names_slots_ballots_requests_and_replicas() {
        let of = |how: &str| Subject::of(&Finding::new(Invariant::Agreement, how.to_owned()));
        let request = |client, sequence| RequestId { client: ClientId(client), sequence };
        let told = of("r1 executed slot 3 of x: x=1 (c2, request 5), at (2.r4)");
        assert_eq!(told.members, NodeSet::only(NodeId(1)));
        assert_eq!(told.slots, BTreeSet::from([(Log::Of(u64::from(b'x')), Slot(3))]));
        assert_eq!(told.ballots, BTreeSet::from([Ballot { round: 2, proposer: NodeId(4) }]));
        assert_eq!(told.requests, BTreeSet::from([request(2, 5)]));
        for how in ["request 5 of client 2 returned", "client 2 request 5: x", "request 5 of c2"] {
            assert_eq!(of(how).requests, BTreeSet::from([request(2, 5)]), "{how}");
        }
        assert_eq!(of("executed: r0 below 7").slots, BTreeSet::from([(Log::Whole, Slot(7))]));
        // The same slot of another key is another one.
        let other = About::default().at(Position { log: Log::Of(0), slot: Slot(3) });
        assert!(!told.is_of_slot(&other));
    }
}
