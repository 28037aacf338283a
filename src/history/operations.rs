//! Histories as operations: what clients saw, one JSON object an operation, by the time of its call.
//!
//! It is the form of checkers that take pairs of a call and a return, such as Porcupine:
//! `{"client":0,"key":7,"kind":"write","value":170,"call":10,"return":40}`.
//!
//! | field | meaning |
//! |---|---|
//! | `client` | who asked; a client may have many operations open |
//! | `key` | the register |
//! | `kind` | `write` or `read` |
//! | `value` | the digest of what was written or read, an integer; -1 for a read that found nothing |
//! | `call` | when it can have begun, in nanoseconds: its intended start, or just after what its client was told before |
//! | `return` | the reply, in nanoseconds; for a write whose outcome is unknown 2^63 - 1, since it may take effect at any time or never |
//!
//! A read whose outcome is unknown says nothing and is left out.
//! A key that was never written holds -1. Times of one instant order nothing.
//!
//! A model of Porcupine, where `op` is a struct with these fields and the histories of keys are judged
//! apart:
//!
//! ```go
//! porcupine.Model{
//!     Partition: byKey,
//!     Init:      func() interface{} { return int64(-1) },
//!     Step: func(state, input, output interface{}) (bool, interface{}) {
//!         o := input.(op)
//!         return o.Kind == "write" || o.Value == state.(int64), o.Value
//!     },
//! }
//! ```

use std::io::Write;

use serde::Serialize;

use super::edn::NOTHING;
use super::seen::{Row, Seen};
use super::{Kind, json};
use crate::command::ClientId;

/// The return of an operation that may take effect at any time.
const NEVER: u64 = i64::MAX.unsigned_abs();

#[derive(Serialize)]
struct Line {
    client: ClientId,
    key: u64,
    kind: Kind,
    value: i64,
    call: u64,
    r#return: u64,
}

/// Writes the operations of all keys, or of one; gives the number of lines.
pub fn write(seen: &Seen, key: Option<u64>, mut out: impl Write) -> std::io::Result<u64> {
    let is_said = |row: &&Row| {
        key.is_none_or(|key| row.key == key) && (row.is_answered() || row.kind() == Kind::Write)
    };
    let mut rows: Vec<&Row> = seen.rows().iter().filter(is_said).collect();
    rows.sort_by_key(|row| row.invoked_at);
    for row in &rows {
        let line = Line {
            client: seen.request(row).client,
            key: row.key,
            kind: row.kind(),
            value: row.value().map_or(NOTHING, i64::from),
            call: row.invoked_at,
            r#return: row.returned_at().map_or(NEVER, |at| at.0),
        };
        json::write_line(&line, &mut out)?;
    }
    out.flush()?;
    Ok(rows.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{ClientWriter, Issued, Returned};
    use crate::protocol::Slot;
    use crate::time::Time;

    #[test]
    fn an_operation_is_a_call_and_a_return_and_an_unknown_write_never_returns() {
        let mut writer = ClientWriter::new(ClientId(3));
        let invoke = |sequence, kind, digest| Issued {
            sequence,
            intended_at: Time(10 * (5 - sequence)),
            kind,
            key: 7 + sequence % 2,
            digest,
        };
        let returned = |sequence, digest| Returned {
            sequence,
            at: Time(60),
            slot: Slot(sequence),
            is_beside: false,
            digest,
        };
        writer.invoke(&invoke(0, Kind::Write, 170));
        writer.invoke(&invoke(1, Kind::Write, 187));
        writer.invoke(&invoke(2, Kind::Read, 0));
        writer.invoke(&invoke(3, Kind::Read, 0));
        writer.invoke(&invoke(4, Kind::Read, 0));
        writer.returned(&returned(0, None));
        writer.returned(&returned(2, None));
        writer.returned(&returned(4, Some(170)));
        let mut seen = Seen::new();
        seen.add_client(writer.finish().as_slice()).unwrap();
        let text = |key| {
            let mut text = Vec::new();
            let count = write(&seen, key, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert_eq!(text.lines().count() as u64, count);
            text
        };
        let even = "\
{\"client\":3,\"key\":7,\"kind\":\"read\",\"value\":170,\"call\":10,\"return\":60}
{\"client\":3,\"key\":7,\"kind\":\"read\",\"value\":-1,\"call\":30,\"return\":60}
{\"client\":3,\"key\":7,\"kind\":\"write\",\"value\":170,\"call\":50,\"return\":60}
";
        assert_eq!(text(Some(7)), even);
        let unknown = "{\"client\":3,\"key\":8,\"kind\":\"write\",\"value\":187,\"call\":40,\"return\":9223372036854775807}\n";
        assert_eq!(text(Some(8)), unknown);
        assert_eq!(text(None).lines().count(), 4);
    }
}
