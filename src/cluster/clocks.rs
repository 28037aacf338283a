//! How far apart the clocks of two hosts are, and how well that is known.
//!
//! The coordinator reads its clock, asks a member for the time of its host, and reads its clock again.
//! The member's reading lies between the two, so the difference of the clocks lies in an interval as wide as
//! that round trip, whatever each direction took: [`Offset`].
//! Of some round trips the shortest tells most.
//! (That is Cristian's algorithm: Probabilistic clock synchronization, Distributed Computing 3, 1989.)
//!
//! A member's clock is [aligned](crate::runtime::clock::align) by the middle of that interval, once, and is from
//! then on wrong by at most half of that round trip, and by what the two clocks drift apart.
//! The coordinator asks again before and after each measurement of the links and at the end of a trial: the rates
//! of two clocks hardly change within minutes, so the error in between is no greater than the greater one of both ends.
//! A member that is not there any more may have drifted by [`DRIFT_PER_MILLION`] since it was asked last.

use crate::time::{Span, Time};

/// Two clocks drift apart by less than so many parts in a million: a quartz is within 100, and a daemon that
/// keeps the time slews it by as much beside (the kernel allows 500, for steps of seconds).
const DRIFT_PER_MILLION: u64 = 200;

/// So many round trips at most tell how far apart two clocks are,
const ROUND_TRIPS_MAX: u32 = 16;

/// and so many at least,
const ROUND_TRIPS_MIN: u32 = 4;

/// where they take longer than this together.
const ASKING_MAX: Span = Span::from_millis(100);

/// What must be added to the clock of a member's host to read the coordinator's: the interval that it lies in,
/// in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset {
    least: i64,
    most: i64,
}

impl Offset {
    /// What one round trip says: the coordinator asked at `asked` and had the answer at `heard`; the member's
    /// clock read `own` in between.
    pub(super) fn of(asked: Time, own: Time, heard: Time) -> Self {
        Self { least: difference(asked, own), most: difference(heard, own) }
    }

    /// The middle.
    pub(super) const fn middle(self) -> i64 {
        self.least + (self.most - self.least) / 2
    }

    /// How far off a clock may be to which so much was added.
    pub(super) fn error_of(self, shift: i64) -> Span {
        let ends = [self.least, self.most].map(|end| end.abs_diff(shift));
        Span(ends[0].max(ends[1]))
    }

    const fn width(self) -> u64 {
        self.least.abs_diff(self.most)
    }
}

/// One time less another, in nanoseconds.
fn difference(Time(one): Time, Time(other): Time) -> i64 {
    let difference = i128::from(one) - i128::from(other);
    i64::try_from(difference).expect("no clock has run for three centuries")
}

/// What the coordinator knows of the clock of one member.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MemberClock {
    /// The series of round trips under way.
    series: Series,
    /// What its clock was aligned by, once.
    shift: Option<i64>,
    /// How far off it was at the ends of all series, at most.
    error: Span,
    /// When the last one ended.
    known_at: Time,
    /// The longest round trip so far.
    round_trip: Span,
}

/// Some round trips right after one another.
#[derive(Clone, Copy, Debug, Default)]
struct Series {
    begun: Option<Time>,
    count: u32,
    best: Option<Offset>,
}

impl MemberClock {
    /// Begins to ask.
    pub(super) const fn begin(&mut self, now: Time) {
        self.series = Series { begun: Some(now), count: 0, best: None };
    }

    /// Takes the answer to one question; whether there must be another one.
    pub(super) fn hear(&mut self, asked: Time, own: Time, heard: Time) -> bool {
        let offset = Offset::of(asked, own, heard);
        self.round_trip = self.round_trip.max(heard.since(asked));
        let series = &mut self.series;
        series.count += 1;
        let is_better = series.best.is_none_or(|best| offset.width() < best.width());
        if is_better {
            series.best = Some(offset);
        }
        let lasts = series.begun.map_or(Span::ZERO, |begun| heard.since(begun));
        let is_enough = series.count >= ROUND_TRIPS_MAX
            || series.count >= ROUND_TRIPS_MIN && lasts >= ASKING_MAX;
        if is_enough {
            self.conclude(heard);
        }
        !is_enough
    }

