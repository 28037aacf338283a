//! The known names that a misspelt one may have meant.

/// The known name nearest to `name`, if one is near enough to be worth a question.
pub fn nearest<'a, S: AsRef<str>>(name: &str, known: &'a [S]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (distance(name, candidate.as_ref()), candidate.as_ref()))
        .filter(|(distance, candidate)| 3 * distance <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// At most three of `known` that resemble `word`, the nearest first.
pub fn resembling<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let word = word.to_lowercase();
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let distance = distance(&word, name);
            // Two letters exchanged, or a third of them wrong, is a slip; more is another name.
            let slip = distance <= (word.len() / 3).max(2) && distance < word.len();
            let part = word.len() >= 3 && (name.contains(&word) || word.contains(name));
            (slip || part).then_some((distance, name))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// The least number of letters to insert, delete, replace or swap with the next (Damerau 1964, no
/// letter touched twice).
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    // The distances from the first letters of `from` to the first letters of `to`.
    let mut table = vec![vec![0; to.len() + 1]; from.len() + 1];
    for i in 0..=from.len() {
        for j in 0..=to.len() {
            table[i][j] = match (i, j) {
                (0, rest) | (rest, 0) => rest,
                _ => {
                    let replaced = table[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
                    let is_swap =
                        i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
                    let swapped = if is_swap { table[i - 2][j - 2] + 1 } else { usize::MAX };
                    let moved = table[i - 1][j].min(table[i][j - 1]) + 1;
                    replaced.min(moved).min(swapped)
                }
            };
        }
    }
    table[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_what_it_meant() {
        let regions = ["us-east-1", "us-west-2", "eu-west-1"];
        assert_eq!(nearest("us-esat-1", &regions), Some("us-east-1"));
        assert_eq!(nearest("eu-west", &regions), Some("eu-west-1"));
        assert_eq!(nearest("jiter", &["jitter", "profile"]), Some("jitter"));
    }

    #[test]
    fn a_stranger_is_not_guessed_at() {
        assert_eq!(nearest("mars", &["us-east-1", "eu-west-1"]), None);
        assert_eq!(nearest("mars", &[] as &[&str]), None);
    }

    #[test]
    fn the_distance_counts_insertions_deletions_replacements_and_swaps() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("us-east-1", "us-west-1"), 2);
        assert_eq!(distance("same", "same"), 0);
        assert_eq!(distance("drian", "drain"), 1);
    }

    #[test]
    fn a_slip_a_part_and_a_wrong_case_are_recognised_and_a_stranger_is_not() {
        let known = ["eu-west-1", "us-east-1", "us-east-2", "sa-east-1"];
        assert_eq!(resembling("us-eats-1", known)[0], "us-east-1");
        assert_eq!(resembling("us-east", known)[..2], ["us-east-1", "us-east-2"]);
        assert_eq!(resembling("US-East-1", known)[0], "us-east-1");
        assert!(resembling("mars", known).is_empty());
        assert!(resembling("", known).is_empty());
    }
}
