//! Whether a trial may have numbers at all: its history, and the network it was promised.

use super::evidence::{self, Gaps, Piece};
use super::histories::{self, Allowance, Checked};
use super::twins::Twins;
use crate::deployment::MemberName;
use crate::history::{Verdict, oracle};
use crate::measure::rows::{Flag, Note};
use crate::registry::Mode;
use crate::runtime::storage::Tail;
use crate::time::Span;
use crate::trial::{Outcome, ProbedNetwork};

/// A link that is later than this in the median did not have the latency that was asked for.
const LATE_P50_MAX: Span = Span::from_millis(1);

/// Clocks that may be further apart than this hide stale reads that a person would call slow.
const APART_MAX: Span = Span::from_millis(1);

/// How the note of [`Flag::Incomplete`] begins.
pub const INCOMPLETE: &str = "incomplete: ";

/// What was found out about a trial.
#[derive(Debug, Default)]
pub struct Findings {
    /// The histories, as they lie on the disk.
    pub files: Vec<Piece>,
    /// What the check of the histories counted; `None` if they could not be read.
    pub verdict: Option<Verdict>,
    /// What the oracle of what clients saw counted; `None` if that could not be read.
    pub seen: Option<oracle::Verdict>,
    /// Violations of safety, as sentences.
    pub violations: Vec<String>,
    /// Other reasons why the numbers cannot be believed, as sentences: the injected network was not
    /// the one asked for, or a history could not be read.
    pub unfit: Vec<String>,
    /// What the histories cannot show, because some of them are missing, cut off or changed.
    pub gaps: Gaps,
    /// What else to know.
    pub notes: Vec<Note>,
    /// What the judges allowed for.
    pub allowance: Allowance,
}

impl Findings {
    /// Whether the trial's numbers can be believed.
    pub const fn is_valid(&self) -> bool {
        self.violations.is_empty() && self.unfit.is_empty()
    }

    /// Why the numbers cannot be believed: the first line of the first violation, with the number of the
    /// others, and all other reasons.
    pub fn reason(&self) -> String {
        let first = self.violations.first().and_then(|violation| violation.lines().next());
        let mut reasons: Vec<String> = first.into_iter().map(str::to_owned).collect();
        match self.violations.len() {
            0 | 1 => {}
            2 => reasons.push("1 more violation".into()),
            count => reasons.push(format!("{} more violations", count - 1)),
        }
        reasons.extend(self.unfit.iter().cloned());
        reasons.join(", ")
    }

    /// How many violations the histories show; `None` if they were not checked.
    pub fn violation_count(&self) -> Option<u64> {
        let logs = self.verdict.as_ref().map(|verdict| verdict.violation_count);
        let seen = self.seen.as_ref().map(|verdict| verdict.violation_count);
        logs.map(|count| count + seen.unwrap_or(0)).or(seen)
    }

    /// What the logs of replicas say, as a word: `agree`, `violated`, `incomplete` or `unreadable`;
    /// nothing if they were not checked.
    pub fn logs_verdict(&self) -> &'static str {
        match &self.verdict {
            None if self.is_unchecked() => "",
            None => "unreadable",
            Some(verdict) if !verdict.is_valid() => "violated",
            // They are compared with what clients were told.
            Some(_) if !self.gaps.is_empty() => "incomplete",
            Some(_) => "agree",
        }
    }

    /// What clients saw, as a word: `linearizable`, `stale-bounded`, `violated`, `undecided`, `incomplete` or
    /// `unreadable`; nothing if it was not checked.
    pub fn clients_verdict(&self) -> &'static str {
        match &self.seen {
            None if self.is_unchecked() => "",
            None => "unreadable",
            Some(seen) if !seen.is_valid() => "violated",
            Some(seen) if seen.undecided_count > 0 => "undecided",
            Some(seen) if seen.cut_count > 0 || !self.gaps.clients.is_empty() => "incomplete",
            Some(_) if self.allowance.may_miss > Span::ZERO => "stale-bounded",
            Some(_) => "linearizable",
        }
    }

    /// Neither judge was asked: the trial did not run.
    const fn is_unchecked(&self) -> bool {
        self.verdict.is_none() && self.seen.is_none() && self.files.is_empty()
    }

    /// Adds what the histories say, which are these files.
    pub fn add_histories(&mut self, checked: Checked, files: Vec<Piece>) {
        let Checked { logs, seen } = checked;
        let mut unreadable = Vec::new();
        match logs {
            Ok(verdict) => {
                self.violations.extend(verdict.violations.iter().map(ToString::to_string));
                self.gaps.logs.extend(evidence::unlogged(&verdict, &files));
                self.verdict = Some(verdict);
            }
            Err(error) => unreadable.push(error),
        }
        match seen {
            Ok(verdict) => {
                self.violations.extend(verdict.violations.iter().map(ToString::to_string));
                self.gaps.clients.extend(verdict.undecided());
                self.seen = Some(verdict);
            }
            Err(error) => unreadable.push(error),
        }
        let mut unfit: Vec<String> =
            unreadable.iter().map(|error| format!("a history cannot be read: {error}")).collect();
        // Both read the histories of clients.
        unfit.dedup();
        self.unfit.extend(unfit);
        self.files = files;
    }
}

