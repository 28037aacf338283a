//! The verdicts hold their level and have the power that they print, on made-up trials of many kinds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

use std::collections::BTreeMap;

use flexpaxos::compare::contrast::{Family, families, of_runs, of_variants};
use flexpaxos::compare::expectations::{Ruling, judge};
use flexpaxos::compare::observations::{Gap, Value};
use flexpaxos::compare::{LEVEL, NotComparable, Observations, Series, Subject, Verdict};
use flexpaxos::experiment::expectation::Expectation;
use flexpaxos::measure::{OperationKind, Quantity};
use flexpaxos::trial::Backend;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1, Normal};
use rand_pcg::Pcg64;

/// Experiments of each kind.
const EXPERIMENTS: usize = 2_000;

/// How the logarithm of a latency varies between trials.
type Noise = fn(&mut Pcg64) -> f64;

fn normal(random: &mut Pcg64) -> f64 {
    Normal::new(0.0, 0.02).unwrap().sample(random)
}

/// Never much below the usual, often far above.
fn skewed(random: &mut Pcg64) -> f64 {
    let exponential: f64 = Exp1.sample(random);
    0.02 * exponential
}

/// One trial of ten meets a stall.
fn spiky(random: &mut Pcg64) -> f64 {
    let stall = if random.random_range(0.0..1.0) < 0.1 { 0.2 } else { 0.0 };
    normal(random) / 4.0 + stall
}

fn subject(region: usize) -> Subject {
    Subject {
        backend: Backend::Sim,
        point: String::new(),
        fault: None,
        client_region: Some(format!("region-{region}")),
        operation: Some(OperationKind::Write),
        quantity: Quantity::P50,
    }
}

fn series(variant: &str, subject: Subject, numbers: impl IntoIterator<Item = f64>) -> Series {
    let value = |number| Value { seed: 1, number: Ok(number), floor: Some(10e6), is_busy: false };
    let values: BTreeMap<usize, Value> = numbers.into_iter().map(value).enumerate().collect();
    Series { variant: variant.into(), subject, values }
}

/// Two variants in so many regions, of which the second takes `ratio` times as long; repeats have moods of
/// their own, which are the same for both.
fn experiment(
    random: &mut Pcg64,
    noise: Noise,
    repeats: usize,
    regions: usize,
    ratio: f64,
) -> Observations {
    let mut all = Observations::default();
    for region in 0..regions {
        let moods: Vec<f64> = (0..repeats).map(|_| 5.0 * normal(random)).collect();
        for (variant, factor) in [("one", 1.0), ("other", ratio)] {
            let numbers: Vec<f64> =
                moods.iter().map(|mood| factor * 70e6 * (mood + noise(random)).exp()).collect();
            all.series.push(series(variant, subject(region), numbers));
        }
    }
    all
}

/// The share of experiments with an alarm, and what each found.
fn alarms(noise: Noise, repeats: usize, regions: usize, ratio: f64) -> (f64, Vec<Family>) {
    let mut random = Pcg64::seed_from_u64(13);
    let found: Vec<Family> = (0..EXPERIMENTS)
        .flat_map(|_| {
            let all = experiment(&mut random, noise, repeats, regions, ratio);
            families(&of_variants(&all, "one"), LEVEL)
        })
        .collect();
    let is_alarm = |family: &&Family| {
        let mut verdicts = family.contrasts.iter().map(|it| it.outcome.as_ref().unwrap().verdict);
        verdicts.any(|verdict| verdict != Verdict::InsideNoise)
    };
    (found.iter().filter(is_alarm).count() as f64 / EXPERIMENTS as f64, found)
}

#[test]
fn equal_variants_are_told_apart_five_times_in_a_hundred() {
    let (one, _) = alarms(normal, 5, 1, 1.0);
    assert!((0.035..0.065).contains(&one), "{one}");
    let (family, _) = alarms(normal, 5, 8, 1.0);
    assert!(family <= 0.065, "{family}");
    for repeats in [3, 10] {
        let (one, _) = alarms(normal, repeats, 1, 1.0);
        assert!((0.035..0.065).contains(&one), "{repeats}: {one}");
    }
}

/// The difference of two equally skewed trials is not skewed, and stalls widen the interval: Student's t
/// alarms less often than it may, so what it costs is power.
#[test]
fn equal_variants_with_skewed_or_spiky_noise_alarm_less() {
    for (noise, least) in [(skewed as Noise, 0.02), (spiky, 0.0)] {
        let (one, _) = alarms(noise, 5, 1, 1.0);
        assert!((least..0.065).contains(&one), "{one}");
        let (family, _) = alarms(noise, 5, 8, 1.0);
        assert!(family <= 0.065, "{family}");
    }
}

