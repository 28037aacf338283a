//! Recovery: what a crash left in the folder, and where the log goes on.
//!
//! Reading changes nothing, so that it can be repeated; [`Position`] says what is to be repaired.
//!
//! The writer has one frame in flight and starts the next only when that one is durable.
//! So after a crash every frame is intact, except perhaps the last one, of which any part may be
//! there; and behind the last one are zeros.
//! A damaged frame that an intact one follows had therefore been durable, and its loss is refused.
//! Of the very last frame the [`mark`](super::mark) says whether it had been.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;

use super::error::{Action, Damage, Error};
use super::frame::{self, Frame, Kind};
use super::mark::{self, Mark};
use super::owner::{self, Owner};
use super::segment::FIRST_OFFSET;
use super::{Recovered, Tail, segment};

/// Where the log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The oldest segment that is needed; those before it can go.
    pub(super) oldest: u64,
    /// The segment to write; those after it hold nothing and can go.
    pub(super) segment: u64,
    /// Where in it.
    pub(super) offset: u64,
    /// The end of what a torn frame left there; `offset` if there is nothing.
    pub(super) remains_end: u64,
    /// The sequence number of the next group.
    pub(super) sequence: u64,
    /// Where the last frame begins, if nothing proves that it was synced.
    pub(super) unsynced_from: Option<u64>,
}

impl Position {
    /// The mark of a log that goes on here.
    pub(super) fn mark(&self) -> Mark {
        Mark { sequence: self.sequence - 1, segment: self.segment, end: self.offset }
    }
}

/// What is in a folder.
#[derive(Debug)]
pub(super) struct Found {
    /// Whose it is; nobody's yet, if there is no log.
    pub(super) owner: Option<Owner>,
    pub(super) recovered: Recovered,
    /// Where the log goes on; `None` if nothing was ever written to it.
    pub(super) position: Option<Position>,
}

/// Reads the log of a folder, which must be that of `owner`, if one is given.
pub(super) fn read(folder: &Path, owner: Option<Owner>) -> Result<Found, Error> {
    let marked = mark::read(folder)?;
    let numbers = segment::numbers(folder)?;
    let empty = Recovered { checkpoint: None, groups: Vec::new(), tail: Tail::Clean };
    let Some((found, mark)) = marked else {
        let Some(&first) = numbers.first() else {
            return Ok(Found { owner: None, recovered: empty, position: None });
        };
        // The mark is made before the first segment.
        let path = segment::path(folder, first);
        let bytes = fs::read(&path).map_err(|error| Error::io(Action::Read, &path, error))?;
        owner::of_segment(&path, first, &bytes)?;
        let (segment, damage) = (mark::path(folder), Damage::MarkMissing);
        return Err(Error::Corrupt { segment, offset: 0, damage });
    };
    owner::check_owner(&mark::path(folder), found, owner.unwrap_or(found))?;
    let (recovered, position) = match numbers.as_slice() {
        [] => (empty, None),
        numbers => scan(folder, numbers, found).map(|(read, position)| (read, Some(position)))?,
    };
    let last = position.map_or(0, |position| position.sequence - 1);
    if last < mark.sequence {
        let damage = Damage::Shortened { found: last, durable: mark.sequence };
        let (number, offset) =
            position.map_or((mark.segment, 0), |position| (position.segment, position.offset));
        return Err(corrupt(folder, number, offset, damage));
    }
    let position = position.map(|position| match recovered.tail {
        // Another frame was begun behind it, so it was synced.
        Tail::Torn { .. } => Position { unsynced_from: None, ..position },
        Tail::Clean if last == mark.sequence => Position { unsynced_from: None, ..position },
        Tail::Clean => position,
    });
    Ok(Found { owner: Some(found), recovered, position })
}

fn scan(folder: &Path, numbers: &[u64], owner: Owner) -> Result<(Recovered, Position), Error> {
    let oldest = numbers.first().copied().unwrap_or(segment::FIRST_NUMBER);
    let mut base = None;
    for &number in numbers.iter().rev() {
        if begins_with_checkpoint(folder, number)? {
            base = Some(number);
            break;
        }
    }
    if base.is_none() && oldest != segment::FIRST_NUMBER {
        return Err(corrupt(folder, oldest, 0, Damage::BeginningMissing));
    }
    let oldest = base.unwrap_or(oldest);
    let mut scan = Scan::new(folder, owner, oldest, base.is_some());
    for (expected, &found) in (oldest..).zip(numbers.iter().filter(|number| **number >= oldest)) {
        if expected != found {
            return Err(corrupt(folder, found, 0, Damage::SegmentMissing { expected, found }));
        }
        scan.segment(found)?;
    }
    Ok((scan.recovered, scan.position))
}

/// Reading forward from the oldest segment.
struct Scan<'a> {
    folder: &'a Path,
    owner: Owner,
    recovered: Recovered,
    position: Position,
    /// The base begins with a checkpoint, and its sequence number is where counting starts.
    awaits_checkpoint: bool,
}

