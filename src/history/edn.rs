//! Histories in the forms that Jepsen's checkers read: what clients saw, as EDN maps, one a line, by time.
//!
//! Knossos judges one register, so [`write_register`] writes the operations of one key:
//! `{:process 0, :type :invoke, :f :write, :value 170, :time 5, :index 0}`.
//! A value is its digest, an integer. Knossos takes `nil` for a read that may have returned anything, so
//! a read that found nothing has the value [`NOTHING`], and the register begins with it:
//! `(knossos.model/register -1)`.
//!
//! Elle judges transactions, so [`write_transactions`] writes every operation of every key as one with
//! a single step: `:f :txn, :value [[:w 7 170]]`, and `[[:r 7 nil]]` for a read that found nothing, which
//! is how Elle writes the state before the first write. It is a history for `elle.rw-register`, which
//! asks that no key is given a value twice.
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

/// What a read of a register returned that found no value: no digest is negative.
pub const NOTHING: i64 = -1;

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Type {
    Invoke,
    Ok,
    Info,
}

/// One line, but for its number.
struct Line<'a> {
    at: u64,
    of_type: Type,
    process: u32,
    row: &'a Row,
}

/// Writes what all clients saw of one key, as a history of a register; gives the number of lines.
pub fn write_register(seen: &Seen, key: u64, out: impl Write) -> std::io::Result<u64> {
    let rows = seen.rows().iter().filter(|row| row.key == key);
    write(&rows.collect::<Vec<_>>(), out, |out, line| {
        let function = match line.row.kind() {
            Kind::Write => "write",
            Kind::Read => "read",
        };
        write!(out, ":f :{function}, :value ")?;
        match value(line) {
            Some(digest) => write!(out, "{digest}"),
            // A read that returned, and found nothing; before it returns it has no value.
            None if line.of_type == Type::Ok => write!(out, "{NOTHING}"),
            None => write!(out, "nil"),
        }
    })
}

/// Writes what all clients saw, each operation as a transaction; gives the number of lines.
pub fn write_transactions(seen: &Seen, key: Option<u64>, out: impl Write) -> std::io::Result<u64> {
    let rows = seen.rows().iter().filter(|row| key.is_none_or(|key| row.key == key));
    write(&rows.collect::<Vec<_>>(), out, |out, line| {
        let step = match line.row.kind() {
            Kind::Write => ":w",
            Kind::Read => ":r",
        };
        write!(out, ":f :txn, :value [[{step} {} ", line.row.key)?;
        match value(line) {
            Some(digest) => write!(out, "{digest}]]"),
            None => write!(out, "nil]]"),
        }
    })
}

/// What a line knows of the value: a read knows it when it returns.
fn value(line: &Line<'_>) -> Option<u32> {
    let is_known = line.row.kind() == Kind::Write || line.of_type == Type::Ok;
    line.row.value().filter(|_| is_known)
}

