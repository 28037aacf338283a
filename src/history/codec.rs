//! Bytes of a history: varints, differences, blocks that end in a checksum, and a source to read them.
//!
//! A block is a run of events and ends in [`CHECK`] or [`END`] and the CRC-32 of all its bytes.
//! Without [`END`] a stream was cut off.
//! What an event means is the business of `client` and `chosen`.

use std::io::{ErrorKind, Read};

use super::{BLOCK_BYTES, Error, VERSION};

/// The tag after the last event of a block that is not the last.
pub(super) const CHECK: u8 = 0x0f;
/// The tag after the last event of all.
pub(super) const END: u8 = 0x0e;

/// The bytes of the longest varint.
const VARINT_BYTES_MAX: usize = 10;

/// The difference of two counters as an unsigned number that is small when they are near.
pub(super) const fn difference(new: u64, old: u64) -> u64 {
    let signed = new.wrapping_sub(old).cast_signed();
    ((signed << 1) ^ (signed >> 63)).cast_unsigned()
}

/// The counter whose [`difference`] from `old` is given.
pub(super) const fn add_difference(old: u64, difference: u64) -> u64 {
    old.wrapping_add((difference >> 1) ^ (difference & 1).wrapping_neg())
}

/// Blocks being written.
#[derive(Debug)]
pub(super) struct Sink {
    block: Vec<u8>,
}

impl Sink {
    /// A stream of its own: magic and version are written.
    pub(super) fn begin(magic: [u8; 4]) -> Self {
        let mut block = Vec::with_capacity(BLOCK_BYTES + 64);
        block.extend_from_slice(&magic);
        block.push(VERSION);
        Self { block }
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.block.push(byte);
    }

    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.block.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.block.push(value.to_le_bytes()[0]);
    }

    pub(super) fn word(&mut self, word: u32) {
        self.block.extend_from_slice(&word.to_le_bytes());
    }

    /// The block, closed, if it is full.
    pub(super) fn take_block(&mut self) -> Option<Vec<u8>> {
        if self.block.len() < BLOCK_BYTES {
            return None;
        }
        self.close(CHECK);
        Some(std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK_BYTES + 64)))
    }

    /// The block, closed, however little is in it.
    pub(super) fn cut_block(&mut self) -> Vec<u8> {
        self.close(CHECK);
        // The next one may be as short.
        let next = Vec::with_capacity(self.block.len() + 64);
        std::mem::replace(&mut self.block, next)
    }

    /// The bytes of the open block.
    pub(super) fn open(&self) -> &[u8] {
        &self.block
    }

    /// One whose open block has these bytes so far.
    pub(super) fn from(open: &[u8]) -> Self {
        let mut block = Vec::with_capacity(BLOCK_BYTES + 64);
        block.extend_from_slice(open);
        Self { block }
    }

    /// The rest, closed for ever.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.close(END);
        self.block
    }

    fn close(&mut self, tag: u8) {
        self.block.push(tag);
        let checksum = crc32fast::hash(&self.block);
        self.word(checksum);
    }
}

/// Makes the checksum at the end of a closed block that of its bytes again.
pub(super) fn seal(block: &mut [u8]) {
    if let Some((bytes, checksum)) = block.split_last_chunk_mut::<4>() {
        *checksum = crc32fast::hash(bytes).to_le_bytes();
    }
}

/// Blocks being read.
#[derive(Debug)]
pub(super) struct Source<R> {
    read: R,
    buffer: Vec<u8>,
    /// The part of the buffer that holds bytes.
    filled: usize,
    /// The first byte not yet given.
    at: usize,
    /// The first byte given that is not yet in `checksum`.
    hashed: usize,
    checksum: crc32fast::Hasher,
    /// The position in the stream of the start of the buffer.
    start: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(read: R) -> Self {
        Self {
            read,
            buffer: vec![0; 64 * 1024],
            filled: 0,
            at: 0,
            hashed: 0,
            checksum: crc32fast::Hasher::new(),
            start: 0,
        }
    }

    /// How many bytes were given.
    pub(super) fn offset(&self) -> u64 {
        self.start + self.at as u64
    }

