//! Seeds of random streams.

/// A bijection of words that leaves no pattern in their bits (Stafford's mix 13, as in `SplitMix64`).
///
/// Streams whose seeds are near one another can be correlated; scrambled, no two seeds are near.
pub const fn scramble(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
