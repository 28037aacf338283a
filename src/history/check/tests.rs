//! A small correct run, and what the oracle says of it after each kind of damage.

use super::operations::Known;
use super::*;
use crate::command::{ClientId, RequestId, entry_digest};
use crate::history::{
    ChosenWriter, ClientWriter, Entry, EntryCommand, Event, Issued, Kind, Record, Returned,
};
use crate::protocol::Installed;
use crate::quorum::NodeId;
use crate::time::Time;

/// Everything that was written down in one run.
#[derive(Clone)]
struct Run {
    clients: Vec<Vec<Event>>,
    logs: Vec<Vec<Record>>,
}

fn command(client: u32, sequence: u64, kind: Kind, key: u64, digest: u32) -> EntryCommand {
    EntryCommand { request: RequestId { client: ClientId(client), sequence }, kind, key, digest }
}

/// Three replicas, two clients, one key and a few more:
///
/// | slot | |
/// |---|---|
/// | 0 | a no-op |
/// | 1 | client 0 writes aa under 7 |
/// | 2 | client 1 reads 7: aa |
/// | 3 | client 0 writes bb under 7 |
/// | 4 | client 0's write of bb again, not applied |
/// | 5 | client 1 reads 7: bb |
/// | 6 | client 1 reads 8: nothing |
/// | 7 | client 1 writes cc under 8, and is never told |
///
/// Each operation begins after the one before has returned.
fn clean() -> Run {
    use Kind::{Read, Write};
    let commands = [
        None,
        Some((command(0, 0, Write, 7, 0xaa), true)),
        Some((command(1, 0, Read, 7, 0), true)),
        Some((command(0, 1, Write, 7, 0xbb), true)),
        Some((command(0, 1, Write, 7, 0xbb), false)),
        Some((command(1, 1, Read, 7, 0), true)),
        Some((command(1, 2, Read, 8, 0), true)),
        Some((command(1, 3, Write, 8, 0xcc), true)),
    ];
    let entries: Vec<Record> = (0..)
        .zip(&commands)
        .map(|(slot, command)| {
            Record::Entry(Entry {
                slot: Slot(slot),
                command: command.map(|(command, _)| command),
                applied: command.is_some_and(|(_, applied)| applied),
            })
        })
        .collect();
    let log: Vec<Record> = std::iter::once(Record::Start(Slot(0))).chain(entries).collect();
    let mut clients = vec![Vec::new(), Vec::new()];
    let reads = [(2, Some(0xaa)), (5, Some(0xbb)), (6, None)];
    for slot in [1_u64, 2, 3, 5, 6, 7] {
        let (command, _) = commands[usize::try_from(slot).unwrap()].unwrap();
        let EntryCommand { request, kind, key, digest } = command;
        let history = &mut clients[usize::try_from(request.client.0).unwrap()];
        let intended_at = Time(slot * 1_000_000);
        let sequence = request.sequence;
        history.push(Event::Invoke(Issued { sequence, intended_at, kind, key, digest }));
        if slot != 7 {
            let digest = reads.iter().find(|(at, _)| *at == slot).and_then(|(_, digest)| *digest);
            let at = Time(intended_at.0 + 500_000);
            history.push(Event::Return(Returned {
                sequence,
                at,
                slot: Slot(slot),
                is_beside: false,
                digest,
            }));
        }
    }
    // Replicas may have executed prefixes of different lengths.
    Run { clients, logs: vec![log.clone(), log[..7].to_vec(), log[..4].to_vec()] }
}

impl Run {
    fn client_bytes(&self) -> Vec<Vec<u8>> {
        (0..)
            .zip(&self.clients)
            .map(|(client, events)| {
                let mut writer = ClientWriter::new(ClientId(client));
                for event in events {
                    match event {
                        Event::Invoke(issued) => writer.invoke(issued),
                        Event::Return(returned) => writer.returned(returned),
                    }
                }
                writer.finish()
            })
            .collect()
    }

    fn log_bytes(&self) -> Vec<Vec<u8>> {
        (0..)
            .zip(&self.logs)
            .map(|(node, records)| {
                let mut bytes = Vec::new();
                let mut writer = None;
                for record in records {
                    match record {
                        Record::Start(slot) => {
                            let next = ChosenWriter::new(NodeId(node), *slot);
                            let before = writer.replace(next);
                            bytes.extend(before.map(ChosenWriter::finish).unwrap_or_default());
                        }
                        Record::Entry(entry) => writer.as_mut().unwrap().entry(entry),
                        Record::Installed(state) => writer.as_mut().unwrap().installed(*state),
                    }
                }
                bytes.extend(writer.unwrap().finish());
                bytes
            })
            .collect()
    }

