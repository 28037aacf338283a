//! A link as a whole.

use super::*;
use crate::topology::{Jitter, Profile};

const SECOND: Time = Time(1_000_000_000);

fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}

fn link(delay: Delay) -> Link {
    Link::new(1, 7, delay, CORRELATION, Span::ZERO)
}

fn jitter() -> Delay {
    Delay::weibull(ms(10), 5e6, 1.0)
}

/// What becomes of 100-byte datagrams, one each millisecond.
fn each_ms(link: &mut Link, count: u64) -> Vec<(Time, Fate)> {
    let times = (0..count).map(|number| SECOND + ms(number));
    times.map(|at| (at, link.send(at, || 100))).collect()
}

fn arrival(fate: Fate) -> Time {
    match fate {
        Fate::Arrives(at) => at,
        other => panic!("{other:?}"),
    }
}

fn under(conditions: Conditions) -> Link {
    let mut link = link(Delay::constant(ms(20)));
    link.set_conditions(conditions);
    link
}

#[test]
fn a_delay_is_not_a_rate() {
    let mut link = link(Delay::constant(ms(50)));
    for _ in 0..1000 {
        assert_eq!(link.send(SECOND, || 1452), Fate::Arrives(SECOND + ms(50)));
    }
}

#[test]
fn a_link_is_first_in_first_out_with_jitter_too() {
    for correlation in [Span::ZERO, ms(1)] {
        let mut link = Link::new(1, 7, jitter(), correlation, Span::ZERO);
        let arrivals: Vec<Time> =
            each_ms(&mut link, 1000).into_iter().map(|(_, fate)| arrival(fate)).collect();
        assert!(arrivals.is_sorted());
        assert!(arrivals.windows(2).any(|pair| pair[1].since(pair[0]) != ms(1)), "no jitter");
    }
}

#[test]
fn what_overtakes_was_told_to() {
    let reordering = ms(30);
    let mut link = under(Conditions { reordering, ..Conditions::default() });
    let sent = each_ms(&mut link, 1000);
    let arrivals: Vec<Time> = sent.iter().map(|(_, fate)| arrival(*fate)).collect();
    assert!(!arrivals.is_sorted());
    assert!(sent.iter().zip(&arrivals).all(|((at, _), arrives_at)| {
        let taken = arrives_at.since(*at);
        taken >= ms(20) && taken <= ms(20) + reordering
    }));
    // Told otherwise again, nothing overtakes what is under way.
    link.set_conditions(Conditions::default());
    let last = arrivals.iter().max().copied();
    assert!(Some(arrival(link.send(SECOND + ms(1000), || 100))) >= last);
}

#[test]
fn what_is_under_way_when_a_link_is_cut_arrives_and_what_comes_after_it_heals_too() {
    let mut link = link(Delay::constant(ms(20)));
    assert_eq!(link.send(SECOND, || 100), Fate::Arrives(SECOND + ms(20)));
    link.set_conditions(Conditions { is_cut: true, ..Conditions::default() });
    assert_eq!(link.send(SECOND + ms(1), || 100), Fate::Lost);
    link.set_conditions(Conditions::default());
    assert_eq!(link.send(SECOND + ms(2), || 100), Fate::Arrives(SECOND + ms(22)));
}

#[test]
fn what_is_slow_is_later_and_nothing_overtakes_it_when_it_heals() {
    let mut link = under(Conditions { slow: ms(7), ..Conditions::default() });
    assert!(!link.is_idle());
    assert_eq!(link.send_plain(SECOND), Some(SECOND + ms(27)));
    link.set_conditions(Conditions::default());
    assert_eq!(link.send_plain(SECOND + ms(1)), Some(SECOND + ms(27)));
    assert_eq!(link.send_plain(SECOND + ms(9)), Some(SECOND + ms(29)));
}

#[test]
fn a_share_arrives_twice() {
    let mut link = under(Conditions { duplication: 0.3, ..Conditions::default() });
    let sent = each_ms(&mut link, 10_000);
    let twice = sent.iter().filter(|(at, fate)| *fate == Fate::Twice(*at + ms(20), *at + ms(20)));
    let share = twice.count() as f64 / 10_000.0;
    assert!((share - 0.3).abs() < 0.025, "{share}");
}

#[test]
fn bandwidth_spaces_datagrams_exactly() {
    // A hundred bytes at a megabit a second take 800 us, those that are lost too.
    let bandwidth = Conditions { bandwidth_bits_per_s: Some(1_000_000), ..Conditions::default() };
    let mut link = under(bandwidth);
    let space = Span::from_micros(800);
    for number in 1..=100 {
        let expected = SECOND + space.times(number) + ms(20);
        assert_eq!(link.send(SECOND, || 100), Fate::Arrives(expected));
    }
    link.set_conditions(Conditions { loss: 1.0, ..bandwidth });
    assert_eq!(link.send(SECOND, || 100), Fate::Lost);
    link.set_conditions(bandwidth);
    assert_eq!(link.send(SECOND, || 100), Fate::Arrives(SECOND + space.times(102) + ms(20)));
}

#[test]
fn a_full_queue_is_not_a_loss() {
    let mut link = under(Conditions {
        bandwidth_bits_per_s: Some(1_000_000),
        queue_bytes_max: Some(250),
        ..Conditions::default()
    });
    // One on the wire and two behind it; in 800 us there is room for one more.
    let fates: Vec<Fate> = (0..4).map(|_| link.send(SECOND, || 100)).collect();
    assert_eq!(fates.iter().filter(|fate| **fate == Fate::QueueFull).count(), 2, "{fates:?}");
    assert!(matches!(link.send(SECOND + Span::from_micros(800), || 100), Fate::Arrives(_)));
}

