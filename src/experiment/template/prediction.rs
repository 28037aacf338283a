//! What a new experiment asks and predicts, from the floors in the plan of its draft.
//!
//! Without a fault the medians are predicted: how far they are above their floors, and which one is lower.
//! With a crash of the leader another region leads for a part of the time, so nothing is predicted of the
//! medians; the recovery is predicted instead.

use humantime::format_duration;

use super::{BEST, Choices, Counts, SPREAD, timeout};
use crate::experiment::plan::{Point, Variant};
use crate::quorum::NodeSet;
use crate::topology::{Floor, nearest_among};

/// Floors that differ by less than this many milliseconds are alike.
const ALIKE_MS: f64 = 0.5;

/// A prediction in a form that can be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// The prediction.
    pub(super) that: String,
    /// Why it is expected.
    pub(super) because: &'static str,
}

/// How a median compares with that of the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Less,
    More,
    Alike,
}

/// What the experiment is to find out.
pub(super) fn question(choices: &Choices, point: &Point) -> String {
    let leader = match point.variants[0].mode.leader() {
        Some(id) if choices.leader != BEST => format!("the leader is in {}", point.region(id)),
        _ => "each variant has the leader that is best for the clients".to_owned(),
    };
    let mut variants = vec!["with majorities (multi)".to_owned()];
    variants.extend(choices.flexible.iter().map(|counts| {
        let Counts { phase1, phase2 } = *counts;
        format!("with {phase1} replicas for phase 1 and {phase2} for phase 2 ({})", counts.name())
    }));
    if choices.has_classic {
        variants.push("with both phases for every command (classic)".to_owned());
    }
    let crash =
        if choices.has_leader_crash { " What does a crash of the leader cost?" } else { "" };
    format!(
        "Replicas are in {}, {leader}, and clients are in {} ({}). What does a write cost {}?{crash}",
        listed(&point.links.replica_regions),
        listed(&point.links.client_regions),
        choices.profile,
        listed(&variants),
    )
}

/// What is expected, and what would refute it.
pub(super) fn prediction(choices: &Choices, point: &Point) -> String {
    let regions = point.links.client_regions.iter().enumerate();
    let floors: Vec<String> = regions
        .map(|(client, region)| {
            let floor = |variant: &Variant| {
                format!("{} {:.2}", variant.name, variant.floors[client].p50.as_millis_f64())
            };
            let floors: Vec<String> = point.variants.iter().map(floor).collect();
            format!("for clients in {region}: {}", floors.join(", "))
        })
        .collect();
    let rest = if choices.has_leader_crash { crash(choices, point) } else { medians(point) };
    format!(
        "The floor of a write is the least latency that the links allow, without processing and disks. \
         The floors in ms are, {}. {rest}",
        floors.join("; "),
    )
}

/// What is predicted of the medians.
fn medians(point: &Point) -> String {
    let is_raced = point.variants.iter().any(|variant| is_raced(point, variant));
    let race = if is_raced {
        "The clients of classic Paxos ask different replicas, whose proposals compete: how far its latency \
         is above its floor is not predicted. "
    } else {
        ""
    };
    let order = if point.variants.len() > 1 {
        ", or if two medians are not in the order of their floors"
    } else {
        ""
    };
    // Where delays vary, half of all medians of samples are below the median of the links.
    let below = if point.links.vary() { "" } else { "below its floor, or " };
    format!(
        "{race}It is refuted if a median is {below}more than 3 ms above {} (processing and fsync){order}.",
        if below.is_empty() { "its floor" } else { "it" }
    )
}

