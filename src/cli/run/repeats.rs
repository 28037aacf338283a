//! `--trials`: how often every variant is repeated.

use std::str::FromStr;

/// The most repeats of a run that goes on until it has enough.
const MOST: u32 = 200;

/// How often every variant is repeated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Repeats {
    /// So often.
    Count(u32),
    /// Until no median may differ by more than this share without being found.
    Until(f64),
}

impl Repeats {
    /// The most that there will be.
    pub(super) const fn most(self) -> u32 {
        match self {
            Self::Count(count) => count,
            Self::Until(_) => MOST,
        }
    }
}

impl FromStr for Repeats {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(width) = text.strip_prefix("until=") else {
            let count = text.parse::<u32>().ok().filter(|count| *count > 0);
            return count.map(Self::Count).ok_or_else(|| {
                "give how often, from 1 up, or `until=2%` for as many repeats as that takes".into()
            });
        };
        let number = width.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
        let share = number.map(|percent| percent / 100.0).filter(|it| *it >= 0.001 && *it < 1.0);
        share
            .map(Self::Until)
            .ok_or_else(|| "give a difference of 0.1 % or more, as `until=2%`".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_a_count_or_a_width() {
        assert_eq!("5".parse(), Ok(Repeats::Count(5)));
        assert_eq!("until=2%".parse(), Ok(Repeats::Until(0.02)));
        assert_eq!(("until=0.5%".parse::<Repeats>().unwrap()).most(), MOST);
        for wrong in
            ["0", "-1", "many", "until=2", "until=0%", "until=150%", "until=%", "until=0.05%"]
        {
            assert!(wrong.parse::<Repeats>().is_err(), "{wrong}");
        }
    }
}
