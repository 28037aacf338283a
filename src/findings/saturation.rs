//! Whether a trial kept up with its load, and what shows that it did not.
//!
//! A trial that is saturated is valid: what happened was measured.
//! But its latencies are those of a queue, and another quorum would hardly change them.
//! The machine is to blame where a member waited for it; where links lose or limit what is sent, or
//! simulated work takes its time, because the experiment asks for that, the reason says so.
//! A closed loop that is to find the highest throughput saturates the machine by design, and is
//! marked all the same: that is what it found.
//!
//! A simulated machine keeps up with whatever it is told it can do; only its clients can offer it
//! more than that.

use crate::deployment::MemberName;
use crate::experiment::plan::Point;
use crate::measure::is_saturated;
use crate::runtime::machine::Watched;
use crate::trial::{Backend, Outcome};

/// A member whose threads waited for a processor for more than this share of the window.
///
/// A commit crosses some ten threads; where each was kept waiting for a tenth of the time, the wait
/// shows in the median and not only in the tail.
pub(super) const RUN_QUEUE_SHARE_MAX: f64 = 0.10;

/// A member of whose datagrams more than this share left later than the tolerance of the link
/// emulation ([`crate::runtime::wan::lateness::TOLERANCE`]): its p99 is no more that of the network
/// asked for.
pub(super) const LATE_SHARE_MAX: f64 = 0.01;

/// A host whose processors were busy for more than this share of the window: with whatever, members
/// or neighbours, there was nothing left.
pub(super) const HOST_BUSY_SHARE_MAX: f64 = 0.95;

/// A host that had no idle core for more than this share of the window: more often than not a thread that woke
/// up had to wait for one, so the wait is in the median.
pub(super) const NO_IDLE_CORE_SHARE_MAX: f64 = 0.5;

/// What an experiment asks for that keeps its trials from what they are offered, in words; nothing where
/// only the machine can.
pub(super) fn cause(point: &Point, backend: Backend) -> String {
    let conditions = &point.network.conditions;
    let has_wires =
        conditions.bandwidth_bits_per_s.is_some() || point.network.uplink_bits_per_s.is_some();
    let has_work = backend == Backend::Sim && point.sim.takes_time();
    let asked: Vec<&str> = [
        (conditions.loss > 0.0 || conditions.is_cut, "links that lose messages"),
        (has_wires, "wires of limited bandwidth"),
        (has_work, "simulated work that takes time"),
    ]
    .into_iter()
    .filter_map(|(is_asked, word)| is_asked.then_some(word))
    .collect();
    match (asked.as_slice(), backend) {
        ([], Backend::Live) => String::new(),
        ([], Backend::Sim) => ", although only delays take time".to_owned(),
        (asked, _) => format!(", with {} as asked for", asked.join(" and ")),
    }
}

/// What shows that a trial did not keep up with its load; empty if it did. `cause` is [`cause`].
///
/// Of several members that show the same, the worst is named.
pub(super) fn reasons(
    outcome: &Outcome,
    offered_per_s: Option<f64>,
    achieved_per_s: f64,
    cause: &str,
) -> Vec<String> {
    let mut reasons = Vec::new();
    // What is not achieved while nobody leads is the fault's doing.
    if outcome.injected.is_empty() && is_saturated(offered_per_s, achieved_per_s) {
        reasons.push(format!("achieved less than 99 % of what was offered{cause}"));
    }
    let waited = |watched: &Watched, _| run_queue_share(watched);
    if let Some((member, share)) = worst(outcome, waited, RUN_QUEUE_SHARE_MAX) {
        reasons.push(format!("{member} waited {} of the window for a processor", percent(share)));
    }
    // What a paused member was sending leaves when it goes on.
    let late = |watched: &Watched, member| {
        if outcome.was_paused(member) { None } else { late_share(watched) }
    };
    if let Some((member, share)) = worst(outcome, late, LATE_SHARE_MAX) {
        reasons.push(format!(
            "{} of the datagrams of {member} left more than 300 us late",
            percent(share)
        ));
    }
    // The limit itself is too much here.
    let limit = HOST_BUSY_SHARE_MAX - f64::EPSILON;
    // Each member looks at the host that it runs on.
    let of =
        |member| outcome.hosts.get(&member).map_or_else(String::new, |host| format!(" of {host}"));
    if let Some((member, share)) = worst(outcome, |watched, _| watched.host_busy_share, limit) {
        let (of, share) = (of(member), percent(share));
        reasons.push(format!("the processors{of} were busy for {share} of the window"));
    }
    let no_idle = |watched: &Watched, _| watched.host_no_idle_core_share;
    if let Some((member, share)) = worst(outcome, no_idle, NO_IDLE_CORE_SHARE_MAX) {
        let (of, share) = (of(member), percent(share));
        reasons.push(format!("no core{of} was idle for at least {share} of the window"));
    }
    reasons
}

/// The share of the window in which no core was idle, of the host where it was the greatest; `None` where
/// nobody watched one.
pub(super) fn no_idle_core_share(outcome: &Outcome) -> Option<f64> {
    let watched = outcome.reports.values().filter_map(|report| report.watched.as_ref());
    watched.filter_map(|watched| watched.host_no_idle_core_share).max_by(f64::total_cmp)
}

/// The share of the window that a member's threads waited for a processor.
pub(super) fn run_queue_share(watched: &Watched) -> Option<f64> {
    let over = watched.over.0;
    (over > 0).then(|| Some(watched.run_queue_delay?.0 as f64 / over as f64)).flatten()
}

