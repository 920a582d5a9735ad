//! What ComputationalGraphPrimer 1.0.2 teaches, over the engine: a network of variables from expressions, a data set from
//! known parameters, and training that finds them again.
//!
//! [`Dag`] reads the expressions, [`Network`] puts them into the engine's graph, [`DataSet`] computes the ground truth, [`train`]
//! finds the parameters, and [`Identifiability`] says which of them the data can tell apart. [`SampleTable`] and [`LossGradient`]
//! set finite differences beside the engine's derivatives.
//!
//! Two faults of the original are not copied. It updates a parameter by the product of partials along one path, without the
//! error; here the gradient is that of the mean squared error, over all paths. And it splits an expression at `+` and `-` and adds the
//! parts whatever the sign; here an expression is what it says.
//!
//! ```
//! use arenagrad::Device;
//! use arenagrad_examples::primer::{Dag, DataSet, Method, Options, Partials, parse_truth, train};
//!
//! let dag = Dag::parse(&["xy=a*xa-b", "xz=c*xy^2"])?;
//! let truth = parse_truth(&dag, "a=2,b=1,c=-3")?;
//! let data = DataSet::generate(&dag, &truth, 100, 0)?;
//! let options = Options {
//!     method: Method::LevenbergMarquardt,
//!     partials: Partials::FiniteDifference { delta: 1e-4 },
//!     steps: 200,
//!     batch_size: None,
//!     starts: 8,
//!     display_every: 10,
//!     first: None,
//!     seed: 0,
//! };
//! let trained = train(&dag, &data, &options, &Device::cpu(), |_| Ok(()))?;
//! assert!(trained.loss < 1e-20);
//! # Ok::<(), arenagrad_examples::primer::PrimerError>(())
//! ```

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
pub use report::{
    dictionaries, gradient_table, identifiability_text, list, parameter_table, partials_lines, partials_table,
    progress_line,
};
pub use svg::svg;
pub use train::{End, Method, Options, Progress, Trained, train};