/// The control: the same draws judged without the correction raise an alarm in a third of the families.
#[test]
fn families_without_holm_alarm_too_often() {
    let (_, found) = alarms(normal, 5, 8, 1.0);
    let is_alarm = |family: &&Family| {
        family.contrasts.iter().any(|it| it.outcome.as_ref().unwrap().p_value <= LEVEL)
    };
    let share = found.iter().filter(is_alarm).count() as f64 / EXPERIMENTS as f64;
    assert!((0.28..0.40).contains(&share), "{share}");
}

#[test]
fn true_differences_are_found_as_often_as_the_power_says() {
    for percent in [1.0, 3.0, 10.0] {
        let effect = percent / 100.0;
        let (share, found) = alarms(normal, 5, 1, 1.0 + effect);
        let printed =
            found.iter().map(|it| it.contrasts[0].outcome.as_ref().unwrap().power(effect));
        let printed = printed.sum::<f64>() / EXPERIMENTS as f64;
        assert!((share - printed).abs() < 0.05, "{percent} %: {share} found, {printed} printed");
        let wrong = found
            .iter()
            .filter(|it| it.contrasts[0].outcome.as_ref().unwrap().verdict == Verdict::Better);
        assert!(wrong.count() < EXPERIMENTS / 40, "{percent} %");
    }
}

#[test]
fn less_is_better_but_for_a_throughput() {
    let of = |quantity: Quantity, ratio: f64| {
        let about = Subject { quantity, ..subject(0) };
        let numbers = [1.0, 1.001, 0.999, 1.002, 0.998].map(|it| it * 70e6);
        let other = numbers
            .map(|it| it * ratio)
            .iter()
            .zip([1.0, 1.001, 1.0, 0.999, 1.0])
            .map(|(a, b)| a * b)
            .collect::<Vec<_>>();
        let all = Observations {
            series: vec![series("one", about.clone(), numbers), series("other", about, other)],
        };
        let family = &families(&of_variants(&all, "one"), LEVEL)[0];
        family.contrasts[0].outcome.as_ref().unwrap().verdict
    };
    assert_eq!(of(Quantity::P50, 0.9), Verdict::Better);
    assert_eq!(of(Quantity::P50, 1.1), Verdict::Worse);
    assert_eq!(of(Quantity::Throughput, 1.1), Verdict::Better);
    assert_eq!(of(Quantity::Throughput, 0.9), Verdict::Worse);
    // Within a bucket of the histogram there is no difference, whatever the spread.
    assert_eq!(of(Quantity::P50, 1.0), Verdict::InsideNoise);
}

/// What each reason looks like.
#[test]
fn series_that_cannot_be_compared_say_why() {
    let five = [70e6, 71e6, 72e6, 70e6, 71e6];
    let reason = |base: Series, other: Series| {
        let all = Observations { series: vec![base, other] };
        let families = families(&of_variants(&all, "one"), LEVEL);
        families[0].contrasts[0].outcome.clone().map(|_| ()).unwrap_err()
    };
    let good = |name| series(name, subject(0), five);
    let few = reason(series("one", subject(0), [70e6, 71e6]), good("other"));
    assert_eq!(few, NotComparable::TooFewRepeats { count: 2 });
    assert_eq!(reason(good("one"), series("other", subject(0), [0.0; 5])), NotComparable::Zero);
    assert_eq!(reason(good("one"), series("other", subject(1), five)), NotComparable::Missing);
    let with_gaps = |gap, count: usize| {
        let mut it = good("other");
        it.values.values_mut().take(count).for_each(|value| value.number = Err(gap));
        it
    };
    let invalid = reason(good("one"), with_gaps(Gap::Invalid, 3));
    assert_eq!(invalid, NotComparable::Gaps { count: 3, of: 5, gap: Gap::Invalid });
    assert_eq!(invalid.words(Quantity::P50), "3 of 5 trials are INVALID");
    // One percentile among operations without an answer would be the worst value of all.
    let unanswered = reason(good("one"), with_gaps(Gap::Unanswered, 1));
    assert_eq!(unanswered, NotComparable::Gaps { count: 1, of: 5, gap: Gap::Unanswered });
    let overloaded = reason(good("one"), with_gaps(Gap::Overloaded, 1));
    assert_eq!(overloaded, NotComparable::Gaps { count: 1, of: 5, gap: Gap::Overloaded });
    assert!(overloaded.hides_a_loss() && invalid.hides_a_loss() && !few.hides_a_loss());
    // Three pairs are left, and enough.
    let all = Observations { series: vec![good("one"), with_gaps(Gap::Invalid, 2)] };
    let judged = families(&of_variants(&all, "one"), LEVEL)[0].contrasts[0].outcome.clone();
    assert_eq!(judged.unwrap().repeat_count(), 3);
}