impl<'a> Scan<'a> {
    fn new(folder: &'a Path, owner: Owner, oldest: u64, awaits_checkpoint: bool) -> Self {
        let recovered = Recovered { checkpoint: None, groups: Vec::new(), tail: Tail::Clean };
        let position = Position {
            oldest,
            segment: oldest,
            offset: FIRST_OFFSET,
            remains_end: FIRST_OFFSET,
            sequence: 1,
            unsynced_from: None,
        };
        Self { folder, owner, recovered, position, awaits_checkpoint }
    }

    fn segment(&mut self, number: u64) -> Result<(), Error> {
        let path = segment::path(self.folder, number);
        let bytes =
            Bytes::from(fs::read(&path).map_err(|error| Error::io(Action::Read, &path, error))?);
        owner::check_owner(&path, owner::of_segment(&path, number, &bytes)?, self.owner)?;
        let mut offset = owner::BYTES;
        // Behind a torn frame nothing is read: whatever is there is judged by `remains` below.
        if self.recovered.tail == Tail::Clean {
            while let Some(frame) = frame::decode(&bytes, number, offset) {
                let end = frame.end;
                self.frame(number, offset, frame)?;
                offset = end;
            }
        }
        match end_of_remains(&bytes[offset..]) {
            0 => Ok(()),
            remains => self.remains(number, &bytes, offset, offset + remains),
        }
    }

    fn frame(&mut self, number: u64, offset: usize, frame: Frame) -> Result<(), Error> {
        let damaged = |damage| Err(corrupt(self.folder, number, offset as u64, damage));
        match frame.kind {
            Kind::Checkpoint if self.awaits_checkpoint => {
                self.recovered.checkpoint = frame.groups.into_iter().next();
                self.position.sequence = frame.first + 1;
                self.awaits_checkpoint = false;
            }
            Kind::Checkpoint => return damaged(Damage::MisplacedCheckpoint),
            Kind::Groups => {
                let expected = self.position.sequence;
                if frame.first != expected {
                    return damaged(Damage::Gap { expected, found: frame.first });
                }
                self.position.sequence += frame.groups.len() as u64;
                self.recovered.groups.extend(frame.groups);
            }
        }
        self.position.segment = number;
        self.position.unsynced_from = Some(offset as u64);
        self.position.offset = frame.end as u64;
        self.position.remains_end = self.position.offset;
        Ok(())
    }

    /// Judges what is neither frame nor zeros: the torn last frame, or damage.
    fn remains(&mut self, number: u64, bytes: &Bytes, from: usize, to: usize) -> Result<(), Error> {
        if let Tail::Torn { segment, offset, .. } = &self.recovered.tail {
            // One frame was in flight, and it cannot have left something in two segments.
            let (segment, offset, damage) = (segment.clone(), *offset, Damage::BeforeIntactFrames);
            return Err(Error::Corrupt { segment, offset, damage });
        }
        let starts = bytes[from..to].windows(frame::MAGIC.len()).enumerate();
        for (at, window) in starts {
            if window == frame::MAGIC && frame::decode(bytes, number, from + at).is_some() {
                return Err(corrupt(self.folder, number, from as u64, Damage::BeforeIntactFrames));
            }
        }
        self.position.segment = number;
        self.position.offset = from as u64;
        self.position.remains_end = to as u64;
        self.recovered.tail = Tail::Torn {
            segment: segment::path(self.folder, number),
            offset: from as u64,
            lost_bytes: (to - from) as u64,
        };
        Ok(())
    }
}

/// Whether the first frame of a segment is an intact checkpoint; of others only the header is read.
fn begins_with_checkpoint(folder: &Path, number: u64) -> Result<bool, Error> {
    let path = segment::path(folder, number);
    let failed = |error| Error::io(Action::Read, &path, error);
    let file = File::open(&path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length < FIRST_OFFSET + frame::HEADER_BYTES as u64 {
        return Ok(false);
    }
    let mut header = [0; frame::HEADER_BYTES];
    file.read_exact_at(&mut header, FIRST_OFFSET).map_err(failed)?;
    if !frame::looks_like_checkpoint(&header) {
        return Ok(false);
    }
    let bytes = Bytes::from(fs::read(&path).map_err(failed)?);
    let first = frame::decode(&bytes, number, owner::BYTES);
    Ok(first.is_some_and(|frame| frame.kind == Kind::Checkpoint))
}

/// The length of `bytes` without the zeros at its end, which may be megabytes of them.
fn end_of_remains(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut end = bytes.len();
    for piece in bytes.rchunks(ZEROS.len()) {
        if piece != &ZEROS[..piece.len()] {
            break;
        }
        end -= piece.len();
    }
    bytes[..end].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn corrupt(folder: &Path, number: u64, offset: u64, damage: Damage) -> Error {
    Error::Corrupt { segment: segment::path(folder, number), offset, damage }
}
