//! Residuals: what a median has beyond its floor, and whether that can be.
//!
//! A floor is what the links alone cost a command that is alone, so a median lies at its floor or above
//! it, and what is above has a cause that can be named.
//! Three disagreements are said, one for each client region of a trial:
//!
//! | disagreement | when |
//! |---|---|
//! | impossible | the median, with the upper end of its interval, is below its floor by more than the tolerance of a [`Probe`] |
//! | not the floor | simulated where nothing but delays take time, and the median is more than [`SHARE`] of the floor from it, and the floor outside of the median's interval |
//! | unexplained | measured in an open loop that kept up, and the median is above its floor by more than [`SHARE`] of it, [`HOST`], and where promises and votes are synced the median sync once for each phase |
//!
//! The same is said of control operations, which wait for no sync: simulated ones are at their floor wherever
//! links only delay and messages cost a replica nothing, also beside a closed loop and a slow disk.
//!
//! Closed loops and trials that did not keep up make a queue of their own; limited bandwidth and loss
//! only add: there the floor is a lower bound and only the impossible is said.
//! With faults nothing is, because the floor knows none; nor where links remember their delays for so long
//! that a trial holds few independent moments of them.
//! At p99 a queue is always part of it, so there the residual stands in `latency.csv` without a verdict.

use std::collections::BTreeSet;

use super::rows::{Disagreement, Kind, LeftOut, Rows};
use super::tables::is_control;
use crate::deployment::Durability;
use crate::experiment::plan::{Plan, Point};
use crate::experiment::trial::Trial;
use crate::measure::Phase;
use crate::measure::rows::LatencyRow;
use crate::time::Span;
use crate::topology::Site;
use crate::trial::{Backend, Probe};
use crate::workload::Arrival;

/// The share of a floor that a fit and a histogram may be off by.
pub const SHARE: f64 = 0.01;

/// What a host may add to a commit: work, wake-ups and late datagrams on each hop.
pub const HOST: Span = Span::from_millis(1);

/// A trial is judged if it is at least so many times as long as its links remember their delays: a median
/// of fewer moments is that of its moments.
const MOMENTS_MIN: u64 = 400;

/// The simulator's least delay, 100 ns on each hop, and a bucket of the histogram.
const SIMULATED_LEAST: Span = Span::from_micros(10);

/// What to expect of a median.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// That it is its floor.
    Exactly,
    /// That it is above by a share and no more than this.
    Within(Span),
    /// That it is not below.
    AtLeast,
}

/// Every disagreement of a trial whose other rows are made: at most one for each client region about its
/// writes, or its reads where there are no writes, and one about its control operations.
pub(super) fn disagreements(
    plan: &Plan,
    trial: &Trial,
    backend: Backend,
    rows: &Rows,
) -> Vec<Disagreement> {
    let rules = (rule(plan, trial, backend, rows), control_rule(plan, trial, backend, rows));
    let probe = &plan.point(trial).probe;
    let count = Option::unwrap_or_default;
    let left_out = LeftOut {
        race_lost_count: count(rows.trial.race_lost_count),
        retransmitted_count: count(rows.trial.retransmitted_count),
        waits_for_order: waits_for_order(plan.point(trial)),
    };
    let mut judged = BTreeSet::new();
    let of_writes_first =
        rows.latency.iter().filter(|row| judged.insert((&row.client_region, is_control(row))));
    of_writes_first
        .filter_map(|row| {
            let is_control = is_control(row);
            // Of what the trial counted, only the order of messages is anything to a control operation.
            let left_out = if is_control {
                LeftOut { waits_for_order: left_out.waits_for_order, ..LeftOut::default() }
            } else {
                left_out
            };
            let client_region = row.client_region.clone();
            let rule = if is_control { rules.1 } else { rules.0 };
            let (kind, residual_ns) = (judge(row, rule?, probe)?, row.residual_ns_p50?);
            Some(Disagreement { client_region, is_control, kind, residual_ns, left_out })
        })
        .collect()
}

/// Whether a link forgets its delay within less time than its delays differ by: then a message overtakes
/// the one before, and has to wait for it.
fn waits_for_order(point: &Point) -> bool {
    let replicas = || point.links.replicas().map(Site::Replica);
    let spreads =
        replicas().flat_map(|from| replicas().map(move |to| (from, to))).map(|(from, to)| {
            let delay = point.links.between(from, to);
            delay.quantile(0.99) - delay.quantile(0.5)
        });
    spreads.max().is_some_and(|spread| point.network.correlation < spread)
}

