//! What a kernel that is tried by itself is given, on either device, and how often it is run to be timed.

use std::time::Duration;

use arenagrad_graph::{Elements, StorageType};

/// The buffers of a kernel that is tried.
#[derive(Clone, Debug)]
pub(crate) struct TrialBuffers {
    /// What each buffer holds before a run.
    pub(crate) contents: Vec<Elements>,
    /// The numbers of the buffers of the kernel's inputs, in its order.
    pub(crate) inputs: Vec<u32>,
    /// And of its outputs, which may be among those of the inputs.
    pub(crate) outputs: Vec<u32>,
    /// In what types the inputs and the outputs are held.
    pub(crate) stored: [Vec<StorageType>; 2],
}

/// How often something is run to know its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Repeated {
    /// The runs that are timed together.
    pub(crate) runs: usize,
    /// How often that is done: the shortest counts.
    pub(crate) samples: usize,
}

/// What runs that are timed together take at least, so that the cost of starting them does not count.
const LEAST_TIME: Duration = Duration::from_millis(3);

/// The most runs that are timed together.
const MOST_RUNS: usize = 256;

/// What all samples of one way take at most, but for one that takes longer by itself.
const MOST_TIME: Duration = Duration::from_millis(60);

impl Repeated {
    /// For something of which one run takes about so long.
    pub(crate) fn of(once: Duration) -> Repeated {
        let once = once.max(Duration::from_nanos(1));
        let runs = (LEAST_TIME.as_nanos() / once.as_nanos()).clamp(1, MOST_RUNS as u128) as usize;
        let sample = once.as_nanos() * runs as u128;
        let samples = (MOST_TIME.as_nanos() / sample.max(1)).clamp(2, 7) as usize;
        Repeated { runs, samples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_run_often() {
        assert_eq!(Repeated::of(Duration::from_micros(100)), Repeated { runs: 30, samples: 7 });
        assert_eq!(Repeated::of(Duration::ZERO), Repeated { runs: MOST_RUNS, samples: 7 });
        assert_eq!(Repeated::of(Duration::from_millis(20)), Repeated { runs: 1, samples: 3 });
        assert_eq!(Repeated::of(Duration::from_secs(9)), Repeated { runs: 1, samples: 2 });
    }
}
