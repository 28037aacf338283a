//! Recovery: what a crash left in the folder, and where the log goes on.
//!
//! Reading changes nothing, so that it can be repeated; [`Position`] says what is to be repaired.
//!
//! The writer has one frame in flight and starts the next only when that one is durable.
//! So after a crash every frame is intact, except perhaps the last one, of which any part may be
//! there; and behind the last one are zeros.
//! A damaged frame that an intact one follows had therefore been durable, and its loss is refused.
//! Of the very last frame the [`mark`](super::mark) says whether it had been.
//!
//! Reading begins with the segment that holds the first group behind the checkpoint.
//! Older ones are no longer needed: a crash may have left any of them, and nothing of them is read.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::checkpoint::{self, Checkpoint};
use super::error::{Action, Damage, Error};
use super::frame::{self, Frame};
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
    /// The last group that the checkpoint stands for; 0 without one.
    pub(super) covered: u64,
    /// Where the log goes on; `None` if nothing was ever written to it.
    pub(super) position: Option<Position>,
    /// The segments before that one, each with the last group in it.
    pub(super) full: Vec<(u64, u64)>,
}

/// Reads the log of a folder, which must be that of `owner`, if one is given.
pub(super) fn read(folder: &Path, owner: Option<Owner>) -> Result<Found, Error> {
    let marked = mark::read(folder)?;
    let numbers = segment::numbers(folder)?;
    let Some((found, mark)) = marked else {
        return match first_file(folder, &numbers)? {
            None => Ok(Found::empty()),
            Some((kind, path, number)) => {
                // The mark is made before the first segment.
                let bytes =
                    fs::read(&path).map_err(|error| Error::io(Action::Read, &path, error))?;
                owner::of_file(kind, &path, number, &bytes)?;
                let (segment, damage) = (mark::path(folder), Damage::MarkMissing);
                Err(Error::Corrupt { segment, offset: 0, damage })
            }
        };
    };
    owner::check_owner(&mark::path(folder), found, owner.unwrap_or(found))?;
    let checkpoint = checkpoint::read(folder, found)?;
    let covered = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.last);
    let mut read = match numbers.as_slice() {
        [] => Found::empty(),
        numbers => scan(folder, numbers, found, covered)?,
    };
    read.owner = Some(found);
    read.recovered.checkpoint = checkpoint.map(|Checkpoint { state, .. }| state);
    let last = read.position.map_or(0, |position| position.sequence - 1);
    // A checkpoint gets its name only when the groups that it stands for are durable.
    let durable = mark.sequence.max(covered);
    if last < durable {
        let damage = Damage::Shortened { found: last, durable };
        let (number, offset) =
            read.position.map_or((mark.segment, 0), |position| (position.segment, position.offset));
        return Err(corrupt(folder, number, offset, damage));
    }
    if let Some(position) = &mut read.position {
        // Behind a torn frame: another one was begun behind the last, so that was synced.
        if last == durable || read.recovered.tail != Tail::Clean {
            position.unsynced_from = None;
        }
    }
    Ok(read)
}

/// The oldest segment, or else a checkpoint: which file, and its number.
fn first_file(
    folder: &Path,
    segments: &[u64],
) -> Result<Option<(owner::Kind, PathBuf, u64)>, Error> {
    if let Some(&first) = segments.first() {
        return Ok(Some((owner::Kind::Segment, segment::path(folder, first), first)));
    }
    let newest = checkpoint::numbers(folder)?.last().copied();
    Ok(newest.map(|last| (owner::Kind::Checkpoint, checkpoint::path(folder, last), last)))
}

impl Found {
    /// Nothing at all.
    const fn empty() -> Self {
        let recovered = Recovered { checkpoint: None, groups: Vec::new(), tail: Tail::Clean };
        Self { owner: None, recovered, covered: 0, position: None, full: Vec::new() }
    }
}