    /// The first series aligns the clock; each says how far off it is.
    fn conclude(&mut self, now: Time) {
        let Some(best) = std::mem::take(&mut self.series).best else { return };
        let shift = *self.shift.get_or_insert(best.middle());
        self.error = self.error.max(best.error_of(shift));
        self.known_at = now;
    }

    /// Whether questions are open.
    pub(super) const fn is_asking(&self) -> bool {
        self.series.begun.is_some()
    }

    /// What the member adds to its clock, once that is known.
    pub(super) const fn shift(&self) -> Option<i64> {
        self.shift
    }

    /// How far off its clock may have been until now; `None` where it was never aligned.
    pub(super) fn error(&self, now: Time) -> Option<Span> {
        self.shift.map(|_| self.error + drift(now.since(self.known_at)))
    }

    /// The longest round trip to it.
    pub(super) const fn round_trip(&self) -> Span {
        self.round_trip
    }
}

/// By how much two clocks may drift apart in this time.
const fn drift(Span(over): Span) -> Span {
    Span(over / 1_000_000 * DRIFT_PER_MILLION)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    fn micros(micros: u64) -> Time {
        Time(micros * 1_000)
    }

    /// A member whose clock is 28 hours ahead, over a path of 100 us there and 300 us back.
    fn answer(asked: Time) -> (Time, Time, Time) {
        let reading = Time(asked.0 + 100_000 + 28 * HOUR);
        (asked, reading, Time(asked.0 + 400_000))
    }

    #[test]
    fn an_offset_holds_the_true_one_however_the_path_is_split() {
        for there in [0, 100, 200, 400] {
            let own = Time(50_000_000 + there * 1_000 + 28 * HOUR);
            let offset = Offset::of(micros(50_000), own, micros(50_400));
            let truth = -28 * i64::try_from(HOUR).unwrap();
            assert!(offset.least <= truth && truth <= offset.most, "{offset:?}");
            assert!(offset.middle().abs_diff(truth) <= 200_000);
            assert_eq!(offset.error_of(offset.middle()), Span::from_micros(200));
        }
    }

    #[test]
    fn the_shortest_of_some_round_trips_aligns_a_clock() {
        let mut clock = MemberClock::default();
        clock.begin(Time::ZERO);
        let mut now = micros(1_000);
        let slow = (now, Time(now.0 + 28 * HOUR), now + Span::from_millis(90));
        assert!(clock.hear(slow.0, slow.1, slow.2));
        assert_eq!(clock.shift(), None);
        let mut is_open = true;
        while is_open {
            now = now + Span::from_millis(1);
            let (asked, own, heard) = answer(now);
            is_open = clock.hear(asked, own, heard);
        }
        let shift = clock.shift().unwrap();
        let truth = -28 * i64::try_from(HOUR).unwrap();
        let error = clock.error(now).unwrap();
        assert!(shift.abs_diff(truth) <= error.0 && error < Span::from_micros(210), "{error}");
        assert_eq!(clock.round_trip(), Span::from_millis(90));
        assert!(!clock.is_asking());
    }

    #[test]
    fn long_round_trips_are_few_and_a_series_ends() {
        let mut clock = MemberClock::default();
        clock.begin(Time::ZERO);
        let mut now = Time::ZERO;
        let mut count = 0;
        loop {
            let heard = now + Span::from_millis(200);
            count += 1;
            if !clock.hear(now, now, heard) {
                break;
            }
            now = heard;
        }
        assert_eq!(count, ROUND_TRIPS_MIN);
    }

    #[test]
    fn a_clock_that_drifts_is_found_at_the_end_or_assumed() {
        let mut clock = MemberClock::default();
        let mut series = |at: Time, ahead: u64| {
            clock.begin(at);
            while clock.hear(at, Time(at.0 + ahead + 50_000), at + Span::from_micros(100)) {}
            clock
        };
        let start = Time(1_000_000_000);
        let first = series(start, 0);
        assert_eq!(first.error(start), Some(Span::from_micros(50)));
        let later = start + Span::from_millis(10_000);
        let unasked = first.known_at + Span::from_millis(10_000);
        assert_eq!(first.error(unasked), Some(Span::from_micros(50 + 2_000)));
        // Ten seconds later its clock is 300 us ahead of where it was.
        let last = series(later, 300_000);
        assert_eq!(last.shift(), first.shift());
        assert_eq!(last.error(later), Some(Span::from_micros(350)));
    }
}
