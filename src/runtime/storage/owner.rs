//! Whose a file of the log is: the header that every file begins with.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | `FXS3` of a segment, `FXC3` of a checkpoint, `FXM3` of the mark |
//! | 4..8 | CRC-32 of all that follows |
//! | 8..16 | the number of the segment; of a checkpoint, the last group it stands for; of the mark, which of its two places |
//! | 16..24 | the deployment |
//! | 24..32 | the replica |
//! | 32..56 | of the mark: segment, offset and group up to which the log is durable |
//! | 56..64 | zero |
//!
//! Numbers are little-endian. The last letter of the first word is the version of the format.
//! A header is durable before its file gets its name, so a damaged one is never what a crash left.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::{Damage, Error};

/// The length of a header.
pub(super) const BYTES: usize = 64;

/// The version of the format, as it stands in a header.
const VERSION: u8 = b'5';

/// Whose log it is: a replica's memory is of no use to another one, nor in another deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The deployment, by a number that no other has.
    pub deployment: u64,
    /// The replica in it.
    pub replica: u64,
}

/// `r1 of deployment 00c0ffee00000001`.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{} of deployment {:016x}", self.replica, self.deployment)
    }
}

/// What kind of file a header begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Segment,
    Checkpoint,
    Mark,
}

impl Kind {
    const fn magic(self) -> [u8; 4] {
        match self {
            Self::Segment => [b'F', b'X', b'S', VERSION],
            Self::Checkpoint => [b'F', b'X', b'C', VERSION],
            Self::Mark => [b'F', b'X', b'M', VERSION],
        }
    }
}

/// A header that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u64,
    pub(super) owner: Owner,
    pub(super) rest: [u64; 3],
}

impl Header {
    pub(super) fn encode(&self, kind: Kind) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let numbers = [self.number, self.owner.deployment, self.owner.replica];
        for (field, number) in bytes[8..].chunks_exact_mut(8).zip(numbers.iter().chain(&self.rest))
        {
            field.copy_from_slice(&number.to_le_bytes());
        }
        bytes[..4].copy_from_slice(&kind.magic());
        let checksum = crc32fast::hash(&bytes[8..]);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header at the beginning of `bytes`; `None` if there is no intact one.
    pub(super) fn decode(kind: Kind, bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.first_chunk()?;
        let checksum = u32::from_le_bytes(*bytes[4..].first_chunk()?);
        if bytes[..4] != kind.magic() || checksum != crc32fast::hash(&bytes[8..]) {
            return None;
        }
        let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        Some(Self {
            number: number(8)?,
            owner: Owner { deployment: number(16)?, replica: number(24)? },
            rest: [number(32)?, number(40)?, number(48)?],
        })
    }
}

/// Refuses a file that was written by another version of this program.
pub(super) fn check_version(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let kinds = [Kind::Segment, Kind::Checkpoint, Kind::Mark].map(Kind::magic);
    let is_ours = kinds.iter().any(|magic| bytes.starts_with(magic));
    let is_older = bytes.starts_with(b"FXL1");
    let is_other = kinds.iter().any(|magic| bytes.starts_with(&magic[..3]));
    if !is_older && (!is_other || is_ours) {
        return Ok(());
    }
    let version = if is_older { Some(&b'1') } else { bytes.get(3) };
    let Some(version) = version.filter(|byte| byte.is_ascii_digit()).copied().map(char::from)
    else {
        // A flipped bit is no version, and a file that is cut off has none.
        return Ok(());
    };
    Err(Error::Version { path: path.to_owned(), version, expected: char::from(VERSION) })
}

/// Refuses a file of somebody else.
pub(super) fn check_owner(path: &Path, found: Owner, expected: Owner) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Foreign { path: path.to_owned(), found, expected })
}

/// The owner of the file of this kind and number, which begins with `bytes`.
pub(super) fn of_file(kind: Kind, path: &Path, number: u64, bytes: &[u8]) -> Result<Owner, Error> {
    check_version(path, bytes)?;
    let damaged = |damage| Error::Corrupt { segment: path.to_owned(), offset: 0, damage };
    let header = Header::decode(kind, bytes).ok_or(damaged(Damage::Header))?;
    if header.number != number {
        return Err(damaged(Damage::Misnamed { found: header.number }));
    }
    Ok(header.owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header =
        Header { number: 7, owner: Owner { deployment: 5, replica: 2 }, rest: [1, 2, 3] };

    #[test]
    fn a_header_is_read_back_and_any_bit_changed_is_noticed() {
        let bytes = HEADER.encode(Kind::Segment);
        assert_eq!(Header::decode(Kind::Segment, &bytes), Some(HEADER));
        assert_eq!(Header::decode(Kind::Mark, &bytes), None);
        for bit in 0..BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(Kind::Segment, &damaged), None, "bit {bit}");
        }
        assert_eq!(Header::decode(Kind::Segment, &bytes[..BYTES - 1]), None);
    }

    #[test]
    fn another_version_is_named_and_a_flipped_bit_is_none() {
        let path = Path::new("1.log");
        let mut bytes = HEADER.encode(Kind::Segment);
        assert!(check_version(path, &bytes).is_ok());
        bytes[3] = b'3';
        let error = check_version(path, &bytes).unwrap_err();
        assert!(matches!(error, Error::Version { version: '3', expected: '5', .. }), "{error}");
        assert!(matches!(check_version(path, b"FXL1...."), Err(Error::Version { .. })));
        bytes[3] = VERSION ^ 0x40;
        assert!(check_version(path, &bytes).is_ok());
        assert!(matches!(of_file(Kind::Segment, path, 7, &bytes), Err(Error::Corrupt { .. })));
    }
}
