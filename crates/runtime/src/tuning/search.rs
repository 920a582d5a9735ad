//! Which of some candidates is the fastest, and when to stop looking.
//!
//! Nothing here knows what a candidate is or how it is timed.

use std::fmt;
use std::time::Duration;

/// Why no more candidates were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stopped {
    /// All were.
    Exhausted,
    /// So many in a row were no faster.
    Patience,
    /// The best is so near to the roofline that nothing is to be gained.
    Roofline,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stopped::Exhausted => "all candidates were tried",
            Stopped::Patience => "stopped by patience",
            Stopped::Roofline => "stopped by the roofline",
        })
    }
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// After how many candidates in a row that were no faster.
    pub(super) patience: usize,
    /// At what time: the least that can be, or a little more.
    pub(super) good_enough: Duration,
    /// By which share of the best time a candidate must be faster.
    pub(super) least_gain: f64,
}

/// Times candidates, of which the first is the usual one, until there is a reason to stop. `time` gives none for one that is not
/// admitted. Returns the number of the best, the first where none is faster, and why it stopped.
pub(super) fn search<E>(
    candidates: usize,
    limits: Limits,
    mut time: impl FnMut(usize) -> Result<Option<Duration>, E>,
) -> Result<(usize, Stopped), E> {
    let Limits { patience, good_enough, least_gain } = limits;
    let (mut best, mut least) = (0, Duration::MAX);
    let mut in_vain = 0;
    for number in 0..candidates {
        let Some(found) = time(number)? else { continue };
        let is_faster = number == 0 || found.as_secs_f64() < least.as_secs_f64() * (1.0 - least_gain);
        if is_faster {
            (best, least, in_vain) = (number, found, 0);
        } else {
            in_vain += 1;
        }
        if least <= good_enough {
            return Ok((best, Stopped::Roofline));
        }
        if in_vain >= patience.max(1) && number + 1 < candidates {
            return Ok((best, Stopped::Patience));
        }
    }
    Ok((best, Stopped::Exhausted))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// What is found among times in microseconds, and how many were tried.
    fn found(times: &[Option<u64>], patience: usize, good_enough: u64) -> (usize, Stopped, usize) {
        let mut tried = 0;
        let limits = Limits { patience, good_enough: Duration::from_micros(good_enough), least_gain: 0.03 };
        let (best, stopped) = search(times.len(), limits, |number| {
            tried += 1;
            Ok::<_, Infallible>(times[number].map(Duration::from_micros))
        })
        .unwrap_or_else(|error| match error {});
        (best, stopped, tried)
    }

    #[test]
    fn the_fastest_is_taken_if_it_is_faster_by_more_than_clocks_tell() {
        assert_eq!(found(&[Some(100), Some(90), Some(80), Some(95)], 9, 0), (2, Stopped::Exhausted, 4));
        assert_eq!(found(&[Some(100), Some(98)], 9, 0), (0, Stopped::Exhausted, 2));
        assert_eq!(found(&[Some(100)], 9, 0), (0, Stopped::Exhausted, 1));
    }

    #[test]
    fn patience_counts_those_in_a_row_that_were_no_faster() {
        let times = [Some(100), Some(110), Some(90), Some(95), Some(99), Some(10)];
        assert_eq!(found(&times, 2, 0), (2, Stopped::Patience, 5));
        assert_eq!(found(&times, 3, 0), (5, Stopped::Exhausted, 6));
        assert_eq!(found(&times, 0, 0), (0, Stopped::Patience, 2));
    }

    #[test]
    fn what_is_near_the_roofline_is_good_enough() {
        let times = [Some(100), Some(60), Some(50), Some(10)];
        assert_eq!(found(&times, 9, 60), (1, Stopped::Roofline, 2));
        assert_eq!(found(&times, 9, 100), (0, Stopped::Roofline, 1));
    }

    #[test]
    fn what_is_not_admitted_is_passed_over() {
        assert_eq!(found(&[Some(100), None, Some(50)], 1, 0), (2, Stopped::Exhausted, 3));
        assert_eq!(found(&[Some(100), None, None], 1, 0), (0, Stopped::Exhausted, 3));
    }

    #[test]
    fn what_fails_ends_the_search() {
        let limits = Limits { patience: 1, good_enough: Duration::ZERO, least_gain: 0.0 };
        assert_eq!(search(3, limits, |_| Err::<Option<Duration>, _>("lost")), Err("lost"));
    }
}
