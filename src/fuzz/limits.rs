//! What a seed may draw.

use std::ops::Range;

use crate::sabotage::Rule;

/// What a seed may draw: it draws all of it anyway, and keeps what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Only this proposer.
    pub protocol: Option<Protocol>,
    /// How many replicas, the end not included.
    pub replicas: Range<usize>,
    /// The rule that replicas break.
    pub rule: Option<Rule>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { protocol: None, replicas: 1..8, rule: None }
    }
}

/// Which proposer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Both phases for every write; anybody proposes.
    Classic,
    /// Phase 1 once, by a leader.
    Multi,
}

impl Limits {
    /// The words after `flexpaxos fuzz --seeds N` that make a seed mean what it means here.
    pub fn arguments(&self) -> String {
        let mut words = String::new();
        match self.protocol {
            None => {}
            Some(Protocol::Classic) => words.push_str(" --protocol classic"),
            Some(Protocol::Multi) => words.push_str(" --protocol multi"),
        }
        if self.replicas != Self::default().replicas {
            let Range { start, end } = self.replicas;
            words = format!("{words} --replicas {start}..{end}");
        }
        if let Some(rule) = self.rule {
            words = format!("{words} --break {rule}");
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_limited_is_said() {
        assert_eq!(Limits::default().arguments(), "");
        let limits =
            Limits { protocol: Some(Protocol::Multi), replicas: 3..4, rule: Some(Rule::HoleInLog) };
        let expected = " --protocol multi --replicas 3..4 --break hole-in-log";
        assert_eq!(limits.arguments(), expected);
    }
}
