//! Numbers of updates, batches and epochs in whatever integer they were counted.

/// A number of updates, batches or epochs: u64, or usize as data sets count, or any other integer. A negative one counts as 0.
///
/// ```
/// use arenagrad::train::schedules::{Cosine, Schedule};
///
/// let batches: usize = 250; // as Batches::len has it
/// let schedule = Cosine::new(10 * batches).after_warm_up(batches);
/// # let _ = schedule;
/// ```
pub trait Count: Copy + sealed::Sealed {
    /// The number.
    fn count(self) -> u64;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! counts {
    ($($integer:ty),*) => {$(
        impl sealed::Sealed for $integer {}

        impl Count for $integer {
            fn count(self) -> u64 {
                // What u64 does not hold is negative.
                u64::try_from(self).unwrap_or(0)
            }
        }
    )*};
}
counts!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);
