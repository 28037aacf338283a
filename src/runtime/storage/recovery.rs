//! Recovery: what a crash left in the folder, and where the log goes on.
//!
//! Reading changes nothing, so that it can be repeated; [`Position`] says what is to be repaired.
//!
//! The writer has one frame in flight and starts the next only when that one is durable.
//! So after a crash every frame is intact, except perhaps the last one, of which any part may be
//! there; and behind the last one are zeros.
//! A damaged frame that an intact one follows had therefore been durable, and its loss is refused.
//! The one loss that cannot be told from a crash is that of the very last frame.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;

use super::error::{Action, Damage, Error};
use super::frame::{self, Frame, Kind};
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
}

/// Reads the log of a folder; no position means that there is none yet.
pub(super) fn read(folder: &Path) -> Result<(Recovered, Option<Position>), Error> {
    let numbers = segment::numbers(folder)?;
    let Some(&oldest) = numbers.first() else {
        let recovered = Recovered { checkpoint: None, groups: Vec::new(), tail: Tail::Clean };
        return Ok((recovered, None));
    };
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
    let mut scan = Scan::new(folder, oldest, base.is_some());
    for (expected, &found) in (oldest..).zip(numbers.iter().filter(|number| **number >= oldest)) {
        if expected != found {
            return Err(corrupt(folder, found, 0, Damage::SegmentMissing { expected, found }));
        }
        scan.segment(found)?;
    }
    Ok((scan.recovered, Some(scan.position)))
}

/// Reading forward from the oldest segment.
struct Scan<'a> {
    folder: &'a Path,
    recovered: Recovered,
    position: Position,
    /// The base begins with a checkpoint, and its sequence number is where counting starts.
    awaits_checkpoint: bool,
}

impl<'a> Scan<'a> {
    fn new(folder: &'a Path, oldest: u64, awaits_checkpoint: bool) -> Self {
        let recovered = Recovered { checkpoint: None, groups: Vec::new(), tail: Tail::Clean };
        let position = Position { oldest, segment: oldest, offset: 0, remains_end: 0, sequence: 1 };
        Self { folder, recovered, position, awaits_checkpoint }
    }

    fn segment(&mut self, number: u64) -> Result<(), Error> {
        let path = segment::path(self.folder, number);
        let bytes =
            Bytes::from(fs::read(&path).map_err(|error| Error::io(Action::Read, &path, error))?);
        let mut offset = 0;
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
    if length < frame::HEADER_BYTES as u64 {
        return Ok(false);
    }
    let mut header = [0; frame::HEADER_BYTES];
    file.read_exact_at(&mut header, 0).map_err(failed)?;
    if !frame::looks_like_checkpoint(&header) {
        return Ok(false);
    }
    let bytes = Bytes::from(fs::read(&path).map_err(failed)?);
    Ok(frame::decode(&bytes, number, 0).is_some_and(|frame| frame.kind == Kind::Checkpoint))
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
