//! The driver with a protocol that does as it is told, and a host that writes everything down.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::*;
use crate::command::ClientId;
use crate::protocol::{Ballot, Installed, Order, Position, Slot, Statement};
use crate::time::Now;

const R0: NodeId = NodeId(0);
const R1: NodeId = NodeId(1);

/// A message or a record with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Number(u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A message of another replica makes it record the number, and answer when that is durable; to its own
/// message it answers at once, and a timer makes it send its name. A number that ends in 99 it executes unrecorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Echo {
    executed: u64,
}

impl Protocol for Echo {
    type Message = Number;
    type Record = Number;
    const ORDER: Order = Order::Total;

    type Checkpoint = u64;

    fn handle(&mut self, _: Now, input: Input<Number>, effects: &mut Effects<Number, Number>) {
        let never_merge = |_: &mut Number, _: &Number| false;
        match input {
            Input::Start => effects.set_timer(TimerId(7), Span(50), Span(3)),
            Input::Message { from: R0, message } => {
                effects.send(NodeSet::only(R1), Number(message.0 + 100));
            }
            Input::Message { message, .. } if message.0 % 100 == 99 => self.executed += 1,
            Input::Message { message, .. } => {
                self.executed += 1;
                effects.records.push(message);
                effects.send_durable(NodeSet::only(R0).with(R1), message, never_merge);
            }
            Input::Timer(timer) => effects.send(NodeSet::only(R1), Number(timer.0)),
            Input::Checkpointed(below) => effects.send(NodeSet::only(R1), Number(1000 + below.0)),
            Input::Campaign => {
                let installed = Installed { below: Slot(9), digest: 0 };
                effects.executed.push(Advance::Installed(installed));
            }
            Input::Request(_) => {}
        }
    }

    fn statement(_: &Number) -> Statement<'_> {
        Statement::Other
    }

    fn recorded(_: &Number) -> Statement<'_> {
        Statement::Other
    }

    fn promised(&self, _: Position) -> Ballot {
        Ballot::NONE
    }

    fn voted(&self, _: Position) -> Option<Ballot> {
        None
    }

    fn checkpoint(&self) -> u64 {
        self.executed
    }

    fn recover(&mut self, _: Option<u64>, _: Vec<Number>) {}

    fn progress(&self) -> Progress {
        Progress(self.executed)
    }
}

/// What happened, in order.
#[derive(Debug, Default)]
struct Notebook {
    lines: Vec<String>,
    given: u64,
    durable: u64,
    /// Where checkpoints become durable apart from records.
    checkpointed: Option<u64>,
    is_checkpoint_due: bool,
}

impl Notebook {
    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}

impl Host<Echo> for Notebook {
    fn send(&mut self, to: NodeSet, message: Number) {
        self.lines.push(format!("send {message} to {to}"));
    }

    fn reply(&mut self, _: Reply) {}

    fn answer_control(&mut self, request: RequestId) {
        self.lines.push(format!("answer control {} of c{}", request.sequence, request.client.0));
    }

    fn persist(&mut self, records: &mut Vec<Number>) -> Ticket {
        self.given += 1;
        self.lines.extend(records.drain(..).map(|record| format!("persist {record}")));
        Ticket(self.given)
    }

    fn checkpoint(&mut self, replica: &Echo) -> Ticket {
        self.given += 1;
        self.lines.push(format!("checkpoint {}", replica.executed));
        Ticket(self.given)
    }

    fn durable(&mut self) -> Ticket {
        Ticket(self.durable)
    }

    fn checkpointed(&mut self) -> Ticket {
        Ticket(self.checkpointed.unwrap_or(self.durable))
    }

    fn is_checkpoint_due(&self) -> bool {
        self.is_checkpoint_due
    }

    fn draw(&mut self, longest: Span) -> Span {
        longest
    }

    fn advance(&mut self, _: Advance) {}

    fn note(&mut self, _: Note) {}
}

fn started(settings: Settings) -> (Driver<Echo>, Notebook) {
    let mut notebook = Notebook::default();
    let mut driver = Driver::start(Time(0), Echo::default(), &settings);
    driver.settle(Time(0), &mut notebook);
    assert_eq!(notebook.take(), Vec::<String>::new());
    (driver, notebook)
}

const SETTINGS: Settings =
    Settings { id: R0, has_disk: true, retained_slots: None, clock: Clock::EXACT, defect: None };

fn receive(driver: &mut Driver<Echo>, notebook: &mut Notebook, number: u64) -> Vec<String> {
    driver.handle(Time(1), Input::Message { from: R1, message: Number(number) });
    driver.settle(Time(1), notebook);
    notebook.take()
}

