//! A computational-graph engine: expressions become nodes in an arena, differentiation appends nodes to the same arena, a graph and the
//! outputs wanted from it become a [`Plan`] of fused kernels over planned memory, and a plan runs on the CPU or on any wgpu device.
//!
//! ```
//! use arenagrad::{Adam, Device, Error, Graph, Init, Session, Tensor};
//!
//! let g = Graph::new();
//! let (x, t) = (g.input("x", [4, 2]), g.input("t", [4, 1]));
//! let w = g.parameter("w", [2, 1], Init::XavierUniform);
//! let b = g.parameter("b", [1], Init::Constant(0.0));
//! let y = (x.matmul(w) + b).sigmoid();
//! let loss = (y - t).square().mean(..);
//!
//! let mut session = Session::train(&g, loss, Adam::new(0.1), Device::cpu())?;
//! let predict = session.add(&g, &[y])?;
//! let x = Tensor::new([4, 2], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
//! let t = Tensor::new([4, 1], vec![0.0f32, 0.0, 0.0, 1.0])?; // x0 and x1
//! for _ in 0..400 {
//!     session.step(&[("x", &x), ("t", &t)])?;
//! }
//! let y = &session.run_plan(predict, &[("x", &x)])?[0];
//! assert!(y.as_slice::<f32>()?.iter().zip(t.as_slice::<f32>()?).all(|(y, t)| (y - t).abs() < 0.5));
//! # Ok::<(), Error>(())
//! ```
//!
//! | for | see |
//! |---|---|
//! | expressions and their derivatives | [`Graph`], [`Expr`] |
//! | readers, splits, scales and batches of data | [`data`] |
//! | layers and networks of them | [`nn`] |
//! | training on batches of any shapes | [`Trainer`], [`train`] |
//! | plans of one graph, with their parameters | [`Session`], [`Device`] |
//! | weights from elsewhere and for others; files that training goes on from | [`Weights`], [`Checkpoint`] |
//! | the same without blocking, as a page in a browser must | [`Pending`] |
//! | define-by-run | [`Tape`], [`GradientTape`] |
//! | formulas as text | [`parse`], [`Formula`], [`Lambdified`] |
//! | functions with gradients of one's own | [`Function`], [`MultiFunction`] |
//! | numerical checks of gradients | [`check`] |
//! | the loop around a trainer, its files and its page | `fit` |
//! | how long each step of a plan takes | `profile` |
//! | choices of kernels that are measured | `tuning` |
//! | accuracy, F1, R², perplexity over a data set | [`metrics`] |
//! | fits of models to data | `least_squares` |
//! | many processes that train together | [`group`] |
//!
//! # What grows
//!
//! Errors, reports and what describes a plan or an adapter are `#[non_exhaustive]`. Any version may add a [`DType`] (and with it a
//! variant of [`Elements`], a [`StorageType`]), an [`OpKind`], a function, an [`Init`], a [`Reduction`] or an option: a `match` over them
//! needs an arm for the rest, and options are written over their defaults,
//! `CrossEntropy { ignore_index: Some(-100), ..CrossEntropy::default() }`.
//!
//! # Features
//!
//! The first four are on by default; `default-features = false` leaves them out, and their dependencies with them.
//!
//! | feature | what it adds | what it needs |
//! |---|---|---|
//! | `data` | readers of CSV, IDX and NumPy files ([`data`]) | csv, flate2, rawzip |
//! | `gpu` | plans that run on any wgpu device, in a browser through WebGPU | wgpu, naga |
//! | `least_squares` | the module `least_squares`: Gauss-Newton and Levenberg-Marquardt | nalgebra |
//! | `linear_algebra` | solve, inverse, determinants and decompositions, on the CPU | nalgebra |
//! | `images` | folders of images in PNG and JPEG ([`data`]) | image |
//! | `tokenizer` | tokenizers of `tokenizer.json` files ([`data`]) | tokenizers |
//! | `fit` | the module `fit`: the loop around a trainer, its progress, checkpoints, curves and page | indicatif, signal-hook |
//! | `ndarray` | tensors from and to arrays of the crate ndarray | ndarray |
//! | `mpi` | `group::Mpi`: processes that an MPI launcher started ([`group`]) | libloading |

