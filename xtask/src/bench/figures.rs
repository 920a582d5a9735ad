//! Times and ratios as text, and rows of text as aligned columns.

use std::fmt;

/// A time with three digits that count, in the unit that fits.
pub(super) fn time(seconds: f64) -> String {
    // Rounding comes first: what rounds to 1000 of a unit is 1 of the next.
    let units = [("ns", 1e9), ("us", 1e6), ("ms", 1e3)];
    let fitting = units.into_iter().find(|(_, scale)| seconds * scale < 999.5);
    let (unit, scale) = fitting.unwrap_or(("s", 1.0));
    format!("{} {unit:2}", three_digits(seconds * scale))
}

/// A ratio with three digits that count, or two below 0.1.
pub(super) fn ratio(value: f64) -> String {
    match value {
        value if value < 0.00995 => format!("{value:.4}"),
        value if value < 0.0995 => format!("{value:.3}"),
        value => three_digits(value),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// How a column's cells stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Writes rows, the first of which is the head, with a rule under it. A row without a cell for a column leaves it empty.
pub(super) fn write_aligned(f: &mut fmt::Formatter<'_>, columns: &[Align], rows: &[Vec<String>]) -> fmt::Result {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).map(|column| width(column).unwrap_or(0)).collect();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, ((cell, &width), align)) in row.iter().zip(&widths).zip(columns).enumerate() {
            line.push_str(if column == 0 { "" } else { "  " });
            line.push_str(&match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
        }
        writeln!(f, "{}", line.trim_end())?;
        if number == 0 {
            let rule: usize = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
            writeln!(f, "{}", "-".repeat(rule))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_unit_that_fits() {
        for (seconds, shown) in [
            (1.234e-9, "1.23 ns"),
            (9.996e-9, "10.0 ns"),
            (135.9e-9, "136 ns"),
            (999.4e-9, "999 ns"),
            (999.6e-9, "1.00 us"),
            (12.34e-6, "12.3 us"),
            (0.4, "400 ms"),
            (2.5, "2.50 s "),
        ] {
            assert_eq!(time(seconds), shown);
        }
    }

    #[test]
    fn ratios_keep_digits_when_they_are_small() {
        for (value, shown) in
            [(0.00141, "0.0014"), (0.0423, "0.042"), (0.5, "0.50"), (1.0, "1.00"), (12.34, "12.3"), (321.0, "321")]
        {
            assert_eq!(ratio(value), shown);
        }
    }
}
