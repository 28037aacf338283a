//! Which known names resemble one that is not known.

/// At most three of `known` that resemble `word`, the nearest first.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let word = word.to_lowercase();
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let distance = edit_distance(&word, name);
            // Two letters exchanged, or a third of them wrong, is a slip; more is another name.
            let slip = distance <= (word.len() / 3).max(2) && distance < word.len();
            let part = word.len() >= 3 && (name.contains(&word) || word.contains(name));
            (slip || part).then_some((distance, name))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// The least number of letters inserted, removed or replaced (Levenshtein 1966).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    // The distances from the letters of `a` read so far to every beginning of `b`.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (read, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = read + 1;
        for (column, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edit_distance_counts_letters() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("us-east-1", "us-west-1", 2)]
        {
            assert_eq!(edit_distance(a, b), expected, "{a} {b}");
            assert_eq!(edit_distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn a_slip_a_part_and_a_wrong_case_are_recognised_and_a_stranger_is_not() {
        let known = ["eu-west-1", "us-east-1", "us-east-2", "sa-east-1"];
        assert_eq!(nearest("us-eats-1", known)[0], "us-east-1");
        assert_eq!(nearest("us-east", known)[..2], ["us-east-1", "us-east-2"]);
        assert_eq!(nearest("US-East-1", known)[0], "us-east-1");
        assert!(nearest("mars", known).is_empty());
        assert!(nearest("", known).is_empty());
    }
}