    fn verdict(&self) -> Verdict {
        verdict(Options::default(), &self.client_bytes(), &self.log_bytes())
    }

    fn entry(&mut self, replica: usize, slot: usize) -> &mut Entry {
        let Record::Entry(entry) = &mut self.logs[replica][slot + 1] else { unreachable!() };
        entry
    }

    /// Changes the entry of one slot in every log that has it.
    fn change(&mut self, slot: usize, change: impl Fn(&mut Entry)) {
        for replica in 0..self.logs.len() {
            if self.logs[replica].len() > slot + 1 {
                change(self.entry(replica, slot));
            }
        }
    }

    /// Gives an operation other times.
    fn moved(&mut self, client: usize, sequence: u64, intended_at: u64, returned_at: u64) {
        for event in &mut self.clients[client] {
            match event {
                Event::Invoke(issued) if issued.sequence == sequence => {
                    issued.intended_at = Time(intended_at);
                }
                Event::Return(returned) if returned.sequence == sequence => {
                    returned.at = Time(returned_at);
                }
                _ => {}
            }
        }
    }

    fn returned(&mut self, client: usize, sequence: u64) -> &mut Returned {
        self.clients[client]
            .iter_mut()
            .find_map(|event| match event {
                Event::Return(returned) if returned.sequence == sequence => Some(returned),
                _ => None,
            })
            .unwrap()
    }

    /// What the oracle says, and nothing else.
    #[track_caller]
    fn says(&self, expected: &[&str]) {
        let verdict = self.verdict();
        let found: Vec<String> = verdict.violations.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
        assert_eq!(verdict.violation_count, expected.len() as u64);
        assert_eq!(verdict.is_valid(), expected.is_empty());
    }
}

fn verdict(options: Options, clients: &[Vec<u8>], logs: &[Vec<u8>]) -> Verdict {
    let holding = |held| {
        let mut check = Check::new(options);
        check.operations = Operations::new(held);
        for client in clients {
            check.add_client(|| Ok(client.as_slice())).unwrap();
        }
        for log in logs {
            check.add_replica(log.as_slice()).unwrap();
        }
        check.finish().unwrap()
    };
    // What is let go of at once is found again, in the end.
    let (verdict, mut other) = (holding(HELD), holding(0));
    for violation in &verdict.violations {
        let same = other.violations.iter().position(|it| it == violation);
        other.violations.remove(same.unwrap_or_else(|| panic!("{violation}")));
    }
    assert_eq!(Verdict { violations: Vec::new(), ..verdict.clone() }, other);
    verdict
}

/// Of a long run little is held at a time, and what a log shows once more is held against what was issued.
#[test]
fn operations_are_let_go_of_when_nothing_more_is_to_be_known() {
    const COUNT: u64 = 5_000;
    let request = |sequence| RequestId { client: ClientId(3), sequence };
    let mut writer = ClientWriter::new(ClientId(3));
    for sequence in 0..COUNT {
        let (intended_at, at) = (Time(10 * sequence), Time(10 * sequence + 5));
        let (kind, key, digest) = (Kind::Write, sequence % 7, 1000);
        writer.invoke(&Issued { sequence, intended_at, kind, key, digest });
        // The first is never answered, and the others five operations later.
        if let Some(sequence) = sequence.checked_sub(5).filter(|sequence| *sequence > 0) {
            writer.returned(&Returned {
                sequence,
                at,
                slot: Slot(sequence),
                is_beside: false,
                digest: None,
            });
        }
    }
    let bytes = writer.finish();
    let (mut operations, mut violations) = (Operations::new(10), Violations::new(9));
    operations.read(Box::new(|| Ok(bytes.as_slice())), &mut violations).unwrap();
    let mut most = 0;
    for sequence in 1..COUNT {
        let Known::Issued(mut row) = operations.find(request(sequence)).unwrap() else { panic!() };
        assert_eq!((row.begins_at(), row.key()), (10 * sequence, sequence % 7), "{sequence}");
        assert_eq!(row.has_returned(), sequence < COUNT - 5);
        row.set_occurred();
        row.set_applied();
        if row.has_returned() {
            assert_eq!(row.told(), Slot(sequence));
            row.set_told();
        }
        most = most.max(operations.held_count());
    }
    assert!((10..30).contains(&most), "{most}");
    assert!(matches!(operations.find(request(9)).unwrap(), Known::Settled));
    for key in [9 % 7, 8] {
        let command = Some(command(3, 9, Kind::Write, key, 1000));
        let entry = Entry { slot: Slot(9000), command, applied: false };
        operations.note_late(NodeId(1), entry, request(9));
    }
    operations.compare_late(&mut violations).unwrap();
    assert_eq!(violations.count, 1);
    assert!(matches!(violations.kept[0], Violation::Changed { .. }), "{:?}", violations.kept);
    let mut untold = 0;
    operations.for_each_untold(|_| untold += 1).unwrap();
    assert_eq!(untold, 0);
}

