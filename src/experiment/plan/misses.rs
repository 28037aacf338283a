//! What the emulated network misses of the published one, in words.

use crate::topology::{MISS_MAX, Miss};

/// The rows that a sentence names.
const NAMED_MAX: usize = 10;

/// How many rows of the profile are missed, which, and the worst; empty if none is.
pub(super) fn sentence((row_count, mut misses): (usize, Vec<Miss>)) -> String {
    misses.sort_by(|one, other| other.relative().abs().total_cmp(&one.relative().abs()));
    let Some(worst) = misses.first() else { return String::new() };
    let named: Vec<String> =
        misses.iter().take(NAMED_MAX).map(|miss| format!("{} to {}", miss.from, miss.to)).collect();
    let more = match misses.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "with `jitter = \"profile\"` a published percentile is missed by more than {:.0} % in {} of \
         {row_count} rows: {}{more}; the worst is the {} from {} to {}, {:.2} ms instead of {:.2} \
         ({:+.0} %). A round trip is one leg of each direction, and the rows of the two differ, or no \
         two independent legs have these percentiles",
        MISS_MAX * 100.0,
        misses.len(),
        named.join(", "),
        percentile(worst.probability),
        worst.from,
        worst.to,
        worst.emulated.as_millis_f64(),
        worst.published.as_millis_f64(),
        worst.relative() * 100.0,
    )
}

/// `p99`; the minimum is the percentile 0.
fn percentile(probability: f64) -> String {
    if probability <= 0.0 {
        return "minimum".to_owned();
    }
    let text = format!("{:.2}", probability * 100.0);
    format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    fn miss(to: &str, emulated_ms: u64) -> Miss {
        let (from, to) = ("a".to_owned(), to.to_owned());
        let (published, emulated) = (Span::from_millis(100), Span::from_millis(emulated_ms));
        Miss { from, to, probability: 0.99, published, emulated }
    }

    #[test]
    fn the_sentence_names_how_many_which_and_the_worst() {
        assert_eq!(sentence((4, Vec::new())), "");
        let text = sentence((20, vec![miss("b", 108), miss("c", 40)]));
        assert!(text.contains("by more than 5 % in 2 of 20 rows: a to c, a to b;"), "{text}");
        assert!(text.contains("p99 from a to c, 40.00 ms instead of 100.00 (-60 %)"), "{text}");
        let many: Vec<Miss> = (0..12).map(|number| miss(&format!("r{number}"), 110)).collect();
        assert!(sentence((20, many)).contains("a to r9 and 2 more; the worst"));
    }
}
