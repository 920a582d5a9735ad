//! Holds the operators to what another system computed.
//!
//! A [`Case`] is a call of one of PyTorch's operators: arguments, outputs, upstream gradients and gradients. It is built as a graph
//! (`adapter`), run on a device in one dtype (`run`), and every output and gradient is compared (`compare`, with the rounding
//! of long sums in `bound`). Where the cases come from and what becomes of the outcomes is the caller's business: `cargo xtask oracle`
//! reads files, and a page in a browser fetches them (`browser`, which is there alone).

mod adapter;
mod bound;
#[cfg(target_arch = "wasm32")]
pub mod browser;
mod case;
mod compare;
#[cfg(target_arch = "wasm32")]
#[path = "../../examples/web/src/panics.rs"]
mod panics;
mod run;

pub use case::{Argument, Case, Element, Values};
#[cfg(target_arch = "wasm32")]
pub use run::run_async;
pub use run::{Outcome, Setting};
#[cfg(not(target_arch = "wasm32"))]
pub use run::{record_panics, run};
