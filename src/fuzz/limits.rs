//! What a seed may draw.

use std::ops::Range;

use crate::sabotage::Rule;

/// What a seed may draw: it draws all of it anyway, and keeps what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Only the protocol of this name: [`Mode::name`](crate::registry::Mode::name).
    pub protocol: Option<&'static str>,
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

impl Limits {
    /// The words after `flexpaxos fuzz --seeds N` that make a seed mean what it means here.
    pub fn arguments(&self) -> String {
        let mut words = String::new();
        if let Some(protocol) = self.protocol {
            words = format!(" --protocol {protocol}");
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
            Limits { protocol: Some("multi"), replicas: 3..4, rule: Some(Rule::HoleInLog) };
        let expected = " --protocol multi --replicas 3..4 --break hole-in-log";
        assert_eq!(limits.arguments(), expected);
    }
}
