//! Histories in the form of Jepsen: what clients saw, as EDN maps, for Knossos, Elle and Porcupine.
//!
//! One map a line, by time: `{:process 0, :type :invoke, :f :write, :value [7 170], :time 5, :index 0}`.
//! A value is a key and what is under it, as in the tuples of `jepsen.independent`: the digest as an
//! integer, `nil` for a key without a value, and `nil` where a read has not returned.
//!
//! A process of Jepsen has one operation at a time, so a client with many outstanding is many processes.
//! The least free one takes the next operation. One whose operation has an unknown outcome is never
//! used again; all of these end with `:info` after everything else.
//!
//! An order is read off the lines, so of one instant invocations come first: nothing is ordered that the
//! times do not order. The time of an invocation is when it can have begun, at the earliest one nanosecond
//! after what its client was told before.

use std::collections::BTreeSet;
use std::io::Write;

use super::Kind;
use super::seen::{Row, Seen};

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Type {
    Invoke,
    Ok,
    Info,
}

/// Writes what all clients saw; gives the number of lines.
///
/// It takes 36 bytes an operation on top of what was seen.
pub fn write(seen: &Seen, mut out: impl Write) -> std::io::Result<u64> {
    let rows = seen.rows();
    let mut events: Vec<(u64, Type, u32)> = Vec::with_capacity(2 * rows.len());
    for (index, row) in (0..).zip(rows) {
        events.push((row.invoked_at, Type::Invoke, index));
        events.extend(row.returned_at().map(|at| (at.0, Type::Ok, index)));
    }
    let end = events.iter().map(|event| event.0).max().unwrap_or(0);
    for (index, row) in (0..).zip(rows) {
        if !row.is_answered() {
            events.push((end, Type::Info, index));
        }
    }
    events.sort_unstable();
    let mut processes = vec![0_u32; rows.len()];
    let mut free = BTreeSet::new();
    let mut process_count = 0;
    for (line, (time, of_type, index)) in events.iter().enumerate() {
        let index = *index as usize;
        if *of_type == Type::Invoke {
            processes[index] = free.pop_first().unwrap_or_else(|| {
                process_count += 1;
                process_count - 1
            });
        }
        write_line(&mut out, line, *time, *of_type, processes[index], &rows[index])?;
        if *of_type == Type::Ok {
            free.insert(processes[index]);
        }
    }
    out.flush()?;
    Ok(events.len() as u64)
}

fn write_line(
    out: &mut impl Write,
    line: usize,
    time: u64,
    of_type: Type,
    process: u32,
    row: &Row,
) -> std::io::Result<()> {
    let word = match of_type {
        Type::Invoke => "invoke",
        Type::Ok => "ok",
        Type::Info => "info",
    };
    let (function, value) = match row.kind() {
        Kind::Write => ("write", row.value()),
        Kind::Read if of_type == Type::Ok => ("read", row.value()),
        Kind::Read => ("read", None),
    };
    write!(out, "{{:process {process}, :type :{word}, :f :{function}, :value [{} ", row.key)?;
    match value {
        Some(digest) => write!(out, "{digest}")?,
        None => write!(out, "nil")?,
    }
    writeln!(out, "], :time {time}, :index {line}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::ClientId;
    use crate::history::{ClientWriter, Issued, Returned};
    use crate::protocol::Slot;
    use crate::time::Time;

    fn issued(sequence: u64, at: u64, kind: Kind, digest: u32) -> Issued {
        Issued { sequence, intended_at: Time(at), kind, key: 7, digest }
    }

    fn returned(sequence: u64, at: u64, digest: Option<u32>) -> Returned {
        Returned { sequence, at: Time(at), slot: Slot(sequence), digest }
    }

    fn text(histories: &[Vec<u8>]) -> String {
        let mut seen = Seen::new();
        for history in histories {
            seen.add_client(history.as_slice()).unwrap();
        }
        let mut text = Vec::new();
        let lines = write(&seen, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.lines().count() as u64, lines);
        text
    }

    /// Client 0 has two operations at a time, one of which is never answered; client 1 reads.
    #[test]
    fn every_operation_has_a_process_and_an_unknown_one_keeps_its_own_for_ever() {
        let mut first = ClientWriter::new(ClientId(0));
        first.invoke(&issued(0, 10, Kind::Write, 170));
        first.invoke(&issued(1, 20, Kind::Write, 187));
        first.returned(&returned(0, 40, None));
        // In the instant of the return, and after it.
        first.invoke(&issued(2, 40, Kind::Read, 0));
        first.returned(&returned(2, 60, Some(170)));
        first.invoke(&issued(3, 70, Kind::Read, 0));
        let mut second = ClientWriter::new(ClientId(1));
        second.invoke(&issued(0, 5, Kind::Read, 0));
        second.returned(&returned(0, 15, None));
        second.invoke(&issued(1, 50, Kind::Write, 204));
        second.returned(&returned(1, 90, None));
        let expected = "\
{:process 0, :type :invoke, :f :read, :value [7 nil], :time 5, :index 0}
{:process 1, :type :invoke, :f :write, :value [7 170], :time 10, :index 1}
{:process 0, :type :ok, :f :read, :value [7 nil], :time 15, :index 2}
{:process 0, :type :invoke, :f :write, :value [7 187], :time 20, :index 3}
{:process 1, :type :ok, :f :write, :value [7 170], :time 40, :index 4}
{:process 1, :type :invoke, :f :read, :value [7 nil], :time 41, :index 5}
{:process 2, :type :invoke, :f :write, :value [7 204], :time 50, :index 6}
{:process 1, :type :ok, :f :read, :value [7 170], :time 60, :index 7}
{:process 1, :type :invoke, :f :read, :value [7 nil], :time 70, :index 8}
{:process 2, :type :ok, :f :write, :value [7 204], :time 90, :index 9}
{:process 0, :type :info, :f :write, :value [7 187], :time 90, :index 10}
{:process 1, :type :info, :f :read, :value [7 nil], :time 90, :index 11}
";
        assert_eq!(text(&[first.finish(), second.finish()]), expected);
    }

    #[test]
    fn nothing_is_no_line() {
        assert_eq!(text(&[]), "");
    }
}
