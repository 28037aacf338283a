//! The search for the highest rate that a machine holds: which rate to try next, and what was found.
//!
//! It knows nothing of trials: it names a rate, is told whether that was held, and names the next one.
//! The ramp doubles the rate until one is missed, or halves it until one is held if the first is missed.
//! Then bisection halves the interval between the highest rate that was held and the lowest that was not, on a
//! logarithmic scale, until it is narrow enough.
//! Both are right only if a machine that holds a rate holds every lower one.
//! Steps follow one another, so a machine that changes meanwhile, or noise, can lead the search astray: at last
//! both ends are repeated in turn, and a repeat that contradicts the search is part of the result.

/// Halving ends after so many steps: a first rate that is a thousand times too high is a slip of the pen.
const HALVINGS_MAX: u32 = 10;

/// The rates of a search have so many digits, which is enough for steps of 1 %.
const DIGITS: i32 = 4;

/// Where a search begins and ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The first rate.
    pub from_per_s: f64,
    /// The highest rate.
    pub to_per_s: f64,
    /// The lowest rate: a step below it has too few operations to show anything.
    pub least_per_s: f64,
    /// How far the two ends may be apart, as a share of the lower one.
    pub within: f64,
    /// How often each of the two ends is repeated.
    pub repeats: usize,
}

/// Why a rate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Until one rate is held and one is not.
    Ramp,
    /// Until both are near one another.
    Bisection,
    /// Whether it comes out the same again.
    Confirmation,
}

impl Stage {
    /// Its code in `capacity.csv`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ramp => "ramp",
            Self::Bisection => "bisection",
            Self::Confirmation => "confirmation",
        }
    }
}

/// A rate to try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Why.
    pub stage: Stage,
    /// Operations a second, over all clients.
    pub rate_per_s: f64,
}

/// The search on one machine.
#[derive(Clone, Debug)]
pub struct Search {
    bounds: Bounds,
    tried: Vec<(Step, bool)>,
}

/// A rate, and how its trials ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Operations a second, over all clients.
    pub per_s: f64,
    /// How many trials ended as the search says: held at the lower end, missed at the upper one.
    pub agreed: u32,
    /// How many there were.
    pub count: u32,
}

/// How much the found rates can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every repeat came out as the search did.
    Confirmed,
    /// Some repeat did not.
    NotConfirmed,
    /// Nothing was repeated.
    Once,
    /// The highest rate that was allowed is held, in every repeat.
    NotReached,
    /// No rate was held.
    None,
    /// The search was cut short.
    Unfinished,
}

impl Verdict {
    /// Its code in `knees.csv`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::NotConfirmed => "not-confirmed",
            Self::Once => "once",
            Self::NotReached => "not-reached",
            Self::None => "none",
            Self::Unfinished => "unfinished",
        }
    }
}

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knee {
    /// The highest rate that was held.
    pub held: Option<Rate>,
    /// The lowest rate above it that was not.
    pub missed: Option<Rate>,
    /// How much both can be relied on.
    pub verdict: Verdict,
}

impl Search {
    /// A search that has tried nothing.
    pub const fn new(bounds: Bounds) -> Self {
        Self { bounds, tried: Vec::new() }
    }

    /// How far the two ends may be apart, as a share of the lower one.
    pub const fn within(&self) -> f64 {
        self.bounds.within
    }

    /// The rate to try next; `None` at the end.
    pub fn next(&self) -> Option<Step> {
        let Bounds { from_per_s, to_per_s, least_per_s, within, .. } = self.bounds;
        let at = |stage, rate_per_s| Some(Step { stage, rate_per_s });
        let step = match self.ends() {
            (None, None) => return at(Stage::Ramp, from_per_s),
            (None, Some(missed)) => {
                let halvings = self.tried.len().saturating_sub(1);
                let half = rounded(missed / 2.0);
                if halvings >= HALVINGS_MAX as usize || half < least_per_s {
                    return None;
                }
                return at(Stage::Ramp, half);
            }
            (Some(held), None) if held < to_per_s => {
                return at(Stage::Ramp, (held * 2.0).min(to_per_s));
            }
            (Some(_), None) => None,
            (Some(held), Some(missed)) => {
                let middle = rounded((held * missed).sqrt());
                let is_between = held < middle && middle < missed;
                (missed > held * (1.0 + within) && is_between).then_some(middle)
            }
        };
        match step {
            Some(rate_per_s) => at(Stage::Bisection, rate_per_s),
            None => self.confirmation(),
        }
    }

    /// The next repeat of one of the two ends; which of them is first changes with every repeat.
    fn confirmation(&self) -> Option<Step> {
        let (held, missed) = self.ends();
        let confirms = |tried: &&(Step, bool)| tried.0.stage == Stage::Confirmation;
        let done = self.tried.iter().filter(confirms).count();
        let ends: Vec<f64> = held.into_iter().chain(missed).collect();
        let (repeat, place) = (done / ends.len(), done % ends.len());
        let rate_per_s = ends[(place + repeat) % ends.len()];
        let step = Step { stage: Stage::Confirmation, rate_per_s };
        (repeat < self.bounds.repeats).then_some(step)
    }

