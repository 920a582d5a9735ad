//! What to compute: a computational graph whose nodes live in a slotmap arena, and the transforms of it.
//!
//! A [`Graph`] is built through [`Expr`], a `Copy` handle that reads like mathematics. Every insertion infers shape and
//! dtype; a mistake is kept with the caller's file and line and comes out of [`Expr::check`], [`Graph::check`] or
//! whatever compiles the graph. Derivatives ([`autodiff`]) are nodes appended to the same arena, so they print, simplify,
//! differentiate again and run like any other node.
//!
//! The crate knows no values but constants, no device and no threads. How a node is computed is the business of
//! `arenagrad-kernels`; when, and in which memory, of `arenagrad`.
//!
//! # What grows
//!
//! Errors and what passes return are `#[non_exhaustive]`. The vocabulary is not, though any version may add to it: [`Op`],
//! [`OpKind`], the functions ([`UnaryFunction`] and its like), [`DType`], [`StorageType`], [`Elements`], [`DeclarationKind`] and [`Init`]. The crates that
//! are released with this one match it whole, so that what is new does not compile until every place has an answer. A `match`
//! elsewhere needs an arm for the rest.
//!
//! ```
//! use arenagrad_graph::{DType, Graph, passes};
//!
//! let g = Graph::new();
//! let (x, y, z) = (g.input("x", []), g.input("y", []), g.input("z", []));
//! let f = (x + y) * z;
//! let [dx, _dy, dz] = f.grad([x, y, z]).unwrap();
//! assert_eq!(f.dtype().unwrap(), DType::F32);
//! assert!(dz.check().is_ok());
//! let simple = passes::optimise(&g, &[dx.id().unwrap()]).unwrap();
//! assert_eq!(simple.graph.label(simple.outputs[0]).as_deref(), Some("z")); // d/dx (x + y) z is z itself
//! ```
#![forbid(unsafe_code)]

mod aligned;
mod arena;
pub mod autodiff;
mod bf16;
mod body;
mod compose;
mod declaration;
mod described;
mod display;
mod dot;
mod dtype;
mod elements;
mod error;
mod expr;
mod f16;
mod full_precision;
pub mod function;
mod identity;
mod in_words;
mod initial;
mod insertion;
mod integers;
mod layers;
mod lender;
mod mark;
#[doc(hidden)]
pub mod message;
mod method;
mod multi_function;
pub mod nn;
mod node;
mod op;
mod operation;
pub mod ops;
mod owner;
pub mod passes;
mod pending;
mod places;
mod prefix;
mod reach;
mod region;
mod requirements;
pub mod scan;
mod shape;
mod shared;
mod storage;
mod structure;
pub mod symbolic;
mod updates;
mod verify;
mod views;
mod with_values;

pub use aligned::AlignedVec;
pub use arena::Graph;
pub use autodiff::{Mode, WithRespectTo};
pub use bf16::Bf16;
pub use body::{Body, ScanResult};
pub use compose::{
    Attention, AxisNumbers, Convolution, ConvolutionPadding, ConvolutionTranspose, CrossEntropy, Ctc, Gelu, GridOrder,
    MatrixNorm, PoissonNll, Reduction, RotaryEmbedding, RotaryPairs, RotaryScaling, ScatterReduction, SlidingBlocks,
    TripletMargin,
};
pub use compose::{
    BagMode, EmbeddingBagOptions, EmbeddingOptions, GridMode, GridPadding, GridSample, Interpolation,
    InterpolationMode, PadMode, PerAxis, Pooling,
};
pub use declaration::{Declaration, DeclarationKind, IndexBound, Init};
pub use display::Listing;
pub use dot::Dot;
pub use dtype::DType;
pub use elements::{Element, Elements};
pub use error::{GraphError, MatMulAxis};
pub use expr::{Axes, AxisIndex, AxisIndices, Expr, IntoExpr, Operand, Position, QuantileInterpolation};
pub use f16::F16;
pub use function::{Context, Function};
pub use integers::{I8, I64, U8};
pub use layers::AppliedLayer;
pub use lender::{Lender, Wanted};
pub use mark::Mark;
pub use multi_function::{MultiFunction, Packed};
pub use node::{Node, NodeId, Origin};
pub use op::{
    Arrangement, Assembly, AttentionBackward, AttentionNode, AttentionResult, BinaryFunction, BinaryRow,
    CompareFunction, CompareRow, ConvolutionAxis, CumulativeFunction, Effort, Elementwise, Exchange, Extents, Half,
    Indexing, Leaf, MatrixFunction, Op, OpKind, Ordered, ReduceFunction, ScatterFunction, UnaryFunction, UnaryRow,
    Windows,
};
pub use owner::OwnedGraph;
pub use pending::Pending;
pub use scan::{ScanOptions, Scanned};
pub use shape::{AxisSet, MAX_RANK, Shape};
pub use storage::{StorageType, Stores};
pub use structure::{Extracted, Structure};
pub use verify::{VerifyError, verify};
