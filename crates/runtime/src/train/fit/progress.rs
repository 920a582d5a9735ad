//! What a run shows while it goes: a bar in a terminal, and a line now and then.

use std::fmt;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Without a terminal, no longer than this passes between two lines.
const SILENCE: Duration = Duration::from_secs(30);

/// A bar with the rate and the remaining time where standard error is a terminal. Lines of epochs go above it, or to standard output
/// where there is none: of the first and of about every fifth part of the run, so that a long run leaves few of them, and of any epoch that
/// comes half a minute after the line before it.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    epochs: u64,
    last_line: Instant,
    is_quiet: bool,
}

impl Progress {
    /// The progress of a run of so many epochs, of as many steps each as is known.
    #[must_use]
    pub fn new(epochs: u64, steps_per_epoch: Option<u64>) -> Self {
        let length = steps_per_epoch.map(|steps| steps.saturating_mul(epochs));
        Progress::drawn(epochs, length, ProgressDrawTarget::stderr(), false)
    }

    /// One that shows nothing.
    #[must_use]
    pub fn quiet() -> Self {
        Progress::drawn(0, None, ProgressDrawTarget::hidden(), true)
    }

    fn drawn(epochs: u64, length: Option<u64>, target: ProgressDrawTarget, is_quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(length, target);
        bar.set_style(style(length.is_some()));
        Progress { bar, epochs, last_line: Instant::now(), is_quiet }
    }

    /// What is to come, once it is known: so many steps an epoch, of which the run has made `done` in all.
    pub fn expect(&mut self, steps_per_epoch: u64, epochs: u64, done: u64) {
        let length = steps_per_epoch.saturating_mul(epochs);
        if self.bar.length() == Some(length) {
            return;
        }
        self.bar.set_length(length);
        self.bar.set_style(style(true));
        self.bar.set_position(done);
        self.bar.reset_eta();
    }

    /// One more step is done. `line` says where the run is, and is asked for if it is shown.
    pub fn step(&mut self, line: impl FnOnce() -> String) {
        self.bar.inc(1);
        if self.is_quiet || !self.bar.is_hidden() || self.last_line.elapsed() < SILENCE {
            return;
        }
        println!("{}", line());
        self.last_line = Instant::now();
    }

    /// An epoch is done, counted from 1.
    pub fn epoch(&mut self, epoch: u64, line: &str) {
        if self.is_quiet {
            return;
        }
        self.bar.set_message(line.to_owned());
        if epoch == 1 || epoch.is_multiple_of(stride(self.epochs)) || self.last_line.elapsed() >= SILENCE {
            self.say(line);
        }
    }

    /// A line, whatever there was before.
    pub fn say(&mut self, line: &str) {
        if self.is_quiet {
            return;
        }
        if self.bar.is_hidden() {
            println!("{line}");
        } else {
            self.bar.println(line);
        }
        self.last_line = Instant::now();
    }

    /// Nothing comes any more. The bar goes; what was said stays.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The bar of a run whose length is known or not.
fn style(has_length: bool) -> ProgressStyle {
    let template = if has_length {
        "{bar:30} {pos}/{len} steps  {rate}  {eta} left  {wide_msg}"
    } else {
        "{spinner} {pos} steps  {rate}  {elapsed}  {wide_msg}"
    };
    let rate = |state: &ProgressState, text: &mut dyn fmt::Write| {
        let _ = write!(text, "{:.1}/s", state.per_sec());
    };
    // A template is text of this file; one that indicatif does not take leaves its own bar.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("rate", rate)
}

/// Every how many epochs there is a line: one, two or five times a power of ten, at most a fifth of them rounded up.
fn stride(epochs: u64) -> u64 {
    let wanted = epochs.div_ceil(5).max(1);
    let mut power = 1u64;
    loop {
        for unit in [1, 2, 5] {
            let stride = power.saturating_mul(unit);
            if stride >= wanted {
                return stride;
            }
        }
        power = power.saturating_mul(10);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_at_round_epochs() {
        let strides = [0, 1, 5, 6, 10, 11, 40, 100, 999, u64::MAX].map(stride);
        assert_eq!(strides[..9], [1, 1, 1, 2, 2, 5, 10, 20, 200]);
        assert!(strides[9] >= u64::MAX / 5);
    }
}