#[test]
fn a_clean_run_passes_and_is_counted() {
    assert_eq!(
        clean().verdict(),
        Verdict {
            slot_count: 8,
            operation_count: 6,
            acknowledged_count: 5,
            unknown_count: 1,
            unverified_count: 0,
            uncovered_count: 0,
            unlogged_count: 0,
            staleness: Staleness::default(),
            cut_count: 0,
            violation_count: 0,
            violations: Vec::new(),
        }
    );
}

#[test]
fn two_replicas_that_disagree_are_named() {
    let mut run = clean();
    run.entry(1, 3).command.as_mut().unwrap().digest = 0xbc;
    run.says(&[
        "slot 3: r0 executed request 1 of client 0 (write of value 000000bb under key 7), \
                applied, r1 executed request 1 of client 0 (write of value 000000bc under key 7), \
                applied",
    ]);
    let mut run = clean();
    run.entry(2, 2).applied = false;
    run.says(&["slot 2: r0 executed request 0 of client 1 (read of key 7), applied, \
                r2 executed request 0 of client 1 (read of key 7), not applied"]);
    let mut run = clean();
    run.entry(1, 0).command = Some(command(0, 0, Kind::Write, 7, 0xaa));
    run.says(&["slot 0: r0 executed a no-op, not applied, r1 executed request 0 of client 0 \
                (write of value 000000aa under key 7), not applied"]);
}

#[test]
fn a_changed_command_is_held_against_what_was_issued() {
    let mut run = clean();
    run.change(1, |entry| entry.command.as_mut().unwrap().digest = 0xab);
    run.says(&[
        "slot 1: r0 executed request 0 of client 0 (write of value 000000ab under key 7), applied, \
         but its client issued request 0 of client 0 (write of value 000000aa under key 7)",
        "slot 2: request 0 of client 1 read value 000000aa under key 7, \
         but the log holds value 000000ab there",
    ]);
    let mut run = clean();
    run.change(7, |entry| entry.command.as_mut().unwrap().key = 9);
    run.says(&["slot 7: r0 executed request 3 of client 1 (write of value 000000cc under key 9), \
                applied, but its client issued request 3 of client 1 (write of value 000000cc under \
                key 8)"]);
    let mut run = clean();
    run.change(7, |entry| entry.command.as_mut().unwrap().kind = Kind::Read);
    assert!(!run.verdict().is_valid());
}

#[test]
fn a_command_that_nobody_issued_is_named() {
    let mut run = clean();
    run.change(7, |entry| entry.command.as_mut().unwrap().request.sequence = 4);
    run.says(&[
        "slot 7: r0 executed request 4 of client 1 (write of value 000000cc under key 8), \
                applied, which that client never issued",
    ]);
    let mut run = clean();
    run.change(7, |entry| entry.command.as_mut().unwrap().request.client = ClientId(2));
    run.says(&[
        "slot 7: r0 executed request 3 of client 2 (write of value 000000cc under key 8), \
                applied, which that client never issued",
    ]);
}

#[test]
fn a_missing_slot_is_named_in_one_log_and_in_all() {
    let mut run = clean();
    run.logs[1].remove(4);
    run.says(&["r1 executed slot 4 where slot 3 was next"]);
    let mut run = clean();
    for log in &mut run.logs {
        log.retain(|record| !matches!(record, Record::Entry(entry) if entry.slot == Slot(0)));
        log[0] = Record::Start(Slot(1));
    }
    run.says(&["slot 0 up to slot 0 are in no replica's log, but slot 1 is"]);
}

