//! Link emulations that are broken on purpose: the negative controls of the probe.
//!
//! Each is a failure of a published harness, by its name in the regression scenarios, and each must
//! make the probe refuse the trial.
//! Half of them are delays that are not the ones asked for ([`Rule::distort`]); the others are right
//! for a datagram alone and wrong for two (`Saboteur`).
//! Nothing of the delay line is implemented a second time: the instant it gives is edited.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::time::{Span, Time};
use crate::topology::Delay;

/// How late a sleep of an event loop ends at most.
const SLEEP_ERROR: Span = Span::from_millis(2);

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rule {
    /// A link carries any number of datagrams at once.
    DelayLineAsPipe,
    /// A link is first in, first out.
    DelayReorders,
    /// Both directions of a link are delayed.
    DelayOneWayOnly,
    /// A direction is delayed once.
    DelayTwice,
    /// A link that is asked to delay does.
    DelaySilentlyOff,
}

/// A name that is no rule's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rule is called `{name}`: the rules are {}", Rule::ALL.map(Rule::name).join(", "))]
pub struct Error {
    /// The name given.
    pub name: String,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 5] = [
        Self::DelayLineAsPipe,
        Self::DelayReorders,
        Self::DelayOneWayOnly,
        Self::DelayTwice,
        Self::DelaySilentlyOff,
    ];

    /// What it is called on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DelayLineAsPipe => "delay-line-as-pipe",
            Self::DelayReorders => "delay-reorders",
            Self::DelayOneWayOnly => "delay-one-way-only",
            Self::DelayTwice => "delay-twice",
            Self::DelaySilentlyOff => "delay-silently-off",
        }
    }

    /// What goes wrong, in a sentence.
    pub const fn story(self) -> &'static str {
        match self {
            Self::DelayLineAsPipe => {
                "A datagram starts when the one before it has arrived: a link carries one for each \
                 of its delays."
            }
            Self::DelayReorders => {
                "Every datagram sleeps for itself, and one that wakes late is overtaken."
            }
            Self::DelayOneWayOnly => "Only the member that dialled delays what it sends.",
            Self::DelayTwice => "Two layers delay the same datagram.",
            Self::DelaySilentlyOff => "Nothing is delayed, and nobody says so.",
        }
    }

    /// The delay that a link is given instead of the one asked for.
    #[must_use]
    pub fn distort(self, delay: Delay, is_dialler: bool) -> Delay {
        match self {
            Self::DelayLineAsPipe | Self::DelayReorders => delay,
            Self::DelayOneWayOnly if is_dialler => delay,
            Self::DelayOneWayOnly | Self::DelaySilentlyOff => Delay::zero(),
            Self::DelayTwice => Delay::constant(delay.median().times(2)),
        }
    }
}

impl FromStr for Rule {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|rule| rule.name() == name);
        found.ok_or_else(|| Error { name: name.to_owned() })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Edits when a datagram is due.
#[derive(Debug)]
pub(super) struct Saboteur {
    rule: Rule,
    /// When the datagram before is due, of each link.
    last_due: BTreeMap<SocketAddr, Time>,
    random: Pcg64,
}

impl Saboteur {
    pub(super) fn new(rule: Rule) -> Self {
        Self { rule, last_due: BTreeMap::new(), random: Pcg64::seed_from_u64(0) }
    }

    /// When a datagram leaves that an honest link would let go at `due`.
    pub(super) fn due(&mut self, now: Time, destination: SocketAddr, due: Time) -> Time {
        match self.rule {
            Rule::DelayLineAsPipe => {
                let last = self.last_due.entry(destination).or_insert(Time::ZERO);
                *last = now.max(*last) + due.since(now);
                *last
            }
            Rule::DelayReorders => due + Span(self.random.random_range(0..SLEEP_ERROR.0)),
            _ => due,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Time = Time(1_000_000_000);

    fn dues(rule: Rule) -> Vec<Time> {
        let mut saboteur = Saboteur::new(rule);
        let to = SocketAddr::from(([127, 0, 0, 1], 1));
        (0..100).map(|_| saboteur.due(SECOND, to, SECOND + Span::from_millis(20))).collect()
    }

    #[test]
    fn every_rule_has_its_name() {
        for rule in Rule::ALL {
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        assert!("delay".parse::<Rule>().unwrap_err().to_string().contains("delay-twice"));
    }

    #[test]
    fn a_pipe_lets_one_after_the_other_through() {
        let dues = dues(Rule::DelayLineAsPipe);
        assert_eq!(dues[0], SECOND + Span::from_millis(20));
        assert_eq!(dues[99], SECOND + Span::from_millis(2_000));
    }

    #[test]
    fn what_sleeps_for_itself_is_overtaken_and_never_early() {
        let dues = dues(Rule::DelayReorders);
        assert!(!dues.is_sorted() && dues.iter().all(|due| *due >= SECOND + Span::from_millis(20)));
    }

    #[test]
    fn delays_are_distorted_as_the_names_say() {
        let delay = || Delay::constant(Span::from_millis(10));
        let of = |rule: Rule, is_dialler| rule.distort(delay(), is_dialler).median();
        assert_eq!(of(Rule::DelayOneWayOnly, true), Span::from_millis(10));
        assert_eq!(of(Rule::DelayOneWayOnly, false), Span::ZERO);
        assert_eq!(of(Rule::DelayTwice, true), Span::from_millis(20));
        assert_eq!(of(Rule::DelaySilentlyOff, true), Span::ZERO);
        assert_eq!(of(Rule::DelayReorders, false), Span::from_millis(10));
    }
}
