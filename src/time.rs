//! Time as the core and the simulator see it: nanoseconds, given as an argument, never read from a clock.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};

/// An instant, in nanoseconds since an origin that all members of one deployment share.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(pub u64);

/// A length of time, in nanoseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Span(pub u64);

/// What a replica is told about time with every input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now {
    /// On a clock that never jumps: by it timers run, and lengths of time are measured.
    pub at: Time,
    /// What the clock shows that replicas compare with one another's. It is off by an error of which a bound is
    /// declared, where anybody relies on it.
    pub shown: Time,
}

/// A clock without an error.
impl From<Time> for Now {
    fn from(at: Time) -> Self {
        Self { at, shown: at }
    }
}

/// The clock of one replica: what it shows, by the true time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Clock {
    /// It shows so many nanoseconds more than the true time, at the origin.
    pub offset_ns: i64,
    /// It gains so many nanoseconds in each second.
    pub drift_ns_per_s: i64,
    /// It is set once: when, and by how many nanoseconds.
    pub jump: Option<(Time, i64)>,
    /// It is never off by more than this: whoever sets it sees to that.
    pub error_max: Span,
}

impl Clock {
    /// One without an error.
    pub const EXACT: Self =
        Self { offset_ns: 0, drift_ns_per_s: 0, jump: None, error_max: Span::ZERO };

    /// What it shows, and the true time.
    pub fn now(&self, at: Time) -> Now {
        if self.error_max == Span::ZERO {
            return at.into();
        }
        let drift = i128::from(self.drift_ns_per_s) * i128::from(at.0) / 1_000_000_000;
        let jump = self.jump.filter(|(when, _)| *when <= at).map_or(0, |(_, by)| i128::from(by));
        let most = i128::from(self.error_max.0);
        let error = (i128::from(self.offset_ns) + drift + jump).clamp(-most, most);
        let shown = (i128::from(at.0) + error).clamp(0, i128::from(u64::MAX));
        Now { at, shown: Time(u64::try_from(shown).expect("it is within 64 bits")) }
    }
}

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// The time since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of whole microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros * 1_000)
    }

    /// A span of whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// A span of milliseconds, rounded to the nearest nanosecond; negative and NaN give zero.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, which is what is wanted"
    )]
    pub fn from_millis_f64(millis: f64) -> Self {
        Self((millis * 1e6).round() as u64)
    }

    /// This span in milliseconds.
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// This span in milliseconds as text without the unit, with as many digits as tell one measurement from
    /// the next.
    pub fn milliseconds(self) -> String {
        let ms = self.as_millis_f64();
        match self.0 {
            1..10_000_000 => format!("{ms:.3}"),
            0..1_000_000_000 => format!("{ms:.2}"),
            _ => format!("{ms:.0}"),
        }
    }

    /// The same with three digits, for a cell that holds a median and its ends.
    pub fn milliseconds_short(self) -> String {
        let ms = self.as_millis_f64();
        match self.0 {
            0 => "0".to_owned(),
            1..10_000_000 => format!("{ms:.2}"),
            10_000_000..100_000_000 => format!("{ms:.1}"),
            _ => format!("{ms:.0}"),
        }
    }

    /// This span multiplied, saturating.
    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl From<std::time::Duration> for Span {
    fn from(duration: std::time::Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Span> for std::time::Duration {
    fn from(span: Span) -> Self {
        Self::from_nanos(span.0)
    }
}

impl Add<Span> for Time {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Span {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Span {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// `69.62ms`: milliseconds, as the tables of the field print them.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}ms", self.as_millis_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_fewer_digits_the_longer_they_are() {
        let of = |micros| Span::from_micros(micros).milliseconds();
        assert_eq!(
            [0, 1, 9_999, 10_000, 999_994, 1_000_000].map(of),
            ["0.00", "0.001", "9.999", "10.00", "999.99", "1000"]
        );
        let short = |micros| Span::from_micros(micros).milliseconds_short();
        assert_eq!(
            [0, 10, 9_990, 10_000, 99_940, 100_000].map(short),
            ["0", "0.01", "9.99", "10.0", "99.9", "100"]
        );
    }
}
