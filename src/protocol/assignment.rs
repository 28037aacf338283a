//! Which replicas answer reads of which key alone.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::quorum::NodeSet;

/// At most so many ranges of keys have responders of their own: so that the mode of a replica stays small.
pub const MAX_RANGES: usize = 4;

/// The responders of each key; all replicas agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Assignment {
    /// These, whatever the key.
    AllKeys(NodeSet),
    /// Those of the range that the key is in, or nobody. The ranges are in the order of their keys, and no two have a
    /// key in common.
    ByKey([Option<KeyRange>; MAX_RANGES]),
}

/// The responders of the keys from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyRange {
    /// The first of these keys.
    pub first: u64,
    /// The last of them, which is in the range too.
    pub last: u64,
    /// Who answers for them.
    pub at: NodeSet,
}

impl Assignment {
    /// A range of keys each; `None` if they are too many, if one has no key, or if two have one in common.
    pub fn by_key(ranges: &[KeyRange]) -> Option<Self> {
        let mut sorted = ranges.to_vec();
        sorted.sort_unstable();
        let are_apart = sorted.is_sorted_by(|one, next| one.last < next.first);
        let have_keys = sorted.iter().all(|range| range.first <= range.last);
        let mut table = [None; MAX_RANGES];
        for (index, range) in sorted.into_iter().enumerate() {
            *table.get_mut(index)? = Some(range);
        }
        (are_apart && have_keys).then_some(Self::ByKey(table))
    }

    fn ranges(&self) -> impl Iterator<Item = &KeyRange> {
        let ranges: &[Option<KeyRange>] = match self {
            Self::AllKeys(_) => &[],
            Self::ByKey(ranges) => ranges,
        };
        ranges.iter().flatten()
    }

    /// Who answers for this key.
    pub fn of(&self, key: u64) -> NodeSet {
        match self {
            Self::AllKeys(at) => *at,
            Self::ByKey(_) => {
                let range = self.ranges().find(|range| range.first <= key && key <= range.last);
                range.map_or(NodeSet::EMPTY, |range| range.at)
            }
        }
    }

    /// Who answers for any key.
    pub const fn all(&self) -> NodeSet {
        match self {
            Self::AllKeys(at) => *at,
            Self::ByKey(ranges) => {
                let (mut all, mut index) = (NodeSet::EMPTY, 0);
                while index < MAX_RANGES {
                    if let Some(range) = ranges[index] {
                        all = all.union(range.at);
                    }
                    index += 1;
                }
                all
            }
        }
    }

    /// The keys from which on others may answer, in order; the first is 0.
    pub fn sections(&self) -> Vec<u64> {
        let ends = self.ranges().flat_map(|range| [Some(range.first), range.last.checked_add(1)]);
        let mut sections: Vec<u64> = std::iter::once(0).chain(ends.flatten()).collect();
        sections.dedup();
        sections
    }
}

/// `{0,2}`, or `{0,2} of keys 0 to 499 and {0,3} of keys 500 to 999`.
impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::AllKeys(at) = self {
            return write!(f, "{at}");
        }
        for (index, KeyRange { first, last, at }) in self.ranges().enumerate() {
            let and = if index == 0 { "" } else { " and " };
            write!(f, "{and}{at} of keys {first} to {last}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::NodeId;

    fn range(first: u64, last: u64, node: u8) -> KeyRange {
        KeyRange { first, last, at: NodeSet::only(NodeId(node)) }
    }

    #[test]
    fn a_key_has_the_responders_of_its_range() {
        let table = Assignment::by_key(&[range(5, 9, 2), range(0, 3, 1)]).unwrap();
        let nobody = NodeSet::EMPTY;
        let [one, two] = [1, 2].map(|node| NodeSet::only(NodeId(node)));
        let found = [0, 3, 4, 5, 9, 10, u64::MAX].map(|key| table.of(key));
        assert_eq!(found, [one, one, nobody, two, two, nobody, nobody]);
        assert_eq!(table.all(), one.union(two));
        assert_eq!(table.sections(), [0, 4, 5, 10]);
        assert_eq!(table.to_string(), format!("{one} of keys 0 to 3 and {two} of keys 5 to 9"));
        let whole = Assignment::by_key(&[range(0, 4, 1), range(5, u64::MAX, 2)]).unwrap();
        assert_eq!(whole.sections(), [0, 5]);
        let everywhere = Assignment::AllKeys(one);
        assert_eq!((everywhere.of(7), everywhere.sections()), (one, vec![0]));
    }

    #[test]
    fn ranges_have_keys_and_share_none() {
        assert_eq!(Assignment::by_key(&[range(3, 2, 0)]), None);
        assert_eq!(Assignment::by_key(&[range(0, 3, 0), range(3, 4, 1)]), None);
        assert_eq!(Assignment::by_key(&[range(0, 9, 0), range(2, 4, 1)]), None);
        let many: Vec<KeyRange> = (0..5).map(|key| range(key, key, 0)).collect();
        assert_eq!(Assignment::by_key(&many), None);
        assert!(Assignment::by_key(&many[..4]).is_some());
    }
}
