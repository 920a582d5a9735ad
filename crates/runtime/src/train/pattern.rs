//! Patterns of names: `*` stands for any text, of any length, dots included; everything else stands for itself.

/// Whether a name has the form of a pattern.
pub(crate) fn matches_pattern(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    // Without a star the name is the pattern.
    let Some(last) = parts.pop() else { return rest.is_empty() };
    // The first place of each part leaves the most for those behind it.
    for part in parts {
        let Some(place) = rest.find(part) else { return false };
        rest = &rest[place + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches_pattern;

    #[test]
    fn stars_stand_for_any_text() {
        let cases = [
            ("*.bias", "layer.0.bias", true),
            ("*.bias", "bias", false),
            ("*bias", "bias", true),
            ("layer.*", "layer.0.weight", true),
            ("layer.*", "layers.0.weight", false),
            ("weight", "weight", true),
            ("weight", "weights", false),
            ("", "", true),
            ("", "w", false),
            ("*", "", true),
            ("*", "anything", true),
            ("**", "w", true),
            ("a*b*c", "a.b.b.c", true),
            ("a*b*c", "a.c.b", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "ab", false),
            ("*.größe.*", "x.größe.y", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches_pattern(pattern, name), expected, "{pattern:?} and {name:?}");
        }
    }
}