/// Checks what came of a trial.
///
/// What its reads may miss follows from the mode.
pub fn verify(members: &[MemberName], outcome: &Outcome, mode: Mode) -> Findings {
    let violations = outcome.violations.clone();
    let clocks_apart = outcome.clocks_apart().unwrap_or(Span::ZERO);
    let (may_miss, has_sessions) = (mode.may_miss(), mode.has_sessions());
    let allowance = Allowance { clocks_apart, may_miss, has_sessions };
    let mut findings = Findings { violations, allowance, ..Findings::default() };
    let broken = outcome.broken.map(|rule| rule.to_string());
    let broken = broken.into_iter().chain(outcome.broken_disk.map(|rule| rule.to_string()));
    let broken =
        broken.map(|rule| Flag::BrokenOnPurpose.note(format!("broken on purpose: {rule}")));
    findings.notes.extend(broken);
    if let Some(refusal) = outcome.refusal() {
        // It did not run: there is nothing else to check.
        findings.unfit.push(refusal.clone());
        findings.notes.push(Flag::Refused.note(refusal));
        return findings;
    }
    let twins = Twins::find(&outcome.files);
    let files = evidence::read(&outcome.files, &twins);
    findings.gaps = evidence::unfinished(members, outcome, &files);
    let checked = histories::check(members, &outcome.files, &twins, allowance);
    findings.add_histories(checked, files);
    findings.notes.extend(apart_clocks(clocks_apart));
    check_network(outcome, &mut findings);
    let network = outcome.network.as_ref();
    let floored =
        network.and_then(ProbedNetwork::floored).map(|text| Flag::FlooredLinks.note(text));
    let noisy = network.and_then(ProbedNetwork::noisy).map(|text| Flag::NoisyLinks.note(text));
    findings.notes.extend(floored.into_iter().chain(noisy));
    for (member, recoveries) in &outcome.recoveries {
        for recovery in recoveries {
            if let Tail::Torn { segment, offset, lost_bytes } = &recovery.tail {
                let segment = segment.display();
                let text = format!(
                    "{member} cut a torn frame of {lost_bytes} bytes at {offset} of {segment}"
                );
                findings.notes.push(Flag::TornFrame.note(text));
            }
        }
    }
    for (member, reason) in &outcome.lost {
        let is_expended = outcome.expended.contains(member);
        let flag = if is_expended { Flag::LostHost } else { Flag::LostMember };
        findings.notes.push(flag.note(format!("lost {member} ({reason})")));
    }
    let incomplete = |gap| Flag::Incomplete.note(format!("{INCOMPLETE}{gap}"));
    findings.notes.extend(findings.gaps.iter().map(incomplete));
    findings
}

/// Says that the check of real time was weak, where clocks were not known well.
fn apart_clocks(apart: Span) -> Option<Note> {
    (apart > APART_MAX).then(|| {
        Flag::ApartClocks.note(format!(
            "apart clocks: those of two hosts may have been {} ms apart, so the order in real time of their \
             clients was checked only where it is clear by more",
            apart.milliseconds()
        ))
    })
}

