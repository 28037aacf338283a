//! Seeds of random streams.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A seed in tables and files: text that no reader takes for a number, `s17253482213459823411`.
///
/// R and JavaScript keep whole numbers only up to 2^53, and a seed has 64 bits.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Seed(pub u64);

/// Why a text is no seed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no seed: a seed is the letter s and a number below 2^64, such as `s17`")]
pub struct NoSeed {
    /// The text.
    text: String,
    /// Why the digits are no number; absent where there is no `s`.
    source: Option<ParseIntError>,
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl FromStr for Seed {
    type Err = NoSeed;

    fn from_str(text: &str) -> Result<Self, NoSeed> {
        let refused = |source| NoSeed { text: text.to_owned(), source };
        let digits = text.strip_prefix('s').ok_or_else(|| refused(None))?;
        digits.parse().map(Self).map_err(|source| refused(Some(source)))
    }
}

impl TryFrom<String> for Seed {
    type Error = NoSeed;

    fn try_from(text: String) -> Result<Self, NoSeed> {
        text.parse()
    }
}

impl From<Seed> for String {
    fn from(seed: Seed) -> Self {
        seed.to_string()
    }
}

/// A bijection of words that leaves no pattern in their bits (Stafford's mix 13, as in `SplitMix64`).
///
/// Streams whose seeds are near one another can be correlated; scrambled, no two seeds are near.
pub const fn scramble(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_in_a_file_is_text_and_comes_back_whole() {
        for seed in [Seed(0), Seed(17_253_482_213_459_823_411), Seed(u64::MAX)] {
            let text = serde_json::to_string(&seed).unwrap();
            assert_eq!(text, format!("\"s{}\"", seed.0));
            assert_eq!(serde_json::from_str::<Seed>(&text).unwrap(), seed);
        }
        for text in ["17", "s", "s-1", "s1.0", "", "s18446744073709551616"] {
            let refused = text.parse::<Seed>().unwrap_err().to_string();
            assert!(refused.contains("such as `s17`"), "{refused}");
        }
    }
}
