//! The majority: the one file in which a number of nodes is halved.

/// The least number of `n` nodes such that any two sets of that size meet.
pub const fn majority(n: usize) -> usize {
    n / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::majority;

    #[test]
    fn two_majorities_always_meet_and_nothing_smaller_does() {
        for n in 1..=64 {
            assert!(2 * majority(n) > n);
            assert!(2 * (majority(n) - 1) <= n);
        }
    }
}