#[test]
fn a_sweep_has_the_percentiles_asked_for() {
    let mut link = link(jitter());
    let (from, until) = (SECOND, SECOND + ms(2_000));
    link.sweep(from, until);
    let mut taken: Vec<Span> = (0..2_000)
        .map(|number| {
            let at = from + ms(number);
            arrival(link.send(at, || 100)).since(at)
        })
        .collect();
    assert!(taken.is_sorted());
    taken.sort_unstable();
    for (index, probability) in [(2, 0.001), (200, 0.1), (1000, 0.5), (1800, 0.9), (1998, 0.999)] {
        assert_eq!(taken[index], jitter().quantile(probability));
    }
    // Then chance has it again.
    let after: Vec<Span> = (0..2_000)
        .map(|number| {
            let at = until + ms(200) + ms(10 * number);
            arrival(link.send(at, || 100)).since(at)
        })
        .collect();
    assert!(!after.is_sorted() && after.iter().any(|span| *span < jitter().median()));
}

#[test]
fn while_it_sweeps_a_link_only_delays_and_a_cut_one_is_cut() {
    let harsh = Conditions {
        loss: 1.0,
        duplication: 1.0,
        reordering: ms(500),
        bandwidth_bits_per_s: Some(1),
        ..Conditions::default()
    };
    let mut link = under(harsh);
    link.sweep(SECOND + ms(10), SECOND + ms(20));
    assert_eq!(link.send(SECOND, || 1), Fate::Lost, "it does not sweep yet");
    assert_eq!(link.send(SECOND + ms(10), || 1), Fate::Arrives(SECOND + ms(30)));
    link.set_conditions(Conditions { is_cut: true, ..harsh });
    assert_eq!(link.send(SECOND + ms(11), || 1), Fate::Lost);
    link.set_conditions(harsh);
    assert_eq!(link.send(SECOND + ms(19), || 1), Fate::Arrives(SECOND + ms(39)));
    assert_eq!(link.send(SECOND + ms(20), || 1), Fate::Lost);
}

#[test]
fn the_seed_and_the_link_fix_all_draws() {
    let draws = |seed, id| {
        let mut link = Link::new(seed, id, jitter(), CORRELATION, Span::ZERO);
        link.set_conditions(Conditions { loss: 0.5, ..Conditions::default() });
        each_ms(&mut link, 20)
    };
    assert_eq!(draws(1, 7), draws(1, 7));
    assert_ne!(draws(1, 7), draws(1, 8));
    assert_ne!(draws(1, 7), draws(2, 7));
}

#[test]
fn only_a_link_without_anything_to_do_is_idle() {
    let mut link = link(Delay::zero());
    assert!(link.is_idle());
    link.set_conditions(Conditions { loss: 0.1, ..Conditions::default() });
    assert!(!link.is_idle());
    link.set_conditions(Conditions::default());
    link.sweep(SECOND, SECOND + ms(1));
    assert!(link.is_idle(), "a constant has nothing to go through");
    link.set_delay(jitter());
    assert!(!link.is_idle());
    let least = Link::new(1, 7, Delay::zero(), CORRELATION, Span(100)).send_plain(SECOND);
    assert_eq!(least, Some(SECOND + Span(100)));
}

/// A link keeps its order, so what follows a slow message waits for it.
/// Where it remembers its delay for thirty of its longest tails, a round trip of two links that carry all the
/// time has the percentiles of its profile; where it does not, it has not.
#[test]
fn links_in_order_with_a_long_memory_have_the_tail_asked_for() {
    let table = "from,to,rtt_ms,p90_ms,p99_ms\na,b,50,60,1000\nb,a,50,60,1000\n";
    let profile = Profile::from_csv("t.csv", table).unwrap();
    let leg = profile.one_way("a", "b", Jitter::Profile).unwrap();
    let drawn = |memory: Span, every: Span, count: u64| {
        let [mut out, mut back] =
            [1, 2].map(|id| Link::new(1, id, leg.clone(), memory, Span::ZERO));
        let round_trip = |number: u64| {
            let at = Time::ZERO + every.times(number);
            let [there, here] = [&mut out, &mut back].map(|link| link.send_plain(at).unwrap());
            (there.since(at) + here.since(at)).as_millis_f64()
        };
        let mut all: Vec<f64> = (1..=count).map(round_trip).collect();
        all.sort_by(f64::total_cmp);
        all
    };
    // Beyond the p90 the distribution is so wide that the share is the steadier figure.
    let beyond_p90 =
        |all: &[f64]| 1.0 - all.partition_point(|ms| *ms <= 60.0) as f64 / all.len() as f64;
    let long = drawn(ms(28_100), ms(1_000), 1_000_000);
    for (index, published) in [(500_000, 50.0), (990_000, 1000.0)] {
        let found: f64 = long[index];
        assert!((found / published - 1.0).abs() < 0.05, "{found} for {published}");
    }
    assert!((0.095..0.108).contains(&beyond_p90(&long)), "{}", beyond_p90(&long));
    let short = drawn(CORRELATION, ms(100), 200_000);
    assert!(beyond_p90(&short) > 0.14, "a control: {}", beyond_p90(&short));
}
