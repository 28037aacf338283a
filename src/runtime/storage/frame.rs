//! The frame: what one write puts into a segment, one or more groups.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `FXL1` |
//! | 4..8 | CRC-32 of the segment number, the offset, and all that follows |
//! | 8..16 | length of the body |
//! | 16..24 | sequence number of the first group |
//! | 24..28 | number of groups |
//! | 28..32 | zero |
//! | 32.. | the body: each group as its length (8 bytes) and its bytes |
//!
//! Numbers are little-endian.
//! The checksum covers the place of the frame as well, so a frame is valid only where it was
//! written: bytes of a client that look like a frame, and blocks that a disk wrote to the wrong
//! place, are not mistaken for one.
//! A frame knows nothing of files.

use bytes::Bytes;

/// The length of what stands before the body.
pub(super) const HEADER_BYTES: usize = 32;
/// The length of what stands before a group in the body.
pub(super) const GROUP_HEADER_BYTES: usize = 8;
/// How a frame begins: neither zeros nor text of clients.
pub(super) const MAGIC: [u8; 4] = *b"FXL1";

/// A frame that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// The sequence number of the first group.
    pub(super) first: u64,
    pub(super) groups: Vec<Bytes>,
    /// Where in the segment the next frame begins.
    pub(super) end: usize,
}

/// The length of a frame whose groups have `bytes` bytes in all.
pub(super) const fn encoded_bytes(group_count: usize, bytes: u64) -> u64 {
    (HEADER_BYTES + group_count * GROUP_HEADER_BYTES) as u64 + bytes
}

/// Writes into `buffer` the frame that belongs at `offset` of segment number `segment`.
pub(super) fn encode<'a>(
    buffer: &mut Vec<u8>,
    (segment, offset): (u64, u64),
    first: u64,
    groups: impl ExactSizeIterator<Item = &'a Bytes>,
) {
    let group_count = u32::try_from(groups.len()).expect("a batch has fewer groups than 2^32");
    buffer.clear();
    buffer.extend_from_slice(&MAGIC);
    buffer.extend_from_slice(&[0; 12]);
    buffer.extend_from_slice(&first.to_le_bytes());
    buffer.extend_from_slice(&group_count.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    for group in groups {
        buffer.extend_from_slice(&(group.len() as u64).to_le_bytes());
        buffer.extend_from_slice(group);
    }
    let body_bytes = (buffer.len() - HEADER_BYTES) as u64;
    buffer[8..16].copy_from_slice(&body_bytes.to_le_bytes());
    let checksum = checksum((segment, offset), &buffer[8..]);
    buffer[4..8].copy_from_slice(&checksum.to_le_bytes());
}

/// The frame at `offset` of segment number `segment`, whose bytes are given; `None` if there is no
/// whole and intact one.
pub(super) fn decode(bytes: &Bytes, segment: u64, offset: usize) -> Option<Frame> {
    let rest = bytes.get(offset..)?;
    let (header, body) = rest.split_at_checked(HEADER_BYTES)?;
    if header[..4] != MAGIC {
        return None;
    }
    let body_bytes = usize::try_from(u64_at(header, 8)?).ok()?;
    body.get(..body_bytes)?;
    let place = (segment, offset as u64);
    let covered = &rest[8..HEADER_BYTES + body_bytes];
    if u32_at(header, 4)? != checksum(place, covered) {
        return None;
    }
    if header[28..32] != [0; 4] {
        return None;
    }
    let start = offset + HEADER_BYTES;
    let end = start + body_bytes;
    let groups = split(bytes, start, end)?;
    let counts_agree = groups.len() as u64 == u64::from(u32_at(header, 24)?);
    let is_whole = counts_agree && !groups.is_empty();
    is_whole.then_some(Frame { first: u64_at(header, 16)?, groups, end })
}

/// Cuts a body into its groups, without copying; `None` if their lengths do not fill it exactly.
fn split(bytes: &Bytes, start: usize, end: usize) -> Option<Vec<Bytes>> {
    let mut groups = Vec::new();
    let mut at = start;
    while at < end {
        let length = usize::try_from(u64_at(bytes, at)?).ok()?;
        let from = at + GROUP_HEADER_BYTES;
        let to = from.checked_add(length)?;
        if to > end {
            return None;
        }
        groups.push(bytes.slice(from..to));
        at = to;
    }
    Some(groups)
}

fn checksum((segment, offset): (u64, u64), covered: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(covered);
    hasher.finalize()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(place: (u64, u64), first: u64, groups: &[Bytes]) -> Vec<u8> {
        let mut buffer = Vec::new();
        encode(&mut buffer, place, first, groups.iter());
        buffer
    }

    #[test]
    fn a_frame_is_valid_only_at_the_place_it_was_written_for() {
        let frame = Bytes::from(encoded((3, 0), 9, &[Bytes::from_static(b"vote")]));
        assert!(decode(&frame, 3, 0).is_some());
        assert_eq!(decode(&frame, 4, 0), None);
        let moved: Bytes = [vec![0; 8], frame.to_vec()].concat().into();
        assert_eq!(decode(&moved, 3, 8), None);
    }

    #[test]
    fn a_frame_with_any_bit_changed_is_refused() {
        let frame = encoded((1, 0), 1, &[Bytes::from_static(b"one"), Bytes::from_static(b"")]);
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&damaged.into(), 1, 0), None, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            segment in any::<u64>(),
            first in any::<u64>(),
            groups in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5),
        ) {
            let groups: Vec<Bytes> = groups.into_iter().map(Bytes::from).collect();
            let frame = encoded((segment, 0), first, &groups);
            let total = groups.iter().map(|group| group.len() as u64).sum();
            prop_assert_eq!(frame.len() as u64, encoded_bytes(groups.len(), total));
            let end = frame.len();
            let decoded = decode(&frame.into(), segment, 0);
            prop_assert_eq!(decoded, Some(Frame { first, groups, end }));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, magic: bool, offset in 0_usize..64) {
            let start: &[u8] = if magic { &MAGIC } else { &[] };
            let bytes: Bytes = [start, &bytes].concat().into();
            prop_assert_eq!(decode(&bytes, 1, offset), None);
        }
    }
}
