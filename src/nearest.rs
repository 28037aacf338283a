//! The names that a misspelt one may have meant.

use strsim::osa_distance;

/// So many names are suggested at most.
const SUGGESTED_MAX: usize = 3;

/// The known name nearest to `name`, if it is near enough to be worth a question: a third of its letters
/// may be wrong.
pub fn nearest<'a>(name: &str, known: &'a [impl AsRef<str>]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (osa_distance(name, candidate.as_ref()), candidate.as_ref()))
        .filter(|(distance, candidate)| 3 * distance <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// At most three of `known` that resemble `word`, the nearest first: a slip away from it in any case of
/// its letters, a part of it, or the other way round.
pub fn resembling<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let word = word.to_lowercase();
    let mut found: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let distance = osa_distance(&word, name);
            // Two letters, or a third of them wrong, is a slip; more is another name.
            let slip = distance <= (word.len() / 3).max(2) && distance < word.len();
            let part = word.len() >= 3 && (name.contains(&word) || word.contains(name));
            (slip || part).then_some((distance, name))
        })
        .collect();
    found.sort_unstable();
    found.into_iter().take(SUGGESTED_MAX).map(|(_, name)| name.to_owned()).collect()
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
    fn a_slip_a_part_and_a_wrong_case_are_recognised() {
        let known = ["eu-west-1", "us-east-1", "us-east-2", "sa-east-1"];
        assert_eq!(resembling("us-eats-1", known)[0], "us-east-1");
        assert_eq!(resembling("us-east", known)[..2], ["us-east-1", "us-east-2"]);
        assert_eq!(resembling("US-East-1", known)[0], "us-east-1");
        assert!(resembling("mars", known).is_empty());
        assert!(resembling("", known).is_empty());
    }
}
