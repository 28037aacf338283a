//! The numbers that people and tables have, and the positions that the program has.
//!
//! Trials, repeats and faults count from 1 in every table, file name, text and option.
//! Inside, each is a position in a list and counts from 0.
//! Only these two functions translate.

/// The number of what is at this position: 1 for the first.
pub fn number(index: usize) -> u32 {
    u32::try_from(index).map_or(u32::MAX, |index| index.saturating_add(1))
}

/// The position of what has this number; nothing has the number 0.
pub fn index(number: u32) -> Option<usize> {
    usize::try_from(number.checked_sub(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_from_one_and_positions_from_zero() {
        assert_eq!((number(0), number(9)), (1, 10));
        assert_eq!((index(0), index(1), index(10)), (None, Some(0), Some(9)));
        assert_eq!(number(usize::MAX), u32::MAX);
    }
}