/// Reads the segments that hold groups behind the last one that the checkpoint stands for.
fn scan(folder: &Path, numbers: &[u64], owner: Owner, covered: u64) -> Result<Found, Error> {
    let first = numbers.first().copied().unwrap_or(segment::FIRST_NUMBER);
    let Base { first: base, mut contents } = base(folder, numbers, covered)?;
    let (oldest, sequence) = match base {
        Some(base) => base,
        // Nothing was written yet, or what was is torn or damaged.
        None if covered == 0 && first == segment::FIRST_NUMBER => (first, 1),
        None => return Err(corrupt(folder, first, 0, Damage::BeginningMissing)),
    };
    let mut scan = Scan::new(folder, owner, covered, (oldest, sequence));
    for (expected, &found) in (oldest..).zip(numbers.iter().filter(|number| **number >= oldest)) {
        if expected != found {
            return Err(corrupt(folder, found, 0, Damage::SegmentMissing { expected, found }));
        }
        let bytes = contents.pop().expect("what is from the base on was read to find it");
        scan.segment(found, &bytes)?;
    }
    let Scan { recovered, position, mut full, .. } = scan;
    full.retain(|(number, _)| *number < position.segment);
    Ok(Found { owner: Some(owner), recovered, covered, position: Some(position), full })
}

/// Where reading begins.
struct Base {
    /// The segment with the first group behind the checkpoint, and the first group in it; none if no segment
    /// begins with that group or one before.
    first: Option<(u64, u64)>,
    /// What is in that segment and in each newer one, the newest first, so that each is read once.
    contents: Vec<Bytes>,
}

/// Looks for the newest segment that begins with the first group behind the checkpoint or one before.
fn base(folder: &Path, numbers: &[u64], covered: u64) -> Result<Base, Error> {
    let mut contents = Vec::new();
    for &number in numbers.iter().rev() {
        let path = segment::path(folder, number);
        let bytes =
            Bytes::from(fs::read(&path).map_err(|error| Error::io(Action::Read, &path, error))?);
        let first = frame::decode(&bytes, number, owner::BYTES).map(|frame| frame.first);
        contents.push(bytes);
        if let Some(first) = first.filter(|first| *first <= covered + 1) {
            return Ok(Base { first: Some((number, first)), contents });
        }
    }
    Ok(Base { first: None, contents })
}

/// Reading forward from the oldest segment.
struct Scan<'a> {
    folder: &'a Path,
    owner: Owner,
    /// The last group that the checkpoint stands for.
    covered: u64,
    recovered: Recovered,
    position: Position,
    full: Vec<(u64, u64)>,
}

impl<'a> Scan<'a> {
    /// From this segment on, which begins with this group.
    fn new(folder: &'a Path, owner: Owner, covered: u64, (oldest, sequence): (u64, u64)) -> Self {
        let recovered = Recovered { checkpoint: None, groups: Vec::new(), tail: Tail::Clean };
        let position = Position {
            oldest,
            segment: oldest,
            offset: FIRST_OFFSET,
            remains_end: FIRST_OFFSET,
            sequence,
            unsynced_from: None,
        };
        Self { folder, owner, covered, recovered, position, full: Vec::new() }
    }

    fn segment(&mut self, number: u64, bytes: &Bytes) -> Result<(), Error> {
        let path = segment::path(self.folder, number);
        let kind = owner::Kind::Segment;
        owner::check_owner(&path, owner::of_file(kind, &path, number, bytes)?, self.owner)?;
        if number > self.position.oldest {
            self.full.push((number - 1, self.position.sequence - 1));
        }
        let mut offset = owner::BYTES;
        // Behind a torn frame nothing is read: whatever is there is judged by `remains` below.
        if self.recovered.tail == Tail::Clean {
            while let Some(frame) = frame::decode(bytes, number, offset) {
                let end = frame.end;
                self.frame(number, offset, frame)?;
                offset = end;
            }
        }
        match end_of_remains(&bytes[offset..]) {
            0 => Ok(()),
            remains => self.remains(number, bytes, offset, offset + remains),
        }
    }

    fn frame(&mut self, number: u64, offset: usize, frame: Frame) -> Result<(), Error> {
        let expected = self.position.sequence;
        if frame.first != expected {
            let damage = Damage::Gap { expected, found: frame.first };
            return Err(corrupt(self.folder, number, offset as u64, damage));
        }
        self.position.sequence += frame.groups.len() as u64;
        // Of the first frames the checkpoint may stand for some groups, or all.
        let covered = (self.covered + 1).saturating_sub(frame.first);
        let skipped = usize::try_from(covered).unwrap_or(usize::MAX);
        self.recovered.groups.extend(frame.groups.into_iter().skip(skipped));
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