/// What is predicted of the crash.
fn crash(choices: &Choices, point: &Point) -> String {
    let timeout = timeout(&point.links);
    let names = |is_lost: bool| -> Vec<String> {
        let found = point.variants.iter().filter(|variant| loses_quorums(variant) == is_lost);
        found.map(|variant| variant.name.clone()).collect()
    };
    let (lost, left) = (names(true), names(false));
    let mut text = format!(
        "They hold until the leader crashes, {} after the warm-up.",
        format_duration(choices.crash_at())
    );
    let mut refuted = Vec::new();
    if !left.is_empty() {
        text = format!(
            "{text} With {} another replica suspects the leader after {} to {} ms, runs phase 1 with the \
             replicas that are left, and leads.",
            listed(&left),
            timeout.milliseconds_short(),
            (timeout + SPREAD).milliseconds_short(),
        );
        refuted.push("a phase 1 takes less than its floor or more than 10 ms longer".to_owned());
    }
    if !lost.is_empty() {
        let lost = listed(&lost);
        text = format!(
            "{text} With {lost} the replicas that are left have no quorum: clients wait until the leader \
             is back, {} later.",
            format_duration(choices.restart_after())
        );
        refuted.push(format!("a client is answered during the outage with {lost}"));
    }
    format!("{text} It is refuted if {}.", refuted.join(", or if "))
}

/// The predictions that are judged.
pub(super) fn expectations(choices: &Choices, point: &Point) -> Vec<Expected> {
    if choices.has_leader_crash {
        return point.variants.iter().map(|variant| recovery(choices, variant)).collect();
    }
    let Some((baseline, others)) = point.variants.split_first() else { return Vec::new() };
    let mut all: Vec<Expected> = Vec::new();
    for variant in others {
        all.extend(compared(point, variant, baseline));
    }
    let bounded = point.variants.iter().filter(|variant| !is_raced(point, variant));
    all.extend(bounded.map(|variant| Expected {
        that: format!("{}.p50 - floor < 3ms", variant.name),
        because: "processing, and syncs of the disks",
    }));
    all
}

/// What is expected of a variant after the crash of its leader.
fn recovery(choices: &Choices, variant: &Variant) -> Expected {
    if loses_quorums(variant) {
        let away = format_duration(choices.restart_after()).to_string().replace(' ', "");
        return Expected {
            that: format!("{}.away > {away}", variant.name),
            because: "no quorum is left until the leader is back",
        };
    }
    Expected {
        that: format!("{}.phase1 - floor < 10ms", variant.name),
        because: "a round trip to a phase-1 quorum, and a sync",
    }
}

/// The median of a variant and that of the baseline: in all client regions alike, or in each of them.
fn compared(point: &Point, variant: &Variant, baseline: &Variant) -> Vec<Expected> {
    // The race for a slot only makes a write slower.
    let is_known = |order: Order| order == Order::More || !is_raced(point, variant);
    let floors = variant.floors.iter().zip(&baseline.floors);
    let orders: Vec<Order> = floors.map(|(one, other)| Order::of(*one, *other)).collect();
    let Some(first) = orders.first().copied() else { return Vec::new() };
    if orders.iter().all(|order| *order == first) {
        let everywhere = is_known(first).then(|| first.expected(variant, baseline, ""));
        return everywhere.into_iter().collect();
    }
    // A prediction is read word by word: a region of two words cannot be named.
    let is_word = |region: &str| !region.contains(char::is_whitespace);
    let regions = orders.into_iter().zip(&point.links.client_regions);
    let named = regions.filter(|(order, region)| is_known(*order) && is_word(region.as_str()));
    let one = |(order, region): (Order, &String)| {
        order.expected(variant, baseline, &format!(" in {region}"))
    };
    named.map(one).collect()
}

impl Order {
    fn of(one: Floor, other: Floor) -> Self {
        let difference_ms = one.p50.as_millis_f64() - other.p50.as_millis_f64();
        if difference_ms.abs() < ALIKE_MS {
            Self::Alike
        } else if difference_ms < 0.0 {
            Self::Less
        } else {
            Self::More
        }
    }

    fn expected(self, variant: &Variant, baseline: &Variant, tail: &str) -> Expected {
        let (one, other) = (&variant.name, &baseline.name);
        let (that, because) = match self {
            Self::Less => (format!("{one}.p50 < {other}.p50{tail}"), "its floor is lower"),
            Self::More => (format!("{one}.p50 > {other}.p50{tail}"), "its floor is higher"),
            Self::Alike => {
                (format!("{one}.p50 - {other}.p50 within 1ms{tail}"), "their floors are alike")
            }
        };
        Expected { that, because }
    }
}