/// Whether the floors know what happened: no fault, and as many moments of the links as a median needs.
fn is_known(plan: &Plan, trial: &Trial) -> bool {
    let (variant, point) = (plan.variant(trial), plan.point(trial));
    let moments_last = point.network.correlation.0.saturating_mul(MOMENTS_MIN);
    variant.faults.is_empty() && (!point.links.vary() || point.duration.0 >= moments_last)
}

/// What to expect of the medians of a trial's control operations; `None` where nothing is.
fn control_rule(plan: &Plan, trial: &Trial, backend: Backend, rows: &Rows) -> Option<Rule> {
    let point = plan.point(trial);
    let links_only_delay = point.network.is_plain();
    let are_messages_free = !point.sim.takes_processor_time();
    is_known(plan, trial).then_some(match backend {
        Backend::Sim if links_only_delay && are_messages_free => Rule::Exactly,
        // A closed loop may make a queue at the replica, and others wait in it too.
        Backend::Live if links_only_delay && !is_queueing(point, rows) => Rule::Within(HOST),
        _ => Rule::AtLeast,
    })
}

/// Whether a trial may have made a queue by itself.
fn is_queueing(point: &Point, rows: &Rows) -> bool {
    rows.trial.saturated == Some(true) || is_closed(point)
}

fn is_closed(point: &Point) -> bool {
    matches!(point.workload.arrival, Arrival::Closed { .. })
}

/// What to expect of the medians of a trial's load; `None` where nothing is.
fn rule(plan: &Plan, trial: &Trial, backend: Backend, rows: &Rows) -> Option<Rule> {
    let (variant, point) = (plan.variant(trial), plan.point(trial));
    // A closed loop asks more often while its links are fast, so its median is not that of the links.
    if !is_known(plan, trial) || (point.links.vary() && is_closed(point)) {
        return None;
    }
    let links_only_delay = point.network.is_plain();
    Some(match backend {
        Backend::Sim if links_only_delay && !point.sim.takes_time() => Rule::Exactly,
        Backend::Live if links_only_delay && !is_queueing(point, rows) => {
            let phase_count = variant.mode.phases(&variant.quorums).len() as u64;
            let sync = match point.durability {
                Durability::Memory => Span::ZERO,
                Durability::Fsync => slowest_sync(rows),
            };
            Rule::Within(HOST + sync.times(phase_count))
        }
        _ => Rule::AtLeast,
    })
}

/// The median of a sync at the replica where it takes longest.
fn slowest_sync(rows: &Rows) -> Span {
    let syncs = rows.phases.iter().filter(|row| row.phase == Phase::Persist.name());
    Span(syncs.filter_map(|row| row.latency_ns_p50).max().unwrap_or(0))
}

fn judge(row: &LatencyRow, rule: Rule, probe: &Probe) -> Option<Kind> {
    let [p50, floor] = [row.latency_ns_p50?, row.floor_ns_p50?].map(Span);
    // Where there are too few to bound the median, it lies between the least and the greatest.
    let low = Span(row.latency_ns_p50_low.or(row.latency_ns_min)?);
    // And where the greatest is an operation without an answer, it has no upper end.
    let high = Span(row.latency_ns_p50_high.or(row.latency_ns_max).unwrap_or(u64::MAX));
    if high + probe.tolerance_of(floor) < floor {
        return Some(Kind::Impossible);
    }
    let is_far = p50.0.abs_diff(floor.0) > share(floor).max(SIMULATED_LEAST).0;
    match rule {
        Rule::Exactly if is_far && !(low..=high).contains(&floor) => Some(Kind::NotTheFloor),
        Rule::Within(allowance) if p50 > floor + share(floor) + allowance => {
            Some(Kind::Unexplained)
        }
        _ => None,
    }
}

