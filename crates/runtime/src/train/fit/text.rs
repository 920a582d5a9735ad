//! Text within SVG and HTML.

/// Text as it stands in an element or a quoted attribute: what the markup means otherwise is escaped, and control characters, which XML
/// does not allow, are replaced.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(character),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A number for a reader: four decimals where they say something, else as many digits with a power of ten.
pub(super) fn readable(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    if value.fract() == 0.0 && value.abs() < 1e6 {
        return format!("{value:.0}");
    }
    if (1e-3..1e5).contains(&value.abs()) { format!("{value:.4}") } else { format!("{value:.3e}") }
}

/// So many seconds as a reader says them: `4.2 s`, `3 min 07 s`, `2 h 05 min`.
pub(super) fn duration(seconds: f64) -> String {
    if !(0.0..60.0).contains(&seconds) && seconds.is_finite() {
        let whole = seconds.max(0.0).round() as u64;
        let (hours, minutes) = (whole / 3600, whole / 60 % 60);
        return if hours > 0 {
            format!("{hours} h {minutes:02} min")
        } else {
            format!("{minutes} min {:02} s", whole % 60)
        };
    }
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.1} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped_and_control_characters_are_replaced() {
        assert_eq!(
            escaped("a<b & \"c\" > 'd'\u{1}\u{0}\n"),
            "a&lt;b &amp; &quot;c&quot; &gt; &#39;d&#39;\u{fffd}\u{fffd}\n"
        );
        assert_eq!(escaped("größer als π"), "größer als π");
    }

    #[test]
    fn numbers_and_times_are_short() {
        let numbers = [0.0, -3.0, 0.123_456, 1e-4, 123_456.7, 2e9, f64::NAN, f64::INFINITY].map(readable);
        assert_eq!(numbers, ["0", "-3", "0.1235", "1.000e-4", "1.235e5", "2.000e9", "NaN", "inf"]);
        let times = [0.104, 12.34, 59.99, 60.0, 187.2, 7500.0].map(duration);
        assert_eq!(times, ["0.10 s", "12.3 s", "60.0 s", "1 min 00 s", "3 min 07 s", "2 h 05 min"]);
    }
}
