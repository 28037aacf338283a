//! Where everybody is: a table of round trips, made up.

use std::fmt::Write as _;

use super::address::Draws;
use super::random_stream::Purpose;
use crate::time::Span;
use crate::topology::{Jitter, Links, Profile};

/// Links from one millisecond on, up to twenty each way.
pub(super) fn links(draws: &Draws, n: usize, client_count: usize) -> Links {
    let mut stream = draws.stream(Purpose::Places);
    let names = |letter: char, count| (0..count).map(|index| format!("{letter}{index}")).collect();
    let (replicas, clients): (Vec<String>, Vec<String>) = (names('r', n), names('c', client_count));
    let kind = stream.below(3);
    let (low_us, high_us) = (2_000, stream.pick(&[4_000, 10_000, 40_000]));
    let uniform_us = stream.between(low_us, high_us);
    let mut table = String::from("from,to,rtt_ms,min_ms,p99_ms\n");
    let everybody = || replicas.iter().chain(&clients);
    for from in everybody() {
        for to in everybody() {
            let are_clients = from.starts_with('c') && to.starts_with('c');
            if from == to || are_clients {
                continue;
            }
            let rtt_us = if kind == 0 { uniform_us } else { stream.between(low_us, high_us) };
            let (least_us, most_us) =
                (stream.between(rtt_us / 2, rtt_us), stream.between(rtt_us, rtt_us * 4));
            let ms = |us: u64| us as f64 / 1e3;
            writeln!(table, "{from},{to},{},{},{}", ms(rtt_us), ms(least_us), ms(most_us))
                .expect("a string grows");
        }
    }
    let jitter = if kind == 2 { Jitter::Profile } else { Jitter::None };
    let whole = "a table of every pair was drawn";
    let profile = Profile::from_csv("drawn", &table).expect(whole);
    Links::new(&profile, &replicas, &clients, jitter).expect(whole)
}

/// The longest round trip between replicas, or a millisecond if there is only one.
pub(super) fn longest_round_trip(links: &Links) -> Span {
    let replicas = || links.replicas().map(crate::topology::Site::Replica);
    let pairs = replicas().flat_map(|one| replicas().map(move |other| (one, other)));
    let longest = pairs.map(|(one, other)| links.round_trip(one, other)).max();
    longest.unwrap_or_default().max(Span::from_millis(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::NodeId;
    use crate::topology::Site;

    #[test]
    fn some_links_are_uniform_some_uneven_and_some_jittered() {
        let [mut uniform, mut uneven, mut jittered] = [0; 3];
        for seed in 0..100 {
            let links = links(&seed.into(), 3, 2);
            let delay =
                |from, to| links.between(Site::Replica(NodeId(from)), Site::Replica(NodeId(to)));
            match (delay(0, 1).is_constant(), delay(0, 1) == delay(2, 1)) {
                (true, true) => uniform += 1,
                (true, false) => uneven += 1,
                (false, _) => jittered += 1,
            }
            let longest = longest_round_trip(&links).as_millis_f64();
            assert!((2.0..=40.0).contains(&longest), "{longest}");
        }
        assert!([uniform, uneven, jittered].iter().all(|count| *count > 15));
    }

    #[test]
    fn a_single_replica_has_links_to_its_clients() {
        let links = links(&1.into(), 1, 1);
        assert!(!links.between(Site::Client(0), Site::Replica(NodeId(0))).is_zero());
        assert_eq!(longest_round_trip(&links), Span::from_millis(1));
    }
}