#[test]
fn a_message_waits_until_its_record_is_durable() {
    let (mut driver, mut notebook) = started(SETTINGS);
    assert_eq!(receive(&mut driver, &mut notebook, 1), ["persist 1"]);
    assert_eq!(receive(&mut driver, &mut notebook, 2), ["persist 2"]);
    notebook.durable = 1;
    driver.settle(Time(2), &mut notebook);
    // The replica gets its own copy at once, and answers it.
    assert_eq!(notebook.take(), ["send 1 to {1}", "send 101 to {1}"]);
    let Wreck { withheld_count, records, .. } = driver.clone().crash();
    assert_eq!((withheld_count, records), (1, Vec::new()));
    notebook.durable = 2;
    driver.settle(Time(2), &mut notebook);
    assert_eq!(notebook.take(), ["send 2 to {1}", "send 102 to {1}"]);
    assert!(!driver.is_waiting());
}

#[test]
fn a_driver_that_sends_before_it_persists_is_seen() {
    let defect = Some(Defect::SendsBeforePersist);
    let (mut driver, mut notebook) = started(Settings { defect, ..SETTINGS });
    let lines = receive(&mut driver, &mut notebook, 1);
    assert_eq!(lines, ["persist 1", "send 1 to {1}", "send 101 to {1}"]);
}

#[test]
fn timers_run_out_when_they_are_due_and_one_is_drawn_longer() {
    let (mut driver, mut notebook) = started(SETTINGS);
    assert_eq!(driver.next_due(), Some(Time(53)));
    assert_eq!(driver.fire_due(Time(52)), 0);
    assert_eq!(driver.fire_due(Time(53)), 1);
    driver.settle(Time(53), &mut notebook);
    assert_eq!(notebook.take(), ["send 7 to {1}"]);
    assert_eq!(driver.next_due(), None);
    assert!(!driver.fire(Time(60), TimerId(7)));
    let defect = Some(Defect::ForgetsTimers);
    let (driver, _) = started(Settings { defect, ..SETTINGS });
    assert_eq!(driver.next_due(), None);
}

#[test]
fn a_checkpoint_follows_the_records_when_it_is_due() {
    let (mut driver, mut notebook) = started(SETTINGS);
    notebook.is_checkpoint_due = true;
    assert_eq!(receive(&mut driver, &mut notebook, 1), ["persist 1", "checkpoint 1"]);
    notebook.is_checkpoint_due = false;
    notebook.durable = 1;
    driver.settle(Time(2), &mut notebook);
    // The message waits for the checkpoint too: it was given before the message.
    assert_eq!(notebook.take(), Vec::<String>::new());
    notebook.durable = 2;
    driver.settle(Time(2), &mut notebook);
    assert_eq!(notebook.take(), ["send 1 to {1}", "send 1001 to {1}", "send 101 to {1}"]);
    driver.handle(Time(3), Input::Campaign);
    driver.settle(Time(3), &mut notebook);
    assert_eq!(notebook.take(), ["checkpoint 1"], "an installed state is made durable");
}

#[test]
fn a_checkpoint_apart_from_the_log_is_told_when_it_is_durable() {
    let (mut driver, mut notebook) = started(SETTINGS);
    (notebook.checkpointed, notebook.is_checkpoint_due) = (Some(0), true);
    assert_eq!(receive(&mut driver, &mut notebook, 1), ["persist 1", "checkpoint 1"]);
    (notebook.durable, notebook.is_checkpoint_due) = (2, false);
    driver.settle(Time(2), &mut notebook);
    assert_eq!(notebook.take(), ["send 1 to {1}", "send 101 to {1}"]);
    notebook.checkpointed = Some(2);
    driver.settle(Time(3), &mut notebook);
    assert_eq!(notebook.take(), ["send 1001 to {1}"]);
}

#[test]
fn a_checkpoint_comes_after_ten_times_the_slots_kept() {
    let (mut driver, mut notebook) = started(Settings { retained_slots: Some(0), ..SETTINGS });
    for number in 1..10 {
        assert_eq!(receive(&mut driver, &mut notebook, number).len(), 1);
    }
    assert_eq!(receive(&mut driver, &mut notebook, 10), ["persist 10", "checkpoint 10"]);
}

#[test]
fn a_replica_that_records_nothing_makes_checkpoints_too() {
    let settings = Settings { retained_slots: Some(0), ..SETTINGS };
    let (mut driver, mut notebook) = started(settings);
    for _ in 1..10 {
        assert_eq!(receive(&mut driver, &mut notebook, 99), Vec::<String>::new());
    }
    assert_eq!(receive(&mut driver, &mut notebook, 99), ["checkpoint 10"]);
    // One that records makes them with its records.
    let (mut driver, mut notebook) = started(settings);
    receive(&mut driver, &mut notebook, 1);
    for _ in 1..20 {
        assert_eq!(receive(&mut driver, &mut notebook, 99), Vec::<String>::new());
    }
    assert_eq!(receive(&mut driver, &mut notebook, 2), ["persist 2", "checkpoint 21"]);
}