    /// Whether the rate that [`Self::next`] named was held.
    pub fn tell(&mut self, held: bool) {
        let step = self.next().expect("only a search that goes on is told how a step ended");
        self.tried.push((step, held));
    }

    /// What was found so far.
    pub fn knee(&self) -> Knee {
        let (held, missed) = self.ends();
        let rate = |per_s: f64, wanted: bool| {
            let of_rate = self.tried.iter().filter(|(step, _)| is_same(step.rate_per_s, per_s));
            let mut rate = Rate { per_s, agreed: 0, count: 0 };
            for (_, held) in of_rate {
                rate.count += 1;
                rate.agreed += u32::from(*held == wanted);
            }
            rate
        };
        let held = held.map(|per_s| rate(per_s, true));
        let missed = missed.map(|per_s| rate(per_s, false));
        let agrees = held.iter().chain(&missed).all(|rate| rate.agreed == rate.count);
        let verdict = match (held, missed) {
            _ if self.next().is_some() => Verdict::Unfinished,
            (None, _) => Verdict::None,
            _ if !agrees => Verdict::NotConfirmed,
            (Some(_), None) => Verdict::NotReached,
            _ if self.bounds.repeats == 0 => Verdict::Once,
            _ => Verdict::Confirmed,
        };
        Knee { held, missed, verdict }
    }

    /// The highest rate that the search found held, and the lowest that it found missed.
    fn ends(&self) -> (Option<f64>, Option<f64>) {
        let of_search = |wanted: bool| {
            let is_of_search = move |tried: &&(Step, bool)| {
                tried.0.stage != Stage::Confirmation && tried.1 == wanted
            };
            self.tried.iter().filter(is_of_search).map(|(step, _)| step.rate_per_s)
        };
        (of_search(true).max_by(f64::total_cmp), of_search(false).min_by(f64::total_cmp))
    }
}

/// Whether two rates are the same number: those of one search come from one calculation.
pub fn is_same(one: f64, other: f64) -> bool {
    one.total_cmp(&other).is_eq()
}