#[test]
fn slots_out_of_order_and_slots_executed_twice_are_named() {
    let mut run = clean();
    run.logs[2].swap(2, 3);
    run.says(&[
        "r2 executed slot 2 where slot 1 was next",
        "r2 executed slot 1 where slot 3 was next",
    ]);
    let mut run = clean();
    let mut again = *run.entry(0, 2);
    again.command = None;
    run.logs[0].insert(4, Record::Entry(again));
    run.says(&[
        "r0 executed slot 2 where slot 3 was next",
        "slot 2: r0 executed it again, and as a no-op, applied, which is not what was agreed",
    ]);
}

#[test]
fn a_request_applied_twice_is_named() {
    let mut run = clean();
    run.change(4, |entry| entry.applied = true);
    run.says(&["slot 4: request 1 of client 0 is applied a second time"]);
}

#[test]
fn an_acknowledged_request_whose_first_occurrence_is_not_applied_is_named() {
    let mut run = clean();
    run.change(3, |entry| entry.applied = false);
    run.change(4, |entry| entry.applied = true);
    run.says(&[
        "slot 3: request 1 of client 0 was acknowledged, but its first occurrence is not applied",
        "slot 4: request 1 of client 0 is applied although it was passed over in an earlier slot",
    ]);
}

#[test]
fn a_request_that_was_given_up_may_be_passed_over() {
    let mut run = clean();
    run.change(7, |entry| entry.applied = false);
    run.says(&[]);
}

#[test]
fn an_acknowledged_write_that_nobody_executed_is_lost() {
    let mut run = clean();
    let (intended_at, kind) = (Time(9_000_000), Kind::Write);
    let issued = Issued { sequence: 2, intended_at, kind, key: 1, digest: 0xdd };
    run.clients[0].push(Event::Invoke(issued));
    let at = Time(9_500_000);
    let returned = Returned { sequence: 2, at, slot: Slot(8), is_beside: false, digest: None };
    run.clients[0].push(Event::Return(returned));
    run.says(&["request 2 of client 0, a write acknowledged at slot 8, is in no replica's log"]);
}

#[test]
fn an_acknowledged_write_that_a_no_op_replaced_is_lost() {
    let mut run = clean();
    run.change(3, |entry| entry.command = None);
    run.change(4, |entry| entry.command = None);
    run.says(&[
        "slot 5: request 1 of client 1 read value 000000bb under key 7, \
         but the log holds value 000000aa there",
        "request 1 of client 0, a write acknowledged at slot 3, is in no replica's log",
    ]);
}

#[test]
fn a_client_told_another_slot_is_named() {
    let mut run = clean();
    run.returned(0, 0).slot = Slot(2);
    run.says(&["request 0 of client 0 was acknowledged at slot 2, but was executed at slot 1"]);
}

#[test]
fn a_repeated_request_may_be_answered_with_either_of_its_slots() {
    let mut run = clean();
    run.returned(0, 1).slot = Slot(4);
    run.says(&[]);
}

#[test]
fn a_stale_read_is_named() {
    let mut run = clean();
    run.returned(1, 1).digest = Some(0xaa);
    run.says(&["slot 5: request 1 of client 1 read value 000000aa under key 7, \
                but the log holds value 000000bb there"]);
    let mut run = clean();
    run.returned(1, 0).digest = None;
    run.says(&["slot 2: request 0 of client 1 read no value under key 7, \
                but the log holds value 000000aa there"]);
    let mut run = clean();
    run.returned(1, 2).digest = Some(0xcc);
    run.says(&["slot 6: request 2 of client 1 read value 000000cc under key 8, \
                but the log holds no value there"]);
}

#[test]
fn an_order_against_real_time_is_named_unless_clocks_cannot_be_compared() {
    let mut run = clean();
    // The write of slot 3 is answered before the read of slot 2 is issued.
    run.moved(0, 1, 1_600_000, 1_700_000);
    run.says(&["request 1 of client 0 returned before request 0 of client 1 was issued, \
                but it is at slot 3 and the other at slot 2"]);
    let options = Options { is_real_time: false, ..Options::default() };
    assert!(verdict(options, &run.client_bytes(), &run.log_bytes()).is_valid());
}

