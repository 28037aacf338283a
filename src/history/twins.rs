//! Logs of two replicas that say the same, byte for byte.
//!
//! Replicas of a total order that started together and never stopped write the same bytes, but for their own number in
//! the header and the checksum of the block that it is in.
//! To compare bytes takes a small part of the time that it takes to decode them.

use std::io::{self, ErrorKind, Read};

use super::BLOCK_BYTES;
use super::chosen::NODE_AT;
use super::codec::{CHECK, END};

/// The first block ends before this: a block is closed by the event that fills it.
const FIRST_BLOCK_MAX: usize = BLOCK_BYTES + 256;

/// So many bytes are compared at once.
const CHUNK: usize = 1 << 18;

/// Whether two logs hold the same records of two replicas, and neither anything else.
///
/// If one of them decodes, then so does the other one, to the same records: all their bytes are the same, but for the
/// number of the replica and a checksum, and that checksum is right in both.
/// False where that is not so, or not known.
pub fn are_twins(mut one: impl Read, mut other: impl Read) -> io::Result<bool> {
    let (first_one, first_other) =
        (read_up_to(&mut one, FIRST_BLOCK_MAX)?, read_up_to(&mut other, FIRST_BLOCK_MAX)?);
    if !begin_alike(&first_one, &first_other) {
        return Ok(false);
    }
    loop {
        let (next_one, next_other) = (read_up_to(&mut one, CHUNK)?, read_up_to(&mut other, CHUNK)?);
        if next_one != next_other {
            return Ok(false);
        }
        if next_one.is_empty() {
            return Ok(true);
        }
    }
}

/// The same of the beginning, in which the first block ends.
fn begin_alike(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() || one.len() <= NODE_AT {
        return false;
    }
    let differs = |at: &usize| one[*at] != other[*at];
    let mut different = (0..one.len()).filter(differs);
    if different.next() != Some(NODE_AT) {
        return false;
    }
    // Of two checksums the first byte or the last may be the same.
    let (Some(first), last) = (different.next(), different.next_back()) else { return false };
    let last = last.unwrap_or(first);
    (first.saturating_sub(3)..=first)
        .filter(|at| last < at + 4)
        .any(|at| ends_block(one, at) && ends_block(other, at))
}

/// Whether a block that begins with these bytes ends with a checksum here.
fn ends_block(bytes: &[u8], at: usize) -> bool {
    let (block, rest) = bytes.split_at(at);
    let is_closed = block.last().is_some_and(|tag| [CHECK, END].contains(tag));
    let found = rest.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    is_closed && found == Some(crc32fast::hash(block))
}

/// The next bytes, so many unless the stream ends before.
fn read_up_to(read: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        match read.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{ClientId, RequestId};
    use crate::history::{ChosenReader, ChosenWriter, Entry, EntryCommand, Kind, Record};
    use crate::protocol::Slot;
    use crate::quorum::NodeId;

    fn log(node: u8, entries: u64, changed: Option<u64>) -> Vec<u8> {
        let mut writer = ChosenWriter::new(NodeId(node), Slot::ZERO);
        let mut bytes = Vec::new();
        for slot in 0..entries {
            let request = RequestId { client: ClientId(3), sequence: slot };
            let digest = if changed == Some(slot) { 7 } else { 9 };
            let command = EntryCommand { request, kind: Kind::Write, key: slot % 100, digest };
            writer.entry(&Entry { slot: Slot(slot), command: Some(command), applied: true });
            bytes.extend(writer.take_block().unwrap_or_default());
        }
        bytes.extend(writer.finish());
        bytes
    }

    fn twins(one: &[u8], other: &[u8]) -> bool {
        are_twins(one, other).unwrap()
    }

    fn records(bytes: &[u8]) -> Vec<Record> {
        ChosenReader::new(bytes).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Of every pair, also where a byte of the two checksums happens to be the same: two of 60 checksums have the
    /// same first byte or last one about 14 times.
    #[test]
    fn twins_decode_to_the_same_records() {
        for entries in [0, 1, 100, 100_000] {
            let one = log(0, entries, None);
            for node in 1..60 {
                let other = log(node, entries, None);
                assert!(twins(&one, &other), "{node}, {entries} entries");
                assert!(entries > 100 || records(&one) == records(&other));
            }
        }
    }

    #[test]
    fn logs_that_differ_anywhere_are_no_twins() {
        for entries in [100, 100_000] {
            let one = log(0, entries, None);
            for changed in [0, 1, 50, 99, entries - 1] {
                assert!(!twins(&one, &log(1, entries, Some(changed))), "{changed} of {entries}");
            }
            assert!(!twins(&one, &log(1, entries - 1, None)));
            assert!(!twins(&one, &log(1, entries + 1, None)));
            // Nothing says that two logs of one replica are what they seem.
            assert!(!twins(&one, &one));
            assert!(!twins(&one, &[]));
        }
    }

    /// A log of which any byte is changed is no twin, whether or not it would decode.
    #[test]
    fn a_changed_byte_makes_no_twin() {
        let (one, other) = (log(0, 40, None), log(1, 40, None));
        for at in (0..other.len()).filter(|at| *at != NODE_AT) {
            let mut changed = other.clone();
            changed[at] ^= 0x20;
            assert!(!twins(&one, &changed), "byte {at} changed unnoticed");
            assert!(!twins(&changed, &one), "byte {at} changed unnoticed");
        }
    }
}
