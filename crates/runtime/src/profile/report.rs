//! A profile as a table.

use std::fmt;
use std::time::Duration;

use crate::profile::{Clock, Peaks, Profile, StepProfile};

/// The widest column of kernels; what is longer is cut.
const WIDEST: usize = 60;

/// A line of the table.
struct Line {
    name: String,
    cells: [String; 8],
    origin: String,
}

/// The heads of the columns between the kernel and its origin.
const HEADS: [&str; 8] = ["median", "least", "share", "MB", "MFLOP", "GB/s", "GFLOP/s", "roofline"];

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Clock::Host => "a clock read between steps",
            Clock::Timestamps => "the adapter's timestamps around each step",
            Clock::Submits => "a submit of each step alone, whose own time is part of each step's",
        })
    }
}

impl fmt::Display for Peaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (flops, bytes) = (self.flops_per_second / 1e9, self.bytes_per_second / 1e9);
        write!(f, "{flops:.1} GFLOP/s of f32, {bytes:.1} GB/s of copies")
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} runs, timed by {}", self.device, self.runs, self.clock)?;
        writeln!(f, "at most {}", self.peaks)?;
        let all = self.steps_time();
        let mut lines = Vec::new();
        let mut stage = "";
        for (number, step) in self.steps.iter().enumerate() {
            if step.stage != stage {
                stage = step.stage;
                lines.push(None);
            }
            lines.push(Some(self.line(step, format!("{number:>3}"), all)));
            self.push_body(step, 1, all, &mut lines);
        }
        let shown = || lines.iter().flatten();
        let name_width = shown().map(|line| line.name.chars().count()).max().unwrap_or(0).clamp(4, WIDEST);
        let widths: [usize; 8] = std::array::from_fn(|column| {
            let cells = shown().map(|line| line.cells[column].chars().count());
            cells.max().unwrap_or(0).max(HEADS[column].len())
        });
        write!(f, "{:<name_width$}", "step")?;
        for (head, width) in HEADS.iter().zip(widths) {
            write!(f, "  {head:>width$}")?;
        }
        writeln!(f, "  origin")?;
        let mut stages = self.steps.iter().map(|step| step.stage).collect::<Vec<_>>();
        stages.dedup();
        let mut stages = stages.into_iter();
        for line in &lines {
            let Some(Line { name, cells, origin }) = line else {
                writeln!(f, "{}:", stages.next().unwrap_or_default())?;
                continue;
            };
            write!(f, "{:<name_width$}", cut(name))?;
            for (cell, width) in cells.iter().zip(widths) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f, "  {origin}")?;
        }
        let overhead = self.overhead_seconds();
        let sign = if overhead < 0.0 { "-" } else { "" };
        let overhead = Duration::from_secs_f64(overhead.abs());
        writeln!(
            f,
            "steps {}, a whole run {} (least {}), beyond its steps {sign}{}",
            time(all),
            time(self.run.median),
            time(self.run.least),
            time(overhead)
        )?;
        let (flops, bytes) = (self.flops() as f64, self.bytes() as f64);
        let seconds = self.run.median.as_secs_f64();
        writeln!(
            f,
            "a run is {:.3} MFLOP and {:.3} MB: {:.2} GFLOP/s, {:.2} GB/s, {} of the roofline",
            flops / 1e6,
            bytes / 1e6,
            flops / seconds / 1e9,
            bytes / seconds / 1e9,
            percent(self.roofline_share()),
        )?;
        if let Some(submit) = self.empty_submit {
            writeln!(f, "a submit of nothing takes {}", time(submit))?;
        }
        Ok(())
    }
}

impl Profile {
    fn line(&self, step: &StepProfile, number: String, all: Duration) -> Line {
        let mut name = format!("{number}  {}", step.kernel);
        for function in &step.fused {
            name.push_str(" + ");
            name.push_str(function);
        }
        let is_timed = !step.time.median.is_zero();
        let timed = |text: String| if is_timed { text } else { "-".to_owned() };
        let cells = [
            timed(time(step.time.median)),
            timed(time(step.time.least)),
            timed(percent(step.time.median.as_secs_f64() / all.as_secs_f64())),
            format!("{:.3}", step.bytes() as f64 / 1e6),
            format!("{:.3}", step.flops as f64 / 1e6),
            timed(format!("{:.2}", step.bytes_per_second() / 1e9)),
            timed(format!("{:.2}", step.flops_per_second() / 1e9)),
            timed(percent(step.roofline_share(&self.peaks))),
        ];
        Line { name, cells, origin: step.origin.map(|origin| origin.to_string()).unwrap_or_default() }
    }

    /// The lines of a loop's body, further in.
    fn push_body(&self, step: &StepProfile, depth: usize, all: Duration, lines: &mut Vec<Option<Line>>) {
        for (number, inner) in step.body.iter().enumerate() {
            let number = format!("{}| {number:>3}", "  ".repeat(depth));
            lines.push(Some(self.line(inner, number, all)));
            self.push_body(inner, depth + 1, all, lines);
        }
    }
}

/// A name that is not wider than its column.
fn cut(name: &str) -> String {
    if name.chars().count() <= WIDEST {
        return name.to_owned();
    }
    name.chars().take(WIDEST - 1).chain(['…']).collect()
}

/// A time in the unit in which it is read best.
fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 1.0 {
        format!("{seconds:.3} s")
    } else if seconds >= 1e-3 {
        format!("{:.3} ms", seconds * 1e3)
    } else {
        format!("{:.2} us", seconds * 1e6)
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