/// The write is answered 400 us before the read is issued, by two clocks.
#[test]
fn an_order_counts_where_clocks_are_not_too_far_apart() {
    let mut run = clean();
    run.moved(0, 1, 1_500_000, 1_600_000);
    for (apart, violation_count) in [(0, 1), (399_999, 1), (400_000, 0), (5_000_000, 0)] {
        let options = Options { clocks_apart: Span(apart), ..Options::default() };
        let found = verdict(options, &run.client_bytes(), &run.log_bytes());
        assert_eq!(found.violation_count, violation_count, "apart by {apart} ns");
    }
}

/// The order within a session is known where the clocks of different clients cannot be compared.
#[test]
fn an_order_against_that_of_its_session_is_always_named() {
    let mut run = clean();
    // The read of slot 6 is issued and answered before anything else of its client.
    run.moved(1, 2, 100_000, 200_000);
    run.clients[1].sort_by_key(|event| match event {
        Event::Invoke(issued) => issued.intended_at,
        Event::Return(returned) => returned.at,
    });
    let sentence = "request 2 of client 1 returned before request 1 of client 1 was issued, \
                    but it is at slot 6 and the other at slot 5";
    run.says(&[sentence]);
    let options = Options { is_real_time: false, ..Options::default() };
    let apart = Options { clocks_apart: Span::from_millis(1_000), ..Options::default() };
    for options in [options, apart] {
        let found = verdict(options, &run.client_bytes(), &run.log_bytes());
        let said: Vec<_> = found.violations.iter().map(ToString::to_string).collect();
        assert_eq!(said, [sentence]);
    }
}

/// A client writes, is told so, and in the same nanosecond begins to read: the log has the read first.
/// So does an open loop whose read was due before the write was answered, and was issued after.
#[test]
fn a_stale_read_of_its_own_write_is_named_in_the_same_instant() {
    for read_intended_at in [1_000_000, 700_000] {
        let write = command(0, 0, Kind::Write, 7, 0xaa);
        let read = command(0, 1, Kind::Read, 7, 0);
        let entry = |slot, command| {
            Record::Entry(Entry { slot: Slot(slot), command: Some(command), applied: true })
        };
        let issued = |intended_at, EntryCommand { request, kind, key, digest }| {
            let sequence = request.sequence;
            Event::Invoke(Issued { sequence, intended_at: Time(intended_at), kind, key, digest })
        };
        let told = |sequence, at, slot| {
            Event::Return(Returned {
                sequence,
                at: Time(at),
                slot: Slot(slot),
                is_beside: false,
                digest: None,
            })
        };
        let mut run = Run {
            clients: vec![vec![
                issued(500_000, write),
                told(0, 1_000_000, 1),
                issued(read_intended_at, read),
                told(1, 1_000_100, 0),
            ]],
            logs: vec![vec![Record::Start(Slot(0)), entry(0, read), entry(1, write)]],
        };
        run.says(&["request 0 of client 0 returned before request 1 of client 0 was issued, \
                    but it is at slot 1 and the other at slot 0"]);
        // Issued before it was told, it may have either place.
        run.clients[0].swap(1, 2);
        run.says(&[]);
    }
}

#[test]
fn operations_that_overlap_may_have_any_order() {
    let mut run = clean();
    // Issued first, answered last.
    for event in &mut run.clients[1] {
        match event {
            Event::Invoke(issued) if issued.sequence == 2 => issued.intended_at = Time(100_000),
            Event::Return(returned) if returned.sequence == 2 => returned.at = Time(9_000_000),
            _ => {}
        }
    }
    run.says(&[]);
}

#[test]
fn a_client_history_that_contradicts_itself_is_named() {
    let mut run = clean();
    let again = run.clients[0][..2].to_vec();
    run.clients[0].extend(again);
    let stray =
        Returned { sequence: 9, at: Time(1), slot: Slot(1), is_beside: false, digest: None };
    run.clients[0].push(Event::Return(stray));
    run.says(&[
        "request 0 of client 0 was issued twice",
        "request 0 of client 0 returned twice",
        "request 9 of client 0 returned, but was never issued",
    ]);
}