/// A rate with few digits, which a person can type.
fn rounded(rate_per_s: f64) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the logarithm of a finite number is small"
    )]
    let digits_before = rate_per_s.log10().floor() as i32 + 1;
    // Dividing by a power of ten gives the nearest number, and multiplying by its inverse does not.
    let (shift, is_large) = ((DIGITS - digits_before).abs(), digits_before > DIGITS);
    let unit = 10_f64.powi(shift);
    if is_large { (rate_per_s / unit).round() * unit } else { (rate_per_s * unit).round() / unit }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { from_per_s: 100.0, to_per_s: 1e6, least_per_s: 0.0, within: 0.05, repeats: 2 };

    /// The search on a machine that says of each step whether it holds it, and the rates that were tried.
    fn search(bounds: Bounds, mut holds: impl FnMut(Step) -> bool) -> (Knee, Vec<f64>) {
        let (mut search, mut rates) = (Search::new(bounds), Vec::new());
        while let Some(step) = search.next() {
            assert_eq!(search.knee().verdict, Verdict::Unfinished);
            rates.push(step.rate_per_s);
            assert!(rates.len() < 100, "it does not end: {rates:?}");
            search.tell(holds(step));
        }
        (search.knee(), rates)
    }

    fn rate(per_s: f64, agreed: u32, count: u32) -> Rate {
        Rate { per_s, agreed, count }
    }

    #[test]
    fn a_known_knee_is_between_the_ends_which_are_near() {
        for knee in [100.0, 101.0, 777.0, 12_345.6, 399_999.0, 999_999.0] {
            for within in [0.01, 0.05, 0.5] {
                let bounds = Bounds { within, ..BOUNDS };
                let (found, rates) = search(bounds, |step| step.rate_per_s <= knee);
                let (held, missed) = (found.held.unwrap(), found.missed.unwrap());
                assert!(held.per_s <= knee && knee < missed.per_s, "{knee} {found:?}");
                assert!(missed.per_s <= held.per_s * (1.0 + within), "{knee} {found:?}");
                assert_eq!(found.verdict, Verdict::Confirmed);
                assert_eq!((held.count, missed.count), (3, 3));
                // Doubling to 1e6 takes 14 steps, halving an octave into parts of 1 % seven, and then four.
                assert!(rates.len() <= 14 + 7 + 4, "{rates:?}");
            }
        }
    }

    #[test]
    fn the_ramp_doubles_the_bisection_halves_and_the_ends_alternate() {
        let (_, rates) = search(Bounds { within: 0.2, ..BOUNDS }, |step| step.rate_per_s <= 500.0);
        let expected = [100.0, 200.0, 400.0, 800.0, 565.7, 475.7, 475.7, 565.7, 565.7, 475.7];
        assert_eq!(rates, expected);
    }

    #[test]
    fn a_first_rate_that_is_missed_is_halved() {
        let (found, rates) = search(BOUNDS, |step| step.rate_per_s <= 30.0);
        assert_eq!(rates[..3], [100.0, 50.0, 25.0]);
        let (held, missed) = (found.held.unwrap().per_s, found.missed.unwrap().per_s);
        assert!(held <= 30.0 && 30.0 < missed && missed <= held * 1.05, "{found:?}");
    }

    #[test]
    fn a_machine_that_holds_nothing_is_given_up() {
        let (found, rates) = search(BOUNDS, |_| false);
        assert_eq!((found.held, found.verdict), (None, Verdict::None));
        assert_eq!(found.missed, Some(rate(0.0977, 1, 1)));
        assert_eq!(rates.len(), 11);
    }

    #[test]
    fn no_rate_is_tried_at_which_a_step_shows_nothing() {
        let (found, rates) = search(Bounds { least_per_s: 25.0, ..BOUNDS }, |_| false);
        assert_eq!((rates, found.verdict), (vec![100.0, 50.0, 25.0], Verdict::None));
    }

    #[test]
    fn a_machine_that_never_saturates_is_tried_up_to_the_bound() {
        let bounds = Bounds { to_per_s: 500.0, ..BOUNDS };
        let (found, rates) = search(bounds, |_| true);
        assert_eq!(rates, [100.0, 200.0, 400.0, 500.0, 500.0, 500.0]);
        assert_eq!((found.held, found.missed), (Some(rate(500.0, 3, 3)), None));
        assert_eq!(found.verdict, Verdict::NotReached);
    }

    #[test]
    fn a_repeat_that_contradicts_the_search_is_said() {
        // It holds less and less.
        let confirms = |step: Step| step.stage == Stage::Confirmation;
        let misses_later = |step: Step| step.rate_per_s <= 500.0 && !confirms(step);
        let (found, _) = search(BOUNDS, misses_later);
        assert_eq!(found.verdict, Verdict::NotConfirmed);
        let (held, missed) = (found.held.unwrap(), found.missed.unwrap());
        assert_eq!((held.agreed, held.count, missed.agreed, missed.count), (1, 3, 3, 3));
        // One noisy step led the search astray: from there on all is held.
        let noisy = |step: Step| !is_same(step.rate_per_s, 400.0) || confirms(step);
        let (found, _) = search(BOUNDS, noisy);
        assert_eq!((found.verdict, found.missed), (Verdict::NotConfirmed, Some(rate(400.0, 1, 3))));
        // The highest rate was held once, and not again.
        let bounds = Bounds { to_per_s: 200.0, ..BOUNDS };
        let mut steps = 0;
        let (found, _) = search(bounds, |_| {
            steps += 1;
            // 100, 200, and 200 again.
            steps <= 3
        });
        assert_eq!((found.verdict, found.held), (Verdict::NotConfirmed, Some(rate(200.0, 2, 3))));
    }

    #[test]
    fn nothing_is_repeated_where_nobody_asks_for_it() {
        let (found, rates) =
            search(Bounds { repeats: 0, ..BOUNDS }, |step| step.rate_per_s < 300.0);
        assert_eq!(found.verdict, Verdict::Once);
        let mut sorted = rates.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        assert_eq!(sorted.len(), rates.len(), "{rates:?}");
    }

    /// Chance decides near the knee: the search ends, and what it says of its own trials is right.
    #[test]
    fn a_noisy_machine_is_near_its_knee_or_said_not_to_be_confirmed() {
        for seed in 0..200_u64 {
            let mut state = crate::seed::scramble(seed + 1);
            let mut chance = || {
                state = crate::seed::scramble(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
                state as f64 / u64::MAX as f64
            };
            // From 900 to 1,100 a rate is held less and less often.
            let (found, _) = search(BOUNDS, |step| chance() > (step.rate_per_s - 900.0) / 200.0);
            let (held, missed) = (found.held.unwrap(), found.missed.unwrap());
            assert!(held.per_s <= 1_100.0 && missed.per_s > 900.0, "{seed} {found:?}");
            let agrees = held.agreed == held.count && missed.agreed == missed.count;
            assert_eq!(found.verdict == Verdict::Confirmed, agrees, "{seed} {found:?}");
        }
    }

    #[test]
    fn rates_have_four_digits() {
        let rates = [0.097_656, 1.0, 12.345_6, 999.99, 1_234.5, 141_421.356, 1e6];
        assert_eq!(
            rates.map(rounded).to_vec(),
            [0.097_66, 1.0, 12.35, 1_000.0, 1_235.0, 141_400.0, 1e6]
        );
    }
}