fn share(of: Span) -> Span {
    Span::from_millis_f64(of.as_millis_f64() * SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan::Size;
    use crate::experiment::testing::{GOOD, source};
    use crate::measure::Latencies;
    use crate::measure::rows::{PhaseRow, TrialKey};

    const FLOOR: Span = Span::from_millis(70);

    /// The row of a hundred writes that all took so long.
    fn row(took: Span) -> LatencyRow {
        let mut latencies = Latencies::new();
        (0..100).for_each(|_| latencies.record(took));
        let floors = Some((FLOOR, FLOOR));
        LatencyRow::new(&TrialKey::default(), "us-east-1", "write", &latencies, floors)
    }

    fn judged(took_us: u64, rule: Rule) -> Option<Kind> {
        judge(&row(Span::from_micros(took_us)), rule, &Probe::default())
    }

    #[test]
    fn a_median_below_its_floor_is_impossible_beyond_the_tolerance() {
        for rule in [Rule::AtLeast, Rule::Exactly, Rule::Within(HOST)] {
            assert_eq!(judged(69_350, Rule::AtLeast), None);
            assert_eq!(judged(69_000, rule), Some(Kind::Impossible));
        }
        let wide = Probe { tolerance: Span::from_millis(2), ..Probe::default() };
        assert_eq!(
            judge(&row(Span::from_millis(69)), Rule::Exactly, &wide),
            Some(Kind::NotTheFloor)
        );
    }

    #[test]
    fn a_trial_of_few_moments_of_its_links_is_not_judged() {
        let judges = |topology: &str| {
            let (calm, _) = GOOD.split_once("[[fault]]").unwrap();
            let text = calm
                .replace("aws-2025-07", "aws-2024-04")
                .replace("[topology]\n", &format!("[topology]\n{topology}"));
            let plan = Plan::from_source(&source(&text), Size::default()).unwrap();
            rule(&plan, &plan.trials[0], Backend::Sim, &Rows::default()).is_some()
        };
        assert!(judges("") && judges("jitter = \"profile\"\ncorrelation = \"1ms\"\n"));
        assert!(!judges("jitter = \"profile\"\ncorrelation = \"1s\"\n"));
    }

    /// It asks more often while its links are fast; where they are always as fast, it is judged.
    #[test]
    fn a_closed_loop_is_judged_only_where_links_do_not_vary() {
        let judges = |topology: &str| {
            let (calm, _) = GOOD.split_once("[[fault]]").unwrap();
            let open = calm.lines().find(|line| line.starts_with("arrival")).unwrap();
            let text = calm
                .replace(open, "arrival = { closed = { clients = 2 } }")
                .replace("aws-2025-07", "aws-2024-04")
                .replace("[topology]\n", &format!("[topology]\n{topology}"));
            let plan = Plan::from_source(&source(&text), Size::default()).unwrap();
            rule(&plan, &plan.trials[0], Backend::Sim, &Rows::default()).is_some()
        };
        assert!(judges("") && !judges("jitter = \"profile\"\ncorrelation = \"1ms\"\n"));
    }

    #[test]
    fn messages_wait_for_order_where_delays_change_faster_than_they_differ() {
        let waits = |topology: &str| {
            let text = GOOD
                .replace("aws-2025-07", "aws-2024-04")
                .replace("[topology]\n", &format!("[topology]\n{topology}"));
            let plan = Plan::from_source(&source(&text), Size::default()).unwrap();
            waits_for_order(&plan.points[0])
        };
        assert!(waits("jitter = \"profile\"\ncorrelation = \"0s\"\n"));
        assert!(!waits("jitter = \"profile\"\n") && !waits(""));
    }

    #[test]
    fn a_median_with_unanswered_operations_is_judged_by_what_is_known() {
        let with = |answered: u64, unanswered: u64| {
            let mut latencies = Latencies::new();
            (0..answered).for_each(|_| latencies.record(Span::from_millis(75)));
            (0..unanswered).for_each(|_| latencies.record_unanswered(Span::from_millis(900)));
            let floors = Some((FLOOR, FLOOR));
            let row = LatencyRow::new(&TrialKey::default(), "a", "write", &latencies, floors);
            judge(&row, Rule::Exactly, &Probe::default())
        };
        assert_eq!(with(80, 20), Some(Kind::NotTheFloor));
        // Few samples do not bound it, and without a median there is nothing to judge.
        assert_eq!((with(4, 1), with(20, 80)), (Some(Kind::NotTheFloor), None));
    }

    #[test]
    fn a_simulated_median_without_costs_is_its_floor() {
        assert_eq!(judged(70_600, Rule::Exactly), None);
        assert_eq!(judged(70_900, Rule::Exactly), Some(Kind::NotTheFloor));
        assert_eq!(judged(70_900, Rule::AtLeast), None);
        // What few samples say of a median is little.
        let mut few = row(Span::from_micros(72_000));
        few.latency_ns_p50_low = Some(69_000_000);
        assert_eq!(judge(&few, Rule::Exactly, &Probe::default()), None);
    }

    #[test]
    fn a_measured_median_may_be_above_by_what_the_host_explains() {
        let rule = Rule::Within(HOST + Span::from_micros(400));
        assert_eq!(judged(72_000, rule), None);
        assert_eq!(judged(72_300, rule), Some(Kind::Unexplained));
        assert_eq!(judged(500_000, Rule::AtLeast), None);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let empty = LatencyRow::new(
            &TrialKey::default(),
            "us-east-1",
            "write",
            &Latencies::new(),
            Some((FLOOR, FLOOR)),
        );
        assert_eq!(judge(&empty, Rule::Exactly, &Probe::default()), None);
        let no_floor = LatencyRow { floor_ns_p50: None, ..row(Span(1)) };
        assert_eq!(judge(&no_floor, Rule::Exactly, &Probe::default()), None);
    }

    /// What is expected of the first trial of the good file with these changes.
    fn expected(changes: &[(&str, &str)], backend: Backend, rows: &Rows) -> Option<Rule> {
        let change = |text: String, (from, to): &(&str, &str)| {
            assert_eq!(text.matches(from).count(), 1, "{from:?} must occur once");
            text.replace(from, to)
        };
        let text = changes.iter().fold(GOOD.to_owned(), change);
        let plan = Plan::from_source(&source(&text), Size::default()).unwrap();
        let is_classic = |trial: &&Trial| plan.variant(trial).name == "classic";
        rule(&plan, plan.trials.iter().find(is_classic).unwrap(), backend, rows)
    }

    const NO_FAULT: (&str, &str) =
        ("[[fault]]\nat = \"5s\"\ncrash = \"eu-west-1\"\nrestart_after = \"2s\"\n", "");
    const CLOSED: (&str, &str) =
        ("{ poisson = { rate_per_s = 200 } }", "{ closed = { clients = 4 } }");

    #[test]
    fn only_what_the_floor_knows_is_expected() {
        let mut rows = Rows::default();
        let sync = |ms: u64| PhaseRow {
            phase: "persist".into(),
            latency_ns_p50: Some(ms * 1_000_000),
            ..PhaseRow::default()
        };
        rows.phases = vec![sync(2), sync(3)];
        let expected_of = |changes: &[_], backend| expected(changes, backend, &rows);
        assert_eq!(expected_of(&[], Backend::Sim), None, "with a fault");
        assert_eq!(expected_of(&[NO_FAULT], Backend::Sim), Some(Rule::Exactly));
        // Classic Paxos syncs a promise and a vote.
        let within = Some(Rule::Within(HOST + Span::from_millis(6)));
        assert_eq!(expected_of(&[NO_FAULT], Backend::Live), within);
        let memory = ("mode = \"fsync\"", "mode = \"memory\"");
        assert_eq!(expected_of(&[NO_FAULT, memory], Backend::Live), Some(Rule::Within(HOST)));
        assert_eq!(expected_of(&[NO_FAULT, CLOSED], Backend::Live), Some(Rule::AtLeast));
        assert_eq!(expected_of(&[NO_FAULT, CLOSED], Backend::Sim), Some(Rule::Exactly));
        for costs in ["[service]\nsend = \"1us\"\n[workload]", "[network]\nloss = 0.1\n[workload]"]
        {
            let changes = [NO_FAULT, ("[workload]", costs)];
            assert_eq!(expected_of(&changes, Backend::Sim), Some(Rule::AtLeast), "{costs}");
        }
        let mut late = Rows::default();
        late.trial.saturated = Some(true);
        assert_eq!(expected(&[NO_FAULT], Backend::Live, &late), Some(Rule::AtLeast));
    }

    /// What is expected of the control operations of the first trial of the good file with these changes.
    fn expected_of_controls(changes: &[(&str, &str)], backend: Backend) -> Option<Rule> {
        let text = changes.iter().fold(GOOD.to_owned(), |text, (from, to)| {
            assert_eq!(text.matches(from).count(), 1, "{from:?} must occur once");
            text.replace(from, to)
        });
        let plan = Plan::from_source(&source(&text), Size::default()).unwrap();
        control_rule(&plan, &plan.trials[0], backend, &Rows::default())
    }

    #[test]
    fn controls_have_no_excuse_in_a_disk_and_a_closed_loop() {
        let costs = |cost: &str| format!("[service]\n{cost} = \"1us\"\n[workload]");
        let [sync, send, receive] = ["sync", "send", "receive"].map(costs);
        let with = |cost| [NO_FAULT, ("[workload]", cost)];
        assert_eq!(expected_of_controls(&[], Backend::Sim), None, "with a fault");
        assert_eq!(expected_of_controls(&with(&sync), Backend::Sim), Some(Rule::Exactly));
        assert_eq!(expected_of_controls(&[NO_FAULT, CLOSED], Backend::Sim), Some(Rule::Exactly));
        for costs in [&send, &receive] {
            let expected = expected_of_controls(&with(costs), Backend::Sim);
            assert_eq!(expected, Some(Rule::AtLeast), "{costs}");
        }
        let live = |changes: &[_]| expected_of_controls(changes, Backend::Live);
        assert_eq!(live(&[NO_FAULT]), Some(Rule::Within(HOST)), "with fsync");
        assert_eq!(live(&[NO_FAULT, CLOSED]), Some(Rule::AtLeast), "others queue at the replica");
    }

    #[test]
    fn controls_off_their_floor_are_a_disagreement_of_their_own() {
        let (calm, _) = GOOD.split_once("[[fault]]").unwrap();
        let plan = Plan::from_source(&source(calm), Size::default()).unwrap();
        let named = |operation: &str, took_us| LatencyRow {
            operation: operation.to_owned(),
            ..row(Span::from_micros(took_us))
        };
        let found = |write_us, control_us| {
            let latency = vec![named("write", write_us), named("control", control_us)];
            let mut rows = Rows { latency, ..Rows::default() };
            rows.trial.race_lost_count = Some(3);
            disagreements(&plan, &plan.trials[0], Backend::Sim, &rows)
        };
        assert_eq!(found(70_000, 70_000), []);
        let [slow] = &found(70_000, 75_000)[..] else { panic!("one was expected") };
        assert!(slow.is_control && slow.kind == Kind::NotTheFloor, "{slow:?}");
        assert_eq!(slow.left_out.race_lost_count, 0, "races are nothing to it");
        assert!(slow.to_string().starts_with("control p50 5."), "{slow}");
        assert!(
            slow.note().text.starts_with("floor: us-east-1 control 5."),
            "{}",
            slow.note().text
        );
        let both: Vec<bool> = found(80_000, 60_000).iter().map(|it| it.is_control).collect();
        assert_eq!(both, [false, true]);
    }

    #[test]
    fn a_disagreement_says_what_is_wrong_and_where_to_look() {
        let found = |kind, residual_ns, left_out| {
            let client_region = "us-east-1".to_owned();
            Disagreement { client_region, is_control: false, kind, residual_ns, left_out }
        };
        let nothing = LeftOut::default();
        let below = found(Kind::Impossible, -3_200_000, nothing);
        assert_eq!(below.to_string(), "p50 3.20ms below its floor, impossible");
        assert!(below.advice().contains("links.csv"));
        let above = found(Kind::Unexplained, 5_810_000, nothing);
        assert!(
            above.to_string().contains("5.81ms above") && above.advice().contains("phases.csv")
        );
        let flag = found(Kind::Unexplained, 5_810_000, nothing).note().text;
        assert_eq!(flag, "floor: us-east-1 5.81ms above, unexplained");
        let races = LeftOut { race_lost_count: 12, retransmitted_count: 1, ..nothing };
        assert!(found(Kind::NotTheFloor, 1, races).advice().contains("races were lost"));
        assert!(found(Kind::NotTheFloor, 1, nothing).advice().contains("lower rate"));
        let ordered = LeftOut { waits_for_order: true, ..nothing };
        assert!(found(Kind::NotTheFloor, 1, ordered).advice().contains("raise `correlation`"));
    }
}