#[test]
fn a_replica_that_restarts_may_repeat_slots_if_it_repeats_them_truly() {
    let mut run = clean();
    let repeated = run.logs[0][3..].to_vec();
    run.logs[2].push(Record::Start(Slot(2)));
    run.logs[2].extend(&repeated);
    run.says(&[]);
    // The same in a file of its own.
    let whole = clean();
    let mut bytes = whole.log_bytes();
    let mut restarted = Run { clients: Vec::new(), logs: vec![vec![Record::Start(Slot(2))]] };
    restarted.logs[0].extend(&repeated);
    bytes.extend(restarted.log_bytes());
    assert!(verdict(Options::default(), &whole.client_bytes(), &bytes).is_valid());

    let Record::Entry(entry) = &mut run.logs[2][5] else { unreachable!() };
    assert_eq!(entry.slot, Slot(2));
    entry.applied = false;
    run.says(&["slot 2: r2 executed it again, and as request 0 of client 1 (read of key 7), \
                not applied, which is not what was agreed"]);
}

#[test]
fn a_killed_replica_excuses_what_only_it_can_know() {
    let run = clean();
    let clients = run.client_bytes();
    // Only r0 executed slot 6, which was acknowledged, and its log is cut before it.
    let mut logs = run.log_bytes();
    let cut = logs[0].len() - 25;
    logs[0].truncate(cut);
    let verdict_cut = verdict(Options::default(), &clients, &logs);
    assert!(verdict_cut.is_valid(), "{:?}", verdict_cut.violations);
    assert_eq!((verdict_cut.cut_count, verdict_cut.unverified_count), (1, 1));
    assert_eq!(verdict_cut.slot_count, 6);

    // The same slot lost by a replica that ended well is lost.
    let mut lost = run.clone();
    lost.logs[0].truncate(7);
    lost.says(&["request 2 of client 1, a read acknowledged at slot 6, is in no replica's log"]);

    // A cut excuses nothing below the end of the others.
    let mut run = run;
    run.change(3, |entry| entry.command = None);
    let mut logs = run.log_bytes();
    logs[2].truncate(8);
    let lost = verdict(Options::default(), &clients, &logs);
    assert!(lost.violations.iter().any(|violation| matches!(
        violation,
        Violation::StaleRead { .. }
    ) || matches!(
        violation,
        Violation::Lost { .. }
    ) || matches!(
        violation,
        Violation::WrongSlot { .. }
    )));
}

#[test]
fn slots_lost_with_a_killed_replica_are_uncovered_and_not_judged() {
    let mut run = clean();
    // One replica, killed after slot 2 was on disk, restarted from a checkpoint at 5.
    run.logs.truncate(1);
    let rest = run.logs[0].split_off(4);
    let mut after = Run { clients: Vec::new(), logs: vec![vec![Record::Start(Slot(5))]] };
    after.logs[0].extend(&rest[2..]);
    let mut bytes = run.log_bytes();
    let length = bytes[0].len() - 5;
    bytes[0].truncate(length);
    bytes.extend(after.log_bytes());
    let verdict = verdict(Options::default(), &run.client_bytes(), &bytes);
    assert!(verdict.is_valid(), "{:?}", verdict.violations);
    assert_eq!((verdict.uncovered_count, verdict.unverified_count), (2, 1));
}

#[test]
fn what_a_killed_client_may_have_issued_is_not_called_unissued() {
    let run = clean();
    let mut clients = run.client_bytes();
    let cut = clients[1].len() - 12;
    clients[1].truncate(cut);
    let verdict = verdict(Options::default(), &clients, &run.log_bytes());
    assert!(verdict.is_valid(), "{:?}", verdict.violations);
    assert_eq!((verdict.cut_count, verdict.unverified_count), (1, 1));
}

#[test]
fn only_the_first_violations_are_kept_but_all_are_counted() {
    let mut run = clean();
    for sequence in 100..150 {
        let stray =
            Returned { sequence, at: Time(1), slot: Slot(1), is_beside: false, digest: None };
        run.clients[0].push(Event::Return(stray));
    }
    let verdict = run.verdict();
    assert_eq!((verdict.violations.len(), verdict.violation_count), (20, 50));
}

#[test]
fn a_corrupt_history_is_an_error_and_no_verdict() {
    let run = clean();
    let mut logs = run.log_bytes();
    let middle = logs[1].len() / 2;
    logs[1][middle] ^= 1;
    let mut check = Check::new(Options::default());
    for log in &logs {
        check.add_replica(log.as_slice()).unwrap();
    }
    let error = check.finish().unwrap_err();
    assert_eq!(error.to_string(), "the log of r1 cannot be read");
}

