//! Data on its way to a network: readers, splits, transforms, shuffles and batches.
//!
//! Everything here is on the host and knows no graph: a batch is tensors under the names of the inputs that they are for.
//! What comes out is a function of what goes in and of seeds; no order depends on a clock, a thread or a hash.
//!
//! | for | see |
//! |---|---|
//! | data in memory, its splits and folds | [`Dataset`] |
//! | data that does not fit there | [`Source`] |
//! | batches, shuffled, drawn by weights, augmented, prefetched, resumed | [`Batches`], [`Epoch`], [`Position`] |
//! | sequences of unequal lengths as one tensor | [`padded`] |
//! | numbers on a common scale, classes as vectors | [`Scaling`], [`one_hot`] |
//! | numbers in the place of missing ones | [`Imputation`] |
//! | text as tokens and their windows | [`Tokens`], [`Tokenizer`] |
//! | tokenizers of `tokenizer.json` files | `BytePair` (feature `tokenizer`) |
//! | files: CSV, IDX, NumPy's, text | `Csv`, `read_idx`, `read_npy`, `Npz` (feature `data`), [`read_text`] |
//! | folders of images | `ImageFolder` (feature `images`) |

mod batch;
mod batches;
#[cfg(feature = "tokenizer")]
mod byte_pair;
mod categories;
#[cfg(feature = "data")]
mod csv;
#[cfg(feature = "data")]
mod csv_columns;
mod dataset;
mod draws;
mod epoch;
mod error;
#[cfg(feature = "data")]
mod gzip;
#[cfg(feature = "data")]
mod idx;
#[cfg(feature = "images")]
mod images;
mod imputation;
#[cfg(feature = "data")]
mod npy;
#[cfg(feature = "data")]
mod npy_header;
#[cfg(feature = "data")]
mod npz;
mod padding;
#[cfg(feature = "data")]
mod reading;
mod rows;
mod sampling;
mod scaling;
mod source;
mod split;
mod table;
mod text;
mod tokens;

pub use batch::{Batch, NamedTensors};
pub use batches::{Batches, Position};
#[cfg(feature = "tokenizer")]
pub use byte_pair::BytePair;
pub use categories::Categories;
#[cfg(feature = "data")]
pub use csv::{Column, Csv, Missing};
pub use dataset::Dataset;
pub use draws::Draws;
pub(crate) use draws::normal_of;
pub use epoch::Epoch;
pub use error::{CellProblem, DataError, Found};
#[cfg(feature = "data")]
pub use idx::{read_idx, write_idx};
#[cfg(feature = "images")]
pub use images::ImageFolder;
pub use imputation::{Fill, Imputation};
#[cfg(feature = "data")]
pub use npy::{read_npy, write_npy};
#[cfg(feature = "data")]
pub use npz::{Npz, read_npz, write_npz};
pub use padding::padded;
pub use scaling::{Per, Scaling, one_hot};
pub use source::Source;
pub use split::Folds;
pub use table::Table;
pub use text::{read_lines, read_text};
pub use tokens::{Bytes, Characters, Tokenizer, Tokens, Windows};

use crate::train::listed;
