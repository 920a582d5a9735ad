//! The processor time that this process's children have taken: unlike the time on the clock it hardly depends on what else the
//! machine does.

/// Seconds of processor time, in user and system mode, of all children that have ended; `None` where the system does not tell.
pub(crate) fn of_children() -> Option<f64> {
    // Fields 16 and 17 of Linux's `stat`, in hundredths of a second. The second field, a name, may hold spaces, and ends
    // with the last parenthesis.
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(13)? + ticks(14)?) / 100.0)
}

/// What children took from a moment on.
pub(crate) struct Watch {
    begun: std::time::Instant,
    before: Option<f64>,
}

/// Time on the clock and, where it is known, processor time, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) clock: f64,
    pub(crate) processor: Option<f64>,
}

impl Watch {
    pub(crate) fn start() -> Watch {
        Watch { begun: std::time::Instant::now(), before: of_children() }
    }

    pub(crate) fn taken(&self) -> Taken {
        let processor = of_children().zip(self.before).map(|(now, before)| now - before);
        Taken { clock: self.begun.elapsed().as_secs_f64(), processor }
    }
}

impl Taken {
    /// The processor time if it is known, else the time on the clock.
    pub(crate) fn cost(self) -> f64 {
        self.processor.unwrap_or(self.clock)
    }
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>7.1} s", self.clock)?;
        match self.processor {
            Some(processor) => write!(f, " {processor:>7.1} s of processor time"),
            None => Ok(()),
        }
    }
}
