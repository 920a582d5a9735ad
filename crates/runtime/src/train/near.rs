//! Names that may have been meant by one that nothing has.

/// How many names are told at most.
const MOST: usize = 3;

/// Those of `known` that differ from `name` by few letters, the nearest first: by at most a third of its length, and never by all.
pub(crate) fn near_names<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let most = (letters.len() / 3).max(1);
    let mut near: Vec<(usize, &str)> = known
        .filter_map(|known| {
            let others: Vec<char> = known.chars().collect();
            // So many letters more or fewer are as many differences.
            if others.len().abs_diff(letters.len()) > most {
                return None;
            }
            let distance = distance(&letters, &others);
            (distance <= most && distance < letters.len().max(others.len())).then_some((distance, known))
        })
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.into_iter().take(MOST).map(|(_, known)| known.to_owned()).collect()
}

/// By how many letters that are put in, left out or exchanged two words differ (Levenshtein 1966).
fn distance(a: &[char], b: &[char]) -> usize {
    // Of each row of the table of prefixes only the one before is needed.
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (place, letter) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], place + 1);
        for (column, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
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
    fn letters_that_differ_are_counted() {
        let distance = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        for (a, b, expected) in [
            ("", "", 0),
            ("a", "", 1),
            ("kitten", "sitting", 3),
            ("head", "hed", 1),
            ("ab", "ba", 2),
            ("größe", "grösse", 2),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} and {b}");
        }
    }

    #[test]
    fn the_nearest_names_come_first() {
        let known = ["head.weight", "head.bias", "body.weight", "heat.weight", "x"];
        assert_eq!(near_names("hed.weight", known.into_iter()), ["head.weight", "heat.weight", "body.weight"]);
        assert_eq!(near_names("head.weights", known.into_iter()), ["head.weight", "heat.weight"]);
        assert!(near_names("encoder.layers.0.norm", known.into_iter()).is_empty());
        assert!(near_names("a", known.into_iter()).is_empty());
    }
}
