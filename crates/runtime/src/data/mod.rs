//! Data on its way to a network: readers, splits, transforms, shuffles and batches.
//!
//! Everything here is on the host and knows no graph: a batch is tensors under the names of the inputs that they are for.

mod batch;

pub use batch::{Batch, NamedTensors};
