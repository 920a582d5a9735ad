//! What ComputationalGraphPrimer 1.0.2 teaches, over the engine: a network of variables from expressions, a data set from
//! known parameters, and training that finds them again.
mod compare;
mod dag;
mod data;
mod drawing;
mod error;
mod identifiability;
mod layers;
mod network;
mod report;
mod svg;
mod train;

pub use compare::{BothWays, LossGradient, SampleDerivatives, SampleTable};
pub use dag::{Dag, Expression, Symbol};
pub use data::{DataSet, parse_truth};
pub use drawing::dot;
pub use error::PrimerError;
pub use identifiability::{Group, Identifiability};
pub use network::{LocalPartial, Network, Partials};
pub use report::*;
pub use svg::svg;
pub use train::{End, Method, Options, Progress, Trained, train};
