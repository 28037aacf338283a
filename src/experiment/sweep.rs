//! From settings to trials: every combination that is swept, and the order in which they run.
//!
//! A repeat runs every point with every variant once, and the repeats follow one another, so a machine
//! that grows slower in the course of an experiment slows every variant alike.
//! Within a repeat the variants of one point run next to one another, because they are compared; which
//! of them is first moves on with every repeat and point, and the points are shuffled from the seed.

use std::path::Path;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;
use toml::Spanned;

use super::file::{Arrival, File};
use super::plan::{Error, Point, Refused, Trial};
use crate::deployment::Durability;

/// A setting to run with: what it is called, and the key and value that are swept.
type Setting<T> = (Vec<(String, String)>, T);

/// Every combination of the sweep; one if there is no sweep.
pub(super) fn points(file: &File, folder: &Path) -> Result<Vec<Point>, Refused> {
    let mut points = Vec::new();
    for (mode_settings, mode) in durabilities(file)? {
        for (settings, arrival) in arrivals(file)? {
            let mut file = file.clone();
            file.workload.arrival = arrival;
            file.durability.mode = mode;
            let settings = [settings, mode_settings.clone()].concat();
            let word = |(path, value): &(String, String)| {
                format!("{}={value}", path.rsplit('.').next().unwrap_or(path))
            };
            let label = settings.iter().map(word).collect::<Vec<_>>().join(" ");
            points.push(Point { label, settings, ..Point::of(&file, folder)? });
        }
    }
    Ok(points)
}

fn durabilities(file: &File) -> Result<Vec<Setting<Durability>>, Refused> {
    let sweep = file.sweep.as_ref().map(Spanned::get_ref);
    let Some(modes) = sweep.and_then(|sweep| sweep.durability.as_ref()) else {
        return Ok(vec![(Vec::new(), file.durability.mode)]);
    };
    let setting = |mode: &Durability| {
        let name = match mode {
            Durability::Memory => "memory",
            Durability::Fsync => "fsync",
        };
        (vec![("durability.mode".to_owned(), name.to_owned())], *mode)
    };
    Ok(some(modes, "sweep.durability")?.iter().map(setting).collect())
}

fn arrivals(file: &File) -> Result<Vec<Setting<Arrival>>, Refused> {
    let sweep = file.sweep.as_ref().map(Spanned::get_ref);
    let clients = sweep.and_then(|sweep| sweep.clients.as_ref());
    let rates = sweep.and_then(|sweep| sweep.rate_per_s.as_ref());
    match (&file.workload.arrival, clients, rates) {
        (typed, None, None) => Ok(vec![(Vec::new(), typed.clone())]),
        (Arrival::Closed { .. }, Some(clients), None) => {
            Ok(some(clients, "sweep.clients")?.iter().map(closed).collect())
        }
        (Arrival::Closed { .. }, _, Some(rates)) => {
            let error = Error::SweepOfOther { key: "rate_per_s", arrival: "closed" };
            Err(Refused::new(rates.span(), error))
        }
        (_, Some(clients), _) => {
            let error = Error::SweepOfOther { key: "clients", arrival: "open" };
            Err(Refused::new(clients.span(), error))
        }
        (typed, None, Some(rates)) => {
            let is_poisson = matches!(typed, Arrival::Poisson { .. });
            let rates = some(rates, "sweep.rate_per_s")?;
            Ok(rates.iter().map(|rate| open(rate, is_poisson)).collect())
        }
    }
}

fn closed(clients: &Spanned<u32>) -> Setting<Arrival> {
    let path = "workload.arrival.closed.clients".to_owned();
    let setting = (path, clients.get_ref().to_string());
    (vec![setting], Arrival::Closed { clients: clients.clone() })
}

fn open(rate: &Spanned<f64>, is_poisson: bool) -> Setting<Arrival> {
    let rate_per_s = rate.clone();
    let (kind, arrival) = if is_poisson {
        ("poisson", Arrival::Poisson { rate_per_s })
    } else {
        ("fixed", Arrival::Fixed { rate_per_s })
    };
    let path = format!("workload.arrival.{kind}.rate_per_s");
    (vec![(path, rate.get_ref().to_string())], arrival)
}

/// The items of a list that must have some.
fn some<'a, T>(list: &'a Spanned<Vec<T>>, key: &'static str) -> Result<&'a [T], Refused> {
    if list.get_ref().is_empty() {
        return Err(Refused::new(list.span(), Error::NoItem { key }));
    }
    Ok(list.get_ref())
}

/// All trials in the order in which they run.
pub(super) fn trials(points: usize, variants: usize, repeats: usize, seed: u64) -> Vec<Trial> {
    let mut trials = Vec::with_capacity(points * variants * repeats);
    for repeat in 0..repeats {
        let seed = repeat_seed(seed, repeat);
        let mut order: Vec<usize> = (0..points).collect();
        order.shuffle(&mut Pcg64::seed_from_u64(seed));
        for (place, point) in order.into_iter().enumerate() {
            for turn in 0..variants {
                let variant = (turn + place + repeat) % variants;
                trials.push(Trial { index: trials.len(), repeat, point, variant, seed });
            }
        }
    }
    trials
}