    /// The next byte; `None` at the end of the stream.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<u8>, Error> {
        if self.at == self.filled {
            self.fill()?;
            if self.filled == 0 {
                return Ok(None);
            }
        }
        let byte = self.buffer[self.at];
        self.at += 1;
        Ok(Some(byte))
    }

    /// The next byte of an event that has begun.
    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        match self.next()? {
            Some(byte) => Ok(byte),
            None => Err(Error::Truncated { offset: self.offset() }),
        }
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Error> {
        let Some(bytes) = self.buffer[self.at..self.filled].first_chunk::<VARINT_BYTES_MAX>()
        else {
            return self.varint_at_end();
        };
        let mut value = 0;
        for (index, byte) in bytes.iter().enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        self.at += VARINT_BYTES_MAX;
        Err(self.corrupt("a number of more than 64 bits"))
    }

    /// One that the buffer may not hold to its end.
    fn varint_at_end(&mut self) -> Result<u64, Error> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.corrupt("a number of more than 64 bits"))
    }

    #[inline]
    pub(super) fn word(&mut self) -> Result<u32, Error> {
        if let Some(bytes) = self.buffer[self.at..self.filled].first_chunk() {
            self.at += 4;
            return Ok(u32::from_le_bytes(*bytes));
        }
        Ok(u32::from_le_bytes([self.byte()?, self.byte()?, self.byte()?, self.byte()?]))
    }

    /// Reads the rest of a header, after the first byte of its magic.
    pub(super) fn header(
        &mut self,
        first: u8,
        magic: [u8; 4],
        expected: &'static str,
    ) -> Result<(), Error> {
        self.header_of(first, &[magic], expected).map(drop)
    }

    /// The same where it may begin with one of several: which of them it is.
    pub(super) fn header_of(
        &mut self,
        first: u8,
        magics: &[[u8; 4]],
        expected: &'static str,
    ) -> Result<usize, Error> {
        let found = [first, self.byte()?, self.byte()?, self.byte()?];
        let Some(which) = magics.iter().position(|magic| *magic == found) else {
            return Err(Error::Foreign { expected, magic: magics[0], found });
        };
        match self.byte()? {
            VERSION => Ok(which),
            found => Err(Error::Version { found }),
        }
    }

    /// Verifies the block that ended with the tag just read.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        self.hash();
        let expected = std::mem::take(&mut self.checksum).finalize();
        let found = self.word()?;
        self.checksum.reset();
        self.hashed = self.at;
        if found == expected {
            Ok(())
        } else {
            Err(self.corrupt("the checksum of a block differs"))
        }
    }

    pub(super) fn corrupt(&self, reason: &'static str) -> Error {
        Error::Corrupt { offset: self.offset(), reason }
    }

    fn hash(&mut self) {
        self.checksum.update(&self.buffer[self.hashed..self.at]);
        self.hashed = self.at;
    }

    fn fill(&mut self) -> Result<(), Error> {
        self.hash();
        self.start += self.at as u64;
        (self.at, self.filled, self.hashed) = (0, 0, 0);
        loop {
            match self.read.read(&mut self.buffer) {
                Ok(count) => {
                    self.filled = count;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Read { offset: self.start, source }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_undone_also_across_the_whole_range() {
        for (old, new) in [(0, 0), (5, 6), (6, 5), (0, u64::MAX), (u64::MAX, 0), (1, 1 << 63)] {
            assert_eq!(add_difference(old, difference(new, old)), new, "{old} to {new}");
        }
        assert_eq!(difference(6, 5), 2);
        assert_eq!(difference(5, 6), 1);
    }

    #[test]
    fn varints_of_every_length_come_back() {
        let values: Vec<u64> = (0..64).map(|bit| 1 << bit).chain([0, 127, 128, u64::MAX]).collect();
        let mut sink = Sink::begin(*b"TEST");
        for value in &values {
            sink.varint(*value);
        }
        let bytes = sink.finish();
        let mut source = Source::new(&bytes[5..]);
        for value in &values {
            assert_eq!(source.varint().unwrap(), *value);
        }
    }

    #[test]
    fn a_number_that_never_ends_is_corrupt() {
        let mut source = Source::new([0xff; 20].as_slice());
        assert!(matches!(source.varint(), Err(Error::Corrupt { .. })));
    }
}
