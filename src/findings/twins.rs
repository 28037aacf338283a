//! Which replicas of a trial left logs that say the same.
//!
//! One of them is decoded and checked, and speaks for the others.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use super::histories::Files;
use crate::deployment::MemberName;
use crate::history::are_twins;

/// Replicas whose logs say the same, byte for byte, as that of another one, which is named for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Twins(BTreeMap<MemberName, MemberName>);

impl Twins {
    /// Among the replicas with one log each: a replica that started again is not looked at.
    pub fn find(files: &Files) -> Self {
        let is_replica = |member: &MemberName| matches!(member, MemberName::Replica(_));
        let logs = files.iter().filter_map(|(member, paths)| match &paths[..] {
            [path] if is_replica(member) => Some((*member, path)),
            _ => None,
        });
        let mut originals: Vec<(MemberName, &PathBuf)> = Vec::new();
        let mut twins = BTreeMap::new();
        for (member, path) in logs {
            // One that cannot be read is named by whoever decodes it.
            let is_twin = |(_, original): &&(MemberName, &PathBuf)| {
                let (one, other) = (File::open(original), File::open(path));
                one.and_then(|one| are_twins(one, other?)).unwrap_or(false)
            };
            match originals.iter().find(is_twin) {
                Some((original, _)) => drop(twins.insert(member, *original)),
                None => originals.push((member, path)),
            }
        }
        Self(twins)
    }

    /// Whose log says the same as that of a member.
    pub(super) fn of(&self, member: MemberName) -> Option<MemberName> {
        self.0.get(&member).copied()
    }
}