#[test]
fn runs_with_other_seeds_are_compared_as_two_samples() {
    let numbers = [70.0, 71.0, 69.0, 70.5, 69.5].map(|it| it * 1e6);
    let one = Observations { series: vec![series("one", subject(0), numbers)] };
    let mut other =
        Observations { series: vec![series("one", subject(0), numbers.map(|it| it * 1.05))] };
    let judged = |other: &Observations| {
        families(&of_runs(("a", &one), ("b", other), None), LEVEL)[0].contrasts[0]
            .outcome
            .clone()
            .unwrap()
    };
    let paired = judged(&other);
    assert_eq!((paired.unpaired, paired.verdict), (None, Verdict::Worse));
    other.series[0].values.values_mut().for_each(|value| value.seed = 2);
    let unpaired = judged(&other);
    assert_eq!(unpaired.unpaired, Some("their seeds differ"));
    assert!(unpaired.interval.0 < paired.interval.0 && unpaired.interval.1 > paired.interval.1);
}

#[test]
fn predictions_are_held_refuted_or_inside_the_noise() {
    let spread = [1.0, 1.01, 0.99, 1.005, 0.995];
    let of = |variant: &str, ms: f64| series(variant, subject(0), spread.map(|it| it * ms * 1e6));
    let mut all =
        Observations { series: vec![of("one", 12.0), of("other", 11.0), of("equal", 12.0)] };
    for (value, factor) in all.series[2].values.values_mut().zip([1.01, 0.98, 1.02, 1.0, 0.99]) {
        value.number = value.number.map(|number| number * factor);
    }
    let ruling = |text: &str| {
        let expectation = Expectation::parse(text, "", &["one", "other", "equal"]).unwrap();
        let judgements = judge(&[expectation], &all, LEVEL);
        assert_eq!(judgements.len(), 1, "{text}");
        judgements[0].outcome.unwrap_or_else(|why| panic!("{text}: {}", why.words())).ruling
    };
    let cases = [
        ("other.p50 < one.p50", Ruling::Held),
        ("other.p50 > one.p50", Ruling::Refuted),
        ("equal.p50 < one.p50", Ruling::InsideNoise),
        ("one.p50 - floor < 3ms", Ruling::Held),
        ("one.p50 - floor < 1ms", Ruling::Refuted),
        ("one.p50 - floor < 2ms", Ruling::InsideNoise),
        ("one.p50 - other.p50 within 2ms", Ruling::Held),
        ("one.p50 - other.p50 within 100us", Ruling::Refuted),
        ("one.p50 - equal.p50 within 100us", Ruling::InsideNoise),
        ("0.9 * one.p50 < other.p50", Ruling::Held),
        ("other.p50 - one.p50 < 0ms", Ruling::Held),
        ("one.p50 < 13ms in region-0", Ruling::Held),
    ];
    for (text, expected) in cases {
        assert_eq!(ruling(text), expected, "{text}");
    }
}

/// A prediction that is true by a hair is not called false more often than the level says.
#[test]
fn predictions_on_their_bound_are_rarely_ruled() {
    let mut random = Pcg64::seed_from_u64(5);
    let expectation = Expectation::parse("other.p50 < one.p50", "", &["one", "other"]).unwrap();
    let ruled = (0..EXPERIMENTS).filter(|_| {
        let all = experiment(&mut random, normal, 5, 1, 1.0);
        let found = judge(std::slice::from_ref(&expectation), &all, LEVEL);
        found[0].outcome.unwrap().ruling != Ruling::InsideNoise
    });
    let share = ruled.count() as f64 / EXPERIMENTS as f64;
    assert!((0.035..0.065).contains(&share), "{share}");
}

/// A ratio with zero, and a value that no trial has, are told and not passed over.
#[test]
fn predictions_that_nobody_can_judge_say_why() {
    let five = [70e6, 71e6, 72e6, 70e6, 71e6];
    let all = Observations {
        series: vec![series("one", subject(0), five), series("other", subject(0), [0.0; 5])],
    };
    let reason = |text: &str| {
        let expectation = Expectation::parse(text, "", &["one", "other"]).unwrap();
        judge(&[expectation], &all, LEVEL)[0].outcome.unwrap_err().words()
    };
    assert_eq!(reason("other.p50 < one.p50"), "a value is zero, and has no ratio");
    assert!(reason("one.away < 3ms").starts_with("0 repeats"), "{}", reason("one.away < 3ms"));
}