/// What the run has written when all slots below this are executed.
fn state(below: u64) -> Installed {
    let under_7 =
        [None, None, Some(0xaa), Some(0xaa), Some(0xbb), Some(0xbb), Some(0xbb), Some(0xbb)];
    let under_7 = under_7[usize::try_from(below).unwrap()].map_or(0, |it| entry_digest(7, it));
    Installed { below: Slot(below), digest: under_7 }
}

/// r2 executes slots 0 and 1, takes a state, and executes what follows.
fn installed(state: Installed, next: usize) -> Run {
    let mut run = clean();
    let whole = run.logs[0].clone();
    run.logs[2] = whole[..3].to_vec();
    run.logs[2].push(Record::Installed(state));
    run.logs[2].extend_from_slice(&whole[next + 1..]);
    run
}

#[test]
fn a_state_that_is_what_the_log_leads_to_may_take_the_place_of_slots() {
    for below in 3..8 {
        installed(state(below), usize::try_from(below).unwrap()).says(&[]);
    }
    // As the last thing that anybody did.
    let mut run = installed(state(3), 3);
    run.logs.iter_mut().for_each(|log| log.truncate(4));
    run.clients.iter_mut().for_each(Vec::clear);
    assert!(
        !run.verdict().violations.iter().any(|it| matches!(it, Violation::StateDiffers { .. }))
    );
}

#[test]
fn slots_that_are_passed_over_without_a_state_are_out_of_order() {
    let mut run = installed(state(5), 5);
    run.logs[2].retain(|record| !matches!(record, Record::Installed(_)));
    run.says(&["r2 executed slot 5 where slot 2 was next"]);
    // And so is one that is passed over behind a state.
    installed(state(4), 5).says(&["r2 executed slot 5 where slot 4 was next"]);
}

#[test]
fn a_state_that_stores_something_else_is_named() {
    let wrong = Installed { digest: state(3).digest, ..state(5) };
    installed(wrong, 5).says(&["r2 took a state with everything below slot 5 executed, \
        which does not store what the log wrote before"]);
    let nothing = Installed { digest: 0, ..state(4) };
    assert_eq!(installed(nothing, 4).verdict().violation_count, 1);
}

#[test]
fn a_state_that_takes_slots_back_is_out_of_order() {
    let mut run = clean();
    run.logs[2].push(Record::Installed(state(2)));
    let verdict = run.verdict();
    assert_eq!(
        verdict.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["r2 executed slot 2 where slot 3 was next"]
    );
}

#[test]
fn a_state_ahead_of_every_log_came_from_nowhere_unless_one_is_cut_off() {
    let run = installed(Installed { below: Slot(20), digest: 1 }, 7);
    let mut ahead = run.clone();
    ahead.logs[2].truncate(4);
    ahead.says(&[
        "r2 took a state with everything below slot 20 executed, but nobody executed slot 8",
    ]);
    let mut logs = ahead.log_bytes();
    let whole = logs[1].len();
    logs[1].truncate(whole - 5);
    let verdict = verdict(Options::default(), &ahead.client_bytes(), &logs);
    assert!(verdict.is_valid(), "{:?}", verdict.violations);
    assert_eq!((verdict.cut_count, verdict.unverified_count), (1, 1));
}

/// A client more, which reads key 7 beside the log.
///
/// The writes of this key are in slot 1 from 1 to 1.5 ms, and in slot 3 from 3 to 3.5 ms.
fn with_read(mut run: Run, below: u64, from_us: u64, digest: u32) -> Run {
    let intended_at = Time(from_us * 1_000);
    let at = Time(intended_at.0 + 100_000);
    let (sequence, key, kind) = (0, 7, Kind::Read);
    let (slot, is_beside, read) = (Slot(below), true, Some(digest));
    run.clients.push(vec![
        Event::Invoke(Issued { sequence, intended_at, kind, key, digest: 0 }),
        Event::Return(Returned { sequence, at, slot, is_beside, digest: read }),
    ]);
    run
}