fn write<W: Write>(
    rows: &[&Row],
    mut out: W,
    body: impl Fn(&mut W, &Line<'_>) -> std::io::Result<()>,
) -> std::io::Result<u64> {
    let lines = lines(rows);
    for (index, line) in lines.iter().enumerate() {
        let word = match line.of_type {
            Type::Invoke => "invoke",
            Type::Ok => "ok",
            Type::Info => "info",
        };
        write!(out, "{{:process {}, :type :{word}, ", line.process)?;
        body(&mut out, line)?;
        writeln!(out, ", :time {}, :index {index}}}", line.at)?;
    }
    out.flush()?;
    Ok(lines.len() as u64)
}

/// Every invocation and every end, by time, each with its process.
fn lines<'a>(rows: &[&'a Row]) -> Vec<Line<'a>> {
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
    let mut line = |(at, of_type, index): (u64, Type, u32)| {
        let index = index as usize;
        if of_type == Type::Invoke {
            processes[index] = free.pop_first().unwrap_or_else(|| {
                process_count += 1;
                process_count - 1
            });
        }
        let process = processes[index];
        if of_type == Type::Ok {
            free.insert(process);
        }
        Line { at, of_type, process, row: rows[index] }
    };
    events.into_iter().map(&mut line).collect()
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
        Returned { sequence, at: Time(at), slot: Slot(sequence), is_beside: false, digest }
    }

    /// Client 0 has two operations at a time, one of which is never answered; client 1 reads, and
    /// writes another key.
    fn seen() -> Seen {
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
        second.invoke(&Issued { key: 8, ..issued(1, 50, Kind::Write, 204) });
        second.returned(&returned(1, 90, None));
        let mut seen = Seen::new();
        seen.add_client(first.finish().as_slice()).unwrap();
        seen.add_client(second.finish().as_slice()).unwrap();
        seen
    }

    fn text(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<u64>) -> String {
        let mut text = Vec::new();
        let lines = write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.lines().count() as u64, lines);
        text
    }

    #[test]
    fn a_register_has_one_key_and_a_value_for_nothing() {
        let expected = "\
{:process 0, :type :invoke, :f :read, :value nil, :time 5, :index 0}
{:process 1, :type :invoke, :f :write, :value 170, :time 10, :index 1}
{:process 0, :type :ok, :f :read, :value -1, :time 15, :index 2}
{:process 0, :type :invoke, :f :write, :value 187, :time 20, :index 3}
{:process 1, :type :ok, :f :write, :value 170, :time 40, :index 4}
{:process 1, :type :invoke, :f :read, :value nil, :time 41, :index 5}
{:process 1, :type :ok, :f :read, :value 170, :time 60, :index 6}
{:process 1, :type :invoke, :f :read, :value nil, :time 70, :index 7}
{:process 0, :type :info, :f :write, :value 187, :time 70, :index 8}
{:process 1, :type :info, :f :read, :value nil, :time 70, :index 9}
";
        assert_eq!(text(|out| write_register(&seen(), 7, out)), expected);
    }

    #[test]
    fn a_transaction_has_one_step_and_nothing_is_nil() {
        let expected = "\
{:process 0, :type :invoke, :f :txn, :value [[:r 7 nil]], :time 5, :index 0}
{:process 1, :type :invoke, :f :txn, :value [[:w 7 170]], :time 10, :index 1}
{:process 0, :type :ok, :f :txn, :value [[:r 7 nil]], :time 15, :index 2}
{:process 0, :type :invoke, :f :txn, :value [[:w 7 187]], :time 20, :index 3}
{:process 1, :type :ok, :f :txn, :value [[:w 7 170]], :time 40, :index 4}
{:process 1, :type :invoke, :f :txn, :value [[:r 7 nil]], :time 41, :index 5}
{:process 2, :type :invoke, :f :txn, :value [[:w 8 204]], :time 50, :index 6}
{:process 1, :type :ok, :f :txn, :value [[:r 7 170]], :time 60, :index 7}
{:process 1, :type :invoke, :f :txn, :value [[:r 7 nil]], :time 70, :index 8}
{:process 2, :type :ok, :f :txn, :value [[:w 8 204]], :time 90, :index 9}
{:process 0, :type :info, :f :txn, :value [[:w 7 187]], :time 90, :index 10}
{:process 1, :type :info, :f :txn, :value [[:r 7 nil]], :time 90, :index 11}
";
        assert_eq!(text(|out| write_transactions(&seen(), None, out)), expected);
        let other = text(|out| write_transactions(&seen(), Some(8), out));
        assert_eq!(other.lines().count(), 2);
    }

    #[test]
    fn nothing_is_no_line() {
        assert_eq!(text(|out| write_register(&Seen::new(), 7, out)), "");
        assert_eq!(text(|out| write_transactions(&Seen::new(), None, out)), "");
    }
}
