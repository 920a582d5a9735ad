//! Patterns of names.
//!
//! In a pattern, `*` stands for any characters, dots too, and a name must match from its begin to its end. A pattern without `*`
//! stands for a tensor, or for all that is inside a module: `conv1` for `conv1` and `conv1.weight`, but not for `conv10.weight`, and
//! `features.` for every name that begins so.

/// Whether a name has the form of a pattern; none has that of an empty one.
pub(crate) fn matches_pattern(pattern: &str, name: &str) -> bool {
    NamePattern::new(pattern).is_ok_and(|pattern| pattern.matches(name))
}

/// A pattern of names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamePattern<'p> {
    text: &'p str,
}

impl<'p> NamePattern<'p> {
    /// The pattern that is written so; the error says why it is none.
    pub(crate) fn new(text: &'p str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("a pattern must not be empty; \"*\" matches every name");
        }
        Ok(NamePattern { text })
    }

    /// How many `*` it has.
    pub(crate) fn stars(self) -> usize {
        self.text.matches('*').count()
    }

    /// Whether it matches a name.
    pub(crate) fn matches(self, name: &str) -> bool {
        self.parts(name).is_some()
    }

    /// The name with what the pattern says replaced by `to`, whose `*` are filled in their order by what those of the pattern matched;
    /// none if the pattern does not match.
    pub(crate) fn replaced(self, name: &str, to: &str) -> Option<String> {
        let parts = self.parts(name)?;
        if self.stars() == 0 {
            let behind = parts.concat();
            // Without the name of a module its dot goes too.
            let behind = if to.is_empty() { behind.strip_prefix('.').unwrap_or(&behind) } else { &behind };
            return Some(format!("{to}{behind}"));
        }
        let mut parts = parts.into_iter();
        let mut replaced = String::with_capacity(name.len() + to.len());
        for (number, text) in to.split('*').enumerate() {
            if number > 0 {
                replaced.push_str(parts.next().unwrap_or_default());
            }
            replaced.push_str(text);
        }
        Some(replaced)
    }

    /// What each `*` matches, each but the last as few characters as can be; for a pattern without `*`, what follows it in the name.
    fn parts(self, name: &str) -> Option<Vec<&str>> {
        let Some((first, rest)) = self.text.split_once('*') else {
            let behind = name.strip_prefix(self.text)?;
            let is_inside = behind.is_empty() || behind.starts_with('.') || self.text.ends_with('.');
            return is_inside.then(|| vec![behind]);
        };
        let mut left = name.strip_prefix(first)?;
        let mut parts = Vec::new();
        let (middle, last) = rest.rsplit_once('*').map_or((None, rest), |(middle, last)| (Some(middle), last));
        for text in middle.into_iter().flat_map(|middle| middle.split('*')) {
            let place = left.find(text)?;
            parts.push(&left[..place]);
            left = &left[place + text.len()..];
        }
        parts.push(left.strip_suffix(last)?);
        Some(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(pattern: &str, to: &str, name: &str) -> Option<String> {
        NamePattern::new(pattern).unwrap().replaced(name, to)
    }

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
            ("head", "head.weight", true),
            ("", "", false),
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

    #[test]
    fn names_and_modules() {
        assert_eq!(renamed("features.", "conv", "features.0.weight").as_deref(), Some("conv0.weight"));
        assert_eq!(renamed("backbone.", "", "backbone.0.weight").as_deref(), Some("0.weight"));
        assert_eq!(renamed("conv1", "a", "conv1.weight").as_deref(), Some("a.weight"));
        assert_eq!(renamed("conv1", "a", "conv1").as_deref(), Some("a"));
        assert_eq!(renamed("module", "", "module.0.weight").as_deref(), Some("0.weight"));
        assert_eq!(renamed("conv1", "a", "conv10.weight"), None);
        assert_eq!(renamed("conv1", "a", "b.conv1"), None);
    }

    #[test]
    fn stars() {
        assert_eq!(renamed("h.*.attn.*", "blocks.*.attention.*", "h.3.attn.c.w").unwrap(), "blocks.3.attention.c.w");
        assert_eq!(renamed("*.gamma", "*.weight", "ln.1.gamma").unwrap(), "ln.1.weight");
        assert_eq!(renamed("*", "model.*", "w").unwrap(), "model.w");
        assert_eq!(renamed("*a*a", "*-*", "aaa").unwrap(), "-a");
        assert_eq!(renamed("ab*b", "*", "ab"), None);
        assert_eq!(renamed("*.weight", "*", "weight"), None);
        assert_eq!(renamed("a*b*c", "*", "abbc").unwrap(), "");
        assert!(NamePattern::new("**").unwrap().matches(""));
        assert!(!NamePattern::new("*é*ü").unwrap().matches("xéy"));
        assert!(NamePattern::new("").is_err());
    }
}
