//! Where histories go while they are written.

use crate::deployment::MemberName;

/// Takes the histories of members block by block, so that a long trial need not hold them.
///
/// Without one the [`Outcome`](super::Outcome) holds them whole; with one it holds the end of each.
pub trait Spool {
    /// The next bytes of what a member writes between its start of this number, from 0, and the next one.
    fn take(&mut self, member: MemberName, start: usize, block: &[u8]);
}
