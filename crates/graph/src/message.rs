//! How what a caller gave is written in messages: in few characters, however long it is.
//!
//! It is public for the crates above, whose messages are written alike, and no part of the interface.

/// A number for a message: without the hundreds of zeros that a tiny or huge one has.
#[must_use]
pub fn short(value: f64) -> String {
    let is_plain = value == 0.0 || !value.is_finite() || (1e-5..1e16).contains(&value.abs());
    if is_plain { value.to_string() } else { format!("{value:e}") }
}

/// The most characters of a caller's text that a message repeats.
const LONGEST_TEXT: usize = 80;

/// A caller's text in quotes for a message: of a long one the beginning, and how long it is.
#[must_use]
pub fn cut(text: &str) -> String {
    cut_at(LONGEST_TEXT, text)
}

/// [`cut`] behind so many characters.
#[must_use]
pub fn cut_at(most: usize, text: &str) -> String {
    match text.char_indices().nth(most) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} characters)", &text[..end], text.chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_take_few_characters() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (2.0, "2"),
            (-0.125, "-0.125"),
            (1e-5, "0.00001"),
            (1e-300, "1e-300"),
            (-1e300, "-1e300"),
            (1e16, "1e16"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(short(value), text);
        }
        assert_eq!(cut("a \"b\""), "\"a \\\"b\\\"\"");
        assert_eq!(cut(&"é".repeat(80)), format!("\"{}\"", "é".repeat(80)));
        assert_eq!(cut(&"é".repeat(81)), format!("\"{}\"… (81 characters)", "é".repeat(80)));
    }
}