#[test]
fn a_read_beside_the_log_stands_between_two_slots() {
    with_read(clean(), 4, 3_600, 0xbb).says(&[]);
    // While the write is under way it may be seen or not.
    with_read(clean(), 3, 3_200, 0xaa).says(&[]);
    with_read(clean(), 4, 3_200, 0xbb).says(&[]);
    // Behind all slots, and before the first that wrote.
    with_read(clean(), 8, 9_000, 0xbb).says(&[]);
    // One that began later may say that it saw less, as long as it saw what it should.
    with_read(with_read(clean(), 6, 5_100, 0xbb), 4, 5_300, 0xbb).says(&[]);
    // Of two at one place, the one that comes later in the histories began first.
    with_read(with_read(clean(), 8, 9_500, 0xbb), 8, 9_000, 0xbb).says(&[]);
}

#[test]
fn a_read_beside_the_log_that_saw_too_little_is_named() {
    with_read(clean(), 3, 3_600, 0xaa)
        .says(&["request 1 of client 0 returned before request 0 of client 2 was issued, \
        but it is at slot 3 and the other at slot 2"]);
    with_read(clean(), 4, 3_600, 0xaa).says(&[
        "slot 4: request 0 of client 2 read value 000000aa under key 7, but the log holds value 000000bb there",
    ]);
    // The one that began later saw less.
    let two = with_read(with_read(clean(), 4, 3_100, 0xbb), 3, 3_250, 0xaa);
    two.says(&["request 0 of client 2 returned before request 0 of client 3 was issued, \
        but it is at slot 3 and the other at slot 2"]);
}

/// It may miss what was told less than so long before it began, and the log says what stood there.
#[test]
fn a_read_that_may_be_stale_is_judged_by_how_stale() {
    // The write that it misses was told at 3.5 ms.
    let stale = with_read(clean(), 3, 3_700, 0xaa);
    let told = |may_miss_us| {
        let may_miss = Span::from_micros(may_miss_us);
        let options = Options { may_miss, ..Options::default() };
        verdict(options, &stale.client_bytes(), &stale.log_bytes())
    };
    for (may_miss_us, expected) in [(0, 1), (199, 1), (201, 0)] {
        let found = told(may_miss_us);
        assert_eq!(found.violation_count, expected, "{may_miss_us}: {:?}", found.violations);
        let stale = vec![Span::from_micros(200)];
        assert_eq!(found.staleness, Staleness { read_count: 1, stale, session_count: 0 });
    }
    // Of its own client nothing may be missed in a session. The client of the write reads at 3.7 ms.
    let mut own = clean();
    let (sequence, key, slot, is_beside) = (9, 7, Slot(3), true);
    let intended_at = Time(3_700_000);
    own.clients[0].extend([
        Event::Invoke(Issued { sequence, intended_at, kind: Kind::Read, key, digest: 0 }),
        Event::Return(Returned {
            sequence,
            at: Time(3_800_000),
            slot,
            is_beside,
            digest: Some(0xaa),
        }),
    ]);
    for (has_sessions, expected) in [(true, [1, 0]), (false, [0, 1])] {
        let may_miss = Span::from_millis(1);
        let options = Options { may_miss, has_sessions, ..Options::default() };
        let found = verdict(options, &own.client_bytes(), &own.log_bytes());
        assert_eq!([found.violation_count, found.staleness.session_count], expected, "{found:?}");
    }
    // It may not return what never stood there, nor what is written after it was told.
    let options = Options { may_miss: Span::from_millis(100), ..Options::default() };
    for (below, digest, why) in [(3, 0xbb, "read value"), (4, 0xbb, "returned before")] {
        let run = with_read(clean(), below, 2_000, digest);
        let found = verdict(options, &run.client_bytes(), &run.log_bytes());
        assert_eq!(found.violation_count, 1, "{:?}", found.violations);
        assert!(found.violations[0].to_string().contains(why), "{:?}", found.violations);
    }
}

#[test]
fn a_read_of_a_state_that_nobody_had_is_named() {
    let run = with_read(clean(), 9, 9_000, 0xbb);
    run.says(&["request 0 of client 2 read a state with everything below slot 9 executed, \
        and no replica executed so much"]);
    let mut logs = run.log_bytes();
    let whole = logs[0].len();
    logs[0].truncate(whole - 5);
    let verdict = verdict(Options::default(), &run.client_bytes(), &logs);
    assert!(verdict.is_valid(), "{:?}", verdict.violations);
    assert_eq!(verdict.unlogged_count, 1);
}