/// A run that could not inject the latency it was asked for says so.
fn check_network(outcome: &Outcome, findings: &mut Findings) {
    for (member, report) in &outcome.reports {
        if let Some(drops) = report.kernel_drop_count.filter(|drops| *drops > 0) {
            let text = format!("{member}: the kernel dropped {drops} datagrams for want of buffer");
            if outcome.was_paused(*member) {
                let text = format!("{text}: it was paused");
                findings.notes.push(Flag::KernelDrops.note(text));
            } else {
                findings.unfit.push(text);
            }
        }
        let Some(emulation) = &report.emulation else { continue };
        let counts = [
            (emulation.dropped, "datagrams dropped by a link that held too much"),
            (emulation.send_errors, "datagrams that the kernel refused"),
            (emulation.early, "datagrams released too early"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            findings.unfit.push(format!("{member}: {count} {what}"));
        }
        if emulation.unknown_destination > 0 {
            // Every member has a link to each of its peers, so this was a stranger.
            let count = emulation.unknown_destination;
            let text = format!("{member} left {count} datagrams to strangers unsent");
            findings.notes.push(Flag::Strangers.note(text));
        }
        if let Some(late) = emulation.lateness_p50.filter(|late| *late > LATE_P50_MAX) {
            findings.unfit.push(format!("{member}: half of its datagrams left {late} late"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::deployment::{FaultKind, InjectedFault};
    use crate::history::{ChosenWriter, ClientWriter, Issued, Kind, Returned};
    use crate::protocol::{Progress, Slot};
    use crate::quorum::NodeId;
    use crate::runtime::replica::{Recovery, Report as ReplicaReport};
    use crate::runtime::wan::EmulationReport;
    use crate::runtime::wan::sabotage::Rule;
    use crate::time::Time;
    use crate::trial::{ProbedLink, Report, RoleReport};

    const R0: MemberName = MemberName::Replica(NodeId(0));
    const R1: MemberName = MemberName::Replica(NodeId(1));
    const C0: MemberName = MemberName::Client(crate::command::ClientId(0));

    /// A trial of one replica and one client in which nothing happened.
    struct Quiet {
        folder: tempfile::TempDir,
        outcome: Outcome,
    }

    impl Quiet {
        fn new() -> Self {
            let mut quiet =
                Self { folder: tempfile::tempdir().unwrap(), outcome: Outcome::default() };
            let replica = ChosenWriter::new(NodeId(0), Slot::ZERO);
            quiet.write(R0, &replica.finish());
            quiet.write(C0, &ClientWriter::new(crate::command::ClientId(0)).finish());
            quiet
        }

        fn write(&mut self, member: MemberName, history: &[u8]) {
            let path: PathBuf = self.folder.path().join(member.to_string());
            std::fs::write(&path, history).unwrap();
            self.outcome.files.insert(member, vec![path]);
        }

        fn emulated(mut self, emulation: EmulationReport) -> Self {
            let report = Report {
                role: RoleReport::Replica(ReplicaReport::default()),
                emulation: Some(emulation),
                refused_count: 0,
                kernel_drop_count: Some(0),
                usage: None,
                watched: None,
                file_count: 1,
            };
            self.outcome.reports.insert(R0, report);
            self
        }

        fn verify(&self) -> Findings {
            verify(&[R0, C0], &self.outcome, Mode::CLASSIC)
        }
    }

    #[test]
    fn the_reason_names_one_violation_and_all_that_is_unfit() {
        let reason = |violations: &[&str], unfit: &[&str]| {
            let [violations, unfit] =
                [violations, unfit].map(|texts| texts.iter().map(ToString::to_string).collect());
            Findings { violations, unfit, ..Findings::default() }.reason()
        };
        assert_eq!(reason(&["split\nof which"], &[]), "split");
        assert_eq!(reason(&["split", "lost"], &[]), "split, 1 more violation");
        assert_eq!(
            reason(&["split", "lost", "late"], &["r1: 3"]),
            "split, 2 more violations, r1: 3"
        );
        assert_eq!(reason(&[], &["r1: 3", "r2: 4"]), "r1: 3, r2: 4");
    }

    #[test]
    fn a_quiet_trial_is_valid() {
        let asked_for = EmulationReport {
            lost: 5,
            queue_dropped: 6,
            duplicated: 7,
            reordered: 8,
            ..EmulationReport::default()
        };
        for emulation in [EmulationReport::default(), asked_for] {
            let findings = Quiet::new().emulated(emulation).verify();
            assert!(findings.is_valid() && findings.notes.is_empty(), "{findings:?}");
        }
        let findings = Quiet::new().emulated(EmulationReport::default()).verify();
        assert_eq!(findings.verdict.unwrap().operation_count, 0);
    }

    #[test]
    fn a_network_that_was_not_the_one_asked_for_makes_a_trial_unfit() {
        let quiet = EmulationReport::default;
        let late = Some(Span::from_millis(2));
        let unfit = [
            (EmulationReport { dropped: 3, ..quiet() }, "r0: 3 datagrams dropped by a link"),
            (EmulationReport { send_errors: 1, ..quiet() }, "r0: 1 datagrams that the kernel"),
            (EmulationReport { early: 2, ..quiet() }, "r0: 2 datagrams released too early"),
            (EmulationReport { lateness_p50: late, ..quiet() }, "half of its datagrams left"),
        ];
        for (emulation, said) in unfit {
            let findings = Quiet::new().emulated(emulation).verify();
            assert!(!findings.is_valid() && findings.violations.is_empty());
            assert!(findings.unfit[0].contains(said), "{findings:?}");
        }
        let mut dropped = Quiet::new().emulated(quiet());
        dropped.outcome.reports.get_mut(&R0).unwrap().kernel_drop_count = Some(5);
        let mut paused = Quiet::new().emulated(quiet());
        paused.outcome.reports.get_mut(&R0).unwrap().kernel_drop_count = Some(5);
        let kind = FaultKind::Pause { replica: NodeId(0) };
        let injected =
            InjectedFault { fault: 0, kind, at: Time(1), ended_at: None, caught_up_at: None };
        paused.outcome.injected.push(injected);
        let findings = paused.verify();
        assert!(findings.is_valid() && findings.notes[0].text.contains("paused"), "{findings:?}");
        assert!(dropped.verify().unfit[0].contains("the kernel dropped 5 datagrams"));
    }

    #[test]
    fn clocks_that_are_far_apart_are_said_to_be() {
        let mut quiet = Quiet::new();
        let error = |micros| Span::from_micros(micros);
        quiet.outcome.clock_errors = [(R0, error(300)), (C0, error(400))].into();
        assert!(quiet.verify().notes.is_empty());
        quiet.outcome.clock_errors.insert(R1, error(900));
        let findings = quiet.verify();
        assert!(findings.is_valid() && findings.notes[0].text.contains("1.300 ms"), "{findings:?}");
    }

    #[test]
    fn a_refused_trial_is_unfit_and_nothing_else_is_said_of_it() {
        let mut quiet = Quiet::new();
        quiet.outcome.files.clear();
        let link = ProbedLink {
            from: R0,
            to: C0,
            from_region: "a".into(),
            to_region: "b".into(),
            asked_least: Span::from_millis(1),
            asked_p50: Span::from_millis(1),
            asked_p99: Span::from_millis(1),
            asked_p99_low: Span::from_millis(1),
            crossing: None,
            baseline: None,
            heard: None,
            tolerance: Span::from_millis(1),
        };
        let network = ProbedNetwork { attempts: vec![vec![link]], is_emulated: true };
        quiet.outcome.network = Some(network);
        quiet.outcome.broken = Some(Rule::DelayTwice);
        let findings = quiet.verify();
        assert!(!findings.is_valid() && findings.violations.is_empty());
        assert!(findings.verdict.is_none() && findings.violation_count().is_none());
        assert!(findings.unfit[0].contains("r0 (a) → c0 (b) was not measured"), "{findings:?}");
        assert_eq!(findings.notes[0], Flag::BrokenOnPurpose.note("broken on purpose: delay-twice"));
        assert_eq!(findings.notes[1..], [Flag::Refused.note(&findings.unfit[0])]);
    }

    #[test]
    fn a_stranger_is_worth_a_flag() {
        let emulation = EmulationReport { unknown_destination: 4, ..Default::default() };
        let findings = Quiet::new().emulated(emulation).verify();
        assert!(findings.is_valid());
        assert!(findings.notes[0].text.contains("4 datagrams to strangers"), "{findings:?}");
    }

    #[test]
    fn a_torn_tail_and_a_lost_member_are_said() {
        let mut quiet = Quiet::new();
        let tail = Tail::Torn { segment: "1.log".into(), offset: 96, lost_bytes: 7 };
        let recovery =
            Recovery { group_count: 1, has_checkpoint: false, tail, progress: Progress::default() };
        quiet.outcome.recoveries.insert(R0, vec![recovery]);
        quiet.outcome.lost.insert(C0, "killed".into());
        let expected = [
            Flag::TornFrame.note("r0 cut a torn frame of 7 bytes at 96 of 1.log"),
            Flag::LostMember.note("lost c0 (killed)"),
        ];
        assert_eq!(quiet.verify().notes, expected);
    }

    #[test]
    fn a_trial_is_complete_without_an_expendable_host() {
        let mut quiet = Quiet::new();
        quiet.outcome.lost.insert(R0, "host n1 is lost".into());
        assert!(!quiet.outcome.is_complete());
        quiet.outcome.expended.insert(R0);
        assert!(quiet.outcome.is_complete());
        assert_eq!(quiet.verify().notes, [Flag::LostHost.note("lost r0 (host n1 is lost)")]);
        quiet.outcome.lost.insert(C0, "killed".into());
        assert!(!quiet.outcome.is_complete(), "another member was lost besides");
    }

    #[test]
    fn a_history_that_cannot_be_read_is_unfit_and_no_violation() {
        let mut quiet = Quiet::new();
        quiet.write(R0, b"something else");
        let findings = quiet.verify();
        assert!(!findings.is_valid() && findings.violations.is_empty());
        assert!(findings.unfit[0].contains("a history cannot be read"), "{findings:?}");
        // What clients saw needs no log.
        assert!(findings.verdict.is_none() && findings.seen.is_some());
        // Both judges read the client, and it is said once.
        quiet.write(R0, &ChosenWriter::new(NodeId(0), Slot::ZERO).finish());
        quiet.write(C0, b"something else");
        let findings = quiet.verify();
        assert_eq!(findings.unfit.len(), 1, "{findings:?}");
        assert!(findings.unfit[0].contains("not a client history"), "{findings:?}");
    }

    /// A trial of two replicas of which r0 was killed, and a client that was told of one write.
    fn acknowledged(log_of_r1: impl FnOnce(&mut ChosenWriter)) -> Quiet {
        let mut quiet = Quiet::new();
        let mut client = ClientWriter::new(crate::command::ClientId(0));
        let (kind, digest) = (Kind::Write, 0xab);
        client.invoke(&Issued { sequence: 0, intended_at: Time(1), kind, key: 1, digest });
        client.returned(&Returned {
            sequence: 0,
            at: Time(2),
            slot: Slot(0),
            is_beside: false,
            digest: None,
        });
        quiet.write(C0, &client.finish());
        // What r0 executed was in the memory of its process.
        quiet.write(R0, b"");
        let mut log = ChosenWriter::new(NodeId(1), Slot::ZERO);
        log_of_r1(&mut log);
        quiet.write(R1, &log.finish());
        quiet
    }

    /// The log entry of that write.
    fn entry() -> crate::history::Entry {
        let client = crate::command::ClientId(0);
        let request = crate::command::RequestId { client, sequence: 0 };
        let (kind, key, digest) = (Kind::Write, 1, 0xab);
        let command = Some(crate::history::EntryCommand { request, kind, key, digest });
        crate::history::Entry { slot: Slot::ZERO, command, applied: true }
    }

    #[test]
    fn an_acknowledged_write_in_no_log_leaves_the_trial_incomplete() {
        let verify = |quiet: &Quiet| verify(&[R0, R1, C0], &quiet.outcome, Mode::CLASSIC);
        let findings = verify(&acknowledged(|_| {}));
        let said = "1 of 1 acknowledged operations are in no replica's log (cut off: chosen.r0.0)";
        assert_eq!(findings.gaps.logs, [said]);
        assert_eq!(findings.notes, [Flag::Incomplete.note(format!("{INCOMPLETE}{said}"))]);
        let words = (findings.clients_verdict(), findings.logs_verdict());
        assert_eq!(words, ("linearizable", "incomplete"));
        assert!(findings.is_valid());
        // A log that was cut with its process is no gap where another one holds what it held.
        let findings = verify(&acknowledged(|log| log.entry(&entry())));
        assert!(findings.gaps.is_empty() && findings.notes.is_empty(), "{findings:?}");
        assert_eq!(findings.logs_verdict(), "agree");
    }

    #[test]
    fn a_member_that_ended_by_itself_must_have_finished_its_history() {
        for history in [Some(b"".as_slice()), None] {
            let mut quiet = Quiet::new().emulated(EmulationReport::default());
            match history {
                Some(history) => quiet.write(R0, history),
                None => drop(quiet.outcome.files.remove(&R0)),
            }
            let findings = quiet.verify();
            assert_eq!(findings.gaps.logs.len(), 1, "{findings:?}");
            assert!(findings.notes[0].text.starts_with("incomplete: r0 "), "{findings:?}");
            assert_eq!(findings.logs_verdict(), "incomplete");
        }
    }

    /// The replica's log agrees with its client, and both are impossible.
    #[test]
    fn what_clients_saw_is_judged_without_the_logs() {
        let mut quiet = Quiet::new();
        let mut client = ClientWriter::new(crate::command::ClientId(0));
        let kind = Kind::Read;
        client.invoke(&Issued { sequence: 0, intended_at: Time(1), kind, key: 1, digest: 0 });
        let digest = Some(0xab);
        client.returned(&Returned {
            sequence: 0,
            at: Time(2),
            slot: Slot(0),
            is_beside: false,
            digest,
        });
        quiet.write(C0, &client.finish());
        quiet.outcome.files.remove(&R0);
        // Its log is lost, so nothing contradicts what was read; but nobody wrote it.
        let findings = quiet.verify();
        assert_eq!(findings.verdict.as_ref().unwrap().violation_count, 0, "{findings:?}");
        assert_eq!(findings.violation_count(), Some(1));
        assert!(findings.violations[0].starts_with("key 1 is not linearizable"), "{findings:?}");
    }

    #[test]
    fn a_member_without_a_history_is_missed_and_accuses_nobody() {
        let mut quiet = Quiet::new();
        let mut log = ChosenWriter::new(NodeId(0), Slot::ZERO);
        let request =
            crate::command::RequestId { client: crate::command::ClientId(0), sequence: 0 };
        let command =
            crate::history::EntryCommand { request, kind: Kind::Write, key: 1, digest: 2 };
        let slot = Slot::ZERO;
        log.entry(&crate::history::Entry { slot, command: Some(command), applied: true });
        quiet.write(R0, &log.finish());
        // Its whole history says that it issued nothing: somebody made the command up.
        assert_eq!(quiet.verify().violations.len(), 1);
        quiet.outcome.files.remove(&C0);
        let findings = quiet.verify();
        assert!(findings.is_valid(), "{findings:?}");
        assert_eq!(findings.verdict.unwrap().unverified_count, 1);
        // And with what it issued, all is well.
        let mut client = ClientWriter::new(crate::command::ClientId(0));
        let issued =
            Issued { sequence: 0, intended_at: Time(1), kind: Kind::Write, key: 1, digest: 2 };
        client.invoke(&issued);
        quiet.write(C0, &client.finish());
        let verdict = quiet.verify().verdict.unwrap();
        assert_eq!((verdict.violation_count, verdict.unverified_count), (0, 0));
    }
}
