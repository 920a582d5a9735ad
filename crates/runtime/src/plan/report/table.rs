//! A report of memory as a table.

use std::fmt;

use crate::plan::report::{HeldBuffer, MemoryReport, MemoryRole, Recomputation};

/// How many buffers and steps are printed by themselves; the rest is a line.
const MOST_ROWS: usize = 24;

impl fmt::Display for MemoryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peak_step {
            Some(step) => writeln!(
                f,
                "peak: {} bytes in step {step} of {}, which computes {}",
                grouped(self.peak_bytes),
                self.step_bytes.len(),
                self.peak_computes
            )?,
            None => writeln!(f, "peak: {} bytes, without a step", grouped(self.peak_bytes))?,
        }
        let over = self.allocated_bytes as f64 / (self.peak_bytes as f64).max(1.0) - 1.0;
        writeln!(f, "allocated: {} bytes, {:.1} % above the peak", grouped(self.allocated_bytes), over * 100.0)?;
        for role in MemoryRole::ALL {
            let count = self.held.iter().filter(|held| held.role == role).count();
            if count > 0 {
                writeln!(f, "  {:<10} {:>16}  in {count}", role.name(), grouped(self.bytes_of(role)))?;
            }
        }
        if let Some(recomputation) = &self.recomputation {
            write!(f, "{recomputation}")?;
        }
        writeln!(f, "held at the peak:")?;
        let rows: Vec<[String; 5]> = self.held.iter().take(MOST_ROWS).map(row).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [0, 1, 2, 3].map(width);
        for [bytes, role, what, steps, place] in &rows {
            let [a, b, c, d] = widths;
            let line = format!("  {bytes:>a$}  {role:<b$}  {what:<c$}  {steps:<d$}  {place}");
            writeln!(f, "{}", line.trim_end())?;
        }
        let rest = self.held.iter().skip(MOST_ROWS);
        if self.held.len() > MOST_ROWS {
            let bytes = rest.map(|held| held.bytes).sum();
            writeln!(f, "  {} bytes in {} smaller ones", grouped(bytes), self.held.len() - MOST_ROWS)?;
        }
        Ok(())
    }
}

/// Bytes, role, what is held, steps, and the place in the source.
fn row(held: &HeldBuffer) -> [String; 5] {
    let storage = held.storage.map(|storage| storage.to_string()).unwrap_or_default();
    let steps = match (held.computed_in, held.last_read_in) {
        (None, _) => String::new(),
        (Some(first), Some(last)) => format!("{first}..={last}"),
        (Some(first), None) => format!("{first}.."),
    };
    let what = match held.storage {
        Some(_) => format!("{}: {storage}{}", held.name, held.shape),
        None => held.name.clone(),
    };
    let layer = held.layer.as_ref().map(|layer| format!("{layer} at ")).unwrap_or_default();
    let place = held.origin.map(|origin| format!("{layer}{origin}")).unwrap_or(layer);
    [grouped(held.bytes), held.role.name().to_owned(), what, steps, place]
}

impl fmt::Display for Recomputation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "computed again: {} steps, for {:.1} % more operations ({} instead of {}); otherwise the peak would be {} bytes, and {} allocated",
            self.steps.len(),
            self.more_operations() * 100.0,
            grouped(self.operations),
            grouped(self.operations_once),
            grouped(self.peak_bytes_once),
            grouped(self.allocated_bytes_once),
        )
    }
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
