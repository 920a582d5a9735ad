//! A program may import all names of several public modules at once: no two of them give the same name to different things.
//!
//! There is nothing to run: a name that two of these modules have does not compile. The root of the crate is not among them, since its trait
//! `Position` has the name of the place of a run in the data, `data::Position`.

/// All of them.
pub mod together {
    #![deny(ambiguous_glob_reexports)]
    #![allow(unused_imports)]

    pub use arenagrad::check::*;
    pub use arenagrad::data::*;
    pub use arenagrad::metrics::*;
    pub use arenagrad::nn::*;
    pub use arenagrad::train::schedules::*;
    pub use arenagrad::train::*;
}