/// The seed of one repeat: equal for its variants, so that they face the same operations at the same
/// moments, and different between repeats.
fn repeat_seed(seed: u64, repeat: usize) -> u64 {
    let mut stream = Pcg64::new(u128::from(seed), repeat as u128);
    stream.next_u64()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::experiment::plan::{Plan, Size};
    use crate::experiment::testing::{GOOD, assert_says, source, spoil};
    use crate::workload::Arrival;

    const CLOSED: &str = "{ closed = { clients = 2 } }";
    const OPEN: &str = "{ poisson = { rate_per_s = 200 } }";

    fn check(text: &str, phrases: &[&str]) {
        let source = source(text);
        assert_says(&Plan::from_source(&source, Size::default()).unwrap_err(), phrases);
    }

    fn points(text: &str) -> Vec<Point> {
        Plan::from_source(&source(text), Size::default()).unwrap().points
    }

    fn labels(text: &str) -> Vec<String> {
        points(text).into_iter().map(|point| point.label).collect()
    }

    #[test]
    fn without_a_sweep_there_is_one_point_without_a_name() {
        assert_eq!(labels(GOOD), [""]);
    }

    #[test]
    fn every_combination_is_a_point() {
        let sweep = "[sweep]\nclients = [2, 16]\ndurability = [\"memory\", \"fsync\"]\n";
        let text = GOOD.replace(OPEN, CLOSED).replace("restart_after = \"2s\"\n", "") + sweep;
        let expected = [
            "clients=2 mode=memory",
            "clients=16 mode=memory",
            "clients=2 mode=fsync",
            "clients=16 mode=fsync",
        ];
        assert_eq!(labels(&text), expected);
        let points = points(&text);
        assert_eq!(points[1].workload.arrival, Arrival::Closed { clients: 16 });
        assert_eq!(
            (points[1].durability, points[3].durability),
            (Durability::Memory, Durability::Fsync)
        );
    }

    #[test]
    fn a_swept_rate_keeps_the_kind_of_arrival() {
        let text = GOOD.replace("poisson", "fixed") + "[sweep]\nrate_per_s = [10, 20.5]\n";
        assert_eq!(labels(&text), ["rate_per_s=10", "rate_per_s=20.5"]);
        let points = points(&text);
        assert_eq!(points[1].workload.arrival, Arrival::Fixed { rate_per_s: 20.5 });
    }

    #[test]
    fn a_sweep_of_the_other_kind_is_refused() {
        let open = GOOD.to_owned() + "[sweep]\nclients = [1, 16]\n";
        check(&open, &["lists `clients`, but the arrival is open", ":37:11", "`rate_per_s`"]);
        let closed = GOOD.replace(OPEN, CLOSED) + "[sweep]\nrate_per_s = [1, 16]\n";
        check(&closed, &["lists `rate_per_s`, but the arrival is closed", "sweep `clients`"]);
        let both = GOOD.to_owned() + "[sweep]\nrate_per_s = [1]\nclients = [2]\n";
        check(&both, &["lists `clients`"]);
    }

    #[test]
    fn an_empty_or_senseless_list_is_refused_at_its_place() {
        let sweep = |list: &str| GOOD.to_owned() + "[sweep]\n" + list;
        check(&sweep("rate_per_s = []"), &["`sweep.rate_per_s` has no item", ":37:14"]);
        check(&sweep("durability = []"), &["`sweep.durability` has no item", ":37:14"]);
        check(&sweep("rate_per_s = [5, -5]"), &["-5 is no rate", ":37:18"]);
        let spoilt = spoil("keys = { uniform = { count = 1000 } }\n", "");
        assert_eq!(points(&spoilt.text).len(), 1);
    }

    #[test]
    fn every_repeat_runs_every_variant_at_every_point_once() {
        let trials = trials(4, 3, 5, 9);
        assert_eq!(trials.len(), 60);
        for repeat in 0..5 {
            let of_repeat: BTreeSet<(usize, usize)> = trials[repeat * 12..(repeat + 1) * 12]
                .iter()
                .map(|trial| {
                    assert_eq!(trial.repeat, repeat);
                    (trial.point, trial.variant)
                })
                .collect();
            assert_eq!(of_repeat.len(), 12);
        }
        assert!(trials.iter().enumerate().all(|(index, trial)| trial.index == index));
    }

    #[test]
    fn each_variant_is_first_equally_often() {
        let trials = trials(1, 3, 6, 1);
        let firsts: Vec<usize> = trials.iter().step_by(3).map(|trial| trial.variant).collect();
        assert_eq!(firsts, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn variants_of_one_repeat_face_the_same_chance_and_repeats_another() {
        let trials = trials(2, 3, 4, 1);
        let seeds: BTreeSet<u64> = trials.iter().map(|trial| trial.seed).collect();
        assert_eq!(seeds.len(), 4);
        assert!(trials.chunks(6).all(|repeat| repeat.iter().all(|t| t.seed == repeat[0].seed)));
    }

    #[test]
    fn the_order_depends_on_the_seed_alone() {
        assert_eq!(trials(5, 2, 3, 7), trials(5, 2, 3, 7));
        assert_ne!(trials(5, 2, 3, 7), trials(5, 2, 3, 8));
    }
}
