//! What a case draws, in words.

use super::case::ms;
use super::triggers::{Blow, Occasion, TriggeredFault, Victim};
use crate::deployment::{Durability, FaultKind, Unsynced};
use crate::protocol::{Bounds, SendPolicy};
use crate::workload::{Arrival, Keys, Workload};

/// `a closed loop of 3 clients, 4 keys, values of 8 B, 50 % reads`.
pub(super) fn load(workload: &Workload) -> String {
    let Workload { arrival, keys, value_bytes, reads, .. } = workload;
    let arrival = match arrival {
        Arrival::Poisson { rate_per_s } => format!("{rate_per_s:.1} operations a second at random"),
        Arrival::Fixed { rate_per_s } => {
            format!("{rate_per_s:.1} operations a second, evenly spaced")
        }
        Arrival::Closed { clients } => format!("a closed loop of {clients} clients"),
    };
    let keys = match keys {
        Keys::Uniform { count } => format!("{count} keys"),
        Keys::Zipf { count, exponent } => format!("{count} keys by Zipf {exponent}"),
    };
    format!("{arrival}, {keys}, values of {value_bytes} B, {:.0} % reads", reads * 100.0)
}

pub(super) const fn send(policy: SendPolicy) -> &'static str {
    match policy {
        SendPolicy::All => "phase 2 sent to all",
        SendPolicy::Quorum => "phase 2 sent to a quorum",
    }
}

pub(super) const fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Memory => "nothing is synced",
        Durability::Fsync => "synced to disk",
    }
}

/// The bounds, which no experiment makes this small.
pub(super) fn bounds(bounds: &Bounds) -> String {
    let Bounds { horizon, answer_bytes, resent_bytes, lag, forgotten_at_once } = bounds;
    format!(
        "horizon {horizon} slots, answers of {answer_bytes} B, proposed again {resent_bytes} B at once, \
         lag {lag} slots, {forgotten_at_once} slots forgotten at once"
    )
}

/// `messages {0} -> {1, 2} are lost`.
pub(super) fn fault(kind: &FaultKind) -> String {
    let percent = |share: &f64| format!("{:.0} %", share * 100.0);
    match kind {
        FaultKind::Crash { replica, unsynced } => format!("{replica} is down, {}", left(*unsynced)),
        FaultKind::Pause { replica } => format!("{replica} stands still"),
        FaultKind::Partition { side } => format!("{side} and the others are cut apart"),
        FaultKind::Cut { from, to } => format!("messages {from} -> {to} are lost"),
        FaultKind::Slow { from, to, by } => {
            format!("messages {from} -> {to} take {} longer", ms(*by))
        }
        FaultKind::Lose { from, to, share } => {
            format!("{} of messages {from} -> {to} are lost", percent(share))
        }
        FaultKind::Duplicate { from, to, share } => {
            format!("{} of messages {from} -> {to} arrive twice", percent(share))
        }
        FaultKind::Reorder { from, to, spread } => {
            format!("messages {from} -> {to} overtake, by up to {}", ms(*spread))
        }
        FaultKind::SlowDisk { replica, by } => {
            format!("syncs of {replica} take {} longer", ms(*by))
        }
        FaultKind::FullDisk { replica } => format!("the disk of {replica} is full"),
        FaultKind::Campaign { replica } => format!("{replica} is told to lead"),
    }
}

/// `a replica begins to lead, 2 of these after 1 that pass: it is cut off 0.000 ms later for 4.000 ms`.
pub(super) fn triggered(fault: &TriggeredFault) -> String {
    let TriggeredFault { occasion, skipped, times, after, victim, blow, lasts } = *fault;
    let passing = if skipped == 0 { String::new() } else { format!(" after {skipped} that pass") };
    let (victim, blow) = (self::victim(victim), self::blow(blow));
    let (after, lasts) = (ms(after), ms(lasts));
    format!(
        "a replica {}, {times} of these{passing}: {victim} {blow} {after} later for {lasts}",
        self::occasion(occasion)
    )
}

const fn occasion(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Reserves => "asks for rounds to be reserved",
        Occasion::Campaigns => "begins phase 1",
        Occasion::Announces => "announces another phase-2 quorum",
        Occasion::Leads => "begins to lead",
        Occasion::Settles => "asks others to settle its ballot",
        Occasion::Checkpoints => "has a durable checkpoint",
        Occasion::Installs => "installs the state of another one",
        Occasion::Restarts => "starts again",
    }
}

fn victim(victim: Victim) -> String {
    match victim {
        Victim::Itself => "it".into(),
        Victim::LedBefore => "who led before it".into(),
        Victim::Both => "it and who led before it each".into(),
        Victim::Announced(place) => format!("member {place} of the quorum it announced"),
        Victim::Another(place) => format!("member {place} of the others"),
    }
}

fn blow(blow: Blow) -> String {
    match blow {
        Blow::Crash(unsynced) => format!("crashes, {},", left(unsynced)),
        Blow::Pause => "stands still".into(),
        Blow::Partition => "is cut off".into(),
        Blow::Deafen => "does not hear it, or is not heard,".into(),
        Blow::Campaign => "is told to lead".into(),
    }
}

/// What becomes of records that were not yet synced.
const fn left(unsynced: Unsynced) -> &'static str {
    match unsynced {
        Unsynced::Lost => "what was not synced is lost",
        Unsynced::Torn => "half of what was not synced is left",
        Unsynced::Written => "all that was not synced is left",
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::Case;
    use super::super::limits::Limits;

    /// The text of a case has no struct or type of the code.
    #[test]
    fn a_case_is_told_in_words_and_in_80_columns() {
        for seed in 0..300 {
            let text = Case::draw(seed, &Limits::default()).to_string();
            for line in text.lines() {
                assert!(!line.contains("::") && !line.contains(" { "), "{line}");
                assert!(line.starts_with("seed ") || line.chars().count() <= 80, "{line}");
                assert!(!line.contains("NodeSet(") && !line.contains("NodeId("), "{line}");
            }
        }
    }
}