/// Whether clients ask different replicas, whose proposals compete for the same slots.
fn is_raced(point: &Point, variant: &Variant) -> bool {
    let clients = 0..point.links.client_regions.len();
    let candidates = variant.quorums.candidates();
    let mut asked = clients.map(|client| nearest_among(&point.links, candidates, client));
    let first = asked.next();
    variant.mode.asked().is_none() && asked.any(|replica| Some(replica) != first)
}

/// Whether no quorum of some phase is left while the leader is down.
fn loses_quorums(variant: &Variant) -> bool {
    let leader = variant.mode.leader();
    leader.is_some_and(|leader| !variant.quorums.survives(NodeSet::only(leader)))
}

/// `a, b and c`.
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::experiment::template::{PROFILE, REGIONS, draft, plan};
    use crate::time::Span;

    fn point(choices: &Choices) -> Point {
        let mut plan = plan(Path::new("new.toml"), draft(choices)).unwrap();
        plan.points.remove(0)
    }

    fn quickstart() -> Choices {
        let choices = Choices::new(PROFILE, REGIONS.map(str::to_owned).to_vec());
        Choices { clients: vec!["us-east-1".into(), "ca-central-1".into()], ..choices }
    }

    fn floor(ms: u64) -> Floor {
        Floor::constant(Span::from_millis(ms))
    }

    #[test]
    fn medians_are_expected_in_the_order_of_floors() {
        let point = point(&quickstart());
        let [multi, flexible] = &point.variants[..] else { panic!("{:?}", point.variants) };
        let said = |floors: [u64; 2]| -> Vec<String> {
            let floors = floors.map(floor).to_vec();
            let baseline = Variant { floors: vec![floor(50), floor(60)], ..multi.clone() };
            let expected = compared(&point, &Variant { floors, ..flexible.clone() }, &baseline);
            expected.into_iter().map(|it| it.that).collect()
        };
        assert_eq!(said([40, 59]), ["flex-4-2.p50 < multi.p50"]);
        assert_eq!(said([51, 70]), ["flex-4-2.p50 > multi.p50"]);
        assert_eq!(said([50, 60]), ["flex-4-2.p50 - multi.p50 within 1ms"]);
        assert_eq!(
            said([40, 60]),
            [
                "flex-4-2.p50 < multi.p50 in us-east-1",
                "flex-4-2.p50 - multi.p50 within 1ms in ca-central-1",
            ]
        );
    }

    #[test]
    fn rival_proposers_have_no_upper_bound() {
        let clients = vec!["us-east-1".to_owned(), "eu-west-1".to_owned()];
        let choices = Choices { clients, has_classic: true, ..quickstart() };
        let raced = point(&choices);
        let said = |name: &str| -> Vec<String> {
            let all = expectations(&choices, &raced).into_iter().map(|it| it.that);
            all.filter(|that| that.starts_with(name)).collect()
        };
        assert_eq!(said("classic"), ["classic.p50 > multi.p50"]);
        assert_eq!(said("multi"), ["multi.p50 - floor < 3ms"]);
        assert!(prediction(&choices, &raced).contains("ask different replicas"));
        // Both clients of the quickstart are nearest to one replica.
        let choices = Choices { has_classic: true, ..quickstart() };
        let all = expectations(&choices, &point(&choices));
        assert!(all.iter().any(|it| it.that == "classic.p50 - floor < 3ms"), "{all:?}");
    }

    #[test]
    fn crashes_end_when_a_quorum_is_left() {
        let flexible = [(4, 2), (5, 1), (1, 5)].map(|(phase1, phase2)| Counts { phase1, phase2 });
        let choices =
            Choices { flexible: flexible.to_vec(), has_leader_crash: true, ..quickstart() };
        let point = point(&choices);
        let said: Vec<String> =
            expectations(&choices, &point).into_iter().map(|it| it.that).collect();
        assert_eq!(
            said,
            [
                "multi.phase1 - floor < 10ms",
                "flex-4-2.phase1 - floor < 10ms",
                "flex-5-1.away > 5s",
                "flex-1-5.away > 5s",
            ]
        );
        let text = prediction(&choices, &point);
        assert!(text.contains("With multi and flex-4-2 another replica suspects"), "{text}");
        assert!(text.contains("after 500 to 750 ms"), "{text}");
        assert!(text.contains("back, 5s later"), "{text}");
    }
}