#[test]
fn checkpoints_do_not_pile_up_where_the_disk_is_slow() {
    let (mut driver, mut notebook) = started(Settings { retained_slots: Some(0), ..SETTINGS });
    notebook.checkpointed = Some(0);
    let checkpoints = |driver: &mut _, notebook: &mut _, numbers: std::ops::Range<u64>| {
        let lines = numbers.flat_map(|number| receive(driver, notebook, number));
        lines.filter(|line| line.starts_with("checkpoint")).collect::<Vec<_>>()
    };
    assert_eq!(checkpoints(&mut driver, &mut notebook, 1..41), ["checkpoint 10"]);
    notebook.checkpointed = Some(notebook.given);
    driver.settle(Time(2), &mut notebook);
    notebook.take();
    assert_eq!(checkpoints(&mut driver, &mut notebook, 41..43), ["checkpoint 41"]);
}

#[test]
fn without_a_disk_a_replica_is_told_of_its_progress() {
    let (mut driver, mut notebook) = started(Settings { has_disk: false, ..SETTINGS });
    let progress_at = Time(0) + PROGRESS_INTERVAL;
    driver.fire_due(Time(53));
    assert_eq!(driver.next_due(), Some(progress_at));
    driver.fire_due(progress_at);
    driver.settle(progress_at, &mut notebook);
    assert_eq!(notebook.take(), ["send 7 to {1}", "send 1000 to {1}"]);
    assert_eq!(driver.next_due(), Some(progress_at + PROGRESS_INTERVAL));
}

fn ask_control(driver: &mut Driver<Echo>, notebook: &mut Notebook, sequence: u64) -> Vec<String> {
    let request = RequestId { client: ClientId(4), sequence };
    driver.ask(Time(1), Ask::Control(request));
    driver.settle(Time(1), notebook);
    notebook.take()
}

/// Nothing is recorded for it and no other replica hears of it, also while the disk is busy.
#[test]
fn a_control_operation_is_answered_at_once_and_by_the_driver() {
    let (mut driver, mut notebook) = started(SETTINGS);
    let before = driver.clone();
    assert_eq!(ask_control(&mut driver, &mut notebook, 0), ["answer control 0 of c4"]);
    assert_eq!(driver, before, "nothing is left of it");
    assert_eq!(receive(&mut driver, &mut notebook, 1), ["persist 1"]);
    assert!(driver.is_waiting());
    assert_eq!(ask_control(&mut driver, &mut notebook, 1), ["answer control 1 of c4"]);
    assert!(driver.is_waiting(), "what waits for the disk goes on waiting");
}

#[test]
fn a_control_operation_comes_before_what_arrived_with_it() {
    let (mut driver, mut notebook) = started(SETTINGS);
    driver.handle(Time(1), Input::Message { from: R1, message: Number(5) });
    let lines = ask_control(&mut driver, &mut notebook, 0);
    assert_eq!(lines, ["answer control 0 of c4", "persist 5"]);
}

#[test]
fn a_command_that_is_asked_for_is_an_input_of_the_replica() {
    let request = RequestId { client: ClientId(4), sequence: 0 };
    let operation = crate::command::Operation::Get { key: 7 };
    let command = crate::command::Command { request, settled_below: 0, operation };
    let (mut driver, mut notebook) = started(SETTINGS);
    driver.ask(Time(1), Ask::Command(command));
    driver.settle(Time(1), &mut notebook);
    // This replica does nothing with a request, and the driver does nothing in its place.
    assert_eq!(notebook.take(), Vec::<String>::new());
}

#[test]
fn a_driver_that_holds_controls_back_is_seen() {
    let defect = Some(Defect::HoldsControls);
    let (mut driver, mut notebook) = started(Settings { defect, ..SETTINGS });
    assert_eq!(ask_control(&mut driver, &mut notebook, 0), ["answer control 0 of c4"]);
    receive(&mut driver, &mut notebook, 1);
    assert_eq!(ask_control(&mut driver, &mut notebook, 1), Vec::<String>::new());
    notebook.durable = 1;
    driver.settle(Time(2), &mut notebook);
    let expected = ["answer control 1 of c4", "send 1 to {1}", "send 101 to {1}"];
    assert_eq!(notebook.take(), expected);
}