#[cfg(all(feature = "fit", target_family = "wasm"))]
compile_error!(
    "the feature `fit` writes files and watches signals, which WebAssembly has not: leave it out for this target"
);
#[cfg(all(feature = "mpi", target_family = "wasm"))]
compile_error!(
    "the feature `mpi` loads a library and starts a thread, which WebAssembly has not: leave it out for this target"
);
#[cfg(all(feature = "tokenizer", target_family = "wasm"))]
compile_error!("the feature `tokenizer` needs crates that do not build for WebAssembly: leave it out for this target");

mod backend;
pub mod check;
mod checkpoint;
pub mod data;
mod device;
mod error;
mod file;
pub mod group;
#[cfg(doctest)]
mod guides;
mod integers;
mod lambdify;
#[cfg(feature = "least_squares")]
pub mod least_squares;
pub mod metrics;
mod pending;
pub mod plan;
mod precision;
#[cfg(not(target_family = "wasm"))]
mod processor;
#[cfg(not(target_family = "wasm"))]
pub mod profile;
mod session;
mod tape;
mod tensor;
pub mod train;
#[cfg(not(target_family = "wasm"))]
pub mod tuning;
pub mod weights;

pub use arenagrad_graph as graph;
pub use arenagrad_graph::nn;
pub use arenagrad_graph::symbolic::{self, Formula, parse};
pub use arenagrad_graph::{
    AlignedVec, Attention, Axes, Bf16, CompareFunction, Context, Convolution, ConvolutionPadding, ConvolutionTranspose,
    CrossEntropy, Ctc, DType, Element, Elements, Expr, F16, Function, Gelu, Graph, GraphError, Half, Init, IntoExpr,
    MatrixNorm, Mode, MultiFunction, NodeId, OpKind, PoissonNll, QuantileInterpolation, ReduceFunction, Reduction,
    RotaryEmbedding, RotaryPairs, RotaryScaling, ScanOptions, Scanned, Shape, SlidingBlocks, StorageType,
    WithRespectTo,
};
pub use arenagrad_graph::{AxisIndex, AxisIndices, GridOrder, Position, ScatterReduction};
pub use arenagrad_graph::{
    BagMode, EmbeddingBagOptions, EmbeddingOptions, GridMode, GridPadding, GridSample, Interpolation,
    InterpolationMode, PadMode, PerAxis, Pooling, TripletMargin,
};
pub use arenagrad_graph::{I8, I64, U8};
pub use checkpoint::{Checkpoint, CheckpointError, CheckpointValue};
pub use device::{AdapterDescription, AdapterKind, Arithmetic, CooperativeSupport, Device, F16Support};
pub use error::{Error, Given, MatrixFailure};
pub use file::replace_file;
pub use lambdify::{Lambdified, evaluate};
pub use pending::Pending;
pub use plan::Plan;
pub use precision::Precision;
#[cfg(not(target_family = "wasm"))]
pub use profile::{Profile, ProfileOptions};
pub use session::{PlanId, Session, SessionBuilder, StepOutcome};
pub use tape::{GradientTape, LeafValue, Tape, TapeOptimizer, Variable};
pub use tensor::{Comparison, Number, Tensor, TensorError, WorstElement};
pub use train::LossScale;
#[cfg(feature = "fit")]
pub use train::fit;
pub use train::{Adadelta, Adagrad, Adamax, Lamb, Lion, Muon, NAdam, RAdam, RmsProp};
pub use train::{Adam, AdamW, Optimizer, Sgd};
pub use train::{Evaluation, FunctionId, Inputs, Outcome, Trainer};
#[cfg(not(target_family = "wasm"))]
pub use tuning::{Tuning, TuningOptions};
pub use weights::Weights;
