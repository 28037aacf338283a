//! The script that kills replicas a thousand times, in the size of a test, and its control.

use super::*;

/// The script with these words, on the program under test.
fn kill_rounds(words: &[&str]) -> Ended {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("bash");
    command.arg(folder.join("scripts/kill_rounds.sh")).args(words);
    command.env("FLEXPAXOS", FLEXPAXOS).env("SECONDS_PER_RUN", "3").env("NO_COLOR", "1");
    Ended::of(command)
}

#[test]
fn replicas_that_are_killed_at_any_instant_lose_nothing_that_was_acknowledged() {
    kill_rounds(&["8", "1"]).check(0, &["8 rounds in", "0 lost, 0 violations, 0 runs not whole"]);
}

#[test]
fn replicas_without_a_disk_that_are_killed_at_once_are_caught_by_the_check() {
    kill_rounds(&["--control"])
        .check(0, &["nothing on disk: exit code 5", "disks that do not sync: exit code 5"]);
}

#[test]
fn words_that_are_no_numbers_are_refused() {
    kill_rounds(&["many"]).check(2, &["many is no number", "usage"]);
}