/// The share of a member's datagrams that left too late.
fn late_share(watched: &Watched) -> Option<f64> {
    let released = watched.released_count.filter(|released| *released > 0)?;
    Some(watched.late_count? as f64 / released as f64)
}

/// The member with the largest share, if that is above `most`.
fn worst(
    outcome: &Outcome,
    share: impl Fn(&Watched, MemberName) -> Option<f64>,
    most: f64,
) -> Option<(MemberName, f64)> {
    let watched = outcome.reports.iter().filter_map(|(member, report)| {
        let share = share(report.watched.as_ref()?, *member)?;
        (share > most).then_some((*member, share))
    });
    watched.max_by(|(_, one), (_, other)| one.total_cmp(other))
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 10.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::plan::{Plan, Size};
    use crate::experiment::testing::{GOOD, source};
    use crate::quorum::NodeId;
    use crate::runtime::replica::Report as ReplicaReport;
    use crate::runtime::wan::lateness::TOLERANCE;
    use crate::time::Span;
    use crate::trial::{Report, RoleReport};

    /// A machine with nothing to do, for ten seconds.
    fn quiet() -> Watched {
        Watched {
            over: Span::from_millis(10_000),
            run_queue_delay: Some(Span::from_millis(999)),
            released_count: Some(1000),
            late_count: Some(10),
            host_busy_share: Some(0.949),
            host_no_idle_core_share: Some(0.5),
            ..Watched::default()
        }
    }

    /// Replicas that saw this.
    fn outcome(watched: &[Option<Watched>]) -> Outcome {
        let report = |watched| Report {
            role: RoleReport::Replica(ReplicaReport::default()),
            emulation: None,
            refused_count: 0,
            kernel_drop_count: None,
            usage: None,
            watched,
            file_count: 0,
        };
        let mut outcome = Outcome::default();
        for (id, watched) in (0..).zip(watched) {
            outcome.reports.insert(MemberName::Replica(NodeId(id)), report(*watched));
        }
        outcome
    }

    fn check(watched: Watched, expected: &[&str]) {
        let outcome = outcome(&[Some(quiet()), Some(watched), None]);
        assert_eq!(reasons(&outcome, Some(100.0), 99.5, ""), expected);
    }

    #[test]
    fn a_machine_that_keeps_up_is_not_marked_even_at_the_limits() {
        check(quiet(), &[]);
        assert!(reasons(&Outcome::default(), None, 0.0, "").is_empty());
        check(Watched::default(), &[]);
    }

    #[test]
    fn what_shows_that_it_did_not_is_said_in_words() {
        let waited = Some(Span::from_millis(1_400));
        check(
            Watched { run_queue_delay: waited, ..quiet() },
            &["r1 waited 14 % of the window for a processor"],
        );
        check(
            Watched { late_count: Some(23), ..quiet() },
            &["2.3 % of the datagrams of r1 left more than 300 us late"],
        );
        check(
            Watched { host_busy_share: Some(0.95), ..quiet() },
            &["the processors were busy for 95 % of the window"],
        );
        check(
            Watched { host_no_idle_core_share: Some(0.51), ..quiet() },
            &["no core was idle for at least 51 % of the window"],
        );
        assert_eq!(
            reasons(&outcome(&[Some(quiet())]), Some(100.0), 98.0, ""),
            ["achieved less than 99 % of what was offered"]
        );
        assert_eq!(TOLERANCE, Span::from_micros(300));
    }

    #[test]
    fn a_trial_is_limited_by_what_its_experiment_asks_for() {
        let cause_of = |asked: &str, backend| {
            let text = GOOD.replace("[durability]", &format!("{asked}\n[durability]"));
            let plan = Plan::from_source(&source(&text), Size::default()).unwrap();
            cause(&plan.points[0], backend)
        };
        let lossy = "[network]\nloss = 0.1\nbandwidth_mbit_per_s = 10\n";
        let words = ", with links that lose messages and wires of limited bandwidth as asked for";
        assert_eq!(cause_of(lossy, Backend::Live), words);
        // The machine alone.
        assert_eq!(cause_of("", Backend::Live), "");
        let work = "[service]\nsend = \"1us\"\n";
        assert_eq!(cause_of(work, Backend::Live), "");
        assert!(cause_of(work, Backend::Sim).contains("simulated work"));
        assert_eq!(cause_of("", Backend::Sim), ", although only delays take time");
        let said = reasons(&Outcome::default(), Some(100.0), 50.0, words);
        assert_eq!(said, [format!("achieved less than 99 % of what was offered{words}")]);
    }

    #[test]
    fn the_worst_member_is_named_and_a_shorter_watch_has_a_larger_share() {
        let watched = |over, waited| {
            let over = Span::from_millis(over);
            Some(Watched { over, run_queue_delay: Some(Span::from_millis(waited)), ..quiet() })
        };
        let outcome = outcome(&[watched(10_000, 2_000), watched(1_000, 300), watched(10_000, 0)]);
        assert_eq!(
            reasons(&outcome, None, 1.0, ""),
            ["r1 waited 30 % of the window for a processor"]
        );
    }

    #[test]
    fn the_host_with_the_fewest_idle_cores_speaks_for_the_trial() {
        let full = Watched { host_no_idle_core_share: Some(0.8), ..quiet() };
        let outcome = outcome(&[Some(quiet()), Some(full), Some(Watched::default()), None]);
        assert_eq!(no_idle_core_share(&outcome), Some(0.8));
        assert_eq!(no_idle_core_share(&Outcome::default()), None);
    }

    #[test]
    fn members_of_one_process_do_not_say_what_they_waited() {
        let shared = Watched { run_queue_delay: None, released_count: None, ..quiet() };
        check(shared, &[]);
    }
}
