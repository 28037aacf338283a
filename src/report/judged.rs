//! What the two judges said of all trials of a run, in one line.

use std::collections::BTreeMap;

use crate::findings::Finished;
use crate::measure::rows::TrialRow;

/// `histories of 3 trials: clients linearizable; logs agree 2, incomplete 1`; `None` if nothing was
/// checked.
pub fn judged(finished: &[Finished]) -> Option<String> {
    line(&finished.iter().map(|ended| &ended.row).collect::<Vec<_>>())
}

fn line(rows: &[&TrialRow]) -> Option<String> {
    let checked = rows.iter().filter(|row| !row.clients_verdict.is_empty()).count();
    let trials = if checked == 1 { "1 trial".to_owned() } else { format!("{checked} trials") };
    (checked > 0).then(|| {
        let clients = words(rows.iter().map(|row| row.clients_verdict.as_str()));
        let logs = words(rows.iter().map(|row| row.logs_verdict.as_str()));
        format!("histories of {trials}: clients {clients}; logs {logs}")
    })
}

/// Each word once, and how often where there are several.
fn words<'a>(of: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in of.filter(|word| !word.is_empty()) {
        *counts.entry(word).or_default() += 1;
    }
    let is_one = counts.len() == 1;
    let shown = counts
        .iter()
        .map(|(word, count)| if is_one { (*word).to_owned() } else { format!("{word} {count}") });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(clients: &str, logs: &str) -> TrialRow {
        TrialRow {
            clients_verdict: clients.into(),
            logs_verdict: logs.into(),
            ..TrialRow::default()
        }
    }

    #[test]
    fn the_judges_of_all_trials_are_one_line() {
        let (good, short) = (row("linearizable", "agree"), row("linearizable", "incomplete"));
        let refused = row("", "");
        let said = |rows: &[&TrialRow]| line(rows).unwrap_or_default();
        assert_eq!(said(&[&good]), "histories of 1 trial: clients linearizable; logs agree");
        assert_eq!(
            said(&[&good, &short, &refused, &good]),
            "histories of 3 trials: clients linearizable; logs agree 2, incomplete 1"
        );
        assert_eq!(line(&[&refused]), None);
    }
}
