//! Histories as JSON lines, one event a line, for other programs and for eyes.

use std::io::{Read, Write};

use serde::Serialize;

use super::{ChosenReader, ClientReader, Error, Event, Record};
use crate::command::ClientId;
use crate::quorum::NodeId;

#[derive(Serialize)]
struct ClientLine {
    client: ClientId,
    #[serde(flatten)]
    event: Event,
}

#[derive(Serialize)]
struct ReplicaLine {
    replica: NodeId,
    #[serde(flatten)]
    record: Record,
}

/// The last line of a history that was cut off.
#[derive(Serialize)]
struct CutLine {
    cut_at_byte: u64,
}

/// Why a history could not be written as JSON.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It cannot be read.
    #[error(transparent)]
    History(#[from] Error),
    /// It cannot be written.
    #[error("the JSON lines of a history cannot be written")]
    Write(#[source] std::io::Error),
}

/// Writes the history of a client; gives the number of events.
pub fn write_client<R: Read>(reader: ClientReader<R>, out: impl Write) -> Result<u64, JsonError> {
    let client = reader.client();
    write_lines(reader.map(|event| event.map(|event| ClientLine { client, event })), out)
}

/// Writes the log of a replica; gives the number of records.
pub fn write_replica<R: Read>(reader: ChosenReader<R>, out: impl Write) -> Result<u64, JsonError> {
    let replica = reader.node();
    write_lines(reader.map(|record| record.map(|record| ReplicaLine { replica, record })), out)
}

/// Writes that a history was cut off at this byte: one whose writer had not even begun has no reader.
pub fn write_cut(offset: u64, mut out: impl Write) -> Result<(), JsonError> {
    write_line(&CutLine { cut_at_byte: offset }, &mut out).map_err(JsonError::Write)
}

fn write_lines<T: Serialize>(
    lines: impl Iterator<Item = Result<T, Error>>,
    mut out: impl Write,
) -> Result<u64, JsonError> {
    let mut count = 0;
    for line in lines {
        match line {
            Ok(line) => {
                write_line(&line, &mut out).map_err(JsonError::Write)?;
                count += 1;
            }
            Err(Error::Truncated { offset }) => {
                write_cut(offset, &mut out)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    out.flush().map_err(JsonError::Write)?;
    Ok(count)
}

/// Writes one object and the end of its line.
pub(super) fn write_line(line: &impl Serialize, out: &mut impl Write) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::RequestId;
    use crate::history::{ChosenWriter, ClientWriter, Entry, EntryCommand, Issued, Kind, Returned};
    use crate::protocol::Slot;
    use crate::time::Time;

    #[test]
    fn a_client_history_is_one_object_a_line() {
        let mut writer = ClientWriter::new(ClientId(4));
        let kind = Kind::Write;
        writer.invoke(&Issued { sequence: 0, intended_at: Time(5), kind, key: 9, digest: 7 });
        writer.returned(&Returned {
            sequence: 0,
            at: Time(8),
            slot: Slot(2),
            is_beside: false,
            digest: None,
        });
        let bytes = writer.finish();
        let mut text = Vec::new();
        assert_eq!(
            write_client(ClientReader::new(bytes.as_slice()).unwrap(), &mut text).unwrap(),
            2
        );
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"client\":4,\"event\":\"invoke\",\"sequence\":0,\"intended_at\":5,\"kind\":\"write\",\"key\":9,\"digest\":7}\n\
             {\"client\":4,\"event\":\"return\",\"sequence\":0,\"at\":8,\"slot\":2,\"digest\":null}\n"
        );
    }

    #[test]
    fn the_log_of_a_killed_replica_ends_with_the_cut() {
        let mut writer = ChosenWriter::new(NodeId(1), Slot(3));
        let request = RequestId { client: ClientId(4), sequence: 0 };
        let command = Some(EntryCommand { request, kind: Kind::Read, key: 9, digest: 0 });
        writer.entry(&Entry { slot: Slot(3), command, applied: true });
        let bytes = writer.finish();
        let mut text = Vec::new();
        let reader = ChosenReader::new(&bytes[..bytes.len() - 5]).unwrap();
        assert_eq!(write_replica(reader, &mut text).unwrap(), 2);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "{\"replica\":1,\"start\":3}\n\
             {\"replica\":1,\"entry\":{\"slot\":3,\"command\":{\"request\":{\"client\":4,\"sequence\":0},\"kind\":\"read\",\"key\":9,\"digest\":0},\"applied\":true}}\n\
             {\"cut_at_byte\":11}\n"
        );
    }
}
